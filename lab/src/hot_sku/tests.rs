use super::{measure::Moments, *};
use crate::{
    experiment::{
        Witnessed,
        case::{Case, Modelled},
    },
    verdict::Verdict,
};

impl Modelled for HotSku {
    const SCENARIO: &'static Scenario = &SCENARIO;

    fn modelled(&self, trial: &Trial<Cell>) -> Measured {
        let figures = model::predict(&self.plan, &self.buyers, trial.rung.name, trial.cell.slow);
        Measured { figures, asked_meanwhile: 4, moments: Moments::default(), damaged: vec![] }
    }
}

#[test]
fn what_the_model_says_gets_the_declared_verdict_on_both_rungs() {
    assert_eq!(Case::<HotSku>::of(42).verdicts(), [Verdict::Reproduced, Verdict::Prevented]);
}

#[test]
fn over_two_hundred_seeds_only_r0_with_slow_commits_oversells() {
    let mut reproduced = 0;
    for seed in 0..200 {
        let case = Case::<HotSku>::of(seed);
        for rung in LADDER {
            let trials = case.experiment.trials(rung, ClockKind::Simulated);
            let figures = case.modelled(&trials[0]).figures;
            reproduced += usize::from(figures.oversold > 0);
            assert!(figures.oversold == 0 || rung.name == "R0", "{} {seed}: {figures:?}", rung.name);
            for twin in &trials[1..] {
                assert_eq!(case.modelled(twin).figures.oversold, 0, "{} {twin:?}", rung.name);
            }
        }
        assert_eq!(case.experiment.buyers, demand::draw(&case.experiment.plan, seed).unwrap());
    }
    assert!(reproduced >= 198, "{reproduced} of 200");
}

#[test]
fn whatever_differs_is_not_as_declared() {
    let case = Case::<HotSku>::of(42);
    let [r0, r1] = LADDER else { panic!("a ladder of two") };
    let verdict = |rung, change: fn(&mut Witnessed<Measured>)| case.conclude(rung, |all| change(&mut all[0].1)).verdict;
    assert_eq!(verdict(r0, |run| run.measured.figures.oversold += 1), Verdict::NotAsDeclared);
    assert_eq!(verdict(r0, |run| run.findings.breaches.clear()), Verdict::NotAsDeclared);
    assert_eq!(verdict(r1, |run| run.measured.figures.sent_away -= 1), Verdict::NotAsDeclared);
    assert_eq!(verdict(r1, |run| run.measured.asked_meanwhile = 0), Verdict::NotAsDeclared);
    let twin = case.conclude(r0, |all| all[1].1.measured.figures.oversold = 1);
    assert_eq!(twin.reasons, ["a twin is not clean: fast commits, R0 with 1 oversold"]);
}

#[test]
fn the_record_names_cause_interventions_and_remedies() {
    let case = Case::<HotSku>::of(42);
    let record = serde_json::to_value(case.conclude(&LADDER[0], |_| ()).record).unwrap();
    assert_eq!(record["id"], "hot-sku-R0-42");
    let count = |name: &str| record[name].as_array().unwrap().len();
    assert_eq!((count("rootCauses"), count("remedies"), count("twins"), count("violations")), (1, 1, 3, 1));
    assert_eq!((count("interventions"), count("propagation")), (2, 3));
}
