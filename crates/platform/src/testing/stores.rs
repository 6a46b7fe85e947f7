//! What every store behind `Db` must do, whatever stands there: one suite, taken by SQLite in the platform's own tests and by the engines
//! in `tests/engines`. Each check is given a database without tables. Beside it [`twins`]: the same random work for two stores at once.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a suite: what is not as it should be ends the test")]

pub mod twins;

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use futures::FutureExt;
use tokio::sync::Notify;
use types::{Timestamp, id::Uuid};

use crate::{
    Chance, Clock,
    db::{Db, DbError, FromRow, Kind, Migration, Row, Tx, Value},
    fault::Faults,
    values,
};

/// Faults of which none is set.
#[must_use]
pub fn no_faults() -> Faults {
    Faults::new(Clock::real(), Chance::seeded(1))
}

/// The settings with which the tests of a service are played on engines as they are. `CRASHCART_TEST_SQL` says where the tables of those
/// services are that are written for it: `postgresql`, `mariadb`, or with `engines` each on its own; `CRASHCART_TEST_DOCUMENTS=couchdb` puts
/// documents in CouchDB, `CRASHCART_TEST_STOCK=cassandra` stock in Cassandra. Where those are `CRASHCART_ENGINES` says. Each stage has schemas and databases of its own.
#[cfg(feature = "engines")]
#[must_use]
pub fn chosen(settings: crate::settings::Settings) -> crate::settings::Settings {
    static STAGES: AtomicU64 = AtomicU64::new(0);
    let stage = format!("stage_{}_{}_", std::process::id(), STAGES.fetch_add(1, Ordering::Relaxed));
    let told = |engine: &str, key: &str| {
        let path = variable("CRASHCART_ENGINES").unwrap_or_else(|| panic!("CRASHCART_ENGINES does not say where the engines are"));
        let engines: toml::Table = std::fs::read_to_string(path).unwrap().parse().unwrap();
        engines["engines"][engine][key].as_str().unwrap().to_owned()
    };
    let url = |engine: &str| told(engine, "url");
    let mut changes: Vec<(String, String)> = Vec::new();
    let tables = match variable("CRASHCART_TEST_SQL").as_deref() {
        None => [].as_slice(),
        Some("postgresql") => &["postgresql"],
        Some("mariadb") => &["mariadb"],
        Some("engines") => &["postgresql", "mariadb"],
        Some(other) => panic!("CRASHCART_TEST_SQL is `{other}`; it can be postgresql, mariadb or engines"),
    };
    for engine in tables {
        let url = url(engine);
        let (url, services) = match *engine {
            // No power is cut in a simulated world that the server would feel, so no commit waits for its disk.
            "postgresql" => (
                format!("{url}{}options=-c%20synchronous_commit%3Doff", if url.contains('?') { '&' } else { '?' }),
                ["customer", "catalog", "pricing", "payment"].as_slice(),
            ),
            _ => (url, ["cart", "order"].as_slice()),
        };
        changes.extend([(format!("engines.{engine}.url"), url), (format!("engines.{engine}.schema_prefix"), stage.clone())]);
        changes.extend(services.iter().map(|service| (format!("stores.sql.{service}"), (*engine).to_owned())));
    }
    match variable("CRASHCART_TEST_DOCUMENTS").as_deref() {
        None => {}
        Some("couchdb") => changes.extend([
            ("stores.documents".to_owned(), "couchdb".to_owned()),
            ("engines.couchdb.url".to_owned(), url("couchdb")),
            ("engines.couchdb.prefix".to_owned(), stage.clone()),
        ]),
        Some(other) => panic!("CRASHCART_TEST_DOCUMENTS is `{other}`; it can be couchdb"),
    }
    match variable("CRASHCART_TEST_STOCK").as_deref() {
        None => {}
        Some("cassandra") => changes.extend([
            ("stores.stock".to_owned(), "cassandra".to_owned()),
            ("engines.cassandra.contact_points".to_owned(), told("cassandra", "contact_points")),
            ("engines.cassandra.prefix".to_owned(), stage),
        ]),
        Some(other) => panic!("CRASHCART_TEST_STOCK is `{other}`; it can be cassandra"),
    }
    changes.into_iter().fold(settings, |settings, (path, value)| settings.with(&path, value).unwrap())
}

#[cfg(feature = "engines")]
#[expect(
    clippy::disallowed_methods,
    reason = "the tests of a service know nothing of engines, so the variables of the machine must say it"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Two tables, one after the other.
#[must_use]
pub fn migrations() -> Vec<Migration> {
    vec![
        Migration::new(1, "notes", "CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT", "DROP TABLE notes")
            .with_postgresql("CREATE TABLE notes (id bigint PRIMARY KEY, text text COLLATE \"C\" NOT NULL)", "DROP TABLE notes")
            .with_mariadb("CREATE TABLE IF NOT EXISTS notes (id bigint PRIMARY KEY, text text NOT NULL)", "DROP TABLE IF EXISTS notes"),
        Migration::new(2, "tags", "CREATE TABLE tags (tag TEXT PRIMARY KEY) STRICT", "DROP TABLE tags")
            .with_postgresql("CREATE TABLE tags (tag text COLLATE \"C\" PRIMARY KEY)", "DROP TABLE tags")
            .with_mariadb("CREATE TABLE IF NOT EXISTS tags (tag varchar(50) PRIMARY KEY)", "DROP TABLE IF EXISTS tags"),
    ]
}

/// A note with this id.
pub async fn insert(db: &Db, id: i64) -> Result<(), DbError> {
    db.write(async move |tx: &mut Tx<'_>| {
        tx.execute("INSERT INTO notes (id, text) VALUES (?, ?)", values![id, "x"]).await?;
        Ok(())
    })
    .await
}

/// How many notes there are.
pub async fn count(db: &Db) -> i64 {
    db.read(async |tx: &mut Tx<'_>| tx.fetch_one::<i64>("SELECT count(*) FROM notes", vec![]).await).await.unwrap()
}

pub async fn an_error_of_the_work_undoes_the_work(db: Db) {
    db.migrate(&migrations()).await.unwrap();
    let refused: Result<(), DbError> = db
        .write(async |tx: &mut Tx<'_>| {
            tx.execute("INSERT INTO notes (id, text) VALUES (1, 'x')", vec![]).await?;
            Err(DbError::NoRow("on purpose".into()))
        })
        .await;
    assert!(matches!(refused, Err(DbError::NoRow(_))));
    assert_eq!(count(&db).await, 0);
    insert(&db, 1).await.unwrap();
    let taken = insert(&db, 1).await;
    assert!(matches!(taken, Err(DbError::Unique(_))), "{taken:?}");
    assert_eq!(count(&db).await, 1);
}

/// Not for a store that runs work on its caller's thread: there a panic is the caller's.
pub async fn a_panic_in_the_work_stays_there(db: Db) {
    db.migrate(&migrations()).await.unwrap();
    let panicked: Result<(), DbError> = db
        .write(async |tx: &mut Tx<'_>| {
            tx.execute("INSERT INTO notes (id, text) VALUES (1, 'x')", vec![]).await?;
            panic!("on purpose")
        })
        .await;
    assert!(matches!(panicked, Err(DbError::Panicked)));
    insert(&db, 2).await.unwrap();
    assert_eq!(count(&db).await, 1);
}

pub async fn a_reader_changes_nothing(db: Db) {
    db.migrate(&migrations()).await.unwrap();
    let refused = db.read(async |tx: &mut Tx<'_>| tx.execute("DELETE FROM notes", vec![]).await).await;
    assert!(matches!(refused, Err(DbError::ReadOnly(_))), "{refused:?}");
    insert(&db, 1).await.unwrap();
    assert_eq!(count(&db).await, 1);
}

pub async fn what_waits_is_told_after_the_commit_only(db: Db) {
    let bell = Arc::new(Notify::new());
    let ringer = bell.clone();
    let _: Result<(), DbError> = db
        .write(async move |tx: &mut Tx<'_>| {
            tx.wake_after_commit(&ringer);
            Err(DbError::Full)
        })
        .await;
    assert!(bell.notified().now_or_never().is_none(), "told of a commit that did not happen");
    let ringer = bell.clone();
    db.write(async move |tx: &mut Tx<'_>| -> Result<(), DbError> {
        tx.wake_after_commit(&ringer);
        Ok(())
    })
    .await
    .unwrap();
    bell.notified().await;
}

pub async fn everybody_who_waits_is_told_and_nobody_who_comes_later(db: Db) {
    let bell = Arc::new(Notify::new());
    let (mut one, mut other) = (pin!(bell.notified()), pin!(bell.notified()));
    one.as_mut().enable();
    other.as_mut().enable();
    let ringer = bell.clone();
    db.write(async move |tx: &mut Tx<'_>| -> Result<(), DbError> {
        tx.wake_all_after_commit(&ringer);
        Ok(())
    })
    .await
    .unwrap();
    futures::join!(one, other);
    assert!(bell.notified().now_or_never().is_none(), "told of what was there before");
}

pub async fn migrations_go_up_and_down_and_know_a_newer_store(db: Db) {
    db.migrate(&migrations()).await.unwrap();
    db.migrate(&migrations()).await.unwrap();
    db.migrate_down(&migrations(), 1).await.unwrap();
    assert!(db.run_script("SELECT * FROM tags").await.is_err());
    db.migrate(&migrations()).await.unwrap();
    db.run_script("INSERT INTO tags VALUES ('a')").await.unwrap();
    let older = &migrations()[..1];
    assert!(matches!(db.migrate(older).await, Err(DbError::Newer { found: 2, known: 1, .. })));
    let mut changed = migrations();
    changed[0].sqlite.up.push_str(" -- changed");
    changed[0].postgresql.as_mut().unwrap().up.push_str(" -- changed");
    changed[0].mariadb.as_mut().unwrap().up.push_str(" -- changed");
    assert!(matches!(db.migrate(&changed).await, Err(DbError::MigrationChanged { number: 1, .. })));
    let wrong =
        |number| Migration::new(number, "wrong", "CREATE TABLE", "").with_postgresql("CREATE TABLE", "").with_mariadb("CREATE TABLE", "");
    let refused = db.migrate(&[migrations(), vec![wrong(3)]].concat()).await;
    assert!(matches!(refused, Err(DbError::Migration { number: 3, name: "wrong", .. })), "{refused:?}");
}

/// A row of every kind of value.
#[derive(Clone, Debug, PartialEq)]
struct Kinds {
    number: Option<i64>,
    text: Option<String>,
    bytes: Option<Vec<u8>>,
    yes: Option<bool>,
    uuid: Option<Uuid>,
    moment: Option<Timestamp>,
    json: Option<serde_json::Value>,
}

impl FromRow for Kinds {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        Ok(Self {
            number: row.get("number")?,
            text: row.get("text")?,
            bytes: row.get("bytes")?,
            yes: row.get("yes")?,
            uuid: row.optional_id("uuid")?,
            moment: row.get("moment")?,
            json: row.get("json")?,
        })
    }
}

pub async fn every_kind_of_value_comes_back_as_it_was(db: Db) {
    let table = Migration::new(
        1,
        "kinds",
        "CREATE TABLE kinds (place INTEGER PRIMARY KEY, number INTEGER, text TEXT, bytes BLOB, yes INTEGER, uuid BLOB, moment INTEGER, json TEXT) STRICT",
        "DROP TABLE kinds",
    )
    .with_postgresql(
        "CREATE TABLE kinds (place bigint PRIMARY KEY, number bigint, text text COLLATE \"C\", bytes bytea, yes boolean, uuid uuid, moment timestamptz, json jsonb)",
        "DROP TABLE kinds",
    )
    .with_mariadb(
        "CREATE TABLE IF NOT EXISTS kinds (place bigint PRIMARY KEY, number bigint, text text, bytes blob, yes boolean, uuid binary(16), moment datetime(6), json json)",
        "DROP TABLE IF EXISTS kinds",
    );
    db.migrate(&[table]).await.unwrap();
    let nothing = Kinds { number: None, text: None, bytes: None, yes: None, uuid: None, moment: None, json: None };
    let rows = [
        Kinds {
            number: Some(i64::MIN),
            text: Some(String::new()),
            bytes: Some(vec![]),
            yes: Some(false),
            uuid: Some(Uuid::from_u128(0)),
            moment: Some(Timestamp::from_micros(-1)),
            json: Some(serde_json::json!({"b": [1, 2.5, "\"'?\\", null], "a": {"ø": true}})),
        },
        nothing.clone(),
        Kinds {
            number: Some(i64::MAX),
            text: Some("Ünïcode 🛒 'quoted' \"and\" ? $1 \\ \n".to_owned()),
            bytes: Some((0..=255).collect()),
            yes: Some(true),
            uuid: Some(Uuid::from_u128(u128::MAX)),
            moment: Some(Timestamp::from_micros(1_767_571_200_123_457)),
            json: Some(serde_json::Value::Null),
        },
        // Once more after others of the same text have come and gone: what was prepared for them fits.
        nothing,
    ];
    for (place, row) in (0_i64..).zip(&rows) {
        let values = values![place, row.number, row.text.clone(), row.bytes.clone(), row.yes, row.uuid, row.moment, row.json.clone()];
        let inserted = db
            .write(async move |tx: &mut Tx<'_>| {
                let insert = "INSERT INTO kinds (place, number, text, bytes, yes, uuid, moment, json) VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
                tx.execute(insert, values.clone()).await
            })
            .await;
        assert!(matches!(inserted, Ok(1)), "{inserted:?}");
    }
    let found: Vec<Kinds> =
        db.read(async |tx: &mut Tx<'_>| tx.fetch_all("SELECT * FROM kinds ORDER BY place", vec![]).await).await.unwrap();
    assert_eq!(found, rows);
    // The same text with another kind of NULL and with none, and a sum that a store may count in a wider type.
    let found = db
        .read(async |tx: &mut Tx<'_>| {
            let query = "SELECT place FROM kinds WHERE number = ? ORDER BY place";
            let none: Vec<i64> = tx.fetch_all(query, vec![Value::Null(Kind::Integer)]).await?;
            let one: Vec<i64> = tx.fetch_all(query, values![i64::MAX]).await?;
            let sum: i64 = tx.fetch_one("SELECT sum(place) FROM kinds", vec![]).await?;
            let nothing: Option<i64> = tx.fetch_one("SELECT max(number) FROM kinds WHERE place > ?", values![9_i64]).await?;
            Ok::<_, DbError>((none, one, sum, nothing))
        })
        .await
        .unwrap();
    assert_eq!(found, (vec![], vec![2], 6, None));
    let wrong: Result<Vec<i64>, DbError> =
        db.read(async |tx: &mut Tx<'_>| tx.fetch_all("SELECT text FROM kinds WHERE place = 0", vec![]).await).await;
    assert!(matches!(wrong, Err(DbError::Column { .. })), "{wrong:?}");
    let nothing: Result<i64, DbError> =
        db.read(async |tx: &mut Tx<'_>| tx.fetch_one("SELECT place FROM kinds WHERE place = 77", vec![]).await).await;
    assert!(matches!(nothing, Err(DbError::NoRow(_))), "{nothing:?}");
    let nonsense = db.read(async |tx: &mut Tx<'_>| tx.fetch_all::<i64>("SELECT FROM WHERE", vec![]).await).await;
    assert!(matches!(nonsense, Err(DbError::Statement { .. })), "{nonsense:?}");
}

pub async fn a_row_whose_key_is_taken_is_not_inserted_anew(db: Db) {
    db.migrate(&migrations()).await.unwrap();
    let inserted = db
        .write(async |tx: &mut Tx<'_>| {
            let insert = "INSERT INTO notes (id, text) VALUES (?, ?)";
            let first = tx.insert_new(insert, values![1_i64, "first"]).await?;
            let second = tx.insert_new(insert, values![1_i64, "second"]).await?;
            Ok::<_, DbError>((first, second))
        })
        .await
        .unwrap();
    assert_eq!(inserted, (true, false));
    let text: String = db.read(async |tx: &mut Tx<'_>| tx.fetch_one("SELECT text FROM notes", vec![]).await).await.unwrap();
    assert_eq!(text, "first");
}

pub async fn rows_are_inserted_many_at_a_time_and_in_their_order(db: Db) {
    db.migrate(&migrations()).await.unwrap();
    let all: Vec<i64> = (1..=40).collect();
    let (rows, before) = (all.clone(), db.counters().statements.load(Ordering::Relaxed));
    db.write(async move |tx: &mut Tx<'_>| {
        let insert = "INSERT INTO notes (id, text) VALUES (?, ?)";
        tx.insert_all(insert, Vec::new()).await?;
        tx.insert_all(insert, rows.iter().map(|id| values![*id, format!("note {id}")]).collect()).await
    })
    .await
    .unwrap();
    assert!(db.counters().statements.load(Ordering::Relaxed) - before < 10, "many with each statement");
    let told: Vec<i64> = db.fetch_all("SELECT id FROM notes WHERE text = 'note ' || id ORDER BY id", vec![]).await.unwrap();
    assert_eq!(told, all);
    let taken = db
        .write(async |tx: &mut Tx<'_>| {
            tx.insert_all("INSERT INTO notes (id, text) VALUES (?, ?)", vec![values![41_i64, "x"], values![1_i64, "x"]]).await
        })
        .await;
    assert!(matches!(taken, Err(DbError::Unique(_))), "{taken:?}");
    let last: Option<i64> = db.fetch_optional("SELECT max(id) FROM notes", vec![]).await.unwrap();
    assert_eq!(last, Some(40));
}

/// Who reads and then writes loses nothing, whoever does so at the same time: eight tasks count to ten each in one row.
pub async fn no_change_is_lost(db: Db) {
    db.migrate(&migrations()).await.unwrap();
    insert(&db, 1).await.unwrap();
    let set = async |tx: &mut Tx<'_>| tx.execute("UPDATE notes SET text = '0' WHERE id = 1", vec![]).await;
    db.write(set).await.unwrap();
    at_once((0..8).map(|_| {
        let db = db.clone();
        async move {
            for _ in 0..10 {
                let add = async |tx: &mut Tx<'_>| {
                    let text: String = tx.fetch_one("SELECT text FROM notes WHERE id = 1", vec![]).await?;
                    let next = text.parse::<i64>().unwrap_or_default() + 1;
                    tx.execute("UPDATE notes SET text = ? WHERE id = 1", values![next.to_string()]).await
                };
                let changed: Result<u64, DbError> = db.write(add).await;
                assert_eq!(changed.unwrap(), 1);
            }
        }
    }))
    .await;
    let text: String = db.read(async |tx: &mut Tx<'_>| tx.fetch_one("SELECT text FROM notes", vec![]).await).await.unwrap();
    assert_eq!(text, "80");
}

/// Who may act only while there are few enough of something is one of few: of eight who each see room for one, one finds it.
pub async fn a_limit_over_many_rows_holds(db: Db) {
    db.migrate(&migrations()).await.unwrap();
    for round in 0..10_i64 {
        let let_in = Arc::new(AtomicU64::new(0));
        at_once((0..8).map(|place| {
            let (db, let_in) = (db.clone(), let_in.clone());
            async move {
                let enter = async move |tx: &mut Tx<'_>| {
                    let there: i64 = tx.fetch_one("SELECT count(*) FROM notes WHERE text = ?", values![round.to_string()]).await?;
                    if there > 0 {
                        return Ok::<_, DbError>(false);
                    }
                    tx.execute("INSERT INTO notes (id, text) VALUES (?, ?)", values![round * 8 + place, round.to_string()]).await?;
                    Ok(true)
                };
                let_in.fetch_add(u64::from(db.write(enter).await.unwrap()), Ordering::Relaxed);
            }
        }))
        .await;
        assert_eq!(let_in.load(Ordering::Relaxed), 1, "round {round}");
    }
}

/// A read sees one moment, whatever is committed while it goes on.
pub async fn a_read_is_one_snapshot(db: Db) {
    db.migrate(&migrations()).await.unwrap();
    let (writer, reader) = (db.clone(), db);
    let move_on = async move {
        for id in 0..50 {
            insert(&writer, id).await.unwrap();
        }
    };
    let look = async move {
        for _ in 0..50 {
            let (first, second) = reader
                .read(async |tx: &mut Tx<'_>| {
                    let count = "SELECT count(*) FROM notes";
                    Ok::<_, DbError>((tx.fetch_one::<i64>(count, vec![]).await?, tx.fetch_one::<i64>(count, vec![]).await?))
                })
                .await
                .unwrap();
            assert_eq!(first, second);
        }
    };
    at_once([move_on.boxed(), look.boxed()].into_iter()).await;
}

/// Each in a task of its own: a store may keep the thread of whoever waits for it.
#[expect(clippy::disallowed_methods, reason = "a suite has no world whose tasks these could be")]
async fn at_once(all: impl Iterator<Item = impl Future<Output = ()> + Send + 'static>) {
    let tasks: Vec<_> = all.map(tokio::spawn).collect();
    for task in tasks {
        task.await.unwrap();
    }
}
