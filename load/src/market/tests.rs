use platform::Chance;

use super::*;
use crate::buyer::tests::directory;

const PLAN: Plan = Plan { range: Range { products: 20 }, choice: Choice::Uniform, shoppers: 2, duration: Duration::from_secs(1) };

#[test]
fn operations_come_in_their_proportions() {
    let mut stream = Chance::seeded(1).stream("load", "operations", "test");
    let mut seen: BTreeMap<Operation, u32> = BTreeMap::new();
    for _ in 0..40_000 {
        *seen.entry(Operation::draw(&mut stream)).or_default() += 1;
    }
    for operation in Operation::ALL {
        let (seen, due) = (seen[operation], operation.weight() * 1_000);
        assert!(seen.abs_diff(due) < 5 * due.isqrt(), "{operation}: {seen} instead of {due}");
    }
}

#[test]
fn failures_are_counted_by_their_kind_and_the_report_is_json_and_text_of_a_hundred_columns() {
    let mut recorder = Recorder::default();
    for number in 1..=100 {
        let order = Some("FULFILLED_READY");
        let done = Done { calls: 5, answered_micros: Some(number * 500), order, error: None };
        recorder.record(Operation::Checkout, number * 1_000, done);
    }
    let stale = Done { calls: 2, error: Some("412 precondition-failed".into()), ..Done::default() };
    recorder.record(Operation::PriceUpdate, 3_000, stale);
    let report = recorder.report(&PLAN, Duration::from_secs(10));
    let checkouts = &report.kinds[&Operation::Checkout];
    assert_eq!((checkouts.operations, checkouts.failed, checkouts.calls), (100, 0, 500));
    assert!((checkouts.per_second - 10.0).abs() < 1e-9);
    assert!(checkouts.latency.p50_micros.abs_diff(50_000) < 100 && report.checkout_answered.p50_micros.abs_diff(25_000) < 50);
    assert_eq!((report.operations, report.failed, report.orders["FULFILLED_READY"]), (101, 1, 100));
    assert_eq!(report.errors["price-update 412 precondition-failed"], 1);
    let json = serde_json::to_string(&report).expect("it is JSON");
    assert_eq!(serde_json::from_str::<MarketReport>(&json).expect("and back"), report);
    let text = report.to_string();
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    assert!(text.contains("seller-dashboard") || text.contains("left out: delivery-update"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_system_that_is_down_is_counted_and_not_hammered_by_a_market() {
    let clock = Clock::simulated();
    let system = Arc::new(seed::testing::Scripted::new(clock));
    system.set(|mood| {
        mood.refuses = Some(("/".into(), 503, "unavailable".into()));
        mood.latency = Duration::from_millis(1);
    });
    let market = Market::new(system, &directory(), PLAN, 1, (clock, Tasks::new("load", clock))).expect("a market");
    let report = market.run(|| ()).await;
    assert_eq!((report.failed, report.operations), (20, 20));
    assert!(report.errors.keys().all(|error| error.ends_with("503 unavailable")), "{:?}", report.errors);
}

#[tokio::test(start_paused = true)]
async fn a_market_of_nothing_or_nobody_is_refused() {
    let clock = Clock::simulated();
    let of = |plan| {
        let system = Arc::new(seed::testing::Scripted::new(clock));
        Market::new(system, &directory(), plan, 1, (clock, Tasks::new("load", clock))).err().map(|error| error.to_string())
    };
    assert_eq!(of(PLAN), None);
    assert!(of(Plan { shoppers: 0, ..PLAN }).is_some_and(|error| error.contains("shoppers")));
    assert!(of(Plan { range: Range { products: 0 }, ..PLAN }).is_some_and(|error| error.contains("products")));
}
