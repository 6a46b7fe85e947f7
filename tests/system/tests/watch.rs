//! Invariants online: what breaks while orders go on is flagged within a second of virtual time after its grace, and on a system that is whole
//! nothing is flagged, whatever is under way.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without is a failed test")]

use std::time::Duration;

use crashcart::registry::SIMULATION;
use lab::{
    invariants::{Grace, Invariant},
    target::{Simulation, Target},
    watch::{Flag, during},
    witness::Recorded,
};
use system_tests::trade::trade;
use types::Timestamp;

const SECOND: Duration = Duration::from_secs(1);

type Planted = &'static [(&'static str, &'static str)];

const ANOTHERS_TOKEN: Planted = &[(
    "inventory",
    "CREATE TRIGGER bug AFTER INSERT ON movements WHEN NEW.kind = 'claim'
     BEGIN UPDATE movements SET fencing_token = NEW.fencing_token + 1 WHERE seq = NEW.seq; END",
)];

const NEVER_RELEASED: Planted = &[(
    "inventory",
    "CREATE TRIGGER bug AFTER UPDATE OF status ON reservations WHEN NEW.status = 'RELEASED'
     BEGIN UPDATE reservations SET status = 'HELD' WHERE fencing_token = NEW.fencing_token; END;
     CREATE TRIGGER bug_too BEFORE INSERT ON movements WHEN NEW.kind = 'release' BEGIN SELECT RAISE(IGNORE); END",
)];

/// What is flagged during the trade, and the moment of the first movement of this kind in the stock's journal.
fn flagged(planted: Planted, kind: &str, rest_seconds: u64) -> (Vec<Flag>, Timestamp) {
    Simulation { planted, ..SIMULATION }
        .run(1, &[], async |target| {
            let client = Recorded::new(target);
            // Looked at more often than each second, since a look takes its time too.
            let every = Duration::from_millis(900);
            let ((), flags) =
                during(&client, &Grace::default(), every, |_| {}, trade(&client, Duration::from_secs(rest_seconds))).await.unwrap();
            let movements = client.facts("movements").await.unwrap();
            let first = movements.iter().find(|movement| movement["kind"] == kind).unwrap();
            (flags, first["at"].as_str().unwrap().parse().unwrap())
        })
        .unwrap()
}

#[test]
fn nothing_is_flagged_while_orders_are_under_way() {
    assert_eq!(flagged(&[], "hold", 30).0, []);
}

#[test]
fn what_can_never_be_is_flagged_within_a_second() {
    let (flags, claimed) = flagged(ANOTHERS_TOKEN, "claim", 5);
    let first = flags.first().unwrap();
    assert_eq!(first.breach.invariant, Invariant::I3);
    assert!(first.at.since(claimed) <= SECOND, "claimed at {claimed}, flagged at {}", first.at);
}

#[test]
fn what_may_be_so_for_a_while_is_flagged_within_a_second_after_that() {
    let (flags, _) = flagged(NEVER_RELEASED, "hold", 680);
    let late = flags.iter().find(|flag| flag.breach.detail.contains("has not ended")).unwrap();
    let ran_out: Timestamp = late.breach.detail.split(' ').nth(4).unwrap().parse().unwrap();
    let grace = Grace::default().hold_end;
    assert!(late.at > ran_out.plus(grace) && late.at <= ran_out.plus(grace + SECOND), "{late:?}");
}
