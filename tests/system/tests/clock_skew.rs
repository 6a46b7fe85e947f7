//! A skewed clock on the real services in simulated worlds: both rungs do what they declare and come to what the reference model says.
//! Small knobs here; the statistics over many seeds stand in `statistics.rs`.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without is a failed test")]

use crashcart::registry::SIMULATION;
use lab::{
    scenario::{Request, Run, TwinRun, find},
    target::Simulation,
    verdict::Verdict,
};
use system_tests::contract::watched;

fn run(seed: u64, rungs: &[&str], knobs: &[&str]) -> Run {
    let simulation = Simulation { manifests: watched(), ..SIMULATION };
    let request = Request::new(find("clock-skew").unwrap(), seed);
    request.on_rungs(rungs.iter().copied()).unwrap().with_knobs(knobs.iter().copied()).unwrap().simulate(&simulation).unwrap()
}

const SMALL: &[&str] = &["stock=15", "window_seconds=40", "ttl_seconds=15", "skew_seconds=10", "slow_share=0.5", "slow_median_seconds=20"];

#[test]
fn clock_skew_does_what_it_declares_on_both_rungs() {
    let run = run(42, &["all"], SMALL);
    for rung in &run.rungs {
        assert_eq!(rung.reasons, Vec::<String>::new(), "{}: {:?}", rung.rung.name, rung.figures);
        assert_eq!(rung.figures, rung.predicted, "{}", rung.rung.name);
        assert!(rung.twins.iter().flatten().all(TwinRun::is_clean), "{}", rung.rung.name);
        assert_eq!(rung.damage.len() as i64, rung.figure("oversold"));
    }
    let verdicts: Vec<_> = run.rungs.iter().map(|rung| rung.verdict).collect();
    assert_eq!(verdicts, [Verdict::Reproduced, Verdict::Displaced]);
    let [r0, r1] = &run.rungs[..] else { panic!("a ladder of two") };
    assert!(r0.figure("oversold") > 0 && r0.figure("money_at_risk_minor") > 0);
    // Clocks that agree hide the second authority: the lowest rung does what the remedied one does.
    let agreeing = r0.twins.as_ref().unwrap().first().unwrap();
    assert_eq!(agreeing.figures, r1.figures);
    assert_eq!((r0.twins.as_ref().map(Vec::len), r1.twins.as_ref().map(Vec::len)), (Some(3), Some(1)));
}

#[test]
fn a_seed_gives_the_same_digest_every_time_and_another_seed_another() {
    let digest = |seed| run(seed, &["R0"], SMALL).rungs.first().map(|rung| rung.digest.clone());
    let first = digest(7);
    assert_eq!(digest(7), first);
    assert_ne!(digest(8), first);
}

#[test]
fn where_everybody_pays_in_time_nothing_is_claimed_to_be_shown() {
    let run = run(42, &["R0"], &["stock=10", "window_seconds=10", "slow_share=0"]);
    assert_eq!(run.rungs[0].verdict, Verdict::NotAsDeclared);
    assert!(run.rungs[0].reasons.iter().any(|reason| reason.contains("precondition")), "{:?}", run.rungs[0].reasons);
}
