//! What a run tells beside its figures: what was changed, what came of it, what shows it, and what mends it.

use serde_json::{Value as Json, json};

use super::{ClockSkew, SERVICE, demand::Plan};
use crate::{
    experiment::{Story, Told as Witness, tell::remedy},
    record::{Edge, Intervention, Moment, RootCause},
};

type Told<'a> = Witness<'a, ClockSkew>;

pub fn story(plan: &Plan, told: &Told<'_>) -> Story {
    Story {
        interventions: interventions(plan, told),
        root_causes: root_causes(plan, told),
        timeline: timeline(plan, told),
        propagation: propagation(told),
        remedies: vec![remedy(
            "R1",
            "let the clock that ends a hold be the one that says whether it is over",
            &["oversold = 0", "late_claims = 0"],
        )],
    }
}

fn interventions(plan: &Plan, told: &Told<'_>) -> Vec<Intervention> {
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
        one("inventory", "rung", "clock-skew", json!("R1"), json!(told.rung.name)),
        one(SERVICE, "clock", "seconds by which the clock is behind", json!(0), json!(plan.skew / 1_000_000)),
        one("inventory", "setting", "inventory.reservation_ttl_seconds", json!(600), json!(plan.ttl / 1_000_000)),
        one(SERVICE, "setting", "order.hold_during_payment", json!("until-answered"), json!("left-alone")),
    ]
}

fn root_causes(plan: &Plan, told: &Told<'_>) -> Vec<RootCause> {
    let skew = RootCause {
        cause: format!("the clock of order-service is {} s behind that of inventory-service", plan.skew / 1_000_000),
        component: SERVICE,
        aliases: &["clock skew", "clock drift", "NTP is not running", "unsynchronised clocks", "the order host's clock is slow"],
    };
    let authority = RootCause {
        cause:
            "whether a hold is over is said by two clocks: that of inventory-service ends it, that of whoever claims says that it still \
                lived"
                .into(),
        component: "inventory",
        aliases: &[
            "a lease is judged by the client's clock",
            "the claim trusts the caller's timestamp",
            "two sources of truth for the time",
            "an expired reservation is revived by a late claim",
        ],
    };
    if told.rung.breaks.is_empty() { vec![skew] } else { vec![authority, skew] }
}

fn timeline(plan: &Plan, told: &Told<'_>) -> Vec<Moment> {
    let (run, moments) = (told.run, told.run.measured.moments);
    let one = |what, at, detail: &str| Moment { what, at, detail: detail.to_owned() };
    let symptom = if moments.first_beyond_supply.is_some() {
        "more is claimed than there is"
    } else {
        "a buyer who has paid is told that there is nothing for him"
    };
    vec![
        one("inject", Some(run.began), &format!("rung {}, and a clock that is {} s behind", told.rung.name, plan.skew / 1_000_000)),
        one("first effect", moments.first_between, "a payment comes when its hold is over, and is in time by the slow clock"),
        one("first violation", moments.first_late_claim, "a hold that had ended is claimed"),
        one("first visible symptom", moments.first_beyond_supply.or(moments.first_paid_then_voided), symptom),
        one("first alert", None, "the simulated system has nobody who is alerted"),
        one(
            "recovered",
            moments.last_beyond_supply.or(Some(run.ended)),
            "the last unit too many was claimed; what is oversold stays oversold",
        ),
    ]
}

fn propagation(told: &Told<'_>) -> Vec<Edge> {
    let (figures, seen) = (told.run.measured.figures, told.run.measured.precondition);
    let mut edges = vec![
        Edge {
            from: "order's clock",
            to: SERVICE,
            how: "payments that are late seem to be in time",
            evidence: format!(
                "psp-truth, movements, order-transitions: {} payments after the end of their hold, noted as before it",
                seen.between_the_clocks
            ),
        },
        Edge {
            from: "inventory",
            to: SERVICE,
            how: "units whose hold has ended are given to others",
            evidence: format!("movements: {} holds between such an end and its payment", seen.sold_meanwhile),
        },
    ];
    if figures.late_claims > 0 {
        edges.push(Edge {
            from: SERVICE,
            to: "inventory",
            how: "the claim says that it is in time, and the hold is revived",
            evidence: format!("movements: {} claims after the end of their hold", figures.late_claims),
        });
    }
    if figures.oversold > 0 {
        edges.push(Edge {
            from: "inventory",
            to: SERVICE,
            how: "orders are confirmed for units that are another's",
            evidence: format!("movements: {} claimed of {}", figures.sold, figures.supply),
        });
    }
    if figures.voided_after_payment > 0 {
        edges.push(Edge {
            from: "inventory",
            to: "payment",
            how: "the claim is refused, and the payment is voided",
            evidence: format!("psp-truth: {} authorizations were voided", figures.voided_after_payment),
        });
    }
    edges
}
