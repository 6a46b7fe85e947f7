//! Messages that come twice and out of turn, on the real services in simulated worlds: every rung does what it declares and comes to what the
//! reference model says. Small knobs here; the statistics over many seeds stand in `statistics.rs`.
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
    let request = Request::new(find("duplicates-and-reorder").unwrap(), seed).with_twins(Twins::EveryRung);
    request.on_rungs(rungs.iter().copied()).unwrap().with_knobs(knobs.iter().copied()).unwrap().simulate(&simulation).unwrap()
}

const SMALL: &[&str] = &["buyers=12", "window_seconds=20"];

#[test]
fn duplicates_and_reorder_does_what_it_declares_on_every_rung() {
    let run = run(42, &["all"], SMALL);
    for rung in &run.rungs {
        assert_eq!(rung.reasons, Vec::<String>::new(), "{}: {:?}", rung.rung.name, rung.figures);
        assert_eq!(rung.figures, rung.predicted, "{}", rung.rung.name);
        assert!(rung.twins.iter().flatten().all(TwinRun::is_clean), "{}", rung.rung.name);
    }
    let verdicts: Vec<_> = run.rungs.iter().map(|rung| rung.verdict).collect();
    assert_eq!(verdicts, [Verdict::Reproduced, Verdict::Reproduced, Verdict::Prevented]);
    let [r0, r1, r2] = &run.rungs[..] else { unreachable!() };
    assert_eq!([r0, r1, r2].map(|rung| rung.figure("refunds")), [48, 24, 24]);
    assert_eq!([r0, r1, r2].map(|rung| rung.figure("told_wrong")), [12, 12, 0]);
    assert!(r0.figure("paid_twice_minor") > 0);
}

#[test]
fn the_largest_credits_are_paid_twice_to_the_last_cent_and_no_further() {
    let run = run(3, &["R0"], &["buyers=4", "window_seconds=10", "credit_percent=25", "unit_price_minor=10000"]);
    assert_eq!(run.rungs[0].reasons, Vec::<String>::new());
    assert_eq!(run.rungs[0].figure("refunds"), 16);
}

#[test]
fn a_seed_gives_the_same_digest_every_time_and_another_seed_another() {
    let digest = |seed| run(seed, &["R0"], SMALL).rungs.first().map(|rung| rung.digest.clone());
    let first = digest(7);
    assert_eq!(digest(7), first);
    assert_ne!(digest(8), first);
}
