//! The workloads over the real services in a simulated world: a flash sale sells what there is and the books agree, its counters count where the
//! services are made to oversell, and a market leaves every invariant standing.
#![expect(clippy::expect_used, reason = "what a test cannot go on without is a failed test")]

use std::{sync::Arc, time::Duration};

use axum::Router;
use crashcart::registry::SIMULATION;
use lab::{
    invariants::Grace,
    sale::{self, Books},
    target::{Simulation, Target, simulation::Simulated},
    verify::verify,
};
use load::{
    Market, MarketReport, Sale, SaleReport,
    market::{Choice, Operation, Plan, Range, range},
    sale::{rush, stock},
};
use platform::{
    Tasks,
    fault::{Fault, Rule},
    testing::answer,
    world::gateway,
};
use seed::{Answer, Call, Directory, Shop, shop::Unreachable};
use system_tests::contract::watched;

/// The gateway of a simulated world, as people reach it.
struct Door(Router);

impl Shop for Door {
    async fn send(&self, call: Call) -> Result<Answer, Unreachable> {
        let body = call.body.map(|body| body.to_string().into_bytes());
        let mut headers: Vec<(&str, &str)> = call.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        if body.is_some() {
            headers.push(("content-type", "application/json"));
        }
        let got = answer(self.0.clone(), call.method, &call.path, body.unwrap_or_default(), &headers).await;
        Ok(Answer { status: got.status, body: got.json(), headers: got.headers })
    }
}

/// A world with people in it; every invariant holds at its end, or the rung that its services stand on breaks some.
fn world<T>(rung: &str, work: impl AsyncFnOnce(&Simulated, Arc<Door>, Directory, Tasks) -> T) -> T {
    let simulation = Simulation { manifests: watched(), ..SIMULATION };
    simulation
        .run(5, &[], async |target| {
            target.set_rung("hot-sku", rung).await.expect("a rung");
            let door = Arc::new(Door(gateway::router(&target.world)));
            let people = seed::apply(&seed::plan(42, 0.01), door.as_ref(), 8, |_| ()).await.expect("people").directory;
            let answer = work(target, door, people, Tasks::new("load", target.world.clock())).await;
            let report = verify(target, &Grace::default()).await.expect("facts");
            assert!(report.holds() == (rung == "R1"), "{:?}", report.findings.breaches);
            answer
        })
        .expect("a world")
}

async fn sell(target: &Simulated, door: Arc<Door>, people: Directory, tasks: &Tasks, plan: Sale) -> (SaleReport, Books) {
    let clock = target.world.clock();
    let sku = stock(door.as_ref(), &plan, clock).await.expect("a shelf");
    let seen = rush(door, &people, (plan, sku), 3, (clock, tasks)).await.expect("a sale");
    target.sleep(Duration::from_secs(10)).await;
    let books = sale::read(target, seen.sku.as_str()).await.expect("books");
    (seen, books)
}

#[test]
fn a_flash_sale_sells_what_there_is_and_the_books_agree() {
    for in_cart in [false, true] {
        let plan = Sale { shoppers: 24, units: 8, in_cart };
        let (seen, books) = world("R1", async |target, door, people, tasks| sell(target, door, people, &tasks, plan).await);
        assert_eq!((books.supply, books.orders, books.confirmed, books.units_sold, books.available), (8, 24, 8, 8, 0));
        assert_eq!((books.captured, books.counters.named().map(|(_, count)| count)), (8, [0; 4]));
        assert_eq!((seen.confirmed, seen.buyers.cancelled["no-stock"]), (8, 16));
        let (sold, all) = (seen.sold_out.expect("sold out"), seen.all_answered.expect("answered"));
        assert!(0.0 < sold.told_seconds && sold.told_seconds <= sold.seen_seconds && sold.seen_seconds <= all.seen_seconds, "{seen:?}");
    }
}

#[test]
fn a_flash_sale_on_services_that_look_before_they_take_is_found_oversold_by_its_books() {
    let plan = Sale { shoppers: 20, units: 5, in_cart: true };
    // As in the scenario of the hot SKU: a look and a write that trusts it, while commits are slow.
    let (seen, books) = world("R0", async |target, door, people, tasks| {
        let slow = Fault::always(Rule::Delay).of_service("inventory").of_millis(150);
        target.set_fault("store.commit", &slow).await.expect("a fault");
        sell(target, door, people, &tasks, plan).await
    });
    assert!(books.units_sold > 5 && seen.confirmed as i64 == books.confirmed, "{books:?}");
    assert_eq!(books.counters.oversold_units, books.units_sold - 5);
    assert_eq!((books.counters.confirmed_unpaid, books.counters.paid_unconfirmed), (0, 0), "whoever bought has paid");
}

fn trade() -> MarketReport {
    world("R1", async |target, door, people, tasks| {
        let range = Range { products: 12 };
        range.fill(door.as_ref(), 8, |_| ()).await.expect("a range");
        let plan = Plan { range, choice: Choice::Zipf, shoppers: 4, duration: Duration::from_secs(4) };
        let clock = target.world.clock();
        let report = Market::new(door.clone(), &people, plan, 9, (clock, tasks)).expect("a market").run(|| ()).await;
        let (mut described, mut repriced) = (0, 0);
        for number in 0..12 {
            let read = async |path: String| door.send(Call::get(path)).await.expect("an answer").body;
            let product = read(format!("/products/by-sku/{}", range::sku(number))).await;
            described += i64::from(product["description"].as_str().is_some_and(|text| text.starts_with("As described anew")));
            let price = read(format!("/pricing/books/standard-usd/entries/{}", range::sku(number))).await;
            repriced += price["version"].as_i64().unwrap_or(0) - 1;
        }
        let updates = &report.kinds[&Operation::PriceUpdate];
        assert_eq!(repriced, (updates.operations - updates.failed) as i64, "each update of a price has changed it once");
        assert!(described > 0);
        target.sleep(Duration::from_secs(10)).await;
        report
    })
}

#[test]
fn buyers_and_sellers_work_on_one_market_and_every_invariant_holds() {
    let report = trade();
    for operation in Operation::ALL {
        assert!(report.kinds.get(operation).is_some_and(|kind| kind.operations > kind.failed), "{operation}: {report}");
    }
    let (checkouts, dashboards) = (&report.kinds[&Operation::Checkout], &report.kinds[&Operation::Dashboard]);
    assert_eq!(checkouts.failed, 0, "{report}");
    assert_eq!(report.orders.get("FULFILLED_READY"), Some(&checkouts.operations), "{report}");
    // A search, then price and stock of ten products, or of the last seller's two.
    assert!(dashboards.calls <= 21 * dashboards.operations && dashboards.calls >= 5 * dashboards.operations, "{report}");
    assert!(report.errors.keys().all(|error| error.contains("update 412") || error.contains("update 409")), "{report}");
    assert_eq!(trade(), report, "the same seed is the same market");
}
