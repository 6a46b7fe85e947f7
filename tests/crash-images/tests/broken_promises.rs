//! What the images would show if it were so: disks that lie, promises that are not kept, transactions in halves, calls that are not recorded.
#![expect(clippy::expect_used, reason = "what a test cannot go on without is a failed test")]

use std::path::Path;

use crash_images::{
    recorder::{Options, record},
    session::{Plan, run},
    store::{Database, DatabaseStep, EventLog, Rows, Store},
};
use platform::{chance::Stream, db::Durability};

/// The first of a few sessions that breaks its promise says why.
fn broken<S: Store>(plan: impl Fn(u64) -> Plan) -> String {
    (1..4).find_map(|seed| run::<S>(&plan(seed)).err()).expect("no session saw it").why
}

#[test]
fn a_disk_that_lies_about_its_syncs_is_found() {
    let plan = |seed| Plan { options: Options { swallows_syncs: true }, ..Plan::new(seed, Durability::Power) };
    let (of_sqlite, of_log) = (broken::<Database>(plan), broken::<EventLog>(plan));
    assert!(of_sqlite.contains("was acknowledged") || of_sqlite.contains("cannot be opened"), "{of_sqlite}");
    assert!(of_log.contains("was acknowledged") || of_log.contains("cannot be opened"), "{of_log}");
}

#[test]
fn a_store_that_does_not_sync_is_found_when_it_is_held_to_power() {
    let plan = |seed| Plan { opened: Durability::Process, ..Plan::new(seed, Durability::Power) };
    for why in [broken::<Database>(plan), broken::<EventLog>(plan)] {
        assert!(why.contains("was acknowledged"), "{why}");
    }
}

/// SQLite, but what should be one transaction is two.
struct Halved(Database);

impl Store for Halved {
    const NAME: &'static str = "sqlite in halves";
    type State = Rows;
    type Step = DatabaseStep;

    fn open(folder: &Path, durability: Durability) -> Result<Self, String> {
        Database::open(folder, durability).map(Self)
    }

    fn draw(state: &Rows, stream: &mut Stream, is_large: bool) -> DatabaseStep {
        Database::draw(state, stream, is_large)
    }

    fn after(state: &Rows, step: &DatabaseStep) -> Rows {
        Database::after(state, step)
    }

    fn take(self, step: &DatabaseStep) -> Result<Self, String> {
        match step {
            DatabaseStep::Write(transactions) if transactions.len() == 1 && transactions[0].len() > 1 => {
                let (first, second) = transactions[0].split_at(1);
                let store = self.0.take(&DatabaseStep::Write(vec![first.to_vec()]))?;
                store.take(&DatabaseStep::Write(vec![second.to_vec()])).map(Self)
            }
            step => self.0.take(step).map(Self),
        }
    }

    fn state(&self) -> Result<Rows, String> {
        self.0.state()
    }

    fn goes_on(&self) -> Result<(), String> {
        self.0.goes_on()
    }

    fn close(self) {
        self.0.close();
    }
}

#[test]
fn half_a_transaction_is_found() {
    let why = broken::<Halved>(|seed| Plan::new(seed, Durability::Power));
    assert!(why.contains("no state that there ever was"), "{why}");
}

#[test]
fn what_is_not_recorded_makes_the_recording_void() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().canonicalize().unwrap().join(name);
    let recorded = record(folder.path(), Options::default(), || std::fs::write(file("a"), [7; 10_000]).unwrap());
    assert!(recorded.is_ok(), "{recorded:?}");
    // The standard library copies inside of the kernel.
    let copied = record(folder.path(), Options::default(), || std::fs::copy(file("a"), file("b")).unwrap());
    assert!(copied.is_err(), "{copied:?}");
    let linked = record(folder.path(), Options::default(), || std::fs::hard_link(file("a"), file("c")).unwrap());
    assert!(linked.is_err(), "{linked:?}");
}
