//! Who comes, when he fills his cart, and how long he thinks it over. Every draw comes from a stream of its own (buyer, purpose), so that the
//! same people fill the same carts at the same moments on every rung; in a twin the late ones take the time that they would have taken if
//! they were prompt. Moments that decide about a price (the end of a quote, the change of the price) keep a guard from what a buyer does.

use platform::Chance;
use rand::RngExt;
use rand_distr::{Distribution, LogNormal};

use crate::{
    experiment::{Micros, buyer_name},
    knob::{Knob, KnobError, Knobs},
};

const SECOND: Micros = 1_000_000;
/// How far what a buyer does keeps away from what decides about its price.
const GUARD: Micros = SECOND / 4;
const DRAWS: usize = 1_000;

pub const KNOBS: &[Knob] = &[
    Knob::whole("buyers", 200, 1, 100_000, "How many come, each for one unit."),
    Knob::real("window_seconds", 600.0, 1.0, 86_400.0, "How long they come to fill their carts."),
    Knob::whole("quote_seconds", 120, 2, 86_400, "How long a quote holds (pricing.quote_valid_seconds)."),
    Knob::real("late_share", 0.3, 0.0, 1.0, "The share of buyers who check out after their quote has ended."),
    Knob::real("prompt_median_seconds", 20.0, 0.01, 3_600.0, "Half of the others check out within this."),
    Knob::real("prompt_sigma", 0.6, 0.0, 3.0, "Spread of their times (of the logarithm)."),
    Knob::real("late_median_seconds", 300.0, 1.0, 86_400.0, "Half of the late ones check out within this."),
    Knob::real("late_sigma", 0.5, 0.0, 3.0, "Spread of their times (of the logarithm)."),
    Knob::real("changes_at", 0.5, 0.0, 1.0, "When the price changes, as a share of window_seconds."),
    Knob::whole("unit_price_minor", 1_999, 1, 10_000_000, "The price of a unit before that, in US cents."),
    Knob::whole("new_unit_price_minor", 2_499, 1, 10_000_000, "The price of a unit after that."),
];

/// The knobs as what they mean, in microseconds.
#[derive(Clone, Debug)]
pub struct Plan {
    pub buyers: usize,
    pub window: Micros,
    /// How long a quote holds.
    pub quote: Micros,
    /// When the price changes.
    pub changes: Micros,
    pub unit_price_minor: i64,
    pub new_unit_price_minor: i64,
    late_share: f64,
    prompt: LogNormal<f64>,
    late: LogNormal<f64>,
}

impl Plan {
    /// Refuses knobs that do not go together.
    pub fn of(knobs: &Knobs) -> Result<Self, KnobError> {
        let spread = |what: &str| {
            LogNormal::new(knobs.real(&format!("{what}_median_seconds")).ln(), knobs.real(&format!("{what}_sigma")))
                .map_err(|error| KnobError::Together(format!("{what} checkouts cannot be drawn: {error}")))
        };
        let window = knobs.real("window_seconds") * SECOND as f64;
        Ok(Self {
            buyers: usize::try_from(knobs.whole("buyers")).unwrap_or(0),
            window: window as Micros,
            quote: knobs.whole("quote_seconds") * SECOND,
            changes: (window * knobs.real("changes_at")) as Micros,
            unit_price_minor: knobs.whole("unit_price_minor"),
            new_unit_price_minor: knobs.whole("new_unit_price_minor"),
            late_share: knobs.real("late_share"),
            prompt: spread("prompt")?,
            late: spread("late")?,
        })
    }

    /// What a unit costs at this moment.
    #[must_use]
    pub const fn price_at(&self, moment: Micros) -> i64 {
        if moment < self.changes { self.unit_price_minor } else { self.new_unit_price_minor }
    }

    /// The longest that anybody thinks it over: well within the life of a cart.
    #[must_use]
    pub const fn longest(&self) -> Micros {
        self.quote + 24 * 3_600 * SECOND
    }
}

/// One buyer of one unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buyer {
    /// When he fills his cart.
    pub fills: Micros,
    prompt: Micros,
    /// For those who are late.
    late: Option<Micros>,
}

impl Buyer {
    #[cfg(test)]
    pub(super) const fn planted(fills: Micros, prompt: Micros, late: Option<Micros>) -> Self {
        Self { fills, prompt, late }
    }

    /// How long after that he checks out.
    #[must_use]
    pub const fn thinks(&self, late: bool) -> Micros {
        match self.late {
            Some(thinks) if late => thinks,
            _ => self.prompt,
        }
    }
}

/// Draws everybody, in the order of their numbers.
pub fn draw(plan: &Plan, seed: u64) -> Result<Vec<Buyer>, KnobError> {
    let chance = Chance::seeded(seed);
    (0..plan.buyers)
        .map(|number| {
            let name = buyer_name(number);
            let stream = |purpose: &str| chance.stream("lab", &name, purpose);
            let is_late = stream("is-late").random_bool(plan.late_share);
            let (mut fills, mut prompts, mut lates) = (stream("fills"), stream("prompt-thinking"), stream("late-thinking"));
            let seconds = |sample: f64, shortest: Micros, longest: Micros| ((sample * SECOND as f64) as Micros).clamp(shortest, longest);
            let drawn = std::iter::repeat_with(|| Buyer {
                fills: fills.random_range(0..plan.window),
                prompt: seconds(plan.prompt.sample(&mut prompts), 1_000, plan.quote * 3 / 4),
                late: is_late.then(|| seconds(plan.late.sample(&mut lates), plan.quote + GUARD, plan.longest())),
            });
            let apart = |moment: Micros| (moment - plan.changes).abs() >= GUARD;
            let fits = |buyer: &Buyer| {
                apart(buyer.fills) && [Some(buyer.prompt), buyer.late].into_iter().flatten().all(|thinks| apart(buyer.fills + thinks))
            };
            drawn.take(DRAWS).find(fits).ok_or_else(|| {
                KnobError::Together("nobody can keep away from the moment at which the price changes; raise window_seconds".into())
            })
        })
        .collect()
}
