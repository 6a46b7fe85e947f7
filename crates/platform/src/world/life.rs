//! The life of a service in its world: it is built over what it has stored, works, and ends, by a request or like a process that is killed.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::sync::Notify;

use super::{Instance, Standing, StartError, World, all_migrations, endpoints};
use crate::{
    blob::BlobError,
    bus::TopicSettings,
    consumer,
    db::Db,
    event::Relay,
    http::layer::{self, Frame},
    ids::Ids,
    service::{Background, BuildError, Env, Manifest, Switch},
    tasks::Tasks,
    telemetry::{context::Contexts, metrics::HttpMetrics},
};

impl World {
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
        let (db, outbox_bell, relay) = self.stand(manifest).await?;
        // Asked once for all: a store that takes long to say nothing must not be waited for by one service after another.
        if self.names().len() == 1 {
            self.look_for_objects().await?;
        }
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
            engines: inner.engines.clone(),
            world_clock: inner.clock,
            leases: inner.leases.clone(),
            faults: inner.faults.clone(),
            metrics: metrics.clone(),
            keys: inner.keys.clone(),
            settings: inner.settings.clone(),
            db: db.clone(),
            calls: inner.calls.clone(),
            secret: inner.secret.clone(),
            may_call: manifest.calls,
            outbox_bell: outbox_bell.clone(),
        };
        let service = (manifest.build)(env).await?;
        self.take_up_rungs(name, &service.rungs);
        inner.registry.confirm().await?;
        let (router, openapi) = service.router.split_for_parts();
        let openapi = Arc::new(endpoints::describe(openapi, manifest));
        let router = endpoints::add(router, self, manifest, db.clone(), tasks.clone(), openapi.clone());
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
                has_replica: db.has_replica(),
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
        let relay = relay.of(instance);
        let stopped = relay.clone();
        let relay_work = Background::new("outbox relay", Duration::from_secs(30), Some(outbox_bell), move || {
            let relay = relay.clone();
            Box::pin(async move { relay.step().await })
        })
        .ending_with(move || {
            let relay = stopped.clone();
            Box::pin(async move { relay.stop().await })
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

    /// Before it does anything: who is started again stands where it stood.
    fn take_up_rungs(&self, name: &str, switches: &[Switch]) {
        let rungs = self.rungs();
        for (switch, rung) in switches.iter().filter_map(|switch| Some((switch, rungs.get(switch.scenario)?))) {
            if let Err(reason) = (switch.set)(rung) {
                tracing::warn!(service = name, scenario = switch.scenario, rung, reason, "a rung that others stand on is not known here");
            }
        }
    }

    async fn look_for_objects(&self) -> Result<(), BuildError> {
        match self.0.blobs.prepare().await {
            Ok(()) => Ok(()),
            // Nothing but a person mends that, so it is told now.
            Err(error @ BlobError::Bucket { .. }) => Err(BuildError::Other(error.to_string())),
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "object storage does not answer; who needs an object is answered 503 until it does"
                );
                Ok(())
            }
        }
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
    async fn stand(&self, manifest: &'static Manifest) -> Result<(Db, Arc<Notify>, Relay), BuildError> {
        if let Some(standing) = self.services().get(manifest.name) {
            return Ok((standing.db.clone(), standing.outbox_bell.clone(), standing.relay.clone()));
        }
        let migrations = all_migrations(manifest);
        let db = self.database(manifest.name, &migrations)?;
        db.migrate(&migrations).await?;
        let outbox_bell = Arc::new(Notify::new());
        let relay = Relay::new(manifest.name, db.clone(), self.0.bus.clone(), self.0.faults.clock_of(manifest.name), outbox_bell.clone());
        let standing = Standing {
            manifest,
            db: db.clone(),
            outbox_bell: outbox_bell.clone(),
            relay: relay.clone(),
            openapi: None,
            audit: Vec::new(),
            instances: BTreeMap::new(),
            starts: BTreeMap::new(),
        };
        self.services().insert(manifest.name, standing);
        Ok((db, outbox_bell, relay))
    }

    /// Kills an instance as `kill -9` would: what it had not committed is gone, what it had is there for the next.
    pub fn kill(&self, service: &str, instance: u32) {
        self.0.calls.unregister(service, instance);
        let relay = self.services().get_mut(service).and_then(|standing| {
            let gone = standing.instances.remove(&instance)?;
            gone.tasks.kill();
            Some(standing.relay.clone())
        });
        if let Some(relay) = relay {
            relay.forget();
        }
    }

    /// Kills every instance and lets go of all stores. A world holds on to itself by its services' routes, so where there are many worlds in one
    /// process, as in tests, the connections of each to an engine would stay until the process ends.
    pub(crate) fn end(&self) {
        let instances: Vec<_> =
            self.services().iter().flat_map(|(name, standing)| standing.instances.keys().map(|instance| (*name, *instance))).collect();
        for (service, instance) in instances {
            self.kill(service, instance);
        }
        let gone = std::mem::take(&mut *self.services());
        drop(gone);
    }

    /// Lets every service finish what it holds, then ends it; says whether all did in time.
    pub async fn stop(&self, patience: Duration) -> bool {
        let tasks: Vec<Tasks> =
            self.services().values().flat_map(|standing| standing.instances.values().map(|instance| instance.tasks.clone())).collect();
        futures::future::join_all(tasks.iter().map(|tasks| tasks.drain(patience))).await.into_iter().all(|finished| finished)
    }
}
