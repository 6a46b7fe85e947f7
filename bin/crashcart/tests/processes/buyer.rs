//! A customer with a token of its own, who says again what had no answer, word for word and with the same key.

use std::time::Duration;

use http::StatusCode;
use lab::target::{Remote, Reply, Request, Target};
use platform::{Chance, auth::Role, ids::Ids};
use serde_json::{Value as Json, json};
use types::CustomerId;

use crate::fleet::Fleet;

const SKU: &str = "LAMP-RED-L";
const PATIENCE: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(100);

pub struct Buyer {
    shop: Remote,
    number: usize,
    id: CustomerId,
    token: String,
}

/// What became of a checkout.
#[derive(Clone, Debug)]
pub struct Bought {
    pub order: String,
    pub status: String,
    /// How it came to that, and why.
    pub timeline: Json,
    pub payment: String,
    pub total: Json,
}

impl Bought {
    pub fn must_be(&self, status: &str) {
        assert_eq!(self.status, status, "order {}: {}", self.order, self.timeline);
    }
}

/// Sets a price and stock.
pub async fn sell(shop: &Remote) {
    let price = json!({"unitPrice": {"amount": 1_999, "currency": "USD"}});
    shop.must(Request::put(format!("/pricing/books/standard-usd/entries/{SKU}"), price)).await.unwrap();
    let stock = json!({"sku": SKU, "warehouse": "us-east", "delta": 1_000, "reason": "received"});
    shop.must(Request::post("/inventory/adjust", stock).header("idempotency-key", "stock")).await.unwrap();
}

/// Offers a product and changes it at once; its id.
pub async fn offer(shop: &Remote, number: usize) -> String {
    let product = |title: &str| json!({"sku": format!("OFFER-{number}"), "title": title});
    let new = Request::post("/products", product("Lamp")).header("idempotency-key", format!("offer-{number}"));
    let made = patiently(shop, new).await.done("a product").unwrap().json();
    let id = made["id"].as_str().unwrap().to_owned();
    // Over whatever stands there: a change that had no answer may have been made.
    let change = Request::put(format!("/products/{id}"), product("A better lamp")).header("if-match", "*");
    patiently(shop, change).await.done("its change").unwrap();
    id
}

impl Buyer {
    pub fn new(fleet: &Fleet, number: usize) -> Self {
        let id: CustomerId = Ids::new(fleet.clock, Chance::real().unwrap(), "buyer", 0).make();
        Self { shop: fleet.remote(), number, id, token: fleet.token(&id.to_string(), Role::Customer) }
    }

    /// Signs up, fills a cart, checks out, and waits until the order has settled.
    pub async fn buy(&self, card: &str) -> Bought {
        let who = json!({"email": format!("buyer-{}@example.com", self.number), "fullName": "Mai Nguyễn", "region": "US"});
        let customer = self.does("/customers", who).await;
        assert_eq!(customer["id"], self.id.to_string());
        let cart = self.does("/carts", json!({"region": "US"})).await;
        let cart = cart["id"].as_str().unwrap();
        self.does(&format!("/carts/{cart}/items"), json!({"sku": SKU, "quantity": 2})).await;
        let checkout = json!({
            "paymentMethod": {"type": "card", "token": card},
            "shippingAddress": {"line1": "1 Harbour Road", "city": "Springfield", "postalCode": "12345", "country": "US"},
        });
        let taken = self.does(&format!("/carts/{cart}/checkout"), checkout).await;
        let order = taken["orderId"].as_str().unwrap().to_owned();
        let until = self.shop.now().plus(PATIENCE);
        loop {
            let told = self.ask(Request::get(format!("/orders/{order}?wait=10s"))).await.json();
            let status = told["status"].as_str().unwrap().to_owned();
            if matches!(status.as_str(), "FULFILLED_READY" | "CANCELLED") {
                let payment = told["payment"]["id"].as_str().unwrap_or_default().to_owned();
                return Bought { order, status, timeline: told["timeline"].clone(), payment, total: told["total"].clone() };
            }
            assert!(self.shop.now() < until, "order {order} is still {status}");
        }
    }

    /// The shop makes up for something; the credit's id.
    pub async fn is_given_back(&self, bought: &Bought) -> String {
        let credit = json!({"amount": {"amount": 100, "currency": "USD"}, "reason": "a scratch"});
        let path = format!("/orders/{}/credits", bought.order);
        let request = Request::post(path, credit).header("idempotency-key", format!("credit-{}", self.number));
        let granted = patiently(&self.shop, request).await.done("a credit").unwrap().json();
        granted["id"].as_str().unwrap().to_owned()
    }

    pub async fn is_known(&self) -> StatusCode {
        self.ask(Request::get(format!("/customers/{}", self.id))).await.status
    }

    async fn does(&self, path: &str, body: Json) -> Json {
        let request = Request::post(path, body).header("idempotency-key", format!("{}-{path}", self.number));
        self.ask(request).await.done(path).unwrap().json()
    }

    async fn ask(&self, request: Request) -> Reply {
        patiently(&self.shop, request.header("authorization", format!("Bearer {}", self.token))).await
    }
}

/// Says it until there is an answer that says what became of it.
async fn patiently(shop: &Remote, request: Request) -> Reply {
    let until = shop.now().plus(PATIENCE);
    loop {
        let reply = shop.call(request.clone()).await.unwrap();
        if !reply.status.is_server_error() && reply.slug() != "idempotency-key-in-use" {
            return reply;
        }
        assert!(shop.now() < until, "{} {} was answered {} to the end: {}", request.method, request.path, reply.status, reply.json());
        shop.sleep(PAUSE).await;
    }
}
