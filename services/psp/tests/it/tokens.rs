//! Each token does what it says, to the microsecond, and a crash changes none of it.

use std::time::Duration;

use futures::join;
use http::StatusCode;
use serde_json::json;
use types::Timestamp;

use crate::support::*;

fn micros_between(earlier: &serde_json::Value, later: &serde_json::Value) -> i64 {
    let moment = |json: &serde_json::Value| json.as_str().unwrap().parse::<Timestamp>().unwrap().micros();
    moment(later) - moment(earlier)
}

#[tokio::test(start_paused = true)]
async fn what_is_prompt_is_answered_at_once_and_not_called_back() {
    let (stage, merchant) = stage().await;
    for (reference, token, outcome, code) in [
        ("p1", "tok_ok", "AUTHORIZED", None),
        ("p2", "tok_decline_insufficient", "DECLINED", Some("insufficient_funds")),
        ("p3", "tok_decline_lost", "DECLINED", Some("lost_card")),
        ("p4", "tok_nonsense", "DECLINED", Some("invalid_token")),
    ] {
        let got = authorize(&stage, reference, token).await;
        assert_eq!((got.status, status(&got).as_str()), (StatusCode::CREATED, outcome), "{token}");
        assert_eq!(got.json()["declineCode"].as_str(), code, "{token}");
        assert_eq!(got.json()["lastEvent"]["paymentId"], reference);
        assert_eq!(got.header("location"), Some(format!("/psp/authorizations/{}", id(&got)).as_str()));
    }
    assert_eq!(merchant.elapsed(), Duration::ZERO);
    stage.pass(seconds(3_600)).await;
    assert!(merchant.heard().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_slow_answer_comes_exactly_when_it_says() {
    let (stage, merchant) = stage().await;
    let got = authorize(&stage, "p1", "tok_slow_2.135001").await;
    assert_eq!((got.status, status(&got)), (StatusCode::CREATED, "AUTHORIZED".into()));
    assert_eq!(merchant.elapsed(), Duration::from_micros(2_135_001));
    assert_eq!(micros_between(&got.json()["createdAt"], &got.json()["lastEvent"]["at"]), 2_135_001);
    stage.pass(seconds(60)).await;
    assert!(merchant.heard().is_empty(), "answered within five seconds");
}

#[tokio::test(start_paused = true)]
async fn many_slow_ones_at_once_are_each_on_time() {
    let (stage, _) = stage().await;
    let slow = |n: u32| {
        let stage = &stage;
        async move { authorize(stage, &format!("p{n}"), &format!("tok_slow_{n}.{n:06}")).await }
    };
    for (n, got) in (1_i64..).zip(futures::future::join_all((1..=40).map(slow)).await) {
        assert_eq!(micros_between(&got.json()["createdAt"], &got.json()["lastEvent"]["at"]), n * 1_000_001, "{n}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_slower_than_a_call_may_be_is_processing_and_then_called_back() {
    let (stage, merchant) = stage().await;
    let got = authorize(&stage, "p1", "tok_slow_150.5").await;
    assert_eq!((got.status, status(&got), merchant.elapsed()), (StatusCode::ACCEPTED, "PROCESSING".into(), seconds(55)));
    stage.pass(seconds(100)).await;
    let heard = merchant.heard();
    assert_eq!(heard.len(), 1);
    // The hop to the merchant takes 20 to 200 µs.
    assert!((150_500_020..=150_500_200).contains(&heard[0].at_micros), "{heard:?}");
    let known = by_reference(&stage, "p1").await;
    assert_eq!(known["lastEvent"]["eventId"], heard[0].event.event_id.to_string());
    assert_eq!(micros_between(&known["createdAt"], &known["lastEvent"]["at"]), 150_500_000);
}

#[tokio::test(start_paused = true)]
async fn a_late_one_is_processing_at_once_and_called_back() {
    let (stage, merchant) = stage().await;
    let got = authorize(&stage, "p1", "tok_late_3").await;
    assert_eq!((got.status, status(&got), merchant.elapsed()), (StatusCode::ACCEPTED, "PROCESSING".into(), Duration::ZERO));
    assert_eq!(got.json()["lastEvent"], serde_json::Value::Null);
    stage.pass(seconds(4)).await;
    assert_eq!(merchant.heard().len(), 1);
    assert!((3_000_020..=3_000_200).contains(&merchant.heard()[0].at_micros));
    assert_eq!(by_reference(&stage, "p1").await["status"], "AUTHORIZED");
    let again = authorize(&stage, "p1", "tok_late_3").await;
    assert_eq!((again.status, status(&again)), (StatusCode::CREATED, "AUTHORIZED".into()), "the outcome is the key's answer now");
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_silence_though_it_was_processed() {
    let (stage, merchant) = stage().await;
    let asking = authorize(&stage, "p1", "tok_timeout");
    let looking = async {
        stage.pass(seconds(1)).await;
        by_reference(&stage, "p1").await
    };
    let (got, looked) = join!(asking, looking);
    assert_eq!(looked["status"], "AUTHORIZED", "processed at once");
    assert_eq!((got.status, got.slug().as_str(), merchant.elapsed()), (StatusCode::SERVICE_UNAVAILABLE, "timeout", seconds(55)));
    stage.pass(seconds(1)).await;
    assert_eq!(merchant.heard().len(), 1);
    assert_eq!(merchant.heard()[0].event.event_id.to_string(), looked["lastEvent"]["eventId"]);
    let again = authorize(&stage, "p1", "tok_timeout").await;
    assert_eq!((again.status, id(&again)), (StatusCode::CREATED, looked["id"].as_str().unwrap().to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_first_answer_that_is_lost_is_had_by_asking_again_under_whatever_key() {
    let (stage, merchant) = stage().await;
    let lost = authorize(&stage, "pay-1", "tok_lost").await;
    assert_eq!((lost.status.as_u16(), lost.slug().as_str()), (503, "timeout"));
    assert_eq!(merchant.elapsed(), seconds(55));
    let again = stage.post_with_key("/psp/authorizations", &request("pay-1", "tok_lost"), "another").await;
    assert_eq!((again.status.as_u16(), status(&again)), (201, "AUTHORIZED".into()), "{}", again.json());
    assert_eq!(truth(&stage).await, ["authorization.succeeded", "authorization.succeeded"], "two keys are two authorizations");
}

#[tokio::test(start_paused = true)]
async fn what_is_firm_cannot_be_voided_until_it_is_decided() {
    let (stage, merchant) = stage().await;
    let asking = authorize(&stage, "pay-1", "tok_firm_70");
    let voiding = async {
        stage.pass(seconds(1)).await;
        let id = by_reference(&stage, "pay-1").await["id"].as_str().unwrap().to_owned();
        let refused = step(&stage, &id, "void", json!({}), "v-1").await;
        assert_eq!((refused.status.as_u16(), refused.slug().as_str()), (409, "authorization-not-voidable"));
        id
    };
    let (asked, id) = join!(asking, voiding);
    assert_eq!((asked.status.as_u16(), status(&asked)), (202, "PROCESSING".into()));
    stage.pass(seconds(16)).await;
    assert_eq!(merchant.heard().len(), 1, "it was slow, so it is called back");
    assert_eq!(status(&step(&stage, &id, "void", json!({}), "v-2").await), "VOIDED");
    assert_eq!(truth(&stage).await, ["authorization.succeeded", "authorization.voided"]);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_takes_expires_and_is_told() {
    // Days of looking now and then take a test too long.
    let (stage, merchant) = lasting(1, 600).await;
    let (kept, taken) = (authorize(&stage, "p1", "tok_ok").await, authorize(&stage, "p2", "tok_disorder").await);
    assert_eq!(step(&stage, &id(&taken), "capture", json!({}), "c").await.status, StatusCode::OK);
    stage.pass(seconds(599)).await;
    assert_eq!(by_reference(&stage, "p1").await["status"], "AUTHORIZED");
    let before = merchant.heard().len();
    stage.pass(seconds(2)).await;
    assert_eq!((by_reference(&stage, "p1").await["status"].as_str(), truth(&stage).await.len()), (Some("VOIDED"), 4));
    let heard = merchant.heard();
    assert_eq!((heard.len(), heard[before].event.kind.as_str()), (before + 1, "authorization.voided"));
    assert_eq!(by_reference(&stage, "p2").await["status"], "CAPTURED");
    let again = authorize(&stage, "p1", "tok_ok").await;
    assert_eq!((status(&again), id(&again)), ("AUTHORIZED".into(), id(&kept)), "the key's answer stays what it was");
}

#[tokio::test(start_paused = true)]
async fn one_that_is_never_processed_waits_for_its_void() {
    let (stage, merchant) = stage().await;
    let got = authorize(&stage, "p1", "tok_never").await;
    assert_eq!((got.status, status(&got)), (StatusCode::ACCEPTED, "PROCESSING".into()));
    stage.pass(seconds(2 * 3_600)).await;
    assert_eq!(by_reference(&stage, "p1").await["status"], "PROCESSING");
    let voided = step(&stage, &id(&got), "void", serde_json::json!({}), "v").await;
    assert_eq!((voided.status, status(&voided)), (StatusCode::OK, "VOIDED".into()));
    assert_eq!(truth(&stage).await, ["authorization.voided"]);
    assert!(merchant.heard().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_void_wakes_who_waits_and_it_never_succeeds() {
    let (stage, merchant) = stage().await;
    let asking = authorize(&stage, "p1", "tok_slow_40");
    let voiding = async {
        stage.pass(seconds(7)).await;
        let known = by_reference(&stage, "p1").await;
        step(&stage, known["id"].as_str().unwrap(), "void", serde_json::json!({}), "v").await
    };
    let (asked, voided) = join!(asking, voiding);
    assert_eq!((status(&voided), status(&asked), merchant.elapsed()), ("VOIDED".into(), "VOIDED".into(), seconds(7)));
    stage.pass(seconds(100)).await;
    assert_eq!(truth(&stage).await, ["authorization.voided"]);
}

#[tokio::test(start_paused = true)]
async fn with_capture_the_money_is_taken_at_once() {
    let (stage, _) = stage().await;
    let got = authorize_and_capture(&stage, "p1", "tok_ok").await;
    assert_eq!((status(&got), got.json()["captured"]["amount"].as_i64()), ("CAPTURED".into(), Some(1_000)));
    assert_eq!(got.json()["lastEvent"]["type"], "capture.succeeded");
    assert_eq!(got.json()["events"].as_array().map(Vec::len), Some(2));
    assert_eq!(truth(&stage).await, ["authorization.succeeded", "capture.succeeded"]);
}

#[tokio::test(start_paused = true)]
async fn a_crash_forgets_nothing() {
    let (stage, merchant) = stage().await;
    authorize(&stage, "p1", "tok_late_90").await;
    authorize(&stage, "p2", "tok_late_20").await;
    stage.pass(seconds(10)).await;
    stage.world.kill("psp", 0);
    stage.pass(seconds(40)).await;
    assert!(merchant.heard().is_empty());
    stage.world.start(&psp::MANIFEST, 0).await.unwrap();
    stage.pass(seconds(60)).await;
    let heard = merchant.heard();
    let told: Vec<&str> = heard.iter().map(|heard| heard.event.payment_id.as_str()).collect();
    assert_eq!(told, ["p2", "p1"]);
    assert!(heard[0].at_micros >= 50_000_000, "as soon as it is back");
    assert!((90_000_020..=90_000_200).contains(&heard[1].at_micros), "on time");
}

#[tokio::test(start_paused = true)]
async fn two_instances_decide_each_outcome_once() {
    let (stage, merchant) = stage().await;
    stage.world.start(&psp::MANIFEST, 1).await.unwrap();
    for n in 0..20 {
        authorize(&stage, &format!("p{n}"), "tok_late_9.5").await;
    }
    stage.pass(seconds(3)).await;
    stage.world.kill("psp", 1);
    stage.pass(seconds(60)).await;
    assert_eq!(truth(&stage).await.len(), 20);
    assert_eq!(merchant.heard().len(), 20);
}

#[tokio::test(start_paused = true)]
async fn a_seed_gives_the_same_truth_and_the_same_callbacks() {
    async fn run(seed: u64) -> (Vec<serde_json::Value>, Vec<i64>) {
        let (stage, merchant) = seeded(seed).await;
        merchant.will_answer([StatusCode::SERVICE_UNAVAILABLE; 6]);
        for (reference, token) in [("p1", "tok_late_2"), ("p2", "tok_duplicate"), ("p3", "tok_slow_6"), ("p4", "tok_ok")] {
            authorize(&stage, reference, token).await;
        }
        stage.pass(seconds(300)).await;
        (stage.facts("psp-truth").await, merchant.heard().iter().map(|heard| heard.at_micros).collect())
    }
    let first = run(7).await;
    assert!(first.1.len() > 4);
    assert_eq!(first, run(7).await);
    assert_ne!(first.1, run(8).await.1, "another seed retries at other moments");
}

#[tokio::test(start_paused = true)]
async fn who_is_started_again_in_the_same_moment_makes_other_ids() {
    let (stage, _) = stage().await;
    let mut ids = std::collections::BTreeSet::new();
    for n in 0..5 {
        let got = authorize(&stage, &format!("p{n}"), "tok_ok").await;
        assert_eq!(got.status, StatusCode::CREATED, "{}", got.json());
        ids.insert(id(&got));
        stage.world.kill("psp", 0);
        stage.world.start(&psp::MANIFEST, 0).await.unwrap();
    }
    assert_eq!(ids.len(), 5);
}
