//! Makes a failing world smaller: harms are left out, first many at once, then one by one; then buyers, from the last. What is left still fails in
//! the same way, and nothing of it can be left out.

use std::collections::BTreeSet;

use super::{
    phases::{Outcome, run},
    plan::Plan,
};
use crate::target::Simulation;

/// How many smaller worlds are tried at most.
const TRIES: usize = 80;

/// A world that fails, as small as it could be made.
#[derive(Clone, Debug)]
pub struct Shrunk {
    pub plan: Plan,
    pub outcome: Outcome,
    pub tried: usize,
}

/// What kinds of things were found.
pub(super) fn kinds(outcome: &Outcome) -> BTreeSet<&str> {
    outcome.findings.iter().map(|finding| finding.what.as_str()).collect()
}

/// Shrinks a failing world.
#[must_use]
pub fn shrink(simulation: &Simulation, plan: &Plan, outcome: Outcome) -> Shrunk {
    let wanted: BTreeSet<String> = kinds(&outcome).into_iter().map(str::to_owned).collect();
    let mut best = Shrunk { plan: plan.clone(), outcome, tried: 0 };
    let fails = |best: &mut Shrunk, orders: usize, harms: &BTreeSet<usize>| -> bool {
        if best.tried >= TRIES {
            return false;
        }
        best.tried += 1;
        let smaller = best.plan.reduced(orders, harms);
        match run(simulation, &smaller) {
            Ok(outcome) if kinds(&outcome).iter().any(|kind| wanted.contains(*kind)) => {
                (best.plan, best.outcome) = (smaller, outcome);
                true
            }
            _ => false,
        }
    };
    // Half of what is left, a quarter, and so on to one at a time.
    let mut step = best.plan.harms.len();
    while step > 0 {
        let numbers: Vec<usize> = best.plan.harm_numbers().into_iter().collect();
        let mut without_any = true;
        for part in numbers.chunks(step) {
            let harms = best.plan.harm_numbers().into_iter().filter(|number| !part.contains(number)).collect();
            let orders = best.plan.shoppers.len();
            without_any &= !fails(&mut best, orders, &harms);
        }
        if without_any || step > 1 {
            step /= 2;
        }
    }
    let mut fewer = best.plan.shoppers.len() / 2;
    while fewer > 0 {
        let (orders, harms) = (best.plan.shoppers.len() - fewer, best.plan.harm_numbers());
        if orders == 0 || !fails(&mut best, orders, &harms) {
            fewer /= 2;
        }
        fewer = fewer.min(best.plan.shoppers.len() / 2);
    }
    best
}
