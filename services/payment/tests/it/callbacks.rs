//! Callbacks: signed, each once, in any order; and a provider that breaks its word is put right.

use std::sync::{Arc, Mutex};

use axum::{
    Json as Body, Router,
    extract::{Path, State},
    http::StatusCode as Code,
    routing::{get, post},
};
use http::{Method, StatusCode};
use platform::{
    auth::{Secret, Signature},
    fault::{Fault, Rule, Scope},
    testing::{Got, Stage},
};
use serde_json::{Value as Json, json};

use crate::support::*;

/// Calls back with this body, signed with this secret at the stage's time less `age_seconds`.
async fn call_signed(stage: &Stage, body: &Json, secret: &str, age_seconds: u64) -> Got {
    let bytes = serde_json::to_vec(body).unwrap();
    let at = stage.world.clock().now().minus(seconds(age_seconds));
    let signature = Signature::sign(&Secret::new(secret).unwrap(), at, &bytes);
    let headers = [("content-type", "application/json"), (psp_api::SIGNATURE_HEADER, signature.as_str())];
    stage.send_bytes(Method::POST, "/payments/psp/callback", bytes, &headers).await
}

pub async fn call(stage: &Stage, body: &Json) -> Got {
    call_signed(stage, body, SECRET, 0).await
}

/// The newest event of a payment as the PSP would tell it.
async fn last_event(stage: &Stage, id: &str) -> Json {
    stage.get(&format!("/psp/authorizations?merchantReference={id}")).await.json()["lastEvent"].clone()
}

async fn picture(stage: &Stage) -> (Vec<Json>, Vec<Json>, Vec<Json>) {
    (stage.facts("payments").await, stage.facts("payment-transitions").await, stage.facts("ledger").await)
}

#[tokio::test(start_paused = true)]
async fn what_is_told_twice_happens_once() {
    let stage = stage().await;
    let id = create(&stage, 1, "tok_duplicate").await;
    for what in ["confirm", "capture"] {
        step(&stage, &id, what).await;
    }
    refund(&stage, &id, Some(5), "r").await;
    let before = picture(&stage).await;
    stage.pass(seconds(10)).await;
    assert_eq!(picture(&stage).await, before, "six callbacks have come");
    let event = last_event(&stage, &id).await;
    for _ in 0..3 {
        let got = call(&stage, &event).await;
        assert_eq!((got.status, &got.json()["eventId"]), (StatusCode::OK, &event["eventId"]));
    }
    assert_eq!(picture(&stage).await, before);
    check_books(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn a_capture_that_is_told_before_its_authorization_ends_right() {
    let stage = stage().await;
    let mut body = request(1, "tok_disorder");
    body["captureAtOnce"] = json!(true);
    let id = create_as(&stage, 1, body).await;
    let lost = Fault { rule: Rule::Drop, share: 1.0, millis: 0, scope: Scope::default(), for_seconds: Some(0.5) };
    stage.world.faults().set("call.psp", lost).unwrap();
    assert_eq!(status(&step(&stage, &id, "confirm").await), "UNKNOWN");
    stage.pass(std::time::Duration::from_millis(1_100)).await;
    assert_eq!(now(&stage, &id).await, "CAPTURED", "the PSP was asked what came before");
    assert_eq!(history(&stage, &id).await, ["REQUIRES_CONFIRMATION", "PROCESSING", "UNKNOWN", "AUTHORIZED", "CAPTURED"]);
    let before = picture(&stage).await;
    stage.pass(seconds(5)).await;
    assert_eq!(picture(&stage).await, before, "the authorization came afterwards");
    check_books(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn who_cannot_sign_is_not_heard() {
    let stage = stage().await;
    let id = create(&stage, 1, "tok_late_900").await;
    step(&stage, &id, "confirm").await;
    let event = json!({
        "eventId": order(77), "paymentId": id, "authorizationId": order(78), "type": "authorization.succeeded",
        "amount": {"amount": 1999, "currency": "USD"}, "at": "2026-01-05T00:00:00Z",
    });
    let before = picture(&stage).await;
    let refused = |got: &Got| (got.status, got.slug());
    let expected = (StatusCode::UNAUTHORIZED, "callback-signature".to_owned());
    assert_eq!(refused(&call_signed(&stage, &event, "another-secret", 0).await), expected);
    assert_eq!(refused(&call_signed(&stage, &event, SECRET, 301).await), expected, "too old");
    assert_eq!(refused(&stage.post("/payments/psp/callback", &event).await), expected, "unsigned");
    for header in ["", "nonsense", "t=1,v1=00"] {
        let headers = [("content-type", "application/json"), (psp_api::SIGNATURE_HEADER, header)];
        let got = stage.send_bytes(Method::POST, "/payments/psp/callback", serde_json::to_vec(&event).unwrap(), &headers).await;
        assert_eq!(refused(&got), expected, "{header}");
    }
    // A right signature of another body.
    let signature = Signature::sign(&Secret::new(SECRET).unwrap(), stage.world.clock().now(), b"{}");
    let headers = [("content-type", "application/json"), (psp_api::SIGNATURE_HEADER, signature.as_str())];
    let got = stage.send_bytes(Method::POST, "/payments/psp/callback", serde_json::to_vec(&event).unwrap(), &headers).await;
    assert_eq!(refused(&got), expected);
    assert_eq!(picture(&stage).await, before);
}

#[tokio::test(start_paused = true)]
async fn a_callback_about_nothing_or_of_the_wrong_shape_is_refused() {
    let stage = stage().await;
    let id = create(&stage, 1, "tok_ok").await;
    let event = json!({"eventId": order(77), "paymentId": id, "type": "authorization.succeeded", "at": "2026-01-05T00:00:00Z"});
    let with = |field: &str, value: Json| {
        let mut event = event.clone();
        event[field] = value;
        event
    };
    for unknown in [order(99), "x".to_owned(), String::new()] {
        assert_eq!(call(&stage, &with("paymentId", json!(unknown))).await.status, StatusCode::NOT_FOUND, "{unknown}");
    }
    let mut whole = with("paymentId", json!(order(99)));
    whole["authorizationId"] = json!(order(3));
    whole["amount"] = json!({"amount": 1, "currency": "USD"});
    assert_eq!(call(&stage, &whole).await.status, StatusCode::NOT_FOUND);
    for (field, value) in [("type", json!("what")), ("eventId", json!("x")), ("more", json!(1)), ("at", json!("now")), ("amount", json!(5))]
    {
        let got = call(&stage, &with(field, value)).await;
        assert_eq!(got.status.as_u16(), 422, "{field}");
        assert_eq!(got.json()["errors"][0]["pointer"].as_str(), Some(format!("#/{field}").as_str()));
    }
    assert_eq!(call(&stage, &json!([])).await.status.as_u16(), 422);
    let signature = Signature::sign(&Secret::new(SECRET).unwrap(), stage.world.clock().now(), b"{");
    let headers = [(psp_api::SIGNATURE_HEADER, signature.as_str())];
    let got = stage.send_bytes(Method::POST, "/payments/psp/callback", b"{".to_vec(), &headers).await;
    assert_eq!(got.status, StatusCode::BAD_REQUEST);
    // Nobody has asked the PSP to authorize, and it does not confirm that it did: it will have to tell again.
    let stray = call(&stage, &event).await;
    assert_eq!((stray.status, stray.slug().as_str()), (StatusCode::CONFLICT, "callback-out-of-turn"));
    assert_eq!(now(&stage, &id).await, "REQUIRES_CONFIRMATION");
    // Another currency is not this payment.
    step(&stage, &id, "confirm").await;
    let mut euros = with("amount", json!({"amount": 1999, "currency": "EUR"}));
    euros["authorizationId"] = json!(order(3));
    assert_eq!(call(&stage, &euros).await.status.as_u16(), 422);
    assert_eq!(now(&stage, &id).await, "AUTHORIZED");
}

#[tokio::test(start_paused = true)]
async fn an_authorization_that_expires_is_a_payment_that_is_voided() {
    // Days of looking now and then take a test too long.
    let stage = lasting(1, 600).await;
    let id = create(&stage, 1, "tok_ok").await;
    step(&stage, &id, "confirm").await;
    stage.pass(seconds(602)).await;
    assert_eq!(now(&stage, &id).await, "VOIDED");
    assert_eq!(step(&stage, &id, "capture").await.slug(), "payment-not-capturable");
    stage.pass(seconds(1)).await;
    assert_eq!(stage.events("payment.voided.v1").await.len(), 1);
    check_books(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn a_short_callback_is_enough() {
    let stage = stage().await;
    let id = create(&stage, 1, "tok_timeout").await;
    assert_eq!(status(&step(&stage, &id, "confirm").await), "UNKNOWN");
    let told = last_event(&stage, &id).await;
    let short = json!({"eventId": told["eventId"], "paymentId": id, "type": told["type"], "at": told["at"]});
    assert_eq!(call(&stage, &short).await.status, StatusCode::OK);
    assert_eq!(now(&stage, &id).await, "AUTHORIZED");
    let before = picture(&stage).await;
    assert_eq!(call(&stage, &short).await.status, StatusCode::OK);
    assert_eq!(picture(&stage).await, before);
}

#[tokio::test(start_paused = true)]
async fn a_callback_that_meets_the_answer_changes_nothing_twice() {
    for seed in 0..10 {
        let stage = seeded(seed).await;
        let id = create(&stage, 1, "tok_slow_6").await;
        // The answer and the callback leave the PSP in the same microsecond.
        assert_eq!(status(&step(&stage, &id, "confirm").await), "AUTHORIZED");
        stage.pass(seconds(1)).await;
        assert_eq!(stage.events("payment.authorized.v1").await.len(), 1);
        check_books(&stage).await;
    }
}

/// A provider that confirms a void and authorizes, or even captures, all the same.
#[derive(Clone, Default)]
struct Unruly(Arc<Mutex<Told>>);

#[derive(Default)]
struct Told {
    payment: String,
    status: &'static str,
    captured: i64,
    refunded: i64,
    events: Vec<Json>,
    calls: Vec<String>,
}

impl Unruly {
    fn tell(&self, kind: &str, amount: i64, key: Option<&str>) -> Json {
        let mut told = self.0.lock().unwrap();
        match kind {
            "authorization.succeeded" => told.status = "AUTHORIZED",
            "authorization.voided" => told.status = "VOIDED",
            "capture.succeeded" => (told.status, told.captured) = ("CAPTURED", told.captured + amount),
            _ => told.refunded += amount,
        }
        let event = json!({
            "eventId": order(500 + u32::try_from(told.events.len()).unwrap()), "paymentId": told.payment, "authorizationId": order(400),
            "type": kind, "amount": {"amount": amount, "currency": "USD"}, "at": "2026-01-05T00:00:00Z", "requestKey": key,
        });
        told.events.push(event.clone());
        event
    }

    fn shown(&self) -> Json {
        let told = self.0.lock().unwrap();
        let money = |amount: i64| json!({"amount": amount, "currency": "USD"});
        json!({
            "id": order(400), "merchantReference": told.payment, "amount": money(1999), "captured": money(told.captured),
            "refunded": money(told.refunded), "status": told.status, "lastEvent": told.events.last(), "events": told.events,
            "createdAt": "2026-01-05T00:00:00Z",
        })
    }

    fn calls(&self) -> Vec<String> {
        self.0.lock().unwrap().calls.clone()
    }

    fn router(&self) -> Router {
        async fn authorize(State(psp): State<Unruly>, Body(body): Body<Json>) -> (Code, Body<Json>) {
            {
                let mut told = psp.0.lock().unwrap();
                told.payment = body["merchantReference"].as_str().unwrap().to_owned();
                told.status = "PROCESSING";
            }
            (Code::ACCEPTED, Body(psp.shown()))
        }
        async fn show(State(psp): State<Unruly>) -> Body<Json> {
            Body(psp.shown())
        }
        async fn step(
            State(psp): State<Unruly>,
            Path((_, what)): Path<(String, String)>,
            headers: axum::http::HeaderMap,
            body: String,
        ) -> Body<Json> {
            psp.0.lock().unwrap().calls.push(what.clone());
            let key = headers["idempotency-key"].to_str().unwrap().to_owned();
            if what == "void" {
                psp.tell("authorization.voided", 1_999, Some(&key));
            } else {
                let amount = serde_json::from_str::<Json>(&body).unwrap()["amount"]["amount"].as_i64().unwrap();
                psp.tell("refund.succeeded", amount, Some(&key));
            }
            Body(psp.shown())
        }
        Router::new()
            .route("/psp/authorizations", post(authorize).get(show))
            .route("/psp/authorizations/{id}", get(show))
            .route("/psp/authorizations/{id}/{what}", post(step))
            .with_state(self.clone())
    }
}

#[tokio::test(start_paused = true)]
async fn an_authorization_after_a_confirmed_void_is_voided_again() {
    let stage = stage().await;
    let psp = Unruly::default();
    stage.world.kill("psp", 0);
    stage.neighbour("psp", psp.router());
    let id = create(&stage, 1, "tok_ok").await;
    step(&stage, &id, "confirm").await;
    assert_eq!(status(&step(&stage, &id, "void").await), "VOIDED");
    let event = psp.tell("authorization.succeeded", 1_999, Some("k"));
    assert_eq!(call(&stage, &event).await.status, StatusCode::OK);
    stage.pass(seconds(1)).await;
    assert_eq!((psp.calls(), psp.shown()["status"].as_str()), (vec!["void".to_owned(), "void".to_owned()], Some("VOIDED")));
    assert_eq!(now(&stage, &id).await, "VOIDED");
    assert_eq!(history(&stage, &id).await, ["REQUIRES_CONFIRMATION", "PROCESSING", "VOIDED"]);
    stage.pass(seconds(3_600)).await;
    assert_eq!(psp.calls().len(), 2, "it is over");
}

#[tokio::test(start_paused = true)]
async fn money_that_was_taken_after_a_confirmed_void_is_given_back() {
    let stage = stage().await;
    let psp = Unruly::default();
    stage.world.kill("psp", 0);
    stage.neighbour("psp", psp.router());
    let id = create(&stage, 1, "tok_ok").await;
    step(&stage, &id, "confirm").await;
    assert_eq!(status(&step(&stage, &id, "void").await), "VOIDED");
    psp.tell("authorization.succeeded", 1_999, Some("k"));
    let event = psp.tell("capture.succeeded", 1_999, Some("k"));
    assert_eq!(call(&stage, &event).await.status, StatusCode::OK);
    stage.pass(seconds(1)).await;
    assert_eq!(psp.calls(), ["void", "refunds"]);
    let payment = payment(&stage, &id).await;
    assert_eq!(
        (payment["status"].as_str(), payment["captured"]["amount"].as_i64(), payment["refunded"]["amount"].as_i64()),
        (Some("VOIDED"), Some(1_999), Some(1_999))
    );
    assert_eq!(payment["refunds"][0]["status"], "SUCCEEDED");
    let net: i64 = stage
        .facts("ledger")
        .await
        .iter()
        .filter(|line| line["account"] == "psp_clearing")
        .map(|line| line["debit"].as_i64().unwrap() - line["credit"].as_i64().unwrap())
        .sum();
    assert_eq!((stage.facts("ledger").await.len(), net), (4, 0));
    stage.pass(seconds(3_600)).await;
    assert_eq!(psp.calls().len(), 2, "it is over");
}
