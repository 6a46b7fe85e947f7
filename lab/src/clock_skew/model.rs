//! The reference model: what must come out on each rung, from the moments alone. It shares no code with the services, and knows nothing of
//! sagas, transactions or clocks: who holds a unit has it for so long; who has paid by then has bought it; and on the lowest rung who has
//! paid by then as his own shop reads the clock has bought it too.

use super::{
    demand::{Buyer, Plan},
    measure::Figures,
};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Moment {
    Arrives,
    HoldEnds,
    PaymentEnds,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Hold {
    None,
    Live,
    /// It has run out.
    Over,
    Claimed,
}

/// What the rules say for these buyers on this rung, with the skew or without.
#[must_use]
pub fn predict(plan: &Plan, buyers: &[Buyer], rung: &str, skewed: bool) -> Figures {
    let seems_earlier = if rung == "R0" && skewed { plan.skew } else { 0 };
    let mut moments: Vec<_> = (0..)
        .zip(buyers)
        .flat_map(|(number, Buyer { arrival, latency })| {
            [
                (*arrival, Moment::Arrives, number),
                (arrival + plan.ttl, Moment::HoldEnds, number),
                (arrival + latency, Moment::PaymentEnds, number),
            ]
        })
        .collect();
    moments.sort_unstable();
    let mut holds = vec![Hold::None; buyers.len()];
    let (mut live, mut sold, mut late_claims, mut voided) = (0, 0, 0, 0);
    for (_, moment, number) in moments {
        let (hold, buyer): (&mut Hold, &Buyer) = (&mut holds[number], &buyers[number]);
        match (moment, *hold) {
            (Moment::Arrives, _) if live + sold < plan.stock => {
                *hold = Hold::Live;
                live += 1;
            }
            (Moment::HoldEnds, Hold::Live) => {
                *hold = Hold::Over;
                live -= 1;
            }
            (Moment::PaymentEnds, Hold::Live) => {
                *hold = Hold::Claimed;
                live -= 1;
                sold += 1;
            }
            // The unit is free by now, or it is somebody else's; who revives the hold does not ask.
            (Moment::PaymentEnds, Hold::Over) if buyer.latency - seems_earlier < plan.ttl => {
                *hold = Hold::Claimed;
                late_claims += 1;
                sold += 1;
            }
            (Moment::PaymentEnds, Hold::Over) => voided += 1,
            _ => {}
        }
    }
    let oversold = (sold - plan.stock).max(0);
    Figures {
        sold,
        supply: plan.stock,
        oversold,
        late_claims,
        voided_after_payment: voided,
        money_at_risk_minor: oversold * plan.unit_price_minor,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock_skew::demand::KNOBS, knob::Knobs};

    /// One unit, at 1,999 cents, held for 30 s, with a clock that is 20 s behind; buyers by arrival and latency, in seconds.
    fn case(buyers: &[(i64, i64)], rung: &str, skewed: bool) -> Figures {
        let mut knobs = Knobs::of(KNOBS);
        knobs.set("stock=1").unwrap();
        let plan = Plan::of(&knobs).unwrap();
        let buyers: Vec<Buyer> =
            buyers.iter().map(|(arrival, latency)| Buyer { arrival: arrival * 1_000_000, latency: latency * 1_000_000 }).collect();
        predict(&plan, &buyers, rung, skewed)
    }

    const SUPPLY: Figures = Figures { sold: 1, supply: 1, oversold: 0, late_claims: 0, voided_after_payment: 0, money_at_risk_minor: 0 };

    /// The first pays when his hold is over; the second comes in between and pays at once; the third finds nothing.
    const LATE: &[(i64, i64)] = &[(0, 40), (31, 2), (32, 2)];

    #[test]
    fn on_r0_who_is_late_by_less_than_the_skew_gets_what_was_sold_again() {
        let twice = Figures { sold: 2, oversold: 1, late_claims: 1, money_at_risk_minor: 1_999, ..SUPPLY };
        assert_eq!(case(LATE, "R0", true), twice);
        assert_eq!(case(&[(0, 51), (31, 2)], "R0", true), Figures { voided_after_payment: 1, ..SUPPLY }, "late by more than that");
        assert_eq!(case(&[(0, 40)], "R0", true), Figures { late_claims: 1, ..SUPPLY }, "nobody else wanted it");
        assert_eq!(case(&[(0, 29), (10, 1)], "R0", true), SUPPLY, "nobody is late");
    }

    #[test]
    fn with_a_right_clock_or_one_authority_he_is_voided() {
        let voided = Figures { voided_after_payment: 1, ..SUPPLY };
        assert_eq!(case(LATE, "R0", false), voided);
        assert_eq!(case(LATE, "R1", true), voided);
        assert_eq!(case(LATE, "R1", false), voided);
    }

    #[test]
    fn a_unit_that_was_claimed_late_while_it_was_free_is_not_sold_again() {
        assert_eq!(case(&[(0, 40), (41, 2)], "R0", true), Figures { late_claims: 1, ..SUPPLY });
        assert_eq!(case(&[(0, 40), (41, 2)], "R1", true), Figures { voided_after_payment: 1, ..SUPPLY });
    }
}
