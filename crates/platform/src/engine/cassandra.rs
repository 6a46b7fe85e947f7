//! A Cassandra cluster, and a service's keyspace on it. CQL is written by the service, with `$.` in front of each table for its keyspace; a row is
//! read as one of SQL is ([`Row`]).
//!
//! - **What is read is what was answered.** Reads and writes ask a quorum. A conditional write (a lightweight transaction) is decided by a
//!   serial quorum, so of several one wins.
//! - **No answer is no refusal.** A conditional write whose answer is lost may have been applied, and may still be ([`CassandraError::Unknown`]);
//!   a serial read afterwards tells of what was decided. It is never sent twice from here. A plain write says the same however often it is sent.
//! - **Migrations** are numbered texts, up and down. One process leads, by a lease that ends by itself; a text that was cut off is run again
//!   from its beginning, so it has to bear that (`IF NOT EXISTS`).
//! - **The simulated world.** There the clock would run on while an answer is waited for, so its thread waits ([`Waiting`]). There is one process
//!   and no other time than the world's: leases are always given, and rows do not go by the server's clock ([`Keyspace::rows_fade`]).

mod error;
mod migrate;
mod wire;

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::future::BoxFuture;
use scylla::{
    client::{caching_session::CachingSession, execution_profile::ExecutionProfile, session_builder::SessionBuilder},
    response::{PagingState, PagingStateResponse},
    statement::{Consistency, SerialConsistency, Statement},
    value::Row as Found,
};
use tokio::sync::OnceCell;
use types::id::Uuid;

use self::wire::Bound;
pub(crate) use self::wire::WideRow;
pub use self::{error::CassandraError, migrate::Migration};
use super::{EngineError, authority, beside::Waiting};
use crate::{
    auth::Secret,
    chance::Chance,
    clock::Clock,
    db::{FromRow, Row, Value},
    fault::{Effect, Faults, Passing},
    ids::Ids,
    settings::CassandraSettings,
    values,
};

/// Statements that are kept prepared.
const STATEMENTS_KEPT: usize = 256;
/// How many rows are asked for at a time.
const PAGE: i32 = 1_000;
/// How long whoever migrates may take; after that another does, for he has died.
const MIGRATION: Duration = Duration::from_secs(60);
/// A change of tables takes longer than a request.
const SCHEMA_CHANGE: Duration = Duration::from_secs(30);

/// The cluster. Nothing is asked until somebody needs something.
#[derive(Clone)]
pub struct Server(Arc<Inner>);

struct Inner {
    contact_points: Vec<String>,
    datacenter: String,
    login: Option<(String, Secret)>,
    tls: Option<Arc<rustls::ClientConfig>>,
    timeout: Duration,
    prefix: String,
    replication: u32,
    /// What the network is waited for by, in every world.
    clock: Clock,
    session: OnceCell<CachingSession>,
    /// Last, so that its runtime ends behind the session's work.
    waiting: Waiting,
}

impl fmt::Debug for Server {
    /// Without what opens it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cassandra({})", self.0.contact_points.join(","))
    }
}

impl Server {
    /// The cluster that the settings name, for a world that goes by this clock.
    ///
    /// # Errors
    /// [`EngineError`] for an address or a file that cannot be used.
    pub fn new(settings: &CassandraSettings, world: Clock) -> Result<Self, EngineError> {
        let contact_points: Vec<String> =
            settings.contact_points.split(',').map(str::trim).filter(|point| !point.is_empty()).map(str::to_owned).collect();
        if contact_points.is_empty() {
            return Err(EngineError::Unset { setting: "stores.stock", engine: "cassandra", key: "engines.cassandra.contact_points" });
        }
        let tls = authority("engines.cassandra.ca_file", &settings.ca_file)?.map(|pem| wire::trusting(&pem)).transpose();
        Ok(Self(Arc::new(Inner {
            contact_points,
            datacenter: settings.local_datacenter.clone(),
            login: settings.password.clone().map(|password| (settings.user.clone(), password)),
            tls: tls.map_err(|reason| EngineError::Refused { key: "engines.cassandra.ca_file", reason })?,
            timeout: Duration::from_millis(settings.timeout_ms),
            prefix: settings.prefix.clone(),
            replication: settings.replication,
            clock: Clock::real(),
            session: OnceCell::new(),
            waiting: Waiting::by(world),
        })))
    }

    /// The keyspace of a service. Nothing is asked yet.
    #[must_use]
    pub fn keyspace(&self, service: &'static str, chance: Chance, faults: Faults) -> Keyspace {
        let name = format!("{}{}", self.0.prefix, service.replace('-', "_"));
        // Of this machine's time and chance, also in a simulated world: two holders of a lease must never have the same.
        let ids = Ids::new(self.0.clock, chance, "cassandra", 0);
        Keyspace(Arc::new(Space { server: self.clone(), name, service, faults, ids, ready: OnceCell::new(), migrations: Mutex::default() }))
    }

    /// Whether it answers, within this time.
    pub(super) async fn check(&self, limit: Duration) -> Result<(), CassandraError> {
        let asked = async { self.once("SELECT key FROM system.local", &[], Consistency::One, self.0.timeout).await.map(drop) };
        match self.0.waiting.until(self.0.clock.timeout(limit, asked)).await {
            Ok(answer) => answer,
            Err(elapsed) => Err(self.away(elapsed.to_string())),
        }
    }

    /// The connections; the driver makes those anew that are lost.
    async fn session(&self) -> Result<&CachingSession, CassandraError> {
        let connect = async {
            let inner = &*self.0;
            let profile = ExecutionProfile::builder()
                .consistency(Consistency::Quorum)
                .serial_consistency(Some(SerialConsistency::Serial))
                .request_timeout(Some(inner.timeout))
                .build();
            let mut builder = SessionBuilder::new()
                .known_nodes(&inner.contact_points)
                .connection_timeout(inner.timeout)
                .fetch_full_schema_metadata(false)
                .refresh_metadata_on_auto_schema_agreement(false)
                .schema_agreement_interval(Duration::from_millis(20))
                .tls_context(inner.tls.clone())
                .default_execution_profile_handle(profile.into_handle());
            if !inner.datacenter.is_empty() {
                builder = builder.prefer_datacenter(inner.datacenter.clone());
            }
            if let Some((user, password)) = &inner.login {
                builder = builder.user(user, password.expose());
            }
            match inner.clock.timeout(inner.timeout, Box::pin(builder.build())).await {
                Ok(Ok(session)) => Ok(CachingSession::from(session, STATEMENTS_KEPT)),
                Ok(Err(error)) => Err(error::of_session(self, &error)),
                Err(elapsed) => Err(self.away(elapsed.to_string())),
            }
        };
        self.0.session.get_or_try_init(|| connect).await
    }

    /// One statement, with all the rows of its answer. Boxed: what the driver does is deep, and many layers lie around it.
    fn once<'a>(
        &'a self,
        cql: &'a str,
        values: &'a [Value],
        consistency: Consistency,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Answer, CassandraError>> {
        Box::pin(self.execute(cql, values, consistency, timeout))
    }

    async fn execute(&self, cql: &str, values: &[Value], consistency: Consistency, timeout: Duration) -> Result<Answer, CassandraError> {
        let session = self.session().await?;
        let is_conditional = cql.contains(" IF ");
        let mut statement = Statement::new(cql).with_page_size(PAGE);
        statement.set_consistency(consistency);
        statement.set_request_timeout(Some(timeout));
        statement.set_is_idempotent(!is_conditional);
        let bound: Vec<Bound<'_>> = values.iter().map(Bound).collect();
        let (mut answer, mut page) = (Answer::default(), PagingState::start());
        loop {
            let asked = Box::pin(session.execute_single_page(statement.clone(), bound.as_slice(), page)).await;
            let (found, next) = asked.map_err(|error| error::of_statement(self, cql, is_conditional, &error))?;
            if found.is_rows() {
                let strange = |reason: String| self.away(format!("its answer cannot be read: {reason}"));
                let rows = found.into_rows_result().map_err(|error| strange(error.to_string()))?;
                answer.names = rows.column_specs().iter().map(|column| column.name().to_owned()).collect();
                for row in rows.rows::<Found>().map_err(|error| strange(error.to_string()))? {
                    answer.rows.push(row.map_err(|error| strange(error.to_string()))?);
                }
            }
            match next {
                PagingStateResponse::HasMorePages { state } => page = state,
                PagingStateResponse::NoMorePages => return Ok(answer),
            }
        }
    }

    fn away(&self, reason: String) -> CassandraError {
        CassandraError::Away { at: self.at(), reason }
    }

    fn at(&self) -> String {
        self.0.contact_points.join(",")
    }
}

/// The rows of an answer, and the names of their columns.
#[derive(Debug, Default)]
struct Answer {
    names: Vec<String>,
    rows: Vec<Found>,
}

impl Answer {
    fn into<T: FromRow>(self, of: &Server) -> Result<Vec<T>, CassandraError> {
        let row = |row: &Found| T::from_row(&Row::of_cassandra(WideRow { names: &self.names, row }));
        self.rows.iter().map(row).collect::<Result<_, _>>().map_err(|error| of.away(format!("its answer cannot be read: {error}")))
    }
}

/// A service's keyspace: made, and its tables with it, when it is first needed and not there. A clone is the same keyspace.
#[derive(Clone)]
pub struct Keyspace(Arc<Space>);

struct Space {
    server: Server,
    name: String,
    service: &'static str,
    faults: Faults,
    ids: Ids,
    /// Filled once its tables are as they should be.
    ready: OnceCell<()>,
    migrations: Mutex<Vec<Migration>>,
}

impl fmt::Debug for Keyspace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyspace({} of {:?})", self.0.name, self.0.server)
    }
}

impl Keyspace {
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    #[must_use]
    pub fn service(&self) -> &'static str {
        self.0.service
    }

    /// Whether a row that was given a time to live goes when the world's clock says so as well. In a simulated world it does not: there a
    /// day is over in a moment, of which the server knows nothing.
    #[must_use]
    pub fn rows_fade(&self) -> bool {
        !self.0.server.0.waiting.is_simulated()
    }

    /// Says which tables there are to be, and makes them.
    ///
    /// # Errors
    /// [`CassandraError::Away`] when nobody answers, which passes: the first use makes them then. Every other one wants a person.
    pub async fn prepare(&self, migrations: Vec<Migration>) -> Result<(), CassandraError> {
        *self.0.migrations.lock().unwrap_or_else(PoisonError::into_inner) = migrations;
        self.0.server.0.waiting.until(self.ready()).await
    }

    /// Takes back every migration above `number`, the newest first.
    pub async fn migrate_down(&self, number: i64) -> Result<(), CassandraError> {
        let migrations = self.migrations();
        self.0.server.0.waiting.until(migrate::down(self, migrations, number)).await
    }

    fn ready(&self) -> BoxFuture<'_, Result<(), CassandraError>> {
        Box::pin(async { self.0.ready.get_or_try_init(|| migrate::up(self, self.migrations())).await.copied() })
    }

    fn migrations(&self) -> Vec<Migration> {
        self.0.migrations.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Faults that are meant for the stores of a service are meant for this one too. To be asked once for each piece of work that writes.
    pub async fn let_write(&self) -> Result<(), CassandraError> {
        match self.0.faults.pass("store.commit", Passing { service: self.0.service, ..Passing::default() }).await {
            Effect::Fail => Err(self.0.server.away("it is busy".into())),
            _ => Ok(()),
        }
    }

    /// The rows of a `SELECT`. It sees every write that was answered before it.
    pub async fn fetch_all<T: FromRow>(&self, cql: &str, values: Vec<Value>) -> Result<Vec<T>, CassandraError> {
        self.ask(cql, &values, Consistency::Quorum).await?.into(&self.0.server)
    }

    /// The one row of a `SELECT`, if it is there.
    pub async fn fetch_optional<T: FromRow>(&self, cql: &str, values: Vec<Value>) -> Result<Option<T>, CassandraError> {
        Ok(self.fetch_all(cql, values).await?.pop())
    }

    /// The same, and it decides what became of conditional writes that are on their way: whatever it does not see was not applied by anything
    /// that had begun before it.
    pub async fn fetch_decided<T: FromRow>(&self, cql: &str, values: Vec<Value>) -> Result<Option<T>, CassandraError> {
        Ok(self.ask(cql, &values, Consistency::Serial).await?.into(&self.0.server)?.pop())
    }

    /// A plain write, whatever stands there. Not for a table that is written conditionally: the two know nothing of each other.
    pub async fn write(&self, cql: &str, values: Vec<Value>) -> Result<(), CassandraError> {
        debug_assert!(!cql.contains(" IF "), "a conditional write is told by `write_if`: {cql}");
        self.ask(cql, &values, Consistency::Quorum).await.map(drop)
    }

    /// A conditional write (`… IF …`); says whether it was applied.
    ///
    /// # Errors
    /// [`CassandraError::Unknown`] when it may have been applied, and may still be.
    pub async fn write_if(&self, cql: &str, values: Vec<Value>) -> Result<bool, CassandraError> {
        debug_assert!(cql.contains(" IF "), "without a condition it is `write`: {cql}");
        let answer = self.ask(cql, &values, Consistency::Quorum).await?;
        self.applied(answer)
    }

    fn applied(&self, answer: Answer) -> Result<bool, CassandraError> {
        let told: Vec<wire::Applied> = answer.into(&self.0.server)?;
        told.first().map(|told| told.0).ok_or_else(|| self.0.server.away("a conditional write has no answer".into()))
    }

    /// The right to something that only one process may do at a time; none while another has it. It ends by itself after so many whole seconds, so
    /// who takes longer may not be alone.
    pub async fn lease(&self, name: &'static str, lasts: Duration) -> Result<Option<Lease>, CassandraError> {
        let holder = self.0.ids.make();
        if !self.rows_fade() {
            return Ok(Some(Lease { space: self.clone(), name, holder }));
        }
        let taken = self.write_if(&leases_insert(lasts), values![name, holder]).await?;
        Ok(taken.then(|| Lease { space: self.clone(), name, holder }))
    }

    /// Takes the keyspace away with all that is in it. In a simulated world it has done so when it is polled once.
    pub async fn drop_it(&self) -> Result<(), CassandraError> {
        let cql = format!("DROP KEYSPACE IF EXISTS \"{}\"", self.0.name);
        self.0.server.0.waiting.until(self.0.server.once(&cql, &[], Consistency::Quorum, SCHEMA_CHANGE)).await.map(drop)
    }

    /// A statement to the keyspace, which is there then.
    async fn ask(&self, cql: &str, values: &[Value], consistency: Consistency) -> Result<Answer, CassandraError> {
        let server = &self.0.server.0;
        server.waiting.let_others().await;
        let answer = server
            .waiting
            .until(async {
                self.ready().await?;
                self.tell(cql, values, consistency, server.timeout).await
            })
            .await;
        server.waiting.let_others().await;
        answer
    }

    async fn tell(&self, cql: &str, values: &[Value], consistency: Consistency, timeout: Duration) -> Result<Answer, CassandraError> {
        let cql = cql.replace("$.", &format!("\"{}\".", self.0.name));
        self.0.server.once(&cql, values, consistency, timeout).await
    }
}

fn leases_insert(lasts: Duration) -> String {
    format!("INSERT INTO $.leases (name, holder) VALUES (?, ?) IF NOT EXISTS USING TTL {}", lasts.as_secs())
}

/// The right of one process, until it ends it or its time is over.
#[derive(Debug)]
pub struct Lease {
    space: Keyspace,
    name: &'static str,
    holder: Uuid,
}

impl Lease {
    /// Lets others have it at once.
    pub async fn end(self) {
        if self.space.rows_fade() {
            let ended = self.space.write_if("DELETE FROM $.leases WHERE name = ? IF holder = ?", values![self.name, self.holder]).await;
            if let Err(error) = ended {
                tracing::debug!(error = &error as &dyn std::error::Error, "a lease was not given back and ends by itself");
            }
        }
    }
}
