//! Who comes when, and how long each payment takes. Every draw comes from a stream of its own (buyer, purpose). Two moments decide: when the last unit
//! is asked for, and when the commit that takes it is through; whoever else comes keeps a guard from both, or the whole day is drawn again.

use platform::Chance;
use rand::RngExt;
use rand_distr::{Distribution, LogNormal};

use crate::{
    experiment::{Micros, buyer_name},
    knob::{Knob, KnobError, Knobs},
};

const SECOND: Micros = 1_000_000;
/// How far buyers keep away from the two moments: longer than the hops between a checkout and the look at the stock may take.
const GUARD: Micros = SECOND / 20;
/// The longest payment: it is answered before anybody loses patience (`payment.psp_timeout_ms`).
const LONGEST: Micros = 9 * SECOND;
/// How many days are drawn at most; of the default one about one in eight is kept.
const DAYS: usize = 10_000;

pub const KNOBS: &[Knob] = &[
    Knob::whole("stock", 60, 1, 100_000, "Units on hand when the sale begins."),
    Knob::real("demand_per_second", 10.0, 0.01, 1_000.0, "Buyers a second, each for one unit."),
    Knob::real("window_seconds", 20.0, 1.0, 86_400.0, "How long the sale lasts."),
    Knob::whole("commit_ms", 800, 1, 2_000, "How long a commit of inventory-service takes meanwhile."),
    Knob::real("payment_median_seconds", 2.0, 0.01, 8.0, "Half of the payments take less than this."),
    Knob::real("payment_sigma", 0.6, 0.0, 3.0, "Spread of the payments (of the logarithm)."),
    Knob::whole("unit_price_minor", 1_999, 1, 10_000_000, "The price of a unit, in US cents."),
];

/// The knobs as what they mean, in microseconds.
#[derive(Clone, Debug)]
pub struct Plan {
    pub stock: usize,
    pub buyers: usize,
    pub window: Micros,
    pub commit: Micros,
    pub commit_ms: u64,
    pub unit_price_minor: i64,
    payment: LogNormal<f64>,
}

impl Plan {
    /// Refuses knobs that do not go together.
    pub fn of(knobs: &Knobs) -> Result<Self, KnobError> {
        let (seconds, commit_ms) = (knobs.real("window_seconds"), knobs.whole("commit_ms"));
        Ok(Self {
            stock: usize::try_from(knobs.whole("stock")).unwrap_or(0),
            buyers: (knobs.real("demand_per_second") * seconds).round() as usize,
            window: (seconds * SECOND as f64) as Micros,
            commit: commit_ms * 1_000,
            commit_ms: u64::try_from(commit_ms).unwrap_or(0),
            unit_price_minor: knobs.whole("unit_price_minor"),
            payment: LogNormal::new(knobs.real("payment_median_seconds").ln(), knobs.real("payment_sigma"))
                .map_err(|error| KnobError::Together(format!("payments cannot be drawn: {error}")))?,
        })
    }
}

/// One buyer of one unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buyer {
    pub arrival: Micros,
    /// How long his payment takes.
    pub latency: Micros,
}

/// Draws everybody, in the order of their numbers.
pub fn draw(plan: &Plan, seed: u64) -> Result<Vec<Buyer>, KnobError> {
    let chance = Chance::seeded(seed);
    let mut streams: Vec<_> = (0..plan.buyers)
        .map(|number| {
            let name = buyer_name(number);
            let payment = plan.payment.sample(&mut chance.stream("lab", &name, "latency"));
            (chance.stream("lab", &name, "arrival"), ((payment * SECOND as f64) as Micros).clamp(SECOND / 10, LONGEST))
        })
        .collect();
    std::iter::repeat_with(|| {
        streams.iter_mut().map(|(arrivals, latency)| Buyer { arrival: arrivals.random_range(0..plan.window), latency: *latency }).collect()
    })
    .take(DAYS)
    .find(|buyers: &Vec<Buyer>| is_clear(plan, buyers))
    .ok_or_else(|| KnobError::Together("buyers cannot keep apart at the moments that decide; lower demand_per_second".into()))
}

/// Whether nobody comes close to the moments that decide.
fn is_clear(plan: &Plan, buyers: &[Buyer]) -> bool {
    let mut arrivals: Vec<Micros> = buyers.iter().map(|buyer| buyer.arrival).collect();
    arrivals.sort_unstable();
    let Some(last) = plan.stock.checked_sub(1).and_then(|index| arrivals.get(index)).copied() else { return true };
    arrivals.iter().filter(|arrival| (*arrival - last).abs() < GUARD).count() == 1
        && arrivals.iter().all(|arrival| (arrival - last - plan.commit).abs() >= GUARD)
}
