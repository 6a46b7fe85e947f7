//! The statistics of the lab (`make lab-statistics`): many seeds of each scenario with the default knobs. They take minutes in a release build, so
//! they are not among the tests that run by themselves.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what a test cannot go on without is a failed test")]

use crashcart::registry::SIMULATION;
use lab::{
    scenario::{Request, Run, Twins, find},
    target::simulation::on_threads,
    verdict::Verdict,
};

/// How many seeds; `LAB_SEEDS` in the environment asks for another number.
const SEEDS: u64 = 200;

#[expect(clippy::disallowed_methods, reason = "a test may be told how much it is to do")]
fn seeds() -> u64 {
    std::env::var("LAB_SEEDS").ok().and_then(|number| number.parse().ok()).unwrap_or(SEEDS)
}

/// A run of each of so many seeds, with the twins of the rungs that break something.
fn runs(scenario: &str, count: u64) -> Vec<(u64, Run)> {
    let seeds: Vec<u64> = (1..=count).collect();
    let runs = on_threads(2, &seeds, |seed| {
        let mut request = Request::new(find(scenario).unwrap(), *seed);
        request.threads = 1;
        request.with_twins(Twins::Vulnerable).simulate(&SIMULATION).unwrap()
    });
    let whole = |(seed, run): (u64, Option<Run>)| (seed, run.unwrap_or_else(|| panic!("{scenario}, seed {seed} panicked")));
    seeds.into_iter().zip(runs).map(whole).collect()
}

#[test]
#[ignore = "minutes in a release build: make lab-statistics"]
fn over_many_seeds_every_rung_equals_its_model() {
    let count = seeds();
    let (mut reproduced, mut oversold) = (0, Vec::new());
    for (seed, run) in runs("oversell", count) {
        for rung in &run.rungs {
            assert_eq!(rung.figures, rung.predicted, "seed {seed}, {}: the model and the run differ; {:?}", rung.rung.name, rung.reasons);
            let twins = rung.twins.as_deref().unwrap_or_default();
            assert!(twins.iter().all(lab::scenario::TwinRun::is_clean), "seed {seed}, {}: a twin is not clean", rung.rung.name);
        }
        let first = run.rungs.first().unwrap();
        reproduced += u64::from(first.verdict == Verdict::Reproduced);
        oversold.push(first.figure("oversold"));
        assert_eq!(run.rungs.last().unwrap().verdict, Verdict::Prevented, "seed {seed}: the last rung prevents");
    }
    oversold.sort_unstable();
    println!(
        "{count} seeds: reproduced in {reproduced}; oversold {} / {} / {} (least, median, most)",
        oversold[0],
        oversold[oversold.len() / 2],
        oversold[oversold.len() - 1]
    );
    assert!(reproduced * 100 >= count * 99, "R0 reproduces in at least 99 %: {reproduced} of {count}");
}

#[test]
#[ignore = "minutes in a release build: make lab-statistics"]
fn over_many_seeds_a_silent_provider_does_what_its_ladders_declare() {
    let count = seeds();
    for name in ["psp-timeout", "late-capture", "double-charge"] {
        let (mut damaged, mut displaced) = (Vec::new(), 0);
        for (seed, run) in runs(name, count) {
            for rung in &run.rungs {
                assert_eq!(rung.reasons, Vec::<String>::new(), "{name}, seed {seed}, {}", rung.rung.name);
                displaced += u64::from(rung.verdict == Verdict::Displaced);
            }
            assert_eq!(run.rungs.first().unwrap().verdict, Verdict::Reproduced, "{name}, seed {seed}");
            assert_eq!(run.rungs.last().unwrap().verdict, Verdict::Prevented, "{name}, seed {seed}");
            damaged.push(run.rungs.first().map_or(0, |rung| rung.figure("orphan_captures") + rung.figure("double_captures")));
        }
        damaged.sort_unstable();
        let (least, most) = (damaged[0], damaged[damaged.len() - 1]);
        println!("{name}, {count} seeds: {least} / {} / {most} captures too many on R0; displaced {displaced}", damaged[damaged.len() / 2]);
    }
}

#[test]
#[ignore = "minutes in a release build: make lab-statistics"]
fn over_many_seeds_a_stale_price_equals_its_model() {
    let count = seeds();
    let mut at_risk = Vec::new();
    for (seed, run) in runs("stale-price", count) {
        for rung in &run.rungs {
            assert_eq!(rung.reasons, Vec::<String>::new(), "seed {seed}, {}", rung.rung.name);
            assert_eq!(rung.figures, rung.predicted, "seed {seed}, {}: the model and the run differ", rung.rung.name);
        }
        let verdicts: Vec<_> = run.rungs.iter().map(|rung| rung.verdict).collect();
        assert_eq!(verdicts, [Verdict::Reproduced, Verdict::Displaced, Verdict::Prevented], "seed {seed}");
        at_risk.push(run.rungs.first().map_or(0, |rung| rung.figure("money_at_risk_minor")));
    }
    at_risk.sort_unstable();
    println!(
        "stale-price, {count} seeds: {} / {} / {} cents at risk on R0",
        at_risk[0],
        at_risk[at_risk.len() / 2],
        at_risk[at_risk.len() - 1]
    );
}

#[test]
#[ignore = "minutes in a release build: make lab-statistics"]
fn over_many_seeds_a_dual_write_equals_its_model() {
    let count = seeds();
    let mut lost = Vec::new();
    for (seed, run) in runs("dual-write", count) {
        for rung in &run.rungs {
            assert_eq!(rung.reasons, Vec::<String>::new(), "seed {seed}, {}", rung.rung.name);
            assert_eq!(rung.figures, rung.predicted, "seed {seed}, {}: the model and the run differ", rung.rung.name);
        }
        let verdicts: Vec<_> = run.rungs.iter().map(|rung| rung.verdict).collect();
        assert_eq!(verdicts, [Verdict::Reproduced, Verdict::Prevented], "seed {seed}");
        lost.push(run.rungs.first().map_or(0, |rung| rung.figure("events_lost")));
    }
    lost.sort_unstable();
    println!("dual-write, {count} seeds: {} / {} / {} events lost on R0", lost[0], lost[lost.len() / 2], lost[lost.len() - 1]);
}

#[test]
#[ignore = "minutes in a release build: make lab-statistics"]
fn a_hundred_runs_of_one_seed_have_one_digest() {
    let runs: Vec<u32> = (0..100).collect();
    let digests = on_threads(2, &runs, |_| {
        let mut request = Request::new(find("oversell").unwrap(), 42).on_rungs(["R1"]).unwrap();
        request = request.with_knobs(["stock=20", "demand_per_second=1", "window_seconds=300"]).unwrap();
        request.threads = 1;
        request.with_twins(Twins::Vulnerable).simulate(&SIMULATION).unwrap().rungs[0].digest.clone()
    });
    let first = digests[0].clone().unwrap();
    println!("seed 42: {first}");
    assert!(digests.into_iter().all(|digest| digest.as_deref() == Some(&first)));
}
