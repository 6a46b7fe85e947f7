//! What a service is to its host. A service is built from what the world gives it ([`Env`]) and handed back as values ([`Service`]): a
//! router, consumers, background work, audit collections, switches. Nothing is bound or spawned until the host decides, so there is no
//! order in which services must start.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use futures::future::BoxFuture;
use hmac::Mac;
use tokio::sync::Notify;
use types::Timestamp;
use utoipa_axum::router::OpenApiRouter;

use crate::{
    audit::Collection,
    auth::{Keys, Secret, mac},
    blob::Blobs,
    bus::Bus,
    cache::Cache,
    chance::Chance,
    client::{Calls, Client},
    clock::Clock,
    db::{Db, DbError, Migration},
    engine::Engines,
    event::{Consumer, Outbox},
    fault::Faults,
    idempotency::Idempotency,
    ids::Ids,
    lease::Leases,
    limiter::{Bucket, Limiter},
    problem,
    schema::{Registry, SchemaError},
    settings::{Section, Settings, SettingsError},
    tasks::Tasks,
    telemetry::{context::Contexts, metrics::ServiceMetrics},
};

/// What is known of a service before it is built.
#[derive(Debug)]
pub struct Manifest {
    pub name: &'static str,
    /// One line for people.
    pub summary: &'static str,
    /// The first segments of its paths, for the gateway: `/orders`.
    pub paths: &'static [&'static str],
    /// The topics it publishes.
    pub publishes: &'static [&'static str],
    /// The topics it listens to.
    pub consumes: &'static [&'static str],
    /// The services it calls: where they are must be known before it starts.
    pub calls: &'static [&'static str],
    /// The kinds of problem that are its own.
    pub problems: &'static [&'static problem::Kind],
    pub migrations: fn() -> Vec<Migration>,
    pub build: fn(Env) -> BoxFuture<'static, Result<Service, BuildError>>,
}

/// One built instance of a service.
#[derive(Default)]
pub struct Service {
    /// Its endpoints, documented; the host adds `/health`, `/metrics`, `/openapi.json`, `/docs` and the layer around them.
    pub router: OpenApiRouter,
    pub consumers: Vec<Consumer>,
    pub background: Vec<Background>,
    pub audit: Vec<Collection>,
    pub rungs: Vec<Switch>,
}

/// What became of one step of background work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// There is more to do: take the next step at once.
    More,
    /// Nothing left until somebody rings or the period is over.
    Idle,
    /// Nothing left until this moment, unless somebody rings before.
    Until(Timestamp),
}

type Step = dyn Fn() -> BoxFuture<'static, Result<Progress, String>> + Send + Sync;

/// Background work that takes no input and can be taken one step at a time. A wake-up and the periodic look share one path.
#[derive(Clone)]
pub struct Background {
    pub name: &'static str,
    /// How long at most until the next look when nobody rings.
    pub every: Duration,
    pub bell: Option<Arc<Notify>>,
    step: Arc<Step>,
    /// Taken once, when it is asked to stop: what the steps had left for later.
    last: Option<Arc<Step>>,
}

impl std::fmt::Debug for Background {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Background({}, every {:?})", self.name, self.every)
    }
}

impl Background {
    pub fn new<E: std::fmt::Display + 'static>(
        name: &'static str,
        every: Duration,
        bell: Option<Arc<Notify>>,
        step: impl Fn() -> BoxFuture<'static, Result<Progress, E>> + Send + Sync + 'static,
    ) -> Self {
        Self { name, every, bell, step: told_in_words(step), last: None }
    }

    /// With a step that is taken last, when the work is asked to stop.
    #[must_use]
    pub fn ending_with<E: std::fmt::Display + 'static>(
        self,
        last: impl Fn() -> BoxFuture<'static, Result<Progress, E>> + Send + Sync + 'static,
    ) -> Self {
        Self { last: Some(told_in_words(last)), ..self }
    }

    /// Takes one step.
    pub async fn step(&self) -> Result<Progress, String> {
        (self.step)().await
    }

    /// Steps until the set is asked to stop.
    pub async fn run(self, service: &'static str, clock: Clock, tasks: Tasks) {
        let silent = Arc::new(Notify::new());
        let bell = self.bell.clone().unwrap_or(silent);
        while !tasks.is_stopping() {
            let pause = match self.step().await {
                Ok(progress) => {
                    tasks.well(self.name);
                    match progress {
                        Progress::More => continue,
                        Progress::Idle => self.every,
                        Progress::Until(moment) => moment.since(clock.now()).min(self.every),
                    }
                }
                Err(error) => {
                    tracing::warn!(service, task = self.name, %error, "a background step failed and will be taken again");
                    tasks.ill(self.name, error);
                    self.every.min(Duration::from_secs(1))
                }
            };
            // Woken, or the time is up, or asked to stop: each leads to the next look at the loop's head.
            let _: Option<Result<(), crate::clock::Elapsed>> = tasks.unless_stopping(clock.timeout(pause, bell.notified())).await;
        }
        if let Some(last) = &self.last
            && let Err(error) = last().await
        {
            tracing::warn!(service, task = self.name, %error, "the last step failed; what it was for is done after the next start");
        }
    }
}

fn told_in_words<E: std::fmt::Display + 'static>(
    step: impl Fn() -> BoxFuture<'static, Result<Progress, E>> + Send + Sync + 'static,
) -> Arc<Step> {
    Arc::new(move || {
        let work = step();
        Box::pin(async move { work.await.map_err(|error| error.to_string()) })
    })
}

/// A service's place on a scenario's ladder, changed while it runs. A rung is the service's honest older behaviour.
#[derive(Clone)]
pub struct Switch {
    pub scenario: &'static str,
    pub set: Arc<dyn Fn(&str) -> Result<(), String> + Send + Sync>,
}

impl std::fmt::Debug for Switch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Switch({})", self.scenario)
    }
}

/// Settings that may change while the service runs. Read them once per request, so that a request sees one state.
#[derive(Debug)]
pub struct Live<T>(Arc<RwLock<Arc<T>>>);

impl<T> Clone for Live<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Clone> Live<T> {
    #[must_use]
    pub fn new(value: T) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(value))))
    }

    #[must_use]
    pub fn get(&self) -> Arc<T> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn change<E>(&self, change: impl FnOnce(&mut T) -> Result<(), E>) -> Result<(), E> {
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let mut next = T::clone(&current);
        change(&mut next)?;
        *current = Arc::new(next);
        Ok(())
    }
}

impl<T: Clone + Send + Sync + 'static> Live<T> {
    /// A switch that moves these settings along a scenario's ladder.
    #[must_use]
    pub fn switch(&self, scenario: &'static str, set: impl Fn(&mut T, &str) -> Result<(), String> + Send + Sync + 'static) -> Switch {
        let live = self.clone();
        Switch { scenario, set: Arc::new(move |rung| live.change(|value| set(value, rung))) }
    }
}

/// What one instance of a service is given.
#[derive(Clone, Debug)]
pub struct Env {
    pub service: &'static str,
    pub instance: u32,
    pub clock: Clock,
    pub chance: Chance,
    pub ids: Ids,
    pub contexts: Contexts,
    pub tasks: Tasks,
    pub bus: Bus,
    pub registry: Registry,
    pub cache: Cache,
    pub blobs: Blobs,
    pub leases: Leases,
    pub faults: Faults,
    pub metrics: ServiceMetrics,
    pub keys: Keys,
    pub settings: Settings,
    pub(crate) db: Db,
    pub(crate) engines: Engines,
    /// The world's, which no fault makes wrong: what services share goes by it.
    pub(crate) world_clock: Clock,
    pub(crate) calls: Calls,
    pub(crate) secret: Secret,
    /// The services that the manifest says it calls.
    pub(crate) may_call: &'static [&'static str],
    /// Rung by the commit of a transaction that added to the outbox.
    pub(crate) outbox_bell: Arc<Notify>,
}

impl Env {
    /// The service's section of the settings.
    pub fn config<T: Section>(&self) -> Result<T, SettingsError> {
        self.settings.checked(self.service)
    }

    /// The service's database, migrated. Every instance has the same.
    #[must_use]
    pub fn db(&self) -> Db {
        self.db.clone()
    }

    /// A limiter of the service's own. All instances that ask for one of this name share its buckets where they are in Redis; where they
    /// are in memory each has its own, of at most `keys_max` keys.
    #[must_use]
    pub fn limiter(&self, name: &str, bucket: Bucket, keys_max: usize) -> Limiter {
        self.engines.limiter(self.world_clock, &format!("{}:{name}", self.service), bucket, keys_max)
    }

    /// The service's database of documents, where those are in CouchDB.
    #[cfg(feature = "engines")]
    #[must_use]
    pub fn couchdb(&self) -> Option<crate::engine::couchdb::Database> {
        self.engines.couchdb().map(|server| server.database(self.service, self.chance, self.faults.clone()))
    }

    /// The service's keyspace, where its stock is in Cassandra.
    #[cfg(feature = "engines")]
    #[must_use]
    pub fn cassandra(&self) -> Option<crate::engine::cassandra::Keyspace> {
        self.engines.cassandra().map(|server| server.keyspace(self.service, self.chance, self.faults.clone()))
    }

    /// A way to another service, which stands in this one's [`Manifest::calls`].
    #[must_use]
    pub fn client(&self, target: &'static str) -> Client {
        debug_assert!(self.may_call.contains(&target), "{} calls {target}, which its manifest does not say", self.service);
        Client::new(self.calls.clone(), self.service, target, self.clock, self.chance, self.contexts.clone())
    }

    /// A secret for one purpose, the same for all services under one `signing_secret`. It tells nothing of that one.
    pub fn secret_for(&self, purpose: &str) -> Result<Secret, BuildError> {
        derived(&self.secret, purpose)
    }

    #[must_use]
    pub fn outbox(&self) -> Outbox {
        Outbox::new(self.service, self.clock, self.ids.clone(), self.registry.clone(), self.outbox_bell.clone())
    }

    #[must_use]
    pub fn idempotency(&self) -> Idempotency {
        Idempotency::new(self.service, self.clock)
    }
}

/// A secret for one purpose, from the one that all processes of a system share.
pub(crate) fn derived(secret: &Secret, purpose: &str) -> Result<Secret, BuildError> {
    let derived = mac(secret, &[b"purpose:", purpose.as_bytes()]).finalize().into_bytes();
    Secret::new(hex::encode(derived)).map_err(|error| BuildError::Other(error.to_string()))
}

/// Why a service cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Store(#[from] DbError),
    #[error(transparent)]
    Schema(#[from] SchemaError),
    #[error(transparent)]
    Bus(#[from] crate::bus::BusError),
    #[error("{0}")]
    Other(String),
}
