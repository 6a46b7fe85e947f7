//! Every query of order-service. A save is a compare-and-set on the version: who has read an older one saves nothing.

use order_api::{OrderItem, OrderStatus, TimelineEntry, events::OrderStatusChanged};
use platform::{
    db::{Db, DbError, FromRow, Row, Tx},
    values,
};
use types::{CartId, Currency, CustomerId, Money, OrderId, Timestamp};

use crate::domain::{Heard, Order, Totals};

const COLUMNS: &str = "id, cart_id, customer_id, guest_session, region, currency, status, subtotal, discounts, tax, shipping, total, payment_id, \
                       payment_status, payment_refunded, payment_version, shipping_address, cancel_note, request_token, version, created_at, updated_at";

/// An order without its lines.
struct Head(Order);

impl FromRow for Head {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        let address: Option<String> = row.get("shipping_address")?;
        Ok(Self(Order {
            id: row.id("id")?,
            cart_id: row.id("cart_id")?,
            customer_id: row.optional_id("customer_id")?,
            guest_session: row.get("guest_session")?,
            region: types::Region::from_code(&row.get::<String>("region")?).unwrap_or(types::Region::Us),
            currency: row.parse("currency")?,
            status: row.parse("status")?,
            items: Vec::new(),
            totals: Totals {
                subtotal: row.get("subtotal")?,
                discounts: row.get("discounts")?,
                tax: row.get("tax")?,
                shipping: row.get("shipping")?,
                total: row.get("total")?,
            },
            payment_id: row.optional_id("payment_id")?,
            payment_status: row.get("payment_status")?,
            payment_refunded: row.get("payment_refunded")?,
            payment_version: row.get("payment_version")?,
            shipping_address: address.and_then(|json| serde_json::from_str(&json).ok()),
            cancel_note: row.get("cancel_note")?,
            request_token: row.get("request_token")?,
            version: row.get("version")?,
            created_at: row.get("created_at")?,
            updated_at: row.get("updated_at")?,
        }))
    }
}

struct Line(types::Sku, types::Quantity, i64);

impl FromRow for Line {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        Ok(Self(row.parse("sku")?, row.get("quantity")?, row.get("unit_price")?))
    }
}

struct Step(TimelineEntry);

impl FromRow for Step {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        Ok(Self(TimelineEntry { status: row.parse("status")?, at: row.get("at")?, reason: row.get("reason")? }))
    }
}

/// A new order with its lines and its first entry in the timeline, unless its cart has one; says whether it is new. The order of a customer
/// who was erased keeps no address.
pub async fn insert(tx: &mut Tx<'_>, order: &Order, told: &OrderStatusChanged) -> Result<bool, DbError> {
    let address = order.shipping_address.as_ref().and_then(|address| serde_json::to_string(address).ok());
    let totals = order.totals;
    let is_new = tx.insert_new(
        "INSERT INTO orders (id, cart_id, customer_id, guest_session, region, currency, status, subtotal, discounts, tax, shipping, total,
         shipping_address, request_token, version, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,
         CASE WHEN EXISTS (SELECT 1 FROM erased_customers WHERE customer_id = ?) THEN NULL ELSE ? END, ?, ?, ?, ?)",
        values![
            order.id,
            order.cart_id,
            order.customer_id,
            order.guest_session.clone(),
            order.region,
            order.currency,
            order.status.as_str(),
            totals.subtotal,
            totals.discounts,
            totals.tax,
            totals.shipping,
            totals.total,
            order.customer_id,
            address,
            &order.request_token,
            order.version,
            order.created_at,
            order.updated_at
        ],
    )
    .await?;
    if is_new {
        let insert = "INSERT INTO order_items (order_id, line, sku, quantity, unit_price) VALUES (?, ?, ?, ?, ?)";
        let lines = (0_i64..).zip(&order.items);
        let row = |(line, item): (i64, &OrderItem)| values![order.id, line, &item.sku, item.quantity, item.unit_price.amount];
        tx.insert_all(insert, lines.map(row).collect()).await?;
        append_history(tx, std::slice::from_ref(told)).await?;
    }
    Ok(is_new)
}

/// Saves what steps have changed. Says whether the version was still `before`.
pub async fn save(tx: &mut Tx<'_>, order: &Order, before: i64, told: &[OrderStatusChanged]) -> Result<bool, DbError> {
    let changed = tx
        .execute(
            "UPDATE orders SET status = ?, payment_id = ?, payment_status = ?, payment_refunded = ?, payment_version = ?, version = ?,
             updated_at = ? WHERE id = ? AND version = ?",
            values![
                order.status.as_str(),
                order.payment_id,
                order.payment_status.clone(),
                order.payment_refunded,
                order.payment_version,
                order.version,
                order.updated_at,
                order.id,
                before
            ],
        )
        .await?;
    if changed == 1 {
        append_history(tx, told).await?;
    }
    Ok(changed == 1)
}

async fn append_history(tx: &mut Tx<'_>, told: &[OrderStatusChanged]) -> Result<(), DbError> {
    let insert = "INSERT INTO order_status_history (order_id, previous, status, reason, version, at) VALUES (?, ?, ?, ?, ?, ?)";
    let row = |told: &OrderStatusChanged| {
        let previous = told.previous.map(OrderStatus::as_str);
        values![told.order_id, previous, told.status.as_str(), told.reason.clone(), told.version, told.at]
    };
    tx.insert_all(insert, told.iter().map(row).collect()).await
}

/// What is heard of the payment, without a step of the order's own life. With `newest`, nothing that is older than what was heard before; says
/// whether it was taken.
pub async fn note_payment(tx: &mut Tx<'_>, order: OrderId, heard: &Heard, newest: bool) -> Result<bool, DbError> {
    let update = "UPDATE orders SET payment_id = ?, payment_status = ?, payment_refunded = ?, payment_version = ?
                  WHERE id = ? AND payment_version <= ?";
    let at_most = if newest { heard.version } else { i64::MAX };
    let heard = values![heard.payment, heard.status.as_str(), heard.refunded, heard.version, order, at_most];
    Ok(tx.execute(update, heard).await? == 1)
}

pub async fn note_cancel(tx: &mut Tx<'_>, order: OrderId, note: &str) -> Result<(), DbError> {
    let update = "UPDATE orders SET cancel_note = ? WHERE id = ?
                  AND NOT EXISTS (SELECT 1 FROM erased_customers WHERE erased_customers.customer_id = orders.customer_id)";
    tx.execute(update, values![note, order]).await.map(|_| ())
}

pub async fn by_id(tx: &mut Tx<'_>, id: OrderId) -> Result<Option<Order>, DbError> {
    match head(tx, id).await? {
        Some(order) => with_lines(tx, order).await.map(Some),
        None => Ok(None),
    }
}

/// The order of a cart, without its lines.
pub async fn by_cart(tx: &mut Tx<'_>, cart: CartId) -> Result<Option<Order>, DbError> {
    let query = format!("SELECT {COLUMNS} FROM orders WHERE cart_id = ?");
    Ok(tx.fetch_optional::<Head>(&query, values![cart]).await?.map(|Head(order)| order))
}

/// An order without its lines: for a step of its life, which changes none.
pub async fn head(tx: &mut Tx<'_>, id: OrderId) -> Result<Option<Order>, DbError> {
    let query = format!("SELECT {COLUMNS} FROM orders WHERE id = ?");
    Ok(tx.fetch_optional::<Head>(&query, values![id]).await?.map(|Head(order)| order))
}

/// Whether this cart has its order.
pub async fn is_ordered(db: &Db, cart: CartId) -> Result<bool, DbError> {
    let found: Option<i64> = db.fetch_optional("SELECT 1 AS found FROM orders WHERE cart_id = ?", values![cart]).await?;
    Ok(found.is_some())
}

/// A customer's orders, the newest first, from behind `before` on.
pub async fn of_customer(tx: &mut Tx<'_>, customer: CustomerId, before: i64, limit: u32) -> Result<Vec<(i64, Order)>, DbError> {
    struct Seq(i64, Order);
    impl FromRow for Seq {
        fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
            Ok(Self(row.get("seq")?, Head::from_row(row)?.0))
        }
    }
    let query = format!("SELECT seq, {COLUMNS} FROM orders WHERE customer_id = ? AND seq < ? ORDER BY seq DESC LIMIT ?");
    let mut orders = Vec::new();
    for Seq(seq, order) in tx.fetch_all::<Seq>(&query, values![customer, before, limit]).await? {
        orders.push((seq, with_lines(tx, order).await?));
    }
    Ok(orders)
}

/// Of a customer's orders that were not cancelled: how many, and the sum of each currency.
pub async fn summary(tx: &mut Tx<'_>, customer: CustomerId) -> Result<Vec<(u32, Money)>, DbError> {
    struct Sum(u32, Money);
    impl FromRow for Sum {
        fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
            Ok(Self(row.get("orders")?, Money::new(row.get("spent")?, row.parse::<Currency>("currency")?)))
        }
    }
    let query = "SELECT currency, count(*) AS orders, sum(total) AS spent FROM orders
                 WHERE customer_id = ? AND status <> 'CANCELLED' GROUP BY currency ORDER BY currency";
    Ok(tx.fetch_all::<Sum>(query, values![customer]).await?.into_iter().map(|Sum(count, spent)| (count, spent)).collect())
}

/// Removes what is personal from a customer's orders, and lets nothing more in; says how many had something.
pub async fn erase(tx: &mut Tx<'_>, customer: CustomerId, now: Timestamp) -> Result<u64, DbError> {
    tx.insert_new("INSERT INTO erased_customers (customer_id, at) VALUES (?, ?)", values![customer, now]).await?;
    let update = "UPDATE orders SET shipping_address = NULL, cancel_note = NULL
                  WHERE customer_id = ? AND (shipping_address IS NOT NULL OR cancel_note IS NOT NULL)";
    let records = tx.execute(update, values![customer]).await?;
    let credits = "UPDATE order_credits SET reason = NULL
                   WHERE reason IS NOT NULL AND order_id IN (SELECT id FROM orders WHERE customer_id = ?)";
    Ok(records + tx.execute(credits, values![customer]).await?)
}

pub async fn timeline(tx: &mut Tx<'_>, id: OrderId) -> Result<Vec<TimelineEntry>, DbError> {
    let query = "SELECT status, reason, at FROM order_status_history WHERE order_id = ? ORDER BY seq";
    Ok(tx.fetch_all::<Step>(query, values![id]).await?.into_iter().map(|Step(entry)| entry).collect())
}

/// An order that was read by its head, whole.
pub async fn with_lines(tx: &mut Tx<'_>, mut order: Order) -> Result<Order, DbError> {
    let query = "SELECT sku, quantity, unit_price FROM order_items WHERE order_id = ? ORDER BY line";
    let lines = tx.fetch_all::<Line>(query, values![order.id]).await?;
    let currency = order.currency;
    order.items = lines
        .into_iter()
        .map(|Line(sku, quantity, unit_price)| OrderItem { sku, quantity, unit_price: Money::new(unit_price, currency) })
        .collect();
    Ok(order)
}
