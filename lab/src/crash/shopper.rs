//! One client among several. It notes what it is about to ask, asks, notes the answer, and stops when nobody answers any more. What had no
//! answer is asked again, word for word and with the same key, in a later life.

use std::time::Duration;

use http::Method;
use platform::{Chance, chance::Stream};
use rand::RngExt;
use serde_json::{Value as Json, json};

use super::{
    CheckError, Shared,
    judge::Finding,
    record::{Answered, Asked, Intent, order_of},
};
use crate::target::{Reply, Request, Target};

/// What there is to buy; one of them is in short supply.
const SKUS: [(&str, i64, i64); 4] =
    [("CRASH-LAMP", 1_999, 1_000_000), ("CRASH-DESK", 24_900, 1_000_000), ("CRASH-SOFA", 99_900, 300), ("CRASH-MUG", 799, 1_000_000)];
const WAREHOUSE: &str = "us-east";
/// A SKU that nobody buys: its journal holds nothing but what the record knows.
const SHELF: &str = "CRASH-SHELF";
/// How cards behave, with their weights.
const CARDS: [(&str, u32); 6] =
    [("tok_ok", 80), ("tok_decline_insufficient", 8), ("tok_duplicate", 4), ("tok_late_1", 4), ("tok_slow_1", 3), ("tok_timeout", 1)];
/// Of what was acknowledged in the life before, how much is said again word for word.
const REPEATED: f64 = 0.2;
/// How many lives are looked back at: some end before anybody could.
const LOOKED_BACK: u32 = 3;
const BUSY_PAUSE: Duration = Duration::from_millis(100);

/// The system does not answer any more.
struct Dead;

pub struct Shopper<'a> {
    target: &'a dyn Target,
    shared: &'a Shared,
    draws: Stream,
    life: u32,
    number: u32,
    asked: u32,
    findings: Vec<Finding>,
}

impl<'a> Shopper<'a> {
    pub(super) fn new(target: &'a dyn Target, shared: &'a Shared, seed: u64, life: u32, number: u32) -> Self {
        let draws = Chance::seeded(seed).stream("crash", &format!("{life}/{number}"), "shopper");
        Self { target, shared, draws, life, number, asked: 0, findings: Vec::new() }
    }

    /// Shops until nobody answers.
    pub(super) async fn live(mut self) -> Vec<Finding> {
        let Err(Dead) = self.shop().await;
        self.findings
    }

    /// Asks everything again that has no answer, until it has one.
    pub(super) async fn finish(&mut self, patience: Duration) -> Result<(), CheckError> {
        let until = self.target.now().plus(patience);
        loop {
            let open = self.shared.record().unanswered();
            let Some(first) = open.first().cloned() else { return Ok(()) };
            if self.target.now() >= until {
                return Err(CheckError::Unanswered { request: format!("{} (and {} more)", first.path, open.len() - 1) });
            }
            for asked in open {
                if self.say(asked).await.is_err() {
                    self.target.sleep(BUSY_PAUSE).await;
                }
            }
        }
    }

    async fn shop(&mut self) -> Result<std::convert::Infallible, Dead> {
        if self.number == 0 {
            self.set_up().await?;
            let open = self.shared.record().unanswered();
            for asked in open {
                self.say(asked).await?;
            }
            self.look_back().await?;
        }
        loop {
            match self.draws.random_range(0..100_u32) {
                0..10 => self.adjust().await?,
                10..20 => self.hold().await?,
                20..45 => self.look_after().await?,
                _ => self.buy().await?,
            }
        }
    }

    /// Prices and stock; said in every life, done once.
    async fn set_up(&mut self) -> Result<(), Dead> {
        for (sku, price, stock) in SKUS {
            let entry = json!({"unitPrice": {"amount": price, "currency": "USD"}});
            self.send(Request::put(format!("/pricing/books/standard-usd/entries/{sku}"), entry)).await?;
            let key = format!("set-up-{sku}");
            let is_done = self.shared.record().all().any(|known| known.asked.key == key && known.answer.is_some());
            if !is_done {
                self.say(adjustment(key, sku, stock)).await?;
            }
        }
        Ok(())
    }

    /// What was acknowledged before the kill must be there, and must be said again as it was said.
    async fn look_back(&mut self) -> Result<(), Dead> {
        let done = self.shared.record().done_in(self.life.saturating_sub(LOOKED_BACK)..self.life);
        for (asked, answer) in done {
            let (path, what) = match asked.intent {
                Intent::CheckOut | Intent::Order => (order_of(&answer.body).map(|order| format!("/orders/{order}")), "order"),
                Intent::Cancel => (Some(format!("/orders/{}", asked.about)), "cancellation"),
                Intent::Refund => (Some(format!("/payments/{}", asked.about)), "refund"),
                Intent::Adjust => (None, "adjustment"),
                Intent::Reserve | Intent::Claim | Intent::Release => {
                    (answer.body["reservationId"].as_str().map(|id| format!("/inventory/reservations/{id}")), "reservation")
                }
            };
            if let Some(path) = path {
                let shown = self.send(Request::get(&path)).await?;
                let (was, told) = (&answer.body["status"], shown.json());
                if shown.status.is_success() && asked.intent == Intent::Cancel && was == "CANCELLED" && told["status"] != *was {
                    self.find(Finding::lost(format!("{what} {path}: it is {} again", told["status"])));
                } else if shown.status.is_client_error() {
                    self.find(Finding::lost(format!("{what} {path}, acknowledged with {} in life {}", answer.status, answer.life)));
                }
            }
            if self.draws.random_bool(REPEATED) {
                let again = self.send(request(&asked)).await?;
                let told = (again.status.as_u16(), again.json());
                if !is_undecided(&again) && told != (answer.status, answer.body.clone()) {
                    self.find(Finding::changed(format!(
                        "{} said again with its key: {} {}, and before the kill {} {}",
                        asked.path, told.0, told.1, answer.status, answer.body
                    )));
                }
            }
        }
        Ok(())
    }

    async fn buy(&mut self) -> Result<(), Dead> {
        let Some(cart) = self.done(Request::post("/carts", json!({"region": "US"}))).await? else { return Ok(()) };
        let cart = cart["id"].as_str().unwrap_or_default().to_owned();
        for _ in 0..self.draws.random_range(1..=2) {
            let (sku, ..) = SKUS[self.draws.random_range(0..SKUS.len())];
            let item = json!({"sku": sku, "quantity": self.draws.random_range(1..=3)});
            if self.done(Request::post(format!("/carts/{cart}/items"), item)).await?.is_none() {
                return Ok(());
            }
        }
        let mut body = json!({
            "paymentMethod": {"type": "card", "token": self.card()},
            "shippingAddress": {"line1": "1 Harbour Road", "city": "Springfield", "postalCode": "12345", "country": "US"},
        });
        let (intent, path) = if self.draws.random_bool(0.5) {
            (Intent::CheckOut, format!("/carts/{cart}/checkout"))
        } else {
            body["cartId"] = json!(cart);
            (Intent::Order, "/orders".to_owned())
        };
        let key = self.key();
        self.say(Asked { key, intent, path, body, about: cart }).await.map(drop)
    }

    /// Looks at an order that was acknowledged at any time; when it has settled, sometimes cancels it or gives a part of the money back.
    async fn look_after(&mut self) -> Result<(), Dead> {
        let draw = self.draws.random_range(0..usize::MAX);
        let Some(order) = self.shared.record().take_order(draw) else { return Ok(()) };
        let shown = self.send(Request::get(format!("/orders/{order}"))).await;
        let Ok(shown) = shown else {
            self.shared.record().put_back(order);
            return Err(Dead);
        };
        let told = shown.json();
        let Some(status) = told["status"].as_str().filter(|_| shown.status.is_success()) else {
            if shown.status.is_client_error() {
                self.find(Finding::lost(format!("order {order}")));
            }
            return Ok(());
        };
        self.shared.record().saw(&order, status);
        match (status, told["payment"]["id"].as_str()) {
            ("FULFILLED_READY", Some(payment)) => match self.draws.random_range(0..4_u32) {
                0 => {
                    let (key, path) = (self.key(), format!("/orders/{order}/cancel"));
                    let asked = Asked { key, intent: Intent::Cancel, path, body: json!({"reason": "changed my mind"}), about: order };
                    self.say(asked).await.map(drop)
                }
                1 => {
                    let amount = self.draws.random_range(1..=100_i64);
                    let body = json!({"amount": {"amount": amount, "currency": "USD"}, "reason": "a scratch"});
                    let (key, path) = (self.key(), format!("/payments/{payment}/refund"));
                    self.say(Asked { key, intent: Intent::Refund, path, body, about: payment.to_owned() }).await?;
                    self.shared.record().put_back(order);
                    Ok(())
                }
                _ => Ok(()),
            },
            ("PENDING" | "RESERVED" | "PAID" | "CONFIRMED", _) => {
                self.shared.record().put_back(order);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Stock comes in; what is on the shelf is the sum of what was acknowledged.
    async fn adjust(&mut self) -> Result<(), Dead> {
        let (key, delta) = (self.key(), self.draws.random_range(1..=50));
        self.say(adjustment(key, SHELF, delta)).await.map(drop)
    }

    /// A hold without an order, which is claimed or released.
    async fn hold(&mut self) -> Result<(), Dead> {
        let (sku, ..) = SKUS[0];
        // Any id will do, and it must be the same when it is said again.
        let order = uuid_of(self.draws.random());
        let (key, body) = (self.key(), json!({"orderId": order, "items": [{"sku": sku, "quantity": 1}], "warehouse": WAREHOUSE}));
        let path = "/inventory/reserve".to_owned();
        let held = self.say(Asked { key, intent: Intent::Reserve, path, body, about: sku.to_owned() }).await?;
        let Some(held) = held.filter(|held| held.status.is_success()).map(|held| held.json()) else { return Ok(()) };
        let (intent, what) = if self.draws.random_bool(0.5) { (Intent::Claim, "claim") } else { (Intent::Release, "release") };
        let body = json!({"reservationId": held["reservationId"], "fencingToken": held["fencingToken"]});
        let about = held["reservationId"].as_str().unwrap_or_default().to_owned();
        let key = self.key();
        self.say(Asked { key, intent, path: format!("/inventory/{what}"), body, about }).await.map(drop)
    }

    /// Asks for what has an effect, and keeps the answer. None while there is none that says what became of it.
    async fn say(&mut self, asked: Asked) -> Result<Option<Reply>, Dead> {
        self.shared.record().asks(asked.clone());
        let reply = self.send(request(&asked)).await?;
        if is_undecided(&reply) {
            self.target.sleep(BUSY_PAUSE).await;
            return Ok(None);
        }
        let answer = Answered { status: reply.status.as_u16(), body: reply.json(), life: self.life };
        self.shared.record().answered(&asked.key, answer);
        Ok(Some(reply))
    }

    /// A call without which the rest makes no sense; none when it was refused.
    async fn done(&mut self, request: Request) -> Result<Option<Json>, Dead> {
        let reply = self.send(request).await?;
        Ok(reply.status.is_success().then(|| reply.json()))
    }

    async fn send(&mut self, request: Request) -> Result<Reply, Dead> {
        self.target.call(request).await.map_err(|_| Dead)
    }

    fn find(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    fn key(&mut self) -> String {
        self.asked += 1;
        format!("crash-{}-{}-{}-{}", self.shared.record().openings(), self.life, self.number, self.asked)
    }

    fn card(&mut self) -> &'static str {
        let mut point = self.draws.random_range(0..CARDS.iter().map(|(_, weight)| weight).sum::<u32>());
        for (token, weight) in CARDS {
            if point < weight {
                return token;
            }
            point -= weight;
        }
        CARDS[0].0
    }
}

/// Whether an answer leaves open what became of the request.
fn is_undecided(reply: &Reply) -> bool {
    reply.status.is_server_error() || reply.slug() == "idempotency-key-in-use"
}

fn adjustment(key: String, sku: &str, delta: i64) -> Asked {
    let body = json!({"sku": sku, "warehouse": WAREHOUSE, "delta": delta, "reason": "received"});
    Asked { key, intent: Intent::Adjust, path: "/inventory/adjust".to_owned(), body, about: sku.to_owned() }
}

fn request(asked: &Asked) -> Request {
    let request = Request { method: Method::POST, path: asked.path.clone(), headers: Vec::new(), body: Some(asked.body.clone()) };
    request.header("idempotency-key", &asked.key)
}

fn uuid_of(random: u128) -> String {
    let mut bytes = random.to_be_bytes();
    bytes[6] = 0x70 | (bytes[6] & 0x0f);
    bytes[8] = 0x80 | (bytes[8] & 0x3f);
    types::id::Uuid::from_bytes(bytes).to_string()
}
