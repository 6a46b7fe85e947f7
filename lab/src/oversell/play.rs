//! One run over a target: baseline, inject, observe, settle, verify. The lab does what buyers do, over HTTP, and reads what the services and
//! the provider say of themselves; it looks at nothing else.

use std::time::Duration;

use futures::future::join_all;
use platform::{Chance, Clock, Ids};
use serde_json::json;
use types::{OrderId, Timestamp};

use crate::{
    demand::{Buyer, Cell, Plan, buyer_name, card_token},
    digest,
    facts::Facts,
    figures::{Measured, measure},
    invariants::{self, Findings, Grace},
    scenario::LabError,
    target::{ClockKind, Request, Still, Target, TargetError},
    witness::Recorded,
};

/// How long before his moment a buyer fills his cart.
const CART_LEAD: Duration = Duration::from_secs(5);
/// Where the stock is; the default settings ask it first for the US.
const WAREHOUSE: &str = "us-east";
/// What follows from events is given this long after the last order has ended; by the wall's clock that is time that somebody waits.
const REST: Duration = Duration::from_secs(10);
const REST_OF_THE_WALL: Duration = Duration::from_secs(4);

/// What one run is about.
#[derive(Debug)]
pub struct Stage<'a> {
    pub plan: &'a Plan,
    pub buyers: &'a [Buyer],
    pub cell: Cell,
    pub rung: &'a str,
    pub sku: String,
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
    target.set_rung(super::SCENARIO.name, stage.rung).await?;
    let began = target.now().plus(CART_LEAD);
    let failures = observe(target, stage, began).await;
    settle(target, stage, began).await?;
    let target = &Still::new(target);
    let mut facts = Facts::read(target).await?;
    if target.clock() == ClockKind::Wall {
        facts = facts.of_sku(&stage.sku);
    }
    Ok(Witnessed {
        began,
        ended: target.now(),
        measured: measure(&facts, &stage.sku),
        findings: invariants::check(&facts, &grace(stage.plan)),
        digest: digest::of_target(target).await?,
        failures,
    })
}

/// Once everything has settled nothing is legally false any more, so the graces are short.
fn grace(plan: &Plan) -> Grace {
    let deadline = Duration::from_micros(plan.deadline.unsigned_abs());
    Grace {
        hold_end: REST_OF_THE_WALL / 2,
        saga: deadline + Duration::from_secs(120),
        effects: Duration::from_secs(1),
        books: Duration::from_secs(1),
    }
}

async fn baseline(target: &dyn Target, stage: &Stage<'_>) -> Result<(), TargetError> {
    let Stage { plan, sku, .. } = stage;
    let price = json!({"unitPrice": {"amount": plan.unit_price_minor, "currency": "USD"}});
    target.must(Request::put(format!("/pricing/books/standard-usd/entries/{sku}"), price)).await?;
    let delta = json!({"sku": sku, "warehouse": WAREHOUSE, "delta": plan.stock, "reason": "stock for a scenario"});
    target.must(Request::post("/inventory/adjust", delta)).await?;
    Ok(())
}

/// Every buyer at his moment. Gives what went wrong for them: an order that is refused later is none of it.
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
        "paymentMethod": {"type": "card", "token": card_token(buyer.latency(stage.cell))},
        "shippingAddress": {"line1": "1 Example Street", "city": "Springfield", "postalCode": "01101", "country": "US"},
    });
    target.sleep_until(arrival).await;
    target.must(by(Request::post(format!("/carts/{cart}/checkout"), checkout))).await.map(drop)
}

/// Waits until every payment has been answered and every order has ended, but not for ever: what has not ended by then is a finding.
async fn settle(target: &dyn Target, stage: &Stage<'_>, began: Timestamp) -> Result<(), TargetError> {
    let (plan, cell) = (stage.plan, stage.cell);
    let last = stage.buyers.iter().map(|buyer| buyer.arrival + buyer.latency(cell).min(plan.deadline)).max().unwrap_or(0);
    target.sleep_until(began.plus(Duration::from_micros(last.unsigned_abs()))).await;
    let until = target.now().plus(Duration::from_secs(60));
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
    target.sleep(if target.clock() == ClockKind::Wall { REST_OF_THE_WALL } else { REST }).await;
    Ok(())
}

/// Whether a running system holds stock for as long as the scenario needs it. That is a setting which no call changes, so it is asked for by
/// a hold that is given back at once.
pub async fn must_hold_for(target: &dyn Target, seconds: i64) -> Result<(), LabError> {
    let millis = target.now().millis();
    let sku = format!("LAB-PROBE-{millis}");
    let ids = Ids::new(Clock::real(), Chance::seeded(millis.unsigned_abs()), "lab", 0);
    let delta = json!({"sku": sku, "warehouse": WAREHOUSE, "delta": 1, "reason": "a probe"});
    target.must(Request::post("/inventory/adjust", delta)).await?;
    let before = target.now();
    let items = json!({"orderId": ids.make::<OrderId>(), "items": [{"sku": sku, "quantity": 1}]});
    let held = target.must(Request::post("/inventory/reserve", items)).await?;
    let release = json!({"reservationId": held["reservationId"], "fencingToken": held["fencingToken"]});
    target.must(Request::post("/inventory/release", release)).await?;
    let expires_at: Option<Timestamp> = held["expiresAt"].as_str().and_then(|at| at.parse().ok());
    let lasts = expires_at.map(|at| (at.since(before).as_millis() + 500) / 1_000).unwrap_or_default();
    if i64::try_from(lasts).is_ok_and(|lasts| lasts == seconds || lasts == seconds + 1) {
        return Ok(());
    }
    Err(LabError::Unfit(format!(
        "in this system a hold lasts {lasts} s, and the scenario needs {seconds} s (ttl_seconds / time_scale). Start it with \
         CRASHCART_INVENTORY__RESERVATION_TTL_SECONDS={seconds}, or set the knobs to fit; order.payment_deadline_seconds and \
         order.hold_extension_seconds must match deadline_seconds and extension_seconds in the same way"
    )))
}
