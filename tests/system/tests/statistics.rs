//! The statistics of the lab (`make lab-statistics`): many seeds of oversell with the default knobs. They take minutes in a release build, so
//! they are not among the tests that run by themselves.

use crashcart::registry::SIMULATION;
use lab::{
    scenario::{Request, Twins, find},
    target::simulation::on_threads,
    verdict::Verdict,
};

/// How many seeds; `LAB_SEEDS` in the environment asks for another number.
const SEEDS: u64 = 200;

#[expect(clippy::disallowed_methods, reason = "a test may be told how much it is to do")]
fn seeds() -> u64 {
    std::env::var("LAB_SEEDS").ok().and_then(|number| number.parse().ok()).unwrap_or(SEEDS)
}

#[test]
#[ignore = "minutes in a release build: make lab-statistics"]
fn over_many_seeds_every_rung_equals_its_model() {
    let count = seeds();
    let seeds: Vec<u64> = (1..=count).collect();
    let runs = on_threads(2, &seeds, |seed| {
        let mut request = Request::new(find("oversell").unwrap(), *seed);
        request.threads = 1;
        request.with_twins(Twins::Vulnerable).simulate(&SIMULATION).unwrap()
    });
    let (mut reproduced, mut oversold) = (0, Vec::new());
    for (seed, run) in seeds.iter().zip(runs) {
        let run = run.unwrap_or_else(|| panic!("seed {seed} panicked"));
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
