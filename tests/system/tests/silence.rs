//! A silent provider on the real services in simulated worlds: `psp-timeout`, `late-capture` and `double-charge` do on every rung what they
//! declare, and come to what their reference model says. Small knobs here; the statistics over many seeds are `make lab-statistics`.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without is a failed test")]

use crashcart::registry::SIMULATION;
use lab::{
    scenario::{Request, Run, TwinRun, Twins, find},
    target::Simulation,
    verdict::Verdict,
};
use system_tests::contract::watched;

fn simulation() -> Simulation {
    Simulation { manifests: watched(), ..SIMULATION }
}

fn run(scenario: &str, seed: u64, rungs: &[&str], knobs: &[&str]) -> Run {
    let request = Request::new(find(scenario).unwrap(), seed).with_twins(Twins::Vulnerable);
    request.on_rungs(rungs.iter().copied()).unwrap().with_knobs(knobs.iter().copied()).unwrap().simulate(&simulation()).unwrap()
}

const SMALL: &[&str] = &["buyers=12", "window_seconds=60", "silent_share=0.25"];
const SMALL_AND_LATE: &[&str] = &["buyers=12", "window_seconds=60", "silent_share=0.25", "late_median_seconds=500"];

/// Every rung as declared, equal to the model but for some seconds, its twins clean; gives the verdicts.
fn verdicts(scenario: &str, rungs: &[&str], knobs: &[&str]) -> Vec<Verdict> {
    let run = run(scenario, 42, rungs, knobs);
    for rung in &run.rungs {
        assert_eq!(rung.reasons, Vec::<String>::new(), "{scenario} {}: {:?}", rung.rung.name, rung.figures);
        for (measured, predicted) in rung.figures.iter().zip(&rung.predicted).filter(|((name, _), _)| *name != "waited_seconds") {
            assert_eq!(measured, predicted, "{scenario} {}", rung.rung.name);
        }
        assert_eq!(rung.twins.is_some(), !rung.rung.breaks.is_empty());
        assert!(rung.twins.iter().flatten().all(TwinRun::is_clean), "{scenario} {}", rung.rung.name);
        assert_eq!(rung.damage.len() as i64, rung.figure("orphan_captures") + rung.figure("double_captures"));
    }
    assert!(run.is_as_declared());
    run.rungs.iter().map(|rung| rung.verdict).collect()
}

use Verdict::{Displaced, Prevented, Reproduced};

#[test]
fn psp_timeout_does_what_it_declares_on_every_rung() {
    assert_eq!(verdicts("psp-timeout", &["all"], SMALL), [Reproduced, Prevented, Prevented, Prevented]);
}

#[test]
fn late_capture_does_what_it_declares_on_every_rung() {
    assert_eq!(verdicts("late-capture", &["all"], SMALL_AND_LATE), [Reproduced, Reproduced, Displaced, Prevented]);
}

#[test]
fn double_charge_does_what_it_declares_and_from_r2_on_its_ladder_is_that_of_psp_timeout() {
    assert_eq!(verdicts("double-charge", &["R0", "R1"], SMALL), [Reproduced, Prevented]);
    let [one, other] = ["psp-timeout", "double-charge"].map(|name| find(name).unwrap().ladder);
    for (one, other) in one.iter().zip(other).skip(2) {
        assert_eq!((one.name, one.description), (other.name, other.description));
    }
}

#[test]
fn a_seed_gives_the_same_digest_every_time_and_another_seed_another() {
    let digest = |seed| run("late-capture", seed, &["R3"], SMALL_AND_LATE).rungs.first().map(|rung| rung.digest.clone());
    let first = digest(7);
    assert_eq!(digest(7), first);
    assert_ne!(digest(8), first);
}

#[test]
fn where_nobody_is_silent_nothing_is_claimed_to_be_shown() {
    let run = run("psp-timeout", 42, &["R2"], &["buyers=3", "window_seconds=20", "silent_share=0"]);
    assert_eq!(run.rungs[0].verdict, Verdict::NotAsDeclared);
    assert!(run.rungs[0].reasons[0].contains("precondition"), "{:?}", run.rungs[0].reasons);
}
