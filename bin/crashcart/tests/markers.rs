//! What is secret or personal stays where it is stored. Markers are planted in every place where a client or an operator puts such a thing; then
//! everything that leaves the stores is searched for them, byte by byte: logs at their most talkative, events, traces, metrics, and every
//! answer that is an error.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without is a failed test")]

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Bytes, routing::post};
use base64::{Engine, engine::general_purpose::STANDARD};
use lab::target::{Remote, Request, Target};
use platform::{Clock, Tasks};
use serde_json::{Value as Json, json};

/// In names, e-mail addresses, telephone numbers, streets, towns, notes and the names of cards.
const PERSONAL: [&str; 7] = ["Quagmire", "zq.marker", "5550142857", "Xanthippe", "Zebulon", "Marzipan", "tok_slow_1"];
/// What signs tokens and links, and what signs callbacks.
const SIGNING: &str = "marker-of-the-signing-secret-0123456789";
const CALLBACKS: &str = "marker-of-the-callback-secret-0123456789";

/// What was sent somewhere.
type Heap = Arc<Mutex<Vec<u8>>>;

async fn collector(heap: Heap) -> String {
    let take = move |body: Bytes| {
        heap.lock().unwrap().extend_from_slice(&body);
        async {}
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().route("/v1/traces", post(take));
    Tasks::new("collector", Clock::real()).spawn("collector", async move { axum::serve(listener, router).await.unwrap() });
    address
}

/// A client with a token; what it is refused is kept.
struct Client {
    shop: Remote,
    token: String,
    refusals: Heap,
}

impl Client {
    async fn ask(&self, request: Request) -> (u16, Json) {
        let reply = self.shop.call(request.header("authorization", format!("Bearer {}", self.token))).await.unwrap();
        let status = reply.status.as_u16();
        if status >= 400 {
            self.refusals.lock().unwrap().extend_from_slice(&reply.body);
        }
        (status, serde_json::from_slice(&reply.body).unwrap_or(Json::Null))
    }

    async fn must(&self, request: Request) -> Json {
        let name = format!("{} {}", request.method, request.path);
        let (status, body) = self.ask(request).await;
        assert!(status < 300, "{name} was answered {status}: {body}");
        body
    }

    async fn is_refused(&self, request: Request) {
        let name = format!("{} {}", request.method, request.path);
        let (status, body) = self.ask(request).await;
        assert!((400..500).contains(&status), "{name} was answered {status}: {body}");
    }
}

fn keyed(request: Request, key: &str) -> Request {
    request.header("idempotency-key", key)
}

fn address() -> Json {
    json!({"line1": "Xanthippe Boulevard 3", "line2": "c/o Zebulon", "city": "Marzipan", "postalCode": "12345", "country": "US"})
}

fn person() -> Json {
    let mut home = address();
    home["label"] = json!("home");
    json!({
        "email": "zq.marker@example.com", "fullName": "Zebulon Quagmire", "phone": "+15550142857", "region": "US", "addresses": [home],
    })
}

/// Signs up, buys twice, changes his mind once; says everything wrong that can be said wrong.
async fn lives(client: &Client) -> String {
    let price = json!({"unitPrice": {"amount": 1_999, "currency": "USD"}});
    client.must(Request::put("/pricing/books/standard-usd/entries/MARKED-LAMP", price)).await;
    let stock = json!({"sku": "MARKED-LAMP", "warehouse": "us-east", "delta": 100, "reason": "received"});
    client.must(Request::post("/inventory/adjust", stock)).await;
    let customer = client.must(keyed(Request::post("/customers", person()), "sign-up")).await["id"].as_str().unwrap().to_owned();
    let mut last = String::new();
    for number in 0..2 {
        let opening = json!({"customerId": customer, "region": "US"});
        let cart = client.must(keyed(Request::post("/carts", opening), &format!("cart-{number}"))).await;
        let cart = cart["id"].as_str().unwrap().to_owned();
        client.must(Request::post(format!("/carts/{cart}/items"), json!({"sku": "MARKED-LAMP", "quantity": 1}))).await;
        let buying = json!({"cartId": cart, "paymentMethod": {"type": "card", "token": "tok_slow_1"}, "shippingAddress": address()});
        last = client.must(keyed(Request::post("/orders?wait=10s", buying), &format!("buy-{number}"))).await["id"]
            .as_str()
            .unwrap()
            .to_owned();
    }
    let note = json!({"reason": "Zebulon Quagmire is moving away from Xanthippe Boulevard"});
    client.ask(keyed(Request::post(format!("/orders/{last}/cancel"), note), "cancel")).await;
    client
        .must(Request::put(
            format!("/customers/{customer}"),
            json!({"email": "zq.marker@example.com", "fullName": "Zebulon", "region": "US"}),
        ))
        .await;

    // The same person again, another request under a key that is taken, and what cannot be read.
    client.is_refused(keyed(Request::post("/customers", person()), "sign-up-again")).await;
    client
        .is_refused(keyed(
            Request::post("/customers", json!({"email": "other@example.com", "fullName": "Quagmire", "region": "US"})),
            "sign-up",
        ))
        .await;
    for (field, wrong) in [
        ("email", json!("zq.marker at example.com")),
        ("email", json!(["zq.marker@example.com"])),
        ("fullName", json!("Zebulon".repeat(200))),
        ("phone", json!("call 5550142857")),
        ("region", json!("Quagmire")),
        ("addresses", json!("Xanthippe Boulevard 3")),
    ] {
        let mut broken = person();
        broken[field] = wrong;
        client.ask(keyed(Request::post("/customers", broken), "sign-up-broken")).await;
    }
    for (field, wrong) in [("country", json!("Marzipan")), ("postalCode", json!("Xanthippe".repeat(20))), ("line1", json!(["Quagmire"]))] {
        let mut broken = json!({"cartId": last, "paymentMethod": {"type": "card", "token": "tok_slow_1"}, "shippingAddress": address()});
        broken["shippingAddress"][field] = wrong;
        client.is_refused(keyed(Request::post("/orders", broken), "buy-broken")).await;
    }
    // Not in a path: an error names the address that its own caller asked for.
    client.is_refused(Request::get("/customers?email=zq.marker%40example.com&nonsense=Quagmire")).await;
    client.is_refused(Request::post("/payments/psp/callback", json!({"signature": CALLBACKS, "note": "Quagmire"}))).await;
    last
}

#[tokio::test(flavor = "multi_thread")]
async fn no_marker_leaves_the_stores_in_logs_events_traces_metrics_or_errors() {
    let (traces, refusals) = (Heap::default(), Heap::default());
    let collector = collector(traces.clone()).await;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("shop").display().to_string();
    let settings = [
        ("CRASHCART_PLATFORM__SIGNING_SECRET", SIGNING),
        ("CRASHCART_PLATFORM__AUTH", "jwt"),
        ("CRASHCART_PSP__CALLBACK_SECRET", CALLBACKS),
        ("CRASHCART_PAYMENT__PSP_CALLBACK_SECRET", CALLBACKS),
        ("CRASHCART_TRACES__OTLP_ENDPOINT", collector.as_str()),
        ("CRASHCART_LOGS__LEVEL", "debug"),
    ];
    let program = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_crashcart"));
        command.envs(settings);
        command
    };
    let logs = folder.path().join("logs");
    let mut up = program()
        .args(["up", "--port", "0", "--json", "--data", &data])
        .stdout(Stdio::piped())
        .stderr(std::fs::File::create(&logs).unwrap())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(up.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let told: Json = serde_json::from_str(&line).unwrap();
    let text = |name: &str| told[name].as_str().unwrap().to_owned();
    let shop = Remote::new(&text("gateway"), Some((&text("admin"), &text("adminToken")))).unwrap();
    let token = program().args(["token", "--role", "OPERATOR", "--data", &data]).output().unwrap();
    let token = String::from_utf8(token.stdout).unwrap().trim().to_owned();
    assert!(token.split('.').count() == 3, "{token}");
    let client = Client { shop, token, refusals: refusals.clone() };

    let order = lives(&client).await;
    let events = Heap::default();
    let clock = Clock::real();
    let settled = async {
        while !client.shop.facts("events").await.unwrap().iter().any(|event| event["key"] == order.as_str()) {
            clock.sleep(Duration::from_millis(20)).await;
        }
        while client.shop.facts("outbox").await.unwrap().iter().any(|event| event["status"] == "PENDING") {
            clock.sleep(Duration::from_millis(20)).await;
        }
    };
    clock.timeout(Duration::from_secs(60), settled).await.unwrap();
    for event in client.shop.facts("events").await.unwrap() {
        let mut heap = events.lock().unwrap();
        heap.extend(event.to_string().into_bytes());
        heap.extend(STANDARD.decode(event["value"].as_str().unwrap()).unwrap());
    }
    let metrics = client.shop.call(Request::get("/metrics")).await.unwrap().body.to_vec();
    // Its own way out: what waits to be exported is.
    assert!(Command::new("kill").args(["-INT", &up.id().to_string()]).status().unwrap().success());
    assert!(up.wait().unwrap().success());

    let signature = client.token.rsplit('.').next().unwrap().to_owned();
    let markers = || PERSONAL.into_iter().chain([SIGNING, CALLBACKS, signature.as_str()]);
    let taken = |heap: Heap| std::mem::take(&mut *heap.lock().unwrap());
    let heaps = [
        ("logs", std::fs::read(&logs).unwrap(), "/orders"),
        ("events", taken(events), order.as_str()),
        ("traces", taken(traces), "/orders"),
        ("errors", taken(refusals), "urn:crashcart"),
        ("metrics", metrics, "orders"),
    ];
    let mut found = Vec::new();
    for (name, bytes, known) in heaps {
        assert!(holds(&bytes, known), "the {name} were looked through, and `{known}` was not there");
        found.extend(markers().filter(|marker| holds(&bytes, marker)).map(|marker| format!("{name}: …{}…", around(&bytes, marker))));
    }
    assert_eq!(found, Vec::<String>::new());
}

fn place(bytes: &[u8], text: &str) -> Option<usize> {
    bytes.windows(text.len()).position(|window| window == text.as_bytes())
}

fn holds(bytes: &[u8], text: &str) -> bool {
    place(bytes, text).is_some()
}

/// What stands before and behind it.
fn around(bytes: &[u8], text: &str) -> String {
    let at = place(bytes, text).unwrap_or(0);
    String::from_utf8_lossy(&bytes[at.saturating_sub(200)..(at + 120).min(bytes.len())]).into_owned()
}
