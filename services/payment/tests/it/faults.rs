//! Faults on the way to the provider and back: never two authorizations, never two captures, and it ends right.

use axum::{
    Json as Body, Router,
    response::IntoResponse,
    routing::{get, post},
};
use http::StatusCode;
use platform::{
    fault::{Fault, Rule, Scope},
    problem::Problem,
    testing::Stage,
};
use serde_json::json;

use crate::{callbacks::call, support::*};

fn fault(rule: Rule, share: f64) -> Fault {
    Fault { rule, share, millis: if rule == Rule::Delay { 15_000 } else { 0 }, scope: Scope::default(), for_seconds: None }
}

/// Says a step until it is answered with 2xx or refused, as a saga does, always under the same key.
async fn insist(stage: &Stage, id: &str, what: &str) -> StatusCode {
    for _ in 0..200 {
        let got = stage.post_with_key(&format!("/payments/{id}/{what}"), &json!({}), &format!("{id}-{what}")).await;
        if !got.status.is_server_error() {
            return got.status;
        }
        stage.pass(seconds(2)).await;
    }
    panic!("{what} was never answered")
}

/// Whether a payment comes to have one of these statuses within an hour.
async fn comes_to(stage: &Stage, id: &str, wanted: &[&str]) -> bool {
    for _ in 0..720 {
        if wanted.contains(&now(stage, id).await.as_str()) {
            return true;
        }
        stage.pass(seconds(5)).await;
    }
    false
}

#[tokio::test(start_paused = true)]
async fn whatever_fails_on_the_way_to_the_provider_the_money_is_taken_once() {
    for rule in [Rule::Fail, Rule::Drop, Rule::Delay, Rule::Duplicate] {
        for seed in 0..3 {
            let stage = seeded(seed).await;
            stage.world.faults().set("call.psp", fault(rule, 0.4)).unwrap();
            let work = |n: u32| {
                let stage = &stage;
                async move {
                    let id = create(stage, n, ["tok_ok", "tok_slow_2", "tok_late_3", "tok_duplicate"][n as usize % 4]).await;
                    insist(stage, &id, "confirm").await;
                    assert!(comes_to(stage, &id, &["AUTHORIZED"]).await, "{rule:?} {}", now(stage, &id).await);
                    let undone = n.is_multiple_of(3);
                    insist(stage, &id, if undone { "void" } else { "capture" }).await;
                    let end = if undone { "VOIDED" } else { "CAPTURED" };
                    assert!(comes_to(stage, &id, &[end]).await, "{rule:?} {}", now(stage, &id).await);
                    if n % 3 == 1 {
                        insist(stage, &id, "refund").await;
                        assert!(comes_to(stage, &id, &["REFUNDED"]).await, "{rule:?} {}", now(stage, &id).await);
                    }
                }
            };
            all((1..=12).map(work)).await;
            stage.world.faults().clear(None);
            stage.pass(seconds(700)).await;
            let truth = stage.facts("psp-truth").await;
            let count = |kind: &str| truth.iter().filter(|fact| fact["kind"] == kind).count();
            assert_eq!(
                ["authorization.succeeded", "authorization.voided", "capture.succeeded", "refund.succeeded"].map(count),
                [12, 4, 8, 4],
                "{rule:?} {seed}"
            );
            check_books(&stage).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_authorization_whose_answers_are_all_lost_is_found_again() {
    let stage = stage().await;
    stage.world.faults().set("call.psp", fault(Rule::Drop, 1.0)).unwrap();
    let id = create(&stage, 1, "tok_ok").await;
    let got = step(&stage, &id, "confirm").await;
    assert_eq!((got.status, status(&got)), (StatusCode::ACCEPTED, "UNKNOWN".into()));
    let void = step(&stage, &id, "void").await;
    assert_eq!((void.status, void.slug().as_str()), (StatusCode::SERVICE_UNAVAILABLE, "timeout"), "it may have happened");
    stage.world.faults().clear(None);
    stage.pass(seconds(700)).await;
    assert_eq!(now(&stage, &id).await, "AUTHORIZED", "the void was never sent: the PSP was not found");
    assert_eq!(truth(&stage, &id).await, ["authorization.succeeded"]);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_is_away_is_asked_again_when_it_is_back() {
    let stage = stage().await;
    stage.world.faults().set("call.psp", Fault { for_seconds: Some(20.0), ..fault(Rule::Fail, 1.0) }).unwrap();
    let id = create(&stage, 1, "tok_ok").await;
    assert_eq!(status(&step(&stage, &id, "confirm").await), "UNKNOWN");
    assert!(truth(&stage, &id).await.is_empty());
    stage.pass(seconds(60)).await;
    assert_eq!(now(&stage, &id).await, "AUTHORIZED");
    check_books(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn a_void_of_what_the_provider_never_heard_of_leaves_nothing_to_come() {
    let stage = stage().await;
    stage.world.faults().set("call.psp", Fault { for_seconds: Some(1.0), ..fault(Rule::Fail, 1.0) }).unwrap();
    let id = create(&stage, 1, "tok_slow_4").await;
    assert_eq!(status(&step(&stage, &id, "confirm").await), "UNKNOWN");
    stage.pass(seconds(1)).await;
    let voided = step(&stage, &id, "void").await;
    assert_eq!((voided.status, status(&voided)), (StatusCode::OK, "VOIDED".into()), "{}", voided.json());
    stage.pass(seconds(600)).await;
    // The lost call's key is used up by the void: whenever it comes, it finds what was voided.
    assert_eq!(truth(&stage, &id).await, ["authorization.voided"]);
    check_books(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn callbacks_that_are_lost_or_doubled_make_no_difference() {
    for rule in [Rule::Fail, Rule::Drop, Rule::Duplicate, Rule::Delay] {
        let stage = stage().await;
        stage.world.faults().set("call.payment", Fault { millis: 3_000, ..fault(rule, 0.6) }).unwrap();
        let mut ids = Vec::new();
        for (n, token) in (1..).zip(["tok_late_4", "tok_duplicate", "tok_disorder", "tok_slow_12", "tok_timeout", "tok_late_90"]) {
            let id = create(&stage, n, token).await;
            step(&stage, &id, "confirm").await;
            ids.push(id);
        }
        stage.pass(seconds(400)).await;
        for id in &ids {
            assert_eq!(now(&stage, id).await, "AUTHORIZED", "{rule:?}");
            assert_eq!(truth(&stage, id).await.len(), 1);
        }
        assert_eq!(stage.events("payment.authorized.v1").await.len(), ids.len());
        check_books(&stage).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_now_and_then_leaves_nothing_half_done() {
    let stage = stage().await;
    stage.world.faults().set("store.commit", fault(Rule::Fail, 0.15)).unwrap();
    let work = |n: u32| {
        let stage = &stage;
        async move {
            let id = loop {
                let got = stage.post_with_key("/payments", &request(n, "tok_slow_1"), &format!("create-{n}")).await;
                if got.status.is_success() {
                    break got.json()["id"].as_str().unwrap().to_owned();
                }
                stage.pass(seconds(1)).await;
            };
            insist(stage, &id, "confirm").await;
            assert!(comes_to(stage, &id, &["AUTHORIZED"]).await, "{}", now(stage, &id).await);
            insist(stage, &id, "capture").await;
            assert!(comes_to(stage, &id, &["CAPTURED"]).await, "{}", now(stage, &id).await);
            insist(stage, &id, "refund").await;
            assert!(comes_to(stage, &id, &["REFUNDED"]).await, "{}", now(stage, &id).await);
        }
    };
    all((1..=10).map(work)).await;
    stage.world.faults().clear(None);
    stage.pass(seconds(700)).await;
    check_books(&stage).await;
    assert!(net_at_psp(&stage).await.values().all(|net| *net == 0));
}

#[tokio::test(start_paused = true)]
async fn what_may_have_happened_stays_so_when_the_next_try_was_not_sent() {
    let stage = stage().await;
    let id = create(&stage, 1, "tok_ok").await;
    step(&stage, &id, "confirm").await;
    // The first try is done and its answer lost; the tries after it are not sent.
    stage.world.faults().set("call.psp", fault(Rule::Drop, 1.0)).unwrap();
    let capturing = step(&stage, &id, "capture");
    let worse = async {
        stage.pass(std::time::Duration::from_millis(5)).await;
        stage.world.faults().clear(None);
        stage.world.faults().set("call.psp", fault(Rule::Fail, 1.0)).unwrap();
    };
    let (captured, ()) = futures::join!(capturing, worse);
    assert_eq!((captured.status, captured.slug().as_str()), (StatusCode::SERVICE_UNAVAILABLE, "timeout"));
    stage.world.faults().clear(None);
    assert_eq!(now(&stage, &id).await, "AUTHORIZED");
    stage.pass(seconds(31)).await;
    assert_eq!(now(&stage, &id).await, "CAPTURED", "it was asked for");
    check_books(&stage).await;
}

/// A call whose answer is lost, then one under another key that is not sent.
#[tokio::test(start_paused = true)]
async fn a_second_call_that_was_not_sent_does_not_end_the_first_whose_answer_was_lost() {
    for (what, end) in [("void", "VOIDED"), ("capture", "CAPTURED")] {
        let stage = stage().await;
        let id = create(&stage, 1, "tok_ok").await;
        step(&stage, &id, "confirm").await;
        let path = format!("/payments/{id}/{what}");
        stage.world.faults().set("call.psp", fault(Rule::Drop, 1.0)).unwrap();
        let lost = stage.post_with_key(&path, &json!({}), "first").await;
        assert_eq!((lost.status, lost.slug().as_str()), (StatusCode::SERVICE_UNAVAILABLE, "timeout"));
        stage.world.faults().clear(None);
        stage.world.faults().set("call.psp", fault(Rule::Fail, 1.0)).unwrap();
        let not_sent = stage.post_with_key(&path, &json!({}), "second").await;
        assert_eq!((not_sent.status, not_sent.slug().as_str()), (StatusCode::SERVICE_UNAVAILABLE, "unavailable"));
        stage.world.faults().clear(None);
        stage.pass(seconds(100)).await;
        assert_eq!(now(&stage, &id).await, end, "nobody asked again; the open attempt was");
        check_books(&stage).await;
    }
}

/// The PSP took the money with the authorization, and all that is heard of it by itself is the authorization.
#[tokio::test(start_paused = true)]
async fn an_authorization_is_half_the_answer_where_the_money_goes_with_it() {
    let stage = stage().await;
    let mut body = request(1, "tok_ok");
    body["captureAtOnce"] = json!(true);
    let id = create_as(&stage, 1, body).await;
    stage.world.faults().set("call.psp", fault(Rule::Drop, 1.0)).unwrap();
    assert_eq!(status(&step(&stage, &id, "confirm").await), "UNKNOWN");
    stage.world.faults().clear(None);
    let told = stage.get(&format!("/psp/authorizations?merchantReference={id}")).await.json();
    let got = call(&stage, &told["events"][0]).await;
    assert_eq!(got.status, StatusCode::OK, "{}", got.json());
    assert_eq!(now(&stage, &id).await, "AUTHORIZED");
    stage.pass(seconds(31)).await;
    assert_eq!(now(&stage, &id).await, "CAPTURED", "the rest was asked for");
    check_books(&stage).await;
}

/// A capture is refused because a void whose answer was lost came first, and why cannot be asked at that moment.
#[tokio::test(start_paused = true)]
async fn a_refusal_that_cannot_be_explained_at_once_is_asked_for() {
    let stage = stage().await;
    let id = create(&stage, 1, "tok_ok").await;
    step(&stage, &id, "confirm").await;
    let known = stage.get(&format!("/psp/authorizations?merchantReference={id}")).await.json();
    // Somebody at the provider's desk: nobody tells us.
    let path = format!("/psp/authorizations/{}/void", known["id"].as_str().unwrap());
    assert_eq!(stage.post_with_key(&path, &json!({}), "at the desk").await.status, StatusCode::OK);
    stage.world.faults().set("call.psp", fault(Rule::Duplicate, 1.0)).unwrap();
    let refusing = step(&stage, &id, "capture");
    let away = async {
        // The refusal is under way; the question after it is not sent any more.
        stage.pass(std::time::Duration::from_micros(60)).await;
        stage.world.faults().clear(None);
        stage.world.faults().set("call.psp", fault(Rule::Fail, 1.0)).unwrap();
    };
    let (refused, ()) = futures::join!(refusing, away);
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "{}", refused.json());
    stage.world.faults().clear(None);
    assert_eq!(now(&stage, &id).await, "AUTHORIZED");
    stage.pass(seconds(31)).await;
    assert_eq!(now(&stage, &id).await, "VOIDED", "it was asked for");
    check_books(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn a_request_that_the_provider_will_never_take_fails() {
    let stage = stage().await;
    stage.world.kill("psp", 0);
    let never =
        post(|| async { Problem::invalid("#/token", "no").into_response() }).get(|| async { Problem::not_found("x").into_response() });
    stage.neighbour("psp", Router::new().route("/psp/authorizations", never));
    let id = create(&stage, 1, "tok_ok").await;
    let got = step(&stage, &id, "confirm").await;
    assert_eq!((got.status, status(&got)), (StatusCode::OK, "FAILED".into()));
    assert_eq!(got.json()["failureCode"], "refused_by_provider");
    stage.pass(seconds(1)).await;
    assert_eq!(stage.events("payment.failed.v1").await[0]["reason"], "refused_by_provider");
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_tells_nonsense_is_asked_again_and_keeps_nobody_waiting() {
    let stage = stage().await;
    stage.world.kill("psp", 0);
    let shown = |status: &str, events: serde_json::Value| {
        let money = json!({"amount": 0, "currency": "EUR"});
        Body(json!({
            "id": order(400), "merchantReference": "x", "amount": money, "captured": money, "refunded": money, "status": status,
            "lastEvent": null, "events": events, "createdAt": "2026-01-05T00:00:00Z",
        }))
    };
    let nonsense = json!([{
        "eventId": order(500), "paymentId": "x", "authorizationId": order(400), "type": "authorization.succeeded",
        "amount": {"amount": 1, "currency": "EUR"}, "at": "2026-01-05T00:00:00Z",
    }]);
    let (before, after) = (shown("PROCESSING", json!([])), shown("AUTHORIZED", nonsense));
    let psp = get(async move || after).post(async move || (StatusCode::ACCEPTED, before));
    stage.neighbour("psp", Router::new().route("/psp/authorizations", psp));
    let id = create(&stage, 1, "tok_ok").await;
    assert_eq!(status(&step(&stage, &id, "confirm").await), "PROCESSING");
    stage.pass(seconds(300)).await;
    assert_eq!(now(&stage, &id).await, "PROCESSING", "an amount that does not fit is not believed");
    let db = stage.world.db("payment").unwrap();
    let query = "SELECT inquiries FROM payments";
    let asked = db.read(async |tx: &mut platform::db::Tx<'_>| tx.fetch_one::<i64>(query, vec![]).await).await.unwrap();
    assert_eq!(asked, 3, "after 30, 90 and 210 seconds");
}
