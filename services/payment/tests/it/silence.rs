//! A provider that does not answer: what each rung of the ladders `psp-timeout`, `late-capture` and `double-charge` makes of it.

use http::StatusCode;
use platform::testing::{Got, Stage};
use serde_json::json;

use crate::support::*;

/// A stage on a rung, with one payment of which the money is taken with the authorization, asked for.
async fn confirmed(scenario: &str, rung: &str, token: &str) -> (Stage, String, Got) {
    let stage = stage().await;
    stage.world.set_rung(scenario, rung).unwrap();
    let mut body = request(1, token);
    body["captureAtOnce"] = json!(true);
    let id = create_as(&stage, 1, body).await;
    let got = step(&stage, &id, "confirm").await;
    (stage, id, got)
}

#[tokio::test(start_paused = true)]
async fn where_no_answer_is_a_failure_the_money_that_was_taken_is_an_orphan() {
    let (stage, id, got) = confirmed("psp-timeout", "R0", "tok_timeout").await;
    assert_eq!((got.status, status(&got), got.json()["failureCode"].as_str()), (StatusCode::OK, "FAILED".into(), Some("no_answer")));
    assert_eq!(became(&stage, &id, "FAILED").await, 10_000_000);
    stage.pass(seconds(1_500)).await;
    assert_eq!(truth(&stage, &id).await, ["authorization.succeeded", "capture.succeeded"]);
    assert_eq!((now(&stage, &id).await.as_str(), stage.facts("ledger").await.len()), ("FAILED", 0), "the callback was not listened to");
    assert_eq!(payment(&stage, &id).await["captured"]["amount"], 0);
}

#[tokio::test(start_paused = true)]
async fn a_retry_under_a_new_key_is_charged_twice_and_one_under_the_same_key_is_not() {
    for (rung, captures) in [("R0", 2), ("R1", 1)] {
        let (stage, id, got) = confirmed("double-charge", rung, "tok_lost").await;
        assert_eq!((got.status, status(&got)), (StatusCode::OK, "CAPTURED".into()), "{rung}: {}", got.json());
        assert!((11_000_000..11_010_000).contains(&became(&stage, &id, "CAPTURED").await), "{rung}");
        stage.pass(seconds(1_500)).await;
        let taken = truth(&stage, &id).await.iter().filter(|kind| *kind == "capture.succeeded").count();
        assert_eq!((taken, payment(&stage, &id).await["captured"]["amount"].as_i64()), (captures, Some(1_999)), "{rung}");
        if rung == "R1" {
            check_books(&stage).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_void_waits_for_what_cannot_be_voided_yet_or_closes_the_payment() {
    for (rung, answered) in [("R2", StatusCode::ACCEPTED), ("R3", StatusCode::OK)] {
        let (stage, id, got) = confirmed("late-capture", rung, "tok_firm_300").await;
        assert_eq!((got.status, status(&got)), (StatusCode::ACCEPTED, "UNKNOWN".into()), "{rung}");
        let void = step(&stage, &id, "void").await;
        assert_eq!(void.status, answered, "{rung}: {}", void.json());
        let closed = rung == "R3";
        assert_eq!(now(&stage, &id).await, if closed { "FAILED" } else { "UNKNOWN" }, "{rung}");
        stage.pass(seconds(400)).await;
        if closed {
            // It succeeded all the same, and was given back without anybody asking.
            assert_eq!(void.json()["failureCode"], "closed_while_open");
            assert_eq!(truth(&stage, &id).await, ["authorization.succeeded", "capture.succeeded", "refund.succeeded"]);
            assert_eq!(now(&stage, &id).await, "FAILED", "it does not come back to life");
        } else {
            assert_eq!(now(&stage, &id).await, "CAPTURED");
            assert_eq!(step(&stage, &id, "void").await.slug(), "payment-not-voidable");
        }
        stage.pass(seconds(1_500)).await;
        check_books(&stage).await;
        let left = stage.world.db("payment").unwrap();
        let query = "SELECT count(*) FROM payments WHERE inquire_at IS NOT NULL";
        assert_eq!(left.read(async |tx: &mut platform::db::Tx<'_>| tx.fetch_one::<i64>(query, vec![]).await).await.unwrap(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_closed_is_given_back_when_only_the_authorization_came_late() {
    let stage = stage().await;
    let id = create(&stage, 1, "tok_firm_300").await;
    step(&stage, &id, "confirm").await;
    let void = step(&stage, &id, "void").await;
    assert_eq!((void.status, status(&void)), (StatusCode::OK, "FAILED".into()));
    assert_eq!(step(&stage, &id, "void").await.json()["status"], "FAILED", "said again it is the same");
    stage.pass(seconds(400)).await;
    assert_eq!(truth(&stage, &id).await, ["authorization.succeeded", "authorization.voided"]);
    check_books(&stage).await;
}
