//! What a run tells beside its figures: what was changed, what came of it, what shows it, and what mends it.

use serde_json::{Value as Json, json};

use super::Poison;
use crate::{
    experiment::{Story, Told as Witness, span, tell::remedy},
    record::{Edge, Intervention, Moment, RootCause},
};

type Told<'a> = Witness<'a, Poison>;

pub fn story(poison: &Poison, told: &Told<'_>) -> Story {
    Story {
        interventions: interventions(poison, told),
        root_causes: vec![RootCause {
            cause: "order-service has no dead letters: an event that it cannot read is tried for ever, and all that lies behind it in its partition waits"
                .into(),
            component: "order",
            aliases: &[
                "poison message",
                "poison pill",
                "no dead-letter queue",
                "head-of-line blocking by a record that cannot be deserialized",
                "the consumer retries a bad record in place and never commits its offset",
            ],
        }],
        timeline: timeline(told),
        propagation: propagation(told),
        remedies: vec![remedy(
            "R1",
            "put what cannot be read among the dead letters, park its key, and go on with everything else",
            &["events_blocked = 0", "orders_left_behind = 0"],
        )],
    }
}

fn interventions(poison: &Poison, told: &Told<'_>) -> Vec<Intervention> {
    let (began, ended) = (told.run.began, told.run.ended);
    let one = |component, mechanism, parameter, before: Json, after: Json, (from, to)| Intervention {
        component,
        store: None,
        mechanism,
        parameter,
        before,
        after,
        from,
        to,
    };
    let mut all = vec![one("order", "rung", "poison", json!("R1"), json!(told.rung.name), (began, ended))];
    all.extend(poison.windows().into_iter().map(|(opens, closes)| {
        let parameter = "the first byte of each record of payment.captured.v1";
        let lasts = (began.plus(span(opens)), began.plus(span(closes)));
        one("bus", "corruption", parameter, json!("0, as every record begins"), json!("255"), lasts)
    }));
    all
}

fn timeline(told: &Told<'_>) -> Vec<Moment> {
    let (run, moments) = (told.run, told.run.measured.moments);
    let one = |what, at, detail: &str| Moment { what, at, detail: detail.to_owned() };
    vec![
        one("inject", Some(run.began), &format!("rung {}, and records that are corrupted on their way to the log", told.rung.name)),
        one("first effect", moments.first_poisoned, "a record lies in the log that nobody can read"),
        one("first violation", moments.first_blocked, "an event has come that is not taken, and is not set aside"),
        one(
            "first visible symptom",
            moments.first_left_behind,
            "an event that could be read waits behind it: the lag of its partition grows",
        ),
        one("first alert", None, "the simulated system has nobody who is alerted"),
        one("recovered", Some(run.ended), "the services go back to the remedied rung, on which what is blocked is parked or taken"),
    ]
}

fn propagation(told: &Told<'_>) -> Vec<Edge> {
    let figures = told.run.measured.figures;
    let mut edges = vec![Edge {
        from: "payment",
        to: "bus",
        how: "a record of a captured payment is written as bytes that nobody can read",
        evidence: format!("events: {} records of payment.captured.v1 do not begin as a record does", figures.poisoned),
    }];
    if figures.events_blocked > 0 {
        edges.push(Edge {
            from: "bus",
            to: "order",
            how: "it tries the record for ever, and nothing behind it in its partition is taken",
            evidence: format!(
                "events, inbox, consumers: {} events of payment.captured.v1 have no note of order-service",
                figures.events_blocked
            ),
        });
    }
    if figures.events_parked > 0 {
        edges.push(Edge {
            from: "bus",
            to: "order",
            how: "it sets the record aside, parks its key and goes on",
            evidence: format!("parked, events: {} of its events lie among the dead letters", figures.events_parked),
        });
    }
    edges
}
