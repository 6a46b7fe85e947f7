//! What a run tells beside its figures: what was changed, what came of it, what shows it, and what mends it.

use serde_json::{Value as Json, json};

use super::{HotSku, demand::Plan};
use crate::{
    experiment::{Story, Told as Witness, span, tell::remedy},
    record::{Edge, Intervention, Moment, RootCause},
};

type Told<'a> = Witness<'a, HotSku>;

pub fn story(plan: &Plan, told: &Told<'_>) -> Story {
    Story {
        interventions: interventions(plan, told),
        root_causes: vec![RootCause {
            cause: "inventory-service looks whether a unit is free in one step and takes it in another, which does not look again".into(),
            component: "inventory",
            aliases: &[
                "check-then-act",
                "time of check to time of use (TOCTOU)",
                "race condition on the stock counter",
                "the reservation is not a conditional write",
            ],
        }],
        timeline: timeline(told),
        propagation: propagation(told),
        remedies: vec![remedy(
            "R1",
            "look and take in one conditional write, which takes nothing that is not there",
            &["oversold = 0", "sold = supply"],
        )],
    }
}

fn interventions(plan: &Plan, told: &Told<'_>) -> Vec<Intervention> {
    let (began, ended) = (told.run.began, told.run.ended);
    let one = |mechanism, parameter, before: Json, after: Json, to| Intervention {
        component: "inventory",
        store: None,
        mechanism,
        parameter,
        before,
        after,
        from: began,
        to,
    };
    let slow_until = began.plus(span(plan.window + plan.commit));
    vec![
        one("rung", "hot-sku", json!("R1"), json!(told.rung.name), ended),
        one("slow store", "milliseconds that a commit takes longer", json!(0), json!(plan.commit_ms), slow_until),
    ]
}

fn timeline(told: &Told<'_>) -> Vec<Moment> {
    let (run, moments) = (told.run, told.run.measured.moments);
    let one = |what, at, detail: &str| Moment { what, at, detail: detail.to_owned() };
    vec![
        one("inject", Some(run.began), &format!("rung {}, and slow commits", told.rung.name)),
        one("first effect", moments.first_asked_meanwhile, "an order is made while the last unit is being taken"),
        one("first violation", moments.first_claimed_beyond, "a unit is claimed that is not there"),
        one("first visible symptom", moments.first_held_beyond, "what is available is below zero"),
        one("first alert", None, "the simulated system has nobody who is alerted"),
        one(
            "recovered",
            moments.last_claimed_beyond.or(Some(run.ended)),
            "the last unit too many was claimed; what is oversold stays oversold",
        ),
    ]
}

fn propagation(told: &Told<'_>) -> Vec<Edge> {
    let (figures, asked) = (told.run.measured.figures, told.run.measured.asked_meanwhile);
    let mut edges = vec![Edge {
        from: "inventory's store",
        to: "inventory",
        how: "it takes long to commit",
        evidence: format!("orders, movements: {asked} orders were made while the last unit was being taken"),
    }];
    if figures.oversold > 0 {
        edges.push(Edge {
            from: "inventory",
            to: "order",
            how: "units are held and claimed that were free when somebody looked",
            evidence: format!("movements: {} claimed of {}", figures.sold, figures.supply),
        });
        edges.push(Edge {
            from: "order",
            to: "payment",
            how: "they are paid",
            evidence: format!("orders, payments: {} orders are confirmed and captured for a unit that is not there", figures.oversold),
        });
    }
    edges
}
