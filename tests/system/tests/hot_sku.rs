//! A hot SKU on the real services in simulated worlds: both rungs do what they declare and come to what the reference model says. Small knobs here;
//! the statistics over many seeds stand in `statistics.rs`.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without is a failed test")]

use crashcart::registry::SIMULATION;
use lab::{
    scenario::{Request, Run, TwinRun, Twins, find},
    target::Simulation,
    verdict::Verdict,
};
use system_tests::contract::watched;

fn run(seed: u64, rungs: &[&str], knobs: &[&str]) -> Run {
    let simulation = Simulation { manifests: watched(), ..SIMULATION };
    let request = Request::new(find("hot-sku").unwrap(), seed).with_twins(Twins::Vulnerable);
    request.on_rungs(rungs.iter().copied()).unwrap().with_knobs(knobs.iter().copied()).unwrap().simulate(&simulation).unwrap()
}

const SMALL: &[&str] = &["stock=12", "demand_per_second=10", "window_seconds=4"];

#[test]
fn hot_sku_does_what_it_declares_on_both_rungs() {
    let run = run(42, &["all"], SMALL);
    for rung in &run.rungs {
        assert_eq!(rung.reasons, Vec::<String>::new(), "{}: {:?}", rung.rung.name, rung.figures);
        assert_eq!(rung.figures, rung.predicted, "{}", rung.rung.name);
        assert!(rung.twins.iter().flatten().all(TwinRun::is_clean), "{}", rung.rung.name);
        assert_eq!(rung.damage.len() as i64, rung.figure("oversold"));
    }
    let verdicts: Vec<_> = run.rungs.iter().map(|rung| rung.verdict).collect();
    assert_eq!(verdicts, [Verdict::Reproduced, Verdict::Prevented]);
    assert!(run.rungs[0].figure("oversold") > 0 && run.rungs[0].figure("money_at_risk_minor") > 0);
    assert_eq!(run.rungs[1].figure("sold"), 12, "to the last unit and no further");
    assert_eq!(run.rungs[0].twins.as_ref().map(Vec::len), Some(3));
}

#[test]
fn a_seed_gives_the_same_digest_every_time_and_another_seed_another() {
    let digest = |seed| run(seed, &["R0"], SMALL).rungs.first().map(|rung| rung.digest.clone());
    let first = digest(7);
    assert_eq!(digest(7), first);
    assert_ne!(digest(8), first);
}

#[test]
fn where_there_is_enough_for_everybody_nothing_is_claimed_to_be_shown() {
    let run = run(42, &["R0"], &["stock=100", "demand_per_second=2", "window_seconds=4"]);
    assert_eq!(run.rungs[0].verdict, Verdict::NotAsDeclared);
    assert!(run.rungs[0].reasons.iter().any(|reason| reason.contains("precondition")), "{:?}", run.rungs[0].reasons);
}
