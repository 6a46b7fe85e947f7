//! K-05 and K-06: what is announced, from the change feed alone.

use std::{collections::BTreeMap, time::Duration};

use catalog::{
    MANIFEST,
    store::{Documents, Embedded},
};
use http::Method;
use platform::testing::Stage;
use serde_json::{Value as Json, json};
use types::{ProductId, id::Uuid};

use crate::{UPDATED, create, lamp, path, refusal, settle, skus, stage, text, told};

/// The document store as an outsider reaches it, past the service.
fn outsider(stage: &Stage) -> Documents {
    let (clock, chance) = (stage.world.clock(), stage.world.chance());
    #[cfg(feature = "engines")]
    if let Some(database) = stage.world.couchdb("catalog") {
        let ids = platform::Ids::new(clock, chance, "outsider", 0);
        return Documents::Couchdb(catalog::store::Couchdb::new(database, ids));
    }
    Documents::Embedded(Embedded::new(stage.world.db("catalog").expect("a store"), clock, chance))
}

fn document(sku: &str) -> Json {
    json!({"sku": sku, "title": "Lamp", "attributes": {}, "variants": [], "media": [],
        "createdAt": "2026-01-05T00:00:00Z", "updatedAt": "2026-01-05T00:00:00Z"})
}

/// Events as lines: what became of it, and each changed place.
fn lines(events: &[Json]) -> Vec<String> {
    let change = |change: &Json| format!("{} {}->{}", text(&change["path"]), change["before"], change["after"]);
    let line = |event: &Json| {
        let changes: Vec<String> = event["changes"].as_array().expect("changes").iter().map(change).collect();
        format!("{} {} {}", text(&event["change"]), text(&event["sku"]), changes.join(" "))
    };
    events.iter().map(line).collect()
}

#[tokio::test(start_paused = true)]
async fn each_change_is_announced_with_its_diff() {
    let stage = stage().await;
    let product = create(&stage, &json!({"sku": "A", "title": "Lamp", "attributes": {"watts": 7}})).await;
    settle(&stage).await;
    let changed = json!({"sku": "A", "title": "Lamp", "attributes": {"watts": 9}, "variants": [{"sku": "A-1", "title": "One"}], "rev": product["rev"]});
    let changed = stage.put(&path(&product), &changed).await.json();
    settle(&stage).await;
    stage.delete(&format!("{}?rev={}", path(&product), text(&changed["rev"]))).await;
    settle(&stage).await;
    let events = stage.events(UPDATED).await;
    let told = lines(&events);
    assert_eq!(told.len(), 3, "{told:#?}");
    assert!(told[0].starts_with("CREATED A /attributes/watts null->\"7\""), "{}", told[0]);
    assert!(told[0].contains("/title null->\"\\\"Lamp\\\"\"") && told[0].contains("/variants null->\"[]\""), "{}", told[0]);
    assert_eq!(
        told[1],
        "UPDATED A /attributes/watts \"7\"->\"9\" /variants/0/attributes null->\"{}\" /variants/0/sku null->\"\\\"A-1\\\"\" \
         /variants/0/title null->\"\\\"One\\\"\""
    );
    assert!(told[2].starts_with("DELETED A /attributes/watts \"9\"->null"), "{}", told[2]);
    assert!(!told.iter().any(|line| line.contains("updatedAt") || line.contains("requestKey")), "{told:#?}");
    assert_eq!((&events[0]["product_id"], &events[0]["rev"], &events[0]["previous_rev"]), (&product["id"], &product["rev"], &Json::Null));
    assert_eq!((&events[1]["rev"], &events[1]["previous_rev"]), (&changed["rev"], &product["rev"]));
    assert!(text(&events[2]["rev"]).starts_with("3-"));
}

#[tokio::test(start_paused = true)]
async fn an_event_has_the_key_of_its_product_and_an_id_made_of_its_revision() {
    let stage = stage().await;
    let product = create(&stage, &lamp("A")).await;
    settle(&stage).await;
    let bus = stage.world.bus();
    let mut delivered = Vec::new();
    for partition in 0..u32::try_from(bus.end_offsets(UPDATED).expect("a topic").len()).expect("few") {
        delivered.extend(bus.read(UPDATED, partition, 0, 10).await.expect("read"));
    }
    assert_eq!(delivered.len(), 1);
    assert_eq!(delivered[0].key, text(&product["id"]));
    let id: ProductId = text(&product["id"]).parse().expect("an id");
    let event = catalog::feed::event_id(id, &text(&product["rev"]).parse().expect("a revision"));
    assert_eq!(delivered[0].header("ce_id"), Some(event.to_string().as_str()));
    let outbox = stage.facts("outbox").await;
    assert_eq!((outbox.len(), &outbox[0]["id"], &outbox[0]["status"]), (1, &json!(event.to_string()), &json!("SENT")));
}

/// Applies the diffs of all events, in the order of each product's revisions, and holds them to the documents as they stand. What the
/// relay has told again after a crash is the same to the byte, and passed over as consumers do.
async fn assert_told(stage: &Stage, documents: &BTreeMap<String, Json>) {
    let mut last: BTreeMap<String, Json> = BTreeMap::new();
    let mut titles: BTreeMap<String, Option<String>> = BTreeMap::new();
    let mut seen: BTreeMap<(String, String), Json> = BTreeMap::new();
    for event in stage.events(UPDATED).await {
        let (id, rev) = (text(&event["product_id"]).to_owned(), text(&event["rev"]).to_owned());
        if let Some(before) = seen.insert((id.clone(), rev.clone()), event.clone()) {
            assert_eq!(before, event, "{rev} of {id} was told in two ways");
            continue;
        }
        let previous = last.insert(id.clone(), event["rev"].clone()).unwrap_or(Json::Null);
        assert_eq!(previous, event["previous_rev"], "a gap before {rev} of {id}");
        let title = event["changes"].as_array().expect("changes").iter().find(|change| change["path"] == "/title");
        if let Some(title) = title {
            let standing = titles.entry(id).or_default();
            assert_eq!(standing.as_deref(), title["before"].as_str(), "the diff does not begin where the last one ended");
            *standing = title["after"].as_str().map(str::to_owned);
        }
    }
    assert_eq!(stage.facts("outbox").await.len(), seen.len(), "the publisher itself tells each revision once");
    for (id, document) in documents {
        assert_eq!(last.get(id), Some(&document["rev"]), "the last revision of {id} was not told");
        assert_eq!(titles[id], Some(document["title"].to_string()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_killed_publisher_goes_on_where_it_was_and_loses_and_doubles_nothing() {
    for seed in 1..=8 {
        let stage = Stage::of(&[&MANIFEST], seed, |settings| settings.with("catalog.feed_batch", 3).expect("a setting")).await;
        let mut documents = BTreeMap::new();
        for round in 0..6_u64 {
            for n in 0..12 {
                let sku = format!("S{n}");
                let standing = documents.values().find(|product: &&Json| product["sku"] == sku.as_str()).cloned();
                let title = format!("{sku} {round}");
                let made = match &standing {
                    None => stage.post("/products", &json!({"sku": sku, "title": title})).await,
                    Some(product) if (n + round) % 3 == 0 => {
                        stage.put(&path(product), &json!({"sku": sku, "title": title, "rev": product["rev"]})).await
                    }
                    Some(_) => continue,
                };
                assert!(made.status.is_success(), "{}", made.json());
                documents.insert(text(&made.json()["id"]).to_owned(), made.json());
            }
            // Somewhere in the middle of what the publisher has to do.
            stage.pass(Duration::from_micros(seed * 37 * (round + 1))).await;
            stage.world.kill("catalog", 0);
            stage.world.start(&MANIFEST, 0).await.expect("started");
        }
        stage.pass(Duration::from_secs(31)).await;
        assert_told(&stage, &documents).await;
    }
}

#[tokio::test(start_paused = true)]
async fn two_publishers_over_a_failing_store_lose_and_double_nothing() {
    let stage = Stage::of(&[&MANIFEST], 5, |settings| settings.with("catalog.feed_batch", 2).expect("a setting")).await;
    stage.world.start(&MANIFEST, 1).await.expect("a second instance");
    let fault = json!({"rule": "fail", "share": 0.3, "scope": {"service": "catalog"}, "for": 20});
    assert_eq!(stage.admin(Method::PUT, "/lab/faults/store.commit", Some(&fault)).await.status, 200);
    let mut documents = BTreeMap::new();
    for n in 0..30 {
        let key = format!("key-{n}");
        let made = loop {
            let got = stage.post_with_key("/products", &lamp(&format!("S{n}")), &key).await;
            if got.status == 201 {
                break got.json();
            }
            assert_eq!(got.status.as_u16() / 100 + u16::from(got.status == 409), 5, "{}", got.json());
            stage.pass(Duration::from_secs(1)).await;
        };
        documents.insert(text(&made["id"]).to_owned(), made);
    }
    stage.pass(Duration::from_secs(120)).await;
    assert_told(&stage, &documents).await;
    assert_eq!(skus(&stage.get("/products?limit=200").await.json()).len(), 30);
}

#[tokio::test(start_paused = true)]
async fn a_publisher_that_begins_anew_tells_nothing_again() {
    let stage = stage().await;
    for n in 0..5 {
        create(&stage, &lamp(&format!("S{n}"))).await;
    }
    settle(&stage).await;
    assert_eq!(stage.events(UPDATED).await.len(), 5);
    let db = stage.world.db("catalog").expect("a store");
    db.run_script("DELETE FROM feed_progress").await.expect("forgotten");
    stage.pass(Duration::from_secs(31)).await;
    assert_eq!(stage.events(UPDATED).await.len(), 5);
    // Even if it had forgotten what it told: the ids are those of the revisions.
    db.run_script("DELETE FROM feed_progress; DELETE FROM product_published").await.expect("forgotten");
    stage.pass(Duration::from_secs(31)).await;
    assert_eq!(stage.events(UPDATED).await.len(), 5);
}

#[tokio::test(start_paused = true)]
async fn what_is_written_past_the_service_is_announced_and_found() {
    let stage = stage().await;
    let id = ProductId(Uuid::from_u128(7));
    outsider(&stage).put(id, None, &document("OUT")).await.expect("written");
    assert!(skus(&stage.get("/products").await.json()).is_empty());
    stage.pass(Duration::from_secs(31)).await;
    assert_eq!(lines(&stage.events(UPDATED).await).len(), 1);
    assert_eq!(skus(&stage.get("/products?q=out").await.json()), ["OUT"]);
    assert_eq!(stage.get("/products/by-sku/OUT").await.status, 200);
    assert_eq!(stage.post("/products", &lamp("OUT")).await.slug(), "sku-taken");
}

#[tokio::test(start_paused = true)]
async fn a_document_that_has_drifted_is_kept_apart_and_told_once_it_is_mended() {
    let stage = stage().await;
    let product = create(&stage, &lamp("A")).await;
    settle(&stage).await;
    let id: ProductId = text(&product["id"]).parse().expect("an id");
    let mut drifted = document("A");
    drifted["brand"] = json!("Acme");
    let rev = text(&product["rev"]).parse().expect("a revision");
    let rev = outsider(&stage).put(id, Some(&rev), &drifted).await.expect("written");
    let mut strange = document("B");
    strange["title"] = json!({"en": "Lamp"});
    outsider(&stage).put(ProductId(Uuid::from_u128(1)), None, &strange).await.expect("written");
    stage.pass(Duration::from_secs(31)).await;
    assert_eq!(stage.events(UPDATED).await.len(), 1, "neither was told");

    let page = stage.get("/products/quarantine").await.json();
    let held = page["items"].as_array().expect("items");
    assert_eq!(held.len(), 2);
    let of = |id: &Json| held.iter().find(|held| held["productId"] == *id).expect("held");
    assert_eq!(of(&product["id"])["reason"], "unknown fields: brand");
    assert_eq!((&of(&product["id"])["document"], &of(&product["id"])["rev"]), (&drifted, &json!(rev.as_str())));
    let other = of(&json!(ProductId(Uuid::from_u128(1)).to_string()));
    assert!(text(&other["reason"]).starts_with("title: invalid type"), "{other}");
    assert_eq!(stage.facts("quarantine").await.len(), 2);
    let metrics = stage.world.metrics().encode(Some("catalog"));
    assert!(metrics.contains("catalog_feed_quarantined_total{service=\"catalog\"} 2"), "{metrics}");
    assert!(metrics.contains("catalog_feed_in_quarantine{service=\"catalog\"} 2"), "{metrics}");

    assert_eq!(stage.get(&path(&product)).await.json()["title"], "Lamp", "what is known of it is shown");
    let unreadable = format!("/products/{}", ProductId(Uuid::from_u128(1)));
    assert_eq!(refusal(&stage.get(&unreadable).await), told(409, "product-drifted", ""));
    assert_eq!(skus(&stage.get("/products").await.json()), ["A"]);

    let mended = stage.put(&path(&product), &json!({"sku": "A", "title": "Mended", "rev": rev.as_str()})).await;
    assert_eq!(mended.status, 200);
    let whole = stage.send(Method::PUT, &unreadable, Some(&lamp("B")), &[("if-match", "*")]).await;
    assert_eq!(whole.status, 200, "{}", whole.json());
    settle(&stage).await;
    assert_eq!(stage.get("/products/quarantine").await.json()["items"], json!([]));
    let events = stage.events(UPDATED).await;
    assert_eq!(events.len(), 3);
    let update = events.iter().find(|event| event["change"] == "UPDATED").expect("an update");
    assert_eq!((&update["previous_rev"], &update["rev"]), (&product["rev"], &mended.json()["rev"]), "from what was told last");
    assert!(!lines(&events).iter().any(|line| line.contains("brand")));
}

#[tokio::test(start_paused = true)]
async fn on_the_lower_rung_drift_goes_through() {
    let stage = stage().await;
    let set = async |rung: &str| stage.admin(Method::PUT, "/lab/rungs/catalog-drift", Some(&json!({"rung": rung}))).await.status.as_u16();
    assert_eq!((set("R0").await, set("R7").await), (200, 422));
    let mut drifted = document("A");
    drifted["brand"] = json!("Acme");
    drifted["sku"] = json!(5);
    let id = ProductId(Uuid::from_u128(1));
    let rev = outsider(&stage).put(id, None, &drifted).await.expect("written");
    stage.pass(Duration::from_secs(31)).await;
    let told = lines(&stage.events(UPDATED).await);
    assert_eq!(told.len(), 1);
    assert!(told[0].starts_with("CREATED 5 ") && told[0].contains("/brand null->\"\\\"Acme\\\"\""), "{}", told[0]);
    assert_eq!(stage.get("/products/quarantine").await.json()["items"], json!([]));

    assert_eq!(set("R1").await, 200);
    drifted["brand"] = json!("Other");
    outsider(&stage).put(id, Some(&rev), &drifted).await.expect("written");
    stage.pass(Duration::from_secs(31)).await;
    assert_eq!(stage.events(UPDATED).await.len(), 1);
    assert_eq!(stage.get("/products/quarantine").await.json()["items"].as_array().map(Vec::len), Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_quarantined_document_that_is_deleted_leaves_nothing() {
    let stage = stage().await;
    let id = ProductId(Uuid::from_u128(1));
    let rev = outsider(&stage).put(id, None, &json!({"x": 1})).await.expect("written");
    stage.pass(Duration::from_secs(31)).await;
    assert_eq!(stage.get("/products/quarantine").await.json()["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(stage.delete(&format!("/products/{id}?rev={rev}")).await.status, 204);
    settle(&stage).await;
    assert_eq!(stage.get("/products/quarantine").await.json()["items"], json!([]));
    assert!(stage.events(UPDATED).await.is_empty(), "nobody has ever heard of it");
}

/// JSON allows it, and a server keeps no text that has one.
#[tokio::test(start_paused = true)]
async fn a_zero_in_a_text_stops_nothing() {
    let stage = stage().await;
    let product = create(&stage, &json!({"sku": "A", "title": "Lamp", "description": "a\0b", "attributes": {"size": 1e16}})).await;
    assert_eq!(stage.get(&path(&product)).await.json()["description"], "a\0b");
    let mut drifted = document("B");
    drifted["br\0and"] = json!("\0");
    outsider(&stage).put(ProductId(Uuid::from_u128(1)), None, &drifted).await.expect("written");
    stage.pass(Duration::from_secs(31)).await;
    assert_eq!(stage.events(UPDATED).await.len(), 1);
    let held = stage.get("/products/quarantine").await.json()["items"][0].clone();
    assert_eq!((&held["reason"], &held["document"]), (&json!("unknown fields: br\u{fffd}and"), &drifted));
}
