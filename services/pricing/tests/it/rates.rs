//! exchange rates are fetched when they are due, and told when they change.

use std::time::Duration;

use platform::testing::Stage;
use serde_json::{Value as Json, json};

#[tokio::test(start_paused = true)]
async fn rates_are_there_soon_and_walk() {
    let stage = Stage::with(&[&pricing::MANIFEST]).await;
    stage.pass(Duration::from_secs(1)).await;
    let got = stage.get("/fx/USD").await;
    assert_eq!(got.status, 200, "{:?}", got.json());
    let rate = |body: &Json, currency: &str| {
        let rates = body["rates"].as_array().cloned().unwrap_or_default();
        rates.iter().find(|rate| rate["currency"] == currency).and_then(|rate| rate["rateMicros"].as_i64()).unwrap_or(0)
    };
    let body = got.json();
    assert_eq!((&body["base"], body["rates"].as_array().map(Vec::len)), (&json!("USD"), Some(3)));
    for (currency, fixed) in [("EUR", 920_000), ("JPY", 150_000_000), ("VND", 25_000_000_000_i64)] {
        assert!((rate(&body, currency) - fixed).abs() <= fixed / 50, "{currency}: {}", rate(&body, currency));
    }
    assert_eq!(stage.events("fx.rate.changed.v1").await.len(), 12, "all are new");
    stage.pass(Duration::from_secs(890)).await;
    assert_eq!(stage.get("/fx/USD").await.json(), body, "not due yet");
    stage.pass(Duration::from_secs(20)).await;
    let later = stage.get("/fx/USD").await.json();
    assert_ne!(later["asOf"], body["asOf"]);
    assert_ne!(rate(&later, "EUR"), rate(&body, "EUR"));
    assert_eq!((stage.get("/fx/XXX").await.status.as_u16(), stage.get("/fx/usd").await.status.as_u16()), (404, 404));
}

#[tokio::test(start_paused = true)]
async fn what_has_not_changed_is_not_announced() {
    // Fetched every minute, but the provider changes its mind every quarter of an hour.
    let settings = |settings: platform::Settings| settings.with("pricing.fx_sync_seconds", 60).expect("a setting");
    let stage = Stage::of(&[&pricing::MANIFEST], 3, settings).await;
    stage.pass(Duration::from_secs(600)).await;
    assert_eq!(stage.events("fx.rate.changed.v1").await.len(), 12);
    let first = stage.get("/fx/EUR").await.json();
    stage.pass(Duration::from_secs(120)).await;
    let second = stage.get("/fx/EUR").await.json();
    assert_eq!(first["rates"], second["rates"]);
    assert_ne!(first["asOf"], second["asOf"], "fetched all the same");
}

#[tokio::test(start_paused = true)]
async fn a_restart_does_not_fetch_what_is_not_due() {
    let stage = Stage::with(&[&pricing::MANIFEST]).await;
    stage.pass(Duration::from_secs(10)).await;
    let before = stage.get("/fx/JPY").await.json();
    stage.world.kill("pricing", 0);
    stage.world.start(&pricing::MANIFEST, 0).await.expect("starts again");
    stage.pass(Duration::from_secs(60)).await;
    assert_eq!(stage.get("/fx/JPY").await.json(), before);
}
