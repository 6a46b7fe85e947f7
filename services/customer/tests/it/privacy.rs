//! Who a customer is stays where it belongs: planted markers are looked for in events, facts, problems, logs and metrics, and after the
//! erasure in everything that the service has stored.

use std::{
    io,
    sync::{Arc, Mutex},
};

use http::{Method, StatusCode};
use serde_json::{Value as Json, json};

use crate::stage::{Mode, Shop};

const NAME: &str = "Zebulon Quagmire-Ødegård";
const EMAIL: &str = "zq.marker.4711@example.com";
const PHONE: &str = "+4930901820417";
const STREET: &str = "Xanthippe Boulevard 9173";
const LABEL: &str = "grandmother's";
/// What is looked for: the markers, and the parts of them that would give them away.
const MARKERS: [&str; 8] = [NAME, "Quagmire", EMAIL, "zq.marker", PHONE, "901820417", STREET, LABEL];

fn planted() -> Json {
    json!({
        "email": EMAIL, "fullName": NAME, "phone": PHONE, "region": "EU", "locale": "nb-NO",
        "addresses": [{"label": LABEL, "line1": STREET, "line2": NAME, "city": "Quagmire", "postalCode": "901820417", "country": "NO"}],
    })
}

fn found(text: &str) -> Vec<&'static str> {
    MARKERS.into_iter().filter(|marker| text.contains(marker)).collect()
}

/// Everything that is logged on this thread, at every level.
#[derive(Clone, Default)]
struct Logs(Arc<Mutex<Vec<u8>>>);

impl io::Write for Logs {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Logs {
    /// Listens for as long as both are kept. With one dispatcher alone, what another test's thread logs first is never logged here; with
    /// a second one every dispatcher is asked.
    fn listen(&self) -> (tracing::Dispatch, tracing::subscriber::DefaultGuard) {
        let second = tracing::Dispatch::new(tracing_subscriber::registry());
        let logs = self.clone();
        let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_ansi(false).with_writer(move || logs.clone());
        (second, tracing::subscriber::set_default(subscriber.finish()))
    }
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_personal_leaves_the_service_and_nothing_stays_after_the_erasure() {
    let logs = Logs::default();
    let _listening = logs.listen();
    let shop = Shop::open().await;
    let made = shop.post_with_key("/customers", &planted(), EMAIL).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.json());
    let path = made.header("location").unwrap().to_owned();
    let segments = format!("{path}/segments");
    shop.get(&path).await;
    shop.get(&format!("/customers?email={EMAIL}")).await;
    shop.post_with_key(&segments, &json!({"segments": ["VIP"]}), "seg-1").await;
    // A spelling of the address that is the same customer.
    let spelled = format!("/customers/{}/segments", path.rsplit('/').next().unwrap().replace('0', "%30"));
    assert_eq!(shop.post_with_key(&spelled, &json!({"recalculate": true}), "seg-2").await.status, StatusCode::OK);
    let mut moved = planted();
    moved["addresses"] = json!([]);
    assert_eq!(shop.put(&path, &moved).await.status, StatusCode::OK);
    assert_eq!(shop.put(&path, &planted()).await.status, StatusCode::OK);

    // The looks below find what is there: everything stands in the store, and in the cache.
    shop.get(&path).await;
    let stored: String = shop.dump().await.iter().map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned()).collect();
    assert_eq!(found(&stored), MARKERS);
    let key = format!("customer::{}", path.rsplit('/').next().unwrap());
    assert_eq!(found(&shop.cached(&key).await.unwrap()), MARKERS);

    let problems = refusals(&shop, &path).await;
    assert!(problems.len() > 20);
    for problem in &problems {
        assert_eq!(found(problem), Vec::<&str>::new(), "{problem}");
    }

    let location = shop.erase(path.rsplit('/').next().unwrap()).await;
    shop.seconds(5).await;
    assert_eq!(shop.erasure(&location).await.status, customer_api::ErasureStatus::Completed);
    let gone = shop.get(&path).await;
    assert_eq!(gone.status, StatusCode::GONE);

    for (table, bytes) in shop.dump().await {
        assert_eq!(found(&String::from_utf8_lossy(&bytes)), Vec::<&str>::new(), "{table}");
    }
    assert_eq!(shop.cached(&key).await, None);
    let mut outside = vec![gone.json().to_string(), shop.get(&location).await.json().to_string(), logs.text()];
    outside.push(String::from_utf8_lossy(&shop.get("/metrics").await.body).into_owned());
    for topic in ["customer.updated.v1", "customer.segment.recalculated.v1"] {
        let events = shop.events(topic).await;
        assert!(events.len() > 1, "{topic}");
        outside.extend(events.iter().map(Json::to_string));
    }
    for collection in ["customers", "outbox", "inbox"] {
        outside.extend(shop.facts(collection).await.iter().map(Json::to_string));
    }
    assert!(logs.text().contains("every service has erased the customer"), "the log is listened to");
    for text in outside {
        assert_eq!(found(&text), Vec::<&str>::new(), "{text}");
    }
}

/// The answers to every mistake that can be made with the markers in hand.
async fn refusals(shop: &Shop, path: &str) -> Vec<String> {
    let mut bodies = Vec::new();
    let with = |field: &str, value: Json| {
        let mut body = planted();
        body[field] = value;
        body
    };
    for field in ["email", "fullName", "phone", "region", "locale", "addresses", "unknown"] {
        for value in
            [json!(NAME), json!([EMAIL]), json!({"line1": STREET}), json!(901_820_417), json!(format!("{EMAIL}\u{7}{PHONE}")), json!(null)]
        {
            bodies.push(with(field, value));
        }
    }
    for (field, value) in
        [("country", json!(STREET)), ("line1", json!(format!("{STREET}\n"))), ("line1", json!([STREET])), ("city", json!(null))]
    {
        let mut address = planted()["addresses"][0].clone();
        address[field] = value;
        bodies.push(with("addresses", json!([address])));
    }
    let mut answers = Vec::new();
    for body in &bodies {
        answers.push(shop.post("/customers", body).await);
        answers.push(shop.put(path, body).await);
    }
    // Taken, stale, used twice, unreadable, unknown, not answered.
    answers.push(shop.post("/customers", &planted()).await);
    answers.push(shop.put_if(path.rsplit('/').next().unwrap(), &planted(), "\"1\"").await);
    answers.push(shop.post_with_key("/customers", &with("fullName", json!("Other")), EMAIL).await);
    let broken = format!("{{\"fullName\": \"{NAME}\", \"email\": {EMAIL}");
    answers.push(shop.send_bytes(Method::POST, "/customers", broken.into_bytes(), &[("content-type", "application/json")]).await);
    answers.push(shop.get(&format!("/customers?email={}", PHONE.replace('+', "%2B"))).await);
    answers.push(shop.get(&format!("/customers?limit={EMAIL}")).await);
    answers.push(shop.get(&format!("/customers?cursor={EMAIL}")).await);
    let segments = format!("{path}/segments");
    answers.push(shop.post(&segments, &json!({"segments": [NAME]})).await);
    answers.push(shop.post(&segments, &json!({"segments": NAME})).await);
    answers.push(shop.post(&segments, &json!({"recalculate": EMAIL})).await);
    shop.order.set(Mode::Answering(503));
    answers.push(shop.post(&segments, &json!({"recalculate": true})).await);
    shop.order.set(Mode::Well);
    answers.into_iter().filter(|got| got.status.as_u16() >= 400).map(|got| got.json().to_string()).collect()
}
