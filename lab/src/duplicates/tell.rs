//! What a run tells beside its figures: what was changed, what came of it, what shows it, and what mends it.

use serde_json::{Value as Json, json};

use super::{DISTURBED, Duplicates};
use crate::{
    experiment::{Story, Told as Witness, span, tell::remedy},
    record::{Edge, Intervention, Moment, RootCause},
};

type Told<'a> = Witness<'a, Duplicates>;

pub fn story(experiment: &Duplicates, told: &Told<'_>) -> Story {
    Story {
        interventions: interventions(experiment, told),
        root_causes: vec![
            RootCause {
                cause: "a message that is delivered again is taken for another one: each delivery is a refund under a key of its own"
                    .into(),
                component: "payment",
                aliases: &[
                    "no inbox",
                    "a consumer that is not idempotent",
                    "an idempotency key per delivery",
                    "at least once taken for exactly once",
                ],
            },
            RootCause {
                cause: "whatever is heard last is taken for the newest: what was told earlier and comes later overwrites it".into(),
                component: "order",
                aliases: &["no version check", "last writer wins", "out-of-order events", "a projection without a sequence number"],
            },
        ],
        timeline: timeline(told),
        propagation: propagation(told),
        remedies: vec![
            remedy("R1", "make the refund the credit's: one for each, however often it is told", &["paid_twice_minor = 0"]),
            remedy(
                "R2",
                "beside that, take of the news of a payment only what has a higher version",
                &["paid_twice_minor = 0", "told_wrong = 0"],
            ),
        ],
    }
}

fn interventions(experiment: &Duplicates, told: &Told<'_>) -> Vec<Intervention> {
    let (began, ended) = (told.run.began, told.run.ended);
    let lasts = (began, began.plus(span(experiment.plan.ends())));
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
    let [(credits, _), (refunds, _)] = DISTURBED;
    vec![
        one("payment", "rung", "duplicates-and-reorder", json!("R2"), json!(told.rung.name), (began, ended)),
        one("bus", "delivery", credits, json!("once"), json!("twice"), lasts),
        one("bus", "delivery", refunds, json!("in turn"), json!("each overtaken by the next of its key"), lasts),
    ]
}

fn timeline(told: &Told<'_>) -> Vec<Moment> {
    let (run, moments) = (told.run, told.run.measured.moments);
    let one = |what, at, detail: &str| Moment { what, at, detail: detail.to_owned() };
    vec![
        one("inject", Some(run.began), &format!("rung {}; messages come twice and out of turn", told.rung.name)),
        one("first effect", moments.first_credit, "a credit is granted, and told twice"),
        one("first violation", moments.first_paid_twice, "a credit is refunded that was refunded"),
        one("first visible symptom", None, "the statement of the provider, when somebody reads it"),
        one("first alert", None, "the simulated system has nobody who is alerted"),
        one("recovered", moments.last_paid_twice.or(Some(run.ended)), "the last credit was paid again; the money is gone"),
    ]
}

fn propagation(told: &Told<'_>) -> Vec<Edge> {
    let figures = told.run.measured.figures;
    let mut edges = vec![Edge {
        from: "order",
        to: "payment",
        how: "each credit is told, and delivered twice",
        evidence: format!("credits: {} of {} orders", figures.credits, figures.orders),
    }];
    if figures.paid_twice_minor > 0 {
        edges.push(Edge {
            from: "payment",
            to: "psp",
            how: "each delivery asks for a refund under a key of its own, and no limit of the payment stands in the way",
            evidence: format!("refunds: {} for {} credits", figures.refunds, figures.credits),
        });
    }
    if figures.told_wrong > 0 {
        edges.push(Edge {
            from: "payment",
            to: "order",
            how: "two tellings of one payment come out of turn, and the older one stays",
            evidence: format!("orders, payments: {} orders tell of less than has gone back", figures.told_wrong),
        });
    }
    edges
}
