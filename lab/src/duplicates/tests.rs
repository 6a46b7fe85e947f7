use super::{measure::Moments, *};
use crate::{
    experiment::{
        Witnessed,
        case::{Case, Modelled},
    },
    verdict::Verdict,
};

const TOTAL: i64 = 2_763;

impl Modelled for Duplicates {
    const SCENARIO: &'static Scenario = &SCENARIO;

    fn modelled(&self, trial: &Trial<Cell>) -> Measured {
        let figures = model::predict(&self.plan, trial.rung.name, trial.cell.disturbed, TOTAL);
        let damage = |number| Damage {
            order_id: format!("order-{number}"),
            sku: "LAMP".into(),
            units: 1,
            money_minor: 0,
            hold_expired_at: None,
            paid_at: None,
        };
        let damaged = (0..figures.told_wrong).map(damage).collect();
        Measured { figures, within_limits: 60, moments: Moments::default(), damaged, order_total: TOTAL }
    }
}

#[test]
fn what_the_model_says_gets_the_declared_verdict_on_every_rung() {
    assert_eq!(Case::<Duplicates>::of(42).verdicts(), [Verdict::Reproduced, Verdict::Reproduced, Verdict::Prevented]);
}

#[test]
fn whatever_differs_is_not_as_declared() {
    let case = Case::<Duplicates>::of(42);
    let [r0, r1, r2] = LADDER else { panic!("a ladder of three") };
    let verdict = |rung, change: fn(&mut Witnessed<Measured>)| case.conclude(rung, |all| change(&mut all[0].1)).verdict;
    assert_eq!(verdict(r0, |run| run.measured.figures.refunds -= 1), Verdict::NotAsDeclared);
    assert_eq!(verdict(r0, |run| run.findings.breaches.truncate(1)), Verdict::NotAsDeclared);
    assert_eq!(verdict(r1, |run| run.measured.figures.told_wrong -= 1), Verdict::NotAsDeclared);
    assert_eq!(verdict(r2, |run| run.measured.figures.paid_twice_minor += 1), Verdict::NotAsDeclared);
    assert_eq!(verdict(r2, |run| run.measured.within_limits = 0), Verdict::NotAsDeclared);
    let twin = case.conclude(r1, |all| all[1].1.measured = all[0].1.measured.clone());
    assert_eq!(twin.reasons, ["a twin is not clean: once and in turn, R1 with 60 orders damaged"]);
}

#[test]
fn the_record_names_causes_interventions_and_remedies() {
    let case = Case::<Duplicates>::of(42);
    let record = serde_json::to_value(case.conclude(&LADDER[0], |_| ()).record).unwrap();
    assert_eq!(record["id"], "duplicates-and-reorder-R0-42");
    let count = |name: &str| record[name].as_array().unwrap().len();
    assert_eq!((count("rootCauses"), count("remedies"), count("twins"), count("violations")), (2, 2, 3, 3));
    assert_eq!((count("interventions"), count("propagation")), (3, 3));
}

#[test]
fn a_seed_draws_the_same_buyers_every_time() {
    let case = Case::<Duplicates>::of(7);
    assert_eq!(case.experiment.buyers, demand::draw(&case.experiment.plan, 7));
    assert_ne!(case.experiment.buyers, demand::draw(&case.experiment.plan, 8));
}
