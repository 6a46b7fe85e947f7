//! One world from its beginning to its end: a baseline without harm; the safety phase, in which buyers come and things go wrong and what must
//! never be so is looked for as it goes; the liveness phase, in which nothing goes wrong any more and everything must settle; then every
//! invariant, and nothing is excused.

use std::{collections::BTreeMap, time::Duration};

use futures::future::join_all;
use platform::service::Manifest;
use serde::Serialize;
use serde_json::{Value as Json, json};
use tokio::sync::Notify;
use types::Timestamp;

use super::{
    plan::{Harm, Plan, SKUS, Strike},
    shopper::{self, Session},
};
use crate::{
    digest,
    facts::{Facts, FactsError},
    invariants::{self, Breach, Grace, Invariant},
    target::{Request, Simulation, SimulationError, Still, Target, TargetError, simulation::Simulated},
    watch,
    witness::Recorded,
};

/// How often what must never be so is looked for while things go wrong.
const LOOK: Duration = Duration::from_secs(30);
/// How long everything may take to settle once nothing goes wrong: a payment may take 480 s, and is asked about at most 600 s apart.
const SETTLED_WITHIN: Duration = Duration::from_secs(3_600);
/// What follows from events is given this long after that.
const REST: Duration = Duration::from_secs(30);
/// After a crash a service that cannot start (its store does not answer) is started again.
const AGAIN: Duration = Duration::from_secs(1);

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// An invariant, or `settles`, `answers`, `runs`, `repeats`.
    pub what: String,
    pub id: String,
    pub detail: String,
}

impl From<Breach> for Finding {
    fn from(breach: Breach) -> Self {
        Self { what: breach.invariant.to_string(), id: breach.id, detail: breach.detail }
    }
}

/// What became of a world.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    pub findings: Vec<Finding>,
    pub digest: String,
    /// How many orders were made, by the state in which they ended.
    pub orders: BTreeMap<String, usize>,
    /// How long it was, in its own time.
    pub virtual_seconds: u64,
    /// How many crashes and faults struck.
    pub crashes: usize,
    pub faults: usize,
}

/// Runs a world.
pub fn run(simulation: &Simulation, plan: &Plan) -> Result<Outcome, SimulationError> {
    simulation.run(plan.seed, &[], async |target| {
        let began = target.now();
        let client = Recorded::new(target);
        match live(target, &client, simulation.manifests, plan).await {
            Ok(outcome) => Outcome { virtual_seconds: target.now().since(began).as_secs(), ..outcome },
            Err(error) => Outcome {
                findings: vec![Finding { what: "runs".into(), id: String::new(), detail: error.to_string() }],
                digest: String::new(),
                orders: BTreeMap::new(),
                virtual_seconds: target.now().since(began).as_secs(),
                crashes: 0,
                faults: 0,
            },
        }
    })
}

async fn live(
    world: &Simulated,
    client: &Recorded<'_, Simulated>,
    manifests: &'static [&'static Manifest],
    plan: &Plan,
) -> Result<Outcome, FactsError> {
    let customers = baseline(client).await?;
    let began = client.now();
    let checkouts: Vec<Notify> = plan.shoppers.iter().map(|_| Notify::new()).collect();
    let buyers = plan.shoppers.iter().zip(&checkouts).map(|(shopper, bell)| {
        let customer = customers.get(shopper.number % (customers.len() * 2).max(1)).cloned();
        async move {
            client.sleep_until(began.plus(shopper.arrives)).await;
            shopper::buy(client, shopper, customer, || bell.notify_one()).await
        }
    });
    let end = began.plus(Duration::from_secs(plan.shape.minutes * 60));
    let harms = plan.harms.iter().map(|(_, harm)| strike(world, manifests, harm, &checkouts, began, end));
    let work = async { futures::join!(join_all(buyers), join_all(harms)) };
    let ((bought, struck), flags) = watch::during(client, &never(), LOOK, |_| {}, work).await?;
    let mut findings: Vec<Finding> = flags.into_iter().map(|flag| flag.breach.into()).collect();
    // A client's call that has no answer at all is the lab's own mistake: the gateway always answers.
    bought.into_iter().collect::<Result<Vec<()>, TargetError>>()?;
    client.clear_faults(None).await?;
    let unsettled = settle(client).await?;
    findings.extend(unsettled);
    let still = Still::new(client);
    let facts = Facts::read(&still).await?;
    findings.extend(invariants::check(&facts, &settled()).breaches.into_iter().map(Finding::from));
    findings.extend(wrong_answers(&facts));
    findings.sort();
    findings.dedup();
    let mut orders: BTreeMap<String, usize> = BTreeMap::new();
    for order in &facts.orders {
        *orders.entry(order.status.clone()).or_default() += 1;
    }
    let crashes = plan.harms.iter().zip(&struck).filter(|((_, harm), struck)| matches!(harm, Harm::Crash { .. }) && **struck).count();
    let faults = struck.iter().filter(|struck| **struck).count() - crashes;
    Ok(Outcome { findings, digest: digest::of_target(&still).await?, orders, virtual_seconds: 0, crashes, faults })
}

/// While things go wrong nothing is late: only what can never be right is looked for.
const fn never() -> Grace {
    let ever = Duration::from_secs(86_400);
    Grace { hold_end: ever, saga: ever, effects: ever, books: ever }
}

/// Once everything has settled nothing is excused.
const fn settled() -> Grace {
    Grace {
        hold_end: Duration::from_secs(5),
        saga: Duration::from_secs(600),
        effects: Duration::from_secs(5),
        books: Duration::from_secs(5),
    }
}

/// Prices, stock, a coupon and some customers; their ids.
async fn baseline(client: &dyn Target) -> Result<Vec<String>, TargetError> {
    let keeper = Session::new(client, "keeper".into(), true);
    for (number, (sku, stock)) in SKUS.iter().enumerate() {
        let price = json!({"unitPrice": {"amount": 999 + 1_250 * number, "currency": "USD"}});
        client.must(Request::put(format!("/pricing/books/standard-usd/entries/{sku}"), price)).await?;
        let receipt = json!({"sku": sku, "warehouse": "us-east", "delta": stock, "reason": "received"});
        keeper.change(Request::post("/inventory/adjust", receipt), &format!("receipt-{sku}")).await?;
        let product = json!({"sku": sku, "title": format!("Thing {number}"), "attributes": {}, "variants": []});
        keeper.change(Request::post("/products", product), &format!("product-{sku}")).await?;
    }
    let coupon = json!({
        "code": "SIMULATE", "name": "Now and then", "effect": {"percentOff": 1000}, "startsAt": "2026-01-01T00:00:00Z",
        "endsAt": "2030-01-01T00:00:00Z", "usageLimit": 5,
    });
    keeper.change(Request::post("/promotions", coupon), "coupon").await?;
    let mut customers = Vec::new();
    for number in 0..4 {
        let customer = json!({"email": format!("customer-{number}@example.com"), "fullName": format!("Customer {number}"), "region": "US"});
        let made = keeper.change(Request::post("/customers", customer), &format!("customer-{number}")).await?;
        customers.extend(made.and_then(|made| made["id"].as_str().map(str::to_owned)));
    }
    client.sleep(Duration::from_secs(5)).await;
    Ok(customers)
}

/// Lets one thing go wrong; says whether it came to that.
async fn strike(
    world: &Simulated,
    manifests: &'static [&'static Manifest],
    harm: &Harm,
    checkouts: &[Notify],
    began: Timestamp,
    end: Timestamp,
) -> bool {
    match harm {
        Harm::Fault { at, point, fault } => {
            world.sleep_until(began.plus(*at)).await;
            world.set_fault(point, fault).await.is_ok()
        }
        Harm::Crash { strike, steps, service, instance, down } => {
            match strike {
                Strike::At(at) => world.sleep_until(began.plus(*at)).await,
                Strike::AfterCheckout(shopper, after) => {
                    let Some(bell) = checkouts.get(*shopper) else { return false };
                    let clock = world.world.clock();
                    if clock.timeout(end.since(clock.now()), bell.notified()).await.is_err() {
                        return false;
                    }
                    bell.notify_one();
                    world.sleep(*after).await;
                }
            }
            for _ in 0..*steps {
                tokio::task::yield_now().await;
            }
            let Some(manifest) = manifests.get(*service).copied() else { return false };
            let instances: Vec<u32> = instance.map_or_else(|| vec![0, 1], |one| vec![one]);
            instances.iter().for_each(|instance| world.world.kill(manifest.name, *instance));
            world.sleep(*down).await;
            for instance in instances {
                while world.world.start(manifest, instance).await.is_err() {
                    world.sleep(AGAIN).await;
                }
            }
            true
        }
    }
}

/// Waits until nothing is on its way any more; what still is when the time is over is a finding.
async fn settle(client: &dyn Target) -> Result<Vec<Finding>, FactsError> {
    let until = client.now().plus(SETTLED_WITHIN);
    loop {
        let is_over = client.now() >= until;
        // Most of the time it is an order or its payment that others wait for: that is known without reading everything.
        let waits = !is_over && !under_way(&Facts::read_of(client, &["orders", "payments"]).await?).is_empty();
        if !waits {
            let under_way = under_way(&Facts::read(client).await?);
            if under_way.is_empty() {
                client.sleep(REST).await;
                return Ok(Vec::new());
            }
            if is_over {
                return Ok(under_way);
            }
        }
        client.sleep(Duration::from_secs(20)).await;
    }
}

/// What has not come to rest.
fn under_way(facts: &Facts) -> Vec<Finding> {
    let of = |id: &str, detail: String| Finding { what: "settles".into(), id: id.to_owned(), detail };
    let mut all = Vec::new();
    let orders = facts.orders.iter().filter(|order| matches!(order.status.as_str(), "PENDING" | "RESERVED" | "PAID" | "CONFIRMED"));
    all.extend(orders.map(|order| of(&order.id, format!("an order is still {}", order.status))));
    let payments = facts.payments.iter().filter(|payment| matches!(payment.status.as_str(), "PROCESSING" | "UNKNOWN"));
    all.extend(payments.map(|payment| of(&payment.id, format!("a payment is still {}", payment.status))));
    let holds = facts.reservations.iter().filter(|reservation| reservation.status == "HELD");
    all.extend(holds.map(|hold| of(&hold.id, format!("a hold until {} has not ended", hold.expires_at))));
    let pending = facts.committed.iter().filter(|event| event.status == "PENDING");
    all.extend(pending.map(|event| of(&event.id, format!("an event of {} for {} waits for its relay", event.service, event.topic))));
    all.extend(facts.parked.iter().map(|parked| of(&parked.key, format!("{} has parked a key of {}", parked.group, parked.topic))));
    let ends = facts.published.iter().fold(BTreeMap::<(&str, u32), u64>::new(), |mut ends, event| {
        let end = ends.entry((&event.topic, event.partition)).or_default();
        *end = (*end).max(event.offset + 1);
        ends
    });
    let behind = facts
        .readings
        .iter()
        .filter(|reading| ends.get(&(reading.topic.as_str(), reading.partition)).is_some_and(|end| reading.committed < *end));
    all.extend(behind.map(|reading| of(&reading.group, format!("it has read partition {} to {}", reading.partition, reading.committed))));
    let refunds = facts.refunds.iter().filter(|refund| refund.status == "PENDING");
    all.extend(refunds.map(|refund| of(&refund.id, format!("a refund of payment {} is still PENDING", refund.payment_id))));
    // What the provider has done and whose answer was lost is asked for, and may come into the books long after its order has ended.
    let at_once = Grace { books: Duration::ZERO, ..settled() };
    let money = [Invariant::I4, Invariant::I5].into_iter().filter(|invariant| invariant.lacks(facts).is_empty());
    let money = money.flat_map(|invariant| invariant.check(facts, &at_once));
    all.extend(money.map(|breach| of(&breach.id, breach.detail)));
    all
}

/// Answers that no client should have: the system's own mistakes.
fn wrong_answers(facts: &Facts) -> Vec<Finding> {
    facts
        .exchanges
        .iter()
        .filter_map(|exchange| Some((exchange, exchange.answer.as_ref().filter(|answer| answer.status == 500)?)))
        .map(|(exchange, answer)| Finding {
            what: "answers".into(),
            id: exchange.path.clone(),
            detail: format!("{} was answered 500 at {}: {}", exchange.method, answer.at, shown(&answer.body)),
        })
        .collect()
}

fn shown(body: &Json) -> String {
    crate::target::shortened(&body.to_string())
}
