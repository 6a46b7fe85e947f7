//! The facts of pricing, for the checks from outside: I20 asks whether a coupon stayed within its limit.

use platform::{
    audit::{self, Collection},
    db::{Db, DbError, FromRow, Row},
};
use serde::Serialize;
use types::{CartId, Timestamp, id::Uuid};

/// A campaign as it stands.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PromotionFact {
    seq: i64,
    at: Timestamp,
    kind: &'static str,
    id: Uuid,
    code: Option<String>,
    usage_limit: Option<u32>,
    used: i64,
}

impl FromRow for PromotionFact {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        Ok(Self {
            seq: row.get("seq")?,
            at: row.get("created_at")?,
            kind: "promotion",
            id: row.get("id")?,
            code: row.get("code")?,
            usage_limit: row.get("usage_limit")?,
            used: row.get("used")?,
        })
    }
}

/// One use of a coupon by one cart.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RedemptionFact {
    seq: i64,
    at: Timestamp,
    kind: &'static str,
    id: Uuid,
    promotion_id: Uuid,
    code: String,
    cart_id: CartId,
}

impl FromRow for RedemptionFact {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        Ok(Self {
            seq: row.get("seq")?,
            at: row.get("at")?,
            kind: "redemption",
            id: row.get("id")?,
            promotion_id: row.get("promotion_id")?,
            code: row.get("code")?,
            cart_id: row.id("cart_id")?,
        })
    }
}

pub fn collections(db: &Db) -> Vec<Collection> {
    let mut all = vec![
        Collection::of_rows::<PromotionFact>(
            "promotions",
            db,
            "SELECT seq, id, code, usage_limit, used, created_at FROM promotion_campaigns WHERE seq > ? ORDER BY seq LIMIT ?",
        ),
        Collection::of_rows::<RedemptionFact>(
            "redemptions",
            db,
            "SELECT seq, id, promotion_id, code, cart_id, at FROM promotion_redemptions WHERE seq > ? ORDER BY seq LIMIT ?",
        ),
    ];
    all.extend(audit::of_platform(db));
    all
}
