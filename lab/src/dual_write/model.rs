//! The reference model: what must come out on each rung, from the moments alone. It shares no code with the services, knows nothing of stores,
//! transactions or relays, and takes every step in no time: an order tells three events when it is made (that it is, its first state, and
//! that it is reserved) and three when its payment is answered (paid, confirmed, ready).

use super::{
    demand::{Buyer, Plan},
    measure::Figures,
};

/// How many events are told at each of the two moments.
const EACH: i64 = 3;

/// What the rules say for these buyers on this rung. What one order costs is the shop's own arithmetic (tax, shipping); the model takes it as
/// it is seen.
#[must_use]
pub fn predict(plan: &Plan, buyers: &[Buyer], rung: &str, outage: bool, order_total: i64) -> Figures {
    let is_lost = |moment| rung == "R0" && outage && plan.is_in_outage(moment);
    let (mut figures, count) = (Figures::default(), buyers.len() as i64);
    (figures.orders, figures.sold, figures.events_committed) = (count, count, count * EACH * 2);
    for buyer in buyers {
        let (made, paid) = (is_lost(buyer.arrival), is_lost(buyer.arrival + buyer.latency));
        figures.events_lost += EACH * (i64::from(made) + i64::from(paid));
        figures.orders_untold += i64::from(paid);
    }
    figures.money_at_risk_minor = figures.orders_untold * order_total;
    figures
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{dual_write::demand::KNOBS, knob::Knobs};

    const SECOND: i64 = 1_000_000;

    /// The outage is from 120 s to 150 s.
    fn lost(arrival: i64, latency: i64, rung: &str, outage: bool) -> (i64, i64, i64) {
        let plan = Plan::of(&Knobs::of(KNOBS)).unwrap();
        let figures = predict(&plan, &[Buyer { arrival: arrival * SECOND, latency: latency * SECOND }], rung, outage, 2_598);
        assert_eq!((figures.orders, figures.sold, figures.events_committed), (1, 1, 6));
        (figures.events_lost, figures.orders_untold, figures.money_at_risk_minor)
    }

    #[test]
    fn what_is_committed_in_the_outage_is_lost_on_r0() {
        assert_eq!(lost(110, 5, "R0", true), (0, 0, 0), "before it");
        assert_eq!(lost(118, 5, "R0", true), (3, 1, 2_598), "paid in it");
        assert_eq!(lost(130, 5, "R0", true), (6, 1, 2_598), "made and paid in it");
        assert_eq!(lost(148, 5, "R0", true), (3, 0, 0), "made in it, and paid after it");
        assert_eq!(lost(150, 5, "R0", true), (0, 0, 0), "after it");
    }

    #[test]
    fn without_an_outage_and_with_an_outbox_nothing_is_lost() {
        assert_eq!(lost(130, 5, "R0", false), (0, 0, 0));
        assert_eq!(lost(130, 5, "R1", true), (0, 0, 0));
    }
}
