use super::{measure::Moments, *};
use crate::{
    experiment::{Witnessed, conclude, differences},
    invariants::{Breach, Findings},
    scenario::{Run, RungRun},
};

/// What the model says, as if a run had shown it.
fn witnessed(figures: Figures, broken: &[Invariant]) -> Witnessed<Measured> {
    let began = Timestamp::from_seconds(1_767_571_200);
    Witnessed {
        began,
        ended: began.plus(Duration::from_secs(900)),
        measured: Measured {
            figures,
            precondition: measure::Precondition { holds_outlived: 15, asked_meanwhile: 900 },
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
    experiment: Oversell,
}

impl Case {
    fn of(seed: u64) -> Self {
        let request = Request::new(&SCENARIO, seed);
        let experiment = Oversell::of(&request).unwrap();
        Self { request, experiment }
    }

    fn predicted(&self, rung: &'static Rung, cell: Cell) -> Figures {
        model::predict(&self.experiment.plan, &self.experiment.buyers, modelled(rung), cell)
    }

    fn conclude(&self, rung: &'static Rung, run: Witnessed<Measured>) -> RungRun {
        let mut all = vec![(Trial { rung, cell: Cell::RUN }, run)];
        all.extend(Cell::TWINS.map(|cell| (Trial { rung, cell }, witnessed(self.predicted(rung, cell), &[]))));
        conclude(&self.experiment, &self.request, ClockKind::Simulated, rung, all).unwrap()
    }
}

#[test]
fn a_run_that_is_what_the_model_says_gets_the_declared_verdict_on_every_rung() {
    let case = Case::of(42);
    let verdicts: Vec<_> = LADDER
        .iter()
        .map(|rung| {
            let concluded = case.conclude(rung, witnessed(case.predicted(rung, Cell::RUN), rung.breaks));
            assert_eq!(concluded.reasons, Vec::<String>::new(), "{}", rung.name);
            concluded.verdict.as_str()
        })
        .collect();
    assert_eq!(verdicts[0], "REPRODUCED");
    assert_eq!(verdicts[1], "DISPLACED");
    assert_eq!(verdicts[4], "PREVENTED");
}

#[test]
fn a_run_that_differs_from_the_model_by_one_is_not_as_declared() {
    let case = Case::of(42);
    let r1 = &LADDER[1];
    let mut figures = case.predicted(r1, Cell::RUN);
    figures.locked_unit_seconds += 1;
    let concluded = case.conclude(r1, witnessed(figures, &[]));
    assert_eq!(concluded.verdict.as_str(), "NOT_AS_DECLARED");
    assert!(concluded.reasons[0].starts_with("locked_unit_seconds is "), "{:?}", concluded.reasons);
    figures.locked_unit_seconds -= 1;
    assert_eq!(case.conclude(r1, witnessed(figures, &[])).verdict.as_str(), "DISPLACED");
    figures.voided_after_payment += 1;
    let concluded = case.conclude(r1, witnessed(figures, &[]));
    assert!(concluded.reasons[0].starts_with("voided_after_payment is "), "{:?}", concluded.reasons);
}

#[test]
fn by_the_walls_clock_figures_lie_in_a_range() {
    let case = Case::of(42);
    let predicted = case.predicted(&LADDER[0], Cell::RUN);
    let differ = |figures, predicted| differences(&case.experiment, ClockKind::Wall, &named(&figures), &named(&predicted));
    let off = |by: i64| differ(Figures { oversold: predicted.oversold + by, ..predicted }, predicted);
    assert_eq!(off(3), Vec::<String>::new());
    assert_eq!(off(-3), Vec::<String>::new());
    assert_eq!(off(9).len(), 1);
    let none = case.predicted(&LADDER[1], Cell::RUN);
    assert_eq!(differ(Figures { oversold: 1, ..none }, none).len(), 1);
}

#[test]
fn a_twin_that_breaks_something_is_no_twin() {
    let case = Case::of(42);
    let run = witnessed(case.predicted(&LADDER[0], Cell::RUN), LADDER[0].breaks);
    let [run, twin] = [(Cell::RUN, run), (Cell::TWINS[0], witnessed(Figures::default(), &[Invariant::I9]))]
        .map(|(cell, witnessed)| (Trial { rung: &LADDER[0], cell }, witnessed));
    let concluded = conclude(&case.experiment, &case.request, ClockKind::Simulated, &LADDER[0], vec![run, twin]).unwrap();
    assert_eq!(concluded.verdict.as_str(), "NOT_AS_DECLARED");
    assert_eq!(concluded.reasons, ["a twin is not clean: a hold lasts 120 s, no slow payments breaks I9"]);
}

#[test]
fn the_record_names_cause_conditions_and_remedies() {
    let case = Case::of(42);
    let concluded = case.conclude(&LADDER[0], witnessed(case.predicted(&LADDER[0], Cell::RUN), LADDER[0].breaks));
    let record = serde_json::to_value(&concluded.record).unwrap();
    assert_eq!((&record["format"], &record["id"]), (&"crashcart.incident/1".into(), &"oversell-R0-42".into()));
    assert!(
        record["rootCauses"][0]["cause"].as_str().unwrap().starts_with("inventory.reservation_ttl_seconds = 120 and slow payments (20 %")
    );
    assert_eq!(record["interventions"][0]["after"], 120.0);
    assert_eq!(record["preconditions"][1]["value"], 900);
    assert_eq!(record["twins"].as_array().unwrap().len(), 3);
    assert_eq!(record["violations"].as_array().unwrap().len(), 3);
    assert_eq!(record["remedies"][3]["mustHold"].as_array().unwrap().len(), Invariant::ALL.len() + 2);
}

#[test]
fn a_hold_that_is_no_whole_number_of_seconds_is_refused() {
    assert!(whole_seconds("ttl_seconds", 1_500_000).unwrap_err().to_string().contains("whole seconds"));
    assert_eq!(whole_seconds("ttl_seconds", 2_000_000), Ok(2));
}

/// A run of every rung that is what the model says.
fn whole_run(case: &Case) -> Run {
    let rungs = LADDER
        .iter()
        .map(|rung| {
            let predicted = case.predicted(rung, Cell::RUN);
            let mut run = witnessed(predicted, rung.breaks);
            if predicted.oversold > 0 {
                run.measured.damaged.push(Damage {
                    order_id: "019b8b45-0000-7000-8000-000000000001".into(),
                    sku: "LAMP-1".into(),
                    units: 1,
                    money_minor: 1_999,
                    hold_expired_at: Some(run.began),
                    paid_at: None,
                });
            }
            case.conclude(rung, run)
        })
        .collect();
    let request = &case.request;
    Run {
        scenario: &SCENARIO,
        seed: request.seed,
        clock: ClockKind::Simulated,
        knobs: request.knobs.clone(),
        rungs,
        lasted: Duration::from_secs(900),
    }
}

#[test]
fn the_report_is_a_table_of_a_hundred_columns() {
    let case = Case::of(42);
    let run = whole_run(&case);
    let folder = std::path::PathBuf::from("crashcart-demo-7f3a/incidents/oversell-42");
    let written = crate::record::Written { record: folder.join("incident.json"), damaged: folder.join("damaged.csv") };
    let text = crate::report::plain(&crate::report::run(&run, Some(&written), Duration::from_millis(812)));
    assert!(text.lines().all(|line| line.chars().count() <= crate::report::WIDTH), "{text}");
    let expected = [
        " incident: oversell · seed 42 · 100 units, 600 s of demand, a hold lasts 120 s, 20 % of the payments",
        "           take around 150 s",
        "",
        "   rung                        sold  oversold  paid, then  at risk   breaks  verdict          twins",
        "                                                cancelled",
    ];
    assert_eq!(text.lines().take(5).collect::<Vec<_>>(), expected, "{text}");
    let r0 = case.predicted(&LADDER[0], Cell::RUN);
    let row = format!(
        "   R0  the hold is a TTL        {}{:>10}           0  ${}.{:02}",
        r0.sold,
        r0.oversold,
        r0.money_at_risk_minor / 100,
        r0.money_at_risk_minor % 100
    );
    assert!(text.lines().nth(5).unwrap().starts_with(&row), "{row}\n{text}");
    assert!(text.contains("I2 I3   REPRODUCED       clean"), "{text}");
    assert!(text.contains("   The order that was sold a unit twice: crashcart-demo-7f3a/incidents/oversell-42/damaged.csv"), "{text}");
    assert!(
        text.contains(
            "   5 rungs and 15 twins in 0.8 s, each 15 min of virtual time. Digest of R0: dddddddddddddddd,\n   always, for seed 42."
        ),
        "{text}"
    );
}

#[test]
fn the_json_is_what_the_contract_says() {
    let run = whole_run(&Case::of(42));
    let json = run.json(Some(std::path::Path::new("incidents/oversell-42/incident.json")), Duration::from_millis(812));
    assert_eq!((&json["scenario"], &json["seed"], &json["wallMs"]), (&"oversell".into(), &42.into(), &812.into()));
    assert_eq!(json["record"], "incidents/oversell-42/incident.json");
    let r0 = &json["rungs"][0];
    assert_eq!((&r0["rung"], &r0["verdict"]), (&"R0".into(), &"REPRODUCED".into()));
    assert_eq!(r0["violations"][0], serde_json::json!({"invariant": "I2", "count": 1, "ids": ["row"]}));
    assert_eq!(r0["twin"]["violations"], serde_json::json!([]));
    assert_eq!(r0["figures"]["supply"], 100);
    assert_eq!(r0["figures"], r0["predicted"]);
    assert!(run.is_as_declared());
}

#[test]
fn a_record_is_written_with_its_damaged_rows() {
    let run = whole_run(&Case::of(42));
    let telling = run.telling().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let written = crate::record::write(folder.path(), &telling.record, &telling.damage).unwrap();
    assert_eq!(written.damaged, folder.path().join("oversell-42/damaged.csv"));
    let csv = std::fs::read_to_string(&written.damaged).unwrap();
    let row = "019b8b45-0000-7000-8000-000000000001,LAMP-1,1,1999,2026-01-05T00:00:00.000000Z,";
    assert_eq!(csv.lines().collect::<Vec<_>>(), ["order_id,sku,units,money_minor,hold_expired_at,paid_at", row]);
    let record: Json = serde_json::from_str(&std::fs::read_to_string(&written.record).unwrap()).unwrap();
    assert_eq!(record["format"], "crashcart.incident/1");
}
