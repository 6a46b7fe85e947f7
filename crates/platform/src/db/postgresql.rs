//! PostgreSQL behind [`Db`](super::Db): a schema for each service in one database, a small pool of connections, and what the embedded floor
//! gives for nothing.
//!
//! - **One writer at a time** is what services may rely on there, so a write is SERIALIZABLE here. The engine refuses what it cannot put in
//!   an order; such work is run again, and so is what it chose from a deadlock, until [`Options::patience`] is over.
//! - **An answer.** Whoever waits for a connection waits no longer than the patience, and so does who has one. What is over is given up with its
//!   connection, so that nobody gets one of which it is not known what is still to come from it.
//! - **Work that is not `Send`.** Work borrows its transaction in ways that no bound can name, so its future stays on the thread that made it:
//!   that thread is lent to it (`block_in_place`), and the runtime goes on with another. There are never more of those than connections.
//!   A runtime of one thread has no other: there everything waits ([`Beside`]).
//!
//! Left out: a check of a connection before it is used (one that has died is noticed at its BEGIN, where nothing is lost by a second try), and
//! closing what is idle.

mod text;
mod wire;

use std::{
    fmt,
    panic::AssertUnwindSafe,
    str::FromStr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::FutureExt;
use rand::RngExt;
use sha2::{Digest, Sha256};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection as _, Executor, PgConnection,
    postgres::{PgConnectOptions, PgRow},
    query_with, raw_sql,
};
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    sync::{Semaphore, SemaphorePermit},
};

use self::text::Texts;
pub(super) use self::wire::{cell_of, index_of};
use super::{Counters, DbError, Session as Of, Tx, Value, head};
use crate::{
    auth::Secret,
    chance::{Chance, Stream},
    clock::Clock,
    engine::beside::Beside,
};

const WRITE: &str = "BEGIN ISOLATION LEVEL SERIALIZABLE";
/// A snapshot. It takes no part in what writes are checked for, and so it is never refused.
const READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
/// Prepared statements that a connection keeps.
const STATEMENTS_KEPT: usize = 256;
/// The longest pause before work is run again.
const LONGEST_PAUSE: Duration = Duration::from_millis(64);
/// How long the rest of a migration may take, and how long others wait for who leads.
const MIGRATION: Duration = Duration::from_secs(600);
/// How long tables may be vacuumed.
const VACUUM: Duration = Duration::from_secs(600);

/// How a service reaches its schema.
#[derive(Clone, Debug)]
pub struct Options {
    /// `postgresql://user:password@host:port/database`. TLS is asked for in it: `?sslmode=verify-full&sslrootcert=/path/ca.pem`, with
    /// `sslcert` and `sslkey` where the server wants to know its clients. A secret, for its password.
    pub url: Secret,
    /// The service's own name when left out. Several worlds in one database have schemas of different names.
    pub schema: Option<String>,
    /// The most connections of one service.
    pub connections: u32,
    /// The longest wait for a connection, and the longest time that a transaction takes with all its repeats.
    pub patience: Duration,
}

impl Options {
    /// Ten connections, five seconds.
    #[must_use]
    pub const fn new(url: Secret) -> Self {
        Self { url, schema: None, connections: 10, patience: Duration::from_secs(5) }
    }
}

pub(super) struct Engine {
    schema: String,
    connect: PgConnectOptions,
    patience: Duration,
    clock: Clock,
    most: usize,
    free: Semaphore,
    idle: Mutex<Vec<PgConnection>>,
    texts: Texts,
    beside: Beside,
    pauses: Mutex<Stream>,
}

impl fmt::Debug for Engine {
    /// Without the address, in which a password stands.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgreSQL({})", self.schema)
    }
}

impl Engine {
    pub(super) fn new(service: &'static str, options: &Options, chance: Chance) -> Result<Self, DbError> {
        let schema = options.schema.clone().unwrap_or_else(|| service.replace('-', "_"));
        let told = |reason: &str| DbError::Open { service, path: format!("PostgreSQL, schema `{schema}`"), reason: reason.to_owned() };
        let is_name = |name: &str| name.len() <= 63 && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        if schema.is_empty() || !is_name(&schema) {
            return Err(told("a schema's name has at most 63 small letters, digits and `_`"));
        }
        // What the parser says may repeat the address.
        let connect = PgConnectOptions::from_str(options.url.expose())
            .map_err(|_| told("its address is none; expected postgresql://user:password@host:port/database"))?;
        let millis = options.patience.as_millis();
        let connect = connect
            .application_name(&format!("crashcart/{service}"))
            .statement_cache_capacity(STATEMENTS_KEPT)
            // Of whom we have given up, the engine gives up too; a transaction that was left open does not hold others up.
            .options([
                ("search_path", schema.clone()),
                ("statement_timeout", millis.to_string()),
                ("idle_in_transaction_session_timeout", millis.to_string()),
            ])
            .disable_statement_logging();
        Ok(Self {
            connect,
            patience: options.patience,
            clock: Clock::real(),
            most: options.connections.max(1) as usize,
            free: Semaphore::new(options.connections.max(1) as usize),
            idle: Mutex::default(),
            texts: Texts::default(),
            beside: Beside::default(),
            pauses: Mutex::new(chance.stream(service, "db", "pauses")),
            schema,
        })
    }

    pub(super) async fn write<T, E>(
        &self,
        counters: &Counters,
        work: impl AsyncFn(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
    {
        let_others().await;
        let _permit = self.permit().await?;
        // Whether the commit is on its way: what is given up then may have been kept.
        let committing = AtomicBool::new(false);
        let answer = self.lend_the_thread(self.write_until_kept(counters, &work, &committing)).unwrap_or_else(|| {
            let known = if committing.load(Ordering::Relaxed) { "; whether it has kept the change is not known" } else { "" };
            Err(DbError::Unavailable(format!("PostgreSQL did not answer within {:?}{known}", self.patience)).into())
        });
        // Who asked may be gone before he hears of it, as with every store.
        let_others().await;
        answer
    }

    pub(super) async fn read<T, E>(&self, counters: &Counters, work: impl AsyncFnOnce(&mut Tx<'_>) -> Result<T, E>) -> Result<T, E>
    where
        E: From<DbError>,
    {
        let_others().await;
        let _permit = self.permit().await?;
        let snapshot = async {
            let mut connection = self.begin(READ).await?;
            let mut tx = Tx::new(Of::Postgresql(Session::new(self, &mut connection)), counters, true);
            let answer = self.beside.at_home(work(&mut tx)).await;
            let trouble = tx.trouble();
            // What the work was refused is the error, whatever comes of ending it.
            let ended = self.end(connection, trouble.as_ref()).await;
            let answer = answer?;
            ended?;
            Ok(answer)
        };
        self.lend_the_thread(snapshot)
            .unwrap_or_else(|| Err(DbError::Unavailable(format!("PostgreSQL did not answer within {:?}", self.patience)).into()))
    }

    /// Every row that was deleted or replaced in this schema and that nobody sees any more is taken from its table.
    pub(super) async fn vacuum(&self) -> Result<(), DbError> {
        let _permit = self.permit().await?;
        let vacuum = async {
            let mut connection = self.connection().await?;
            let told = |error| told("VACUUM", error);
            self.allow(&mut connection, VACUUM).await?;
            let tables = query_with(
                AssertSqlSafe("SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables WHERE schemaname = current_schema()"),
                sqlx::postgres::PgArguments::default(),
            );
            let rows: Vec<PgRow> = tables.fetch_all(&mut connection).await.map_err(told)?;
            for row in &rows {
                let super::Cell::Text(name) = cell_of(row, 0).map_err(DbError::Unavailable)? else { continue };
                run(&mut connection, &format!("VACUUM {name}")).await.map_err(told)?;
            }
            // Closed, and not given back: it was allowed to take longer than others.
            connection.close().await.map_err(told)
        };
        match self.within(VACUUM, vacuum).await {
            Err(error) if !error.is_transient() => Err(DbError::Unavailable(error.to_string())),
            done => done,
        }
    }

    /// Makes the schema if it is missing, and waits until no other process migrates it.
    pub(super) async fn lead_migrations(&self) -> Result<Lead<'_>, DbError> {
        let lead = async {
            // A connection beside the pool: the lock is its own and ends with it, however this process ends.
            let mut connection = self.connect().await?;
            self.allow(&mut connection, MIGRATION).await?;
            let lock = format!("SELECT pg_advisory_lock({})", key_of(&format!("migrations of {}", self.schema)));
            run(&mut connection, &lock).await.map_err(|error| told(&lock, error))?;
            let create = format!("CREATE SCHEMA IF NOT EXISTS {}", self.schema);
            run(&mut connection, &create).await.map_err(|error| told(&create, error))?;
            Ok(Lead { engine: self, _connection: connection })
        };
        self.within(MIGRATION, lead).await
    }

    /// The right to one thing that only one process may do at a time; none while another has it.
    pub(super) async fn lease(self: &Arc<Self>, name: &str) -> Result<Option<Lease>, DbError> {
        let _permit = self.permit().await?;
        let lock = key_of(&format!("{name} in {}", self.schema));
        let lease = async {
            let mut connection = self.connection().await?;
            let ask = format!("SELECT pg_try_advisory_lock({lock})");
            let row = connection.fetch_one(raw_sql(AssertSqlSafe(ask.clone()))).await.map_err(|error| told(&ask, error))?;
            if wire::is_true(&row) {
                return Ok(Some(Lease { engine: self.clone(), connection, lock }));
            }
            self.give_back(connection);
            Ok(None)
        };
        self.within(self.patience, lease).await
    }

    async fn permit(&self) -> Result<SemaphorePermit<'_>, DbError> {
        match self.clock.timeout(self.patience, self.free.acquire()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) => Err(DbError::Unavailable("it is being closed".into())),
            Err(_) => Err(DbError::Unavailable(format!("no connection to PostgreSQL became free within {:?}", self.patience))),
        }
    }

    /// Runs what must stay on this thread to its end, or until the patience is over.
    fn lend_the_thread<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let work = self.clock.timeout(self.patience, work);
        if is_single() { self.beside.wait(work) } else { tokio::task::block_in_place(|| Handle::current().block_on(work)) }.ok()
    }

    /// Waits for what any thread can do.
    async fn within<T>(&self, limit: Duration, work: impl Future<Output = Result<T, DbError>>) -> Result<T, DbError> {
        let work = self.clock.timeout(limit, work);
        let done = if is_single() { self.beside.wait(work) } else { work.await };
        done.unwrap_or_else(|elapsed| Err(DbError::Unavailable(format!("PostgreSQL: {elapsed}"))))
    }

    async fn write_until_kept<T, E: From<DbError>>(
        &self,
        counters: &Counters,
        work: &impl AsyncFn(&mut Tx<'_>) -> Result<T, E>,
        committing: &AtomicBool,
    ) -> Result<T, E> {
        let mut longest = Duration::from_millis(1);
        loop {
            match self.write_once(counters, work, committing).await? {
                Attempt::Ended(answer) => return answer,
                Attempt::Refused => counters.reruns.fetch_add(1, Ordering::Relaxed),
            };
            committing.store(false, Ordering::Relaxed);
            let share = self.pauses.lock().unwrap_or_else(PoisonError::into_inner).random::<f64>();
            self.clock.sleep(longest.mul_f64(share)).await;
            longest = (longest * 2).min(LONGEST_PAUSE);
        }
    }

    async fn write_once<T, E: From<DbError>>(
        &self,
        counters: &Counters,
        work: &impl AsyncFn(&mut Tx<'_>) -> Result<T, E>,
        committing: &AtomicBool,
    ) -> Result<Attempt<T, E>, DbError> {
        let mut connection = self.begin(WRITE).await?;
        let mut tx = Tx::new(Of::Postgresql(Session::new(self, &mut connection)), counters, false);
        // A panic leaves the transaction open, and with it goes the connection.
        let Ok(answer) = AssertUnwindSafe(self.beside.at_home(work(&mut tx))).catch_unwind().await else { return Err(DbError::Panicked) };
        let (wakes, trouble) = (std::mem::take(&mut tx.wakes), tx.trouble());
        match (answer, trouble) {
            (_, Some(Trouble::Refused)) => {
                // What the work made of the refusal does not count.
                drop(self.end(connection, Some(&Trouble::Refused)).await);
                Ok(Attempt::Refused)
            }
            (Ok(_), Some(trouble)) => {
                drop(self.end(connection, Some(&trouble)).await);
                let Trouble::Failed(statement) = trouble else { return Err(DbError::Unavailable("the connection was lost".into())) };
                Err(DbError::Statement { statement, source: "it failed, and with it everything that was to be kept with it".into() })
            }
            (Ok(answer), None) => {
                committing.store(true, Ordering::Relaxed);
                match run(&mut connection, "COMMIT").await {
                    Ok(()) => {
                        self.give_back(connection);
                        counters.commits.fetch_add(1, Ordering::Relaxed);
                        wakes.ring();
                        Ok(Attempt::Ended(Ok(answer)))
                    }
                    Err(error) if is_refusal(&error) => {
                        self.give_back(connection);
                        Ok(Attempt::Refused)
                    }
                    Err(error) if error.as_database_error().is_none() => {
                        Err(DbError::Unavailable(format!("whether the change was kept is not known: {error}")))
                    }
                    Err(error) => Err(told("COMMIT", error)),
                }
            }
            (Err(error), trouble) => {
                drop(self.end(connection, Some(trouble.as_ref().unwrap_or(&Trouble::Refused))).await);
                Ok(Attempt::Ended(Err(error)))
            }
        }
    }

    /// Ends a transaction of which nothing is kept, and the connection's use with it.
    async fn end(&self, mut connection: PgConnection, trouble: Option<&Trouble>) -> Result<(), DbError> {
        if matches!(trouble, Some(Trouble::Lost)) {
            return Ok(());
        }
        run(&mut connection, "ROLLBACK").await.map_err(|error| told("ROLLBACK", error))?;
        self.give_back(connection);
        Ok(())
    }

    /// A connection in a transaction. One that has died while it was idle is passed over.
    async fn begin(&self, how: &str) -> Result<PgConnection, DbError> {
        while let Some(mut connection) = self.pop() {
            if run(&mut connection, how).await.is_ok() {
                return Ok(connection);
            }
        }
        let mut connection = self.connect().await?;
        run(&mut connection, how).await.map_err(|error| told(how, error))?;
        Ok(connection)
    }

    /// A connection that answers.
    async fn connection(&self) -> Result<PgConnection, DbError> {
        while let Some(mut connection) = self.pop() {
            if connection.ping().await.is_ok() {
                return Ok(connection);
            }
        }
        self.connect().await
    }

    async fn connect(&self) -> Result<PgConnection, DbError> {
        let told = |error: &dyn fmt::Display| DbError::Unavailable(format!("PostgreSQL cannot be reached: {error}"));
        let options = self.connect.clone();
        let connect = async move { options.connect().await };
        // Proving that it knows the password the driver lets others have their turn, which on a thread that waits nobody would give back.
        let connect = if self.beside.waits() { self.beside.run(connect).boxed() } else { connect.boxed() };
        let connection = self.clock.timeout(self.patience, connect).await;
        connection.map_err(|elapsed| told(&elapsed))?.map_err(|error| told(&error))
    }

    /// Lets statements of this connection take as long as that.
    async fn allow(&self, connection: &mut PgConnection, limit: Duration) -> Result<(), DbError> {
        let set = format!("SET statement_timeout = {}", limit.as_millis());
        run(connection, &set).await.map_err(|error| told(&set, error))
    }

    fn pop(&self) -> Option<PgConnection> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// Leases have connections of their own, so more may come back than there may be.
    fn give_back(&self, connection: PgConnection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < self.most {
            idle.push(connection);
        }
    }
}

/// Whether we are in a runtime of one thread, as a simulated world is.
fn is_single() -> bool {
    Handle::try_current().is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::CurrentThread)
}

/// Lets the other tasks of a simulated world go on, where a store that is waited for would: before work, and before the answer to a write. The
/// embedded store does so at the same places, and what a crash may come between depends on it.
async fn let_others() {
    if is_single() {
        tokio::task::yield_now().await;
    }
}

/// What came of running work once.
enum Attempt<T, E> {
    Ended(Result<T, E>),
    /// The engine found no order for it: it may be run again.
    Refused,
}

/// What is wrong with a transaction, once something is.
#[derive(Debug)]
enum Trouble {
    /// It could not be put in an order with others, or was chosen from a deadlock.
    Refused,
    /// A statement failed, this one; nothing can be kept.
    Failed(String),
    /// The connection does not answer.
    Lost,
}

/// The right to migrate a schema, for as long as it lives.
#[derive(Debug)]
pub(super) struct Lead<'e> {
    engine: &'e Engine,
    _connection: PgConnection,
}

impl Drop for Lead<'_> {
    /// What was planned over the old tables is forgotten with the connections that planned it.
    fn drop(&mut self) {
        self.engine.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// A lock of the engine, held by a connection beside the pool. It ends with its connection, so with its process at the latest, however that
/// ended: dropped without [`Lease::end`], it closes the connection.
#[derive(Debug)]
pub(super) struct Lease {
    engine: Arc<Engine>,
    connection: PgConnection,
    lock: i64,
}

impl Lease {
    /// Gives it back, and its connection to the pool.
    pub(super) async fn end(self) {
        let Self { engine, mut connection, lock } = self;
        let unlock = format!("SELECT pg_advisory_unlock({lock})");
        let ended = async { run(&mut connection, &unlock).await.map_err(|error| told(&unlock, error)) };
        if engine.within(engine.patience, ended).await.is_ok() {
            engine.give_back(connection);
        }
    }
}

/// The statements of one transaction.
#[derive(Debug)]
pub(super) struct Session<'c> {
    engine: &'c Engine,
    connection: &'c mut PgConnection,
    trouble: Option<Trouble>,
}

impl Tx<'_> {
    fn trouble(self) -> Option<Trouble> {
        match self.session {
            Of::Postgresql(session) => session.trouble,
            Of::Sqlite(_) => None,
        }
    }
}

impl<'c> Session<'c> {
    const fn new(engine: &'c Engine, connection: &'c mut PgConnection) -> Self {
        Self { engine, connection, trouble: None }
    }

    pub(super) async fn execute(&mut self, statement: &str, values: &[Value]) -> Result<u64, DbError> {
        let (text, values) = self.engine.texts.of(statement, values)?;
        let done = self.engine.beside.over_there(query_with(AssertSqlSafe(text), values).execute(&mut *self.connection)).await;
        done.map(|done| done.rows_affected()).map_err(|error| self.failed(statement, error))
    }

    pub(super) async fn fetch_all(&mut self, query: &str, values: &[Value]) -> Result<Vec<PgRow>, DbError> {
        let (text, values) = self.engine.texts.of(query, values)?;
        let rows = self.engine.beside.over_there(query_with(AssertSqlSafe(text), values).fetch_all(&mut *self.connection)).await;
        rows.map_err(|error| self.failed(query, error))
    }

    pub(super) async fn fetch_optional(&mut self, query: &str, values: &[Value]) -> Result<Option<PgRow>, DbError> {
        let (text, values) = self.engine.texts.of(query, values)?;
        let row = self.engine.beside.over_there(query_with(AssertSqlSafe(text), values).fetch_optional(&mut *self.connection)).await;
        row.map_err(|error| self.failed(query, error))
    }

    pub(super) async fn run_script(&mut self, script: &str) -> Result<(), DbError> {
        let done = self.engine.beside.over_there(run(self.connection, script)).await;
        done.map_err(|error| self.failed(script, error))
    }

    /// Notes the first thing that went wrong, and says it in our words.
    fn failed(&mut self, statement: &str, error: sqlx::Error) -> DbError {
        let trouble = if is_refusal(&error) {
            Trouble::Refused
        } else if is_outdated(&error) {
            Trouble::Lost
        } else if error.as_database_error().is_some() {
            Trouble::Failed(head(statement))
        } else {
            Trouble::Lost
        };
        self.trouble.get_or_insert(trouble);
        told(statement, error)
    }
}

async fn run(connection: &mut PgConnection, script: &str) -> Result<(), sqlx::Error> {
    connection.execute(raw_sql(AssertSqlSafe(script.to_owned()))).await.map(|_| ())
}

fn code_of(error: &sqlx::Error) -> Option<String> {
    error.as_database_error().and_then(|error| error.code()).map(|code| code.into_owned())
}

/// A serialization failure, or the loser of a deadlock: the same work may succeed when it is run again.
fn is_refusal(error: &sqlx::Error) -> bool {
    matches!(code_of(error).as_deref(), Some("40001" | "40P01"))
}

/// Another process has changed a table since this connection planned a statement over it. With the next connection it goes.
fn is_outdated(error: &sqlx::Error) -> bool {
    matches!(code_of(error).as_deref(), Some("0A000")) && error.to_string().contains("cached plan")
}

/// The engine's error in our words. PostgreSQL's own message names tables and keys; the values stand in its detail, which stays behind.
fn told(statement: &str, error: sqlx::Error) -> DbError {
    let Some(code) = code_of(&error) else {
        return match error {
            // What we asked it for wrongly.
            sqlx::Error::Encode(_)
            | sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::ColumnNotFound(_)
            | sqlx::Error::TypeNotFound { .. } => DbError::Statement { statement: head(statement), source: error.into() },
            _ => DbError::Unavailable(error.to_string()),
        };
    };
    let said = error.as_database_error().map(|error| error.message().to_owned()).unwrap_or_default();
    match code.as_str() {
        _ if is_outdated(&error) => DbError::Unavailable(said),
        "23505" => DbError::Unique(said),
        "53100" => DbError::Full,
        // Refused for now, cancelled for its time, no room, shut down; a server that only follows another.
        "40001" | "40P01" | "55P03" | "25006" | "25P03" => DbError::Unavailable(said),
        code if ["08", "53", "57", "58"].iter().any(|class| code.starts_with(class)) => DbError::Unavailable(said),
        _ => DbError::Statement { statement: head(statement), source: said.into() },
    }
}

/// The number of a lock, from its name.
fn key_of(name: &str) -> i64 {
    let digest = Sha256::digest(name);
    digest.iter().take(8).fold(0, |key, byte| (key << 8) | i64::from(*byte))
}
