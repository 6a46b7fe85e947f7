//! What an oversell run tells beside its figures: what was changed, what came of it, what shows it, and what mends it.

use serde_json::{Value as Json, json};

use super::{Oversell, demand::Plan, seconds_json};
use crate::{
    experiment::{Story, Told as Witness, tell::remedy},
    invariants::Invariant,
    record::{Edge, Intervention, Moment, Remedy, RootCause},
};

type Told<'a> = Witness<'a, Oversell>;

pub fn story(plan: &Plan, told: &Told<'_>) -> Story {
    Story {
        interventions: interventions(plan, told),
        root_causes: root_causes(plan, told),
        timeline: timeline(plan, told),
        propagation: propagation(told),
        remedies: remedies(),
    }
}

fn interventions(plan: &Plan, told: &Told<'_>) -> Vec<Intervention> {
    let (from, to) = (told.run.began, told.run.ended);
    let one = |component, store, mechanism, parameter, before: Json, after: Json| Intervention {
        component,
        store,
        mechanism,
        parameter,
        before,
        after,
        from,
        to,
    };
    vec![
        one(
            "inventory",
            Some("stock"),
            "setting",
            "inventory.reservation_ttl_seconds",
            seconds_json(plan.long_ttl),
            seconds_json(plan.ttl),
        ),
        one("psp", None, "demand", "the share of slow payments", json!(0.0), json!(told.request.knobs.real("slow_share"))),
        one("order, inventory", None, "rung", "oversell", json!("R3"), json!(told.rung.name)),
    ]
}

fn root_causes(plan: &Plan, told: &Told<'_>) -> Vec<RootCause> {
    let knobs = &told.request.knobs;
    let cause = format!(
        "inventory.reservation_ttl_seconds = {} and slow payments ({} %, around {} s); either one alone does nothing",
        plan.ttl / 1_000_000,
        knobs.real("slow_share") * 100.0,
        knobs.real("slow_median_seconds")
    );
    let hold = RootCause {
        cause,
        component: "inventory",
        aliases: &[
            "the reservation expires before the payment completes",
            "the hold is shorter than the payment takes",
            "reservation TTL too short",
            "inventory hold timeout below the payment latency",
        ],
    };
    let claim = RootCause {
        cause: "the claim that follows a payment is an upsert: it revives a hold that has run out, without asking whether its unit is free"
            .into(),
        component: "inventory",
        aliases: &["unconditional claim", "claim without a fencing token", "late confirmation resurrects an expired reservation"],
    };
    if told.rung.breaks.is_empty() { vec![hold] } else { vec![hold, claim] }
}

fn timeline(plan: &Plan, told: &Told<'_>) -> Vec<Moment> {
    let (run, figures) = (told.run, told.run.measured.figures);
    let moments = run.measured.moments;
    let breaks = !run.findings.breaches.is_empty();
    let symptom = moments.first_beyond_supply.or(moments.first_paid_then_voided);
    let symptom_detail = if moments.first_beyond_supply.is_some() {
        format!("more is claimed than the {} units that there are", figures.supply)
    } else {
        "a buyer who has paid is told that there is nothing for him".into()
    };
    let one = |what, at, detail: String| Moment { what, at, detail };
    vec![
        one("inject", Some(run.began), format!("holds last {} s on rung {}", plan.ttl / 1_000_000, told.rung.name)),
        one("first effect", moments.first_hold_outlived, "the time of a hold is over while its payment is on its way".into()),
        one("first violation", moments.first_late_claim.filter(|_| breaks), "a hold that had run out is claimed".into()),
        one("first visible symptom", symptom, symptom_detail),
        one("first alert", None, "the simulated system has nobody who is alerted".into()),
        one("recovered", moments.last_beyond_supply.or(Some(run.ended)), "the last order of the demand has ended".into()),
    ]
}

fn propagation(told: &Told<'_>) -> Vec<Edge> {
    let (run, measured) = (told.run, &told.run.measured);
    let late = run.findings.of(Invariant::I3).count();
    let mut edges = vec![
        Edge {
            from: "psp",
            to: "payment",
            how: "the answer comes after the hold's time",
            evidence: format!("psp-truth, movements: {} holds were outlived by their payment", measured.precondition.holds_outlived),
        },
        Edge {
            from: "inventory",
            to: "order",
            how: "others ask for what the late payers are paying for",
            evidence: format!("orders, movements: {} orders were made meanwhile", measured.precondition.asked_meanwhile),
        },
    ];
    if late > 0 {
        edges.push(Edge {
            from: "payment",
            to: "inventory",
            how: "the authorization revives the hold",
            evidence: format!("movements: {late} claims after the end of their hold"),
        });
    }
    if measured.figures.oversold > 0 {
        edges.push(Edge {
            from: "inventory",
            to: "order",
            how: "orders are confirmed for units that do not exist",
            evidence: format!("orders, movements: {} sold of {}", measured.figures.sold, measured.figures.supply),
        });
    }
    if measured.figures.voided_after_payment > 0 {
        edges.push(Edge {
            from: "inventory",
            to: "payment",
            how: "the claim is refused, and the payment is voided",
            evidence: format!("psp-truth: {} authorizations were voided", measured.figures.voided_after_payment),
        });
    }
    edges
}

fn remedies() -> Vec<Remedy> {
    vec![
        remedy("R1", "claim only a live hold, with its fencing token; void late payments", &["oversold = 0"]),
        remedy("R1b", "as R1, and let late payers hold again while a unit is free", &["oversold = 0"]),
        remedy("R2", "extend the hold when the payment starts", &["oversold = 0"]),
        remedy(
            "R3",
            "end the hold only with the provider's answer or a confirmed void, bounded by the payment's deadline",
            &["oversold = 0", "voided_after_payment = 0"],
        ),
    ]
}
