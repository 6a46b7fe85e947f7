//! The reference model: what must come out on each rung, from the moments alone. It shares no code with the services, and knows nothing of holds,
//! transactions or counters: a shop sells what it believes to have, and it believes what it saw.

use super::{
    demand::{Buyer, Plan},
    measure::Figures,
};

/// What the rules say for these buyers on this rung. Payments are all made, so everybody who gets a unit keeps it.
#[must_use]
pub fn predict(plan: &Plan, buyers: &[Buyer], rung: &str, slow: bool) -> Figures {
    let mut arrivals: Vec<_> = buyers.iter().map(|buyer| buyer.arrival).collect();
    arrivals.sort_unstable();
    // The shop learns that the last unit is gone when it is asked for, or when the write that takes it is through.
    let learns_late = if rung == "R0" && slow { plan.commit } else { 0 };
    let sold = match plan.stock.checked_sub(1).and_then(|last| arrivals.get(last)) {
        Some(last) => arrivals.iter().filter(|arrival| **arrival <= last + learns_late).count(),
        None => arrivals.len().min(plan.stock),
    };
    let (sold, supply, came) = (sold as i64, plan.stock as i64, arrivals.len() as i64);
    let oversold = (sold - supply).max(0);
    Figures { sold, supply, oversold, sent_away: came - sold, money_at_risk_minor: oversold * plan.unit_price_minor }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{hot_sku::demand::KNOBS, knob::Knobs};

    /// Two units, at 1,999 cents, with a commit of 800 ms; buyers at these milliseconds.
    fn sold(arrivals: &[i64], rung: &str, slow: bool) -> (i64, i64, i64, i64) {
        let mut knobs = Knobs::of(KNOBS);
        knobs.set("stock=2").unwrap();
        let plan = Plan::of(&knobs).unwrap();
        let buyers: Vec<Buyer> = arrivals.iter().map(|millis| Buyer { arrival: millis * 1_000, latency: 1 }).collect();
        let figures = predict(&plan, &buyers, rung, slow);
        assert_eq!(figures.supply, 2);
        (figures.sold, figures.oversold, figures.sent_away, figures.money_at_risk_minor)
    }

    #[test]
    fn who_looks_before_the_last_write_is_through_gets_one_too() {
        assert_eq!(sold(&[100, 200, 500, 900, 1_100], "R0", true), (4, 2, 1, 3_998));
        assert_eq!(sold(&[1_100, 900, 500, 200, 100], "R0", true), (4, 2, 1, 3_998), "in whatever order they are numbered");
        assert_eq!(sold(&[100, 200, 1_500], "R0", true), (2, 0, 1, 0), "too late");
        assert_eq!(sold(&[100], "R0", true), (1, 0, 0, 0), "enough for everybody");
    }

    #[test]
    fn with_a_fast_store_or_one_write_it_is_sold_out_and_no_further() {
        assert_eq!(sold(&[100, 200, 500, 900, 1_100], "R0", false), (2, 0, 3, 0));
        assert_eq!(sold(&[100, 200, 500, 900, 1_100], "R1", true), (2, 0, 3, 0));
    }
}
