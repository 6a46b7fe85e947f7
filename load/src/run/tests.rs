use platform::clock::SIMULATED_EPOCH;
use seed::testing::Scripted;

use super::*;
use crate::{buyer::tests::directory, journey::Step};

/// As the histogram tells it: the upper end of a bucket that is two microseconds wide.
const THREE_MILLIS: u64 = 3_001;

fn load(system: &Arc<Scripted>, mix: Mix, clock: Clock) -> Load<Scripted> {
    Load::new(system.clone(), &directory(), mix, 7, clock, Tasks::new("load", clock)).expect("a load")
}

/// A system whose answers take 1 ms, and whose orders have settled at the first look.
fn system(clock: Clock) -> Arc<Scripted> {
    let system = Arc::new(Scripted::new(clock));
    system.set(|mood| mood.latency = Duration::from_millis(1));
    system
}

fn one_line() -> Mix {
    Mix { lines_max: 1, ..Mix::bench() }
}

fn constant(rate: f64, seconds: u64) -> OpenLoop {
    OpenLoop { arrivals: Arrivals::Constant, ..OpenLoop::new(rate, Duration::from_secs(seconds)) }
}

#[tokio::test(start_paused = true)]
async fn the_open_loop_sends_at_its_rate() {
    let clock = Clock::simulated();
    let system = system(clock);
    let report = load(&system, one_line(), clock).open_loop(&constant(100.0, 10)).await.expect("a report");
    assert_eq!((report.journeys, report.orders, report.endings["FULFILLED_READY"]), (1_000, 1_000, 1_000));
    // A cart, an item, the checkout: three answers of a millisecond.
    assert_eq!((report.answered.p50_micros, report.late.max_micros), (THREE_MILLIS, 0));
    assert!((report.elapsed_seconds - 9.994).abs() < 0.001, "{}", report.elapsed_seconds);
    assert_eq!(system.things("order").len(), 1_000);
}

#[tokio::test(start_paused = true)]
async fn a_stall_is_seen_by_everybody_who_came_in_it() {
    let clock = Clock::simulated();
    let system = system(clock);
    // The system stands still from the second second to the fourth.
    let after = |seconds| SIMULATED_EPOCH.plus(Duration::from_secs(seconds));
    system.set(|mood| mood.stands_still = Some((after(2), after(4))));
    let report = load(&system, one_line(), clock).open_loop(&constant(100.0, 10)).await.expect("a report");
    assert_eq!((report.orders, report.late.max_micros), (1_000, 0), "the schedule was kept");
    // A fifth of the buyers came in the stall, evenly spread over two seconds: the 90th percentile is in the middle of them.
    assert!((950_000..1_050_000).contains(&report.answered.p90_micros), "{}", report.answered.p90_micros);
    assert!((1_850_000..2_010_000).contains(&report.answered.p99_micros), "{}", report.answered.p99_micros);
    assert_eq!(report.answered.p50_micros, THREE_MILLIS);
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_place_counts_although_no_call_was_slow() {
    let clock = Clock::simulated();
    let system = system(clock);
    let after = |seconds| SIMULATED_EPOCH.plus(Duration::from_secs(seconds));
    system.set(|mood| mood.stands_still = Some((after(2), after(4))));
    // One buyer at a time: a closed measurement would see one slow call only, and call the other 999 fast.
    let narrow = OpenLoop { in_flight_max: 1, ..constant(100.0, 10) };
    let report = load(&system, one_line(), clock).open_loop(&narrow).await.expect("a report");
    assert_eq!(report.orders, 1_000);
    let slow_calls = report.steps.values().filter(|latency| latency.max_micros > 100_000).count();
    assert_eq!(slow_calls, 1, "only one call was on its way when the system stood still");
    assert!(report.steps[&Step::CreateCart].p99_micros <= 1_001, "and its kind looks well: {:?}", report.steps);
    assert!(report.answered.p90_micros > 900_000, "the buyers know better: {:?}", report.answered);
    assert!(report.late.p90_micros > 900_000);
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_is_the_same_load() {
    let mut reports = Vec::new();
    for _ in 0..2 {
        let clock = Clock::simulated();
        let system = system(clock);
        let plan = OpenLoop { cycle: Some(Cycle { day_seconds: 20.0 }), ..OpenLoop::new(40.0, Duration::from_secs(20)) };
        reports.push(load(&system, Mix::default(), clock).open_loop(&plan).await.expect("a report"));
    }
    assert_eq!(reports[0], reports[1]);
    let report = &reports[0];
    assert!((600..1_000).contains(&report.journeys), "{}", report.journeys);
    let share = |label: &str| report.endings.get(label).copied().unwrap_or(0) as f64 / report.journeys as f64;
    assert!((share("ABANDONED") - 0.7).abs() < 0.06 && share("CANCELLED") > 0.0, "{:?}", report.endings);
    assert_eq!(report.cancelled.get("declined"), report.endings.get("CANCELLED"));
    assert_eq!(report.regions.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_closed_loop_makes_just_as_many_orders_as_were_asked_for() {
    let clock = Clock::simulated();
    let system = system(clock);
    let plan = ClosedLoop { shoppers: 8, until: Until::Orders(100) };
    let report = load(&system, Mix { abandoned: 0.5, ..one_line() }, clock).closed_loop(plan).await.expect("a report");
    assert_eq!((report.orders, system.things("order").len()), (100, 100));
    assert!(report.endings["ABANDONED"] > 50, "{:?}", report.endings);
}

#[tokio::test(start_paused = true)]
async fn the_closed_loop_ends_when_the_time_is_up_and_keeps_its_shoppers_busy() {
    let clock = Clock::simulated();
    let system = system(clock);
    let plan = ClosedLoop { shoppers: 4, until: Until::Passed(Duration::from_secs(1)) };
    let report = load(&system, one_line(), clock).closed_loop(plan).await.expect("a report");
    // Four calls of a millisecond each: 250 journeys for each shopper.
    assert_eq!(report.journeys, 1_000);
}

#[tokio::test(start_paused = true)]
async fn a_system_that_is_down_is_counted_and_not_hammered() {
    let clock = Clock::simulated();
    let system = system(clock);
    system.set(|mood| mood.breaks_after_writes = Some(0));
    let plan = ClosedLoop { shoppers: 1, until: Until::Passed(Duration::from_secs(1)) };
    let report = load(&system, one_line(), clock).closed_loop(plan).await.expect("a report");
    assert_eq!(report.errors["create-cart no answer"], report.journeys);
    assert_eq!((report.journeys, report.orders), (10, 0));
}

#[tokio::test(start_paused = true)]
async fn outcomes_can_be_watched_and_a_killed_load_still_reports() {
    let clock = Clock::simulated();
    let system = system(clock);
    let seen = Arc::new(AtomicU64::new(0));
    let tasks = Tasks::new("load", clock);
    let (count, killer) = (seen.clone(), tasks.clone());
    let watch: Watch = Arc::new(move |_| {
        if count.fetch_add(1, Ordering::SeqCst) == 9 {
            killer.kill();
        }
    });
    let load = Load::new(system, &directory(), one_line(), 7, clock, tasks).expect("a load").watched_by(watch);
    let report = load.closed_loop(ClosedLoop { shoppers: 3, until: Until::Orders(1_000) }).await.expect("a report");
    assert!((10..=13).contains(&report.journeys), "{}", report.journeys);
    assert_eq!(seen.load(Ordering::SeqCst), report.journeys);
}

#[tokio::test(start_paused = true)]
async fn a_load_that_is_asked_to_stop_sends_nobody_more_and_reports() {
    let clock = Clock::simulated();
    let closed = ClosedLoop { shoppers: 1, until: Until::Passed(Duration::from_secs(10)) };
    for is_open in [true, false] {
        let (tasks, others) = (Tasks::new("load", clock), Tasks::new("test", clock));
        let load = Load::new(system(clock), &directory(), one_line(), 7, clock, tasks.clone()).expect("a load");
        let drained = others.run("stop", async move {
            clock.sleep(Duration::from_millis(1_001)).await;
            tasks.drain(Duration::from_secs(5)).await
        });
        let report = if is_open { load.open_loop(&constant(100.0, 10)).await } else { load.closed_loop(closed).await }.expect("a report");
        assert_eq!(drained.wait().await, Ok(true), "nobody had to be killed");
        assert_eq!(report.orders, report.journeys, "whoever had come was served");
        assert!((100..=252).contains(&report.journeys), "{}", report.journeys);
    }
}

#[tokio::test(start_paused = true)]
async fn knobs_that_make_no_sense_are_refused_with_their_name() {
    let clock = Clock::simulated();
    let load = load(&system(clock), Mix { abandoned: 1.0, ..Mix::default() }, clock);
    for rate in [0.0, -1.0, f64::NAN, 1e9] {
        let error = load.open_loop(&constant(rate, 1)).await.expect_err("no rate").to_string();
        assert!(error.contains("ratePerSecond"), "{error}");
    }
    let never = OpenLoop { cycle: Some(Cycle { day_seconds: 0.0 }), ..constant(1.0, 1) };
    assert!(load.open_loop(&never).await.is_err());
    assert!(load.closed_loop(ClosedLoop { shoppers: 0, until: Until::Orders(1) }).await.is_err());
    assert!(load.closed_loop(ClosedLoop { shoppers: 1, until: Until::Orders(1) }).await.is_err(), "nobody would ever order");
}
