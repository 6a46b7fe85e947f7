//! A world: everything that the services of one system share, and the services that run in it. There are two kinds. The real one has
//! the machine's clock, files and threads; the simulated one has a clock that jumps, memory and one thread, and is a pure function of
//! (build, seed, settings). Services cannot tell which one they are in.
//!
//! The world, not a service, owns stores and task sets, so a service can be killed and built again over what it had stored.

pub mod admin;
mod documents;
mod endpoints;
mod figures;
pub mod folder;
pub mod gateway;
mod life;
mod pages;
mod platform_settings;
pub mod sql;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::Router;
use tokio::sync::Notify;
use utoipa::openapi::OpenApi;

pub use self::platform_settings::{AuthMode, PlatformSettings};
use crate::{
    audit::Collection,
    auth::{
        Keys, Secret,
        access::{self, Access, Guard},
    },
    blob::Blobs,
    bus::Bus,
    cache::{Cache, Limits},
    chance::Chance,
    client::Calls,
    clock::Clock,
    consumer,
    db::{Db, Durability, Migration},
    engine::Engines,
    event::{self, Relay},
    fault::Faults,
    idempotency,
    lease::Leases,
    schema::Registry,
    service::{BuildError, Manifest, Switch, derived},
    settings::Settings,
    tasks::Tasks,
    telemetry::{metrics::Metrics, traces::Traces},
};

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
    engines: Engines,
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
    elsewhere: Mutex<BTreeMap<&'static str, Elsewhere>>,
    /// The rungs that were asked for, by scenario.
    rungs: Mutex<BTreeMap<String, String>>,
}

/// A service of the same system that other processes have.
#[derive(Clone, Debug)]
pub struct Elsewhere {
    pub manifest: &'static Manifest,
    /// Where its processes are: `http://host:8106`.
    pub urls: Vec<String>,
    /// Where their admin listeners are, as far as that is known.
    pub admins: Vec<String>,
}

/// What the world keeps of a service.
struct Standing {
    manifest: &'static Manifest,
    db: Db,
    outbox_bell: Arc<Notify>,
    relay: Relay,
    openapi: Option<Arc<OpenApi>>,
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
#[error("{service} cannot start: {}", crate::with_causes(source))]
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
        Self::assemble(
            clock,
            chance,
            faults,
            bus,
            Registry::in_memory(),
            blobs,
            Engines::simulated(&settings, clock).map_err(|error| of_platform(BuildError::Other(error.to_string())))?,
            secret,
            settings,
            platform,
            Stores::Memory,
            traces,
        )
    }

    /// A real world over a data folder.
    pub fn real(settings: Settings, data: &Path, traces: Traces) -> Result<Self, StartError> {
        let other = |error: &dyn std::fmt::Display| of_platform(BuildError::Other(error.to_string()));
        let clock = Clock::real();
        let chance = Chance::real().map_err(|error| other(&error))?;
        let platform: PlatformSettings = settings.checked("platform").map_err(of_platform)?;
        let faults = Faults::new(clock, chance);
        let engines = Engines::of(&settings, clock, &faults).map_err(|error| other(&error))?;
        let secret = if platform.signing_secret.is_empty() {
            folder::secret(data, "signing.secret", chance).map_err(|error| other(&error))?
        } else {
            Secret::new(&platform.signing_secret).map_err(|error| other(&error))?
        };
        let bus = match engines.bus() {
            Some(bus) => bus.clone(),
            None => Bus::open(data.join("bus"), platform.durability, clock, faults.clone()).map_err(of_platform)?,
        };
        let registry = match engines.schemas() {
            Some(registry) => registry.clone(),
            None => Registry::open(data.join("schemas.ndjson")).map_err(of_platform)?,
        };
        let blobs = match engines.blobs() {
            Some(blobs) => blobs.clone(),
            None => {
                let survives_power_cut = platform.durability == Durability::Power;
                Blobs::on_disk(&data.join("blobs"), survives_power_cut, clock, faults.clone(), secret.clone())
                    .map_err(|error| other(&error))?
            }
        };
        let stores = Stores::Folder(data.to_owned());
        Self::assemble(clock, chance, faults, bus, registry, blobs, engines, secret, settings, platform, stores, traces)
    }

    fn assemble(
        clock: Clock,
        chance: Chance,
        faults: Faults,
        bus: Bus,
        registry: Registry,
        blobs: Blobs,
        engines: Engines,
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
        let calls = Calls::new(
            clock,
            chance,
            faults.clone(),
            guard.as_ref().map(|guard| guard.keys.clone()),
            platform.breaker_failures,
            Duration::from_millis(platform.request_timeout_ms),
        )
        .map_err(|error| of_platform(BuildError::Other(error.to_string())))?;
        Ok(Self(Arc::new(Inner {
            calls,
            guard,
            cache: engines.cache(clock, Limits { entries_max: platform.cache_entries, bytes_max: platform.cache_bytes }),
            engines,
            keys,
            secret,
            leases: Leases::default(),
            metrics: Metrics::new(),
            services: Mutex::default(),
            elsewhere: Mutex::default(),
            rungs: Mutex::default(),
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

    /// The same of a service's documents, where those are in CouchDB.
    #[cfg(feature = "engines")]
    #[must_use]
    pub fn couchdb(&self, service: &'static str) -> Option<crate::engine::couchdb::Database> {
        self.0.engines.couchdb().map(|server| server.database(service, self.0.chance, self.0.faults.clone()))
    }

    /// The same of a service's keyspace, where stock is in Cassandra.
    #[cfg(feature = "engines")]
    #[must_use]
    pub fn cassandra(&self, service: &'static str) -> Option<crate::engine::cassandra::Keyspace> {
        self.0.engines.cassandra().map(|server| server.keyspace(service, self.0.chance, self.0.faults.clone()))
    }

    /// The names of the services that stand in this world, in order.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        self.services().keys().copied().collect()
    }

    /// Lets the services of this world, its gateway and its admin listener know a service that runs in other processes.
    pub fn add_elsewhere(&self, service: Elsewhere) {
        self.0.calls.register_remote(service.manifest.name, &service.urls);
        self.0.elsewhere.lock().unwrap_or_else(PoisonError::into_inner).insert(service.manifest.name, service);
    }

    /// The services that only other processes have, in order.
    #[must_use]
    pub fn elsewhere(&self) -> Vec<Elsewhere> {
        let here = self.names();
        let all = self.0.elsewhere.lock().unwrap_or_else(PoisonError::into_inner);
        all.values().filter(|service| !here.contains(&service.manifest.name)).cloned().collect()
    }

    /// What is known of every service of the system, wherever it runs, in the order of their names.
    #[must_use]
    pub fn manifests(&self) -> Vec<&'static Manifest> {
        let mut all: Vec<_> = self.services().values().map(|standing| standing.manifest).collect();
        all.extend(self.elsewhere().iter().map(|service| service.manifest));
        all.sort_by_key(|manifest| manifest.name);
        all
    }

    /// A secret for one purpose, the same in all processes under one `signing_secret`. It tells nothing of that one.
    pub fn secret_for(&self, purpose: &str) -> Result<Secret, StartError> {
        derived(&self.0.secret, purpose).map_err(of_platform)
    }

    /// The router of a service's first instance, for its own port.
    #[must_use]
    pub fn router(&self, service: &str) -> Option<Router> {
        self.services().get(service).and_then(|standing| standing.instances.values().next().map(|instance| instance.router.clone()))
    }

    #[must_use]
    pub fn openapi(&self, service: &str) -> Option<OpenApi> {
        self.services().get(service).and_then(|standing| standing.openapi.as_deref().cloned())
    }

    /// Every collection of this name, over all services of this process or of one of them.
    #[must_use]
    pub fn collections(&self, name: &str, of: Option<&str>) -> Vec<Collection> {
        let services = self.services();
        let asked = services.iter().filter(|(service, _)| of.is_none_or(|of| of == **service));
        asked.flat_map(|(_, standing)| &standing.audit).filter(|collection| collection.name == name).cloned().collect()
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

    /// Puts every service that has a place on this ladder on a rung, and whoever of them is started later.
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
        switches.iter().try_for_each(|switch| (switch.set)(rung))?;
        self.keep_rung(scenario, rung);
        Ok(())
    }

    /// Keeps on which rung of a ladder the system stands, for services that are started later, here or by whoever asks ([`World::rungs`]).
    pub fn keep_rung(&self, scenario: &str, rung: &str) {
        self.kept_rungs().insert(scenario.to_owned(), rung.to_owned());
    }

    /// The rungs that were asked for, by scenario.
    #[must_use]
    pub fn rungs(&self) -> BTreeMap<String, String> {
        self.kept_rungs().clone()
    }

    fn kept_rungs(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, String>> {
        self.0.rungs.lock().unwrap_or_else(PoisonError::into_inner)
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
