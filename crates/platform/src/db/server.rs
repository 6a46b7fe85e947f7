//! A database on a server behind [`Db`](super::Db): a schema for each service, a small pool of connections, and what the embedded floor gives for
//! nothing. What PostgreSQL and MariaDB do each in its own way stands in [`Server`]; all else is the same and stands here once.
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

mod connection;
mod gate;
mod text;

use std::{
    fmt,
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use rand::RngExt;
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    sync::{AcquireError, Semaphore, SemaphorePermit},
};

use self::gate::Gate;
pub(super) use self::{
    connection::{Connection, ServerRow},
    text::{Texts, translated},
};
use super::{
    Counters, DbError, Dialect, Session as Of, Tx, Value,
    after::{After, Visit},
    head,
};
use crate::{
    auth::Secret,
    chance::{Chance, Stream},
    clock::Clock,
    engine::beside::Beside,
};

/// Prepared statements that a connection keeps.
pub(super) const STATEMENTS_KEPT: usize = 256;
/// The longest pause before work is run again.
const LONGEST_PAUSE: Duration = Duration::from_millis(64);
/// How long the rest of a migration may take, and how long others wait for who leads.
const MIGRATION: Duration = Duration::from_secs(600);
/// How long tables may be tidied.
const TIDYING: Duration = Duration::from_secs(600);

/// How a service reaches its schema.
#[derive(Clone, Debug)]
pub struct Options {
    /// `postgresql://user:password@host:port/database` or `mysql://` and the same, with TLS as the engine's settings say. A secret, for its
    /// password.
    pub url: Secret,
    /// The service's own name when left out. Several worlds on one server have schemas of different names.
    pub schema: Option<String>,
    /// The most connections of one service.
    pub connections: u32,
    /// The longest wait for a connection, and the longest time that a transaction takes with all its repeats.
    pub patience: Duration,
    /// Who follows the server and may be read from; MariaDB only.
    pub replica: Option<Replica>,
}

/// A server that follows another.
#[derive(Clone, Debug)]
pub struct Replica {
    pub url: Secret,
    /// How long a read waits for it to come as far as the read must see; then the primary is asked.
    pub wait: Duration,
}

impl Options {
    /// Ten connections, five seconds.
    #[must_use]
    pub const fn new(url: Secret) -> Self {
        Self { url, schema: None, connections: 10, patience: Duration::from_secs(5), replica: None }
    }

    /// The name of a service's schema on this server.
    pub(super) fn schema_of(&self, service: &'static str, engine: &'static str) -> Result<String, DbError> {
        let schema = self.schema.clone().unwrap_or_else(|| service.replace('-', "_"));
        let is_name = |name: &str| name.len() <= 63 && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        if schema.is_empty() || !is_name(&schema) {
            let reason = "a schema's name has at most 63 small letters, digits and `_`".to_owned();
            return Err(DbError::Open { service, path: format!("{engine}, schema `{schema}`"), reason });
        }
        Ok(schema)
    }
}

/// What an engine does in its own way. Statements are in its own words.
pub(super) trait Server: Send + Sync {
    /// As it is called in errors.
    fn name(&self) -> &'static str;
    fn dialect(&self) -> Dialect;
    /// Begins a transaction that is as good as alone.
    fn write(&self) -> &'static str;
    /// Begins a snapshot. It takes no part in what writes are checked for, and so it is never refused.
    fn read(&self) -> &'static str;
    /// A connection to the service's schema.
    fn connect(&self) -> BoxFuture<'static, Result<Connection, sqlx::Error>>;
    /// One beside the schema, which may not be there yet.
    fn connect_outside(&self) -> BoxFuture<'static, Result<Connection, sqlx::Error>>;
    /// Makes a schema that is not there.
    fn create(&self, schema: &str) -> String;
    /// Lets statements of a connection take as long as that.
    fn allow(&self, limit: Duration) -> String;
    /// Asks for a lock of this name, which ends with its connection, and waits for it so long; answered with yes or no.
    fn lock(&self, name: &str, wait: Duration) -> String;
    fn unlock(&self, name: &str) -> String;
    /// Asks for the statements that take what was deleted or replaced from each table of the schema, one a row.
    fn tidying(&self) -> &'static str;
    /// A shared statement.
    fn turn(&self, statement: &str) -> String;
    /// [`Tx::insert_new`], where one statement can say it; elsewhere the plain insert is tried, and a taken key does no harm to what was done before.
    fn insert_unless_taken(&self, insert: &str) -> Option<String>;
    /// Asks for the place that this server's log has reached, as text; nothing where it keeps no log.
    fn place(&self) -> Option<&'static str> {
        None
    }
    /// Asks, on a replica, whether it has come to a place, and waits for that so long; answered with 0 once it has.
    fn has_come_to(&self, _place: &str, _wait: Duration) -> Option<String> {
        None
    }
    /// What an error of the engine means.
    fn verdict(&self, error: &dyn sqlx::error::DatabaseError) -> Verdict;
    /// The engine's own words for it, without values in them.
    fn said(&self, error: &dyn sqlx::error::DatabaseError) -> String;
}

/// What an error of an engine means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It found no order with others, or was chosen from a deadlock: the same work may succeed when it is run again.
    Refused,
    /// Another process has changed a table since this connection planned a statement over it. With the next connection it goes.
    Outdated,
    /// A unique key is taken.
    Taken,
    Full,
    /// Refused for now, cancelled for its time, no room, shut down; a server that only follows another.
    Away,
    /// The statement is wrong, or what it would do.
    Wrong,
}

pub(super) struct Engine {
    server: Box<dyn Server>,
    schema: String,
    patience: Duration,
    /// Who follows, and how long a read waits for him.
    replica: Option<(Box<Self>, Duration)>,
    /// Why the last change was not kept, where that is the engine's own matter: it has no space, or did not answer.
    ailment: Mutex<Option<String>>,
    clock: Clock,
    most: usize,
    free: Semaphore,
    gate: Gate,
    idle: Mutex<Vec<Connection>>,
    texts: Texts,
    beside: Beside,
    pauses: Mutex<Stream>,
}

impl fmt::Debug for Engine {
    /// Without the address, in which a password stands.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.server.name(), self.schema)
    }
}

impl Engine {
    pub(super) fn new(service: &'static str, server: Box<dyn Server>, schema: String, options: &Options, chance: Chance) -> Self {
        Self {
            server,
            schema,
            patience: options.patience,
            replica: None,
            ailment: Mutex::default(),
            clock: Clock::real(),
            most: options.connections.max(1) as usize,
            free: Semaphore::new(options.connections.max(1) as usize),
            gate: Gate::new(options.connections.max(1) as usize),
            idle: Mutex::default(),
            texts: Texts::default(),
            beside: Beside::default(),
            pauses: Mutex::new(chance.stream(service, "db", "pauses")),
        }
    }

    /// With a replica that may be read from.
    #[must_use]
    pub(super) fn followed_by(self, replica: Option<(Self, Duration)>) -> Self {
        Self { replica: replica.map(|(engine, wait)| (Box::new(engine), wait)), ..self }
    }

    pub(super) const fn has_replica(&self) -> bool {
        self.replica.is_some()
    }

    pub(super) fn dialect(&self) -> Dialect {
        self.server.dialect()
    }

    pub(super) fn ailment(&self) -> Option<String> {
        self.ailment.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn ails(&self, reason: Option<String>) {
        *self.ailment.lock().unwrap_or_else(PoisonError::into_inner) = reason;
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
        let turn = self.turn().await?;
        let _permit = self.permit().await?;
        let refused = AtomicU32::new(0);
        // Whether the commit is on its way: what is given up then may have been kept.
        let committing = AtomicBool::new(false);
        let answer = self.lend_the_thread(self.write_until_kept(counters, &work, &committing, &refused)).unwrap_or_else(|| {
            let known = if committing.load(Ordering::Relaxed) { "; whether it has kept the change is not known" } else { "" };
            let reason = format!("{} did not answer within {:?}", self.server.name(), self.patience);
            self.ails(Some(reason.clone()));
            Err(DbError::Unavailable(reason + known).into())
        });
        self.gate.leave(turn, refused.into_inner());
        // Who asked may be gone before he hears of it, as with every store.
        let_others().await;
        answer
    }

    pub(super) async fn read<T, E>(&self, counters: &Counters, work: impl AsyncFnOnce(&mut Tx<'_>) -> Result<T, E>) -> Result<T, E>
    where
        E: From<DbError>,
    {
        let_others().await;
        let permit = self.permit().await?;
        self.read_on(None, permit, counters, work).await
    }

    /// [`Engine::read`], of the replica if it has come to where the request must be shown; else here.
    pub(super) async fn look<T, E>(&self, counters: &Counters, work: impl AsyncFnOnce(&mut Tx<'_>) -> Result<T, E>) -> Result<T, E>
    where
        E: From<DbError>,
    {
        let Some((replica, wait)) = &self.replica else { return self.read(counters, work).await };
        let Some(after) = Visit::asked() else { return self.read(counters, work).await };
        if let Some((connection, permit)) = replica.come_to(&after, *wait).await {
            counters.replica_reads.fetch_add(1, Ordering::Relaxed);
            return replica.read_on(Some(connection), permit, counters, work).await;
        }
        counters.replica_misses.fetch_add(1, Ordering::Relaxed);
        self.read(counters, work).await
    }

    /// A connection of a replica's, in a snapshot that has all up to a place; none when it does not come there in time, or is away.
    async fn come_to(&self, after: &After, wait: Duration) -> Option<(Connection, SemaphorePermit<'_>)> {
        let permit = self.permit().await.ok()?;
        let come = async {
            let mut connection = self.connection().await?;
            if let After::Place(place) = after {
                let Some(question) = self.server.has_come_to(place, wait) else { return Ok(None) };
                let answer = connection.number(&question).await.map_err(|error| self.told(&question, error))?;
                if answer != Some(0) {
                    self.give_back(connection);
                    return Ok(None);
                }
            }
            connection.run(self.server.read()).await.map_err(|error| self.told(self.server.read(), error))?;
            Ok(Some(connection))
        };
        // It waits for the place itself; whoever takes much longer than that is not there.
        let connection = self.within(wait.saturating_mul(2), come).await.ok()??;
        Some((connection, permit))
    }

    async fn read_on<T, E>(
        &self,
        ready: Option<Connection>,
        _permit: SemaphorePermit<'_>,
        counters: &Counters,
        work: impl AsyncFnOnce(&mut Tx<'_>) -> Result<T, E>,
    ) -> Result<T, E>
    where
        E: From<DbError>,
    {
        let snapshot = async {
            let mut connection = match ready {
                Some(connection) => connection,
                None => self.begin(self.server.read()).await?,
            };
            let mut tx = Tx::new(Of::Server(Session::new(self, &mut connection)), counters, true);
            let answer = self.beside.at_home(work(&mut tx)).await;
            let trouble = tx.trouble();
            // What the work was refused is the error, whatever comes of ending it.
            let ended = self.end(connection, trouble.as_ref()).await;
            let answer = answer?;
            ended?;
            Ok(answer)
        };
        self.lend_the_thread(snapshot).unwrap_or_else(|| {
            Err(DbError::Unavailable(format!("{} did not answer within {:?}", self.server.name(), self.patience)).into())
        })
    }

    /// Every row that was deleted or replaced in this schema and that nobody sees any more is taken from its table.
    pub(super) async fn tidy(&self) -> Result<(), DbError> {
        let _permit = self.permit().await?;
        let tidy = async {
            let mut connection = self.connection().await?;
            self.allow(&mut connection, TIDYING).await?;
            let question = self.server.tidying();
            for statement in connection.lines(question).await.map_err(|error| self.told(question, error))? {
                connection.run(&statement).await.map_err(|error| self.told(&statement, error))?;
            }
            // Closed, and not given back: it was allowed to take longer than others.
            connection.close().await.map_err(|error| self.told("close", error))
        };
        match self.within(TIDYING, tidy).await {
            Err(error) if !error.is_transient() => Err(DbError::Unavailable(error.to_string())),
            done => done,
        }
    }

    /// Makes the schema if it is missing, and waits until no other process migrates it.
    pub(super) async fn lead_migrations(&self) -> Result<Lead<'_>, DbError> {
        let lead = async {
            // A connection beside the pool: the lock is its own and ends with it, however this process ends.
            let mut connection = self.reach(self.server.connect_outside()).await?;
            self.allow(&mut connection, MIGRATION).await?;
            let lock = self.server.lock(&format!("migrations of {}", self.schema), MIGRATION);
            if !connection.is_so(&lock).await.map_err(|error| self.told(&lock, error))? {
                return Err(DbError::Unavailable(format!("another process migrates {} for longer than {MIGRATION:?}", self.schema)));
            }
            let create = self.server.create(&self.schema);
            connection.run(&create).await.map_err(|error| self.told(&create, error))?;
            Ok(Lead { engine: self, _connection: connection })
        };
        self.within(MIGRATION, lead).await
    }

    /// The right to one thing that only one process may do at a time; none while another has it.
    pub(super) async fn lease(self: &Arc<Self>, name: &str) -> Result<Option<Lease>, DbError> {
        let _permit = self.permit().await?;
        let name = format!("{name} in {}", self.schema);
        let lease = async {
            let (connection, rows) = self.ask(self.server.lock(&name, Duration::ZERO).into(), &[]).await?;
            if rows.first().is_some_and(ServerRow::is_so) {
                return Ok(Some(Lease { engine: self.clone(), connection: Some(connection), name: name.clone() }));
            }
            self.give_back(connection);
            Ok(None)
        };
        self.within(self.patience, lease).await
    }

    /// The rows of one query, which has its snapshot without a transaction around it.
    pub(super) async fn fetch_all(&self, counters: &Counters, query: &str, values: &[Value]) -> Result<Vec<ServerRow>, DbError> {
        let_others().await;
        let _permit = self.permit().await?;
        counters.count(query);
        let fetch = async {
            let (connection, rows) = self.ask(self.texts.of(&*self.server, query, values), values).await?;
            self.give_back(connection);
            Ok(rows)
        };
        self.within(self.patience, fetch).await
    }

    /// One statement, which has its transaction without our beginning one: as good as alone it is by being one statement.
    pub(super) async fn execute(&self, counters: &Counters, statement: &str, values: &[Value]) -> Result<(), DbError> {
        let kept = self.fetch_all(counters, statement, values).await.map(drop);
        if kept.is_ok() {
            counters.commits.fetch_add(1, Ordering::Relaxed);
            self.ails(None);
        }
        let_others().await;
        kept
    }

    /// Asks a connection that answers, and gives it with its rows. One that has died while it was idle is passed over.
    async fn ask(&self, question: Arc<str>, values: &[Value]) -> Result<(Connection, Vec<ServerRow>), DbError> {
        while let Some(mut connection) = self.pop() {
            match connection.fetch_all(question.clone(), values).await {
                Ok(rows) => return Ok((connection, rows)),
                Err(error) => match self.verdict(&error) {
                    None | Some(Verdict::Outdated) => {}
                    Some(_) => {
                        self.give_back(connection);
                        return Err(self.told(&question, error));
                    }
                },
            }
        }
        let mut connection = self.connect().await?;
        let rows = connection.fetch_all(question.clone(), values).await.map_err(|error| self.told(&question, error))?;
        Ok((connection, rows))
    }

    async fn permit(&self) -> Result<SemaphorePermit<'_>, DbError> {
        self.in_time(self.free.acquire(), "connection to").await
    }

    /// Whoever changes something waits here before he takes a connection, so that readers find one.
    async fn turn(&self) -> Result<SemaphorePermit<'_>, DbError> {
        self.in_time(self.gate.enter(), "turn at").await
    }

    async fn in_time<P>(&self, asked: impl Future<Output = Result<P, AcquireError>>, what: &str) -> Result<P, DbError> {
        match self.clock.timeout(self.patience, asked).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) => Err(DbError::Unavailable("it is being closed".into())),
            Err(_) => Err(DbError::Unavailable(format!("no {what} {} became free within {:?}", self.server.name(), self.patience))),
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
        done.unwrap_or_else(|elapsed| Err(DbError::Unavailable(format!("{}: {elapsed}", self.server.name()))))
    }

    async fn write_until_kept<T, E: From<DbError>>(
        &self,
        counters: &Counters,
        work: &impl AsyncFn(&mut Tx<'_>) -> Result<T, E>,
        committing: &AtomicBool,
        refused: &AtomicU32,
    ) -> Result<T, E> {
        let mut longest = Duration::from_millis(1);
        loop {
            match self.write_once(counters, work, committing).await? {
                Attempt::Ended(answer) => return answer,
                Attempt::Refused => counters.reruns.fetch_add(1, Ordering::Relaxed),
            };
            refused.fetch_add(1, Ordering::Relaxed);
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
        let mut connection = self.begin(self.server.write()).await?;
        let mut tx = Tx::new(Of::Server(Session::new(self, &mut connection)), counters, false);
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
                match connection.run("COMMIT").await {
                    Ok(()) => {
                        self.ails(None);
                        self.tell_the_place(connection).await;
                        counters.commits.fetch_add(1, Ordering::Relaxed);
                        wakes.ring();
                        Ok(Attempt::Ended(Ok(answer)))
                    }
                    Err(error) if self.verdict(&error) == Some(Verdict::Refused) => {
                        self.give_back(connection);
                        Ok(Attempt::Refused)
                    }
                    Err(error) if error.as_database_error().is_none() => {
                        Err(DbError::Unavailable(format!("whether the change was kept is not known: {error}")))
                    }
                    Err(error) => Err(self.told("COMMIT", error)),
                }
            }
            (Err(error), trouble) => {
                drop(self.end(connection, Some(trouble.as_ref().unwrap_or(&Trouble::Refused))).await);
                Ok(Attempt::Ended(Err(error)))
            }
        }
    }

    /// Gives a connection back that has just committed; tells the request how far that was, where reads may be the replica's.
    async fn tell_the_place(&self, mut connection: Connection) {
        if self.replica.is_none() || !Visit::is_told() {
            return self.give_back(connection);
        }
        let place = match self.server.place() {
            Some(question) => connection.lines(question).await.map(|lines| lines.into_iter().next()),
            None => Ok(None),
        };
        // A connection that does not answer this is not used again; that the change was kept is known.
        if place.is_ok() {
            self.give_back(connection);
        }
        Visit::reached(place.ok().flatten());
    }

    /// Ends a transaction of which nothing is kept, and the connection's use with it.
    async fn end(&self, mut connection: Connection, trouble: Option<&Trouble>) -> Result<(), DbError> {
        if matches!(trouble, Some(Trouble::Lost)) {
            return Ok(());
        }
        connection.run("ROLLBACK").await.map_err(|error| self.told("ROLLBACK", error))?;
        self.give_back(connection);
        Ok(())
    }

    /// A connection in a transaction. One that has died while it was idle is passed over.
    async fn begin(&self, how: &str) -> Result<Connection, DbError> {
        while let Some(mut connection) = self.pop() {
            if connection.run(how).await.is_ok() {
                return Ok(connection);
            }
        }
        let mut connection = self.connect().await?;
        connection.run(how).await.map_err(|error| self.told(how, error))?;
        Ok(connection)
    }

    /// A connection that answers.
    async fn connection(&self) -> Result<Connection, DbError> {
        while let Some(mut connection) = self.pop() {
            if connection.ping().await.is_ok() {
                return Ok(connection);
            }
        }
        self.connect().await
    }

    async fn connect(&self) -> Result<Connection, DbError> {
        self.reach(self.server.connect()).await
    }

    async fn reach(&self, connect: BoxFuture<'static, Result<Connection, sqlx::Error>>) -> Result<Connection, DbError> {
        let told = |error: &dyn fmt::Display| DbError::Unavailable(format!("{} cannot be reached: {error}", self.server.name()));
        // Proving that it knows the password the driver lets others have their turn, which on a thread that waits nobody would give back.
        let connect = if self.beside.waits() { self.beside.run(connect).boxed() } else { connect };
        let connection = self.clock.timeout(self.patience, connect).await;
        connection.map_err(|elapsed| told(&elapsed))?.map_err(|error| told(&error))
    }

    /// Lets statements of this connection take as long as that.
    async fn allow(&self, connection: &mut Connection, limit: Duration) -> Result<(), DbError> {
        let set = self.server.allow(limit);
        connection.run(&set).await.map_err(|error| self.told(&set, error))
    }

    fn pop(&self) -> Option<Connection> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// Leases have connections of their own, so more may come back than there may be.
    fn give_back(&self, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < self.most {
            idle.push(connection);
        }
    }

    fn verdict(&self, error: &sqlx::Error) -> Option<Verdict> {
        error.as_database_error().map(|error| self.server.verdict(error))
    }

    /// The engine's error in our words.
    fn told(&self, statement: &str, error: sqlx::Error) -> DbError {
        let Some(engine) = error.as_database_error() else {
            return match error {
                // What we asked it for wrongly.
                sqlx::Error::Encode(_)
                | sqlx::Error::ColumnDecode { .. }
                | sqlx::Error::ColumnNotFound(_)
                | sqlx::Error::TypeNotFound { .. } => DbError::Statement { statement: head(statement), source: error.into() },
                _ => DbError::Unavailable(error.to_string()),
            };
        };
        let said = self.server.said(engine);
        match self.server.verdict(engine) {
            Verdict::Taken => DbError::Unique(said),
            // Not the disk of the data folder, which `DbError::Full` is about.
            Verdict::Full => {
                let reason = format!("{} has no space left: {said}", self.server.name());
                self.ails(Some(reason.clone()));
                DbError::Unavailable(reason)
            }
            Verdict::Refused | Verdict::Outdated | Verdict::Away => DbError::Unavailable(said),
            Verdict::Wrong => DbError::Statement { statement: head(statement), source: said.into() },
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
    _connection: Connection,
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
    /// None once it has ended.
    connection: Option<Connection>,
    name: String,
}

impl Lease {
    /// Gives it back, and its connection to the pool.
    pub(super) async fn end(mut self) {
        if let Some(mut connection) = self.connection.take()
            && self.engine.within(self.engine.patience, self.unlock(&mut connection)).await.is_ok()
        {
            self.engine.give_back(connection);
        }
    }

    async fn unlock(&self, connection: &mut Connection) -> Result<(), DbError> {
        let unlock = self.engine.server.unlock(&self.name);
        connection.run(&unlock).await.map_err(|error| self.engine.told(&unlock, error))
    }
}

impl Drop for Lease {
    /// The engine notices by and by that a connection was closed. In a simulated world, whose seconds may pass before that, it is told and waited
    /// for: a crash there ends what it ends at once.
    fn drop(&mut self) {
        if let Some(mut connection) = self.connection.take()
            && is_single()
        {
            let told = self.engine.clock.timeout(self.engine.patience, self.unlock(&mut connection));
            // What could not be told, the connection tells when it is closed.
            drop(self.engine.beside.wait(told));
        }
    }
}

/// The statements of one transaction.
#[derive(Debug)]
pub(super) struct Session<'c> {
    engine: &'c Engine,
    connection: &'c mut Connection,
    trouble: Option<Trouble>,
}

impl Tx<'_> {
    fn trouble(self) -> Option<Trouble> {
        match self.session {
            Of::Server(session) => session.trouble,
            Of::Sqlite(_) => None,
        }
    }
}

impl<'c> Session<'c> {
    const fn new(engine: &'c Engine, connection: &'c mut Connection) -> Self {
        Self { engine, connection, trouble: None }
    }

    pub(super) async fn execute(&mut self, statement: &str, values: &[Value]) -> Result<u64, DbError> {
        let done = self.change(statement, values).await;
        done.map_err(|error| self.failed(statement, error))
    }

    pub(super) async fn insert_new(&mut self, insert: &str, values: &[Value]) -> Result<bool, DbError> {
        if let Some(statement) = self.engine.server.insert_unless_taken(insert) {
            return Ok(self.execute(&statement, values).await? == 1);
        }
        match self.change(insert, values).await {
            Ok(_) => Ok(true),
            Err(error) if self.engine.verdict(&error) == Some(Verdict::Taken) => Ok(false),
            Err(error) => Err(self.failed(insert, error)),
        }
    }

    pub(super) async fn fetch_all(&mut self, query: &str, values: &[Value]) -> Result<Vec<ServerRow>, DbError> {
        let text = self.text(query, values);
        let rows = self.engine.beside.over_there(self.connection.fetch_all(text, values)).await;
        rows.map_err(|error| self.failed(query, error))
    }

    pub(super) async fn fetch_optional(&mut self, query: &str, values: &[Value]) -> Result<Option<ServerRow>, DbError> {
        let text = self.text(query, values);
        let row = self.engine.beside.over_there(self.connection.fetch_optional(text, values)).await;
        row.map_err(|error| self.failed(query, error))
    }

    pub(super) async fn run_script(&mut self, script: &str) -> Result<(), DbError> {
        let done = self.engine.beside.over_there(self.connection.run(script)).await;
        done.map_err(|error| self.failed(script, error))
    }

    async fn change(&mut self, statement: &str, values: &[Value]) -> Result<u64, sqlx::Error> {
        let text = self.text(statement, values);
        self.engine.beside.over_there(self.connection.execute(text, values)).await
    }

    fn text(&self, statement: &str, values: &[Value]) -> Arc<str> {
        self.engine.texts.of(&*self.engine.server, statement, values)
    }

    /// Notes the first thing that went wrong, and says it in our words.
    fn failed(&mut self, statement: &str, error: sqlx::Error) -> DbError {
        let trouble = match (self.engine.verdict(&error), &error) {
            (Some(Verdict::Refused), _) => Trouble::Refused,
            (Some(Verdict::Outdated), _) => Trouble::Lost,
            // What cannot be sent was not sent.
            (Some(_), _) | (None, sqlx::Error::Encode(_)) => Trouble::Failed(head(statement)),
            (None, _) => Trouble::Lost,
        };
        self.trouble.get_or_insert(trouble);
        self.engine.told(statement, error)
    }
}
