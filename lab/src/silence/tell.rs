//! What a run tells beside its figures: what was changed, what came of it, what shows it, and what mends it.

use serde_json::{Value as Json, json};

use super::{
    Silence,
    demand::{Kind, Plan},
};
use crate::{
    experiment::{Story, Told as Witness, tell::remedy},
    record::{Edge, Intervention, Moment, Remedy, RootCause},
};

type Told<'a> = Witness<'a, Silence>;

pub fn story(plan: &Plan, told: &Told<'_>) -> Story {
    Story {
        interventions: interventions(told),
        root_causes: root_causes(plan),
        timeline: timeline(plan, told),
        propagation: propagation(told),
        remedies: remedies(plan.kind),
    }
}

fn interventions(told: &Told<'_>) -> Vec<Intervention> {
    let (from, to) = (told.run.began, told.run.ended);
    let one = |component, mechanism, parameter, before: Json, after: Json| Intervention {
        component,
        store: None,
        mechanism,
        parameter,
        before,
        after,
        from,
        to,
    };
    vec![
        one(
            "psp",
            "demand",
            "the share of payments that are not answered in time",
            json!(0.0),
            json!(told.request.knobs.real("silent_share")),
        ),
        one("payment", "rung", told.request.scenario.name, json!("R3"), json!(told.rung.name)),
    ]
}

fn root_causes(plan: &Plan) -> Vec<RootCause> {
    let patience = plan.patience / 1_000_000;
    let failure = RootCause {
        cause: format!(
            "a payment that the provider has not answered within {patience} s counts as failed, although the provider may have done it"
        ),
        component: "payment",
        aliases: &[
            "a timeout is treated as a decline",
            "no answer counts as failure",
            "the PSP timed out after it had charged the card",
            "orphan capture after a timeout",
        ],
    };
    let late = RootCause {
        cause: format!(
            "the provider succeeds after the shop gave the payment up ({patience} s), and what it tells then is not listened to"
        ),
        component: "payment",
        aliases: &["late capture", "late webhook is ignored", "the provider captured after the order was cancelled"],
    };
    let key = RootCause {
        cause: "a payment that was not answered in time is asked for again under a new idempotency key, which is another request".into(),
        component: "payment",
        aliases: &["a retry without the idempotency key", "a new idempotency key per attempt", "double charge after a retry"],
    };
    match plan.kind {
        Kind::PspTimeout => vec![failure],
        Kind::LateCapture => vec![late, failure],
        Kind::DoubleCharge => vec![key],
    }
}

fn timeline(plan: &Plan, told: &Told<'_>) -> Vec<Moment> {
    let (run, moments) = (told.run, told.run.measured.moments);
    let is_damaged = run.measured.figures.primary() > 0;
    let symptom = if plan.kind == Kind::DoubleCharge { moments.first_damage } else { moments.first_cancelled };
    let one = |what, at, detail: &str| Moment { what, at, detail: detail.to_owned() };
    vec![
        one("inject", Some(run.began), &format!("rung {}, and cards of a provider that does not answer in time", told.rung.name)),
        one("first effect", moments.first_unanswered, "a payment has no answer in time"),
        one("first violation", moments.first_damage.filter(|_| is_damaged), "the provider has money of which the shop does not know"),
        one("first visible symptom", symptom.filter(|_| is_damaged), "a buyer has a charge that he should not have"),
        one("first alert", None, "the simulated system has nobody who is alerted"),
        one("recovered", moments.last_damage.or(Some(run.ended)), "the last payment has been decided"),
    ]
}

fn propagation(told: &Told<'_>) -> Vec<Edge> {
    let (figures, seen) = (told.run.measured.figures, told.run.measured.precondition);
    let mut edges = vec![Edge {
        from: "psp",
        to: "payment",
        how: "it does what it was asked for, and its answer does not come in time",
        evidence: format!("payment-transitions, psp-truth: {} payments were not answered in time", seen.unanswered),
    }];
    if figures.orphan_captures > 0 {
        edges.push(Edge {
            from: "payment",
            to: "order",
            how: "the payment counts as failed, and the order is cancelled",
            evidence: format!("orders, psp-truth: {} cancelled orders whose money the provider has", figures.orphan_captures),
        });
    }
    if figures.double_captures > 0 {
        edges.push(Edge {
            from: "payment",
            to: "psp",
            how: "it is asked for again as another request",
            evidence: format!("psp-truth: {} captures beyond the first of their payment", figures.double_captures),
        });
    }
    if figures.orders_stuck > 0 {
        edges.push(Edge {
            from: "payment",
            to: "order",
            how: "what cannot be voided yet is waited for",
            evidence: format!("order-transitions: {} orders ended more than a minute after the deadline", figures.orders_stuck),
        });
    }
    edges
}

fn remedies(kind: Kind) -> Vec<Remedy> {
    let none: &[&str] = &["orphan_captures = 0", "double_captures = 0"];
    let mut remedies = vec![
        remedy("R2", "what is not answered is unknown: ask by reference, and void before anything is released", none),
        remedy(
            "R3",
            "close what cannot be voided yet, and book and refund what comes of it late",
            &["orphan_captures = 0", "double_captures = 0", "orders_stuck = 0"],
        ),
    ];
    // Three tries under one key do not help against what takes longer than three tries.
    if kind != Kind::LateCapture {
        remedies.insert(0, remedy("R1", "ask again under the same idempotency key", none));
    }
    remedies
}
