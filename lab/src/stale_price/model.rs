//! The reference model: what must come out on each rung, from the moments alone. It shares no code with the services, knows nothing of quotes
//! as rows, events or stores, and takes every step in no time. No two buyers matter to each other, so it is a sum over them.

use super::{
    demand::{Buyer, Plan},
    measure::Figures,
};

/// What the rules say for these buyers on this rung.
#[must_use]
pub fn predict(plan: &Plan, buyers: &[Buyer], rung: &str, late: bool) -> Figures {
    let mut figures = Figures { orders: buyers.len() as i64, sold: buyers.len() as i64, ..Figures::default() };
    for buyer in buyers {
        let checks_out = buyer.fills + buyer.thinks(late);
        let (quoted, costs) = (plan.price_at(buyer.fills), plan.price_at(checks_out));
        let is_ended = checks_out - buyer.fills >= plan.quote;
        if !is_ended {
            // Whatever it costs meanwhile, the quote holds.
            figures.goods_minor += quoted;
            continue;
        }
        if rung == "R0" {
            figures.ended_quotes_charged += 1;
            figures.money_at_risk_minor += (costs - quoted).abs();
            figures.goods_minor += quoted;
            continue;
        }
        let has_risen = costs > quoted;
        let is_asked = rung == "R1" || has_risen;
        figures.asked_again += i64::from(is_asked);
        figures.asked_for_nothing += i64::from(is_asked && !has_risen);
        figures.goods_minor += costs;
    }
    figures
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{experiment::Micros, knob::Knobs, stale_price::demand::KNOBS};

    const SECOND: Micros = 1_000_000;

    fn case(given: &[&str], thinks: i64, rung: &str) -> Figures {
        let plan = Plan::of(&Knobs::parse(KNOBS, given.iter().copied()).unwrap()).unwrap();
        predict(&plan, &[Buyer::planted(200 * SECOND, SECOND, Some(thinks * SECOND))], rung, true)
    }

    const SOLD: Figures = Figures {
        orders: 1,
        sold: 1,
        ended_quotes_charged: 0,
        money_at_risk_minor: 0,
        asked_again: 0,
        asked_for_nothing: 0,
        goods_minor: 1_999,
    };

    #[test]
    fn a_quote_is_kept_while_it_holds_on_every_rung() {
        for rung in ["R0", "R1", "R2"] {
            assert_eq!(case(&[], 119, rung), SOLD, "the price changes only after that");
            assert_eq!(case(&["changes_at=0.4"], 100, rung), SOLD, "the price has changed at 240 s, and the quote holds until 320 s");
        }
    }

    #[test]
    fn an_ended_quote_is_charged_then_refused_then_made_anew() {
        let dearer = Figures { goods_minor: 2_499, asked_again: 1, ..SOLD };
        assert_eq!(case(&[], 150, "R0"), Figures { ended_quotes_charged: 1, money_at_risk_minor: 500, ..SOLD });
        assert_eq!(case(&[], 150, "R1"), dearer);
        assert_eq!(case(&[], 150, "R2"), dearer);
    }

    #[test]
    fn where_nothing_has_become_dearer_only_r1_asks_again() {
        let same = ["changes_at=1"];
        assert_eq!(case(&same, 150, "R0"), Figures { ended_quotes_charged: 1, ..SOLD });
        assert_eq!(case(&same, 150, "R1"), Figures { asked_again: 1, asked_for_nothing: 1, ..SOLD });
        assert_eq!(case(&same, 150, "R2"), SOLD);
        let cheaper = ["new_unit_price_minor=1500"];
        assert_eq!(case(&cheaper, 150, "R0"), Figures { ended_quotes_charged: 1, money_at_risk_minor: 499, ..SOLD });
        assert_eq!(case(&cheaper, 150, "R2"), Figures { goods_minor: 1_500, ..SOLD });
    }
}
