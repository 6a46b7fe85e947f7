//! A disk that refuses: what fails is told, nothing of it was acknowledged, no answer is wrong, and once the disk works again so does
//! the store, without a restart.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without is a failed test")]

use std::{future::Future, path::Path};

use crash_images::recorder::{Call, Fault, Options, record, set_faults};
use libc::{EIO, ENOSPC, EROFS};
use platform::{
    Chance, Clock,
    bus::{Bus, BusError, Outgoing, To, TopicSettings},
    db::{Db, DbError, Durability, Migration, Tx},
    fault::Faults,
    values,
};

/// Works in a folder of its own, whose files can be made to fail.
fn on_a_folder(work: impl FnOnce(&Path)) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().canonicalize().unwrap();
    record(&path, Options::default(), || work(&path)).unwrap();
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

fn fails(call: Call, on: &str, number: i32) -> Fault {
    Fault { call, on: on.to_owned(), number, after: 0, times: 1 }
}

/// Fails until it is lifted.
fn keeps_failing(call: Call, on: &str, number: i32) -> Fault {
    Fault { times: u32::MAX, ..fails(call, on, number) }
}

struct Log {
    runtime: tokio::runtime::Runtime,
    clock: Clock,
    bus: Option<Bus>,
}

impl Log {
    fn open(folder: &Path) -> Result<Self, BusError> {
        let runtime = runtime();
        let clock = runtime.block_on(async { Clock::simulated() });
        let bus = Bus::open(folder.join("bus"), Durability::Power, clock, Faults::new(clock, Chance::seeded(1)))?;
        Ok(Self { runtime, clock, bus: Some(bus) })
    }

    fn reopen(&mut self, folder: &Path) {
        self.bus = None;
        self.bus = Some(Bus::open(folder.join("bus"), Durability::Power, self.clock, Faults::new(self.clock, Chance::seeded(1))).unwrap());
    }

    fn run<T>(&self, work: impl AsyncFnOnce(&Bus) -> T) -> T {
        self.runtime.block_on(work(self.bus.as_ref().unwrap()))
    }

    fn publish(&self, value: &str) -> Result<Vec<(u32, u64)>, BusError> {
        let event = Outgoing { topic: "t".into(), key: "k".into(), value: value.to_owned().into(), headers: Vec::new() };
        self.run(async |bus| bus.publish(vec![event]).await)
    }

    fn values(&self) -> Vec<String> {
        let events = self.run(async |bus| bus.read("t", 0, 0, 100).await).unwrap();
        events.iter().map(|event| String::from_utf8(event.value.to_vec()).unwrap().chars().take(9).collect()).collect()
    }
}

fn log(folder: &Path) -> Log {
    let log = Log::open(folder).unwrap();
    log.run(async |bus| bus.create_topic("t", TopicSettings { partitions: 1, retention: None }).await).unwrap();
    log.publish("first").unwrap();
    log
}

#[test]
fn a_commit_of_the_event_log_that_fails_is_told_and_taken_back() {
    for (call, number) in [(Call::Sync, EIO), (Call::Write, EIO), (Call::Write, ENOSPC)] {
        on_a_folder(|folder| {
            let mut log = log(folder);
            set_faults(vec![fails(call, ".jnl", number)]);
            let refused = log.publish("refused");
            assert!(matches!(refused, Err(BusError::Store(_))), "{refused:?}");
            assert_eq!(log.values(), ["first"], "reads go on");
            set_faults(Vec::new());
            assert_eq!(log.publish("second").unwrap(), [(0, 1)]);
            assert_eq!(log.values(), ["first", "second"]);
            log.reopen(folder);
            assert_eq!(log.values(), ["first", "second"], "after {call:?} {number}");
        });
    }
}

#[test]
fn a_failed_commit_is_taken_back_even_if_the_disk_could_not_be_read_when_it_failed() {
    on_a_folder(|folder| {
        let mut log = log(folder);
        let committed = |log: &Log| log.run(async |bus| bus.lag()).iter().find(|lag| lag.group == "g").map(|lag| lag.committed);
        log.run(async |bus| bus.seek("g", "t", 0, To::Offset(1)).await).unwrap();
        // More than the write buffer takes, so that where the group stands lies in a table and not in memory.
        let large = "x".repeat(1_000_000);
        (0..10).for_each(|_| drop(log.publish(&large).unwrap()));
        let tables = folder.join("bus/keyspaces/1/tables");
        while std::fs::read_dir(&tables).unwrap().next().is_none() {
            std::thread::yield_now();
        }
        log.reopen(folder);
        set_faults(vec![fails(Call::Sync, ".jnl", EIO), keeps_failing(Call::Read, "tables", EIO)]);
        log.run(async |bus| bus.seek("g", "t", 0, To::Offset(5)).await).unwrap_err();
        assert!(log.publish("refused").is_err(), "what is not known cannot be taken back");
        set_faults(Vec::new());
        log.publish("after").unwrap();
        assert_eq!(committed(&log), Some(1));
        log.reopen(folder);
        assert_eq!(committed(&log), Some(1), "what was refused is not there after a restart either");
        assert_eq!(log.values().last().map(String::as_str), Some("after"));
    });
}

#[test]
fn an_event_log_that_cannot_be_written_is_told_at_the_start() {
    on_a_folder(|folder| {
        drop(log(folder));
        set_faults(vec![keeps_failing(Call::OpenToWrite, "/bus/", EROFS)]);
        let error = Log::open(folder).map(drop).unwrap_err();
        assert!(error.to_string().contains("may be written"), "{error}");
        set_faults(Vec::new());
        assert_eq!(Log::open(folder).unwrap().values(), ["first"], "nothing was changed");
    });
}

struct Rows {
    runtime: tokio::runtime::Runtime,
    db: Db,
}

impl Rows {
    fn open(folder: &Path) -> Result<Self, DbError> {
        let runtime = runtime();
        let clock = runtime.block_on(async { Clock::simulated() });
        let db = Db::open("rows", &folder.join("rows.db"), Durability::Power, Faults::new(clock, Chance::seeded(1)))?;
        let up = "CREATE TABLE rows (text TEXT NOT NULL) STRICT";
        runtime.block_on(db.migrate(&[Migration::new(1, "rows", up, "DROP TABLE rows")]))?;
        Ok(Self { runtime, db })
    }

    fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    fn insert(&self, text: &'static str) -> Result<(), DbError> {
        let insert = async move |tx: &mut Tx<'_>| tx.execute("INSERT INTO rows (text) VALUES (?)", values![text]).await.map(drop);
        self.run(self.db.write(insert))
    }

    fn all(&self) -> Result<Vec<String>, DbError> {
        self.run(self.db.read(async |tx: &mut Tx<'_>| tx.fetch_all("SELECT text FROM rows ORDER BY rowid", vec![]).await))
    }

    fn close(self, folder: &Path) {
        drop(self);
        // The last connection takes the log along; two that close in one moment may both leave it, and then there is nothing to wait for.
        for _ in 0..100_000 {
            if !folder.join("rows.db-wal").exists() {
                break;
            }
            std::thread::yield_now();
        }
    }
}

#[test]
fn a_commit_of_sqlite_that_fails_is_told_and_nothing_of_it_stays() {
    for (call, number) in [(Call::Sync, EIO), (Call::Write, EIO), (Call::Write, ENOSPC)] {
        on_a_folder(|folder| {
            let rows = Rows::open(folder).unwrap();
            rows.insert("first").unwrap();
            set_faults(vec![fails(call, "-wal", number)]);
            let refused = rows.insert("refused").unwrap_err();
            assert!(refused.is_transient(), "{refused:?}");
            assert_eq!(matches!(refused, DbError::Full), number == ENOSPC, "{refused:?}");
            assert_eq!(rows.all().unwrap(), ["first"], "reads go on");
            set_faults(Vec::new());
            rows.insert("second").unwrap();
            assert_eq!(rows.all().unwrap(), ["first", "second"]);
            rows.close(folder);
            let rows = Rows::open(folder).unwrap();
            assert_eq!(rows.all().unwrap(), ["first", "second"], "after {call:?} {number}");
            rows.close(folder);
        });
    }
}

#[test]
fn a_database_that_cannot_be_written_is_told_at_the_start() {
    on_a_folder(|folder| {
        let rows = Rows::open(folder).unwrap();
        rows.insert("first").unwrap();
        rows.close(folder);
        set_faults(vec![keeps_failing(Call::OpenToWrite, "rows.db", EROFS)]);
        let error = Rows::open(folder).map(drop).unwrap_err();
        assert!(error.to_string().contains("rows.db"), "{error}");
        set_faults(Vec::new());
        let rows = Rows::open(folder).unwrap();
        assert_eq!(rows.all().unwrap(), ["first"], "nothing was changed");
        rows.close(folder);
    });
}

#[test]
fn what_cannot_be_read_is_an_error_and_no_answer() {
    on_a_folder(|folder| {
        let rows = Rows::open(folder).unwrap();
        rows.insert("first").unwrap();
        rows.close(folder);
        let rows = Rows::open(folder).unwrap();
        set_faults(vec![keeps_failing(Call::Read, "rows.db", EIO)]);
        // SQLite says of a page that cannot be read that the file is malformed; the statement that asked for it is named.
        let refused = rows.all().unwrap_err();
        assert!(refused.to_string().starts_with("SELECT text FROM rows"), "{refused:?}");
        set_faults(Vec::new());
        assert_eq!(rows.all().unwrap(), ["first"]);
        rows.insert("second").unwrap();
        for _ in 0..8 {
            assert_eq!(rows.all().unwrap(), ["first", "second"], "no connection is left half-way");
        }
        rows.close(folder);
    });
}
