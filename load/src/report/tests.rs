use order_api::OrderStatus;

use super::*;
use crate::journey::Timing;

fn outcome(buyer: u64, region: Region, ending: Ending, answered: Option<u64>) -> Outcome {
    Outcome {
        buyer,
        region,
        order_id: None,
        ending,
        timeline: Vec::new(),
        total: None,
        coupon_refused: None,
        answered_micros: answered,
        settled_micros: answered.map(|answered| answered * 2),
        calls: vec![Timing { step: Step::CreateCart, started_micros: 0, took_micros: 700, status: 201 }],
    }
}

const READY: Ending = Ending::Settled { status: OrderStatus::FulfilledReady, reason: None };

fn recorded() -> Recorder {
    let mut recorder = Recorder::default();
    for number in 1..=1_000 {
        recorder.record(&outcome(number, Region::Us, READY, Some(number * 1_000)), 0);
    }
    let declined = Ending::Settled { status: OrderStatus::Cancelled, reason: Some("declined".into()) };
    recorder.record(&outcome(1_001, Region::Eu, declined, Some(1_000)), 500_000);
    recorder.record(&outcome(1_002, Region::Eu, Ending::Abandoned, None), 0);
    let refused = Ending::Refused { step: Step::Checkout, status: 409, slug: "price-changed".into(), detail: String::new() };
    recorder.record(&Outcome { coupon_refused: Some("coupon-exhausted".into()), ..outcome(1_003, Region::Apac, refused, None) }, 0);
    recorder
}

fn near(seen: u64, due: u64) {
    assert!(seen.abs_diff(due) * 500 <= due, "{seen} instead of {due}");
}

#[test]
fn percentiles_and_counts_are_those_of_what_was_recorded() {
    let report = recorded().report("test".into(), Duration::from_secs(10));
    assert_eq!((report.journeys, report.orders, report.answered.count), (1_003, 1_001, 1_001));
    assert!((report.orders_per_second - 100.1).abs() < 1e-9);
    // The late one of the EU took 501 ms from its intended start.
    near(report.answered.p50_micros, 501_000);
    near(report.answered.p90_micros, 900_000);
    near(report.answered.p99_micros, 990_000);
    near(report.answered.p999_micros, 1_000_000);
    near(report.answered.max_micros, 1_000_000);
    near(report.settled.p50_micros, 1_000_000);
    near(report.steps[&Step::CreateCart].p50_micros, 700);
    assert_eq!(report.endings["FULFILLED_READY"], 1_000);
    assert_eq!((report.endings["CANCELLED"], report.cancelled["declined"], report.endings["ABANDONED"]), (1, 1, 1));
    assert_eq!(report.errors["checkout 409 price-changed"], 1);
    assert_eq!(report.errors["apply-coupon 0 coupon-exhausted"], 1);
}

#[test]
fn a_late_start_is_part_of_the_latency() {
    let report = recorded().report("test".into(), Duration::from_secs(10));
    near(report.late.max_micros, 500_000);
    near(report.regions[&Region::Eu].answered.max_micros, 501_000);
    assert_eq!((report.regions[&Region::Eu].journeys, report.regions[&Region::Eu].orders), (2, 1));
}

#[test]
fn a_report_is_json_and_text_of_a_hundred_columns() {
    let report = recorded().report(format!("a very long name {}", "x".repeat(200)), Duration::from_secs(10));
    let json = serde_json::to_string(&report).expect("it is JSON");
    assert_eq!(serde_json::from_str::<Report>(&json).expect("and back"), report);
    let text = report.to_string();
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    assert!(text.contains("p99.9") && text.contains("FULFILLED_READY") && text.contains("checkout 409 price-changed"), "{text}");
    let empty = Recorder::default().report("nothing".into(), Duration::ZERO);
    assert_eq!((empty.journeys_per_second, empty.answered), (0.0, Latency::default()));
}
