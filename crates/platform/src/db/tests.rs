//! The promises of `Db`, on both of its embedded bodies; the engines take the same suite in `tests/engines`.

use std::sync::atomic::Ordering;

use super::*;
use crate::testing::stores::{self, count, insert, migrations, no_faults as faults};

fn in_memory() -> Db {
    Db::in_memory("test", Chance::seeded(1), faults()).unwrap()
}

fn on_disk(folder: &tempfile::TempDir) -> Db {
    Db::open("test", &folder.path().join("test.db"), Durability::Power, faults()).unwrap()
}

/// Runs a check on SQLite in memory and on SQLite in a file.
async fn on_both(check: impl AsyncFn(Db)) {
    check(in_memory()).await;
    let folder = tempfile::tempdir().unwrap();
    check(on_disk(&folder)).await;
}

/// The suite, one test for each of its checks.
macro_rules! suite {
    ($($check:ident),* $(,)?) => {$(
        #[tokio::test]
        async fn $check() {
            on_both(stores::$check).await;
        }
    )*};
}
suite!(
    an_error_of_the_work_undoes_the_work,
    a_reader_changes_nothing,
    what_waits_is_told_after_the_commit_only,
    everybody_who_waits_is_told_and_nobody_who_comes_later,
    every_kind_of_value_comes_back_as_it_was,
    a_row_whose_key_is_taken_is_not_inserted_anew,
    rows_are_inserted_many_at_a_time_and_in_their_order,
    no_change_is_lost,
    a_limit_over_many_rows_holds,
    a_read_is_one_snapshot,
);

#[tokio::test]
async fn migrations_go_up_and_down_and_know_a_newer_store() {
    on_both(stores::migrations_go_up_and_down_and_know_a_newer_store).await;
}

#[tokio::test]
async fn a_panic_in_the_work_stays_there() {
    let folder = tempfile::tempdir().unwrap();
    stores::a_panic_in_the_work_stays_there(on_disk(&folder)).await;
}

#[tokio::test]
async fn memory_and_file_answer_the_same() {
    let folder = tempfile::tempdir().unwrap();
    stores::twins::agree(&in_memory(), &on_disk(&folder), Chance::seeded(7), 500).await;
}

#[tokio::test]
async fn many_writes_share_a_commit_and_each_keeps_its_own_fate() {
    let folder = tempfile::tempdir().unwrap();
    let db = on_disk(&folder);
    db.migrate(&migrations()).await.unwrap();
    let before = db.counters().commits.load(Ordering::Relaxed);
    // Each id twice: one of the two must be refused, the other kept.
    let answers = futures::future::join_all((0..400).map(|n| insert(&db, n / 2))).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 200);
    assert_eq!(count(&db).await, 200);
    let commits = db.counters().commits.load(Ordering::Relaxed) - before;
    assert!(commits < 100, "400 writes took {commits} commits");
}

/// Jobs of one commit that are refused early, late, in a panic, or behind a change of the schema: nothing of them is there, and all of the others'.
#[tokio::test]
async fn what_a_refused_job_changed_is_taken_back_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let db = on_disk(&folder);
    db.migrate(&migrations()).await.unwrap();
    let before = db.counters().commits.load(Ordering::Relaxed);
    let refused = || DbError::NoRow("on purpose".into());
    for round in 0..12 {
        // A round without a late refusal, some with a few, one where they are many; panics and scripts also with nothing else to take back.
        let kind = |n: i64| match (round % 6, n % 16) {
            (1, 3) | (2, 1 | 5 | 9) | (3, 2) => "late",
            (2 | 4, 13) => "panic",
            (3 | 5, 11) => "script",
            (_, 7) => "early",
            _ => "kept",
        };
        let job = async |n: i64| -> Result<(), DbError> {
            let kind = kind(n);
            db.write(async move |tx: &mut Tx<'_>| {
                if kind == "early" {
                    return Err(refused());
                }
                if kind == "script" {
                    tx.run_script("CREATE TABLE refused (id INTEGER)").await?;
                    return Err(refused());
                }
                tx.execute("INSERT INTO notes (id, text) VALUES (?, ?)", values![round * 1_000 + n, kind]).await?;
                match kind {
                    "late" => Err(refused()),
                    "panic" => panic!("on purpose"),
                    _ => Ok(()),
                }
            })
            .await
        };
        let answers = futures::future::join_all((0..200).map(job)).await;
        let kept: Vec<i64> = (0..200).filter(|n| kind(*n) == "kept").map(|n| round * 1_000 + n).collect();
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), kept.len());
        let query = "SELECT id FROM notes WHERE id >= ? ORDER BY id";
        let stored: Vec<i64> = db.read(async |tx: &mut Tx<'_>| tx.fetch_all(query, values![round * 1_000]).await).await.unwrap();
        assert_eq!(stored, kept, "round {round}");
        let tables: Vec<String> = db
            .read(async |tx: &mut Tx<'_>| tx.fetch_all("SELECT name FROM sqlite_schema WHERE name = 'refused'", vec![]).await)
            .await
            .unwrap();
        assert!(tables.is_empty(), "round {round}");
    }
    let commits = db.counters().commits.load(Ordering::Relaxed) - before;
    assert!(commits < 600, "2,400 writes took {commits} commits");
}

#[tokio::test]
async fn work_is_run_again_now_and_then_in_a_simulation() {
    let db = Db::in_memory("test", Chance::seeded(1), faults()).unwrap();
    db.migrate(&migrations()).await.unwrap();
    let runs = Arc::new(AtomicU64::new(0));
    for _ in 0..1_000 {
        let runs = runs.clone();
        db.write(async move |_: &mut Tx<'_>| -> Result<(), DbError> {
            runs.fetch_add(1, Ordering::Relaxed);
            Ok(())
        })
        .await
        .unwrap();
    }
    assert!((1_005..1_040).contains(&runs.load(Ordering::Relaxed)), "{runs:?}");
}

#[tokio::test]
async fn what_was_answered_is_there_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let db = on_disk(&folder);
    db.migrate(&migrations()).await.unwrap();
    insert(&db, 7).await.unwrap();
    drop(db);
    let db = on_disk(&folder);
    db.migrate(&migrations()).await.unwrap();
    assert_eq!(count(&db).await, 1);
}

#[test]
fn a_file_that_is_no_database_is_told_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.db");
    std::fs::write(&path, vec![b'x'; 4_096]).unwrap();
    let refused = Db::open("test", &path, Durability::Power, faults());
    assert!(matches!(refused, Err(DbError::Open { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_store_that_fails_says_so_and_keeps_nothing() {
    use crate::fault::{Fault, Rule, Scope};
    let faults = faults();
    let db = Db::in_memory("test", Chance::seeded(1), faults.clone()).unwrap();
    db.migrate(&migrations()).await.unwrap();
    faults.set("store.commit", Fault { rule: Rule::Fail, share: 1.0, millis: 0, scope: Scope::default(), for_seconds: None }).unwrap();
    assert!(matches!(insert(&db, 1).await, Err(DbError::Unavailable(_))));
    faults.clear(None);
    assert_eq!(count(&db).await, 0);
}

/// Every file of the database, as it lies on the disk.
fn bytes_of(folder: &tempfile::TempDir) -> Vec<u8> {
    std::fs::read_dir(folder.path()).unwrap().flat_map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect()
}

/// How often a text stands in these bytes.
fn found(bytes: &[u8], text: &str) -> usize {
    bytes.windows(text.len()).filter(|window| *window == text.as_bytes()).count()
}

#[tokio::test]
async fn what_was_deleted_and_overwritten_is_gone_from_the_disk_after_a_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let db = on_disk(&folder);
    db.migrate(&migrations()).await.unwrap();
    // Among others that stay, some small, some over several pages, in pages that split and merge.
    for id in 0..400_i64 {
        let length = [1, 20, 300, 9_000][usize::try_from(id % 4).unwrap()];
        let text = format!("{} {}", if id % 3 == 0 { "Quagmire-Odegard" } else { "somebody" }, "Xanthippe ".repeat(length));
        db.write(async move |tx: &mut Tx<'_>| {
            tx.execute("INSERT INTO notes (id, text) VALUES (?, ?)", values![(id * 7_919) % 401, &text]).await.map(|_| ())
        })
        .await
        .unwrap();
    }
    assert!(found(&bytes_of(&folder), "Quagmire-Odegard") > 100);
    // A reader that is done with what it saw is in nobody's way.
    assert_eq!(count(&db).await, 400);
    db.write(async |tx: &mut Tx<'_>| -> Result<(), DbError> {
        tx.execute("DELETE FROM notes WHERE id % 2 = 0 AND text LIKE 'Quagmire%'", vec![]).await?;
        tx.execute("UPDATE notes SET text = '' WHERE text LIKE 'Quagmire%'", vec![]).await?;
        Ok(())
    })
    .await
    .unwrap();
    assert!(found(&bytes_of(&folder), "Quagmire-Odegard") > 0, "before, the log still has it");
    db.checkpoint().await.unwrap();
    let bytes = bytes_of(&folder);
    assert_eq!(found(&bytes, "Quagmire-Odegard"), 0);
    assert!(found(&bytes, "somebody") >= 200, "the others are there");
    assert!(count(&db).await > 200);
    let in_memory = Db::in_memory("test", Chance::seeded(1), faults()).unwrap();
    in_memory.checkpoint().await.unwrap();
}
