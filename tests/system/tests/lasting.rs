//! A system that goes on: one run's damage stays in its log, its books and its stores, and must not be held against the next. A simulated world
//! that is asked as a running system is shows that within milliseconds; there too every rung, with its twins one after the other, is as declared.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without is a failed test")]

use std::time::Duration;

use crashcart::registry::SIMULATION;
use futures::future::BoxFuture;
use lab::{
    scenario::{Request as Asked, Run, TwinRun, find},
    target::{ClockKind, Reply, Request, Simulation, Target, TargetError, simulation::Simulated},
    verdict::Verdict,
};
use system_tests::contract::watched;
use types::Timestamp;

/// A world that lasts from one run to the next, as everything does that lives by the wall's clock.
struct Lasting<'a>(&'a Simulated);

impl Target for Lasting<'_> {
    fn clock(&self) -> ClockKind {
        ClockKind::Wall
    }
    fn now(&self) -> Timestamp {
        self.0.now()
    }
    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        self.0.sleep(duration)
    }
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Reply, TargetError>> {
        self.0.call(request)
    }
    fn admin(&self, request: Request) -> BoxFuture<'_, Result<Reply, TargetError>> {
        self.0.admin(request)
    }
}

/// Every rung with its twins, all in one world, as often as this.
fn runs(scenario: &str, knobs: &[&str], times: usize) -> Vec<Run> {
    let simulation = Simulation { manifests: watched(), ..SIMULATION };
    let asked = Asked::new(find(scenario).unwrap(), 42).on_rungs(["all"]).unwrap().with_knobs(knobs.iter().copied()).unwrap();
    let played = simulation.run(42, &[], async |world| {
        let lasting = Lasting(world);
        let mut runs = Vec::new();
        for _ in 0..times {
            runs.push(asked.against(&lasting).await.unwrap());
        }
        runs
    });
    played.unwrap()
}

fn is_as_declared_each_time(scenario: &str, knobs: &[&str], verdicts: &[Verdict]) {
    for run in runs(scenario, knobs, 2) {
        for rung in &run.rungs {
            assert_eq!(rung.reasons, Vec::<String>::new(), "{scenario}, {}: {:?}", rung.rung.name, rung.figures);
            assert!(rung.twins.iter().flatten().all(TwinRun::is_clean), "{scenario}, {}: a twin is not clean", rung.rung.name);
        }
        assert_eq!(run.rungs.iter().map(|rung| rung.verdict).collect::<Vec<_>>(), verdicts, "{scenario}");
    }
}

#[test]
fn what_a_dual_write_has_lost_is_not_held_against_the_next_run() {
    let knobs = ["buyers=12", "window_seconds=60", "outage_at_seconds=20", "outage_seconds=20"];
    is_as_declared_each_time("dual-write", &knobs, &[Verdict::Reproduced, Verdict::Prevented]);
}

#[test]
fn what_duplicates_have_paid_twice_is_not_held_against_the_next_run() {
    let verdicts = [Verdict::Reproduced, Verdict::Reproduced, Verdict::Prevented];
    is_as_declared_each_time("duplicates-and-reorder", &["buyers=6", "window_seconds=20"], &verdicts);
}

#[test]
fn what_poison_has_left_in_the_log_is_not_held_against_the_next_run() {
    is_as_declared_each_time("poison", &["buyers=40", "window_seconds=60", "poisoned=2"], &[Verdict::Reproduced, Verdict::Prevented]);
}

#[test]
fn what_a_hot_sku_has_oversold_is_not_held_against_the_next_run() {
    let knobs = ["stock=15", "demand_per_second=10", "window_seconds=4"];
    is_as_declared_each_time("hot-sku", &knobs, &[Verdict::Reproduced, Verdict::Prevented]);
}
