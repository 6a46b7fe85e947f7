//! Who comes, when, and with which card. Every draw comes from a stream of its own (buyer, purpose), so that the same people come with the
//! same cards on every rung and in the twins; where the provider is not silent, those whose card is silent get the prompt one that they
//! would have had.
//!
//! There is stock for everybody, so no two buyers matter to each other, as long as the shop does not lose its faith in the provider: after
//! some calls in a row without an answer each of its instances leaves the provider alone for a moment. In simulation that is put off by a setting
//! (`platform.breaker_failures`); in a running system it is what it is, so the silent come early enough that others are answered meanwhile, and
//! they are few. A late outcome keeps away from the moments at which the services
//! decide about it (a limit, a retry, a question, the deadline), so that no figure hangs on a hop of some microseconds.

use platform::Chance;
use rand::RngExt;
use rand_distr::{Distribution, LogNormal};

use crate::{
    experiment::{Micros, buyer_name, card_token},
    knob::{Knob, KnobError, Knobs},
};

const SECOND: Micros = 1_000_000;
/// How far a late outcome keeps away from the moments that decide about it.
const GUARD: Micros = SECOND / 4;
/// The longest that a late outcome takes.
const LATEST: Micros = 1_800 * SECOND;
const DRAWS: usize = 1_000;

/// Which of the three incidents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    PspTimeout,
    LateCapture,
    DoubleCharge,
}

impl Kind {
    #[must_use]
    pub fn of(scenario: &str) -> Self {
        match scenario {
            "late-capture" => Self::LateCapture,
            "double-charge" => Self::DoubleCharge,
            _ => Self::PspTimeout,
        }
    }
}

/// The knobs of all three.
#[must_use]
pub const fn knobs(silent_share: f64) -> [Knob; 10] {
    [
        Knob::whole("buyers", 200, 1, 100_000, "How many come, each for one unit."),
        Knob::real("window_seconds", 300.0, 1.0, 86_400.0, "How long they come."),
        Knob::real("silent_share", silent_share, 0.0, 0.25, "The share whose provider does not answer in time."),
        Knob::real("fast_median_seconds", 1.0, 0.01, 5.0, "Half of the usual payments take less than this."),
        Knob::real("fast_sigma", 0.5, 0.0, 3.0, "Spread of the usual payments (of the logarithm)."),
        Knob::whole("patience_seconds", 10, 2, 50, "How long the shop waits for the provider (payment.psp_timeout_ms)."),
        Knob::whole("silence_seconds", 55, 3, 3_600, "How long the provider leaves a silent call open (psp.answer_limit_ms)."),
        Knob::whole("inquiry_seconds", 30, 2, 3_600, "When the shop asks what came of it (payment.first_inquiry_seconds)."),
        Knob::whole("deadline_seconds", 480, 1, 86_400, "How long a payment may take in all (order.payment_deadline_seconds)."),
        Knob::whole("unit_price_minor", 1_999, 1, 10_000_000, "The price of a unit, in US cents."),
    ]
}

/// Those, and how late the late ones are.
#[must_use]
pub const fn knobs_of_late(silent_share: f64) -> [Knob; 13] {
    let [buyers, window, share, median, sigma, patience, silence, inquiry, deadline, price] = knobs(silent_share);
    [
        buyers,
        window,
        share,
        Knob::real("late_median_seconds", 420.0, 1.0, 1_800.0, "Half of the late outcomes take less than this."),
        Knob::real("late_sigma", 0.5, 0.0, 3.0, "Spread of the late outcomes (of the logarithm)."),
        Knob::real("firm_share", 0.5, 0.0, 1.0, "The share of the late ones that cannot be voided while they are open."),
        median,
        sigma,
        patience,
        silence,
        inquiry,
        deadline,
        price,
    ]
}

/// The knobs as what they mean, in microseconds.
#[derive(Clone, Debug)]
pub struct Plan {
    pub kind: Kind,
    pub buyers: usize,
    pub window: Micros,
    pub patience: Micros,
    /// For how long a silent connection is open; then the provider calls back.
    pub silence: Micros,
    pub inquiry: Micros,
    pub deadline: Micros,
    pub unit_price_minor: i64,
    silent_share: f64,
    firm_share: f64,
    fast: LogNormal<f64>,
    late: Option<LogNormal<f64>>,
}

impl Plan {
    /// Refuses knobs that do not go together.
    pub fn of(kind: Kind, knobs: &Knobs) -> Result<Self, KnobError> {
        let spread = |what: &str| {
            LogNormal::new(knobs.real(&format!("{what}_median_seconds")).ln(), knobs.real(&format!("{what}_sigma")))
                .map_err(|error| KnobError::Together(format!("{what} payments cannot be drawn: {error}")))
        };
        let plan = Self {
            kind,
            buyers: usize::try_from(knobs.whole("buyers")).unwrap_or(0),
            window: (knobs.real("window_seconds") * SECOND as f64) as Micros,
            patience: knobs.whole("patience_seconds") * SECOND,
            silence: knobs.whole("silence_seconds") * SECOND,
            inquiry: knobs.whole("inquiry_seconds") * SECOND,
            deadline: knobs.whole("deadline_seconds") * SECOND,
            unit_price_minor: knobs.whole("unit_price_minor"),
            silent_share: knobs.real("silent_share"),
            firm_share: knobs.real("firm_share"),
            fast: spread("fast")?,
            late: if kind == Kind::LateCapture { Some(spread("late")?) } else { None },
        };
        if plan.inquiry <= plan.patience || plan.silence <= plan.patience || plan.deadline <= plan.known_by() + SECOND {
            return Err(KnobError::Together(
                "patience_seconds must be below inquiry_seconds and silence_seconds, and one of these below deadline_seconds: first the shop \
                 waits, then it asks or is told, then it gives up"
                    .into(),
            ));
        }
        if plan.deadline <= 4 * plan.patience {
            return Err(KnobError::Together(
                "deadline_seconds must be above four times patience_seconds: three tries come before it".into(),
            ));
        }
        Ok(plan)
    }

    /// The moments after the beginning of a payment at which something is decided about it.
    fn decisive(&self) -> impl Iterator<Item = Micros> {
        let tries = (1..=3).flat_map(|nth| [nth * self.patience + (nth - 1) * SECOND, nth * (self.patience + SECOND)]);
        // Questions come at growing intervals; the saga looks every fifteen seconds, which changes nothing by itself.
        let asked = (0..6).map(|nth| self.inquiry * ((2 << nth) - 1));
        tries.chain(asked).chain([self.silence, self.deadline, self.deadline + 60 * SECOND])
    }

    /// When a payment whose answer was lost is known, if it is asked for by reference or told by callback.
    #[must_use]
    pub fn known_by(&self) -> Micros {
        self.inquiry.min(self.silence)
    }

    /// For how long, at the end, only those come who are answered: longer than the shop tries.
    const fn quiet(&self) -> Micros {
        4 * self.patience + 5 * SECOND
    }
}

/// What the provider does with a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Card {
    /// Decided and answered after this.
    Prompt(Micros),
    /// Decided at once; the answer is lost.
    Lost,
    /// Decided after this, which may be later than anybody waits; while it is open, a firm one cannot be voided.
    Late { after: Micros, is_firm: bool },
}

/// One buyer of one unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buyer {
    pub arrival: Micros,
    pub fast: Micros,
    /// The card of a silent provider, for those who have one.
    pub silent: Option<Card>,
}

impl Buyer {
    #[must_use]
    pub const fn card(&self, silent: bool) -> Card {
        match self.silent {
            Some(card) if silent => card,
            _ => Card::Prompt(self.fast),
        }
    }

    /// How his card says to the provider what it is to do.
    #[must_use]
    pub fn token(&self, kind: Kind, silent: bool) -> String {
        match self.card(silent) {
            Card::Prompt(after) | Card::Late { after, is_firm: false } => card_token(after),
            Card::Late { after, is_firm: true } => card_token(after).replace("slow", "firm"),
            // Where a retry is another request, it is the retry that is answered.
            Card::Lost if kind == Kind::DoubleCharge => "tok_lost".into(),
            Card::Lost => "tok_timeout".into(),
        }
    }

    /// When, after the beginning of his payment, the provider has said everything.
    #[must_use]
    pub const fn decided(&self, plan: &Plan, silent: bool) -> Micros {
        match self.card(silent) {
            Card::Prompt(after) | Card::Late { after, .. } => after,
            Card::Lost => plan.silence,
        }
    }
}

/// Draws everybody, in the order of their numbers.
pub fn draw(plan: &Plan, seed: u64) -> Result<Vec<Buyer>, KnobError> {
    let chance = Chance::seeded(seed);
    let decisive: Vec<Micros> = plan.decisive().collect();
    (0..plan.buyers)
        .map(|number| {
            let name = buyer_name(number);
            let stream = |purpose: &str| chance.stream("lab", &name, purpose);
            let seconds = |sample: f64, longest: Micros| ((sample * SECOND as f64) as Micros).clamp(1_000, longest);
            let is_silent = stream("is-silent").random_bool(plan.silent_share);
            let window = if is_silent { plan.window - plan.quiet().min(plan.window / 2) } else { plan.window };
            let arrival = (stream("arrival").random_range(0.0..1.0) * window as f64) as Micros;
            let fast = seconds(plan.fast.sample(&mut stream("fast-latency")), plan.patience / 2);
            let card = match &plan.late {
                None => Card::Lost,
                Some(late) => {
                    let mut latencies = stream("late-latency");
                    let after = std::iter::repeat_with(|| seconds(late.sample(&mut latencies), LATEST))
                        .take(DRAWS)
                        .find(|after| *after > plan.patience && decisive.iter().all(|moment| (after - moment).abs() >= GUARD))
                        .ok_or_else(|| {
                            KnobError::Together("no late outcome is later than patience_seconds; raise late_median_seconds".into())
                        })?;
                    Card::Late { after, is_firm: stream("is-firm").random_bool(plan.firm_share) }
                }
            };
            Ok(Buyer { arrival, fast, silent: is_silent.then_some(card) })
        })
        .collect()
}
