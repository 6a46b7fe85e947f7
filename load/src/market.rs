//! A market: buyers and sellers work on one range of products at the same time, in the proportions of the Online Marketplace benchmark, as
//! far as the system has their operations. What a service does while others change what it stands on is what this load is for: a price
//! changes between a cart and its checkout, two sellers' changes meet on one document.
//!
//! That mix has a fifth operation, the update of deliveries, with 60 of its 100 parts. No service here delivers yet and nothing else means
//! it, so it is left out and the other four keep their proportions (30 : 5 : 3 : 2).
//!
//! Reading order: this file (who does what, and the counting), [`range`] (what is sold), [`trade`] (what each operation does).

pub mod range;
mod trade;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use hdrhistogram::Histogram;
use platform::{Clock, Tasks};
use rand::{Rng, RngExt};
use seed::{
    Directory, Shop,
    zipf::{EXPONENT, Zipf},
};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

pub use self::range::{Filled, Range};
use self::trade::{Done, Trader};
use crate::{
    buyer::Crowd,
    journey::micros,
    mix::{LoadError, Mix},
    report::{Latency, count, heads, histogram, latency, row, table},
    run::PAUSE_AFTER_FAILURE,
};

types::words! {
    /// What somebody does on a market.
    Operation {
        /// A buyer's whole way, from an empty cart to an order that has settled.
        Checkout = "checkout",
        /// A seller looks at what he sells: his products, and of each the price and the stock with what is held and sold of it.
        Dashboard = "seller-dashboard",
        /// A seller looks at a price and sets another, if nobody else has meanwhile.
        PriceUpdate = "price-update",
        /// A seller looks at a product and describes it anew, if nobody else has meanwhile.
        ProductUpdate = "product-update",
    }
}

impl Operation {
    /// Its parts of the mix.
    #[must_use]
    pub const fn weight(self) -> u32 {
        match self {
            Self::Checkout => 30,
            Self::Dashboard => 5,
            Self::PriceUpdate => 3,
            Self::ProductUpdate => 2,
        }
    }

    fn draw(chance: &mut impl Rng) -> Self {
        let mut point = chance.random_range(0..Self::ALL.iter().map(|operation| operation.weight()).sum());
        for &operation in Self::ALL {
            if point < operation.weight() {
                return operation;
            }
            point -= operation.weight();
        }
        Self::Checkout
    }
}

/// How products are chosen, by buyers and by sellers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Choice {
    /// All alike.
    #[default]
    Uniform,
    /// By Zipf's law: a few very often, most hardly ever.
    Zipf,
}

impl Choice {
    #[must_use]
    pub const fn exponent(self) -> f64 {
        match self {
            Self::Uniform => 0.0,
            Self::Zipf => EXPONENT,
        }
    }

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Zipf => "zipf",
        }
    }
}

/// A closed loop: so many people do one operation after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    pub range: Range,
    pub choice: Choice,
    pub shoppers: u32,
    pub duration: Duration,
}

/// A market that is ready to run.
pub struct Market<S> {
    shop: Arc<S>,
    plan: Plan,
    crowd: Arc<Crowd>,
    popularity: Arc<Zipf>,
    clock: Clock,
    tasks: Tasks,
}

impl<S: Shop + 'static> Market<S> {
    /// `directory` names the people; the range must have been filled. The same seed is the same operations in the same order.
    pub fn new(shop: Arc<S>, directory: &Directory, plan: Plan, seed: u64, (clock, tasks): (Clock, Tasks)) -> Result<Self, LoadError> {
        let knob = |knob, value: u32, must| Err(LoadError::Knob { knob, value: f64::from(value), must });
        if !(1..=100_000).contains(&plan.shoppers) {
            return knob("shoppers", plan.shoppers, "from 1 to 100000");
        }
        if !(1..=range::LARGEST).contains(&plan.range.products) {
            return knob("products", plan.range.products, "from 1 to 1000000");
        }
        let goods = Directory { customers: directory.customers.clone(), skus: plan.range.skus(), ..Directory::default() };
        let crowd = Crowd::new(seed, Mix { popularity: plan.choice.exponent(), ..Mix::bench() }, &goods)?;
        let popularity = Arc::new(Zipf::new(plan.range.products as usize, plan.choice.exponent()));
        Ok(Self { shop, plan, crowd: Arc::new(crowd), popularity, clock, tasks })
    }

    /// Runs until the time is up or the tasks are asked to stop; what is under way then is waited for. `watch` hears of each operation.
    pub async fn run(&self, watch: impl Fn() + Send + Sync + 'static) -> MarketReport {
        let (start, clock, until) = (self.clock.now(), self.clock, self.plan.duration);
        let (numbers, recorder, watch) = (Arc::new(AtomicU64::new(0)), Arc::<Mutex<Recorder>>::default(), Arc::new(watch));
        // Nobody sends: the waiting ends when each task has dropped its end.
        let (held, mut done) = mpsc::channel::<()>(1);
        for _ in 0..self.plan.shoppers {
            let (numbers, recorder, watch, held, tasks) =
                (numbers.clone(), recorder.clone(), watch.clone(), held.clone(), self.tasks.clone());
            let (shop, crowd, popularity) = (self.shop.clone(), self.crowd.clone(), self.popularity.clone());
            self.tasks.spawn("trader", async move {
                while clock.now().since(start) < until && !tasks.is_stopping() {
                    let number = numbers.fetch_add(1, Ordering::SeqCst);
                    let mut stream = crowd.chance().stream("load", &format!("operation-{number}"), "market");
                    let operation = Operation::draw(&mut stream);
                    let product = u32::try_from(popularity.draw(&mut stream)).unwrap_or(0);
                    let began = clock.now();
                    let trader = Trader { shop: shop.as_ref(), clock, crowd: &crowd };
                    let done = trader.go(operation, number, product, &mut stream).await;
                    let has_failed = done.is_failure();
                    recorder.lock().unwrap_or_else(PoisonError::into_inner).record(operation, micros(clock.now().since(began)), done);
                    watch();
                    if has_failed {
                        clock.sleep(PAUSE_AFTER_FAILURE).await;
                    }
                }
                drop(held);
            });
        }
        drop(held);
        while done.recv().await.is_some() {}
        let recorder = recorder.lock().unwrap_or_else(PoisonError::into_inner);
        recorder.report(&self.plan, self.clock.now().since(start))
    }
}

/// What came of one kind of operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KindReport {
    pub operations: u64,
    /// Those among them that did not come to what they were for.
    pub failed: u64,
    pub per_second: f64,
    /// Calls that all of them took together.
    pub calls: u64,
    /// Of a whole operation; of a checkout up to the look at which its order had settled.
    pub latency: Latency,
}

/// What came of a market.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MarketReport {
    pub load: String,
    pub products: u32,
    pub choice: Choice,
    /// From the first operation to the end of the last.
    pub elapsed_seconds: f64,
    pub operations: u64,
    pub failed: u64,
    pub operations_per_second: f64,
    pub kinds: BTreeMap<Operation, KindReport>,
    /// From the first call of a checkout to its answer.
    pub checkout_answered: Latency,
    /// Orders by their state at the end.
    pub orders: BTreeMap<String, u64>,
    /// Refusals by operation, status and slug; `412` and `409` of an update are a change that somebody else has made meanwhile.
    pub errors: BTreeMap<String, u64>,
    /// Operations of the benchmark that this system does not have.
    pub left_out: Vec<String>,
}

#[derive(Clone)]
struct Kind {
    failed: u64,
    calls: u64,
    latency: Histogram<u64>,
}

/// Counts for many tasks.
struct Recorder {
    kinds: BTreeMap<Operation, Kind>,
    answered: Histogram<u64>,
    orders: BTreeMap<String, u64>,
    errors: BTreeMap<String, u64>,
}

impl Default for Recorder {
    fn default() -> Self {
        Self { kinds: BTreeMap::new(), answered: histogram(), orders: BTreeMap::new(), errors: BTreeMap::new() }
    }
}

impl Recorder {
    fn record(&mut self, operation: Operation, took_micros: u64, done: Done) {
        let kind = self.kinds.entry(operation).or_insert_with(|| Kind { failed: 0, calls: 0, latency: histogram() });
        kind.calls += done.calls;
        kind.failed += u64::from(done.is_failure());
        kind.latency.saturating_record(took_micros);
        if let Some(answered) = done.answered_micros {
            self.answered.saturating_record(answered);
        }
        if let Some(order) = done.order {
            count(&mut self.orders, order);
        }
        if let Some(error) = done.error {
            count(&mut self.errors, &format!("{operation} {error}"));
        }
    }

    fn report(&self, plan: &Plan, elapsed: Duration) -> MarketReport {
        let elapsed_seconds = elapsed.as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a count of operations")]
        let per_second = |count: u64| if elapsed_seconds > 0.0 { count as f64 / elapsed_seconds } else { 0.0 };
        let kind = |kind: &Kind| KindReport {
            operations: kind.latency.len(),
            failed: kind.failed,
            per_second: per_second(kind.latency.len()),
            calls: kind.calls,
            latency: latency(&kind.latency),
        };
        let operations = self.kinds.values().map(|kind| kind.latency.len()).sum();
        MarketReport {
            load: format!("market, {} shoppers on {} products ({})", plan.shoppers, plan.range.products, plan.choice.as_str()),
            products: plan.range.products,
            choice: plan.choice,
            elapsed_seconds,
            operations,
            failed: self.kinds.values().map(|kind| kind.failed).sum(),
            operations_per_second: per_second(operations),
            kinds: self.kinds.iter().map(|(operation, seen)| (*operation, kind(seen))).collect(),
            checkout_answered: latency(&self.answered),
            orders: self.orders.clone(),
            errors: self.errors.clone(),
            left_out: vec!["delivery-update (60 of 100): no service delivers yet".to_owned()],
        }
    }
}

/// Plain text, at most 100 columns wide.
impl std::fmt::Display for MarketReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "Load: {}", self.load)?;
        let (elapsed, rate) = (self.elapsed_seconds, self.operations_per_second);
        writeln!(f, "{} operations in {elapsed:.1} s ({rate:.1}/s), {} failed\n", self.operations, self.failed)?;
        writeln!(f, "{:<30}{:>10}{:>12}{:>12}{:>12}", "operations", "count", "a second", "failed", "calls")?;
        for (operation, kind) in &self.kinds {
            let KindReport { operations, failed, per_second, calls, .. } = kind;
            writeln!(f, "{:<30}{operations:>10}{per_second:>12.1}{failed:>12}{calls:>12}", operation.as_str())?;
        }
        writeln!(f)?;
        heads(f)?;
        for (operation, kind) in &self.kinds {
            row(f, operation.as_str(), &kind.latency)?;
        }
        row(f, "checkout answered", &self.checkout_answered)?;
        table(f, "orders", &self.orders)?;
        table(f, "errors", &self.errors)?;
        for left_out in &self.left_out {
            writeln!(f, "\nleft out: {left_out}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
