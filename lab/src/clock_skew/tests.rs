use super::{measure::Moments, *};
use crate::{
    experiment::{Witnessed, conclude},
    invariants::{Breach, Findings},
    scenario::RungRun,
    verdict::Verdict,
};

/// What the model says, as if a run had shown it.
fn witnessed(figures: Figures, broken: &[Invariant]) -> Witnessed<Measured> {
    let began = Timestamp::from_seconds(1_767_571_200);
    Witnessed {
        began,
        ended: began.plus(Duration::from_secs(300)),
        measured: Measured {
            figures,
            precondition: measure::Precondition { between_the_clocks: 7, sold_meanwhile: 9 },
            was_extended: false,
            moments: Moments::default(),
            damaged: vec![],
        },
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
    experiment: ClockSkew,
}

impl Case {
    fn of(seed: u64) -> Self {
        let request = Request::new(&SCENARIO, seed);
        let experiment = ClockSkew::of(&request).unwrap();
        Self { request, experiment }
    }

    fn predicted(&self, trial: &Trial<Cell>) -> Figures {
        model::predict(&self.experiment.plan, &self.experiment.buyers, trial.rung.name, trial.cell.skewed)
    }

    /// A run that is what the model says, with its twins; `change` makes it differ.
    fn conclude(&self, rung: &'static Rung, change: impl FnOnce(&mut [(Trial<Cell>, Witnessed<Measured>)])) -> RungRun {
        let as_modelled = |(index, trial)| (trial, witnessed(self.predicted(&trial), if index == 0 { rung.breaks } else { &[] }));
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
    assert_eq!(verdicts, [Verdict::Reproduced, Verdict::Displaced]);
}

#[test]
fn over_two_hundred_seeds_only_r0_with_a_slow_clock_claims_late_and_the_others_are_the_same() {
    let mut reproduced = 0;
    for seed in 0..200 {
        let case = Case::of(seed);
        let [r0, r1] = LADDER else { panic!("a ladder of two") };
        let run = Trial { rung: r0, cell: Cell { skewed: true } };
        let figures = case.predicted(&run);
        reproduced += usize::from(figures.oversold > 0);
        assert!(figures.oversold <= figures.late_claims, "{seed}: {figures:?}");
        let twins = [(r0, false), (r1, true), (r1, false)].map(|(rung, skewed)| case.predicted(&Trial { rung, cell: Cell { skewed } }));
        assert!(twins.iter().all(|twin| *twin == twins[0] && (twin.oversold, twin.late_claims) == (0, 0)), "{seed}: {twins:?}");
    }
    assert!(reproduced >= 198, "{reproduced} of 200");
}

#[test]
fn whatever_differs_is_not_as_declared() {
    let case = Case::of(42);
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
    let experiment = Case::of(1).experiment;
    let mut measured = witnessed(Figures::default(), &[]).measured;
    assert!(experiment.must_have_fit(&measured).is_ok());
    measured.was_extended = true;
    assert!(experiment.must_have_fit(&measured).unwrap_err().to_string().contains("left-alone"));
}

#[test]
fn the_record_names_causes_interventions_and_remedies() {
    let case = Case::of(42);
    let record = serde_json::to_value(case.conclude(&LADDER[0], |_| ()).record).unwrap();
    assert_eq!(record["id"], "clock-skew-R0-42");
    let count = |name: &str| record[name].as_array().unwrap().len();
    assert_eq!((count("rootCauses"), count("remedies"), count("twins"), count("violations")), (2, 1, 3, 3));
    assert_eq!((count("interventions"), count("preconditions")), (4, 2));
    assert!(count("propagation") >= 4);
    assert!(record["rootCauses"][1]["cause"].as_str().unwrap().contains("20 s behind"));
}
