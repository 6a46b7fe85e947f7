use super::{measure::Moments, *};
use crate::{
    experiment::{
        Witnessed,
        case::{Case, Modelled},
    },
    verdict::Verdict,
};

impl Modelled for StalePrice {
    const SCENARIO: &'static Scenario = &SCENARIO;

    fn modelled(&self, trial: &Trial<Cell>) -> Measured {
        let figures = model::predict(&self.plan, &self.buyers, trial.rung.name, trial.cell.late);
        let damaged = (0..figures.ended_quotes_charged).map(|number| Damage {
            order_id: format!("order-{number}"),
            sku: "LAMP-1".into(),
            units: 1,
            money_minor: 500,
            hold_expired_at: None,
            paid_at: Some(Timestamp::from_seconds(1_767_571_200)),
        });
        Measured {
            figures,
            precondition: measure::Precondition { late: 60, late_and_changed: 30 },
            moments: Moments::default(),
            damaged: damaged.collect(),
        }
    }
}

#[test]
fn what_the_model_says_gets_the_declared_verdict_on_every_rung() {
    assert_eq!(Case::<StalePrice>::of(42).verdicts(), [Verdict::Reproduced, Verdict::Displaced, Verdict::Prevented]);
}

#[test]
fn over_fifty_seeds_only_r0_charges_by_ended_quotes_and_only_r1_asks_for_nothing() {
    for seed in 0..50 {
        let case = Case::<StalePrice>::of(seed);
        for rung in LADDER {
            let trials = case.experiment.trials(rung, ClockKind::Simulated);
            let figures = case.modelled(&trials[0]).figures;
            assert_eq!(figures.ended_quotes_charged > 0, rung.name == "R0", "{} {seed}: {figures:?}", rung.name);
            assert_eq!(figures.money_at_risk_minor > 0, rung.name == "R0", "{} {seed}: {figures:?}", rung.name);
            assert_eq!(figures.asked_for_nothing > 0, rung.name == "R1", "{} {seed}: {figures:?}", rung.name);
            assert_eq!(figures.asked_again > 0, rung.name != "R0", "{} {seed}: {figures:?}", rung.name);
            for twin in &trials[1..] {
                assert_eq!(case.modelled(twin).figures.ended_quotes_charged, 0, "{} {twin:?}", rung.name);
            }
        }
    }
}

#[test]
fn the_same_people_fill_the_same_carts_whether_some_are_late_or_not() {
    let case = Case::<StalePrice>::of(7);
    let StalePrice { plan, buyers } = &case.experiment;
    assert_eq!(*buyers, demand::draw(plan, 7).unwrap());
    assert_ne!(*buyers, demand::draw(plan, 8).unwrap());
    let late = buyers.iter().filter(|buyer| buyer.thinks(true) >= plan.quote).count();
    assert!((30..100).contains(&late), "{late} of 200 are late");
    assert!(buyers.iter().all(|buyer| buyer.thinks(false) < plan.quote));
}

#[test]
fn whatever_differs_is_not_as_declared() {
    let case = Case::<StalePrice>::of(42);
    let [r0, r1, r2] = LADDER else { panic!("a ladder of three") };
    let verdict = |rung, change: fn(&mut Witnessed<Measured>)| case.conclude(rung, |all| change(&mut all[0].1)).verdict;
    assert_eq!(verdict(r0, |run| run.measured.figures.money_at_risk_minor += 1), Verdict::NotAsDeclared);
    assert_eq!(verdict(r0, |run| run.findings.breaches.clear()), Verdict::NotAsDeclared);
    assert_eq!(verdict(r1, |run| run.measured.figures.asked_for_nothing -= 1), Verdict::NotAsDeclared);
    assert_eq!(verdict(r2, |run| run.measured.precondition.late_and_changed = 0), Verdict::NotAsDeclared);
    let twin = case.conclude(r0, |all| all[1].1.measured.figures.ended_quotes_charged = 1);
    assert_eq!(twin.reasons, ["a twin is not clean: everybody in time, R0 with 1 charged by an ended quote"]);
}

#[test]
fn the_record_names_cause_interventions_and_remedies() {
    let case = Case::<StalePrice>::of(42);
    let record = serde_json::to_value(case.conclude(&LADDER[0], |_| ()).record).unwrap();
    assert_eq!(record["id"], "stale-price-R0-42");
    let count = |name: &str| record[name].as_array().unwrap().len();
    assert_eq!((count("rootCauses"), count("remedies"), count("twins"), count("violations")), (1, 2, 3, 1));
    assert_eq!((&record["interventions"][0]["after"], &record["interventions"][2]["after"]), (&json!("R0"), &json!(2_499)));
    assert_eq!(count("propagation"), 2);
}
