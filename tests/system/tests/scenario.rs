//! The oversell incident on the real services in simulated worlds: every rung does what it declares, the figures are the reference model's,
//! a seed always gives the same digest. Small knobs here; the statistics over many seeds are `make lab-statistics`.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without is a failed test")]

use crashcart::registry::SIMULATION;
use lab::{
    scenario::{Request, Run, Twins, find},
    target::Simulation,
    verdict::Verdict,
};
use system_tests::contract::watched;

fn simulation() -> Simulation {
    Simulation { manifests: watched(), ..SIMULATION }
}

/// With twins where something must break; the whole two by two on every rung is the demo's.
fn run(seed: u64, rungs: &[&str], knobs: &[&str]) -> Run {
    let request = Request::new(find("oversell").unwrap(), seed).with_twins(Twins::Vulnerable);
    request.on_rungs(rungs.iter().copied()).unwrap().with_knobs(knobs.iter().copied()).unwrap().simulate(&simulation()).unwrap()
}

const SMALL: &[&str] = &["stock=10", "demand_per_second=0.5", "window_seconds=300"];

fn told(run: &Run) -> String {
    run.rungs.iter().map(|rung| format!("{} {:?} {:?}\n", rung.rung.name, rung.verdict, rung.reasons)).collect()
}

#[test]
fn every_rung_does_what_it_declares() {
    let run = run(42, &["all"], SMALL);
    assert!(run.is_as_declared(), "{}", told(&run));
    for rung in &run.rungs {
        assert_eq!(rung.figures, rung.predicted, "{}: the model and the run differ", rung.rung.name);
        let twins = rung.twins.as_deref().unwrap_or_default();
        assert_eq!(twins.len(), if rung.rung.breaks.is_empty() { 0 } else { 3 });
        assert!(twins.iter().all(lab::scenario::TwinRun::is_clean), "{}: a twin broke something", rung.rung.name);
    }
    let verdict = |name: &str| run.rungs.iter().find(|rung| rung.rung.name == name).unwrap().verdict;
    assert_eq!((verdict("R0"), verdict("R3")), (Verdict::Reproduced, Verdict::Prevented));
    let vulnerable = &run.rungs[0];
    assert!(vulnerable.figure("oversold") > 0 && !vulnerable.damage.is_empty());
    assert_eq!(vulnerable.figure("money_at_risk_minor") % vulnerable.figure("oversold"), 0);
}

#[test]
fn a_seed_gives_the_same_digest_every_time_and_another_seed_another() {
    let digest = |seed| run(seed, &["R3"], &["stock=5", "demand_per_second=0.5", "window_seconds=200"]).rungs[0].digest.clone();
    let first = digest(7);
    for _ in 0..3 {
        assert_eq!(digest(7), first);
    }
    assert_ne!(digest(8), first);
}

#[test]
fn without_the_precondition_nothing_is_claimed_to_be_shown() {
    // Nobody comes once a hold has run out: nothing can be sold twice, and that is not a proof of anything.
    let run = run(42, &["R0"], &["stock=5", "demand_per_second=0.5", "window_seconds=60"]);
    assert_eq!(run.rungs[0].verdict, Verdict::NotAsDeclared);
    assert!(!run.is_as_declared());
}
