//! A world: everything that the services of one system share, and the services that run in it. There are two kinds. The real one has
//! the machine's clock, files and threads; the simulated one has a clock that jumps, memory and one thread, and is a pure function of
//! (build, seed, settings). Services cannot tell which one they are in.
//!
//! The world, not a service, owns stores and task sets, so a service can be killed and built again over what it had stored.

pub mod admin;
mod documents;
mod endpoints;
pub mod folder;
pub mod gateway;
mod pages;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::Router;
use serde::Deserialize;
use tokio::sync::Notify;
use utoipa::openapi::OpenApi;

use crate::{
    audit::Collection,
    auth::{
        Keys, Secret,
        access::{self, Access, Guard},
    },
    blob::Blobs,
    bus::{Bus, TopicSettings},
    cache::{Cache, Limits},
    chance::Chance,
    client::Calls,
    clock::Clock,
    consumer,
    db::{Db, Durability, Migration},
    event::{self, Relay},
    fault::Faults,
    http::layer::{self, Frame},
    idempotency,
    ids::Ids,
    lease::Leases,
    schema::Registry,
    service::{Background, BuildError, Env, Manifest, Switch},
    settings::{Section, Settings},
    tasks::Tasks,
    telemetry::{
        context::Contexts,
        metrics::{HttpMetrics, Metrics},
        traces::Traces,
    },
};

/// Who may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthMode {
    /// Anybody; only on loopback.
    Off,
    /// Whoever has a token for it.
    Jwt,
}

/// The section `[platform]` of the settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlatformSettings {
    /// What an answered write survives: `power` or `process`.
    pub durability: Durability,
    /// A request that takes longer is answered 503.
    pub request_timeout_ms: u64,
    /// A larger body is refused.
    pub max_body_bytes: usize,
    /// The secret of tokens (JWT, HS256) and of presigned URLs. Made anew for each data folder when left empty.
    pub signing_secret: String,
    /// How long an event stays in the log.
    pub event_retention_hours: u64,
    /// Whether requests need a token.
    pub auth: AuthMode,
    /// How many entries the cache keeps.
    pub cache_entries: usize,
    /// How many bytes it keeps at most.
    pub cache_bytes: usize,
}

impl Section for PlatformSettings {
    fn validate(&self) -> Result<(), String> {
        if self.request_timeout_ms == 0
            || self.max_body_bytes == 0
            || self.event_retention_hours == 0
            || self.cache_entries == 0
            || self.cache_bytes == 0
        {
            return Err("request_timeout_ms, max_body_bytes, event_retention_hours, cache_entries and cache_bytes must be 1 or more".into());
        }
        Ok(())
    }
}

/// Where the stores of a world are.
#[derive(Clone, Debug)]
enum Stores {
    Memory,
    Folder(PathBuf),
}

#[derive(Clone)]
pub struct World(Arc<Inner>);

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "World({})", self.names().join(", "))
    }
}

struct Inner {
    clock: Clock,
    chance: Chance,
    faults: Faults,
    bus: Bus,
    registry: Registry,
    cache: Cache,
    blobs: Blobs,
    calls: Calls,
    leases: Leases,
    metrics: Metrics,
    traces: Traces,
    keys: Keys,
    guard: Option<Guard>,
    secret: Secret,
    settings: Settings,
    platform: PlatformSettings,
    stores: Stores,
    services: Mutex<BTreeMap<&'static str, Standing>>,
}

/// What the world keeps of a service.
struct Standing {
    manifest: &'static Manifest,
    db: Db,
    outbox_bell: Arc<Notify>,
    openapi: Option<OpenApi>,
    audit: Vec<Collection>,
    instances: BTreeMap<u32, Instance>,
    /// How often each instance was started.
    starts: BTreeMap<u32, u32>,
}

struct Instance {
    tasks: Tasks,
    router: Router,
    rungs: Vec<Switch>,
    consumers: Vec<Arc<consumer::Consumer>>,
}

/// Why a world or a service in it did not start.
#[derive(Debug, thiserror::Error)]
#[error("{service} cannot start: {source}")]
pub struct StartError {
    pub service: &'static str,
    #[source]
    pub source: BuildError,
}

fn of_platform(source: impl Into<BuildError>) -> StartError {
    StartError { service: "the platform", source: source.into() }
}

impl World {
    /// A simulated world, in memory. Must be called inside a current-thread runtime whose clock is paused.
    pub fn simulated(settings: Settings, seed: u64) -> Result<Self, StartError> {
        Self::simulated_with(settings, seed, Clock::simulated(), Traces::off())
    }

    /// The same, by a clock that others go by too and with its traces kept.
    pub fn simulated_with(settings: Settings, seed: u64, clock: Clock, traces: Traces) -> Result<Self, StartError> {
        let chance = Chance::seeded(seed);
        let platform: PlatformSettings = settings.checked("platform").map_err(of_platform)?;
        let faults = Faults::new(clock, chance);
        let secret = Secret::new(format!("simulated-world-with-seed-{seed:020}"))
            .map_err(|error| of_platform(BuildError::Other(error.to_string())))?;
        let blobs = Blobs::in_memory(clock, faults.clone(), secret.clone());
        let bus = Bus::in_memory(clock, faults.clone());
        Self::assemble(clock, chance, faults, bus, Registry::in_memory(), blobs, secret, settings, platform, Stores::Memory, traces)
    }

    /// A real world over a data folder.
    pub fn real(settings: Settings, data: &Path, traces: Traces) -> Result<Self, StartError> {
        let other = |error: &dyn std::fmt::Display| of_platform(BuildError::Other(error.to_string()));
        let clock = Clock::real();
        let chance = Chance::real().map_err(|error| other(&error))?;
        let platform: PlatformSettings = settings.checked("platform").map_err(of_platform)?;
        let faults = Faults::new(clock, chance);
        let secret = if platform.signing_secret.is_empty() {
            folder::secret(data, "signing.secret", chance).map_err(|error| other(&error))?
        } else {
            Secret::new(&platform.signing_secret).map_err(|error| other(&error))?
        };
        let bus = Bus::open(data.join("bus"), platform.durability, clock, faults.clone()).map_err(of_platform)?;
        let registry = Registry::open(data.join("schemas.ndjson")).map_err(of_platform)?;
        let blobs = Blobs::on_disk(&data.join("blobs"), platform.durability == Durability::Power, clock, faults.clone(), secret.clone())
            .map_err(|error| other(&error))?;
        let stores = Stores::Folder(data.to_owned());
        Self::assemble(clock, chance, faults, bus, registry, blobs, secret, settings, platform, stores, traces)
    }

    fn assemble(
        clock: Clock,
        chance: Chance,
        faults: Faults,
        bus: Bus,
        registry: Registry,
        blobs: Blobs,
        secret: Secret,
        settings: Settings,
        platform: PlatformSettings,
        stores: Stores,
        traces: Traces,
    ) -> Result<Self, StartError> {
        let keys = Keys::new(&secret, clock).map_err(|error| of_platform(BuildError::Other(error.to_string())))?;
        let access =
            Access::parse(access::TABLE).map_err(|error| of_platform(BuildError::Other(format!("config/access.toml: {error}"))))?;
        let guard = (platform.auth == AuthMode::Jwt).then(|| Guard { keys: keys.clone(), access });
        let calls = Calls::new(clock, chance, faults.clone(), guard.as_ref().map(|guard| guard.keys.clone()));
        Ok(Self(Arc::new(Inner {
            calls,
            guard,
            cache: Cache::in_memory(clock, Limits { entries_max: platform.cache_entries, bytes_max: platform.cache_bytes }),
            keys,
            secret,
            leases: Leases::default(),
            metrics: Metrics::new(),
            services: Mutex::default(),
            clock,
            chance,
            faults,
            bus,
            registry,
            blobs,
            traces,
            settings,
            platform,
            stores,
        })))
    }

    #[must_use]
    pub fn clock(&self) -> Clock {
        self.0.clock
    }
    #[must_use]
    pub fn chance(&self) -> Chance {
        self.0.chance
    }
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.0.faults
    }
    #[must_use]
    pub fn bus(&self) -> &Bus {
        &self.0.bus
    }
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.0.registry
    }
    #[must_use]
    pub fn calls(&self) -> &Calls {
        &self.0.calls
    }
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }
    #[must_use]
    pub fn keys(&self) -> &Keys {
        &self.0.keys
    }
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// The database of a service: for what the lab's tests plant behind it, and for figures.
    #[must_use]
    pub fn db(&self, service: &str) -> Option<Db> {
        self.services().get(service).map(|standing| standing.db.clone())
    }

    /// Builds an instance of a service and lets it work.
    pub async fn start(&self, manifest: &'static Manifest, instance: u32) -> Result<(), StartError> {
        self.build(manifest, instance, true).await.map_err(|source| StartError { service: manifest.name, source })
    }

    /// Builds a service over what it has stored, for a look at it: nothing runs, nothing listens.
    pub async fn open_at_rest(&self, manifest: &'static Manifest) -> Result<(), StartError> {
        self.build(manifest, 0, false).await.map_err(|source| StartError { service: manifest.name, source })
    }

    async fn build(&self, manifest: &'static Manifest, instance: u32, at_work: bool) -> Result<(), BuildError> {
        let name = manifest.name;
        let inner = &self.0;
        let (db, outbox_bell) = self.stand(manifest).await?;
        for topic in manifest.publishes.iter().chain(manifest.consumes) {
            let retention = Some(Duration::from_secs(inner.platform.event_retention_hours * 3600));
            inner.bus.create_topic(topic, TopicSettings { retention, ..TopicSettings::default() }).await?;
        }
        // Whatever a service does it does by its own clock, which may be wrong; what all services share goes by the world's.
        let clock = inner.faults.clock_of(name);
        let tasks = Tasks::new(name, clock);
        let metrics = inner.metrics.for_service(name);
        // Who is started again must not make the ids of its former life a second time.
        let life = match self.count_start(name, instance) {
            0 => inner.chance,
            again => inner.chance.branch(name, &instance.to_string(), &format!("start {again}")),
        };
        let ids = Ids::new(clock, life, name, instance);
        let contexts = Contexts::new(life, name, instance).recorded_by(inner.traces.clone());
        let env = Env {
            service: name,
            instance,
            clock,
            chance: inner.chance,
            ids,
            contexts: contexts.clone(),
            tasks: tasks.clone(),
            bus: inner.bus.clone(),
            registry: inner.registry.clone(),
            cache: inner.cache.clone(),
            blobs: inner.blobs.clone(),
            leases: inner.leases.clone(),
            faults: inner.faults.clone(),
            metrics: metrics.clone(),
            keys: inner.keys.clone(),
            settings: inner.settings.clone(),
            db: db.clone(),
            calls: inner.calls.clone(),
            secret: inner.secret.clone(),
            outbox_bell: outbox_bell.clone(),
        };
        let service = (manifest.build)(env).await?;
        let (router, openapi) = service.router.split_for_parts();
        let openapi = endpoints::describe(openapi, manifest);
        let router = endpoints::add(router, self, manifest, db.clone(), tasks.clone(), &openapi);
        let router = layer::frame(
            router,
            Frame {
                service: name,
                clock,
                contexts: contexts.clone(),
                metrics: HttpMetrics::new(&metrics),
                traces: inner.traces.clone(),
                timeout: Duration::from_millis(inner.platform.request_timeout_ms),
                max_body_bytes: inner.platform.max_body_bytes,
                guard: inner.guard.clone(),
            },
        );
        let mut running = Vec::new();
        for consumer in service.consumers.into_iter().filter(|_| at_work) {
            let setup = consumer::Setup {
                bus: inner.bus.clone(),
                tasks: tasks.clone(),
                clock,
                faults: inner.faults.clone(),
                chance: inner.chance,
                task: consumer.topic,
                group: format!("{name}-{}", consumer.topic),
                topics: vec![consumer.topic.to_owned()],
                member: format!("{name}-{instance}"),
                policy: consumer::Policy::default(),
                dead_letters: consumer.dead_letters,
            };
            running.push(Arc::new(consumer::run(setup, consumer.handler)));
        }
        let relay = Relay::new(name, db.clone(), inner.bus.clone(), clock, inner.leases.clone());
        let relay_work = Background::new("outbox relay", Duration::from_secs(30), Some(outbox_bell), move || {
            let relay = relay.clone();
            Box::pin(async move { relay.step().await })
        });
        for work in service.background.into_iter().chain([relay_work]).filter(|_| at_work) {
            let own = tasks.clone();
            tasks.supervise(work.name, move || work.clone().run(name, clock, own.clone()));
        }
        if at_work {
            inner.calls.register(name, instance, router.clone(), tasks.clone());
        }
        if let Some(standing) = self.services().get_mut(name) {
            standing.openapi = Some(openapi);
            standing.audit = service.audit;
            standing.instances.insert(instance, Instance { tasks, router, rungs: service.rungs, consumers: running });
        }
        Ok(())
    }

    /// How often this instance was started before.
    fn count_start(&self, service: &str, instance: u32) -> u32 {
        self.services().get_mut(service).map_or(0, |standing| {
            let starts = standing.starts.entry(instance).or_default();
            *starts += 1;
            *starts - 1
        })
    }

    /// The stores of a service, opened and migrated at its first instance.
    async fn stand(&self, manifest: &'static Manifest) -> Result<(Db, Arc<Notify>), BuildError> {
        if let Some(standing) = self.services().get(manifest.name) {
            return Ok((standing.db.clone(), standing.outbox_bell.clone()));
        }
        let faults = self.0.faults.clone();
        let db = match &self.0.stores {
            Stores::Memory => Db::in_memory(manifest.name, self.0.chance, faults)?,
            Stores::Folder(folder) => {
                Db::open(manifest.name, &folder.join(format!("{}.db", manifest.name)), self.0.platform.durability, faults)?
            }
        };
        db.migrate(&all_migrations(manifest)).await?;
        let outbox_bell = Arc::new(Notify::new());
        let standing = Standing {
            manifest,
            db: db.clone(),
            outbox_bell: outbox_bell.clone(),
            openapi: None,
            audit: Vec::new(),
            instances: BTreeMap::new(),
            starts: BTreeMap::new(),
        };
        self.services().insert(manifest.name, standing);
        Ok((db, outbox_bell))
    }

    /// Kills an instance as `kill -9` would: what it had not committed is gone, what it had is there for the next.
    pub fn kill(&self, service: &str, instance: u32) {
        self.0.calls.unregister(service, instance);
        if let Some(gone) = self.services().get_mut(service).and_then(|standing| standing.instances.remove(&instance)) {
            gone.tasks.kill();
        }
    }

    /// Lets every service finish what it holds, then ends it; says whether all did in time.
    pub async fn stop(&self, patience: Duration) -> bool {
        let tasks: Vec<Tasks> =
            self.services().values().flat_map(|standing| standing.instances.values().map(|instance| instance.tasks.clone())).collect();
        futures::future::join_all(tasks.iter().map(|tasks| tasks.drain(patience))).await.into_iter().all(|finished| finished)
    }

    /// The names of the services that stand in this world, in order.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        self.services().keys().copied().collect()
    }

    /// The router of a service's first instance, for its own port.
    #[must_use]
    pub fn router(&self, service: &str) -> Option<Router> {
        self.services().get(service).and_then(|standing| standing.instances.values().next().map(|instance| instance.router.clone()))
    }

    #[must_use]
    pub fn openapi(&self, service: &str) -> Option<OpenApi> {
        self.services().get(service).and_then(|standing| standing.openapi.clone())
    }

    /// Every collection of this name, over all services.
    #[must_use]
    pub fn collections(&self, name: &str) -> Vec<Collection> {
        let services = self.services();
        services.values().flat_map(|standing| &standing.audit).filter(|collection| collection.name == name).cloned().collect()
    }

    /// The consumers of the first instance of every service.
    #[must_use]
    pub fn consumers(&self) -> Vec<Arc<consumer::Consumer>> {
        self.services()
            .values()
            .filter_map(|standing| standing.instances.values().next())
            .flat_map(|instance| instance.consumers.clone())
            .collect()
    }

    /// The names of all collections.
    #[must_use]
    pub fn collection_names(&self) -> Vec<&'static str> {
        let mut names: Vec<_> =
            self.services().values().flat_map(|standing| standing.audit.iter().map(|collection| collection.name)).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The metrics as text, of one service or of all, with what the stores and the consumers have done brought up to date.
    #[must_use]
    pub fn metrics_text(&self, service: Option<&str>) -> String {
        use std::sync::atomic::Ordering::Relaxed;
        for (name, standing) in self.services().iter() {
            let (metrics, counters) = (self.0.metrics.for_service(name), standing.db.counters());
            let show = |metric: &str, help: &str, count: u64| {
                metrics.gauge(metric, help).set(count as f64);
            };
            show("store_statements", "SQL statements since the start.", counters.statements.load(Relaxed));
            show("store_transactions", "Write transactions since the start.", counters.transactions.load(Relaxed));
            show(
                "store_commits",
                "Commits of the engine since the start; each is one fsync with durability \"power\".",
                counters.commits.load(Relaxed),
            );
            for consumer in standing.instances.values().flat_map(|instance| instance.consumers.iter()) {
                let (stats, labels) = (consumer.stats(), [("group", consumer.group())]);
                metrics.gauges("consumer_handled", "Events handled since the start.").with(&labels).set(stats.handled as f64);
                metrics.gauges("consumer_retried", "Events tried again since the start.").with(&labels).set(stats.retried as f64);
                metrics.gauges("consumer_dead_lettered", "Events set aside since the start.").with(&labels).set(stats.dead_lettered as f64);
            }
        }
        for lag in self.0.bus.lag() {
            let Some(service) = self.names().into_iter().find(|name| lag.group.starts_with(&format!("{name}-"))) else { continue };
            let labels = [("group", &*lag.group), ("partition", &*lag.partition.to_string())];
            let family = self.0.metrics.for_service(service).gauges("consumer_lag", "Events that a consumer has yet to take.");
            family.with(&labels).set(lag.events as f64);
        }
        self.0.metrics.encode(service)
    }

    /// Puts every service that has a place on this ladder on a rung.
    pub fn set_rung(&self, scenario: &str, rung: &str) -> Result<(), String> {
        let switches: Vec<Switch> = self
            .services()
            .values()
            .flat_map(|standing| standing.instances.values().flat_map(|instance| instance.rungs.clone()))
            .filter(|switch| switch.scenario == scenario)
            .collect();
        if switches.is_empty() {
            return Err(format!("no running service has a ladder `{scenario}`"));
        }
        switches.iter().try_for_each(|switch| (switch.set)(rung))
    }

    fn services(&self) -> std::sync::MutexGuard<'_, BTreeMap<&'static str, Standing>> {
        self.0.services.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs `work` in a runtime of its own, single-threaded and with a clock that jumps, with the log kept quiet: what a simulated world
/// needs around it. Several may run at once, each on its own thread.
pub fn simulate<T>(work: impl AsyncFnOnce() -> T) -> std::io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    Ok(crate::telemetry::logs::quiet(|| runtime.block_on(work())))
}

/// A service's migrations with the platform's own before them.
#[must_use]
pub fn all_migrations(manifest: &Manifest) -> Vec<Migration> {
    let mut all = vec![idempotency::migration(manifest.name)];
    all.extend(event::migrations(manifest.name));
    all.extend((manifest.migrations)());
    all
}

#[cfg(test)]
mod tests;
