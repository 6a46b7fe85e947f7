use super::{measure::Moments, *};
use crate::{
    experiment::{Witnessed, conclude},
    invariants::{Breach, Findings},
    scenario::RungRun,
    verdict::Verdict,
};

const TOTAL: i64 = 2_598;

/// What the model says, as if a run had shown it.
fn witnessed(figures: Figures, broken: &[Invariant]) -> Witnessed<Measured> {
    let began = Timestamp::from_seconds(1_767_571_200);
    let damaged = (0..figures.primary()).map(|number| Damage {
        order_id: format!("order-{number}"),
        sku: "LAMP-1".into(),
        units: 1,
        money_minor: TOTAL,
        hold_expired_at: None,
        paid_at: Some(began),
    });
    Witnessed {
        began,
        ended: began.plus(Duration::from_secs(900)),
        measured: Measured {
            figures,
            precondition: measure::Precondition { unanswered: 20, taken_all_the_same: 20 },
            moments: Moments::default(),
            damaged: damaged.collect(),
            order_total: TOTAL,
            taken_with_authorization: true,
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
    experiment: Silence,
}

impl Case {
    fn of(scenario: &'static Scenario, seed: u64) -> Self {
        let request = Request::new(scenario, seed);
        let experiment = Silence::of(&request).unwrap();
        Self { request, experiment }
    }

    fn trials(&self, rung: &'static Rung) -> Vec<Trial<Cell>> {
        self.experiment.trials(rung, ClockKind::Simulated)
    }

    fn predicted(&self, trial: &Trial<Cell>) -> Figures {
        model::predict(&self.experiment.plan, &self.experiment.buyers, trial.rung.name, trial.cell.silent, TOTAL)
    }

    /// A run that is what the model says, with its twins; `change` makes it differ.
    fn conclude(&self, rung: &'static Rung, change: impl FnOnce(&mut [(Trial<Cell>, Witnessed<Measured>)])) -> RungRun {
        let as_modelled = |(index, trial)| (trial, witnessed(self.predicted(&trial), if index == 0 { rung.breaks } else { &[] }));
        let mut all: Vec<_> = self.trials(rung).into_iter().enumerate().map(as_modelled).collect();
        change(&mut all);
        conclude(&self.experiment, &self.request, ClockKind::Simulated, rung, all).unwrap()
    }
}

const ALL: [&Scenario; 3] = [&PSP_TIMEOUT, &LATE_CAPTURE, &DOUBLE_CHARGE];

#[test]
fn what_the_model_says_gets_the_declared_verdict_on_every_rung() {
    let verdicts = |scenario| {
        let case = Case::of(scenario, 42);
        let told = |rung| {
            let concluded = case.conclude(rung, |_| ());
            assert_eq!(concluded.reasons, Vec::<String>::new(), "{} {}", scenario.name, rung.name);
            concluded.verdict
        };
        scenario.ladder.iter().map(told).collect::<Vec<_>>()
    };
    use Verdict::{Displaced, Prevented, Reproduced};
    assert_eq!(verdicts(&PSP_TIMEOUT), [Reproduced, Prevented, Prevented, Prevented]);
    assert_eq!(verdicts(&LATE_CAPTURE), [Reproduced, Reproduced, Displaced, Prevented]);
    assert_eq!(verdicts(&DOUBLE_CHARGE), [Reproduced, Prevented, Prevented, Prevented]);
}

#[test]
fn over_fifty_seeds_the_model_damages_on_the_declared_rungs_alone() {
    for scenario in ALL {
        let mut displaced = 0;
        for seed in 0..50 {
            let case = Case::of(scenario, seed);
            for rung in scenario.ladder {
                let trials = case.trials(rung);
                let figures = case.predicted(&trials[0]);
                assert_eq!(figures.primary() > 0, !rung.breaks.is_empty(), "{} {} {seed}: {figures:?}", scenario.name, rung.name);
                assert_eq!(figures.money_at_risk_minor, figures.primary() * TOTAL);
                displaced += u32::from(rung.name == "R2" && figures.orders_stuck > 0);
                for twin in &trials[1..] {
                    assert_eq!(case.predicted(twin).primary(), 0, "{} {} {twin:?}", scenario.name, rung.name);
                }
            }
        }
        assert_eq!(displaced > 45, scenario.name == "late-capture", "{}: {displaced}", scenario.name);
    }
}

#[test]
fn the_same_people_come_with_the_same_cards_and_silence_takes_nobody_elses_draw() {
    let case = Case::of(&LATE_CAPTURE, 7);
    let Silence { plan, buyers, .. } = &case.experiment;
    assert_eq!(*buyers, demand::draw(plan, 7).unwrap());
    assert_ne!(*buyers, demand::draw(plan, 8).unwrap());
    let knobs = Knobs::parse(LATE_CAPTURE.knobs, ["silent_share=0"]).unwrap();
    let nobody = demand::draw(&Plan::of(Kind::LateCapture, &knobs).unwrap(), 7).unwrap();
    assert!(nobody.iter().zip(buyers).all(|(a, b)| a.fast == b.fast && a.silent.is_none()));
    assert!(nobody.iter().zip(buyers).filter(|(_, b)| b.silent.is_none()).all(|(a, b)| a.arrival == b.arrival));
    for buyer in buyers {
        assert!(buyer.token(Kind::LateCapture, false).starts_with("tok_slow_"));
    }
}

#[test]
fn whatever_differs_is_not_as_declared() {
    let case = Case::of(&PSP_TIMEOUT, 42);
    let [r0, r1, ..] = PSP_TIMEOUT.ladder else { panic!("a ladder of four") };
    let verdict = |rung, change: fn(&mut Witnessed<Measured>)| case.conclude(rung, |all| change(&mut all[0].1)).verdict;
    assert_eq!(verdict(r0, |run| run.measured.figures.orphan_captures += 1), Verdict::NotAsDeclared);
    assert_eq!(verdict(r0, |run| run.measured.figures.waited_seconds += 5), Verdict::Reproduced, "events take their way");
    assert_eq!(verdict(r0, |run| run.measured.figures.waited_seconds += 50), Verdict::NotAsDeclared);
    assert_eq!(verdict(r0, |run| run.findings.breaches.truncate(2)), Verdict::NotAsDeclared);
    assert_eq!(verdict(r0, |run| run.measured.precondition.taken_all_the_same = 0), Verdict::NotAsDeclared);
    assert_eq!(verdict(r1, |run| run.failures.push("somebody could not check out".into())), Verdict::NotAsDeclared);
}

#[test]
fn a_twin_that_is_damaged_is_no_twin() {
    let case = Case::of(&DOUBLE_CHARGE, 42);
    let concluded = case.conclude(&DOUBLE_CHARGE.ladder[0], |all| all[1].1.measured.figures.double_captures = 1);
    assert_eq!(concluded.reasons, ["a twin is not clean: every answer comes, R0 with 1 captures too many"]);
}

#[test]
fn the_record_names_cause_conditions_and_remedies() {
    for (scenario, causes, remedies) in [(&PSP_TIMEOUT, 1, 3), (&LATE_CAPTURE, 2, 2), (&DOUBLE_CHARGE, 1, 3)] {
        let case = Case::of(scenario, 42);
        let concluded = case.conclude(&scenario.ladder[0], |_| ());
        let record = serde_json::to_value(&concluded.record).unwrap();
        assert_eq!(record["id"], format!("{}-R0-42", scenario.name));
        let count = |name: &str| record[name].as_array().unwrap().len();
        assert_eq!((count("rootCauses"), count("remedies"), count("twins"), count("violations")), (causes, remedies, 3, 3));
        assert_eq!(record["interventions"][1]["after"], "R0");
        assert_eq!(count("propagation"), 2);
    }
}

#[test]
fn knobs_that_do_not_go_together_are_refused() {
    let told =
        |given: &str| Plan::of(Kind::PspTimeout, &Knobs::parse(PSP_TIMEOUT.knobs, given.split(' ')).unwrap()).unwrap_err().to_string();
    assert!(told("inquiry_seconds=5").contains("patience_seconds must be below inquiry_seconds"));
    assert!(told("patience_seconds=20 deadline_seconds=70").contains("four times patience_seconds"));
    let knobs = Knobs::parse(LATE_CAPTURE.knobs, ["late_median_seconds=1", "late_sigma=0"]).unwrap();
    let refused = demand::draw(&Plan::of(Kind::LateCapture, &knobs).unwrap(), 1).unwrap_err().to_string();
    assert!(refused.contains("raise late_median_seconds"), "{refused}");
}
