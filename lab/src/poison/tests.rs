use super::{
    measure::{Moments, Place},
    *,
};
use crate::{
    experiment::{
        Witnessed,
        case::{Case, Modelled},
    },
    verdict::Verdict,
};

const ENDED: Micros = 400_000_000;

/// A log in which the records lie as they were paid for, in six partitions by the number of the buyer.
fn log(experiment: &Poison) -> Vec<Place> {
    let mut by_moment: Vec<(Micros, u32)> = experiment.buyers.iter().map(Buyer::pays).zip((0..6).cycle()).collect();
    by_moment.sort_unstable();
    (0..).zip(by_moment).map(|(offset, (at, partition))| Place { partition, offset, at }).collect()
}

impl Modelled for Poison {
    const SCENARIO: &'static Scenario = &SCENARIO;

    fn modelled(&self, trial: &Trial<Cell>) -> Measured {
        let Self { plan, buyers } = self;
        let figures = model::predict(plan, buyers, trial.rung.name, trial.cell.corrupt, &log(self), ENDED);
        Measured { figures, behind: 30, moments: Moments::default(), damaged: vec![], log: log(self), ended: ENDED }
    }
}

#[test]
fn what_the_model_says_gets_the_declared_verdict_on_both_rungs() {
    assert_eq!(Case::<Poison>::of(42).verdicts(), [Verdict::Reproduced, Verdict::Prevented]);
}

#[test]
fn over_two_hundred_seeds_only_r0_with_corrupted_records_leaves_anybody_behind() {
    for seed in 0..200 {
        let case = Case::<Poison>::of(seed);
        for rung in LADDER {
            let trials = case.experiment.trials(rung, ClockKind::Simulated);
            let figures = case.modelled(&trials[0]).figures;
            assert_eq!(figures.orders_left_behind > 0, rung.name == "R0", "{} {seed}: {figures:?}", rung.name);
            assert_eq!(figures.events_blocked, figures.orders_left_behind + if rung.name == "R0" { 3 } else { 0 }, "{} {seed}", rung.name);
            assert_eq!(figures.events_parked, if rung.name == "R0" { 0 } else { 3 }, "{} {seed}", rung.name);
            for twin in &trials[1..] {
                assert_eq!(case.modelled(twin).figures.orders_left_behind, 0, "{} {twin:?}", rung.name);
            }
        }
        assert_eq!(case.experiment.buyers, demand::draw(&case.experiment.plan, seed).unwrap());
    }
}

#[test]
fn whatever_differs_is_not_as_declared() {
    let case = Case::<Poison>::of(42);
    let [r0, r1] = LADDER else { panic!("a ladder of two") };
    let verdict = |rung, change: fn(&mut Witnessed<Measured>)| case.conclude(rung, |all| change(&mut all[0].1)).verdict;
    assert_eq!(verdict(r0, |run| run.measured.figures.events_blocked -= 1), Verdict::NotAsDeclared);
    assert_eq!(verdict(r0, |run| run.measured.figures.blocked_seconds += 2), Verdict::NotAsDeclared);
    assert_eq!(verdict(r0, |run| run.measured.figures.blocked_seconds += 1), Verdict::Reproduced, "a second turns sooner or later");
    assert_eq!(verdict(r0, |run| run.findings.breaches.truncate(1)), Verdict::NotAsDeclared);
    assert_eq!(verdict(r1, |run| run.measured.figures.events_parked += 1), Verdict::NotAsDeclared);
    assert_eq!(verdict(r1, |run| run.measured.behind = 0), Verdict::NotAsDeclared);
    let twin = case.conclude(r0, |all| all[3].1.measured.figures.orders_left_behind = 1);
    assert_eq!(twin.reasons, ["a twin is not clean: every record whole, R0 with 1 left behind"]);
}

#[test]
fn the_windows_hit_the_poisoned_and_nobody_else() {
    let Poison { plan, buyers } = Case::<Poison>::of(42).experiment;
    let windows = Poison { plan: plan.clone(), buyers: buyers.clone() }.windows();
    assert!(windows.is_sorted() && windows.windows(2).all(|pair| pair[0].1 <= pair[1].0), "one after the other: {windows:?}");
    for (number, buyer) in buyers.iter().enumerate() {
        let is_hit = windows.iter().any(|(opens, closes)| (*opens..=*closes).contains(&buyer.pays()));
        assert_eq!(is_hit, number < plan.poisoned, "buyer {number}");
    }
}

#[test]
fn the_record_names_cause_interventions_and_remedies() {
    let case = Case::<Poison>::of(42);
    let record = serde_json::to_value(case.conclude(&LADDER[0], |_| ()).record).unwrap();
    assert_eq!(record["id"], "poison-R0-42");
    let count = |name: &str| record[name].as_array().unwrap().len();
    assert_eq!((count("rootCauses"), count("remedies"), count("twins"), count("violations")), (1, 1, 3, 2));
    assert_eq!((count("interventions"), count("propagation")), (4, 2));
}
