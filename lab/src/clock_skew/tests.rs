use super::{measure::Moments, *};
use crate::{
    experiment::{
        Witnessed,
        case::{Case, Modelled},
    },
    verdict::Verdict,
};

impl Modelled for ClockSkew {
    const SCENARIO: &'static Scenario = &SCENARIO;

    fn modelled(&self, trial: &Trial<Cell>) -> Measured {
        let figures = model::predict(&self.plan, &self.buyers, trial.rung.name, trial.cell.skewed);
        Measured {
            figures,
            precondition: measure::Precondition { between_the_clocks: 7, sold_meanwhile: 9 },
            was_extended: false,
            moments: Moments::default(),
            damaged: vec![],
        }
    }
}

#[test]
fn what_the_model_says_gets_the_declared_verdict_on_both_rungs() {
    assert_eq!(Case::<ClockSkew>::of(42).verdicts(), [Verdict::Reproduced, Verdict::Displaced]);
}

#[test]
fn over_two_hundred_seeds_only_r0_with_a_slow_clock_claims_late_and_the_others_are_the_same() {
    let mut reproduced = 0;
    for seed in 0..200 {
        let case = Case::<ClockSkew>::of(seed);
        let [r0, r1] = LADDER else { panic!("a ladder of two") };
        let run = Trial { rung: r0, cell: Cell { skewed: true } };
        let figures = case.modelled(&run).figures;
        reproduced += usize::from(figures.oversold > 0);
        assert!(figures.oversold <= figures.late_claims, "{seed}: {figures:?}");
        let twins =
            [(r0, false), (r1, true), (r1, false)].map(|(rung, skewed)| case.modelled(&Trial { rung, cell: Cell { skewed } }).figures);
        assert!(twins.iter().all(|twin| *twin == twins[0] && (twin.oversold, twin.late_claims) == (0, 0)), "{seed}: {twins:?}");
    }
    assert_eq!(reproduced, 200);
}

#[test]
fn whatever_differs_is_not_as_declared() {
    let case = Case::<ClockSkew>::of(42);
    let [r0, r1] = LADDER else { panic!("a ladder of two") };
    let verdict = |rung, change: fn(&mut Witnessed<Measured>)| case.conclude(rung, |all| change(&mut all[0].1)).verdict;
    assert_eq!(verdict(r0, |run| run.measured.figures.oversold += 1), Verdict::NotAsDeclared);
    assert_eq!(verdict(r0, |run| run.findings.breaches.truncate(2)), Verdict::NotAsDeclared);
    assert_eq!(verdict(r1, |run| run.measured.figures.voided_after_payment -= 1), Verdict::NotAsDeclared);
    assert_eq!(verdict(r1, |run| run.measured.precondition.between_the_clocks = 0), Verdict::NotAsDeclared);
    let twin = case.conclude(r0, |all| all[1].1.measured.figures.oversold = 1);
    assert_eq!(twin.reasons, ["a twin is not clean: clocks that agree, R0 with 1 oversold"]);
}

#[test]
fn a_system_that_makes_holds_outlast_their_payment_is_unfit() {
    let experiment = Case::<ClockSkew>::of(1).experiment;
    let mut measured = Case::<ClockSkew>::of(42).modelled(&Trial { rung: &LADDER[0], cell: Cell { skewed: true } });
    assert!(experiment.must_have_fit(&measured).is_ok());
    measured.was_extended = true;
    assert!(experiment.must_have_fit(&measured).unwrap_err().to_string().contains("left-alone"));
}

#[test]
fn the_record_names_causes_interventions_and_remedies() {
    let case = Case::<ClockSkew>::of(42);
    let record = serde_json::to_value(case.conclude(&LADDER[0], |_| ()).record).unwrap();
    assert_eq!(record["id"], "clock-skew-R0-42");
    let count = |name: &str| record[name].as_array().unwrap().len();
    assert_eq!((count("rootCauses"), count("remedies"), count("twins"), count("violations")), (2, 1, 3, 3));
    assert_eq!((count("interventions"), count("preconditions")), (4, 2));
    assert!(count("propagation") >= 4);
    assert!(record["rootCauses"][1]["cause"].as_str().unwrap().contains("20 s behind"));
}
