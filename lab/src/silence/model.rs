//! The reference model: what must come out on each rung, from the cards alone. It shares no code with the services, knows nothing of sagas,
//! events or stores, and takes every step in no time. No two buyers matter to each other, so it is a sum over them.

use super::{
    demand::{Buyer, Card, Kind, Plan},
    measure::{Figures, STUCK_AFTER},
};
use crate::experiment::Micros;

const SECOND: Micros = 1_000_000;
/// How often the rungs that retry ask, and their pause before each further time.
const TRIES: i64 = 3;
const PAUSE: Micros = SECOND;

/// What becomes of one order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct End {
    /// After its beginning.
    at: Micros,
    is_sold: bool,
    /// How often the provider takes the money, and how often it gives it back.
    taken: i64,
    given_back: i64,
}

impl End {
    const fn sold(at: Micros) -> Self {
        Self { at, is_sold: true, taken: 1, given_back: 0 }
    }

    /// Cancelled, and the provider took the money all the same.
    const fn orphan(at: Micros) -> Self {
        Self { at, is_sold: false, taken: 1, given_back: 0 }
    }
}

/// What the rules say for these buyers on this rung. What one order costs is the shop's own arithmetic (tax, shipping); the model takes it as
/// it is seen.
#[must_use]
pub fn predict(plan: &Plan, buyers: &[Buyer], rung: &str, silent: bool, order_total: i64) -> Figures {
    let mut figures = Figures { orders: buyers.len() as i64, ..Figures::default() };
    let mut waited = 0;
    for buyer in buyers {
        let end = end_of(plan, buyer.card(silent), rung);
        let kept = end.taken - end.given_back;
        waited += end.at;
        figures.sold += i64::from(end.is_sold);
        figures.cancelled += i64::from(!end.is_sold);
        figures.orphan_captures += if end.is_sold { 0 } else { kept };
        figures.double_captures += if end.is_sold { kept - 1 } else { 0 };
        figures.refunded_late += i64::from(!end.is_sold && end.given_back > 0);
        figures.orders_stuck += i64::from(end.at > plan.deadline + STUCK_AFTER);
    }
    figures.money_at_risk_minor = figures.primary() * order_total;
    figures.waited_seconds = waited / SECOND;
    figures
}

fn end_of(plan: &Plan, card: Card, rung: &str) -> End {
    // The moment at which a rung that retries gives up.
    let exhausted = TRIES * plan.patience + (TRIES - 1) * PAUSE;
    match (card, rung) {
        (Card::Prompt(after), _) => End::sold(after),
        (Card::Lost, "R0") if plan.kind == Kind::DoubleCharge => End { taken: 2, ..End::sold(plan.patience + PAUSE) },
        (Card::Lost, "R0") => End::orphan(plan.patience),
        // The second try is told what came of the first.
        (Card::Lost, "R1") => End::sold(plan.patience + PAUSE),
        (Card::Lost, _) => End::sold(plan.known_by()),
        (Card::Late { .. }, "R0") => End::orphan(plan.patience),
        (Card::Late { after, .. }, "R1") if after < exhausted => {
            // In a pause nobody listens; the next try hears it as it begins.
            let (nth, within) = (after / (plan.patience + PAUSE), after % (plan.patience + PAUSE));
            End::sold(if within < plan.patience { after } else { (nth + 1) * (plan.patience + PAUSE) })
        }
        (Card::Late { .. }, "R1") => End::orphan(exhausted),
        (Card::Late { after, .. }, _) if after < plan.deadline => End::sold(after),
        // It is voided before anything was taken.
        (Card::Late { is_firm: false, .. }, _) => End { taken: 0, ..End::orphan(plan.deadline) },
        (Card::Late { after, is_firm: true }, "R2") => End { given_back: 1, ..End::orphan(after) },
        (Card::Late { is_firm: true, .. }, _) => End { given_back: 1, ..End::orphan(plan.deadline) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        knob::Knobs,
        silence::demand::{knobs, knobs_of_late},
    };

    fn plan(kind: Kind) -> Plan {
        let knobs = if kind == Kind::LateCapture { Knobs::of(const { &knobs_of_late(0.15) }) } else { Knobs::of(const { &knobs(0.1) }) };
        Plan::of(kind, &knobs).unwrap()
    }

    fn case(kind: Kind, card: Card, rung: &str) -> Figures {
        predict(&plan(kind), &[Buyer { arrival: 0, fast: SECOND, silent: Some(card) }], rung, true, 2_598)
    }

    fn late(seconds: i64, is_firm: bool) -> Card {
        Card::Late { after: seconds * SECOND, is_firm }
    }

    const SOLD: Figures = Figures {
        orders: 1,
        sold: 1,
        cancelled: 0,
        orphan_captures: 0,
        double_captures: 0,
        money_at_risk_minor: 0,
        orders_stuck: 0,
        refunded_late: 0,
        waited_seconds: 0,
    };
    const CANCELLED: Figures = Figures { sold: 0, cancelled: 1, ..SOLD };
    const ORPHAN: Figures = Figures { orphan_captures: 1, money_at_risk_minor: 2_598, ..CANCELLED };

    #[test]
    fn a_lost_answer_is_an_orphan_then_a_retry_then_a_question() {
        let on = |rung| case(Kind::PspTimeout, Card::Lost, rung);
        assert_eq!(on("R0"), Figures { waited_seconds: 10, ..ORPHAN });
        assert_eq!(on("R1"), Figures { waited_seconds: 11, ..SOLD });
        for rung in ["R2", "R3"] {
            assert_eq!(on(rung), Figures { waited_seconds: 30, ..SOLD });
        }
    }

    #[test]
    fn a_retry_under_a_new_key_takes_the_money_twice() {
        let on = |rung| case(Kind::DoubleCharge, Card::Lost, rung);
        assert_eq!(on("R0"), Figures { double_captures: 1, money_at_risk_minor: 2_598, waited_seconds: 11, ..SOLD });
        assert_eq!(on("R1"), Figures { waited_seconds: 11, ..SOLD });
    }

    #[test]
    fn what_is_late_is_an_orphan_until_it_is_waited_for_and_what_is_firm_is_stuck_until_it_may_be_closed() {
        let on = |seconds, is_firm, rung| case(Kind::LateCapture, late(seconds, is_firm), rung);
        assert_eq!(on(25, false, "R0"), Figures { waited_seconds: 10, ..ORPHAN });
        assert_eq!(on(25, false, "R1"), Figures { waited_seconds: 25, ..SOLD });
        assert_eq!(on(300, true, "R1"), Figures { waited_seconds: 32, ..ORPHAN });
        assert_eq!(on(300, true, "R2"), Figures { waited_seconds: 300, ..SOLD });
        assert_eq!(on(700, false, "R2"), Figures { waited_seconds: 480, ..CANCELLED });
        assert_eq!(on(700, true, "R2"), Figures { orders_stuck: 1, refunded_late: 1, waited_seconds: 700, ..CANCELLED });
        assert_eq!(on(700, true, "R3"), Figures { refunded_late: 1, waited_seconds: 480, ..CANCELLED });
    }

    #[test]
    fn where_every_answer_comes_every_order_is_sold_on_every_rung() {
        for rung in ["R0", "R1", "R2", "R3"] {
            let buyer = Buyer { arrival: 0, fast: SECOND, silent: Some(Card::Lost) };
            assert_eq!(predict(&plan(Kind::PspTimeout), &[buyer], rung, false, 1), Figures { waited_seconds: 1, ..SOLD });
        }
    }
}
