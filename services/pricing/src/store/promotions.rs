//! Campaigns and their uses.

use platform::{
    db::{DbError, FromRow, Row, Tx},
    values,
};
use types::{CartId, Sku, Timestamp, id::Uuid};

use super::{json, optional_json};
use crate::domain::promotion::Promotion;

/// How many automatic promotions that have not ended there may be.
pub const MAX_AUTOMATIC: u32 = 200;

const PROMOTION: &str = "id, code, name, condition, effect, starts_at, ends_at, usage_limit, used";

impl FromRow for Promotion {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        let code: Option<String> = row.get("code")?;
        Ok(Self {
            id: row.get("id")?,
            code: code.map(|_| row.parse("code")).transpose()?,
            name: row.get("name")?,
            when: optional_json(row, "condition")?,
            effect: row.json("effect")?,
            starts_at: row.get("starts_at")?,
            ends_at: row.get("ends_at")?,
            usage_limit: row.get("usage_limit")?,
            used: row.get("used")?,
        })
    }
}

/// Makes a campaign; says whether its code was free.
pub async fn insert(tx: &mut Tx<'_>, promotion: &Promotion, activated_at: Option<Timestamp>, now: Timestamp) -> Result<bool, DbError> {
    tx.insert_new(
        "INSERT INTO promotion_campaigns (id, code, name, condition, effect, starts_at, ends_at, usage_limit, used, activated_at, created_at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?)",
        values![
            promotion.id,
            promotion.code.clone().map(String::from),
            &promotion.name,
            promotion.when.as_ref().map(json).transpose()?,
            json(&promotion.effect)?,
            promotion.starts_at,
            promotion.ends_at,
            promotion.usage_limit,
            activated_at,
            now
        ],
    )
    .await
}

pub async fn by_id(tx: &mut Tx<'_>, id: Uuid) -> Result<Option<Promotion>, DbError> {
    tx.fetch_optional(&format!("SELECT {PROMOTION} FROM promotion_campaigns WHERE id = ?"), values![id]).await
}

pub async fn by_code(tx: &mut Tx<'_>, code: &Sku) -> Result<Option<Promotion>, DbError> {
    tx.fetch_optional(&format!("SELECT {PROMOTION} FROM promotion_campaigns WHERE code = ?"), values![code]).await
}

/// Promotions in the order in which they were made, from behind `after` on, each with its place.
pub async fn after(tx: &mut Tx<'_>, after: i64, limit: u32) -> Result<Vec<(i64, Promotion)>, DbError> {
    struct Placed(i64, Promotion);
    impl FromRow for Placed {
        fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
            Ok(Self(row.get("seq")?, Promotion::from_row(row)?))
        }
    }
    let query = format!("SELECT seq, {PROMOTION} FROM promotion_campaigns WHERE seq > ? ORDER BY seq LIMIT ?");
    let placed = tx.fetch_all::<Placed>(&query, values![after, limit]).await?;
    Ok(placed.into_iter().map(|Placed(seq, promotion)| (seq, promotion)).collect())
}

/// The automatic promotions that have not ended at `now` and start no later than `latest`.
pub async fn automatic(tx: &mut Tx<'_>, now: Timestamp, latest: Timestamp) -> Result<Vec<Promotion>, DbError> {
    let query = format!(
        "SELECT {PROMOTION} FROM promotion_campaigns WHERE code IS NULL AND ends_at > ? AND starts_at <= ? ORDER BY ends_at, id LIMIT ?"
    );
    tx.fetch_all(&query, values![now, latest, MAX_AUTOMATIC]).await
}

pub async fn count_automatic(tx: &mut Tx<'_>, now: Timestamp) -> Result<u32, DbError> {
    tx.fetch_one("SELECT count(*) FROM promotion_campaigns WHERE code IS NULL AND ends_at > ?", values![now]).await
}

/// The first promotions that have not been announced, the earliest first.
pub async fn waiting(tx: &mut Tx<'_>, limit: u32) -> Result<Vec<Promotion>, DbError> {
    let query = format!("SELECT {PROMOTION} FROM promotion_campaigns WHERE activated_at IS NULL ORDER BY starts_at, id LIMIT ?");
    tx.fetch_all(&query, values![limit]).await
}

/// Notes that a promotion was announced; says whether it had not been.
pub async fn activate(tx: &mut Tx<'_>, id: Uuid, now: Timestamp) -> Result<bool, DbError> {
    let update = "UPDATE promotion_campaigns SET activated_at = ? WHERE id = ? AND activated_at IS NULL";
    Ok(tx.execute(update, values![now, id]).await? == 1)
}

/// Whether this cart has used this coupon.
pub async fn is_redeemed(tx: &mut Tx<'_>, promotion: Uuid, cart: CartId) -> Result<bool, DbError> {
    let query = "SELECT count(*) FROM promotion_redemptions WHERE promotion_id = ? AND cart_id = ?";
    Ok(tx.fetch_one::<i64>(query, values![promotion, cart]).await? > 0)
}

/// Counts one more use unless the limit is reached; says whether it did. The row itself is asked, so that of many at once none goes over.
pub async fn count_use(tx: &mut Tx<'_>, promotion: Uuid) -> Result<bool, DbError> {
    let update = "UPDATE promotion_campaigns SET used = used + 1 WHERE id = ? AND (usage_limit IS NULL OR used < usage_limit)";
    Ok(tx.execute(update, values![promotion]).await? == 1)
}

pub async fn insert_redemption(
    tx: &mut Tx<'_>,
    id: Uuid,
    promotion: Uuid,
    code: &Sku,
    cart: CartId,
    now: Timestamp,
) -> Result<bool, DbError> {
    let insert = "INSERT INTO promotion_redemptions (id, promotion_id, code, cart_id, at) VALUES (?, ?, ?, ?, ?)";
    tx.insert_new(insert, values![id, promotion, code, cart, now]).await
}

/// Takes back a cart's use of a coupon, if there is one; says whether there was.
pub async fn delete_redemption(tx: &mut Tx<'_>, promotion: Uuid, cart: CartId) -> Result<bool, DbError> {
    let delete = "DELETE FROM promotion_redemptions WHERE promotion_id = ? AND cart_id = ?";
    if tx.execute(delete, values![promotion, cart]).await? == 0 {
        return Ok(false);
    }
    tx.execute("UPDATE promotion_campaigns SET used = used - 1 WHERE id = ? AND used > 0", values![promotion]).await.map(|_| true)
}
