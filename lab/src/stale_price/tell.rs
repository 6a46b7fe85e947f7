//! What a run tells beside its figures: what was changed, what came of it, what shows it, and what mends it.

use serde_json::{Value as Json, json};

use super::{StalePrice, demand::Plan};
use crate::{
    experiment::{Story, Told as Witness, tell::remedy},
    record::{Edge, Intervention, Moment, RootCause},
};

type Told<'a> = Witness<'a, StalePrice>;

pub fn story(plan: &Plan, told: &Told<'_>) -> Story {
    Story {
        interventions: interventions(plan, told),
        root_causes: vec![RootCause {
            cause: format!(
                "a cart is checked out by its quote without a look at when that ended ({} s after it was made)",
                plan.quote / 1_000_000
            ),
            component: "cart",
            aliases: &[
                "stale price",
                "the quote's validUntil is not checked at checkout",
                "the price is a snapshot that is never refreshed",
                "an expired quote is honoured",
            ],
        }],
        timeline: timeline(told),
        propagation: propagation(told),
        remedies: vec![
            remedy("R1", "refuse a checkout whose quote has ended, and show the cart as it is priced now", &["ended_quotes_charged = 0"]),
            remedy(
                "R2",
                "price the cart anew at its checkout, and refuse that only if the total has risen",
                &["ended_quotes_charged = 0", "asked_for_nothing = 0"],
            ),
        ],
    }
}

fn interventions(plan: &Plan, told: &Told<'_>) -> Vec<Intervention> {
    let (from, to) = (told.run.began, told.run.ended);
    let one = |component, mechanism, parameter, before: Json, after: Json, from| Intervention {
        component,
        store: None,
        mechanism,
        parameter,
        before,
        after,
        from,
        to,
    };
    let changed = told.run.measured.moments.price_changed.unwrap_or(from);
    vec![
        one("cart", "rung", "stale-price", json!("R2"), json!(told.rung.name), from),
        one(
            "cart",
            "demand",
            "the share of carts that are checked out after their quote has ended",
            json!(0.0),
            json!(told.request.knobs.real("late_share")),
            from,
        ),
        one("pricing", "price", "unit price", json!(plan.unit_price_minor), json!(plan.new_unit_price_minor), changed),
    ]
}

fn timeline(told: &Told<'_>) -> Vec<Moment> {
    let (run, moments) = (told.run, told.run.measured.moments);
    let one = |what, at, detail: &str| Moment { what, at, detail: detail.to_owned() };
    vec![
        one("inject", Some(run.began), &format!("rung {}; the price changes at {}", told.rung.name, shown(moments.price_changed))),
        one("first effect", moments.first_late, "a cart is checked out after its quote has ended"),
        one("first violation", moments.first_charged, "an order is charged by an ended quote"),
        one("first visible symptom", moments.first_wrong_price, "an order is charged what its goods do not cost any more"),
        one("first alert", None, "the simulated system has nobody who is alerted"),
        one("recovered", moments.last_charged.or(Some(run.ended)), "the last late cart has been checked out"),
    ]
}

fn shown(at: Option<types::Timestamp>) -> String {
    at.map_or_else(|| "no moment of the run".to_owned(), |at| at.to_string())
}

fn propagation(told: &Told<'_>) -> Vec<Edge> {
    let (figures, seen) = (told.run.measured.figures, told.run.measured.precondition);
    let mut edges = vec![Edge {
        from: "pricing",
        to: "cart",
        how: "the price changes while carts lie with an older quote",
        evidence: format!("cart-lines, cart-events: {} late checkouts, {} of them with another price", seen.late, seen.late_and_changed),
    }];
    if figures.ended_quotes_charged > 0 {
        edges.push(Edge {
            from: "cart",
            to: "order",
            how: "the order takes the cart's price as it was quoted",
            evidence: format!("cart-lines, cart-events, orders: {} orders by an ended quote", figures.ended_quotes_charged),
        });
    }
    if figures.asked_again > 0 {
        edges.push(Edge {
            from: "cart",
            to: "buyer",
            how: "the checkout is refused, so that he looks again",
            evidence: format!("cart-events: {} asked again, {} of them for nothing", figures.asked_again, figures.asked_for_nothing),
        });
    }
    edges
}
