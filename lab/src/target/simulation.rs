//! A fresh simulated world for a piece of work: one thread, a clock that jumps, stores in memory, seeded chance. The same (build, seed,
//! settings, work) gives the same facts, always. Worlds share nothing, so several may run at once, each on a thread of its own.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body};
use futures::future::{BoxFuture, Either, select};
use http::{HeaderName, HeaderValue};
use http_body_util::BodyExt;
use platform::{
    Clock, Settings,
    db::DbError,
    service::Manifest,
    settings::{self, SettingsError},
    telemetry::{logs, traces::Traces},
    world::{StartError, World, admin, gateway, simulate},
};
use tower::ServiceExt;
use types::Timestamp;

use super::{ClockKind, Reply, Request, Target, TargetError, scrapes::Scrapes};

/// How many instances of each service a simulated world has: two, so that work is shared and handed over.
const INSTANCES: u32 = 2;

/// How often the metrics of a recorded world are read.
const SCRAPE: Duration = Duration::from_secs(15);

/// A setting that differs from the default document: `("inventory.reservation_ttl_seconds", 900.into())`.
pub type Override = (&'static str, toml::Value);

/// What is needed to make simulated worlds: the services, which the lab does not know by itself.
#[derive(Clone, Copy, Debug)]
pub struct Simulation {
    pub manifests: &'static [&'static Manifest],
    /// SQL behind the store of a service, before anything happens: the bugs that tests plant. None otherwise.
    pub planted: &'static [(&'static str, &'static str)],
}

#[derive(Debug, thiserror::Error)]
pub enum SimulationError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("the bug cannot be planted: {0}")]
    Plant(#[from] DbError),
    #[error("no runtime for a simulated world: {0}")]
    Runtime(#[from] std::io::Error),
    #[error("a simulated world ended without an answer: its thread panicked")]
    Lost,
}

/// The simulated world as a target.
#[derive(Debug)]
pub struct Simulated {
    /// The world itself, for tests that plant something behind it.
    pub world: World,
    gateway: Router,
    admin: Router,
}

/// What a world has said of itself while it ran: what its operators would have, and nothing else.
#[derive(Clone, Debug)]
pub struct Recording {
    /// As TOML, secrets masked.
    pub settings: String,
    /// A JSON object a line.
    pub logs: Vec<u8>,
    /// A span a line, in the order in which they ended.
    pub traces: Vec<u8>,
    /// Every scrape, as OpenMetrics with timestamps.
    pub metrics: String,
}

impl Simulation {
    /// Runs `work` in a fresh world of this seed, with these settings changed, on this thread, without logs.
    pub fn run<T>(&self, seed: u64, overrides: &[Override], work: impl AsyncFnOnce(&Simulated) -> T) -> Result<T, SimulationError> {
        simulate(async || {
            let simulated = self.world(seed, overrides, Clock::simulated(), Traces::off()).await?;
            let answer = work(&simulated).await;
            self.end(&simulated);
            Ok(answer)
        })?
    }

    /// The same, with everything kept that the world says of itself meanwhile. Being listened to changes nothing about a world.
    pub fn record<T>(
        &self,
        seed: u64,
        overrides: &[Override],
        work: impl AsyncFnOnce(&Simulated) -> T,
    ) -> Result<(T, Recording), SimulationError> {
        simulate(async || {
            let clock = Clock::simulated();
            let (log, traces) = (Arc::<Mutex<Vec<u8>>>::default(), Traces::kept(clock));
            let sink = log.clone();
            let heard =
                logs::capture(clock, move |line| sink.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(line.as_bytes()));
            let simulated = self.world(seed, overrides, clock, traces.clone()).await?;
            let mut scrapes = Scrapes::default();
            let answer = {
                let (work, scraping) = (work(&simulated), scrape(&simulated, &mut scrapes));
                futures::pin_mut!(work, scraping);
                match select(work, scraping).await {
                    Either::Left((answer, _)) => answer,
                    Either::Right((never, _)) => match never {},
                }
            };
            scrapes.take(simulated.now(), &simulated.metrics().await);
            self.end(&simulated);
            drop(heard);
            let settings = simulated.world.settings().printable();
            let logs = std::mem::take(&mut *log.lock().unwrap_or_else(PoisonError::into_inner));
            Ok((answer, Recording { settings, logs, traces: traces.lines(), metrics: scrapes.text() }))
        })?
    }

    async fn world(&self, seed: u64, overrides: &[Override], clock: Clock, traces: Traces) -> Result<Simulated, SimulationError> {
        let mut settings = Settings::load(settings::DEFAULTS, None, std::iter::empty())?;
        for (path, value) in overrides {
            settings = settings.with(path, value.clone())?;
        }
        let world = World::simulated_with(settings, seed, clock, traces)?;
        for instance in 0..INSTANCES {
            for manifest in self.manifests {
                world.start(manifest, instance).await?;
            }
        }
        for (service, script) in self.planted {
            if let Some(db) = world.db(service) {
                db.run_script(script).await?;
            }
        }
        Ok(Simulated { gateway: gateway::router(&world), admin: admin::open_router(&world), world })
    }

    /// A service holds the world's ways to itself; without this the world would outlive its use.
    fn end(&self, simulated: &Simulated) {
        for manifest in self.manifests {
            (0..INSTANCES).for_each(|instance| simulated.world.kill(manifest.name, instance));
        }
    }
}

async fn scrape(simulated: &Simulated, scrapes: &mut Scrapes) -> std::convert::Infallible {
    loop {
        simulated.sleep(SCRAPE).await;
        scrapes.take(simulated.now(), &simulated.metrics().await);
    }
}

impl Simulated {
    /// The metrics of all services, as OpenMetrics.
    async fn metrics(&self) -> String {
        let reply = through(self.gateway.clone(), Request::get("/metrics")).await;
        reply.map_or_else(|_| String::new(), |reply| String::from_utf8_lossy(&reply.body).into_owned())
    }
}

/// Does every job on one of `threads` threads, and gives the answers in the order of the jobs. The lab is a host: a world lives on one thread,
/// and several worlds share nothing.
pub fn on_threads<J: Sync, T: Send>(threads: usize, jobs: &[J], work: impl Fn(&J) -> T + Sync) -> Vec<Option<T>> {
    let next = AtomicUsize::new(0);
    let answers: Vec<Mutex<Option<T>>> = jobs.iter().map(|_| Mutex::new(None)).collect();
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, jobs.len().max(1)) {
            scope.spawn(|| {
                while let Some((job, answer)) = take(&next, jobs, &answers) {
                    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(job)));
                    *answer.lock().unwrap_or_else(PoisonError::into_inner) = done.ok();
                }
            });
        }
    });
    answers.into_iter().map(|answer| answer.into_inner().unwrap_or_else(PoisonError::into_inner)).collect()
}

fn take<'a, J, T>(next: &AtomicUsize, jobs: &'a [J], answers: &'a [Mutex<Option<T>>]) -> Option<(&'a J, &'a Mutex<Option<T>>)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    jobs.get(index).zip(answers.get(index))
}

pub(super) async fn through(router: Router, asked: Request) -> Result<Reply, TargetError> {
    let wrong = |reason: String| TargetError::Unreachable { request: asked.name(), reason };
    let body = asked.body.as_ref().map(|body| serde_json::to_vec(body).unwrap_or_default());
    let is_json = body.is_some();
    let mut request = http::Request::new(Body::from(body.unwrap_or_default()));
    *request.method_mut() = asked.method.clone();
    *request.uri_mut() = asked.path.parse().map_err(|error| wrong(format!("`{}` is not a path ({error})", asked.path)))?;
    if is_json {
        request.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    for (name, value) in &asked.headers {
        let value = HeaderValue::from_str(value).map_err(|error| wrong(format!("the header `{name}` cannot be sent: {error}")))?;
        request.headers_mut().insert(HeaderName::from_static(name), value);
    }
    let Ok(response) = router.oneshot(request).await;
    let (parts, body) = response.into_parts();
    let body = body.collect().await.map_err(|error| wrong(error.to_string()))?.to_bytes();
    Ok(Reply { status: parts.status, headers: parts.headers, body })
}

impl Target for Simulated {
    fn clock(&self) -> ClockKind {
        ClockKind::Simulated
    }
    fn now(&self) -> Timestamp {
        self.world.clock().now()
    }
    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        Box::pin(async move { self.world.clock().sleep(duration).await })
    }
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Reply, TargetError>> {
        Box::pin(through(self.gateway.clone(), request))
    }
    fn admin(&self, request: Request) -> BoxFuture<'_, Result<Reply, TargetError>> {
        Box::pin(through(self.admin.clone(), request))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_world_answers_as_a_system_does_and_its_clock_jumps() {
        let simulation = Simulation { manifests: &[], planted: &[] };
        let (status, names, passed) = simulation
            .run(1, &[], async |target| {
                let before = target.now();
                target.sleep(Duration::from_secs(600)).await;
                let reply = target.call(Request::get("/nothing")).await.unwrap();
                (reply.status.as_u16(), target.collections().await.unwrap(), target.now().since(before))
            })
            .unwrap();
        assert_eq!(
            (status, names, passed),
            (404, ["consumers", "events", "parked", "schemas"].map(str::to_owned).to_vec(), Duration::from_secs(600))
        );
    }

    #[test]
    fn a_setting_that_does_not_exist_is_refused() {
        let refused = Simulation { manifests: &[], planted: &[] }.run(1, &[("order.hold_for", 3.into())], async |_| ());
        assert!(matches!(refused, Err(SimulationError::Settings(_))));
    }

    #[test]
    fn jobs_are_answered_in_their_order_and_a_panic_loses_only_its_own() {
        let answers = on_threads(2, &[3_u64, 1, 4, 1, 5], |job| {
            assert!(*job != 4, "planted");
            job * 10
        });
        assert_eq!(answers, [Some(30), Some(10), None, Some(10), Some(50)]);
    }
}
