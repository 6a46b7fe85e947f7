//! Every query of cart-service. A save is a compare-and-set on the version: who has read an older one saves nothing.

use cart_api::{CartItem, CartStatus, Checkout, QuoteSnapshot};
use platform::{
    db::{DbError, FromRow, Row, Tx},
    values,
};
use types::{CartId, CustomerId, Money, OrderId, Quantity, Sku, Timestamp, id::Uuid};

use crate::domain::{Cart, Note, Step, Totals};

const COLUMNS: &str = "id, customer_id, session_token, status, region, currency, coupon, subtotal, discounts, tax, shipping, total, version, \
                       expires_at, created_at, updated_at";

/// A cart without its lines.
struct Head(Cart);

impl FromRow for Head {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        let coupon: Option<String> = row.get("coupon")?;
        let region: String = row.get("region")?;
        let column = |column: &str, reason: &str| DbError::Column { column: column.into(), reason: reason.into() };
        Ok(Self(Cart {
            id: row.id("id")?,
            customer_id: row.optional_id("customer_id")?,
            session_token: row.get("session_token")?,
            status: row.parse("status")?,
            region: types::Region::from_code(&region).ok_or_else(|| column("region", "is no region"))?,
            currency: row.parse("currency")?,
            coupon: coupon.map(Sku::new).transpose().map_err(|error| column("coupon", &error.to_string()))?,
            items: Vec::new(),
            totals: Totals {
                subtotal: row.get("subtotal")?,
                discounts: row.get("discounts")?,
                tax: row.get("tax")?,
                shipping: row.get("shipping")?,
                total: row.get("total")?,
            },
            version: row.get("version")?,
            expires_at: row.get("expires_at")?,
            created_at: row.get("created_at")?,
            updated_at: row.get("updated_at")?,
        }))
    }
}

struct Line {
    sku: Sku,
    quantity: Quantity,
    unit_price: i64,
    list_price: i64,
    discount: i64,
    tax: i64,
    quoted_at: Timestamp,
    valid_until: Timestamp,
}

impl FromRow for Line {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        Ok(Self {
            sku: row.parse("sku")?,
            quantity: row.get("quantity")?,
            unit_price: row.get("unit_price")?,
            list_price: row.get("list_price")?,
            discount: row.get("discount")?,
            tax: row.get("tax")?,
            quoted_at: row.get("quoted_at")?,
            valid_until: row.get("valid_until")?,
        })
    }
}

/// How a cart was checked out: what is kept beside it until its order is there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Closing {
    /// Gone once the order is there; never there when order-service asked for the cart itself.
    pub checkout: Option<Checkout>,
    /// The `Idempotency-Key` of the buyer's request, and the digest of its body.
    pub token: Option<String>,
    pub fingerprint: Option<Vec<u8>>,
    pub order_id: Option<OrderId>,
    /// Its customer was erased since.
    pub is_erased: bool,
}

impl FromRow for Closing {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        let checkout = if row.get::<Option<String>>("checkout")?.is_some() { Some(row.json("checkout")?) } else { None };
        Ok(Self {
            checkout,
            token: row.get("checkout_token")?,
            fingerprint: row.get("checkout_fingerprint")?,
            order_id: row.optional_id("order_id")?,
            is_erased: row.get::<Option<Timestamp>>("erased_at")?.is_some(),
        })
    }
}

/// A new cart; it has no lines yet. [`DbError::Unique`] when its session has an open one.
pub async fn insert(tx: &mut Tx<'_>, cart: &Cart) -> Result<(), DbError> {
    let totals = cart.totals;
    tx.execute(
        "INSERT INTO carts (id, customer_id, session_token, open_session, status, region, currency, subtotal, discounts, tax, shipping, total,
         version, expires_at, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        values![
            cart.id,
            cart.customer_id,
            &cart.session_token,
            &cart.session_token,
            cart.status.as_str(),
            cart.region,
            cart.currency,
            totals.subtotal,
            totals.discounts,
            totals.tax,
            totals.shipping,
            totals.total,
            cart.version,
            cart.expires_at,
            cart.created_at,
            cart.updated_at
        ],
    )
    .await?;
    append(tx, cart, &[Note::of(Step::Created)]).await
}

/// Saves an open cart with its lines. Says whether the version was still the one before.
pub async fn save(tx: &mut Tx<'_>, cart: &Cart, notes: &[Note]) -> Result<bool, DbError> {
    let totals = cart.totals;
    let changed = tx
        .execute(
            "UPDATE carts SET coupon = ?, subtotal = ?, discounts = ?, tax = ?, shipping = ?, total = ?, version = ?, expires_at = ?,
             updated_at = ? WHERE id = ? AND version = ?",
            values![
                cart.coupon.clone(),
                totals.subtotal,
                totals.discounts,
                totals.tax,
                totals.shipping,
                totals.total,
                cart.version,
                cart.expires_at,
                cart.updated_at,
                cart.id,
                cart.version - 1
            ],
        )
        .await?;
    if changed == 0 {
        return Ok(false);
    }
    replace_lines(tx, cart).await?;
    append(tx, cart, notes).await?;
    Ok(true)
}

/// Saves a cart that is checked out; its lines only if they were priced anew. Says whether the version was still the one before.
pub async fn close(tx: &mut Tx<'_>, cart: &Cart, closing: &Closing, is_repriced: bool, notes: &[Note]) -> Result<bool, DbError> {
    let totals = cart.totals;
    let checkout = closing.checkout.as_ref().map(serde_json::to_string).transpose();
    let checkout = checkout.map_err(|error| DbError::Column { column: "checkout".into(), reason: error.to_string() })?;
    let changed = tx
        .execute(
            "UPDATE carts SET status = ?, open_session = NULL, coupon = ?, subtotal = ?, discounts = ?, tax = ?, shipping = ?, total = ?,
             version = ?, checkout = ?, checkout_token = ?, checkout_fingerprint = ?, updated_at = ? WHERE id = ? AND version = ?",
            values![
                cart.status.as_str(),
                cart.coupon.clone(),
                totals.subtotal,
                totals.discounts,
                totals.tax,
                totals.shipping,
                totals.total,
                cart.version,
                checkout,
                closing.token.clone(),
                closing.fingerprint.clone(),
                cart.updated_at,
                cart.id,
                cart.version - 1
            ],
        )
        .await?;
    if changed == 0 {
        return Ok(false);
    }
    if is_repriced {
        replace_lines(tx, cart).await?;
    }
    append(tx, cart, notes).await?;
    Ok(true)
}

async fn replace_lines(tx: &mut Tx<'_>, cart: &Cart) -> Result<(), DbError> {
    tx.execute("DELETE FROM cart_items WHERE cart_id = ?", values![cart.id]).await?;
    let insert = "INSERT INTO cart_items (cart_id, line, sku, quantity, unit_price, list_price, discount, tax, quoted_at, valid_until)
                  VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let row = |(line, item): (i64, &CartItem)| {
        values![
            cart.id,
            line,
            &item.sku,
            item.quantity,
            item.unit_price.amount,
            item.quote.list_price.amount,
            item.discount.amount,
            item.tax.amount,
            item.quote.quoted_at,
            item.quote.valid_until
        ]
    };
    tx.insert_all(insert, (0_i64..).zip(&cart.items).map(row).collect()).await
}

async fn append(tx: &mut Tx<'_>, cart: &Cart, notes: &[Note]) -> Result<(), DbError> {
    let insert = "INSERT INTO cart_events (cart_id, version, kind, sku, quantity, coupon, total, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
    let row = |note: &Note| {
        values![
            cart.id,
            cart.version,
            note.step.as_str(),
            note.sku.clone(),
            note.quantity,
            note.coupon.clone(),
            cart.totals.total,
            cart.updated_at
        ]
    };
    tx.insert_all(insert, notes.iter().map(row).collect()).await
}

pub async fn by_id(tx: &mut Tx<'_>, id: CartId) -> Result<Option<Cart>, DbError> {
    let query = format!("SELECT {COLUMNS} FROM carts WHERE id = ?");
    let head = tx.fetch_optional::<Head>(&query, values![id]).await?;
    with_lines(tx, head).await
}

/// The cart that this session has open.
pub async fn open_of_session(tx: &mut Tx<'_>, token: &str) -> Result<Option<Cart>, DbError> {
    let query = format!("SELECT {COLUMNS} FROM carts WHERE open_session = ?");
    let head = tx.fetch_optional::<Head>(&query, values![token]).await?;
    with_lines(tx, head).await
}

/// The newest cart of this session, whatever became of it.
pub async fn newest_of_session(tx: &mut Tx<'_>, token: &str) -> Result<Option<Cart>, DbError> {
    let query = format!("SELECT {COLUMNS} FROM carts WHERE session_token = ? ORDER BY seq DESC LIMIT 1");
    let head = tx.fetch_optional::<Head>(&query, values![token]).await?;
    with_lines(tx, head).await
}

async fn with_lines(tx: &mut Tx<'_>, head: Option<Head>) -> Result<Option<Cart>, DbError> {
    let Some(Head(mut cart)) = head else { return Ok(None) };
    let query = "SELECT sku, quantity, unit_price, list_price, discount, tax, quoted_at, valid_until FROM cart_items
                 WHERE cart_id = ? ORDER BY line";
    let lines = tx.fetch_all::<Line>(query, values![cart.id]).await?;
    let money = |amount| Money::new(amount, cart.currency);
    cart.items = lines
        .into_iter()
        .map(|line| CartItem {
            sku: line.sku,
            quantity: line.quantity,
            unit_price: money(line.unit_price),
            discount: money(line.discount),
            tax: money(line.tax),
            quote: QuoteSnapshot { list_price: money(line.list_price), quoted_at: line.quoted_at, valid_until: line.valid_until },
        })
        .collect();
    Ok(Some(cart))
}

/// A cart and how it was checked out, if it was.
pub async fn by_id_with_closing(tx: &mut Tx<'_>, id: CartId) -> Result<Option<(Cart, Closing)>, DbError> {
    struct Both(Head, Closing);
    impl FromRow for Both {
        fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
            Ok(Self(Head::from_row(row)?, Closing::from_row(row)?))
        }
    }
    let query = format!("SELECT {COLUMNS}, checkout, checkout_token, checkout_fingerprint, order_id, erased_at FROM carts WHERE id = ?");
    let Some(Both(head, closing)) = tx.fetch_optional::<Both>(&query, values![id]).await? else { return Ok(None) };
    Ok(with_lines(tx, Some(head)).await?.map(|cart| (cart, closing)))
}

/// Its order is there and knows where it goes and how it is paid: the cart need not know any longer.
pub async fn note_order(tx: &mut Tx<'_>, id: CartId, order: OrderId) -> Result<(), DbError> {
    tx.execute("UPDATE carts SET order_id = ?, checkout = NULL WHERE id = ?", values![order, id]).await.map(|_| ())
}

/// Open carts whose time is over, the longest overdue first.
pub async fn due(tx: &mut Tx<'_>, now: Timestamp, limit: u32) -> Result<Vec<CartId>, DbError> {
    let query = "SELECT id FROM carts WHERE status = ? AND expires_at <= ? ORDER BY expires_at LIMIT ?";
    let ids = tx.fetch_all::<Uuid>(query, values![CartStatus::Open.as_str(), now, limit]).await?;
    Ok(ids.into_iter().map(CartId).collect())
}

/// When the next open cart's time is over.
pub async fn next_due(tx: &mut Tx<'_>) -> Result<Option<Timestamp>, DbError> {
    let query = "SELECT expires_at FROM carts WHERE status = ? ORDER BY expires_at LIMIT 1";
    tx.fetch_optional::<Timestamp>(query, values![CartStatus::Open.as_str()]).await
}

/// Marks a cart expired, if it is open and its time is over. Says whether it was.
pub async fn expire(tx: &mut Tx<'_>, id: CartId, now: Timestamp) -> Result<bool, DbError> {
    let update = "UPDATE carts SET status = ?, open_session = NULL, version = version + 1, updated_at = ?
                  WHERE id = ? AND status = ? AND expires_at <= ?";
    let changed = tx.execute(update, values![CartStatus::Expired.as_str(), now, id, CartStatus::Open.as_str(), now]).await?;
    if changed == 1 {
        append_stored(tx, id, Step::Expired).await?;
    }
    Ok(changed == 1)
}

/// Some of a customer's carts, with their versions.
pub async fn of_customer(tx: &mut Tx<'_>, customer: CustomerId, limit: u32) -> Result<Vec<(CartId, i64)>, DbError> {
    struct Known(CartId, i64);
    impl FromRow for Known {
        fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
            Ok(Self(row.id("id")?, row.get("version")?))
        }
    }
    let query = "SELECT id, version FROM carts WHERE customer_id = ? ORDER BY seq LIMIT ?";
    Ok(tx.fetch_all::<Known>(query, values![customer, limit]).await?.into_iter().map(|Known(id, version)| (id, version)).collect())
}

/// Removes what is personal from a cart of this version. Says whether it was of it.
pub async fn erase(tx: &mut Tx<'_>, id: CartId, version: i64, now: Timestamp) -> Result<bool, DbError> {
    let update = "UPDATE carts SET customer_id = NULL, checkout = NULL, checkout_fingerprint = NULL,
                  erased_at = CASE WHEN status = 'CHECKED_OUT' THEN ? ELSE NULL END, version = version + 1, updated_at = ?
                  WHERE id = ? AND version = ?";
    let changed = tx.execute(update, values![now, now, id, version]).await?;
    if changed == 1 {
        append_stored(tx, id, Step::Erased).await?;
    }
    Ok(changed == 1)
}

/// An entry of the log for a cart that was changed in place.
async fn append_stored(tx: &mut Tx<'_>, id: CartId, step: Step) -> Result<(), DbError> {
    let insert =
        "INSERT INTO cart_events (cart_id, version, kind, total, at) SELECT id, version, ?, total, updated_at FROM carts WHERE id = ?";
    tx.execute(insert, values![step.as_str(), id]).await.map(|_| ())
}
