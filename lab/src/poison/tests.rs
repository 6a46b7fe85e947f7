use super::{
    measure::{Moments, Place},
    *,
};
use crate::{
    experiment::{Witnessed, conclude},
    invariants::{Breach, Findings},
    scenario::RungRun,
    verdict::Verdict,
};

const ENDED: Micros = 400_000_000;

/// A log in which the records lie as they were paid for, in six partitions by the number of the buyer.
fn log(experiment: &Poison) -> Vec<Place> {
    let mut by_moment: Vec<(Micros, u32)> = experiment.buyers.iter().map(Buyer::pays).zip((0..6).cycle()).collect();
    by_moment.sort_unstable();
    (0..).zip(by_moment).map(|(offset, (at, partition))| Place { partition, offset, at }).collect()
}

/// What the model says, as if a run had shown it.
fn witnessed(figures: Figures, log: Vec<Place>, broken: &[Invariant]) -> Witnessed<Measured> {
    let began = Timestamp::from_seconds(1_767_571_200);
    Witnessed {
        began,
        ended: began.plus(span(ENDED)),
        measured: Measured { figures, behind: 30, moments: Moments::default(), damaged: vec![], log, ended: ENDED },
        findings: Findings {
            breaches: broken.iter().map(|invariant| Breach { invariant: *invariant, id: "row".into(), detail: "planted".into() }).collect(),
            unchecked: vec![],
        },
        digest: "d".repeat(64),
        failures: vec![],
    }
}

struct Case {
    request: Request,
    experiment: Poison,
}

impl Case {
    fn of(seed: u64) -> Self {
        let request = Request::new(&SCENARIO, seed);
        let experiment = Poison::of(&request).unwrap();
        Self { request, experiment }
    }

    fn predicted(&self, trial: &Trial<Cell>) -> Figures {
        let Poison { plan, buyers } = &self.experiment;
        model::predict(plan, buyers, trial.rung.name, trial.cell.corrupt, &log(&self.experiment), ENDED)
    }

    /// A run that is what the model says, with its twins; `change` makes it differ.
    fn conclude(&self, rung: &'static Rung, change: impl FnOnce(&mut [(Trial<Cell>, Witnessed<Measured>)])) -> RungRun {
        let as_modelled = |(index, trial)| {
            let broken = if index == 0 { rung.breaks } else { &[] };
            (trial, witnessed(self.predicted(&trial), log(&self.experiment), broken))
        };
        let trials = self.experiment.trials(rung, ClockKind::Simulated);
        let mut all: Vec<_> = trials.into_iter().enumerate().map(as_modelled).collect();
        change(&mut all);
        conclude(&self.experiment, &self.request, ClockKind::Simulated, rung, all).unwrap()
    }
}

#[test]
fn what_the_model_says_gets_the_declared_verdict_on_both_rungs() {
    let case = Case::of(42);
    let verdicts: Vec<_> = LADDER
        .iter()
        .map(|rung| {
            let concluded = case.conclude(rung, |_| ());
            assert_eq!(concluded.reasons, Vec::<String>::new(), "{}", rung.name);
            concluded.verdict
        })
        .collect();
    assert_eq!(verdicts, [Verdict::Reproduced, Verdict::Prevented]);
}

#[test]
fn over_two_hundred_seeds_only_r0_with_corrupted_records_leaves_anybody_behind() {
    for seed in 0..200 {
        let case = Case::of(seed);
        for rung in LADDER {
            let trials = case.experiment.trials(rung, ClockKind::Simulated);
            let figures = case.predicted(&trials[0]);
            assert_eq!(figures.orders_left_behind > 0, rung.name == "R0", "{} {seed}: {figures:?}", rung.name);
            assert_eq!(figures.events_blocked, figures.orders_left_behind + if rung.name == "R0" { 3 } else { 0 }, "{} {seed}", rung.name);
            assert_eq!(figures.events_parked, if rung.name == "R0" { 0 } else { 3 }, "{} {seed}", rung.name);
            for twin in &trials[1..] {
                assert_eq!(case.predicted(twin).orders_left_behind, 0, "{} {twin:?}", rung.name);
            }
        }
        assert_eq!(case.experiment.buyers, demand::draw(&case.experiment.plan, seed).unwrap());
    }
}

#[test]
fn whatever_differs_is_not_as_declared() {
    let case = Case::of(42);
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
    let Poison { plan, buyers } = Case::of(42).experiment;
    let windows = Poison { plan: plan.clone(), buyers: buyers.clone() }.windows();
    assert!(windows.is_sorted() && windows.windows(2).all(|pair| pair[0].1 <= pair[1].0), "one after the other: {windows:?}");
    for (number, buyer) in buyers.iter().enumerate() {
        let is_hit = windows.iter().any(|(opens, closes)| (*opens..=*closes).contains(&buyer.pays()));
        assert_eq!(is_hit, number < plan.poisoned, "buyer {number}");
    }
}

#[test]
fn the_record_names_cause_interventions_and_remedies() {
    let case = Case::of(42);
    let record = serde_json::to_value(case.conclude(&LADDER[0], |_| ()).record).unwrap();
    assert_eq!(record["id"], "poison-R0-42");
    let count = |name: &str| record[name].as_array().unwrap().len();
    assert_eq!((count("rootCauses"), count("remedies"), count("twins"), count("violations")), (1, 1, 3, 2));
    assert_eq!((count("interventions"), count("propagation")), (4, 2));
}
