//! The neighbours of the cart, as simple as they can be and still keep their promises.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{delete, post},
};
use order_api::{CreateOrder, Order, OrderShipment, OrderStatus};
use platform::{
    Clock,
    problem::{Kind, Problem},
};
use pricing_api::{PriceCart, PriceCartQuery, PricedCart, PricedLine, Redeem};
use types::{CartId, Currency, Money, OrderId, Region, Timestamp, id::Uuid};

const EXHAUSTED: Kind = Kind::new(409, "coupon-exhausted", "The coupon is used up");
const ORDERED: Kind = Kind::new(409, "cart-already-ordered", "There is an order of this cart already");

/// A pricing that knows a few prices: 10 % tax, 5.00 shipping, a coupon takes 10 %.
#[derive(Clone)]
pub struct Prices {
    clock: Clock,
    list: Arc<Mutex<BTreeMap<String, i64>>>,
    /// Codes, how often each may be used, and by whom it was.
    coupons: Arc<Mutex<BTreeMap<String, (usize, Vec<CartId>)>>>,
    pub valid_for: Arc<Mutex<Duration>>,
    /// How often it was asked.
    pub asked: Arc<AtomicU32>,
    /// How long it takes, in milliseconds.
    pub millis: Arc<AtomicU64>,
    /// How long it takes to use a coupon up, in milliseconds.
    pub redeem_millis: Arc<AtomicU64>,
}

impl Prices {
    pub fn new(clock: Clock) -> Self {
        let list = [("LAMP", 1_000), ("DESK", 5_000), ("SOFA", 90_000)].map(|(sku, price)| (sku.to_owned(), price));
        Self {
            clock,
            list: Arc::new(Mutex::new(list.into())),
            coupons: Arc::new(Mutex::new([("SAVE".to_owned(), (1, vec![]))].into())),
            valid_for: Arc::new(Mutex::new(Duration::from_secs(900))),
            asked: Arc::default(),
            millis: Arc::default(),
            redeem_millis: Arc::default(),
        }
    }

    /// A new price; none takes the SKU out of the list.
    pub fn set(&self, sku: &str, price: Option<i64>) {
        let mut list = self.list.lock().unwrap();
        match price {
            Some(price) => drop(list.insert(sku.to_owned(), price)),
            None => drop(list.remove(sku)),
        }
    }

    pub fn end_coupon(&self, code: &str) {
        self.coupons.lock().unwrap().remove(code);
    }

    pub fn used(&self, code: &str) -> usize {
        self.coupons.lock().unwrap().get(code).map_or(0, |(_, by)| by.len())
    }

    /// What a checkout that nobody heard of again has left.
    pub fn use_up(&self, code: &str, cart: CartId) {
        self.coupons.lock().unwrap().get_mut(code).unwrap().1.push(cart);
    }

    pub fn asked(&self) -> u32 {
        self.asked.load(Ordering::Relaxed)
    }

    pub fn router(&self) -> Router {
        Router::new()
            .route("/pricing/carts/price", post(price))
            .route("/promotions/{code}/redemptions", post(redeem))
            .route("/promotions/{code}/redemptions/{cart}", delete(give_back))
            .with_state(self.clone())
    }

    fn quote(&self, request: &PriceCart, cart: Option<CartId>) -> Result<PricedCart, Problem> {
        let money = |amount| Money::new(amount, request.currency);
        let (list, coupons) = (self.list.lock().unwrap(), self.coupons.lock().unwrap());
        if let Some(code) = &request.coupon {
            let Some((limit, by)) = coupons.get(code.as_str()) else {
                return Err(Problem::invalid("#/coupon", "is not a coupon of ours"));
            };
            // As pricing does: what this very cart has used is not held against it.
            if by.len() >= *limit && !cart.is_some_and(|cart| by.contains(&cart)) {
                return Err(Problem::invalid("#/coupon", "is used up"));
            }
        }
        let (mut lines, mut problem) = (Vec::new(), None::<Problem>);
        for (at, line) in request.lines.iter().enumerate() {
            let Some(price) = list.get(line.sku.as_str()).copied() else {
                let (pointer, detail) = (format!("#/lines/{at}/sku"), "has no price");
                problem = Some(problem.map_or_else(|| Problem::invalid(&pointer, detail), |problem| problem.at(&pointer, detail)));
                continue;
            };
            let sum = price * line.quantity.as_i64();
            let discount = if request.coupon.is_some() { sum / 10 } else { 0 };
            lines.push(PricedLine {
                sku: line.sku.clone(),
                quantity: line.quantity,
                list_price: money(price),
                unit_price: money(price),
                discount: money(discount),
                tax: money((sum - discount) / 10),
                applied_rules: vec![],
            });
        }
        if let Some(problem) = problem {
            return Err(problem);
        }
        let sum = |part: fn(&PricedLine) -> i64| lines.iter().map(part).sum::<i64>();
        let subtotal = sum(|line| line.unit_price.amount * line.quantity.as_i64());
        let (discounts, tax) = (sum(|line| line.discount.amount), sum(|line| line.tax.amount));
        let now = self.clock.now();
        Ok(PricedCart {
            subtotal: money(subtotal),
            discounts: money(discounts),
            tax: money(tax),
            shipping: money(500),
            total: money(subtotal - discounts + tax + 500),
            quoted_at: now,
            valid_until: now.plus(*self.valid_for.lock().unwrap()),
            lines,
        })
    }
}

async fn price(State(prices): State<Prices>, Query(query): Query<PriceCartQuery>, Json(request): Json<PriceCart>) -> Response {
    prices.asked.fetch_add(1, Ordering::Relaxed);
    prices.clock.sleep(Duration::from_millis(prices.millis.load(Ordering::Relaxed))).await;
    match prices.quote(&request, query.cart_id) {
        Ok(priced) => Json(priced).into_response(),
        Err(problem) => problem.into_response(),
    }
}

async fn give_back(State(prices): State<Prices>, Path((code, cart)): Path<(String, CartId)>) -> Response {
    let mut coupons = prices.coupons.lock().unwrap();
    let Some((_, by)) = coupons.get_mut(&code) else {
        return Problem::not_found(format!("promotion {code}")).into_response();
    };
    by.retain(|used| *used != cart);
    StatusCode::NO_CONTENT.into_response()
}

async fn redeem(State(prices): State<Prices>, Path(code): Path<String>, Json(request): Json<Redeem>) -> Response {
    prices.clock.sleep(Duration::from_millis(prices.redeem_millis.load(Ordering::Relaxed))).await;
    let mut coupons = prices.coupons.lock().unwrap();
    let Some((limit, by)) = coupons.get_mut(&code) else {
        return Problem::not_found(format!("promotion {code}")).into_response();
    };
    if !by.contains(&request.cart_id) {
        if by.len() >= *limit {
            return Problem::new(&EXHAUSTED).into_response();
        }
        by.push(request.cart_id);
    }
    let used = by.len();
    Json(serde_json::json!({
        "id": Uuid::from_u128(7), "code": code, "name": "Save", "when": null, "effect": {"percentOff": 1000},
        "startsAt": Timestamp::from_seconds(0), "endsAt": Timestamp::from_seconds(4_000_000_000), "usageLimit": limit, "used": used,
    }))
    .into_response()
}

/// An order-service that makes one order of each cart, and whose orders go on by themselves.
#[derive(Clone, Default)]
pub struct Orders {
    /// By cart: the key that made it, and the order.
    made: Arc<Mutex<BTreeMap<CartId, (String, OrderId)>>>,
    pub asked: Arc<AtomicU32>,
    /// Told when a call has come; if set, it is never answered.
    pub silent: Arc<Mutex<Option<Arc<tokio::sync::Notify>>>>,
    pub status: Arc<Mutex<Option<OrderStatus>>>,
}

impl Orders {
    pub fn router(&self) -> Router {
        Router::new().route("/orders", post(create)).with_state(self.clone())
    }

    pub fn of(&self, cart: CartId) -> Option<OrderId> {
        self.made.lock().unwrap().get(&cart).map(|(_, order)| *order)
    }

    pub fn count(&self) -> usize {
        self.made.lock().unwrap().len()
    }

    /// Makes an order in the name of somebody else.
    pub fn make(&self, cart: CartId, key: &str) -> OrderId {
        let mut made = self.made.lock().unwrap();
        let next = OrderId(Uuid::from_u128(1_000 + made.len() as u128));
        made.entry(cart).or_insert((key.to_owned(), next)).1
    }
}

async fn create(State(orders): State<Orders>, headers: HeaderMap, Json(request): Json<CreateOrder>) -> Response {
    orders.asked.fetch_add(1, Ordering::Relaxed);
    let silent = orders.silent.lock().unwrap().clone();
    if let Some(come) = silent {
        come.notify_one();
        std::future::pending::<()>().await;
    }
    let key = headers["idempotency-key"].to_str().unwrap().to_owned();
    let id = orders.make(request.cart_id, &key);
    if orders.made.lock().unwrap()[&request.cart_id].0 != key {
        return Problem::new(&ORDERED).with("orderId", id).into_response();
    }
    let zero = Money::zero(Currency::Usd);
    let order = Order {
        id,
        cart_id: request.cart_id,
        customer_id: None,
        region: Region::Us,
        status: orders.status.lock().unwrap().unwrap_or(OrderStatus::Pending),
        items: vec![],
        subtotal: zero,
        discounts: zero,
        tax: zero,
        shipping: zero,
        total: zero,
        payment: None,
        shipment: OrderShipment::default(),
        timeline: vec![],
        version: 1,
        created_at: Timestamp::from_seconds(0),
    };
    (StatusCode::CREATED, Json(order)).into_response()
}
