//! The reference model: what must come out on each rung. It shares no code with the services and knows nothing of stores, inboxes or the log: a
//! message that is delivered twice is one refund or two, and of two tellings of one payment the later one is heard last or first.

use super::{
    demand::{CREDITS, Plan},
    measure::Figures,
};

/// What the rules say on this rung, where messages come twice and out of turn or not. What one order costs is the shop's own arithmetic (tax,
/// shipping); the model takes it as it is seen.
#[must_use]
pub fn predict(plan: &Plan, rung: &str, disturbed: bool, order_total: i64) -> Figures {
    let (orders, credit) = (plan.buyers as i64, plan.credit_of(order_total));
    let refunds = if rung == "R0" && disturbed { 2 * CREDITS } else { CREDITS };
    // Refunds are told in pairs of which the second is heard first; so of the last pair the telling before the last is heard last, and that has one
    // refund less in it.
    let goes_back = rung != "R2" && disturbed;
    Figures {
        orders,
        credits: orders * CREDITS,
        refunds: orders * refunds,
        paid_twice_minor: orders * (refunds - CREDITS) * credit,
        told_wrong: if goes_back { orders } else { 0 },
        told_short_minor: if goes_back { orders * credit } else { 0 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{duplicates::demand::KNOBS, knob::Knobs};

    /// Sixty orders of 20.00, of which each credit is 2.00.
    fn predicted(rung: &str, disturbed: bool) -> (i64, i64, i64, i64) {
        let figures = predict(&Plan::of(&Knobs::of(KNOBS)).unwrap(), rung, disturbed, 2_000);
        assert_eq!((figures.orders, figures.credits), (60, 120));
        (figures.refunds, figures.paid_twice_minor, figures.told_wrong, figures.told_short_minor)
    }

    #[test]
    fn a_message_that_comes_twice_is_paid_twice_on_r0_alone() {
        assert_eq!(predicted("R0", true), (240, 60 * 2 * 200, 60, 60 * 200));
        assert_eq!(predicted("R1", true), (120, 0, 60, 60 * 200));
        assert_eq!(predicted("R2", true), (120, 0, 0, 0));
    }

    #[test]
    fn where_messages_come_once_and_in_turn_every_rung_does() {
        for rung in ["R0", "R1", "R2"] {
            assert_eq!(predicted(rung, false), (120, 0, 0, 0), "{rung}");
        }
    }
}
