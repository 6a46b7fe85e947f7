use seed::testing::Scripted;

use super::*;
use crate::{buyer::tests::directory, journey::Step};

async fn sale(sale: Sale) -> (Arc<Scripted>, SaleReport) {
    let clock = Clock::simulated();
    let system = Arc::new(Scripted::new(clock));
    system.set(|mood| mood.latency = Duration::from_millis(4));
    let tasks = Tasks::new("load", clock);
    let sku = stock(system.as_ref(), &sale, clock).await.expect("a shelf");
    let report = rush(system.clone(), &directory(), (sale, sku), 7, (clock, &tasks)).await.expect("a report");
    (system, report)
}

#[tokio::test(start_paused = true)]
async fn everybody_comes_at_once_for_one_unit_each_and_the_times_run_from_the_first_call() {
    let (system, report) = sale(Sale { shoppers: 40, units: 40, in_cart: false }).await;
    assert_eq!((report.confirmed, report.buyers.orders), (40, 40));
    assert_eq!(system.things("price").len(), 4, "people come from everywhere");
    let shelf = &system.things("stock")[report.sku.as_str()];
    assert_eq!(shelf["warehouses"][0]["onHand"], 40);
    let carts = system.things("cart");
    assert!(carts.values().all(|cart| cart["items"][0]["sku"] == report.sku.as_str() && cart["items"][0]["quantity"] == 1));
    // Three calls of 4 ms, and a look that waits until the order has settled.
    assert_eq!(report.sold_out, Some(Moment { told_seconds: 0.016, seen_seconds: 0.016 }));
    assert_eq!(report.all_answered, report.sold_out);
    assert_eq!(report.buyers.steps[&Step::CreateCart].count, 40);
}

#[tokio::test(start_paused = true)]
async fn with_the_unit_in_the_cart_the_rush_begins_with_the_checkout() {
    let (_, report) = sale(Sale { shoppers: 40, units: 10, in_cart: true }).await;
    // The script sells without end: the tenth unit is as fast as the last.
    assert_eq!(report.sold_out, Some(Moment { told_seconds: 0.008, seen_seconds: 0.008 }));
    assert!(!report.buyers.steps.contains_key(&Step::CreateCart), "{:?}", report.buyers.steps);
}

#[tokio::test(start_paused = true)]
async fn who_gets_no_answer_is_told() {
    let clock = Clock::simulated();
    let system = Arc::new(Scripted::new(clock));
    let sale = Sale { shoppers: 20, units: 5, in_cart: true };
    let sku = stock(system.as_ref(), &sale, clock).await.expect("a shelf");
    // Eighteen get their cart filled, and nobody an order.
    system.set(|mood| mood.breaks_after_writes = Some(system.writes() + 38));
    let report = rush(system.clone(), &directory(), (sale, sku), 7, (clock, &Tasks::new("load", clock))).await.expect("a report");
    assert_eq!((report.confirmed, report.sold_out, report.all_answered), (0, None, None));
    assert_eq!(report.buyers.endings["UNREACHABLE"], 20);
    let text = report.to_string();
    assert!(text.contains("the last unit sold: never"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    let json = serde_json::to_string(&report).expect("it is JSON");
    assert_eq!(serde_json::from_str::<SaleReport>(&json).expect("and back"), report);
}

#[tokio::test(start_paused = true)]
async fn a_sale_of_nothing_and_a_shelf_that_is_refused_are_told() {
    let clock = Clock::simulated();
    let system = Scripted::new(clock);
    let none = stock(&system, &Sale { units: 0, ..Sale::default() }, clock).await.expect_err("nothing to sell").to_string();
    assert!(none.contains("`units` is 0"), "{none}");
    system.set(|mood| mood.refuses = Some(("/inventory/adjust".into(), 503, "unavailable".into())));
    let refused = stock(&system, &Sale::default(), clock).await.expect_err("no shelf").to_string();
    assert!(refused.contains("POST /inventory/adjust") && refused.contains("503 unavailable"), "{refused}");
}
