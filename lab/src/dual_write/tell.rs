//! What a run tells beside its figures: what was changed, what came of it, what shows it, and what mends it.

use serde_json::{Value as Json, json};

use super::{DualWrite, demand::Plan};
use crate::{
    experiment::{Micros, Story, Told as Witness, span, tell::remedy},
    record::{Edge, Intervention, Moment, RootCause},
};

type Told<'a> = Witness<'a, DualWrite>;

pub fn story(plan: &Plan, told: &Told<'_>) -> Story {
    Story {
        interventions: interventions(plan, told),
        root_causes: vec![RootCause {
            cause:
                "an event is told by the service itself after the commit, and not by a row of the transaction: what cannot be told at that \
                    moment is lost"
                    .into(),
            component: "order",
            aliases: &[
                "dual write",
                "no transactional outbox",
                "the event is published after the commit and not retried",
                "store and log are written one after the other without a transaction",
            ],
        }],
        timeline: timeline(told),
        propagation: propagation(told),
        remedies: vec![remedy(
            "R1",
            "write the event into an outbox in the transaction that it tells about, and let one relay carry it, as often as it takes",
            &["events_lost = 0", "orders_untold = 0"],
        )],
    }
}

fn interventions(plan: &Plan, told: &Told<'_>) -> Vec<Intervention> {
    let (began, ended) = (told.run.began, told.run.ended);
    let after = |moment: Micros| began.plus(span(moment));
    let one = |mechanism, parameter, before: Json, after: Json, (from, to)| Intervention {
        component: "order",
        store: None,
        mechanism,
        parameter,
        before,
        after,
        from,
        to,
    };
    vec![
        one("rung", "dual-write", json!("R1"), json!(told.rung.name), (began, ended)),
        one(
            "outage",
            "the way from order-service to the log",
            json!("open"),
            json!("refuses every publication"),
            (after(plan.outage_begins), after(plan.outage_ends)),
        ),
    ]
}

fn timeline(told: &Told<'_>) -> Vec<Moment> {
    let (run, moments) = (told.run, told.run.measured.moments);
    let one = |what, at, detail: &str| Moment { what, at, detail: detail.to_owned() };
    vec![
        one("inject", Some(run.began), &format!("rung {}, and an outage on the way to the log", told.rung.name)),
        one("first effect", moments.first_in_outage, "an event is committed while the log cannot be reached"),
        one("first violation", moments.first_lost, "an event is committed that is never told"),
        one("first visible symptom", moments.first_untold, "an order is paid and ready, and nobody is told to ship it"),
        one("first alert", None, "the simulated system has nobody who is alerted"),
        one("recovered", moments.last_lost.or(Some(run.ended)), "the last event was lost; what is lost stays lost"),
    ]
}

fn propagation(told: &Told<'_>) -> Vec<Edge> {
    let (figures, seen) = (told.run.measured.figures, told.run.measured.precondition);
    let mut edges = vec![Edge {
        from: "bus",
        to: "order",
        how: "it takes no publication for a while",
        evidence: format!("outbox, events: {} events were committed meanwhile", seen.events_in_outage),
    }];
    if figures.events_lost > 0 {
        edges.push(Edge {
            from: "order",
            to: "bus",
            how: "what was committed is told once, in vain, and noted as told",
            evidence: format!("outbox, events: {} events are SENT and not in the log", figures.events_lost),
        });
    }
    if figures.orders_untold > 0 {
        edges.push(Edge {
            from: "order",
            to: "everybody who listens",
            how: "nobody hears that the order is ready",
            evidence: format!("orders, events: {} orders are FULFILLED_READY and nobody was told", figures.orders_untold),
        });
    }
    edges
}
