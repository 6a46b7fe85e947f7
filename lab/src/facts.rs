//! What the services and the provider say of themselves, read from the audit exports into what a check can work on. Nothing is computed or
//! repaired here. A fact that lacks a field that a check needs is an error that names it, never a fact that is passed over.

mod told;

use std::sync::Arc;

use serde::{Deserialize, de::DeserializeOwned};
use types::Timestamp;

pub use self::told::{Committed, KeptAnswer, Noted, ParkedKey, Published, Reading, Schema};

use crate::{
    target::{Target, TargetError, lines_of, shortened},
    witness::Exchange,
};

/// The counters of a SKU in a warehouse.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stock {
    pub id: String,
    pub sku: String,
    pub warehouse: String,
    pub on_hand: i64,
    pub held: i64,
    pub claimed: i64,
    pub shipped: i64,
}

/// A line of the stock's journal.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Movement {
    pub seq: i64,
    pub at: Timestamp,
    /// receipt, adjust, hold, extend, claim, release, expire, ship, return
    pub kind: String,
    pub id: String,
    pub sku: String,
    pub warehouse: String,
    /// Units; of an adjustment the signed difference.
    pub quantity: i64,
    pub reservation_id: Option<String>,
    pub order_id: Option<String>,
    pub fencing_token: Option<i64>,
    /// When the hold runs out (of `hold` and `extend`).
    pub expires_at: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reservation {
    pub id: String,
    pub order_id: String,
    pub status: String,
    pub fencing_token: i64,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    pub ended_at: Option<Timestamp>,
    pub claimed_at: Option<Timestamp>,
    pub lines: Vec<ReservedLine>,
}

impl Reservation {
    /// Its units stay with it: claimed, or shipped after that.
    #[must_use]
    pub fn is_claimed(&self) -> bool {
        matches!(self.status.as_str(), "CLAIMED" | "SHIPPED")
    }

    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.status == "HELD" && now < self.expires_at
    }
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct ReservedLine {
    pub sku: String,
    pub warehouse: String,
    pub quantity: i64,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    pub id: String,
    /// When it was changed last.
    pub at: Timestamp,
    pub cart_id: String,
    pub status: String,
    pub subtotal: i64,
    pub discounts: i64,
    pub tax: i64,
    pub shipping: i64,
    pub total: i64,
    pub payment_id: Option<String>,
    /// What has gone back of the payment, as far as order-service has heard.
    pub payment_refunded: i64,
    pub version: i64,
    pub created_at: Timestamp,
}

/// Something that the shop gives back of an order to make up for something.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Credit {
    pub id: String,
    pub at: Timestamp,
    pub order_id: String,
    pub amount: i64,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderLine {
    /// The order's.
    pub id: String,
    pub sku: String,
    pub quantity: i64,
    pub unit_price: i64,
}

/// A step of an order or of a payment.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Transition {
    pub seq: i64,
    pub at: Timestamp,
    /// The order's or the payment's.
    pub id: String,
    pub previous: Option<String>,
    pub status: String,
    pub reason: Option<String>,
    pub version: i64,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Payment {
    pub id: String,
    pub order_id: String,
    pub status: String,
    pub amount: i64,
    pub currency: String,
    pub captured: i64,
    pub refunded: i64,
}

/// A refund as payment-service knows it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Refund {
    pub id: String,
    /// When it was asked for.
    pub at: Timestamp,
    pub payment_id: String,
    pub amount: i64,
    /// PENDING, SUCCEEDED, FAILED
    pub status: String,
    /// The credit that it is for.
    pub credit_id: Option<String>,
}

/// A line of the books.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LedgerLine {
    pub seq: i64,
    pub at: Timestamp,
    /// The entry's.
    pub id: String,
    pub payment_id: String,
    /// The provider's event that it was made for; none for an entry of the shop's own.
    pub psp_event_id: Option<String>,
    pub account: String,
    pub debit: i64,
    pub credit: i64,
    pub currency: String,
}

/// An event of the provider's own truth.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PspEvent {
    pub seq: i64,
    pub at: Timestamp,
    /// authorization.succeeded, authorization.declined, authorization.voided, capture.succeeded, refund.succeeded
    pub kind: String,
    pub id: String,
    pub authorization_id: String,
    /// The merchant's reference: the payment.
    pub payment_id: String,
    pub amount: i64,
    pub currency: String,
}

impl PspEvent {
    /// What it does to the money that the shop has: more, less or nothing.
    #[must_use]
    pub fn moves(&self) -> i64 {
        match self.kind.as_str() {
            "capture.succeeded" => self.amount,
            "refund.succeeded" => -self.amount,
            _ => 0,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cart {
    pub id: String,
    pub status: String,
    pub total: i64,
    pub version: i64,
}

/// A line of a cart, as it was quoted.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CartLine {
    /// The cart's.
    pub id: String,
    pub sku: String,
    pub quantity: i64,
    pub unit_price: i64,
    pub discount: i64,
    pub tax: i64,
    /// Until when the quote holds.
    pub valid_until: Timestamp,
}

/// A step of a cart: made, item-added, checked-out …
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct CartStep {
    pub at: Timestamp,
    pub kind: String,
    /// The cart's.
    pub id: String,
    /// The cart's, with this step. Steps that are taken together share one.
    pub version: i64,
    /// What the cart comes to with it.
    pub total: i64,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Promotion {
    pub id: String,
    pub usage_limit: Option<i64>,
    pub used: i64,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Redemption {
    pub id: String,
    pub promotion_id: String,
    pub cart_id: String,
}

/// What else can be looked up by its id: a customer, a product.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Known {
    pub id: String,
}

/// The pseudo-collection of what clients saw: it is there when the lab itself was the client.
pub const CLIENT_RECORD: &str = "the client's record";

/// Every fact that the checks look at, and when they were read.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    pub now: Timestamp,
    pub stock: Vec<Stock>,
    pub movements: Vec<Movement>,
    pub reservations: Vec<Reservation>,
    pub orders: Vec<Order>,
    pub order_lines: Vec<OrderLine>,
    pub order_transitions: Vec<Transition>,
    pub payments: Vec<Payment>,
    pub payment_transitions: Vec<Transition>,
    pub refunds: Vec<Refund>,
    pub credits: Vec<Credit>,
    pub ledger: Vec<LedgerLine>,
    pub psp_truth: Vec<PspEvent>,
    pub carts: Vec<Cart>,
    pub promotions: Vec<Promotion>,
    pub redemptions: Vec<Redemption>,
    pub cart_lines: Vec<CartLine>,
    pub cart_steps: Vec<CartStep>,
    pub customers: Vec<Known>,
    pub products: Vec<Known>,
    pub committed: Vec<Committed>,
    pub noted: Vec<Noted>,
    pub published: Vec<Published>,
    pub readings: Vec<Reading>,
    pub parked: Vec<ParkedKey>,
    pub schemas: Vec<Schema>,
    pub kept_answers: Vec<KeptAnswer>,
    /// What clients saw.
    pub exchanges: Vec<Arc<Exchange>>,
    /// Collections that this system does not export: what needs them was not checked.
    pub missing: Vec<&'static str>,
}

#[derive(Debug, thiserror::Error)]
pub enum FactsError {
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error("a fact of `{collection}` is not as the checks need it: {reason} in {fact}")]
    Shape { collection: &'static str, reason: String, fact: String },
}

impl Facts {
    #[must_use]
    pub const fn none(now: Timestamp) -> Self {
        Self {
            now,
            stock: Vec::new(),
            movements: Vec::new(),
            reservations: Vec::new(),
            orders: Vec::new(),
            order_lines: Vec::new(),
            order_transitions: Vec::new(),
            payments: Vec::new(),
            payment_transitions: Vec::new(),
            refunds: Vec::new(),
            credits: Vec::new(),
            ledger: Vec::new(),
            psp_truth: Vec::new(),
            carts: Vec::new(),
            promotions: Vec::new(),
            redemptions: Vec::new(),
            cart_lines: Vec::new(),
            cart_steps: Vec::new(),
            customers: Vec::new(),
            products: Vec::new(),
            committed: Vec::new(),
            noted: Vec::new(),
            published: Vec::new(),
            readings: Vec::new(),
            parked: Vec::new(),
            schemas: Vec::new(),
            kept_answers: Vec::new(),
            exchanges: Vec::new(),
            missing: Vec::new(),
        }
    }

    /// Reads them all.
    pub async fn read(target: &dyn Target) -> Result<Self, FactsError> {
        Self::through(Reader { target, wanted: None, missing: Vec::new() }).await
    }

    /// Reads these collections, for a question that needs no others; the others count as missing.
    pub async fn read_of(target: &dyn Target, collections: &[&str]) -> Result<Self, FactsError> {
        Self::through(Reader { target, wanted: Some(collections), missing: Vec::new() }).await
    }

    async fn through(mut reader: Reader<'_>) -> Result<Self, FactsError> {
        // What was acknowledged by now must be in all that is read from now on.
        let witnessed = reader.target.witnessed();
        if witnessed.is_none() {
            reader.missing.push(CLIENT_RECORD);
        }
        let facts = Self {
            exchanges: witnessed.unwrap_or_default(),
            readings: reader.read("consumers").await?,
            noted: reader.read("inbox").await?,
            parked: reader.read("parked").await?,
            published: reader.read("events").await?,
            committed: reader.read("outbox").await?,
            schemas: reader.read("schemas").await?,
            kept_answers: reader.read("idempotency").await?,
            // What is derived is read before what it is derived from, so that a running system shows no effect without its cause.
            stock: reader.read("stock").await?,
            movements: reader.read("movements").await?,
            reservations: reader.read("reservations").await?,
            payments: reader.read("payments").await?,
            payment_transitions: reader.read("payment-transitions").await?,
            refunds: reader.read("refunds").await?,
            credits: reader.read("credits").await?,
            ledger: reader.read("ledger").await?,
            psp_truth: reader.read("psp-truth").await?,
            orders: reader.read("orders").await?,
            order_lines: reader.read("order-lines").await?,
            order_transitions: reader.read("order-transitions").await?,
            carts: reader.read("carts").await?,
            promotions: reader.read("promotions").await?,
            redemptions: reader.read("redemptions").await?,
            cart_lines: reader.read("cart-lines").await?,
            cart_steps: reader.read("cart-events").await?,
            customers: reader.read("customers").await?,
            products: reader.read("products").await?,
            now: reader.target.now(),
            missing: Vec::new(),
        };
        Ok(Self { missing: reader.missing, ..facts })
    }

    /// Those that concern one SKU: on a running system others have orders too.
    #[must_use]
    pub fn of_sku(mut self, sku: &str) -> Self {
        self.stock.retain(|stock| stock.sku == sku);
        self.movements.retain(|movement| movement.sku == sku);
        self.reservations.retain(|reservation| reservation.lines.iter().any(|line| line.sku == sku));
        self.order_lines.retain(|line| line.sku == sku);
        let orders: std::collections::BTreeSet<&str> = self.order_lines.iter().map(|line| line.id.as_str()).collect();
        self.orders.retain(|order| orders.contains(order.id.as_str()));
        self.order_transitions.retain(|step| orders.contains(step.id.as_str()));
        self.credits.retain(|credit| orders.contains(credit.order_id.as_str()));
        self.payments.retain(|payment| orders.contains(payment.order_id.as_str()));
        let payments: std::collections::BTreeSet<&str> = self.payments.iter().map(|payment| payment.id.as_str()).collect();
        self.payment_transitions.retain(|step| payments.contains(step.id.as_str()));
        self.refunds.retain(|refund| payments.contains(refund.payment_id.as_str()));
        self.ledger.retain(|line| payments.contains(line.payment_id.as_str()));
        self.psp_truth.retain(|event| payments.contains(event.payment_id.as_str()));
        let carts: std::collections::BTreeSet<&str> = self.orders.iter().map(|order| order.cart_id.as_str()).collect();
        // A cart that did not become an order is the lab's all the same.
        let mine: std::collections::BTreeSet<&str> =
            self.exchanges.iter().filter_map(|exchange| exchange.done()?.body["id"].as_str()).chain(carts).collect();
        self.carts.retain(|cart| mine.contains(cart.id.as_str()));
        self.cart_lines.retain(|line| mine.contains(line.id.as_str()));
        self.cart_steps.retain(|step| mine.contains(step.id.as_str()));
        // What is told of the others' calls is about rows that were left out here; the log and its readers are everybody's.
        self.kept_answers.clear();
        self.promotions.clear();
        self.redemptions.clear();
        self
    }
}

/// Reads one collection after the other, and notes which are not there.
struct Reader<'a> {
    target: &'a dyn Target,
    /// None wants all.
    wanted: Option<&'a [&'a str]>,
    missing: Vec<&'static str>,
}

impl Reader<'_> {
    async fn read<T: DeserializeOwned>(&mut self, name: &'static str) -> Result<Vec<T>, FactsError> {
        if self.wanted.is_some_and(|wanted| !wanted.contains(&name)) {
            self.missing.push(name);
            return Ok(Vec::new());
        }
        let lines = match self.target.export(name).await {
            Ok(lines) => lines,
            Err(error) if error.is_unknown() => {
                self.missing.push(name);
                return Ok(Vec::new());
            }
            Err(error) => return Err(error.into()),
        };
        lines_of(&lines).map(|line| typed(name, line)).collect()
    }
}

fn typed<T: DeserializeOwned>(collection: &'static str, line: &[u8]) -> Result<T, FactsError> {
    let fact = || shortened(&String::from_utf8_lossy(line));
    serde_json::from_slice(line).map_err(|error| FactsError::Shape { collection, reason: error.to_string(), fact: fact() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_fact_without_a_needed_field_is_an_error_that_names_it() {
        let fact = json!({"seq": 1, "at": "2026-01-05T00:00:00Z", "kind": "claim", "id": "m1", "sku": "A", "warehouse": "W"});
        let error = typed::<Movement>("movements", fact.to_string().as_bytes()).unwrap_err().to_string();
        assert!(error.contains("movements") && error.contains("quantity"), "{error}");
    }

    #[test]
    fn fields_that_no_check_needs_are_let_be() {
        let fact = json!({"seq": 1, "at": "2026-01-05T00:00:00Z", "kind": "order-line", "id": "o1", "line": 0, "sku": "A", "quantity": 1,
            "unitPrice": 1999, "service": "order"});
        assert_eq!(typed::<OrderLine>("order-lines", fact.to_string().as_bytes()).unwrap().unit_price, 1_999);
    }
}
