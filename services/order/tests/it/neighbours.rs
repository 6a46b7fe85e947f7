//! The neighbours' scripts: cart, inventory and payment as far as order-service speaks to them. Each notes what was said; an effect that
//! is said twice under one key is one.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use cart_api::events::{CartCheckedOut, CheckedOutLine};
use payment_api::events::{PaymentAuthorized, PaymentRefunded};
use platform::{Settings, bus::Outgoing, event::Event, schema::Codec, testing::Stage};
use serde_json::{Value, json};
use types::{CartId, Currency, Money, OrderId, PaymentId, Quantity, Sku, Timestamp, id::Uuid};

pub const CUSTOMER: &str = "0195f3a2-7c11-7d3e-8a11-3f2f0c9b1e22";

#[derive(Clone, Debug, Default)]
pub struct Script {
    pub no_stock: bool,
    pub declined: bool,
    pub hold_expired: bool,
    pub never_answers: bool,
    /// The payment is made and authorized, and whoever asked for it never hears of it.
    pub pays_unheard: bool,
    /// So many confirmations do not arrive.
    pub confirmations_lost: usize,
    pub checked_out_by_cart: bool,
    pub customer: bool,
    /// The cart's customer was erased after the checkout.
    pub erased: bool,
    pub said: Arc<Mutex<Vec<String>>>,
    pub effects: Arc<Mutex<BTreeSet<String>>>,
    pub payment: Arc<Mutex<String>>,
}

impl Script {
    /// What was said to the neighbours, in order; reading does not count.
    pub fn said(&self) -> Vec<String> {
        self.said.lock().unwrap().clone()
    }

    pub fn effects(&self) -> usize {
        self.effects.lock().unwrap().len()
    }

    fn say(&self, what: &str) {
        self.said.lock().unwrap().push(what.to_owned());
    }

    fn effect(&self, what: &str, headers: &HeaderMap) {
        self.say(what);
        let key = headers.get("idempotency-key").map(|key| key.to_str().unwrap().to_owned()).unwrap_or_default();
        assert!(!key.is_empty(), "{what} was said without a key");
        self.effects.lock().unwrap().insert(format!("{what} {key}"));
    }
}

pub fn cart_of(number: u128) -> CartId {
    CartId(Uuid::from_u128(number))
}

pub async fn stage(script: Script) -> (Stage, Script) {
    stage_of(script, |settings| settings).await
}

pub async fn stage_of(script: Script, change: impl FnOnce(Settings) -> Settings) -> (Stage, Script) {
    let stage = Stage::of(&[&order::MANIFEST], 1, change).await;
    stage.neighbour("cart", cart(script.clone()));
    stage.neighbour("inventory", inventory(script.clone()));
    stage.neighbour("payment", payment(script.clone(), stage.world.clock()));
    (stage, script)
}

/// What cart-service would publish.
/// Tells that 1.00 was refunded of the payment of an order; the `nth` such telling, of which each says what has gone back in all.
pub async fn announce_refund(stage: &Stage, order: OrderId, nth: i64) {
    let event = PaymentRefunded {
        payment_id: PaymentId(Uuid::from_u128(3)),
        order_id: order,
        amount: Money::new(100, Currency::Usd),
        version: 10 + nth,
        reason: None,
        refunded: Some(Money::new(100 * nth, Currency::Usd)),
        kept: Some(Money::new(1_999 - 100 * nth, Currency::Usd)),
        at: Timestamp::from_seconds(1),
    };
    publish(stage, &event, Uuid::from_u128(100 + nth.unsigned_abs() as u128)).await;
}

/// Tells of the authorization of an order's payment, which has the version that the script gives it.
pub async fn announce_authorization(stage: &Stage, order: OrderId) {
    let event = PaymentAuthorized {
        payment_id: PaymentId(Uuid::from_u128(3)),
        order_id: order,
        amount: Money::new(1_999, Currency::Usd),
        version: 3,
        reason: None,
        refunded: None,
        kept: None,
        at: Timestamp::from_seconds(1),
    };
    publish(stage, &event, Uuid::from_u128(200)).await;
}

async fn publish<E: Event>(stage: &Stage, event: &E, id: Uuid) {
    let codec = Codec::<E>::register(stage.world.registry(), &format!("{}-value", E::TOPIC)).unwrap();
    let headers = vec![("ce_id".to_owned(), id.to_string())];
    let outgoing = Outgoing { topic: E::TOPIC.into(), key: event.key(), value: codec.encode(event).unwrap(), headers };
    stage.world.bus().publish(vec![outgoing]).await.unwrap();
}

pub async fn announce_checkout(stage: &Stage, cart: CartId) {
    let line = CheckedOutLine { sku: Sku::new("LAMP").unwrap(), quantity: Quantity::ONE, unit_price: Money::new(1999, Currency::Usd) };
    let event = CartCheckedOut {
        cart_id: cart,
        customer_id: None,
        total: Money::new(1999, Currency::Usd),
        lines: vec![line],
        version: 2,
        at: Timestamp::from_seconds(1),
    };
    publish(stage, &event, Uuid::from_u128(9)).await;
}

fn problem(status: u16, slug: &str) -> Response {
    let body = json!({"type": format!("urn:crashcart:problem:{slug}"), "title": slug, "status": status});
    (StatusCode::from_u16(status).unwrap(), Json(body)).into_response()
}

fn usd(amount: i64) -> Value {
    json!({"amount": amount, "currency": "USD"})
}

fn cart(script: Script) -> Router {
    let freeze = |State(script): State<Script>, Path(id): Path<String>, Query(of): Query<BTreeMap<String, String>>| async move {
        if of.get("customerId").is_some_and(|of| !script.customer || of != CUSTOMER) {
            return problem(404, "not-found");
        }
        script.say("freeze");
        let address = json!({"line1": "1 Marker Street", "city": "Huế", "postalCode": "53000", "country": "VN"});
        let checkout = json!({"paymentMethod": {"type": "card", "token": "tok_ok"}, "shippingAddress": address});
        let at = "2026-01-05T00:00:00Z";
        Json(json!({
            "cart": {
                "id": id, "customerId": script.customer.then_some(CUSTOMER), "sessionToken": "s", "status": "CHECKED_OUT", "region": "US",
                "currency": "USD", "coupon": null,
                "items": [{"sku": "LAMP", "quantity": 1, "unitPrice": usd(1999), "discount": usd(0), "tax": usd(0),
                           "quote": {"listPrice": usd(1999), "quotedAt": at, "validUntil": at}}],
                "subtotal": usd(1999), "discounts": usd(0), "tax": usd(0), "shipping": usd(0), "total": usd(1999), "version": 2, "expiresAt": at,
            },
            "checkout": script.checked_out_by_cart.then_some(checkout),
            "erased": script.erased,
        }))
        .into_response()
    };
    Router::new().route("/carts/{id}/freeze", post(freeze)).with_state(script)
}

fn inventory(script: Script) -> Router {
    fn reservation(status: &str) -> Response {
        let body = json!({
            "reservationId": Uuid::from_u128(5), "orderId": Uuid::from_u128(6), "status": status, "fencingToken": 7,
            "expiresAt": "2026-01-05T00:10:00Z", "items": [],
        });
        Json(body).into_response()
    }
    let reserve = |State(script): State<Script>, headers: HeaderMap| async move {
        if script.no_stock {
            script.say("reserve");
            return problem(409, "insufficient-stock");
        }
        script.effect("reserve", &headers);
        reservation("HELD")
    };
    let extend = |State(script): State<Script>| async move {
        script.say("extend");
        reservation("HELD")
    };
    let claim = |State(script): State<Script>, headers: HeaderMap| async move {
        if script.hold_expired {
            script.say("claim");
            return problem(409, "hold-expired");
        }
        script.effect("claim", &headers);
        reservation("CLAIMED")
    };
    let release = |State(script): State<Script>| async move {
        script.say("release");
        reservation("RELEASED")
    };
    Router::new()
        .route("/inventory/reserve", post(reserve))
        .route("/inventory/extend", post(extend))
        .route("/inventory/claim", post(claim))
        .route("/inventory/release", post(release))
        .with_state(script)
}

fn payment(script: Script, clock: platform::Clock) -> Router {
    fn view(script: &Script) -> Value {
        let at = "2026-01-05T00:00:00Z";
        let status = script.payment.lock().unwrap().clone();
        let steps = ["REQUIRES_CONFIRMATION", "PROCESSING", "AUTHORIZED", "CAPTURED", "REFUNDED"];
        let version = steps.iter().position(|step| *step == status).map_or(9, |place| place + 1);
        json!({
            "id": Uuid::from_u128(3), "orderId": Uuid::from_u128(4), "amount": usd(1999), "captured": usd(0), "refunded": usd(0),
            "status": status, "refunds": [], "version": version, "createdAt": at, "updatedAt": at,
        })
    }
    let shown = |script: &Script| Json(view(script)).into_response();
    let become_ = |script: &Script, status: &str| *script.payment.lock().unwrap() = status.to_owned();
    let create = move |State(script): State<Script>, headers: HeaderMap| async move {
        script.effect("pay", &headers);
        if script.pays_unheard {
            become_(&script, "AUTHORIZED");
            return problem(503, "unavailable");
        }
        if script.payment.lock().unwrap().is_empty() {
            become_(&script, "REQUIRES_CONFIRMATION");
        }
        shown(&script)
    };
    let confirm = move |State(script): State<Script>| async move {
        script.say("confirm");
        if script.said().iter().filter(|said| *said == "confirm").count() <= script.confirmations_lost {
            return problem(503, "unavailable");
        }
        let status = match (script.declined, script.never_answers) {
            (true, _) => "FAILED",
            (_, true) => "PROCESSING",
            _ => "AUTHORIZED",
        };
        become_(&script, status);
        if script.never_answers {
            clock.sleep(Duration::from_secs(10)).await;
        }
        shown(&script)
    };
    let capture = move |State(script): State<Script>, headers: HeaderMap| async move {
        script.effect("capture", &headers);
        become_(&script, "CAPTURED");
        shown(&script)
    };
    let void = move |State(script): State<Script>| async move {
        script.say("void");
        if script.payment.lock().unwrap().as_str() != "REFUNDED" {
            become_(&script, "VOIDED");
        }
        shown(&script)
    };
    let refund = move |State(script): State<Script>| async move {
        script.say("refund");
        become_(&script, "REFUNDED");
        shown(&script)
    };
    let look = move |State(script): State<Script>| async move { shown(&script) };
    let of_order = |State(script): State<Script>| async move {
        let is_made = !script.payment.lock().unwrap().is_empty();
        Json(json!({"items": is_made.then(|| view(&script)).into_iter().collect::<Vec<_>>(), "nextCursor": null}))
    };
    Router::new()
        .route("/payments", post(create).get(of_order))
        .route("/payments/{id}", get(look))
        .route("/payments/{id}/confirm", post(confirm))
        .route("/payments/{id}/capture", post(capture))
        .route("/payments/{id}/void", post(void))
        .route("/payments/{id}/refund", post(refund))
        .with_state(script)
}
