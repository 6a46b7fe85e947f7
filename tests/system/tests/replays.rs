//! The same request under the same key, again and again, while services die and come back: whatever was done once is never done again, and the
//! answer is the first one, with its status, its body and its headers. The 23 kinds of calls in [`Client::trade`] are among them; not an order without a
//! checkout, a coupon's redemption, the completion of an upload and an erasure, which take keys as well.
//!
//! First things are done, some of them said again at once and some of them while whoever does them dies. When everything has settled, all that the
//! system says of itself is written down. Then follow the replays; afterwards it says the same, so nothing at all has happened.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what a test cannot go on without is a failed test")]
#![expect(clippy::print_stdout, reason = "the figures are for docs/benchmarks.md")]

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    time::Duration,
};

use bytes::Bytes;
use crashcart::registry::SIMULATION;
use http::StatusCode;
use lab::target::{
    Reply, Request, Simulation, Target,
    simulation::{Override, Simulated, on_threads},
};
use platform::chance::{Chance, Stream};
use rand::RngExt;
use serde_json::{Value as Json, json};
use system_tests::{checkout_body, trade::SETTLED};
use tokio::sync::Notify;

/// Of how many calls one is struck by a crash.
const STRUCK_ONE_IN: u32 = 40;
/// How many steps of the whole system a crash comes after its call at most.
const STEPS: u32 = 200;
/// How long a service stays away at most, in milliseconds.
const DOWN: u64 = 1_500;
/// How long a client waits before he says something again at most, in milliseconds: a world's time goes on only while everybody waits.
const PAUSE: u64 = 20;
/// How often a call is said until it has an answer that stands, half a second apart.
const TRIES: u32 = 240;

/// Exchange rates are not to change by themselves while it is looked whether anything has.
const CALM: [Override; 1] = [("pricing.fx_sync_seconds", toml::Value::Integer(86_400))];

/// What a client is told: the status, the body, and the headers that are declared.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    status: StatusCode,
    content_type: Option<String>,
    location: Option<String>,
    etag: Option<String>,
    body: Bytes,
}

impl From<Reply> for Told {
    fn from(reply: Reply) -> Self {
        let header = |name: &str| reply.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        let (content_type, location, etag) = (header("content-type"), header("location"), header("etag"));
        Self { status: reply.status, content_type, location, etag, body: reply.body }
    }
}

/// A client who writes down what was done for him.
struct Client<'a> {
    target: &'a Simulated,
    /// Rung at every call.
    bell: &'a Notify,
    chance: RefCell<Stream>,
    done: RefCell<Vec<(Request, Told)>>,
    replays: Cell<usize>,
    /// What a replay was answered otherwise.
    wrong: RefCell<Vec<String>>,
}

impl Client<'_> {
    /// Says it until the answer is none of the moment.
    async fn say(&self, request: &Request) -> Reply {
        for _ in 0..TRIES {
            self.bell.notify_one();
            let reply = self.target.call(request.clone()).await.unwrap();
            let passes =
                matches!(reply.status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
                    || reply.slug() == "idempotency-key-in-use";
            if !passes {
                return reply;
            }
            self.target.sleep(Duration::from_millis(500)).await;
        }
        panic!("{} {} has no answer that stands", request.method, request.path);
    }

    /// Has something done under a key of its own, and perhaps says something earlier again.
    async fn does(&self, request: Request) -> Json {
        let key = format!("call-{}", self.done.borrow().len());
        let request = request.header("idempotency-key", key);
        let reply = self.say(&request).await;
        assert!(reply.status.is_success(), "{} {}: {} {}", request.method, request.path, reply.status, reply.json());
        let json = reply.json();
        self.done.borrow_mut().push((request, reply.into()));
        let again = self.chance.borrow_mut().random_range(0..3);
        for _ in 0..again {
            self.says_something_again().await;
        }
        json
    }

    async fn says_something_again(&self) {
        let (request, first) = {
            let done = self.done.borrow();
            done[self.chance.borrow_mut().random_range(0..done.len())].clone()
        };
        let pause = self.chance.borrow_mut().random_range(0..PAUSE);
        self.target.sleep(Duration::from_millis(pause)).await;
        let reply = self.say(&request).await;
        let is_replay = reply.headers.get("idempotency-replayed").is_some_and(|value| value == "true");
        let told = Told::from(reply);
        if told != first || !is_replay {
            self.wrong.borrow_mut().push(format!("{} {}: first {first:?}, then {told:?}", request.method, request.path));
        }
        self.replays.set(self.replays.get() + 1);
    }

    async fn look_until(&self, path: &str, statuses: &[&str]) -> Json {
        for _ in 0..TRIES {
            let seen = self.say(&Request::get(path)).await.json();
            if seen["status"].as_str().is_some_and(|status| statuses.contains(&status)) {
                return seen;
            }
            self.target.sleep(Duration::from_secs(1)).await;
        }
        panic!("{path} never became {statuses:?}");
    }

    /// One of each kind of call at least.
    async fn trade(&self) {
        let usd = |amount: i64| json!({"amount": amount, "currency": "USD"});
        let text = |json: &Json, field: &str| json[field].as_str().unwrap().to_owned();
        self.say(&Request::put("/pricing/books/standard-usd/entries/LAMP", json!({"unitPrice": usd(1_999)}))).await;
        let category = self.does(Request::post("/categories", json!({"slug": "lamps", "name": "Lamps"}))).await;
        let lamp = json!({"sku": "LAMP", "title": "A lamp", "attributes": {}, "variants": [], "categoryId": category["id"]});
        let product = text(&self.does(Request::post("/products", lamp)).await, "id");
        let picture = json!({"fileName": "lamp.png", "contentType": "image/png"});
        self.does(Request::post(format!("/products/{product}/media"), picture)).await;
        let receipt = json!({"sku": "LAMP", "warehouse": "us-east", "delta": 100, "reason": "received"});
        self.does(Request::post("/inventory/adjust", receipt)).await;
        let rule = json!({"name": "Lamps for less", "sku": "LAMP", "priority": 1, "effect": {"percentOff": 500}});
        self.does(Request::post("/pricing/rules", rule)).await;
        let coupon = json!({
            "code": "LIGHT", "name": "Light for less", "effect": {"percentOff": 1000}, "startsAt": "2026-01-01T00:00:00Z",
            "endsAt": "2027-01-01T00:00:00Z", "usageLimit": 10,
        });
        self.does(Request::post("/promotions", coupon)).await;
        let ann = json!({"email": "ann@example.com", "fullName": "Ann Example", "region": "US"});
        let customer = text(&self.does(Request::post("/customers", ann)).await, "id");
        self.does(Request::post(format!("/customers/{customer}/segments"), json!({"segments": ["VIP"]}))).await;

        for number in 0..3 {
            let cart = text(&self.does(Request::post("/carts", json!({"region": "US", "customerId": customer}))).await, "id");
            self.does(Request::post(format!("/carts/{cart}/items"), json!({"sku": "LAMP", "quantity": 2}))).await;
            if number == 0 {
                self.does(Request::post(format!("/carts/{cart}/apply-coupon"), json!({"code": "LIGHT"}))).await;
            }
            let placed = self.does(Request::post(format!("/carts/{cart}/checkout"), checkout_body("tok_ok"))).await;
            let order = text(&placed, "orderId");
            if number == 2 {
                self.does(Request::post(format!("/orders/{order}/cancel"), json!({"reason": "found it cheaper"}))).await;
                continue;
            }
            let seen = self.look_until(&format!("/orders/{order}"), &["FULFILLED_READY"]).await;
            self.does(Request::post(format!("/orders/{order}/credits"), json!({"amount": usd(100), "reason": "late"}))).await;
            let refund = json!({"amount": usd(200), "reason": "a scratch"});
            self.does(Request::post(format!("/payments/{}/refund", text(&seen["payment"], "id")), refund)).await;
        }

        // What order-service asks of the others, asked by somebody else.
        for (number, end) in ["capture", "void"].into_iter().enumerate() {
            let order = format!("0195f3a2-7c11-7d3e-8a11-3f2f0c9b1e2{number}");
            let wanted = json!({"orderId": order, "amount": usd(5_000), "method": {"type": "card", "token": "tok_ok"}});
            let payment = text(&self.does(Request::post("/payments", wanted)).await, "id");
            self.does(Request::post(format!("/payments/{payment}/confirm"), json!({}))).await;
            self.look_until(&format!("/payments/{payment}"), &["AUTHORIZED"]).await;
            self.does(Request::post(format!("/payments/{payment}/{end}"), json!({}))).await;

            let wanted = json!({"orderId": order, "items": [{"sku": "LAMP", "quantity": 1}], "region": "US", "ttlSeconds": 900});
            let hold = self.does(Request::post("/inventory/reserve", wanted)).await;
            let held = |extra: Json| {
                let mut body = json!({"reservationId": hold["reservationId"], "fencingToken": hold["fencingToken"]});
                body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
                body
            };
            self.does(Request::post("/inventory/extend", held(json!({"ttlSeconds": 900})))).await;
            let last = if end == "capture" { "claim" } else { "release" };
            self.does(Request::post(format!("/inventory/{last}"), held(json!({})))).await;
        }
    }
}

/// Kills whoever it is, now and then, some steps after a call has begun; says how often, once it is over.
async fn crashes(target: &Simulated, bell: &Notify, is_over: &Cell<bool>, chance: &mut Stream) -> usize {
    let mut struck = 0;
    loop {
        bell.notified().await;
        if is_over.get() {
            return struck;
        }
        if !chance.random_ratio(1, STRUCK_ONE_IN) {
            continue;
        }
        for _ in 0..chance.random_range(0..STEPS) {
            tokio::task::yield_now().await;
        }
        let manifest = SIMULATION.manifests[chance.random_range(0..SIMULATION.manifests.len())];
        (0..2).for_each(|instance| target.world.kill(manifest.name, instance));
        target.sleep(Duration::from_millis(chance.random_range(0..DOWN))).await;
        for instance in 0..2 {
            while target.world.start(manifest, instance).await.is_err() {
                target.sleep(Duration::from_millis(100)).await;
            }
        }
        struck += 1;
    }
}

/// All that a system says of itself.
async fn everything(target: &Simulated) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for name in target.collections().await.unwrap() {
        let lines = target.export(&name).await.unwrap();
        all.extend(std::str::from_utf8(&lines).unwrap().lines().map(|line| format!("{name}: {line}")));
    }
    all
}

/// What became of a world.
#[derive(Debug, Default)]
struct Outcome {
    /// How many things were done once.
    done: usize,
    replays: usize,
    crashes: usize,
    wrong: Vec<String>,
    /// What the system knew before the replays or after them, and not both.
    effects: Vec<String>,
}

fn replay(simulation: &Simulation, seed: u64, replays: usize) -> Outcome {
    simulation
        .run(seed, &CALM, async |target| {
            let (bell, is_over) = (Notify::new(), Cell::new(false));
            let stream = |what| Chance::seeded(seed).stream("replays", what, "");
            let client = Client {
                target,
                bell: &bell,
                chance: stream("client").into(),
                done: RefCell::default(),
                replays: Cell::new(0),
                wrong: RefCell::default(),
            };
            let mut strikes = stream("strikes");
            let mut struck = 0;
            let mut during = async |work: std::pin::Pin<&mut dyn Future<Output = ()>>| {
                is_over.set(false);
                let work = async {
                    work.await;
                    is_over.set(true);
                    bell.notify_one();
                };
                struck += futures::join!(work, crashes(target, &bell, &is_over, &mut strikes)).1;
            };
            during(std::pin::pin!(client.trade())).await;
            target.sleep(SETTLED).await;
            let before = everything(target).await;
            during(std::pin::pin!(async {
                while client.replays.get() < replays {
                    client.says_something_again().await;
                }
            }))
            .await;
            target.sleep(Duration::from_secs(60)).await;
            let effects = everything(target).await.symmetric_difference(&before).cloned().collect();
            let (done, wrong) = (client.done.borrow().len(), client.wrong.take());
            Outcome { done, replays: client.replays.get(), crashes: struck, wrong, effects }
        })
        .unwrap()
}

/// So many replays, `each` of them in a world of its own.
fn worlds(replays: usize, each: usize) {
    let seeds: Vec<u64> = (1..=u64::try_from(replays.div_ceil(each)).unwrap()).collect();
    let played = on_threads(2, &seeds, |seed| replay(&SIMULATION, *seed, each));
    let all: Vec<Outcome> = played.into_iter().flatten().collect();
    assert_eq!(all.len(), seeds.len(), "a world panicked");
    for (seed, outcome) in seeds.iter().zip(&all) {
        assert!(outcome.wrong.is_empty(), "seed {seed}: {} answers differ, the first: {}", outcome.wrong.len(), outcome.wrong[0]);
        assert_eq!(outcome.effects, <[String; 0]>::default(), "seed {seed}: replays have had an effect");
        assert!(outcome.crashes > 0, "seed {seed}: nothing crashed");
    }
    let sum = |of: fn(&Outcome) -> usize| all.iter().map(of).sum::<usize>();
    let (done, told, crashes) = (sum(|one| one.done), sum(|one| one.replays), sum(|one| one.crashes));
    println!("{} worlds: {done} calls, {told} replays of them, {crashes} crashes; no second effect, no other answer", all.len());
}

#[test]
fn what_was_done_once_is_not_done_again_however_often_it_is_asked_for_and_whoever_dies() {
    worlds(1_200, 600);
}

/// `make replays`: a million of them, or as many as `REPLAYS` says.
#[test]
#[ignore = "it takes minutes"]
#[expect(clippy::disallowed_methods, reason = "a test may be told how much it is to do")]
fn a_million_replays_have_no_second_effect() {
    let wanted = std::env::var("REPLAYS").ok().and_then(|number| number.parse().ok()).unwrap_or(1_000_000);
    worlds(wanted, 20_000);
}

#[test]
fn a_service_that_forgets_or_confuses_its_answers_is_found() {
    let plants: [(&'static str, &'static str, &str); 3] = [
        (
            "order",
            "CREATE TRIGGER bug AFTER INSERT ON order_idempotency WHEN NEW.endpoint LIKE '%/credits' BEGIN
             DELETE FROM order_idempotency WHERE endpoint = NEW.endpoint AND token = NEW.token; END",
            "/credits",
        ),
        (
            "inventory",
            "CREATE TRIGGER bug AFTER INSERT ON inventory_idempotency WHEN NEW.endpoint LIKE '%/adjust' BEGIN
             UPDATE inventory_idempotency SET body = X'7B7D' WHERE endpoint = NEW.endpoint AND token = NEW.token; END",
            "/adjust",
        ),
        (
            "cart",
            "CREATE TRIGGER bug AFTER INSERT ON cart_idempotency WHEN NEW.endpoint = 'POST /carts' BEGIN
             UPDATE cart_idempotency SET location = NULL WHERE endpoint = NEW.endpoint AND token = NEW.token; END",
            "/carts",
        ),
    ];
    for (service, script, path) in plants {
        let planted: &'static [(&str, &str)] = vec![(service, script)].leak();
        let outcome = replay(&Simulation { planted, ..SIMULATION }, 1, 300);
        let paths: BTreeSet<&str> = outcome
            .wrong
            .iter()
            .filter_map(|wrong| wrong.split_once(": "))
            .map(|(call, _)| call.split_at(call.rfind('/').unwrap()).1)
            .collect();
        assert_eq!(paths, BTreeSet::from([path]), "{service}: {:?}", outcome.wrong.first());
        assert_eq!(
            outcome.effects.is_empty(),
            service != "order",
            "{service}: a forgotten answer is a second effect, a confused one is none"
        );
    }
}
