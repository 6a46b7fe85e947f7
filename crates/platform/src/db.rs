//! SQL for a service: one small door, [`Db`], behind which stands SQLite or, with the feature `engines`, PostgreSQL or MariaDB.
//!
//! `write` takes work that awaits nothing but its transaction. On SQLite such work never waits, so it can run in two ways: in the real
//! world one writer thread runs whatever has queued up in one shared commit, and one fsync answers them all; in the
//! simulated world it runs inline, on the calling thread, and nothing else can run in between. On a server it does wait, on a
//! connection of its own (`server`). `read` is one snapshot from its beginning to its end.
//!
//! Because an engine that reports a serialization failure runs the work again, work is an `AsyncFn`: it may run more than once, and its
//! effects outside of the transaction must wait for the answer. The simulation runs some work twice on purpose.
//!
//! A statement that fails ends what its transaction can keep: work hands the error on. SQLite would let it go on after a taken key and
//! PostgreSQL does not, so whoever expects a taken key asks with [`Tx::insert_new`].
//!
//! What is left out: an object mapper, a query builder, lazy anything. Every statement of a service stands in its `store.rs`.

pub(crate) mod after;
mod cell;
#[cfg(feature = "engines")]
mod mariadb;
mod migrate;
#[cfg(feature = "engines")]
mod postgresql;
#[cfg(feature = "engines")]
mod server;
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
pub use migrate::{Migration, Script, latest_number};
#[cfg(feature = "engines")]
pub use server::{Options, Replica};
use tokio::sync::Notify;
pub use value::{Kind, Value};

use crate::{
    chance::Chance,
    fault::{Effect, Faults, Passing},
};

/// How many rows [`Tx::insert_all`] inserts with one statement: each number is a text that is prepared for itself.
const ROWS_AT_ONCE: usize = 16;

/// What an answered write survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// A power cut: the answer waits for an fsync.
    Power,
    /// The end of the process (`kill -9`), but not of the machine.
    Process,
}

/// What an engine itself says is wrong.
pub type EngineError = Box<dyn std::error::Error + Send + Sync>;

/// Whose SQL is spoken. Statements are the same for all but where engines truly differ: in migrations, and where one asks [`Db::dialect`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    Sqlite,
    Postgresql,
    Mariadb,
}

impl std::fmt::Display for Dialect {
    /// As a setting names it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Sqlite => "sqlite",
            Self::Postgresql => "postgresql",
            Self::Mariadb => "mariadb",
        })
    }
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
    Migration { service: &'static str, number: i64, name: &'static str, source: EngineError },
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
    Statement { statement: String, source: EngineError },
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
    /// How often an engine refused work that it could not put in an order with others, so that it was run again.
    pub reruns: AtomicU64,
    /// Reads that a replica has answered, and those that it should have and the primary did: it was away, or too far behind.
    pub replica_reads: AtomicU64,
    pub replica_misses: AtomicU64,
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
    engine: Engine,
    faults: Faults,
    counters: Arc<Counters>,
}

#[derive(Clone, Debug)]
enum Engine {
    Sqlite(sqlite::Engine),
    #[cfg(feature = "engines")]
    Server(Arc<server::Engine>),
}

impl Db {
    /// In memory, inline: for one simulated world, whose chance also decides which work is run a second time.
    pub fn in_memory(service: &'static str, chance: Chance, faults: Faults) -> Result<Self, DbError> {
        let counters = Arc::<Counters>::default();
        Ok(Self { service, engine: Engine::Sqlite(sqlite::Engine::in_memory(service, chance)?), faults, counters })
    }

    /// In a file, with a writer thread of its own and a pool of readers.
    pub fn open(service: &'static str, path: &Path, durability: Durability, faults: Faults) -> Result<Self, DbError> {
        let counters = Arc::<Counters>::default();
        let engine = Engine::Sqlite(sqlite::Engine::on_disk(service, path, durability, counters.clone())?);
        Ok(Self { service, engine, faults, counters })
    }

    /// In a schema of a PostgreSQL database. Nobody is asked yet: whether it is there shows at the first use, and as long as it is not, each
    /// use is answered [`DbError::Unavailable`] within `options.patience`. `chance` spreads the pauses before work is run again.
    ///
    /// # Errors
    /// [`DbError::Open`] for an address or a schema that cannot be one.
    #[cfg(feature = "engines")]
    pub fn postgresql(service: &'static str, options: &Options, chance: Chance, faults: Faults) -> Result<Self, DbError> {
        let schema = options.schema_of(service, "PostgreSQL")?;
        let server = Box::new(postgresql::Postgresql::new(service, options, &schema)?);
        let engine = Engine::Server(Arc::new(server::Engine::new(service, server, schema, options, chance)));
        Ok(Self { service, engine, faults, counters: Arc::default() })
    }

    /// In a database of a MariaDB server, as [`Db::postgresql`]; `options.schema` is the database.
    ///
    /// # Errors
    /// [`DbError::Open`] for an address or a name that cannot be one.
    #[cfg(feature = "engines")]
    pub fn mariadb(service: &'static str, options: &Options, chance: Chance, faults: Faults) -> Result<Self, DbError> {
        let schema = options.schema_of(service, "MariaDB")?;
        let engine = |options: &Options| {
            let server = Box::new(mariadb::Mariadb::new(service, options, &schema)?);
            Ok::<_, DbError>(server::Engine::new(service, server, schema.clone(), options, chance))
        };
        let replica = match &options.replica {
            Some(replica) => Some((engine(&Options { url: replica.url.clone(), ..options.clone() })?, replica.wait)),
            None => None,
        };
        let engine = Engine::Server(Arc::new(engine(options)?.followed_by(replica)));
        Ok(Self { service, engine, faults, counters: Arc::default() })
    }

    #[must_use]
    pub const fn service(&self) -> &'static str {
        self.service
    }

    #[must_use]
    pub fn dialect(&self) -> Dialect {
        match &self.engine {
            Engine::Sqlite(_) => Dialect::Sqlite,
            #[cfg(feature = "engines")]
            Engine::Server(engine) => engine.dialect(),
        }
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
        self.let_commit().await?;
        match &self.engine {
            Engine::Sqlite(engine) => engine.write(&self.counters, work).await,
            #[cfg(feature = "engines")]
            Engine::Server(engine) => engine.write(&self.counters, work).await,
        }
    }

    /// One statement by itself, which may be run twice and is on its own whatever stands beside it: on a server one way there and back, where
    /// [`Db::write`] needs three.
    pub async fn execute(&self, statement: &Arc<str>, values: Vec<Value>) -> Result<(), DbError> {
        self.let_commit().await?;
        match &self.engine {
            Engine::Sqlite(engine) => {
                let statement = statement.clone();
                let work = async move |tx: &mut Tx<'_>| tx.execute(&statement, values.clone()).await.map(drop);
                engine.write(&self.counters, work).await
            }
            #[cfg(feature = "engines")]
            Engine::Server(engine) => engine.execute(&self.counters, statement, &values).await,
        }
    }

    async fn let_commit(&self) -> Result<(), DbError> {
        if self.faults.pass("store.commit", Passing { service: self.service, ..Passing::default() }).await == Effect::Fail {
            return Err(DbError::Unavailable("it is busy".into()));
        }
        self.counters.transactions.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Runs `work` over one snapshot. It cannot change anything.
    pub async fn read<T, E>(&self, work: impl AsyncFnOnce(&mut Tx<'_>) -> Result<T, E>) -> Result<T, E>
    where
        E: From<DbError>,
    {
        match &self.engine {
            Engine::Sqlite(engine) => engine.read(&self.counters, work).await,
            #[cfg(feature = "engines")]
            Engine::Server(engine) => engine.read(&self.counters, work).await,
        }
    }

    /// One query over a snapshot of its own: on a server one way there and back, where [`Db::read`] needs three.
    pub async fn fetch_all<T: FromRow>(&self, query: &str, values: Vec<Value>) -> Result<Vec<T>, DbError> {
        match &self.engine {
            Engine::Sqlite(engine) => engine.read(&self.counters, async |tx: &mut Tx<'_>| tx.fetch_all(query, values).await).await,
            #[cfg(feature = "engines")]
            Engine::Server(engine) => {
                let rows = engine.fetch_all(&self.counters, query, &values).await?;
                rows.iter().map(|row| T::from_row(&Row::of_server(row))).collect()
            }
        }
    }

    /// The first row of [`Db::fetch_all`], for a query that has no more than one.
    pub async fn fetch_optional<T: FromRow>(&self, query: &str, values: Vec<Value>) -> Result<Option<T>, DbError> {
        Ok(self.fetch_all(query, values).await?.into_iter().next())
    }

    /// [`Db::read`] for who is only shown something: where reads may go to a replica and the request says what it has seen, a replica that has come
    /// so far is read ([`after`]). What a decision hangs on is read with [`Db::read`].
    pub async fn look<T, E>(&self, work: impl AsyncFnOnce(&mut Tx<'_>) -> Result<T, E>) -> Result<T, E>
    where
        E: From<DbError>,
    {
        match &self.engine {
            Engine::Sqlite(engine) => engine.read(&self.counters, work).await,
            #[cfg(feature = "engines")]
            Engine::Server(engine) => engine.look(&self.counters, work).await,
        }
    }

    /// Whether there is a replica to read from.
    #[must_use]
    pub fn has_replica(&self) -> bool {
        match &self.engine {
            Engine::Sqlite(_) => false,
            #[cfg(feature = "engines")]
            Engine::Server(engine) => engine.has_replica(),
        }
    }

    /// Why a server did not keep the last change, while it may well be read: it has no space, or did not answer. An embedded store tells
    /// whoever asks ([`DbError::Full`]).
    #[must_use]
    pub fn ailment(&self) -> Option<String> {
        match &self.engine {
            Engine::Sqlite(_) => None,
            #[cfg(feature = "engines")]
            Engine::Server(engine) => engine.ailment(),
        }
    }

    /// Removes from the disk what was deleted or overwritten before: SQLite's log keeps older copies of every page until it is cut,
    /// PostgreSQL's tables keep older rows until they are vacuumed, and MariaDB's the bytes of such rows until the table is written anew (a
    /// server's log and its backups go by their own rules). After an erasure; [`DbError::Unavailable`] when it could not be done now.
    pub async fn checkpoint(&self) -> Result<(), DbError> {
        match &self.engine {
            Engine::Sqlite(engine) => engine.checkpoint(self.service).await,
            #[cfg(feature = "engines")]
            Engine::Server(engine) => engine.tidy().await,
        }
    }

    /// The right to something that only one process may do at a time, `name`; none while another process has it. Between the instances of one
    /// process [`crate::lease::Leases`] decide, so an embedded store, which has one process, always gives it.
    pub async fn lease(&self, name: &str) -> Result<Option<Lease>, DbError> {
        match &self.engine {
            Engine::Sqlite(_) => {
                let _ = name;
                Ok(Some(Lease(Holder::Embedded)))
            }
            #[cfg(feature = "engines")]
            Engine::Server(engine) => Ok(engine.lease(name).await?.map(|lease| Lease(Holder::Server(lease)))),
        }
    }

    /// Brings the schema to the newest of `migrations`, each in a transaction of its own. Of several processes one leads; the others wait for
    /// it and find everything done.
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
        self.write(async move |tx: &mut Tx<'_>| tx.run_script(&script).await).await
    }
}

/// The right of one process. Dropped without [`Lease::end`] it ends as well, but its connection is lost.
#[derive(Debug)]
pub struct Lease(Holder);

/// What holds a lease.
#[derive(Debug)]
enum Holder {
    Embedded,
    #[cfg(feature = "engines")]
    Server(server::Lease),
}

impl Lease {
    pub async fn end(self) {
        match self.0 {
            Holder::Embedded => {}
            #[cfg(feature = "engines")]
            Holder::Server(lease) => lease.end().await,
        }
    }
}

/// A transaction, or a snapshot that is read. Values are bound to `?` in order.
#[derive(Debug)]
pub struct Tx<'c> {
    session: Session<'c>,
    counters: &'c Counters,
    /// Told once the commit is durable.
    wakes: Wakes,
    /// Refused here and not by a pragma: changing one makes SQLite prepare every statement anew.
    reads_only: bool,
    /// The engine counts changed rows; what a script does to the schema it does not count.
    has_run_a_script: bool,
}

/// Where the statements of a transaction go.
#[derive(Debug)]
enum Session<'c> {
    Sqlite(&'c rusqlite::Connection),
    #[cfg(feature = "engines")]
    Server(server::Session<'c>),
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

impl<'c> Tx<'c> {
    const fn new(session: Session<'c>, counters: &'c Counters, reads_only: bool) -> Self {
        Self { session, counters, wakes: Wakes { one: Vec::new(), all: Vec::new() }, reads_only, has_run_a_script: false }
    }

    /// Runs a statement; says how many rows it changed.
    pub async fn execute(&mut self, statement: &str, values: Vec<Value>) -> Result<u64, DbError> {
        if self.reads_only {
            return Err(DbError::ReadOnly(head(statement)));
        }
        self.counters.count(statement);
        match &mut self.session {
            Session::Sqlite(connection) => sqlite::execute(connection, statement, values),
            // Boxed, here and below, so that work on SQLite does not carry the room that a statement on its way needs.
            #[cfg(feature = "engines")]
            Session::Server(session) => Box::pin(session.execute(statement, &values)).await,
        }
    }

    /// Inserts a row unless its key is taken; says whether it did. `insert` is a plain `INSERT INTO table (…) VALUES (…)`.
    pub async fn insert_new(&mut self, insert: &str, values: Vec<Value>) -> Result<bool, DbError> {
        #[cfg(feature = "engines")]
        if let Session::Server(session) = &mut self.session
            && !self.reads_only
        {
            self.counters.count(insert);
            return Box::pin(session.insert_new(insert, &values)).await;
        }
        let statement = format!("{insert} ON CONFLICT DO NOTHING");
        Ok(self.execute(&statement, values).await? == 1)
    }

    /// Inserts rows in their order, several with each statement. `insert` is a plain `INSERT INTO table (…) VALUES (…)` of one of them.
    pub async fn insert_all(&mut self, insert: &str, rows: Vec<Vec<Value>>) -> Result<(), DbError> {
        let row = insert.rfind('(').and_then(|from| insert.get(from..)).unwrap_or_default();
        let mut rows = rows.into_iter().peekable();
        while rows.peek().is_some() {
            let (mut statement, mut values) = (insert.to_owned(), Vec::new());
            for (place, next) in rows.by_ref().take(ROWS_AT_ONCE).enumerate() {
                if place > 0 {
                    statement.extend([", ", row]);
                }
                values.extend(next);
            }
            self.execute(&statement, values).await?;
        }
        Ok(())
    }

    pub async fn fetch_all<T: FromRow>(&mut self, query: &str, values: Vec<Value>) -> Result<Vec<T>, DbError> {
        self.counters.count(query);
        match &mut self.session {
            Session::Sqlite(connection) => sqlite::fetch_all(connection, query, values),
            #[cfg(feature = "engines")]
            Session::Server(session) => {
                let rows = Box::pin(session.fetch_all(query, &values)).await?;
                rows.iter().map(|row| T::from_row(&Row::of_server(row))).collect()
            }
        }
    }

    pub async fn fetch_optional<T: FromRow>(&mut self, query: &str, values: Vec<Value>) -> Result<Option<T>, DbError> {
        self.counters.count(query);
        match &mut self.session {
            Session::Sqlite(connection) => sqlite::fetch_optional(connection, query, values),
            #[cfg(feature = "engines")]
            Session::Server(session) => {
                let row = Box::pin(session.fetch_optional(query, &values)).await?;
                row.map(|row| T::from_row(&Row::of_server(&row))).transpose()
            }
        }
    }

    /// The first row; none is [`DbError::NoRow`].
    pub async fn fetch_one<T: FromRow>(&mut self, query: &str, values: Vec<Value>) -> Result<T, DbError> {
        self.fetch_optional(query, values).await?.ok_or_else(|| DbError::NoRow(head(query)))
    }

    /// Tells `whom` once this transaction is durable: one who waits there, or who comes next.
    pub fn wake_after_commit(&mut self, whom: &Arc<Notify>) {
        Wakes::add(&mut self.wakes.one, whom);
    }

    /// Tells everybody who waits at `whom` once this transaction is durable, and nobody who comes later: whoever comes later sees what it did.
    pub fn wake_all_after_commit(&mut self, whom: &Arc<Notify>) {
        Wakes::add(&mut self.wakes.all, whom);
    }

    async fn run_script(&mut self, script: &str) -> Result<(), DbError> {
        self.has_run_a_script = true;
        match &mut self.session {
            Session::Sqlite(connection) => connection.execute_batch(script).map_err(|source| sqlite::error(script, source)),
            #[cfg(feature = "engines")]
            Session::Server(session) => Box::pin(session.run_script(script)).await,
        }
    }
}

/// The beginning of a statement, for an error.
fn head(statement: &str) -> String {
    statement.split_whitespace().take(12).collect::<Vec<_>>().join(" ")
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
