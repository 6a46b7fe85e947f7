//! What the tests share: a stage with payment and psp, and short ways to say things.

use std::{collections::BTreeMap, time::Duration};

use http::StatusCode;
use platform::{
    settings::Settings,
    testing::{Got, Stage},
};
use serde_json::{Value as Json, json};

/// What callbacks are signed with on these stages.
pub const SECRET: &str = "a-secret-for-tests";
/// How long the PSP keeps an authorization where that is not what is tested: seven days.
const LIFE_SECONDS: i64 = 604_800;

pub async fn stage() -> Stage {
    seeded(1).await
}

pub async fn seeded(seed: u64) -> Stage {
    lasting(seed, LIFE_SECONDS).await
}

/// A stage on which the PSP keeps an authorization for so long.
pub async fn lasting(seed: u64, life_seconds: i64) -> Stage {
    let settings = move |settings: Settings| {
        let settings = settings.with("payment.psp_callback_secret", SECRET).unwrap();
        let settings = settings.with("psp.authorization_life_seconds", life_seconds).unwrap();
        settings.with("psp.callback_secret", SECRET).unwrap()
    };
    Stage::of(&[&payment::MANIFEST, &psp::MANIFEST], seed, settings).await
}

/// A stage on which every request needs a token.
pub async fn guarded() -> Stage {
    Stage::of(&[&payment::MANIFEST, &psp::MANIFEST], 1, |settings| settings.with("platform.auth", "jwt").unwrap()).await
}

pub fn order(n: u32) -> String {
    format!("01900000-0000-7000-8000-{n:012}")
}

pub fn request(n: u32, token: &str) -> Json {
    json!({"orderId": order(n), "amount": {"amount": 1999, "currency": "USD"}, "method": {"type": "card", "token": token}})
}

/// A new payment's id.
pub async fn create(stage: &Stage, n: u32, token: &str) -> String {
    create_as(stage, n, request(n, token)).await
}

pub async fn create_as(stage: &Stage, n: u32, request: Json) -> String {
    let got = stage.post_with_key("/payments", &request, &format!("create-{n}")).await;
    assert_eq!(got.status, StatusCode::CREATED, "{}", got.json());
    got.json()["id"].as_str().unwrap().to_owned()
}

/// Asks a payment to take a step, without a key.
pub async fn step(stage: &Stage, id: &str, what: &str) -> Got {
    stage.post(&format!("/payments/{id}/{what}"), &json!({})).await
}

pub async fn refund(stage: &Stage, id: &str, amount: Option<i64>, key: &str) -> Got {
    let body = amount.map_or(json!({}), |amount| json!({"amount": {"amount": amount, "currency": "USD"}}));
    stage.post_with_key(&format!("/payments/{id}/refund"), &body, key).await
}

pub fn status(got: &Got) -> String {
    got.json()["status"].as_str().unwrap_or_default().to_owned()
}

pub async fn payment(stage: &Stage, id: &str) -> Json {
    stage.get(&format!("/payments/{id}")).await.json()
}

/// The status of a payment.
pub async fn now(stage: &Stage, id: &str) -> String {
    payment(stage, id).await["status"].as_str().unwrap_or_default().to_owned()
}

/// What the PSP's truth log tells of a payment, in order.
pub async fn truth(stage: &Stage, id: &str) -> Vec<String> {
    let of = |fact: Json| (fact["paymentId"] == id).then(|| fact["kind"].as_str().unwrap_or_default().to_owned());
    stage.facts("psp-truth").await.into_iter().filter_map(of).collect()
}

/// The statuses that a payment has had, in order.
pub async fn history(stage: &Stage, id: &str) -> Vec<String> {
    let of = |fact: Json| (fact["id"] == id).then(|| fact["status"].as_str().unwrap_or_default().to_owned());
    stage.facts("payment-transitions").await.into_iter().filter_map(of).collect()
}

/// When a payment became what it is in this status: microseconds after it was made.
pub async fn became(stage: &Stage, id: &str, status: &str) -> i64 {
    let micros = |fact: &Json| fact["at"].as_str().unwrap().parse::<types::Timestamp>().unwrap().micros();
    let steps: Vec<Json> = stage.facts("payment-transitions").await.into_iter().filter(|fact| fact["id"] == id).collect();
    let step = steps.iter().find(|fact| fact["status"] == status).unwrap_or_else(|| panic!("never {status}: {steps:?}"));
    micros(step) - micros(&steps[0])
}

/// Makes all of these at once and waits for all.
pub async fn all<T>(calls: impl IntoIterator<Item = impl Future<Output = T>>) -> Vec<T> {
    futures::future::join_all(calls).await
}

pub const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Per payment, minor units: what was captured less what was refunded.
pub async fn net_at_psp(stage: &Stage) -> BTreeMap<String, i64> {
    let mut net = BTreeMap::new();
    for fact in stage.facts("psp-truth").await {
        let amount = fact["amount"].as_i64().unwrap();
        let sum = net.entry(fact["paymentId"].as_str().unwrap().to_owned()).or_default();
        match fact["kind"].as_str().unwrap() {
            "capture.succeeded" => *sum += amount,
            "refund.succeeded" => *sum -= amount,
            _ => {}
        }
    }
    net
}

/// I4, I5, I6 and I10 over everything that is there, from the audit alone.
pub async fn check_books(stage: &Stage) {
    let (mut postings, mut events, mut net) =
        (BTreeMap::<String, i64>::new(), BTreeMap::<String, String>::new(), BTreeMap::<String, i64>::new());
    for line in stage.facts("ledger").await {
        let (debit, credit) = (line["debit"].as_i64().unwrap(), line["credit"].as_i64().unwrap());
        assert!((debit > 0) != (credit > 0), "{line}");
        let posting = line["id"].as_str().unwrap().to_owned();
        *postings.entry(posting.clone()).or_default() += debit - credit;
        let known = events.entry(line["pspEventId"].as_str().unwrap().to_owned()).or_insert_with(|| posting.clone());
        assert_eq!(*known, posting, "one posting per event of the PSP");
        if line["account"] == "psp_clearing" {
            *net.entry(line["paymentId"].as_str().unwrap().to_owned()).or_default() += debit - credit;
        }
    }
    assert!(postings.values().all(|sum| *sum == 0), "debits = credits: {postings:?}");
    let truth = stage.facts("psp-truth").await;
    let count = |id: &str, kind: &str| truth.iter().filter(|fact| fact["paymentId"] == id && fact["kind"] == kind).count();
    let at_psp = net_at_psp(stage).await;
    for fact in stage.facts("payments").await {
        let id = fact["id"].as_str().unwrap();
        let (amount, captured, refunded) =
            (fact["amount"].as_i64().unwrap(), fact["captured"].as_i64().unwrap(), fact["refunded"].as_i64().unwrap());
        assert!(0 <= refunded && refunded <= captured && captured <= amount, "{fact}");
        assert!(count(id, "authorization.succeeded") <= 1 && count(id, "capture.succeeded") <= 1, "{id} was taken twice");
        let (books, psp) = (net.get(id).copied().unwrap_or(0), at_psp.get(id).copied().unwrap_or(0));
        assert_eq!((books, captured - refunded), (psp, psp), "three agree: {fact}");
    }
    let mut last = BTreeMap::<String, (String, i64)>::new();
    for step in stage.facts("payment-transitions").await {
        let (id, to) = (step["id"].as_str().unwrap().to_owned(), step["status"].as_str().unwrap().to_owned());
        let version = step["version"].as_i64().unwrap();
        match last.get(&id) {
            None => assert_eq!((to.as_str(), version), ("REQUIRES_CONFIRMATION", 1)),
            Some((from, before)) => {
                assert!(types::states::allows("payment", from, &to) && step["previous"] == from.as_str(), "{step}");
                assert_eq!(version, before + 1, "{step}");
            }
        }
        last.insert(id, (to, version));
    }
}
