//! cart-service at its doors, in a simulated world; pricing and order-service are scripted unless a test says otherwise.
#![expect(clippy::unwrap_used, reason = "in a test, what cannot be unwrapped has failed")]

mod changes;
mod checkout;
mod ends;
mod neighbours;
mod ownership;
mod reading;

use cart::MANIFEST;
use cart_api::Cart;
use http::Method;
use neighbours::{Orders, Prices};
use platform::testing::{Got, Stage};
use serde_json::{Value as Json, json};

/// A stage with one instance of the cart and its neighbours.
pub struct Shop {
    pub stage: Stage,
    pub prices: Prices,
    pub orders: Orders,
}

impl Shop {
    pub async fn open() -> Self {
        Self::around(Stage::with(&[&MANIFEST]).await)
    }

    /// A shop that asks for tokens.
    pub async fn guarded() -> Self {
        Self::around(Stage::of(&[&MANIFEST], 1, |settings| settings.with("platform.auth", "jwt").unwrap()).await)
    }

    fn around(stage: Stage) -> Self {
        let prices = Prices::new(stage.world.clock());
        let orders = Orders::default();
        stage.neighbour("pricing", prices.router());
        stage.neighbour("order", orders.router());
        Self { stage, prices, orders }
    }

    pub async fn new_cart(&self) -> Cart {
        let got = self.stage.post("/carts", &json!({})).await;
        assert_eq!(got.status, 201, "{:?}", got.json());
        got.view()
    }

    /// A cart with two lamps and a desk: 20.00 + 50.00, 10 % tax, 5.00 shipping.
    pub async fn filled_cart(&self) -> Cart {
        let cart = self.new_cart().await;
        self.add(&cart, "LAMP", 2).await;
        self.add(&cart, "DESK", 1).await.view()
    }

    pub async fn add(&self, cart: &Cart, sku: &str, quantity: u32) -> Got {
        self.stage.post(&format!("/carts/{}/items", cart.id), &json!({"sku": sku, "quantity": quantity})).await
    }

    pub async fn cart(&self, cart: &Cart) -> Cart {
        self.stage.get(&format!("/carts/{}", cart.id)).await.view()
    }

    pub async fn check_out(&self, cart: &Cart, key: &str) -> Got {
        self.stage.post_with_key(&format!("/carts/{}/checkout", cart.id), &checkout(), key).await
    }

    pub async fn freeze(&self, cart: &Cart) -> Got {
        self.stage.post(&format!("/carts/{}/freeze", cart.id), &json!({})).await
    }

    /// A change with the version that was seen.
    pub async fn seeing(&self, version: &str, method: Method, path: &str, body: Option<&Json>) -> Got {
        self.stage.send(method, path, body, &[("if-match", version)]).await
    }

    /// The steps in the cart's own log.
    pub async fn log(&self, cart: &Cart) -> Vec<String> {
        let facts = self.stage.facts("cart-events").await;
        let of = facts.iter().filter(|fact| fact["id"] == cart.id.to_string());
        of.map(|fact| fact["kind"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

pub fn checkout() -> Json {
    json!({
        "paymentMethod": {"type": "card", "token": "tok_ok"},
        "shippingAddress": {"line1": "1 Main Street", "city": "Springfield", "postalCode": "12345", "country": "US"},
    })
}

pub fn pointer(got: &Got) -> String {
    got.json()["errors"][0]["pointer"].as_str().unwrap_or_default().to_owned()
}
