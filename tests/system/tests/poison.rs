//! A poison message on the real services in simulated worlds: both rungs do what they declare and come to what the reference model says. Small knobs
//! here; the statistics over many seeds stand in `statistics.rs`.
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
    let request = Request::new(find("poison").unwrap(), seed).with_twins(Twins::Vulnerable);
    request.on_rungs(rungs.iter().copied()).unwrap().with_knobs(knobs.iter().copied()).unwrap().simulate(&simulation).unwrap()
}

const SMALL: &[&str] = &["buyers=40", "window_seconds=60", "poisoned=2"];

#[test]
fn poison_does_what_it_declares_on_both_rungs() {
    let run = run(42, &["all"], SMALL);
    for rung in &run.rungs {
        assert_eq!(rung.reasons, Vec::<String>::new(), "{}: {:?}", rung.rung.name, rung.figures);
        assert!(rung.twins.iter().flatten().all(TwinRun::is_clean), "{}", rung.rung.name);
        assert_eq!(rung.damage.len() as i64, rung.figure("orders_left_behind"));
        assert_eq!((rung.figure("sold"), rung.figure("poisoned")), (40, 2), "{}", rung.rung.name);
    }
    let verdicts: Vec<_> = run.rungs.iter().map(|rung| rung.verdict).collect();
    assert_eq!(verdicts, [Verdict::Reproduced, Verdict::Prevented]);
    let [r0, r1] = &run.rungs[..] else { panic!("a ladder of two") };
    assert!(r0.figure("orders_left_behind") > 0 && r0.figure("blocked_seconds") > 30, "{:?}", r0.figures);
    assert_eq!((r1.figure("events_parked"), r1.figure("events_blocked")), (2, 0));
    assert_eq!(r0.twins.as_ref().map(Vec::len), Some(3));
}

#[test]
fn a_seed_gives_the_same_digest_every_time_and_another_seed_another() {
    let digest = |seed| run(seed, &["R0"], SMALL).rungs.first().map(|rung| rung.digest.clone());
    let first = digest(7);
    assert_eq!(digest(7), first);
    assert_ne!(digest(8), first);
}

#[test]
fn where_every_record_can_be_read_nothing_is_claimed_to_be_shown() {
    let run = run(42, &["R1"], &["buyers=5", "window_seconds=20", "poisoned=0"]);
    assert_eq!(run.rungs[0].verdict, Verdict::NotAsDeclared);
    assert!(run.rungs[0].reasons[0].contains("precondition"), "{:?}", run.rungs[0].reasons);
}
