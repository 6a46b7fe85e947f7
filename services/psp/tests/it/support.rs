//! What the tests share: a stage with psp, and a merchant that notes what it is told.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, routing::post};
use http::StatusCode;
use platform::{
    Clock,
    auth::{Secret, Signature},
    testing::{Got, Stage},
};
use psp_api::PspEvent;
use serde_json::{Value as Json, json};

pub const SECRET: &str = "a-secret-for-tests";
/// How long an authorization stays where that is not what is tested: seven days.
const LIFE_SECONDS: i64 = 604_800;

/// What a merchant heard, and when: microseconds since the stage was set.
#[derive(Clone, Debug)]
pub struct Heard {
    pub at_micros: i64,
    pub event: PspEvent,
}

#[derive(Clone)]
pub struct Merchant {
    clock: Clock,
    start_micros: i64,
    heard: Arc<Mutex<Vec<Heard>>>,
    /// The answers to the next callbacks; 200 when there is none.
    answers: Arc<Mutex<Vec<StatusCode>>>,
}

impl Merchant {
    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    pub fn will_answer(&self, answers: impl IntoIterator<Item = StatusCode>) {
        self.answers.lock().unwrap().extend(answers);
    }

    /// Simulated time since the stage was set.
    pub fn elapsed(&self) -> Duration {
        Duration::from_micros(u64::try_from(self.clock.now().micros() - self.start_micros).unwrap())
    }
}

async fn hear(State(merchant): State<Merchant>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let signature = headers.get(psp_api::SIGNATURE_HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let verified = Signature::verify(signature, &body, &Secret::new(SECRET).unwrap(), merchant.clock.now(), Signature::WINDOW);
    assert_eq!(verified, Ok(()), "every callback is signed");
    let event = serde_json::from_slice(&body).unwrap();
    merchant.heard.lock().unwrap().push(Heard { at_micros: merchant.clock.now().micros() - merchant.start_micros, event });
    let mut answers = merchant.answers.lock().unwrap();
    if answers.is_empty() { StatusCode::OK } else { answers.remove(0) }
}

pub async fn stage() -> (Stage, Merchant) {
    seeded(1).await
}

pub async fn seeded(seed: u64) -> (Stage, Merchant) {
    lasting(seed, LIFE_SECONDS).await
}

/// A stage on which an authorization stays for so long.
pub async fn lasting(seed: u64, life_seconds: i64) -> (Stage, Merchant) {
    let stage = Stage::of(&[&psp::MANIFEST], seed, |settings| {
        let settings = settings.with("psp.callback_secret", SECRET).unwrap();
        settings.with("psp.authorization_life_seconds", life_seconds).unwrap()
    })
    .await;
    let clock = stage.world.clock();
    let merchant = Merchant { clock, start_micros: clock.now().micros(), heard: Arc::default(), answers: Arc::default() };
    stage.neighbour("payment", merchant_router(merchant.clone()));
    (stage, merchant)
}

pub fn merchant_router(merchant: Merchant) -> Router {
    Router::new().route("/payments/psp/callback", post(hear)).with_state(merchant)
}

pub fn request(reference: &str, token: &str) -> Json {
    json!({"merchantReference": reference, "amount": {"amount": 1000, "currency": "USD"}, "token": token})
}

pub async fn authorize(stage: &Stage, reference: &str, token: &str) -> Got {
    stage.post_with_key("/psp/authorizations", &request(reference, token), &format!("{reference}-key")).await
}

pub async fn authorize_and_capture(stage: &Stage, reference: &str, token: &str) -> Got {
    let mut request = request(reference, token);
    request["capture"] = json!(true);
    stage.post_with_key("/psp/authorizations", &request, &format!("{reference}-key")).await
}

pub async fn by_reference(stage: &Stage, reference: &str) -> Json {
    let got = stage.get(&format!("/psp/authorizations?merchantReference={reference}")).await;
    assert_eq!(got.status, StatusCode::OK);
    got.json()
}

pub async fn step(stage: &Stage, id: &str, what: &str, body: Json, key: &str) -> Got {
    stage.post_with_key(&format!("/psp/authorizations/{id}/{what}"), &body, key).await
}

pub fn amount(amount: i64) -> Json {
    json!({"amount": {"amount": amount, "currency": "USD"}})
}

pub fn id(got: &Got) -> String {
    got.json()["id"].as_str().unwrap().to_owned()
}

pub fn status(got: &Got) -> String {
    got.json()["status"].as_str().unwrap_or_default().to_owned()
}

/// The kinds in the truth log, in order.
pub async fn truth(stage: &Stage) -> Vec<String> {
    stage.facts("psp-truth").await.into_iter().map(|fact| fact["kind"].as_str().unwrap().to_owned()).collect()
}

pub const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
