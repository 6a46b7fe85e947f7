//! SQL for a service: one small door, [`Db`], behind which stands SQLite (later PostgreSQL and MySQL, behind the same door).
//!
//! `write` takes work that awaits nothing but its transaction. On SQLite such work never waits, so it can run in two ways: in the real
//! world one writer thread runs whatever has queued up in one shared commit, and one fsync answers them all; in the
//! simulated world it runs inline, on the calling thread, and nothing else can run in between. `read` is one snapshot from its
//! beginning to its end.
//!
//! Because an engine that reports a serialization failure runs the work again, work is an `AsyncFn`: it may run more than once, and its
//! effects outside of the transaction must wait for the answer. The simulation runs some work twice on purpose.
//!
//! What is left out: an object mapper, a query builder, lazy anything. Every statement of a service stands in its `store.rs`.

mod cell;
mod migrate;
mod sqlite;
mod value;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

pub use cell::{Cell, Column, FromRow, Row};
pub use migrate::{Migration, latest_number};
use tokio::sync::Notify;
pub use value::{Kind, Value};

use crate::{
    chance::Chance,
    fault::{Effect, Faults, Passing},
};

/// What an answered write survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// A power cut: the answer waits for an fsync.
    Power,
    /// The end of the process (`kill -9`), but not of the machine.
    Process,
}

#[derive(Debug, thiserror::Error)]
pub enum DbError {
    #[error("the store of {service} cannot be opened at {path}: {reason}; restore the file from a backup, or take another data folder")]
    Open { service: &'static str, path: String, reason: String },
    #[error(
        "the store of {service} was written by a newer version (it has migration {found}, this program knows {known}); use that version or another data folder"
    )]
    Newer { service: &'static str, found: i64, known: i64 },
    #[error("migration {number} `{name}` of {service} failed: {source}")]
    Migration { service: &'static str, number: i64, name: &'static str, source: rusqlite::Error },
    #[error("migration {number} of {service} was changed after it had been applied; write a new one instead")]
    MigrationChanged { service: &'static str, number: i64 },
    /// A row with this key is there already.
    #[error("a unique key is taken: {0}")]
    Unique(String),
    #[error("the store cannot answer now: {0}")]
    Unavailable(String),
    #[error("no space is left for the store; free some and try again")]
    Full,
    #[error("a snapshot that is read cannot be changed: {0}")]
    ReadOnly(String),
    #[error("expected a row and found none ({0})")]
    NoRow(String),
    #[error("column `{column}`: {reason}")]
    Column { column: String, reason: String },
    #[error("{statement}: {source}")]
    Statement { statement: String, source: rusqlite::Error },
    #[error("the work panicked; nothing of it was kept")]
    Panicked,
}

impl DbError {
    /// Whether the same call may succeed later.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Full)
    }
}

/// How much a store has done since it was opened.
#[derive(Debug, Default)]
pub struct Counters {
    pub statements: AtomicU64,
    pub transactions: AtomicU64,
    /// Commits of the engine; each is one fsync with [`Durability::Power`].
    pub commits: AtomicU64,
    by_text: OnceLock<Mutex<BTreeMap<String, u64>>>,
}

impl Counters {
    /// How often each statement was run since this was asked for the first time: to see what a piece of work costs, and how each of its
    /// statements finds its rows.
    #[must_use]
    pub fn by_text(&self) -> BTreeMap<String, u64> {
        self.by_text.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn count(&self, statement: &str) {
        self.statements.fetch_add(1, Ordering::Relaxed);
        if let Some(by_text) = self.by_text.get() {
            *by_text.lock().unwrap_or_else(PoisonError::into_inner).entry(statement.to_owned()).or_default() += 1;
        }
    }
}

/// One service's database. A clone is the same database.
#[derive(Clone, Debug)]
pub struct Db {
    service: &'static str,
    engine: sqlite::Engine,
    faults: Faults,
    counters: Arc<Counters>,
}

impl Db {
    /// In memory, inline: for one simulated world, whose chance also decides which work is run a second time.
    pub fn in_memory(service: &'static str, chance: Chance, faults: Faults) -> Result<Self, DbError> {
        let counters = Arc::<Counters>::default();
        Ok(Self { service, engine: sqlite::Engine::in_memory(service, chance)?, faults, counters })
    }

    /// In a file, with a writer thread of its own and a pool of readers.
    pub fn open(service: &'static str, path: &Path, durability: Durability, faults: Faults) -> Result<Self, DbError> {
        let counters = Arc::<Counters>::default();
        Ok(Self { service, engine: sqlite::Engine::on_disk(service, path, durability, counters.clone())?, faults, counters })
    }

    #[must_use]
    pub const fn service(&self) -> &'static str {
        self.service
    }

    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Runs `work` in a transaction and answers when it is durable. An error of the work, of any kind, rolls it back.
    pub async fn write<T, E>(&self, work: impl AsyncFn(&mut Tx<'_>) -> Result<T, E> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
    {
        if self.faults.pass("store.commit", Passing { service: self.service, ..Passing::default() }).await == Effect::Fail {
            return Err(DbError::Unavailable("it is busy".into()).into());
        }
        self.counters.transactions.fetch_add(1, Ordering::Relaxed);
        self.engine.write(&self.counters, work).await
    }

    /// Runs `work` over one snapshot. It cannot change anything.
    pub async fn read<T, E>(&self, work: impl AsyncFnOnce(&mut Tx<'_>) -> Result<T, E>) -> Result<T, E>
    where
        E: From<DbError>,
    {
        self.engine.read(&self.counters, work).await
    }

    /// Removes from the disk what was deleted or overwritten before: SQLite's log keeps older copies of every page until it is cut. After an
    /// erasure; [`DbError::Unavailable`] when it could not be done now.
    pub async fn checkpoint(&self) -> Result<(), DbError> {
        self.engine.checkpoint(self.service).await
    }

    /// Brings the schema to the newest of `migrations`, each in a transaction of its own.
    pub async fn migrate(&self, migrations: &[Migration]) -> Result<(), DbError> {
        migrate::up(self, migrations.to_vec()).await
    }

    /// Takes back every migration above `number`, the newest first.
    pub async fn migrate_down(&self, migrations: &[Migration], number: i64) -> Result<(), DbError> {
        migrate::down(self, migrations.to_vec(), number).await
    }

    /// Runs SQL as it stands, past every rule of the service: for migrations, and for the bugs that the lab's tests plant.
    pub async fn run_script(&self, script: &str) -> Result<(), DbError> {
        let script = script.to_owned();
        self.write(async move |tx: &mut Tx<'_>| tx.run_script(&script)).await
    }
}

/// A transaction, or a snapshot that is read. Values are bound to `?` in order.
#[derive(Debug)]
pub struct Tx<'c> {
    connection: &'c rusqlite::Connection,
    counters: &'c Counters,
    /// Told once the commit is durable.
    wakes: Wakes,
    /// Refused here and not by a pragma: changing one makes SQLite prepare every statement anew.
    reads_only: bool,
    /// The engine counts changed rows; what a script does to the schema it does not count.
    has_run_a_script: bool,
}

/// Whom a commit tells.
#[derive(Debug, Default)]
struct Wakes {
    one: Vec<Arc<Notify>>,
    all: Vec<Arc<Notify>>,
}

impl Wakes {
    fn add(known: &mut Vec<Arc<Notify>>, whom: &Arc<Notify>) {
        if !known.iter().any(|known| Arc::ptr_eq(known, whom)) {
            known.push(whom.clone());
        }
    }

    fn ring(&self) {
        self.one.iter().for_each(|whom| whom.notify_one());
        self.all.iter().for_each(|whom| whom.notify_waiters());
    }
}

impl Tx<'_> {
    /// Runs a statement; says how many rows it changed.
    pub async fn execute(&mut self, statement: &str, values: Vec<Value>) -> Result<u64, DbError> {
        if self.reads_only {
            return Err(DbError::ReadOnly(sqlite::head(statement)));
        }
        self.counters.count(statement);
        let told = |source| sqlite::error(statement, source);
        let mut prepared = self.connection.prepare_cached(statement).map_err(told)?;
        let changed = prepared.execute(rusqlite::params_from_iter(values)).map_err(told)?;
        Ok(changed as u64)
    }

    /// Inserts a row unless its key is taken; says whether it did. `insert` is a plain `INSERT INTO table (…) VALUES (…)`.
    pub async fn insert_new(&mut self, insert: &str, values: Vec<Value>) -> Result<bool, DbError> {
        let statement = format!("{insert} ON CONFLICT DO NOTHING");
        Ok(self.execute(&statement, values).await? == 1)
    }

    pub async fn fetch_all<T: FromRow>(&mut self, query: &str, values: Vec<Value>) -> Result<Vec<T>, DbError> {
        self.counters.count(query);
        let told = |source| sqlite::error(query, source);
        let mut prepared = self.connection.prepare_cached(query).map_err(told)?;
        let mut rows = prepared.query(rusqlite::params_from_iter(values)).map_err(told)?;
        let mut all = Vec::new();
        while let Some(row) = rows.next().map_err(told)? {
            all.push(T::from_row(&Row::new(row))?);
        }
        Ok(all)
    }

    pub async fn fetch_optional<T: FromRow>(&mut self, query: &str, values: Vec<Value>) -> Result<Option<T>, DbError> {
        self.counters.count(query);
        let told = |source| sqlite::error(query, source);
        let mut prepared = self.connection.prepare_cached(query).map_err(told)?;
        let mut rows = prepared.query(rusqlite::params_from_iter(values)).map_err(told)?;
        rows.next().map_err(told)?.map(|row| T::from_row(&Row::new(row))).transpose()
    }

    /// The first row; none is [`DbError::NoRow`].
    pub async fn fetch_one<T: FromRow>(&mut self, query: &str, values: Vec<Value>) -> Result<T, DbError> {
        self.fetch_optional(query, values).await?.ok_or_else(|| DbError::NoRow(sqlite::head(query)))
    }

    /// Tells `whom` once this transaction is durable: one who waits there, or who comes next.
    pub fn wake_after_commit(&mut self, whom: &Arc<Notify>) {
        Wakes::add(&mut self.wakes.one, whom);
    }

    /// Tells everybody who waits at `whom` once this transaction is durable, and nobody who comes later: whoever comes later sees what it did.
    pub fn wake_all_after_commit(&mut self, whom: &Arc<Notify>) {
        Wakes::add(&mut self.wakes.all, whom);
    }

    fn run_script(&mut self, script: &str) -> Result<(), DbError> {
        self.has_run_a_script = true;
        self.connection.execute_batch(script).map_err(|source| sqlite::error(script, source))
    }
}

/// The values of a statement, in the order of its `?`: `values![order.id, "PENDING", now]`.
#[macro_export]
macro_rules! values {
    ($($value:expr),* $(,)?) => {
        vec![$($crate::db::Value::from($value)),*]
    };
}

#[cfg(test)]
mod tests;
