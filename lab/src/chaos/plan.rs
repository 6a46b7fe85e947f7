//! What a seed stands for: who comes and what he does, what goes wrong and when. Each buyer and each harm is drawn from streams of its own, named
//! by its number, so that leaving some out changes nothing about the others: that is what makes a failing world smaller.

use std::{collections::BTreeSet, time::Duration};

use platform::{
    Chance,
    fault::{Fault, Rule, Scope},
};
use rand::{Rng, RngExt};

/// How large a world is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// How long buyers come and things go wrong, in virtual minutes.
    pub minutes: u64,
    pub orders: usize,
}

impl Default for Shape {
    fn default() -> Self {
        Self { minutes: 5, orders: 40 }
    }
}

/// One thing that somebody buys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Its place among [`SKUS`].
    pub sku: usize,
    pub quantity: u64,
}

/// What there is to buy, with the units that come in at the beginning: some of it is scarce.
pub const SKUS: &[(&str, u64)] = &[("SIM-LAMP", 400), ("SIM-DESK", 12), ("SIM-CHAIR", 60), ("SIM-CLOCK", 5), ("SIM-SHELF", 150)];

/// Somebody who buys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shopper {
    pub number: usize,
    pub arrives: Duration,
    pub wishes: Vec<Wish>,
    /// How long he looks at his cart before he checks out.
    pub thinks: Duration,
    pub token: String,
    pub with_coupon: bool,
    /// Says every request a second time, under the same key.
    pub repeats: bool,
    /// After so long he changes his mind.
    pub cancels: Option<Duration>,
    /// Some of his money comes back, in hundredths of what was charged.
    pub refunded_percent: Option<i64>,
}

/// When a crash strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strike {
    At(Duration),
    /// So long after this buyer has checked out, when the work of that is under way.
    AfterCheckout(usize, Duration),
}

/// Something that goes wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum Harm {
    Fault {
        at: Duration,
        point: String,
        fault: Fault,
    },
    /// A service is gone between one step and the next, and is started again later.
    Crash {
        strike: Strike,
        /// How many steps others take between the moment and the end: there is no time between two steps of one moment.
        steps: u32,
        service: usize,
        /// None: every instance of it.
        instance: Option<u32>,
        down: Duration,
    },
}

/// A world before it is run.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    pub seed: u64,
    pub shape: Shape,
    pub shoppers: Vec<Shopper>,
    /// By their number.
    pub harms: Vec<(usize, Harm)>,
}

/// How many instances of a service a world has; either may crash.
const INSTANCES: u32 = 2;

impl Plan {
    /// The world of this seed over so many services.
    #[must_use]
    pub fn draw(seed: u64, shape: Shape, services: &[&str]) -> Self {
        let chance = Chance::seeded(seed);
        let shoppers: Vec<Shopper> = (0..shape.orders).map(|number| shopper(chance, number, shape)).collect();
        let count = chance.stream("lab", "chaos", "harms").random_range(shape.minutes..=shape.minutes * 3 + 2);
        let harms = (0..usize::try_from(count).unwrap_or(0)).map(|number| (number, harm(chance, number, shape, services))).collect();
        Self { seed, shape, shoppers, harms }
    }

    /// The same world with only the first `orders` buyers and with these harms.
    #[must_use]
    pub fn reduced(&self, orders: usize, harms: &BTreeSet<usize>) -> Self {
        let mut plan = self.clone();
        plan.shoppers.truncate(orders);
        plan.harms.retain(|(number, _)| harms.contains(number));
        plan
    }

    #[must_use]
    pub fn harm_numbers(&self) -> BTreeSet<usize> {
        self.harms.iter().map(|(number, _)| *number).collect()
    }
}

fn within(draws: &mut impl Rng, shape: Shape) -> Duration {
    Duration::from_micros(draws.random_range(0..shape.minutes.max(1) * 60_000_000))
}

fn shopper(chance: Chance, number: usize, shape: Shape) -> Shopper {
    let name = format!("shopper-{number}");
    let mut draws = chance.stream("lab", &name, "wishes");
    let mut wishes: Vec<Wish> = Vec::new();
    for _ in 0..draws.random_range(1..=3) {
        let sku = draws.random_range(0..SKUS.len());
        if wishes.iter().all(|wish| wish.sku != sku) {
            wishes.push(Wish { sku, quantity: draws.random_range(1..=3) });
        }
    }
    let mut draws = chance.stream("lab", &name, "manner");
    Shopper {
        number,
        arrives: within(&mut draws, shape),
        wishes,
        thinks: Duration::from_millis(draws.random_range(0..20_000)),
        token: token(&mut draws),
        with_coupon: draws.random_bool(0.2),
        repeats: draws.random_bool(0.3),
        cancels: draws.random_bool(0.15).then(|| Duration::from_millis(draws.random_range(0..60_000))),
        refunded_percent: draws.random_bool(0.15).then(|| draws.random_range(1..=100)),
    }
}

/// A card, good or bad; every kind that the provider knows.
fn token(draws: &mut impl Rng) -> String {
    match draws.random_range(0..100) {
        0..50 => "tok_ok".into(),
        50..60 => "tok_decline_insufficient".into(),
        60..65 => "tok_decline_lost".into(),
        65..75 => format!("tok_slow_{}", draws.random_range(1..400)),
        75..82 => "tok_timeout".into(),
        82..90 => format!("tok_late_{}", draws.random_range(1..120)),
        90..94 => "tok_duplicate".into(),
        94..98 => "tok_disorder".into(),
        _ => "tok_never".into(),
    }
}

fn harm(chance: Chance, number: usize, shape: Shape, services: &[&str]) -> Harm {
    let mut draws = chance.stream("lab", &format!("harm-{number}"), "what");
    let service = draws.random_range(0..services.len().max(1));
    if draws.random_bool(0.5) {
        let strike = if draws.random_bool(0.3) || shape.orders == 0 {
            Strike::At(within(&mut draws, shape))
        } else {
            Strike::AfterCheckout(draws.random_range(0..shape.orders), Duration::from_micros(draws.random_range(0..12_000)))
        };
        return Harm::Crash {
            strike,
            steps: draws.random_range(0..40),
            service,
            instance: draws.random_bool(0.7).then(|| draws.random_range(0..INSTANCES)),
            down: Duration::from_millis(draws.random_range(0..30_000)),
        };
    }
    let (point, rule) = fault(&mut draws, services.get(service).copied().unwrap_or("order"));
    let scope = Scope {
        // A store is one service's; what is called is named by its point.
        service: (point == "store.commit").then(|| services.get(service).copied().unwrap_or("order").to_owned()),
        ..Scope::default()
    };
    // What holds everything up does so for a while that a buyer can wait.
    let longest = if rule == Rule::Hold { 20.0 } else { 90.0 };
    let fault = Fault {
        rule,
        share: if rule == Rule::Hold { 1.0 } else { draws.random_range(0.05..0.7) },
        millis: if rule == Rule::Delay { draws.random_range(1..4_000) } else { 0 },
        scope,
        for_seconds: Some(draws.random_range(1.0..longest)),
    };
    Harm::Fault { at: within(&mut draws, shape), point, fault }
}

fn fault(draws: &mut impl Rng, service: &str) -> (String, Rule) {
    let of = |draws: &mut dyn FnMut(usize) -> usize, rules: &[Rule]| rules[draws(rules.len())];
    let mut pick = |count: usize| draws.random_range(0..count);
    match pick(10) {
        0..5 => (format!("call.{service}"), of(&mut pick, &[Rule::Delay, Rule::Fail, Rule::Drop, Rule::Duplicate, Rule::Hold])),
        5..7 => ("bus.publish".into(), of(&mut pick, &[Rule::Delay, Rule::Fail, Rule::Hold])),
        7..9 => ("bus.deliver".into(), of(&mut pick, &[Rule::Delay, Rule::Duplicate, Rule::Hold])),
        _ => ("store.commit".into(), of(&mut pick, &[Rule::Delay, Rule::Fail, Rule::Hold])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVICES: &[&str] = &["cart", "order", "payment"];

    #[test]
    fn a_seed_is_a_world_and_leaving_something_out_changes_nothing_else() {
        let shape = Shape { minutes: 5, orders: 50 };
        let plan = Plan::draw(7, shape, SERVICES);
        assert_eq!(plan, Plan::draw(7, shape, SERVICES));
        assert_ne!(plan, Plan::draw(8, shape, SERVICES));
        let few = plan.reduced(3, &BTreeSet::from([1]));
        assert_eq!((few.shoppers.len(), few.harms.len()), (3, 1));
        assert_eq!((few.shoppers[..] == plan.shoppers[..3], &few.harms[0]), (true, &plan.harms[1]));
    }

    #[test]
    fn every_fault_that_is_drawn_means_something() {
        let faults = platform::fault::Faults::new(platform::Clock::real(), Chance::seeded(1));
        let (mut set, mut crashes) = (0, 0);
        for seed in 0..200 {
            for (_, harm) in Plan::draw(seed, Shape::default(), SERVICES).harms {
                match harm {
                    Harm::Fault { point, fault, .. } => {
                        faults.set(&point, fault).unwrap();
                        set += 1;
                    }
                    Harm::Crash { .. } => crashes += 1,
                }
            }
        }
        assert!(set > 500 && crashes > 500, "{set} faults, {crashes} crashes");
    }
}
