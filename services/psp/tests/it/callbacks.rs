//! Callbacks: to whom may have missed it, twice or out of order where the token says so, and until they are taken.

use http::StatusCode;
use psp_api::PspEventType;
use serde_json::json;

use crate::support::*;

#[tokio::test(start_paused = true)]
async fn an_answer_after_five_seconds_is_called_back_too() {
    let (stage, merchant) = stage().await;
    assert_eq!(status(&authorize_and_capture(&stage, "p1", "tok_slow_5.1").await), "CAPTURED");
    stage.pass(seconds(1)).await;
    let kinds: Vec<_> = merchant.heard().iter().map(|heard| heard.event.kind).collect();
    assert_eq!(kinds, [PspEventType::Authorized, PspEventType::Captured], "in their order");
}

#[tokio::test(start_paused = true)]
async fn a_duplicate_is_told_twice_under_one_id() {
    let (stage, merchant) = stage().await;
    let id = id(&authorize(&stage, "p1", "tok_duplicate").await);
    stage.pass(seconds(5)).await;
    let heard = merchant.heard();
    assert_eq!(heard.len(), 2);
    assert_eq!(heard[0].event, heard[1].event);
    step(&stage, &id, "capture", json!({}), "c").await;
    stage.pass(seconds(5)).await;
    assert_eq!(merchant.heard().iter().filter(|heard| heard.event.kind == PspEventType::Captured).count(), 2);
}

#[tokio::test(start_paused = true)]
async fn in_disorder_the_capture_is_told_first() {
    let (stage, merchant) = stage().await;
    let id = id(&authorize(&stage, "p1", "tok_disorder").await);
    stage.pass(seconds(4)).await;
    assert!(merchant.heard().is_empty(), "held back");
    step(&stage, &id, "capture", json!({}), "c").await;
    authorize_and_capture(&stage, "p2", "tok_disorder").await;
    stage.pass(seconds(3)).await;
    for reference in ["p1", "p2"] {
        let heard: Vec<_> = merchant.heard().into_iter().filter(|heard| heard.event.payment_id == reference).collect();
        let kinds: Vec<_> = heard.iter().map(|heard| heard.event.kind).collect();
        assert_eq!(kinds, [PspEventType::Captured, PspEventType::Authorized], "{reference}");
    }
    authorize(&stage, "p3", "tok_disorder").await;
    stage.pass(seconds(61)).await;
    assert_eq!(merchant.heard().len(), 5, "without a capture it is told after a minute");
}

#[tokio::test(start_paused = true)]
async fn who_does_not_take_a_callback_is_told_again_ever_later() {
    let (stage, merchant) = stage().await;
    merchant.will_answer([StatusCode::SERVICE_UNAVAILABLE, StatusCode::NOT_FOUND, StatusCode::INTERNAL_SERVER_ERROR]);
    authorize(&stage, "p1", "tok_late_1").await;
    stage.pass(seconds(30)).await;
    let at: Vec<i64> = merchant.heard().iter().map(|heard| heard.at_micros).collect();
    assert_eq!(at.len(), 4, "the fourth was taken");
    for (nth, pair) in (0_u32..).zip(at.windows(2)) {
        let (pause, whole) = (pair[1] - pair[0], 1_000_000 * 2_i64.pow(nth));
        assert!((whole / 2..whole + 1_000).contains(&pause), "{nth}: {pause}");
    }
    let events: std::collections::BTreeSet<_> = merchant.heard().iter().map(|heard| heard.event.event_id).collect();
    assert_eq!(events.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn after_a_day_a_callback_is_given_up() {
    let (stage, merchant) = stage().await;
    merchant.will_answer(vec![StatusCode::CONFLICT; 10_000]);
    authorize(&stage, "p1", "tok_late_1").await;
    stage.pass(seconds(25 * 3_600)).await;
    let tried = merchant.heard().len();
    assert!((288..700).contains(&tried), "{tried}: at most every five minutes, at least half as long apart");
    assert!(merchant.heard()[tried - 1].at_micros <= 24 * 3_600 * 1_000_000 + 2_000_000);
    stage.pass(seconds(3_600)).await;
    assert_eq!(merchant.heard().len(), tried);
}

#[tokio::test(start_paused = true)]
async fn a_crash_while_the_merchant_is_away_loses_no_callback() {
    let (stage, merchant) = stage().await;
    stage.world.calls().unregister("payment", 0);
    for n in 0..5 {
        authorize(&stage, &format!("p{n}"), "tok_late_1").await;
    }
    stage.pass(seconds(60)).await;
    stage.world.kill("psp", 0);
    stage.neighbour("payment", merchant_router(merchant.clone()));
    stage.world.start(&psp::MANIFEST, 0).await.unwrap();
    stage.pass(seconds(400)).await;
    let mut told: Vec<_> = merchant.heard().into_iter().map(|heard| heard.event.payment_id).collect();
    told.sort();
    assert_eq!(told, ["p0", "p1", "p2", "p3", "p4"]);
}
