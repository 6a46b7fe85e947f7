//! The reference model: what must come out on each rung, from the moments and from where the records lie in the log. Which partition a payment's record
//! goes to is a matter of its id, so the model takes the places as they are seen; what is in a record, and what order-service made of it, it is
//! not told. It shares no code with the services, and knows nothing of consumers, offsets or retries.

use std::collections::BTreeMap;

use super::{
    demand::{Buyer, GUARD, Plan},
    measure::{Figures, Place},
};
use crate::experiment::Micros;

/// What the rules say for these buyers on this rung. `log`: where their records lie; `ended`: when the run was over.
#[must_use]
pub fn predict(plan: &Plan, buyers: &[Buyer], rung: &str, corrupt: bool, log: &[Place], ended: Micros) -> Figures {
    let moments: Vec<Micros> = buyers.iter().take(if corrupt { plan.poisoned } else { 0 }).map(Buyer::pays).collect();
    let (count, poisoned) = (buyers.len() as i64, moments.len() as i64);
    let mut figures = Figures { orders: count, sold: count, poisoned, ..Figures::default() };
    if rung != "R0" {
        figures.events_parked = poisoned;
        return figures;
    }
    let is_poisoned = |place: &&Place| moments.iter().any(|moment| (place.at - moment).abs() <= GUARD);
    // By partition, where it stands still.
    let mut stands: BTreeMap<u32, u64> = BTreeMap::new();
    for place in log.iter().filter(is_poisoned) {
        stands.entry(place.partition).and_modify(|first| *first = place.offset.min(*first)).or_insert(place.offset);
    }
    for place in log.iter().filter(|place| stands.get(&place.partition).is_some_and(|first| place.offset >= *first)) {
        figures.events_blocked += 1;
        figures.orders_left_behind += i64::from(!is_poisoned(&place));
    }
    figures.blocked_seconds = moments.iter().min().map_or(0, |first| (ended - first) / 1_000_000);
    figures
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{knob::Knobs, poison::demand::KNOBS};

    const SECOND: Micros = 1_000_000;

    /// Four pay, at 10, 20, 30 and 40 s, of whom the first two are poisoned; their records lie in these partitions, one behind the other.
    fn figures(partitions: [u32; 4], rung: &str, corrupt: bool) -> Figures {
        let mut knobs = Knobs::of(KNOBS);
        knobs.set("poisoned=2").unwrap();
        let plan = Plan::of(&knobs).unwrap();
        let buyers = [9, 19, 29, 39].map(|second| Buyer { arrival: second * SECOND, latency: SECOND });
        let log: Vec<Place> = (0_u64..)
            .zip(partitions)
            .zip(&buyers)
            // It takes a moment from the payment to the log.
            .map(|((offset, partition), buyer)| Place { partition, offset, at: buyer.pays() + 3_000 })
            .collect();
        let figures = predict(&plan, &buyers, rung, corrupt, &log, 110 * SECOND);
        assert_eq!((figures.orders, figures.sold), (4, 4));
        figures
    }

    #[test]
    fn on_r0_everything_behind_the_first_in_its_partition_waits() {
        let whole = Figures { orders: 4, sold: 4, poisoned: 2, blocked_seconds: 100, ..Figures::default() };
        assert_eq!(figures([0, 0, 0, 0], "R0", true), Figures { events_blocked: 4, orders_left_behind: 2, ..whole });
        assert_eq!(figures([0, 1, 1, 2], "R0", true), Figures { events_blocked: 3, orders_left_behind: 1, ..whole });
        assert_eq!(figures([0, 1, 2, 2], "R0", true), Figures { events_blocked: 2, orders_left_behind: 0, ..whole }, "nobody behind them");
    }

    #[test]
    fn parked_or_without_poison_nothing_waits() {
        let none = Figures { orders: 4, sold: 4, ..Figures::default() };
        assert_eq!(figures([0, 0, 0, 0], "R1", true), Figures { poisoned: 2, events_parked: 2, ..none });
        assert_eq!(figures([0, 0, 0, 0], "R0", false), none);
        assert_eq!(figures([0, 0, 0, 0], "R1", false), none);
    }
}
