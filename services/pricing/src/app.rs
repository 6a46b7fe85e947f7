//! The use cases: read by index, decide (domain), save and announce in one transaction.
//!
//! Reading order: [`quotes`] (what is asked all day), [`rules`] (books and rules), [`promotions`], [`rates`].

mod promotions;
mod quotes;
mod rates;
mod rules;

use std::sync::Arc;

use platform::{
    Clock, Ids,
    db::Db,
    event::Outbox,
    http::Answer,
    idempotency::{Idempotency, Key},
    lease::Leases,
    service::{BuildError, Env},
    telemetry::metrics::Counter,
};
use tokio::sync::Notify;

use crate::{config::Config, error::PricingError, provider::FakeProvider};

#[derive(Clone, Debug)]
pub struct App {
    pub db: Db,
    pub config: Arc<Config>,
    clock: Clock,
    ids: Ids,
    outbox: Outbox,
    idempotency: Idempotency,
    leases: Leases,
    provider: FakeProvider,
    /// Rung when a promotion is made that starts later.
    pub promotion_bell: Arc<Notify>,
    counters: Counters,
}

/// What is counted, on `/metrics`.
#[derive(Clone, Debug)]
struct Counters {
    quotes: Counter,
    carts: Counter,
    redemptions: Counter,
    exhausted: Counter,
    rate_changes: Counter,
}

impl App {
    pub fn new(env: &Env) -> Result<Self, BuildError> {
        let outbox = env.outbox();
        outbox.register::<pricing_api::events::PricingUpdated>()?;
        outbox.register::<pricing_api::events::PromotionActivated>()?;
        outbox.register::<pricing_api::events::FxRateChanged>()?;
        let counter = |name, help| env.metrics.counter(name, help);
        Ok(Self {
            db: env.db(),
            config: Arc::new(env.config()?),
            clock: env.clock,
            ids: env.ids.clone(),
            outbox,
            idempotency: env.idempotency(),
            leases: env.leases.clone(),
            provider: FakeProvider::new(env.chance),
            promotion_bell: Arc::default(),
            counters: Counters {
                quotes: counter("pricing_quotes_total", "Prices of one SKU that were answered"),
                carts: counter("pricing_carts_total", "Carts that were priced"),
                redemptions: counter("pricing_redemptions_total", "Coupons that were used"),
                exhausted: counter("pricing_coupons_exhausted_total", "Coupons that were refused because their limit was reached"),
                rate_changes: counter("pricing_fx_changes_total", "Exchange rates that changed"),
            },
        })
    }

    /// A POST that changes nothing: computed, and kept only for who sent a key, so that the same key has the same answer.
    async fn computed(&self, key: Option<Key>, work: impl AsyncFnOnce() -> Result<Answer, PricingError>) -> Result<Answer, PricingError> {
        let Some(key) = key else { return work().await };
        if let Some(answer) = self.idempotency.answered(&self.db, &key).await? {
            return Ok(answer);
        }
        let answer = work().await?;
        let idempotency = self.idempotency.clone();
        self.db
            .write(async move |tx: &mut platform::db::Tx<'_>| {
                idempotency.once(tx, Some(&key), async |_: &mut platform::db::Tx<'_>| Ok(answer.clone())).await
            })
            .await
    }

    /// Forgets answers that are older than a day.
    pub async fn purge(&self) -> Result<u64, PricingError> {
        Ok(self.idempotency.purge(&self.db).await?)
    }
}
