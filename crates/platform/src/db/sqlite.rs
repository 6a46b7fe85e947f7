//! SQLite, twice: inline in memory for a simulated world, and in a file behind one writer thread that lets whatever has queued up
//! share a commit, with a pool of readers beside it.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    pin::pin,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    task::{Context, Poll, Waker},
};

use rand::RngExt;
use rusqlite::{Connection, ErrorCode, config::DbConfig};
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::{Counters, DbError, Durability, FromRow, Row, Session, Tx, Value, Wakes, head};
use crate::{
    chance::{Chance, Stream},
    telemetry,
};

/// How many transactions share a commit at most.
const MAX_BATCH: usize = 256;
/// How many may wait for the writer before a caller waits to be let in.
const MAX_QUEUE: usize = 4_096;
const READERS: usize = 4;
const STATEMENTS_KEPT: usize = 128;
/// Of the work in a simulated world, one in so many is run twice, as after a serialization failure.
const RERUN_ONE_IN: u32 = 64;

/// The work of one caller, and what became of it.
trait Job: Send {
    /// Runs the work in the transaction that is open.
    fn attempt(&mut self, connection: &Connection, counters: &Counters) -> Attempt;
    /// It cannot be kept, whatever it said; what it refused by itself stays refused.
    fn spoil(&mut self, error: DbError);
    fn is_kept(&self) -> bool;
    /// Tells the caller, now that the fate of the commit is known.
    fn tell(self: Box<Self>, commit: Result<(), DbError>);
}

enum Attempt {
    /// It wants its changes kept.
    Kept,
    /// It was refused before it had changed anything.
    Refused,
    /// It was refused, and what it changed until then must go.
    Undo,
}

struct Work<F, T, E> {
    work: F,
    /// The writer works for many; what is written in this work (an event, a saga) is still part of the caller's trace.
    context: telemetry::Context,
    outcome: Option<Result<T, E>>,
    wakes: Wakes,
    reply: oneshot::Sender<Result<T, E>>,
}

#[derive(Clone, Debug)]
pub(super) enum Engine {
    Inline(Arc<Mutex<Inline>>),
    File(Arc<File>),
}

#[derive(Debug)]
pub(super) struct Inline {
    connection: Connection,
    reruns: Stream,
}

#[derive(Debug)]
pub(super) struct File {
    jobs: mpsc::Sender<Box<dyn Job>>,
    readers: Mutex<Vec<Connection>>,
    free_readers: Semaphore,
    path: PathBuf,
}

impl Engine {
    pub(super) fn in_memory(service: &'static str, chance: Chance) -> Result<Self, DbError> {
        let told = |source: rusqlite::Error| open_error(service, Path::new(":memory:"), &source);
        let connection = Connection::open_in_memory().map_err(told)?;
        prepare(&connection).map_err(told)?;
        let reruns = chance.stream(service, "db", "reruns");
        Ok(Self::Inline(Arc::new(Mutex::new(Inline { connection, reruns }))))
    }

    pub(super) fn on_disk(service: &'static str, path: &Path, durability: Durability, counters: Arc<Counters>) -> Result<Self, DbError> {
        let told = |source: rusqlite::Error| open_error(service, path, &source);
        let connection = open(path).map_err(told)?;
        connection.pragma_update(None, "journal_mode", "WAL").map_err(told)?;
        let synchronous = match durability {
            Durability::Power => "FULL",
            Durability::Process => "NORMAL",
        };
        connection.pragma_update(None, "synchronous", synchronous).map_err(told)?;
        // What is erased is overwritten, not only forgotten; older copies in the log go with [`Engine::checkpoint`].
        connection.pragma_update(None, "secure_delete", true).map_err(told)?;
        // A corrupted file is told at the start, not at the first order.
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(())).map_err(told)?;
        let (jobs, queue) = mpsc::channel(MAX_QUEUE);
        // The one writer of a file; no simulated world has a file.
        std::thread::Builder::new()
            .name(format!("{service}-writer"))
            .stack_size(512 * 1024)
            .spawn(move || write_batches(&connection, queue, &counters))
            .map_err(|error| DbError::Open { service, path: path.display().to_string(), reason: error.to_string() })?;
        Ok(Self::File(Arc::new(File { jobs, readers: Mutex::default(), free_readers: Semaphore::new(READERS), path: path.to_owned() })))
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
        match self {
            Self::Inline(inline) => {
                // A crash may fall before the commit or after it, never into it.
                tokio::task::yield_now().await;
                let answer = write_inline(&mut inline.lock().unwrap_or_else(PoisonError::into_inner), counters, &work);
                tokio::task::yield_now().await;
                answer
            }
            Self::File(file) => {
                let (reply, answer) = oneshot::channel();
                let job = Work { work, context: telemetry::Context::current(), outcome: None, wakes: Wakes::default(), reply };
                if file.jobs.send(Box::new(job)).await.is_err() {
                    return Err(DbError::Unavailable("its writer has ended".into()).into());
                }
                answer.await.unwrap_or_else(|_| Err(DbError::Unavailable("its writer has ended".into()).into()))
            }
        }
    }

    /// Moves the whole log into the file and cuts it to nothing. [`DbError::Unavailable`] while a long read is in the way.
    pub(super) async fn checkpoint(&self, service: &'static str) -> Result<(), DbError> {
        let Self::File(file) = self else { return Ok(()) };
        let (reply, answer) = oneshot::channel();
        let path = file.path.clone();
        // On a connection and a thread of its own: it waits for readers, and nobody is to wait for it. No simulated world has a file.
        std::thread::Builder::new()
            .name(format!("{service}-checkpoint"))
            .stack_size(512 * 1024)
            .spawn(move || drop(reply.send(truncate_log(&path))))
            .map_err(|error| DbError::Unavailable(error.to_string()))?;
        answer.await.unwrap_or_else(|_| Err(DbError::Unavailable("its checkpoint has ended".into())))
    }

    pub(super) async fn read<T, E>(&self, counters: &Counters, work: impl AsyncFnOnce(&mut Tx<'_>) -> Result<T, E>) -> Result<T, E>
    where
        E: From<DbError>,
    {
        match self {
            Self::Inline(inline) => {
                tokio::task::yield_now().await;
                let inline = inline.lock().unwrap_or_else(PoisonError::into_inner);
                recover_from_panic(&inline.connection)?;
                snapshot(&inline.connection, counters, work)
            }
            Self::File(file) => {
                let Ok(_permit) = file.free_readers.acquire().await else {
                    return Err(DbError::Unavailable("it is being closed".into()).into());
                };
                let idle = file.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
                let connection = match idle {
                    Some(connection) => connection,
                    None => open_reader(&file.path).map_err(|source| DbError::Unavailable(source.to_string()))?,
                };
                let answer = snapshot(&connection, counters, work);
                // One whose snapshot could not be ended (a disk that cannot be read) would refuse to begin the next: it is closed instead.
                if connection.is_autocommit() {
                    file.readers.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
                }
                answer
            }
        }
    }
}

fn write_inline<T, E: From<DbError>>(
    inline: &mut Inline,
    counters: &Counters,
    work: &impl AsyncFn(&mut Tx<'_>) -> Result<T, E>,
) -> Result<T, E> {
    let again = inline.reruns.random_ratio(1, RERUN_ONE_IN);
    let connection = &inline.connection;
    if !connection.is_autocommit() {
        recover_from_panic(connection)?;
    }
    if again {
        run(connection, "BEGIN")?;
        let mut tx = Tx::new(Session::Sqlite(connection), counters, false);
        let first = run_to_end(work(&mut tx));
        run(connection, "ROLLBACK")?;
        drop(first);
    }
    run(connection, "BEGIN")?;
    let mut tx = Tx::new(Session::Sqlite(connection), counters, false);
    let answer = run_to_end(work(&mut tx));
    let wakes = std::mem::take(&mut tx.wakes);
    if answer.is_ok() {
        run(connection, "COMMIT")?;
        counters.commits.fetch_add(1, Ordering::Relaxed);
        wakes.ring();
    } else if !connection.is_autocommit() {
        run(connection, "ROLLBACK")?;
    }
    answer
}

fn snapshot<T, E: From<DbError>>(
    connection: &Connection,
    counters: &Counters,
    work: impl AsyncFnOnce(&mut Tx<'_>) -> Result<T, E>,
) -> Result<T, E> {
    run(connection, "BEGIN")?;
    let mut tx = Tx::new(Session::Sqlite(connection), counters, true);
    let answer = run_to_end(work(&mut tx));
    // What the work was refused is the error, whatever comes of ending it.
    let ended = run(connection, "COMMIT");
    let answer = answer?;
    ended?;
    Ok(answer)
}

/// Inline work that panicked has left its transaction open; nothing of it is kept.
fn recover_from_panic(connection: &Connection) -> Result<(), DbError> {
    if connection.is_autocommit() { Ok(()) } else { run(connection, "ROLLBACK") }
}

impl<F, T, E> Job for Work<F, T, E>
where
    F: AsyncFn(&mut Tx<'_>) -> Result<T, E> + Send,
    T: Send,
    E: From<DbError> + Send,
{
    fn attempt(&mut self, connection: &Connection, counters: &Counters) -> Attempt {
        let before = connection.total_changes();
        // Of work that panics nobody knows what it did.
        let (mut wakes, mut has_run_a_script) = (Wakes::default(), true);
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let mut tx = Tx::new(Session::Sqlite(connection), counters, false);
            let answer = self.context.clone().enter(|| run_to_end((self.work)(&mut tx)));
            (wakes, has_run_a_script) = (tx.wakes, tx.has_run_a_script);
            answer
        }))
        .unwrap_or_else(|_| Err(DbError::Panicked.into()));
        self.wakes = wakes;
        let is_kept = outcome.is_ok();
        self.outcome = Some(outcome);
        match (is_kept, has_run_a_script || connection.total_changes() != before) {
            (true, _) => Attempt::Kept,
            (false, true) => Attempt::Undo,
            (false, false) => Attempt::Refused,
        }
    }

    fn spoil(&mut self, error: DbError) {
        if !matches!(self.outcome, Some(Err(_))) {
            self.outcome = Some(Err(error.into()));
        }
    }

    fn is_kept(&self) -> bool {
        matches!(self.outcome, Some(Ok(_)))
    }

    fn tell(mut self: Box<Self>, commit: Result<(), DbError>) {
        if let Err(error) = commit {
            self.spoil(error);
        }
        if self.is_kept() {
            self.wakes.ring();
        }
        // Without an answer its caller is told that the writer has ended.
        if let Some(outcome) = self.outcome {
            drop(self.reply.send(outcome));
        }
    }
}

/// What shares a commit.
///
/// Jobs run one after the other in the transaction as it is: what is refused has as a rule changed nothing by then, and a savepoint for each makes
/// the engine copy every page once more. The first job that leaves changes behind which must go takes all of them back; then everything
/// runs again, each job in a savepoint of its own.
struct Batch<'c> {
    connection: &'c Connection,
    counters: &'c Counters,
    jobs: Vec<Box<dyn Job>>,
    has_savepoints: bool,
}

impl Batch<'_> {
    /// Runs one more job. An error is that of the whole batch.
    fn add(&mut self, mut job: Box<dyn Job>) -> Result<(), DbError> {
        if self.has_savepoints {
            run_apart(self.connection, self.counters, job.as_mut());
            self.jobs.push(job);
            return self.is_open();
        }
        let attempt = job.attempt(self.connection, self.counters);
        self.jobs.push(job);
        self.is_open()?;
        if matches!(attempt, Attempt::Undo) {
            run(self.connection, "ROLLBACK")?;
            run(self.connection, "BEGIN IMMEDIATE")?;
            // Alone, it has taken nothing of anybody else's back, and its answer stands.
            if self.jobs.len() > 1 {
                self.has_savepoints = true;
                for job in &mut self.jobs {
                    run_apart(self.connection, self.counters, job.as_mut());
                    if self.connection.is_autocommit() {
                        break;
                    }
                }
            }
        }
        self.is_open()
    }

    /// A full disk, say, makes the engine roll the whole transaction back by itself.
    fn is_open(&self) -> Result<(), DbError> {
        if self.connection.is_autocommit() { Err(DbError::Unavailable("the shared commit was rolled back".into())) } else { Ok(()) }
    }
}

/// One job as a savepoint of the batch: its own failure undoes its own changes only.
fn run_apart(connection: &Connection, counters: &Counters, job: &mut dyn Job) {
    let ended = run(connection, "SAVEPOINT job").and_then(|()| match job.attempt(connection, counters) {
        _ if connection.is_autocommit() => Err(DbError::Unavailable("the shared commit was rolled back".into())),
        Attempt::Kept => run(connection, "RELEASE job"),
        Attempt::Refused | Attempt::Undo => run(connection, "ROLLBACK TO job").and_then(|()| run(connection, "RELEASE job")),
    });
    if let Err(error) = ended {
        job.spoil(error);
    }
}

/// The writer's life: take what has queued up, run it in one transaction, commit, tell everybody.
fn write_batches(connection: &Connection, mut queue: mpsc::Receiver<Box<dyn Job>>, counters: &Counters) {
    while let Some(first) = queue.blocking_recv() {
        let mut batch = Batch { connection, counters, jobs: Vec::new(), has_savepoints: false };
        let mut commit = run(connection, "BEGIN IMMEDIATE");
        let mut next = Some(first);
        while let Some(job) = next.take() {
            if commit.is_ok() {
                commit = batch.add(job);
            } else {
                // Not run at all: its caller is told that the writer is not there, and may try again.
                drop(job);
            }
            if batch.jobs.len() < MAX_BATCH {
                next = queue.try_recv().ok();
            }
        }
        if commit.is_ok() {
            commit = if batch.jobs.iter().any(|job| job.is_kept()) {
                counters.commits.fetch_add(1, Ordering::Relaxed);
                run(connection, "COMMIT")
            } else {
                run(connection, "ROLLBACK")
            };
        }
        if commit.is_err() && !connection.is_autocommit() {
            // Nothing more can be done with a transaction that neither commits nor rolls back; the next BEGIN will say so.
            drop(run(connection, "ROLLBACK"));
        }
        for job in batch.jobs {
            job.tell(match &commit {
                Ok(()) => Ok(()),
                Err(DbError::Full) => Err(DbError::Full),
                Err(error) => Err(DbError::Unavailable(error.to_string())),
            });
        }
    }
}

/// Polls once: work that awaits only its transaction is always ready.
fn run_to_end<T, E: From<DbError>>(work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    match pin!(work).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        #[expect(clippy::panic, reason = "a programmer's mistake that every test of the service would show: no network in a transaction")]
        Poll::Pending => panic!("work in a transaction awaited something other than its transaction"),
    }
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    prepare(&connection)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    Ok(connection)
}

/// Every statement is planned once and kept. Without the guarantee of a stable plan the planner looks at bound values (a `LIMIT ?` is enough), and
/// whenever such a value changes the statement is planned anew.
fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(|_| ())
}

fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let connection = open(path)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

fn truncate_log(path: &Path) -> Result<(), DbError> {
    let statement = "PRAGMA wal_checkpoint(TRUNCATE)";
    let told = |source| error(statement, source);
    let is_busy: bool = open(path).map_err(told)?.query_row(statement, [], |row| row.get(0)).map_err(told)?;
    if is_busy { Err(DbError::Unavailable("a read is in the way of its checkpoint".into())) } else { Ok(()) }
}

fn run(connection: &Connection, statement: &str) -> Result<(), DbError> {
    let told = |source| error(statement, source);
    let mut prepared = connection.prepare_cached(statement).map_err(told)?;
    prepared.raw_execute().map(|_| ()).map_err(told)
}

fn open_error(service: &'static str, path: &Path, source: &rusqlite::Error) -> DbError {
    DbError::Open { service, path: path.display().to_string(), reason: source.to_string() }
}

pub(super) fn execute(connection: &Connection, statement: &str, values: Vec<Value>) -> Result<u64, DbError> {
    let told = |source| error(statement, source);
    let mut prepared = connection.prepare_cached(statement).map_err(told)?;
    let changed = prepared.execute(rusqlite::params_from_iter(values)).map_err(told)?;
    Ok(changed as u64)
}

pub(super) fn fetch_all<T: FromRow>(connection: &Connection, query: &str, values: Vec<Value>) -> Result<Vec<T>, DbError> {
    let told = |source| error(query, source);
    let mut prepared = connection.prepare_cached(query).map_err(told)?;
    let mut rows = prepared.query(rusqlite::params_from_iter(values)).map_err(told)?;
    let mut all = Vec::new();
    while let Some(row) = rows.next().map_err(told)? {
        all.push(T::from_row(&Row::of_sqlite(row))?);
    }
    Ok(all)
}

pub(super) fn fetch_optional<T: FromRow>(connection: &Connection, query: &str, values: Vec<Value>) -> Result<Option<T>, DbError> {
    let told = |source| error(query, source);
    let mut prepared = connection.prepare_cached(query).map_err(told)?;
    let mut rows = prepared.query(rusqlite::params_from_iter(values)).map_err(told)?;
    rows.next().map_err(told)?.map(|row| T::from_row(&Row::of_sqlite(row))).transpose()
}

/// The engine's error in our words.
pub(super) fn error(statement: &str, source: rusqlite::Error) -> DbError {
    match source.sqlite_error_code() {
        Some(ErrorCode::ConstraintViolation) if is_unique(&source) => DbError::Unique(source.to_string()),
        Some(ErrorCode::DiskFull) => DbError::Full,
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::SystemIoFailure | ErrorCode::ReadOnly) => {
            DbError::Unavailable(source.to_string())
        }
        _ => DbError::Statement { statement: head(statement), source: source.into() },
    }
}

fn is_unique(source: &rusqlite::Error) -> bool {
    use rusqlite::ffi::{SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_ROWID, SQLITE_CONSTRAINT_UNIQUE};
    source.sqlite_error().is_some_and(|error| {
        matches!(error.extended_code, SQLITE_CONSTRAINT_UNIQUE | SQLITE_CONSTRAINT_PRIMARYKEY | SQLITE_CONSTRAINT_ROWID)
    })
}
