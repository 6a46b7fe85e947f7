use super::{measure::Moments, *};
use crate::{
    experiment::{
        Witnessed,
        case::{Case, Modelled},
    },
    verdict::Verdict,
};

const TOTAL: i64 = 2_763;

impl Modelled for DualWrite {
    const SCENARIO: &'static Scenario = &SCENARIO;

    fn modelled(&self, trial: &Trial<Cell>) -> Measured {
        let figures = model::predict(&self.plan, &self.buyers, trial.rung.name, trial.cell.outage, TOTAL);
        Measured {
            figures,
            precondition: measure::Precondition { events_in_outage: 60, ready_in_outage: 20 },
            moments: Moments::default(),
            damaged: vec![],
            order_total: TOTAL,
        }
    }
}

#[test]
fn what_the_model_says_gets_the_declared_verdict_on_both_rungs() {
    assert_eq!(Case::<DualWrite>::of(42).verdicts(), [Verdict::Reproduced, Verdict::Prevented]);
}

#[test]
fn over_fifty_seeds_only_r0_with_an_outage_loses_events() {
    for seed in 0..50 {
        let case = Case::<DualWrite>::of(seed);
        for rung in LADDER {
            let trials = case.experiment.trials(rung, ClockKind::Simulated);
            let figures = case.modelled(&trials[0]).figures;
            assert_eq!(figures.events_lost > 0, rung.name == "R0", "{} {seed}: {figures:?}", rung.name);
            assert_eq!(figures.orders_untold > 0, rung.name == "R0", "{} {seed}: {figures:?}", rung.name);
            assert_eq!(figures.events_lost % 3, 0);
            for twin in &trials[1..] {
                assert_eq!(case.modelled(twin).figures.events_lost, 0, "{} {twin:?}", rung.name);
            }
        }
        assert_eq!(case.experiment.buyers, demand::draw(&case.experiment.plan, seed).unwrap());
    }
}

#[test]
fn whatever_differs_is_not_as_declared() {
    let case = Case::<DualWrite>::of(42);
    let [r0, r1] = LADDER else { panic!("a ladder of two") };
    let verdict = |rung, change: fn(&mut Witnessed<Measured>)| case.conclude(rung, |all| change(&mut all[0].1)).verdict;
    assert_eq!(verdict(r0, |run| run.measured.figures.events_lost += 1), Verdict::NotAsDeclared);
    assert_eq!(verdict(r0, |run| run.findings.breaches.clear()), Verdict::NotAsDeclared);
    assert_eq!(verdict(r1, |run| run.measured.figures.events_committed -= 1), Verdict::NotAsDeclared);
    assert_eq!(verdict(r1, |run| run.measured.precondition.ready_in_outage = 0), Verdict::NotAsDeclared);
    let twin = case.conclude(r0, |all| all[1].1.measured.figures.events_lost = 1);
    assert_eq!(twin.reasons, ["a twin is not clean: no outage, R0 with 1 events lost"]);
}

#[test]
fn the_record_names_cause_interventions_and_remedies() {
    let case = Case::<DualWrite>::of(42);
    let record = serde_json::to_value(case.conclude(&LADDER[0], |_| ()).record).unwrap();
    assert_eq!(record["id"], "dual-write-R0-42");
    let count = |name: &str| record[name].as_array().unwrap().len();
    assert_eq!((count("rootCauses"), count("remedies"), count("twins"), count("violations")), (1, 1, 3, 1));
    assert_eq!((count("interventions"), count("propagation")), (2, 3));
}
