//! The facts of order-service, for the checks from outside.

use platform::{
    audit::{self, Collection},
    db::{Db, DbError, FromRow, Row},
};
use serde::Serialize;
use types::{CartId, CreditId, CustomerId, OrderId, PaymentId, Timestamp};

/// An order as it stands.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OrderFact {
    seq: i64,
    at: Timestamp,
    kind: &'static str,
    id: OrderId,
    cart_id: CartId,
    customer_id: Option<CustomerId>,
    status: String,
    currency: String,
    subtotal: i64,
    discounts: i64,
    tax: i64,
    shipping: i64,
    total: i64,
    payment_id: Option<PaymentId>,
    /// As far as order-service has heard.
    payment_refunded: i64,
    version: i64,
    created_at: Timestamp,
}

impl FromRow for OrderFact {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        Ok(Self {
            seq: row.get("seq")?,
            at: row.get("updated_at")?,
            kind: "order",
            id: row.id("id")?,
            cart_id: row.id("cart_id")?,
            customer_id: row.optional_id("customer_id")?,
            status: row.get("status")?,
            currency: row.get("currency")?,
            subtotal: row.get("subtotal")?,
            discounts: row.get("discounts")?,
            tax: row.get("tax")?,
            shipping: row.get("shipping")?,
            total: row.get("total")?,
            payment_id: row.optional_id("payment_id")?,
            payment_refunded: row.get("payment_refunded")?,
            version: row.get("version")?,
            created_at: row.get("created_at")?,
        })
    }
}

/// A step of an order.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TransitionFact {
    seq: i64,
    at: Timestamp,
    kind: &'static str,
    id: OrderId,
    previous: Option<String>,
    status: String,
    reason: Option<String>,
    version: i64,
}

impl FromRow for TransitionFact {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        Ok(Self {
            seq: row.get("seq")?,
            at: row.get("at")?,
            kind: "order-transition",
            id: row.id("order_id")?,
            previous: row.get("previous")?,
            status: row.get("status")?,
            reason: row.get("reason")?,
            version: row.get("version")?,
        })
    }
}

/// A line of an order.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LineFact {
    seq: i64,
    kind: &'static str,
    id: OrderId,
    line: i64,
    sku: String,
    quantity: i64,
    unit_price: i64,
}

impl FromRow for LineFact {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        Ok(Self {
            seq: row.get("seq")?,
            kind: "order-line",
            id: row.id("order_id")?,
            line: row.get("line")?,
            sku: row.get("sku")?,
            quantity: row.get("quantity")?,
            unit_price: row.get("unit_price")?,
        })
    }
}

/// Something given back to make up for something.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CreditFact {
    seq: i64,
    at: Timestamp,
    kind: &'static str,
    id: CreditId,
    order_id: OrderId,
    amount: i64,
}

impl FromRow for CreditFact {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        Ok(Self {
            seq: row.get("seq")?,
            at: row.get("granted_at")?,
            kind: "credit",
            id: row.id("id")?,
            order_id: row.id("order_id")?,
            amount: row.get("amount")?,
        })
    }
}

pub fn collections(db: &Db) -> Vec<Collection> {
    let mut all = vec![
        Collection::of_rows::<OrderFact>(
            "orders",
            db,
            "SELECT seq, id, cart_id, customer_id, status, currency, subtotal, discounts, tax, shipping, total, payment_id, payment_refunded, version,
             created_at, updated_at FROM orders WHERE seq > ? ORDER BY seq LIMIT ?",
        ),
        Collection::of_rows::<TransitionFact>(
            "order-transitions",
            db,
            "SELECT seq, at, order_id, previous, status, reason, version FROM order_status_history WHERE seq > ? ORDER BY seq LIMIT ?",
        ),
        Collection::of_rows::<LineFact>(
            "order-lines",
            db,
            "WITH told (since) AS (SELECT ?)
             SELECT o.seq * 1000 + i.line AS seq, i.order_id, i.line, i.sku, i.quantity, i.unit_price
             FROM orders o JOIN order_items i ON i.order_id = o.id
             WHERE o.seq >= (SELECT since / 1000 FROM told) AND o.seq * 1000 + i.line > (SELECT since FROM told)
             ORDER BY o.seq, i.line LIMIT ?",
        ),
        Collection::of_rows::<CreditFact>(
            "credits",
            db,
            "SELECT seq, granted_at, id, order_id, amount FROM order_credits WHERE seq > ? ORDER BY seq LIMIT ?",
        ),
    ];
    all.extend(audit::of_platform(db));
    all
}
