//! Planted bugs, behind the stores and behind the transport and never in an export: each invariant catches its own, at least three of them, and
//! no invariant cries where nothing is planted. A check that cannot fail is a defect.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without is a failed test")]

#[path = "planted/bugs.rs"]
mod bugs;
#[path = "planted/transport.rs"]
mod transport;

use std::collections::BTreeSet;

use bugs::{BUGS, Plant};
use crashcart::registry::SIMULATION;
use lab::{
    facts::Facts,
    invariants::{Findings, Grace, Invariant, check},
    target::simulation::on_threads,
    witness::Recorded,
};
use system_tests::trade::{SETTLED, trade};
use transport::Tampered;

/// What is found after the trade with this planted.
fn found_with(plant: Option<&Plant>) -> Findings {
    SIMULATION
        .run(1, &[], async |target| {
            if let Some(Plant::Store(service, script)) = plant {
                target.world.db(service).unwrap().run_script(script).await.unwrap();
            }
            let bug = if let Some(Plant::Transport(bug)) = plant { Some(*bug) } else { None };
            // The client writes down what reaches him, so the bug lies between him and the system.
            let tampered = Tampered::new(target, bug);
            let client = Recorded::new(&tampered);
            trade(&client, SETTLED).await;
            check(&Facts::read(&client).await.unwrap(), &Grace::default())
        })
        .unwrap()
}

#[test]
fn nothing_is_broken_where_nothing_is_planted() {
    let findings = found_with(None);
    assert_eq!(findings.breaches, []);
    assert_eq!(findings.unchecked, [], "everything was checked");
}

#[test]
fn each_planted_bug_breaks_its_set_and_no_other() {
    let found = on_threads(2, BUGS, |(_, plant, _)| found_with(Some(plant)));
    let mut wrong = Vec::new();
    for ((name, _, breaks), findings) in BUGS.iter().zip(found) {
        let findings = findings.unwrap_or_else(|| panic!("{name}: the world panicked"));
        if findings.broken() != breaks.iter().copied().collect::<BTreeSet<Invariant>>() {
            let first: Vec<_> = findings.broken().into_iter().filter_map(|broken| findings.of(broken).next()).collect();
            wrong.push(format!("{name}: declared {breaks:?}, broken {:?}\n  {first:?}", findings.broken()));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_invariant_has_three_bugs_and_any_two_are_told_apart() {
    for (position, one) in Invariant::ALL.iter().enumerate() {
        let count = BUGS.iter().filter(|(.., breaks)| breaks.contains(one)).count();
        assert!(count >= 3, "{one:?} has {count} bugs");
        for other in &Invariant::ALL[position + 1..] {
            let apart = BUGS.iter().any(|(.., breaks)| breaks.contains(one) != breaks.contains(other));
            assert!(apart, "no bug tells {one:?} from {other:?}");
        }
    }
}
