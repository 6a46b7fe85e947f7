//! Exchange rates.

use platform::{
    db::{DbError, FromRow, Row, Tx},
    values,
};
use pricing_api::Rate;
use types::{Currency, Timestamp};

/// A rate that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptRate {
    pub base: Currency,
    pub currency: Currency,
    pub rate_micros: i64,
    pub as_of: Timestamp,
}

impl FromRow for KeptRate {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        Ok(Self {
            base: row.parse("base")?,
            currency: row.parse("currency")?,
            rate_micros: row.get("rate_micros")?,
            as_of: row.get("as_of")?,
        })
    }
}

/// Every rate: a row for each pair of currencies.
pub async fn all(tx: &mut Tx<'_>) -> Result<Vec<KeptRate>, DbError> {
    tx.fetch_all("SELECT base, currency, rate_micros, as_of FROM currency_rates ORDER BY base, currency LIMIT 100", values![]).await
}

/// The rates from one currency into the others, and when the oldest of them was fetched.
pub async fn of(tx: &mut Tx<'_>, base: Currency) -> Result<Option<(Vec<Rate>, Timestamp)>, DbError> {
    let query = "SELECT base, currency, rate_micros, as_of FROM currency_rates WHERE base = ? ORDER BY currency LIMIT 100";
    let kept: Vec<KeptRate> = tx.fetch_all(query, values![base]).await?;
    let as_of = kept.iter().map(|rate| rate.as_of).min();
    let rates = kept.into_iter().map(|rate| Rate { currency: rate.currency, rate_micros: rate.rate_micros }).collect();
    Ok(as_of.map(|as_of| (rates, as_of)))
}

pub async fn save(tx: &mut Tx<'_>, rate: KeptRate) -> Result<(), DbError> {
    let update = "UPDATE currency_rates SET rate_micros = ?, as_of = ? WHERE base = ? AND currency = ?";
    if tx.execute(update, values![rate.rate_micros, rate.as_of, rate.base, rate.currency]).await? == 0 {
        let insert = "INSERT INTO currency_rates (base, currency, rate_micros, as_of) VALUES (?, ?, ?, ?)";
        tx.execute(insert, values![rate.base, rate.currency, rate.rate_micros, rate.as_of]).await?;
    }
    Ok(())
}
