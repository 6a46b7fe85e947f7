//! A flash sale: everybody wants the same thing at the same moment, there is one for a tenth of them, and each can pay for one. What came of
//! it is for the system's own books to say, not for those who bought; this file makes the rush and takes the times.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use cart_api::AddItem;
use inventory_api::Adjust;
use order_api::OrderStatus;
use platform::{Clock, Tasks};
use pricing_api::BookEntryRequest;
use seed::{
    Call, Directory, Shop,
    plan::prices::{book, price},
};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};
use types::{Currency, Quantity, ShortText, Sku, Timestamp};

use crate::{
    buyer::{Buyer, Crowd},
    journey::{Ending, Journey, Outcome},
    mix::{LoadError, Mix},
    report::{Recorder, Report, heads, row, table},
};

/// Who comes, and for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sale {
    /// Each wants one unit and has one credit: a payment that would go through.
    pub shoppers: u32,
    pub units: u32,
    /// The unit lies in everybody's cart before the sale opens, so that the rush begins with the checkout.
    pub in_cart: bool,
}

impl Default for Sale {
    fn default() -> Self {
        Self { shoppers: 1_000, units: 100, in_cart: false }
    }
}

impl Sale {
    /// How many can be sold.
    #[must_use]
    pub fn sellable(&self) -> u32 {
        self.units.min(self.shoppers)
    }

    fn validate(&self) -> Result<(), LoadError> {
        let knob = |knob, value: u32, must| Err(LoadError::Knob { knob, value: f64::from(value), must });
        if !(1..=100_000).contains(&self.shoppers) {
            return knob("shoppers", self.shoppers, "from 1 to 100000");
        }
        if !(1..=1_000_000).contains(&self.units) {
            return knob("units", self.units, "from 1 to 1000000");
        }
        Ok(())
    }
}

/// A moment of the sale, in seconds after it opened, which is when the first call is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Moment {
    /// By the timelines of the orders, which the system's clock wrote. On another machine its clock may be another.
    pub told_seconds: f64,
    /// When the shopper saw it, by looking now and then.
    pub seen_seconds: f64,
}

/// What the shoppers saw.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SaleReport {
    pub sku: Sku,
    pub sale: Sale,
    /// Orders that were confirmed, as far as shoppers were told.
    pub confirmed: u64,
    /// The last unit that there was is sold: its order has settled. None when not all were.
    pub sold_out: Option<Moment>,
    /// Every shopper has an answer, yes or no. None when somebody has not.
    pub all_answered: Option<Moment>,
    /// Calls and endings.
    pub buyers: Report,
}

#[derive(Debug, thiserror::Error)]
pub enum SaleError {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("`{request}` was refused: {status} {slug}: {detail}")]
    Refused { request: String, status: u16, slug: String, detail: String },
    #[error("`{request}` was not answered; is the system running?")]
    Unreachable { request: String, source: seed::shop::Unreachable },
    #[error("`{0}` is no SKU")]
    Sku(String),
}

/// Where the units lie.
const WAREHOUSE: &str = "us-east";
const PRICE_USD_MINOR: i64 = 4_900;
/// How long a shopper looks at an order that does not settle.
const PATIENCE: Duration = Duration::from_secs(120);

/// Puts what is to be sold on the shelf: a SKU that nothing else has touched, so that all that the books tell of it is about this sale.
pub async fn stock<S: Shop>(shop: &S, sale: &Sale, clock: Clock) -> Result<Sku, SaleError> {
    sale.validate()?;
    let name = format!("SALE-{}", clock.now().micros());
    let word = |text: &str| Sku::new(text).map_err(|_| SaleError::Sku(text.to_owned()));
    let sku = word(&name)?;
    for currency in Currency::ALL {
        let entry = BookEntryRequest { unit_price: price(PRICE_USD_MINOR, currency) };
        done(shop, Call::put(format!("/pricing/books/{}/entries/{sku}", book(currency)), &entry)).await?;
    }
    let reason = ShortText::new("received for the sale").map_err(|_| SaleError::Sku(name.clone()))?;
    let (warehouse, delta) = (word(WAREHOUSE)?, i64::from(sale.units));
    let receipt = Adjust { sku: sku.clone(), warehouse, delta, reason, allow_shortfall: false };
    done(shop, Call::post("/inventory/adjust", &receipt).idempotency_key(name)).await?;
    Ok(sku)
}

async fn done<S: Shop>(shop: &S, call: Call) -> Result<(), SaleError> {
    let request = call.to_string();
    match shop.send(call).await {
        Ok(answer) if answer.status.is_success() => Ok(()),
        Ok(answer) => Err(SaleError::Refused { request, status: answer.status.as_u16(), slug: answer.slug(), detail: answer.detail() }),
        Err(source) => Err(SaleError::Unreachable { request, source }),
    }
}

/// Everybody at once. Shoppers are tasks of `tasks`; the same seed is the same people.
pub async fn rush<S: Shop + 'static>(
    shop: Arc<S>,
    directory: &Directory,
    (sale, sku): (Sale, Sku),
    seed: u64,
    (clock, tasks): (Clock, &Tasks),
) -> Result<SaleReport, SaleError> {
    sale.validate()?;
    let crowd = Crowd::new(seed, Mix { lines_max: 1, ..Mix::bench() }, directory)?;
    let ended: Arc<Mutex<Vec<(Outcome, Timestamp)>>> = Arc::default();
    // Nobody sends: the waiting ends when each shopper has dropped his end.
    let (ready, mut readied) = mpsc::channel::<()>(1);
    let (all, mut gone) = mpsc::channel::<()>(1);
    let (open, opened) = watch::channel(false);
    for number in 0..sale.shoppers {
        let buyer = wants(crowd.buyer(u64::from(number), |_| 1.0), &sku);
        let (shop, ended, ready, here, mut opened) = (shop.clone(), ended.clone(), ready.clone(), all.clone(), opened.clone());
        tasks.spawn("shopper", async move {
            let journey = Journey { shop: shop.as_ref(), clock, patience: PATIENCE };
            let wait = async move {
                drop(ready);
                // A sender that is gone opens the sale too: better early than never.
                drop(opened.wait_for(|is_open| *is_open).await);
            };
            let outcome = if sale.in_cart {
                journey.checkout_after(&buyer, wait).await
            } else {
                wait.await;
                journey.checkout(&buyer).await
            };
            ended.lock().unwrap_or_else(PoisonError::into_inner).push((outcome, clock.now()));
            drop(here);
        });
    }
    drop((ready, all));
    while readied.recv().await.is_some() {}
    let opened_at = clock.now();
    open.send_replace(true);
    while gone.recv().await.is_some() {}
    let ended = std::mem::take(&mut *ended.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(report(sale, sku, opened_at, &ended))
}

/// The same person, who has come for this.
fn wants(buyer: Buyer, sku: &Sku) -> Buyer {
    let items = vec![AddItem { sku: sku.clone(), quantity: Quantity::ONE }];
    Buyer { items, coupon: None, abandons: false, payment_token: "tok_ok".to_owned(), ..buyer }
}

fn report(sale: Sale, sku: Sku, opened: Timestamp, ended: &[(Outcome, Timestamp)]) -> SaleReport {
    let mut recorder = Recorder::default();
    let (mut sold, mut answered) = (Moments::default(), Moments::default());
    let mut last = opened;
    for (outcome, at) in ended {
        recorder.record(outcome, 0);
        last = last.max(*at);
        let Ending::Settled { status, .. } = outcome.ending else { continue };
        let told = outcome.timeline.iter().find(|entry| entry.status.is_settled()).map_or(*at, |entry| entry.at);
        answered.add(told.since(opened), at.since(opened));
        if status != OrderStatus::Cancelled {
            sold.add(told.since(opened), at.since(opened));
        }
    }
    let how = if sale.in_cart { "in the cart beforehand" } else { "from an empty cart on" };
    let name = format!("flash sale, {} shoppers for {} units, {how}", sale.shoppers, sale.units);
    SaleReport {
        confirmed: sold.told.len() as u64,
        sold_out: sold.nth(sale.sellable()),
        all_answered: answered.nth(sale.shoppers),
        buyers: recorder.report(name, last.since(opened)),
        sale,
        sku,
    }
}

/// When something was told and seen, of each order.
#[derive(Default)]
struct Moments {
    told: Vec<Duration>,
    seen: Vec<Duration>,
}

impl Moments {
    fn add(&mut self, told: Duration, seen: Duration) {
        self.told.push(told);
        self.seen.push(seen);
    }

    /// When it had been told and seen so many times.
    fn nth(mut self, count: u32) -> Option<Moment> {
        let index = (count as usize).checked_sub(1)?;
        self.told.sort_unstable();
        self.seen.sort_unstable();
        let (told, seen) = self.told.get(index).zip(self.seen.get(index))?;
        Some(Moment { told_seconds: told.as_secs_f64(), seen_seconds: seen.as_secs_f64() })
    }
}

/// Plain text, at most 100 columns wide.
impl std::fmt::Display for SaleReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}", self.buyers.load)?;
        moment(f, "the last unit sold", self.sold_out)?;
        moment(f, "everybody answered", self.all_answered)?;
        writeln!(f)?;
        heads(f)?;
        row(f, "checkout answered", &self.buyers.answered)?;
        row(f, "order seen settled", &self.buyers.settled)?;
        for (step, latency) in &self.buyers.steps {
            row(f, &format!("  {step}"), latency)?;
        }
        let told = BTreeMap::from([("confirmed".to_owned(), self.confirmed)]);
        table(f, "orders, as shoppers were told", &told)?;
        table(f, "cancelled because", &self.buyers.cancelled)?;
        table(f, "errors", &self.buyers.errors)
    }
}

fn moment(f: &mut std::fmt::Formatter<'_>, what: &str, moment: Option<Moment>) -> std::fmt::Result {
    match moment {
        Some(Moment { told_seconds, seen_seconds }) => {
            writeln!(f, "  {what} {told_seconds:.2} s after the first call (seen after {seen_seconds:.2} s)")
        }
        None => writeln!(f, "  {what}: never"),
    }
}

#[cfg(test)]
mod tests;
