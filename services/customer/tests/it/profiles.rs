//! C-01, C-05, C-06: profiles, their list, their events and their figures.

use std::collections::BTreeSet;

use customer_api::{Customer, CustomerStatus};
use futures::future::join_all;
use http::{Method, StatusCode};
use platform::http::Page;
use serde_json::{Value as Json, json};

use crate::stage::{Shop, plain};

const NOBODY: &str = "/customers/0195f3a2-7c11-7d3e-8a11-3f2f0c9b1e22";

fn full() -> Json {
    json!({
        "email": "Mai@Example.com", "fullName": " Mai Nguyễn ", "phone": "+84 (90) 123-45.67", "region": "APAC", "locale": "VI-vn",
        "addresses": [
            {"label": "home", "line1": "12 Lê Lợi", "line2": "3F", "city": "Huế", "postalCode": "49000", "country": "VN"},
            {"label": "office", "line1": "1 Main", "city": "Austin", "postalCode": "73301", "country": "US"},
        ],
    })
}

#[tokio::test(start_paused = true)]
async fn a_customer_is_made_shown_and_announced() {
    let shop = Shop::open().await;
    let made = shop.post("/customers", &full()).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.json());
    let id = made.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(made.header("location"), Some(format!("/customers/{id}").as_str()));
    assert_eq!(made.header("etag"), Some("\"1\""));
    let mut shown = made.json();
    for moment in ["createdAt", "updatedAt"] {
        assert!(shown.as_object_mut().unwrap().remove(moment).unwrap().as_str().unwrap().starts_with("2026-01-05T"));
    }
    let expected = json!({
        "id": id, "email": "mai@example.com", "fullName": "Mai Nguyễn", "phone": "+84901234567", "region": "APAC", "locale": "vi-VN",
        "segments": [], "status": "ACTIVE", "version": 1, "addresses": full()["addresses"],
    });
    assert_eq!(shown, expected);

    let got = shop.get(&format!("/customers/{id}")).await;
    assert_eq!((got.status, got.json(), got.header("etag")), (StatusCode::OK, made.json(), Some("\"1\"")));

    shop.seconds(1).await;
    let events = shop.events("customer.updated.v1").await;
    assert_eq!(events.len(), 1);
    assert_eq!((&events[0]["customer_id"], &events[0]["version"], &events[0]["status"]), (&json!(id), &json!(1), &json!("ACTIVE")));
    assert_eq!(events[0]["changed"], json!(["email", "fullName", "locale", "phone", "addresses", "region"]));
    let facts = shop.facts("customers").await;
    assert_eq!(
        facts.iter().map(|fact| (&fact["kind"], &fact["id"], &fact["status"], &fact["version"], &fact["segments"])).collect::<Vec<_>>(),
        [(&json!("customer"), &json!(id), &json!("ACTIVE"), &json!(1), &json!([]))]
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_left_out_is_the_regions_or_nothing() {
    let shop = Shop::open().await;
    for (region, locale) in [("US", "en-US"), ("EU", "de-DE"), ("APAC", "ja-JP")] {
        let made =
            shop.post("/customers", &json!({"email": format!("{region}@example.com"), "fullName": "A", "region": region})).await.json();
        assert_eq!((&made["locale"], &made["phone"], &made["addresses"]), (&json!(locale), &Json::Null, &json!([])));
    }
}

#[tokio::test(start_paused = true)]
async fn every_wrong_field_is_told_with_a_pointer_and_nothing_is_kept() {
    let shop = Shop::open().await;
    let address = |field: &str, value: Json| {
        let mut address = full()["addresses"][0].clone();
        address[field] = value;
        json!([address])
    };
    let wrong: Vec<(&str, Json, &str)> = vec![
        ("email", json!("nobody"), "#/email"),
        ("email", json!(7), "#/email"),
        ("email", Json::Null, "#/email"),
        ("fullName", json!(""), "#/fullName"),
        ("fullName", json!("x".repeat(201)), "#/fullName"),
        ("phone", json!("0901234567"), "#/phone"),
        ("region", json!("MARS"), "#/region"),
        ("locale", json!("english"), "#/locale"),
        ("addresses", json!({}), "#/addresses"),
        ("addresses", address("country", json!("Vietnam")), "#/addresses/0/country"),
        ("addresses", address("line1", json!("  ")), "#/addresses/0/line1"),
        ("addresses", address("zip", json!("1")), "#/addresses/0/zip"),
        ("addresses", json!(vec![full()["addresses"][0].clone(); 21]), "#/addresses"),
        ("segments", json!(["VIP"]), "#/segments"),
    ];
    let there = shop.customer("there@example.com").await;
    for (field, value, pointer) in wrong {
        let mut body = full();
        body[field] = value;
        for got in [shop.post("/customers", &body).await, shop.put(&format!("/customers/{}", there.id), &body).await] {
            assert_eq!((got.status.as_u16(), got.slug().as_str()), (422, "invalid"), "{body}");
            assert_eq!(got.json()["errors"][0]["pointer"], json!(pointer), "{}", got.json());
        }
    }
    let mut body = full();
    body.as_object_mut().unwrap().remove("region");
    assert_eq!(shop.post("/customers", &body).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        shop.send_bytes(Method::POST, "/customers", b"{".to_vec(), &[("content-type", "application/json")]).await.status.as_u16(),
        400
    );
    assert_eq!(shop.send_bytes(Method::POST, "/customers", b"{}".to_vec(), &[("content-type", "text/plain")]).await.status.as_u16(), 415);
    assert_eq!(shop.facts("customers").await.len(), 1);
    assert_eq!(shop.get(&format!("/customers/{}", there.id)).await.view::<Customer>(), there);
}

#[tokio::test(start_paused = true)]
async fn a_taken_address_is_refused_and_changes_nothing() {
    let shop = Shop::open().await;
    let mai = shop.customer("mai@example.com").await;
    let ann = shop.customer("ann@example.com").await;
    let again = shop.post("/customers", &plain("MAI@example.com")).await;
    assert_eq!((again.status.as_u16(), again.slug().as_str()), (409, "email-taken"));
    assert!(!again.json().to_string().contains("mai@example.com"), "{}", again.json());
    let taken = shop.put(&format!("/customers/{}", ann.id), &plain("mai@example.com")).await;
    assert_eq!((taken.status.as_u16(), taken.slug().as_str()), (409, "email-taken"));
    for customer in [mai, ann] {
        assert_eq!(shop.get(&format!("/customers/{}", customer.id)).await.view::<Customer>(), customer);
    }
    shop.seconds(1).await;
    assert_eq!(shop.events("customer.updated.v1").await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn of_many_at_once_with_one_address_one_is_made() {
    let shop = Shop::open().await;
    let body = plain("mai@example.com");
    let answers = join_all((0..20).map(|_| shop.post("/customers", &body))).await;
    let made = answers.iter().filter(|got| got.status == StatusCode::CREATED).count();
    let refused = answers.iter().filter(|got| got.slug() == "email-taken").count();
    assert_eq!((made, refused, shop.facts("customers").await.len()), (1, 19, 1));
}

#[tokio::test(start_paused = true)]
async fn the_same_key_makes_one_customer_and_is_answered_the_same() {
    let shop = Shop::open().await;
    let first = shop.post_with_key("/customers", &full(), "k-1").await;
    shop.restart().await;
    let again = shop.post_with_key("/customers", &full(), "k-1").await;
    assert_eq!((first.status, again.status), (StatusCode::CREATED, StatusCode::CREATED));
    assert_eq!(first.body, again.body);
    for header in ["location", "etag", "content-type"] {
        assert_eq!(first.header(header), again.header(header), "{header}");
    }
    assert_eq!((first.header("idempotency-replayed"), again.header("idempotency-replayed")), (None, Some("true")));
    let other = shop.post_with_key("/customers", &plain("ann@example.com"), "k-1").await;
    assert_eq!((other.status.as_u16(), other.slug().as_str()), (422, "idempotency-key-reused"));
    // Refused before any effect, a key may be used again.
    assert_eq!(shop.post_with_key("/customers", &full(), "k-2").await.slug(), "email-taken");
    assert_eq!(shop.post_with_key("/customers", &plain("ann@example.com"), "k-2").await.status, StatusCode::CREATED);
    assert!(shop.get("/metrics").await.body.windows(44).any(|text| text == b"customer_create_total{service=\"customer\"} 2\n"));
}

#[tokio::test(start_paused = true)]
async fn an_update_replaces_the_whole_and_names_what_changed() {
    let shop = Shop::open().await;
    let made: Customer = shop.post("/customers", &full()).await.view();
    shop.seconds(1).await;
    let path = format!("/customers/{}", made.id);
    let got = shop.put(&path, &json!({"email": "mai@example.com", "fullName": "Mai N.", "region": "EU"})).await;
    assert_eq!((got.status, got.header("etag")), (StatusCode::OK, Some("\"2\"")), "{}", got.json());
    let now: Customer = got.view();
    assert_eq!((now.phone, now.addresses.len(), now.locale.as_str(), now.full_name.as_str()), (None, 0, "de-DE", "Mai N."));
    assert_eq!((now.version, now.status, now.created_at), (2, CustomerStatus::Active, made.created_at));
    assert!(now.updated_at > made.updated_at);
    assert_eq!(shop.get(&path).await.json(), got.json());
    shop.seconds(1).await;
    let events = shop.events("customer.updated.v1").await;
    assert_eq!(events.len(), 2);
    assert_eq!(events[1]["changed"], json!(["fullName", "phone", "locale", "addresses", "region"]));

    // The same again is no change.
    let same = shop.put(&path, &json!({"email": "mai@example.com", "fullName": "Mai N.", "region": "EU"})).await;
    assert_eq!(same.json(), got.json());
    shop.seconds(1).await;
    assert_eq!(shop.events("customer.updated.v1").await.len(), 2);
    let metrics = String::from_utf8(shop.get("/metrics").await.body.to_vec()).unwrap();
    assert!(metrics.contains("customer_update_latency_seconds_count{service=\"customer\"} 2\n"), "{metrics}");
}

#[tokio::test(start_paused = true)]
async fn an_update_of_a_version_that_is_no_more_is_refused() {
    let shop = Shop::open().await;
    let mai = shop.customer("mai@example.com").await;
    let body = json!({"email": "mai@example.com", "fullName": "Mai N.", "region": "US"});
    assert_eq!(shop.put_if(mai.id, &body, "\"1\"").await.status, StatusCode::OK);
    let stale = shop.put_if(mai.id, &plain("mai@example.com"), "\"1\"").await;
    assert_eq!((stale.status.as_u16(), stale.slug().as_str()), (412, "stale-version"));
    assert_eq!(shop.put_if(mai.id, &body, "*").await.status, StatusCode::OK);
    assert_eq!(shop.put_if(mai.id, &body, "W/\"2\"").await.status, StatusCode::BAD_REQUEST);
    let now: Customer = shop.get(&format!("/customers/{}", mai.id)).await.view();
    assert_eq!((now.version, now.full_name.as_str()), (2, "Mai N."));
}

#[tokio::test(start_paused = true)]
async fn of_many_updates_of_one_version_one_wins() {
    let shop = Shop::open().await;
    shop.world.start(&customer::MANIFEST, 1).await.unwrap();
    let mai = shop.customer("mai@example.com").await;
    let bodies: Vec<Json> = (0..20).map(|n| json!({"email": "mai@example.com", "fullName": format!("Mai {n}"), "region": "US"})).collect();
    let answers = join_all(bodies.iter().map(|body| shop.put_if(mai.id, body, "\"1\""))).await;
    let won: Vec<_> = answers.iter().filter(|got| got.status == StatusCode::OK).collect();
    assert_eq!(won.len(), 1);
    assert!(answers.iter().all(|got| got.status == StatusCode::OK || got.slug() == "stale-version"));
    assert_eq!(shop.get(&format!("/customers/{}", mai.id)).await.json(), won[0].json());
    shop.seconds(31).await;
    assert_eq!(shop.events("customer.updated.v1").await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn who_is_not_there_is_404_for_every_call() {
    let shop = Shop::open().await;
    let segments = format!("{NOBODY}/segments");
    for got in [
        shop.get(NOBODY).await,
        shop.get("/customers/nobody").await,
        shop.put(NOBODY, &full()).await,
        shop.post(&segments, &json!({"segments": []})).await,
        shop.post(&segments, &json!({"recalculate": true})).await,
        shop.post(&format!("{NOBODY}/erasure"), &json!({})).await,
        shop.get(&format!("{NOBODY}/erasure/0195f3a2-7c11-7d3e-8a11-3f2f0c9b1e22")).await,
    ] {
        assert_eq!((got.status.as_u16(), got.slug().as_str()), (404, "not-found"), "{}", got.json());
    }
    assert_eq!(shop.order.calls(), Vec::<String>::new(), "nobody is asked about nobody");
}

#[tokio::test(start_paused = true)]
async fn the_list_shows_each_customer_once_while_others_come() {
    let shop = Shop::open().await;
    for n in 0..5 {
        let mut body = full();
        body["email"] = json!(format!("c{n}@example.com"));
        shop.post("/customers", &body).await;
    }
    let id = shop.get("/customers?email=c1@example.com").await.json()["items"][0]["id"].clone();
    shop.post(&format!("/customers/{}/segments", id.as_str().unwrap()), &json!({"segments": ["VIP", "B2B"]})).await;
    let (mut seen, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let after = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        let got = shop.get(&format!("/customers?limit=2{after}")).await;
        let page: Page<Customer> = got.view();
        for customer in &page.items {
            assert_eq!(&shop.get(&format!("/customers/{}", customer.id)).await.view::<Customer>(), customer);
        }
        seen.extend(page.items.into_iter().map(|customer| customer.email.to_string()));
        cursor = page.next_cursor;
        if seen.len() == 2 {
            shop.customer("late@example.com").await;
        }
        if cursor.is_none() {
            break;
        }
    }
    let all = ["c0@example.com", "c1@example.com", "c2@example.com", "c3@example.com", "c4@example.com", "late@example.com"];
    assert_eq!(seen, all);
    assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), seen.len());
}

#[tokio::test(start_paused = true)]
async fn the_list_finds_by_address_and_refuses_what_it_does_not_know() {
    let shop = Shop::open().await;
    let mai = shop.customer("mai+shop@example.com").await;
    shop.customer("ann@example.com").await;
    let page: Page<Customer> = shop.get("/customers?email=MAI%2Bshop%40example.com&limit=10").await.view();
    assert_eq!((page.items, page.next_cursor), (vec![mai], None));
    assert_eq!(shop.get("/customers?email=nobody@example.com").await.json(), json!({"items": [], "nextCursor": null}));
    for query in ["limit=0", "limit=201", "limit=x", "cursor=%21", "email=nobody", "name=Mai"] {
        assert_eq!(shop.get(&format!("/customers?{query}")).await.status, StatusCode::UNPROCESSABLE_ENTITY, "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_answered_is_there_after_a_crash() {
    let shop = Shop::open().await;
    let made = shop.post("/customers", &full()).await;
    shop.restart().await;
    let path = made.header("location").unwrap().to_owned();
    shop.seconds(301).await;
    assert_eq!(shop.get(&path).await.json(), made.json());
    assert_eq!(shop.events("customer.updated.v1").await.len(), 1, "the event is published by whoever comes after");
}

#[tokio::test(start_paused = true)]
async fn every_endpoint_is_documented_with_its_refusals() {
    let shop = Shop::open().await;
    let document = serde_json::to_value(shop.world.openapi("customer").unwrap()).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let mut operations: Vec<String> = Vec::new();
    for (path, methods) in paths {
        for (method, operation) in methods.as_object().unwrap() {
            operations.push(format!("{method} {path}"));
            assert!(operation["responses"]["4XX"].is_object() && operation["responses"]["5XX"].is_object(), "{method} {path}");
        }
    }
    operations.sort();
    let expected = [
        "get /customers",
        "get /customers/{id}",
        "get /customers/{id}/erasure/{job}",
        "post /customers",
        "post /customers/{id}/erasure",
        "post /customers/{id}/segments",
        "put /customers/{id}",
    ];
    assert_eq!(operations, expected);
}
