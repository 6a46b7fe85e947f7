//! The facts of cart-service, for the checks from outside.

use platform::{
    audit::{self, Collection},
    db::{Db, DbError, FromRow, Row},
};
use serde::Serialize;
use types::{CartId, CustomerId, OrderId, Timestamp};

/// A cart as it stands.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CartFact {
    seq: i64,
    at: Timestamp,
    kind: &'static str,
    id: CartId,
    customer_id: Option<CustomerId>,
    status: String,
    coupon: Option<String>,
    total: i64,
    currency: String,
    version: i64,
    expires_at: Timestamp,
    order_id: Option<OrderId>,
}

impl FromRow for CartFact {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        Ok(Self {
            seq: row.get("seq")?,
            at: row.get("updated_at")?,
            kind: "cart",
            id: row.id("id")?,
            customer_id: row.optional_id("customer_id")?,
            status: row.get("status")?,
            coupon: row.get("coupon")?,
            total: row.get("total")?,
            currency: row.get("currency")?,
            version: row.get("version")?,
            expires_at: row.get("expires_at")?,
            order_id: row.optional_id("order_id")?,
        })
    }
}

/// Something that happened to a cart.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ChangeFact {
    seq: i64,
    at: Timestamp,
    kind: String,
    id: CartId,
    version: i64,
    sku: Option<String>,
    quantity: Option<i64>,
    coupon: Option<String>,
    total: i64,
}

impl FromRow for ChangeFact {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        Ok(Self {
            seq: row.get("seq")?,
            at: row.get("at")?,
            kind: row.get("kind")?,
            id: row.id("cart_id")?,
            version: row.get("version")?,
            sku: row.get("sku")?,
            quantity: row.get("quantity")?,
            coupon: row.get("coupon")?,
            total: row.get("total")?,
        })
    }
}

/// A line of a cart, as it was quoted.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LineFact {
    seq: i64,
    kind: &'static str,
    id: CartId,
    line: i64,
    sku: String,
    quantity: i64,
    unit_price: i64,
    discount: i64,
    tax: i64,
    quoted_at: Timestamp,
    valid_until: Timestamp,
}

impl FromRow for LineFact {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        Ok(Self {
            seq: row.get("seq")?,
            kind: "cart-line",
            id: row.id("cart_id")?,
            line: row.get("line")?,
            sku: row.get("sku")?,
            quantity: row.get("quantity")?,
            unit_price: row.get("unit_price")?,
            discount: row.get("discount")?,
            tax: row.get("tax")?,
            quoted_at: row.get("quoted_at")?,
            valid_until: row.get("valid_until")?,
        })
    }
}

pub fn collections(db: &Db) -> Vec<Collection> {
    let mut all = vec![
        Collection::of_rows::<CartFact>(
            "carts",
            db,
            "SELECT seq, id, customer_id, status, coupon, total, currency, version, expires_at, order_id, updated_at FROM carts
             WHERE seq > ? ORDER BY seq LIMIT ?",
        ),
        Collection::of_rows::<LineFact>(
            "cart-lines",
            db,
            "WITH told (since) AS (SELECT ?)
             SELECT c.seq * 1000 + i.line AS seq, i.cart_id, i.line, i.sku, i.quantity, i.unit_price, i.discount, i.tax, i.quoted_at, i.valid_until
             FROM carts c JOIN cart_items i ON i.cart_id = c.id
             WHERE c.seq >= (SELECT since / 1000 FROM told) AND c.seq * 1000 + i.line > (SELECT since FROM told)
             ORDER BY c.seq, i.line LIMIT ?",
        ),
        Collection::of_rows::<ChangeFact>(
            "cart-events",
            db,
            "SELECT seq, at, kind, cart_id, version, sku, quantity, coupon, total FROM cart_events WHERE seq > ? ORDER BY seq LIMIT ?",
        ),
    ];
    all.extend(audit::of_platform(db));
    all
}
