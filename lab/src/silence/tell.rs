//! The incident record of a run: what was changed, what came of it, what shows it, and what mends it.

use serde_json::{Value as Json, json};

use super::{
    demand::{Kind, Plan},
    play::Witnessed,
};
use crate::{
    invariants::Invariant,
    record::{Edge, FORMAT, Intervention, Moment, Precondition, Record, Remedy, RootCause, Twin},
    scenario::{Request, Rung, TwinRun, figures_json, violations_json},
    target::ClockKind,
    verdict::Verdict,
};

/// What a record is made of.
pub struct Told<'a> {
    pub request: &'a Request,
    pub plan: &'a Plan,
    pub clock: ClockKind,
    pub rung: &'static Rung,
    pub verdict: Verdict,
    pub run: &'a Witnessed,
    pub twins: &'a [TwinRun],
}

pub fn record(told: &Told<'_>) -> Record {
    let Told { request, clock, rung, verdict, run, twins, .. } = told;
    let seen = run.measured.precondition;
    let counted = |name, value: usize, is_met| Precondition { name, value: i64::try_from(value).unwrap_or(i64::MAX), is_met };
    Record {
        format: FORMAT,
        id: format!("{}-{}-{}", request.scenario.name, rung.name, request.seed),
        scenario: request.scenario.name,
        rung: rung.name,
        seed: request.seed,
        build: format!("crashcart {}", env!("CARGO_PKG_VERSION")),
        clock: clock.as_str(),
        knobs: request.knobs.json(),
        verdict: verdict.to_string(),
        preconditions: vec![
            counted("payments that had no answer in time", seen.unanswered, seen.unanswered > 0),
            counted("those of which the provider has taken the money", seen.taken_all_the_same, seen.is_met()),
        ],
        interventions: interventions(told),
        root_causes: root_causes(told),
        timeline: timeline(told),
        propagation: propagation(told),
        violations: violations_json(&run.findings.breaches),
        impact: json!({
            "figures": figures_json(&super::named(&run.measured.figures)),
            "currency": "USD",
            "damagedOrders": run.measured.damaged.iter().map(|row| row.order_id.as_str()).collect::<Vec<_>>(),
        }),
        remedies: remedies(told.plan.kind),
        twins: twins
            .iter()
            .map(|twin| Twin {
                conditions: twin.conditions.clone(),
                violations: violations_json(&twin.breaches),
                figures: figures_json(&twin.figures),
            })
            .collect(),
        digests: json!({"run": run.digest, "twins": twins.iter().map(|twin| twin.digest.clone()).collect::<Vec<_>>()}),
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

fn root_causes(told: &Told<'_>) -> Vec<RootCause> {
    let patience = told.plan.patience / 1_000_000;
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
    match told.plan.kind {
        Kind::PspTimeout => vec![failure],
        Kind::LateCapture => vec![late, failure],
        Kind::DoubleCharge => vec![key],
    }
}

fn timeline(told: &Told<'_>) -> Vec<Moment> {
    let (run, moments) = (told.run, told.run.measured.moments);
    let is_damaged = run.measured.figures.primary() > 0;
    let symptom = if told.plan.kind == Kind::DoubleCharge { moments.first_damage } else { moments.first_cancelled };
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
    let holds = |more: &[&str]| Invariant::ALL.iter().map(ToString::to_string).chain(more.iter().map(|text| (*text).to_owned())).collect();
    let none: &[&str] = &["orphan_captures = 0", "double_captures = 0"];
    let one = |rung, what, more: &[&str]| Remedy { rung, what, must_hold: holds(more) };
    let mut remedies = vec![
        one("R2", "what is not answered is unknown: ask by reference, and void before anything is released", none),
        one(
            "R3",
            "close what cannot be voided yet, and book and refund what comes of it late",
            &["orphan_captures = 0", "double_captures = 0", "orders_stuck = 0"],
        ),
    ];
    // Three tries under one key do not help against what takes longer than three tries.
    if kind != Kind::LateCapture {
        remedies.insert(0, one("R1", "ask again under the same idempotency key", none));
    }
    remedies
}
