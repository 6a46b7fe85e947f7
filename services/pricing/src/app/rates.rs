//! Exchange rates: fetched now and then, told when they change.

use std::{collections::BTreeMap, time::Duration};

use platform::{
    db::{DbError, Tx},
    service::Progress,
};
use pricing_api::{Rates, events::FxRateChanged};
use types::{Currency, Timestamp};

use super::App;
use crate::{
    error::PricingError,
    store::rates::{self as store, KeptRate},
};

/// When another process is at it, look again this much later.
const ASIDE: Duration = Duration::from_secs(1);

impl App {
    /// What one unit of `base` is in the others.
    pub async fn rates(&self, base: Currency) -> Result<Rates, PricingError> {
        let kept = self.db.read(async |tx: &mut Tx<'_>| store::of(tx, base).await).await?;
        let (rates, as_of) = kept.ok_or(PricingError::NoRates(base))?;
        Ok(Rates { base, rates, as_of })
    }

    /// Fetches the rates if they are due, and announces those that changed.
    pub async fn sync_rates(&self) -> Result<Progress, PricingError> {
        // One instance at a time; who comes second finds nothing due.
        let Some(_lease) = self.leases.take("pricing/currency-rate-sync") else { return Ok(Progress::Idle) };
        let Some(lease) = self.db.lease("currency-rate-sync").await? else { return Ok(Progress::Until(self.clock.now().plus(ASIDE))) };
        let progress = self.sync_rates_alone().await?;
        lease.end().await;
        Ok(progress)
    }

    async fn sync_rates_alone(&self) -> Result<Progress, PricingError> {
        let kept = self.db.read(async |tx: &mut Tx<'_>| store::all(tx).await).await?;
        if let Some(due) = self.next_sync(&kept)
            && due > self.clock.now()
        {
            return Ok(Progress::Until(due));
        }
        let this = self.clone();
        let changed = self.db.write(async move |tx: &mut Tx<'_>| this.write_rates(tx).await).await?;
        self.counters.rate_changes.inc_by(changed);
        tracing::debug!(changed, "exchange rates were fetched");
        Ok(Progress::Until(self.clock.now().plus(self.config.fx_sync())))
    }

    /// When the rates are to be fetched again; nothing when some were never fetched.
    fn next_sync(&self, kept: &[KeptRate]) -> Option<Timestamp> {
        let is_whole = kept.len() == pairs().count();
        kept.iter().map(|rate| rate.as_of).min().filter(|_| is_whole).map(|oldest| oldest.plus(self.config.fx_sync()))
    }

    async fn write_rates(&self, tx: &mut Tx<'_>) -> Result<u64, DbError> {
        let now = self.clock.now();
        let kept = store::all(tx).await?.into_iter().map(|rate| ((rate.base, rate.currency), rate.rate_micros));
        let kept: BTreeMap<(Currency, Currency), i64> = kept.collect();
        let mut changed = 0;
        for (base, currency) in pairs() {
            let rate_micros = self.provider.rate_micros(base, currency, now);
            store::save(tx, KeptRate { base, currency, rate_micros, as_of: now }).await?;
            if kept.get(&(base, currency)) != Some(&rate_micros) {
                self.outbox.add(tx, &FxRateChanged { base, currency, rate_micros, at: now }).await?;
                changed += 1;
            }
        }
        Ok(changed)
    }
}

/// Every currency into every other.
fn pairs() -> impl Iterator<Item = (Currency, Currency)> {
    let all = Currency::ALL;
    all.into_iter().flat_map(move |base| all.into_iter().filter(move |other| *other != base).map(move |other| (base, other)))
}
