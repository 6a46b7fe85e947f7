//! One run over a target: baseline, inject, observe, settle, verify. The lab does what buyers do, over HTTP, and reads what the services and
//! the provider say of themselves; it looks at nothing else.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use futures::future::{join, join_all};
use serde_json::json;
use types::Timestamp;

use super::{
    Experiment, Trial,
    visit::{CART_LEAD, Visit, Visitor, span},
};
use crate::{
    digest,
    facts::Facts,
    invariants::{self, Findings, Grace, Invariant},
    scenario::{LabError, Request as Asked},
    target::{ClockKind, Request, Still, Target, TargetError},
    witness::Recorded,
};

/// Where the stock is; the default settings ask it first for the US.
pub const WAREHOUSE: &str = "us-east";

/// What was seen.
#[derive(Clone, Debug)]
pub struct Witnessed<M> {
    pub began: Timestamp,
    pub ended: Timestamp,
    pub measured: M,
    pub findings: Findings,
    pub digest: String,
    /// What the demand itself met that no buyer should.
    pub failures: Vec<String>,
}

/// What one run is about.
struct Stage<'a, E: Experiment> {
    experiment: &'a E,
    trial: &'a Trial<E::Cell>,
    visits: Vec<Visit>,
    sku: &'a str,
}

/// Plays a trial. Gives what was witnessed, and the exports from which that was read, for who keeps them.
pub(super) async fn play<E: Experiment>(
    target: &dyn Target,
    experiment: &E,
    asked: &Asked,
    trial: &Trial<E::Cell>,
    sku: &str,
) -> Result<(Witnessed<E::Measured>, BTreeMap<String, Bytes>), LabError> {
    let target = &Recorded::new(target);
    let stage = &Stage { experiment, trial, visits: experiment.visits(trial), sku };
    baseline(target, stage).await?;
    let known = suffered_before(target, &experiment.grace()).await?;
    target.set_rung(asked.scenario.name, trial.rung.name).await?;
    let began = target.now().plus(CART_LEAD);
    let (failures, interfered) = join(observe(target, stage, began), experiment.interfere(target, sku, trial, began)).await;
    interfered?;
    settle(target, stage, began).await?;
    let still = Still::new(target);
    let target = &still;
    let mut facts = Facts::read(target).await?;
    if target.clock() == ClockKind::Wall {
        facts = facts.of_sku(sku);
    }
    let mut findings = invariants::check(&facts, &experiment.grace());
    findings.breaches.retain(|breach| !known.contains(&(breach.invariant, breach.id.clone())));
    let witnessed = Witnessed {
        began,
        ended: target.now(),
        measured: experiment.measure(&facts, sku, began),
        findings,
        digest: digest::of_target(target).await?,
        failures,
    };
    Ok((witnessed, still.into_exports()))
}

/// What a running system has broken before this run: an earlier one's damage stays in its log and its books, and is not this one's.
async fn suffered_before(target: &dyn Target, grace: &Grace) -> Result<BTreeSet<(Invariant, String)>, LabError> {
    match target.clock() {
        ClockKind::Simulated => Ok(BTreeSet::new()),
        ClockKind::Wall => {
            let found = invariants::check(&Facts::read(target).await?, grace);
            Ok(found.breaches.into_iter().map(|breach| (breach.invariant, breach.id)).collect())
        }
    }
}

async fn baseline<E: Experiment>(target: &dyn Target, stage: &Stage<'_, E>) -> Result<(), TargetError> {
    let (sku, (units, unit_price_minor)) = (stage.sku, stage.experiment.stock());
    let price = json!({"unitPrice": {"amount": unit_price_minor, "currency": "USD"}});
    target.must(Request::put(format!("/pricing/books/standard-usd/entries/{sku}"), price)).await?;
    let delta = json!({"sku": sku, "warehouse": WAREHOUSE, "delta": units, "reason": "received"});
    target.must(Request::post("/inventory/adjust", delta)).await?;
    Ok(())
}

/// Every buyer at his moment. Gives what went wrong for them: an order that is cancelled or refused later is none of it.
async fn observe<E: Experiment>(target: &dyn Target, stage: &Stage<'_, E>, began: Timestamp) -> Vec<String> {
    let Stage { experiment, trial, sku, visits } = stage;
    let all = visits.iter().enumerate().map(|(number, visit)| experiment.shop(Visitor { target, sku, number, visit, began }, trial));
    let failed: Vec<TargetError> = join_all(all).await.into_iter().filter_map(Result::err).collect();
    let summary =
        failed.first().map(|first| format!("{} of {} buyers could not check out; the first: {first}", failed.len(), visits.len()));
    summary.into_iter().collect()
}

/// Waits until everything is decided and every order has ended, but not for ever: what has not ended by then is a finding.
async fn settle<E: Experiment>(target: &dyn Target, stage: &Stage<'_, E>, began: Timestamp) -> Result<(), TargetError> {
    let last = stage.visits.iter().map(|visit| visit.arrival + visit.decided).max().unwrap_or(0);
    target.sleep_until(began.plus(span(last))).await;
    let until = target.now().plus(stage.experiment.patience());
    loop {
        let open = |order: &serde_json::Value| {
            let is_mine = order["createdAt"].as_str().and_then(|at| at.parse().ok()).is_some_and(|at: Timestamp| at >= began);
            is_mine && matches!(order["status"].as_str(), Some("PENDING" | "RESERVED" | "PAID" | "CONFIRMED"))
        };
        if !target.facts("orders").await?.iter().any(open) || target.now() >= until {
            break;
        }
        target.sleep(std::time::Duration::from_secs(2)).await;
    }
    target.sleep(stage.experiment.rest(target.clock())).await;
    Ok(())
}
