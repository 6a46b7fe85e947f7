//! One run over a target: baseline, inject, observe, settle, verify. The lab does what buyers do, over HTTP, and reads what the services and
//! the provider say of themselves; it looks at nothing else.

use std::time::Duration;

use futures::future::join_all;
use serde_json::json;
use types::Timestamp;

use super::{
    demand::{Buyer, Plan},
    measure::{Measured, STUCK_AFTER, measure},
};
use crate::{
    demand::buyer_name,
    digest,
    facts::Facts,
    invariants::{self, Findings, Grace},
    scenario::{LabError, Scenario},
    target::{ClockKind, Request, Target, TargetError},
    witness::Recorded,
};

/// How long before his moment a buyer fills his cart.
const CART_LEAD: Duration = Duration::from_secs(5);
const WAREHOUSE: &str = "us-east";
/// What follows from events is given this long after the last order has ended.
const REST: Duration = Duration::from_secs(10);

/// What one run is about.
#[derive(Debug)]
pub struct Stage<'a> {
    scenario: &'static str,
    plan: &'a Plan,
    buyers: &'a [Buyer],
    silent: bool,
    rung: &'a str,
    sku: String,
}

impl<'a> Stage<'a> {
    pub const fn of(scenario: &Scenario, plan: &'a Plan, buyers: &'a [Buyer], silent: bool, rung: &'a str, sku: String) -> Self {
        Self { scenario: scenario.name, plan, buyers, silent, rung, sku }
    }
}

/// What was seen.
#[derive(Clone, Debug)]
pub struct Witnessed {
    pub began: Timestamp,
    pub ended: Timestamp,
    pub measured: Measured,
    pub findings: Findings,
    pub digest: String,
    /// What the demand itself met that no buyer should.
    pub failures: Vec<String>,
}

pub async fn play(target: &dyn Target, stage: &Stage<'_>) -> Result<Witnessed, LabError> {
    let target = &Recorded::new(target);
    baseline(target, stage).await?;
    target.set_rung(stage.scenario, stage.rung).await?;
    let began = target.now().plus(CART_LEAD);
    let failures = observe(target, stage, began).await;
    settle(target, stage, began).await?;
    let mut facts = Facts::read(target).await?;
    if target.clock() == ClockKind::Wall {
        facts = facts.of_sku(&stage.sku);
    }
    Ok(Witnessed {
        began,
        ended: target.now(),
        measured: measure(&facts, &stage.sku, stage.plan.patience, stage.plan.deadline),
        findings: invariants::check(&facts, &grace(stage.plan)),
        digest: digest::of_target(target).await?,
        failures,
    })
}

/// Once everything has settled nothing is legally false any more, so the graces are short.
fn grace(plan: &Plan) -> Grace {
    let deadline = Duration::from_micros((plan.deadline + STUCK_AFTER).unsigned_abs());
    Grace { hold_end: REST / 2, saga: deadline + STUCK, effects: Duration::from_secs(1), books: REST / 2 }
}

/// For how much longer an order may go on that is stuck: longer it is no order that waits, but one that was lost.
const STUCK: Duration = Duration::from_secs(60);

async fn baseline(target: &dyn Target, stage: &Stage<'_>) -> Result<(), TargetError> {
    let Stage { plan, sku, .. } = stage;
    let price = json!({"unitPrice": {"amount": plan.unit_price_minor, "currency": "USD"}});
    target.must(Request::put(format!("/pricing/books/standard-usd/entries/{sku}"), price)).await?;
    let delta = json!({"sku": sku, "warehouse": WAREHOUSE, "delta": plan.buyers, "reason": "stock for a scenario"});
    target.must(Request::post("/inventory/adjust", delta)).await?;
    Ok(())
}

/// Every buyer at his moment. Gives what went wrong for them: an order that is cancelled later is none of it.
async fn observe(target: &dyn Target, stage: &Stage<'_>, began: Timestamp) -> Vec<String> {
    let all = stage.buyers.iter().enumerate().map(|(number, buyer)| buy(target, stage, number, buyer, began));
    let failed: Vec<TargetError> = join_all(all).await.into_iter().filter_map(Result::err).collect();
    let summary =
        failed.first().map(|first| format!("{} of {} buyers could not check out; the first: {first}", failed.len(), stage.buyers.len()));
    summary.into_iter().collect()
}

async fn buy(target: &dyn Target, stage: &Stage<'_>, number: usize, buyer: &Buyer, began: Timestamp) -> Result<(), TargetError> {
    let arrival = began.plus(Duration::from_micros(buyer.arrival.unsigned_abs()));
    // By his name the hops of all that is done for him draw their time.
    let name = buyer_name(number);
    let by = |request: Request| request.header("x-correlation-id", &name);
    target.sleep_until(arrival.minus(CART_LEAD)).await;
    let cart = target.must(by(Request::post("/carts", json!({"region": "US", "currency": "USD"})))).await?;
    let cart = cart["id"].as_str().unwrap_or_default();
    target.must(by(Request::post(format!("/carts/{cart}/items"), json!({"sku": stage.sku, "quantity": 1})))).await?;
    let checkout = json!({
        "paymentMethod": {"type": "card", "token": buyer.token(stage.plan.kind, stage.silent)},
        "shippingAddress": {"line1": "1 Example Street", "city": "Springfield", "postalCode": "01101", "country": "US"},
    });
    target.sleep_until(arrival).await;
    target.must(by(Request::post(format!("/carts/{cart}/checkout"), checkout))).await.map(drop)
}

/// Waits until the provider has said everything and every order has ended, but not for ever: what has not ended by then is a finding.
async fn settle(target: &dyn Target, stage: &Stage<'_>, began: Timestamp) -> Result<(), TargetError> {
    let last = stage.buyers.iter().map(|buyer| buyer.arrival + buyer.decided(stage.silent)).max().unwrap_or(0);
    target.sleep_until(began.plus(Duration::from_micros(last.unsigned_abs()))).await;
    let deadline = Duration::from_micros(stage.plan.deadline.unsigned_abs());
    let until = target.now().plus(deadline + STUCK);
    loop {
        let open = |order: &serde_json::Value| {
            let is_mine = order["createdAt"].as_str().and_then(|at| at.parse().ok()).is_some_and(|at: Timestamp| at >= began);
            is_mine && matches!(order["status"].as_str(), Some("PENDING" | "RESERVED" | "PAID" | "CONFIRMED"))
        };
        if !target.facts("orders").await?.iter().any(open) || target.now() >= until {
            break;
        }
        target.sleep(Duration::from_secs(2)).await;
    }
    target.sleep(REST).await;
    Ok(())
}

/// Whether a running system takes the money with the authorization. That is a setting which no call changes; where it is another, an orphan is
/// an authorization and no capture, and these scenarios show nothing.
pub fn must_take_with_authorization(run: &Witnessed) -> Result<(), LabError> {
    if run.measured.taken_with_authorization {
        return Ok(());
    }
    Err(LabError::Unfit(
        "this system takes the money after the authorization, and the scenario needs both at once. Start it with \
         CRASHCART_ORDER__CAPTURE=authorize; payment.psp_timeout_ms, payment.first_inquiry_seconds and order.payment_deadline_seconds must \
         match patience_seconds, inquiry_seconds and deadline_seconds"
            .into(),
    ))
}
