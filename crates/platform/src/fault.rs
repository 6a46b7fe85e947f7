//! Faults, set and lifted at run time, at named points of the platform: layers around transport, bus, stores and blobs ask here what
//! should happen to what passes them. No service knows of them, and no log, metric, trace or event of the system names one: who
//! diagnoses must find the cause from its effects.
//!
//! | point | what passes | rules |
//! | --- | --- | --- |
//! | `call.SERVICE` | a call to that service | delay, fail, drop (the work is done, the answer lost), duplicate, hold |
//! | `bus.publish` | a batch on its way to a topic | delay, fail, hold; corrupt (each of its records by itself) |
//! | `bus.deliver` | an event on its way to a consumer | delay, drop, duplicate, reorder, hold |
//! | `store.commit` | a transaction before its commit | delay, fail, hold |
//! | `blob.put`, `blob.get` | an object | delay, fail, drop, hold |
//! | `clock.offset` | nothing: the clock of the service that the scope names is behind by `millis` | delay |

mod clocks;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use rand::RngExt;
use serde::{Deserialize, Serialize};
use types::Timestamp;
use utoipa::ToSchema;

use self::clocks::Clocks;
use crate::{chance::Chance, clock::Clock};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Rule {
    /// It takes `millis` longer.
    Delay,
    /// It does not happen, and whoever asked is told.
    Fail,
    /// A message is lost; of a call, the answer.
    Drop,
    /// It happens twice.
    Duplicate,
    /// It is overtaken by what comes next.
    Reorder,
    /// It waits until the fault is lifted.
    Hold,
    /// A record is written with bytes that nobody can read; its key and headers stay, and whoever publishes it notices nothing.
    Corrupt,
}

/// What a fault applies to; what is left out applies to all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
}

/// One fault, as it is set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fault {
    pub rule: Rule,
    /// Of what passes, the share that is hit: 0 to 1.
    #[serde(default = "whole")]
    pub share: f64,
    /// How long a delay lasts.
    #[serde(default)]
    pub millis: u64,
    #[serde(default)]
    pub scope: Scope,
    /// Seconds after which it lifts itself; for good when left out.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub for_seconds: Option<f64>,
}

const fn whole() -> f64 {
    1.0
}

impl Fault {
    /// One that hits everything that passes, until it is lifted.
    #[must_use]
    pub fn always(rule: Rule) -> Self {
        Self { rule, share: whole(), millis: 0, scope: Scope::default(), for_seconds: None }
    }

    /// The same, of one service alone.
    #[must_use]
    pub fn of_service(mut self, service: &str) -> Self {
        self.scope.service = Some(service.to_owned());
        self
    }

    /// The same, on one topic alone.
    #[must_use]
    pub fn of_topic(mut self, topic: &str) -> Self {
        self.scope.topic = Some(topic.to_owned());
        self
    }

    /// The same, with a delay of so long.
    #[must_use]
    pub const fn of_millis(mut self, millis: u64) -> Self {
        self.millis = millis;
        self
    }
}

/// What passes a point.
#[derive(Clone, Copy, Debug, Default)]
pub struct Passing<'a> {
    pub service: &'a str,
    pub topic: Option<&'a str>,
    /// The aggregate's id, or what else names it; also names the stream of chance that decides whether it is hit.
    pub key: &'a str,
    pub region: Option<&'a str>,
}

/// What must happen to what passes. A delay has happened already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    None,
    Fail,
    Drop,
    Duplicate,
    Reorder,
}

/// Every named point. `call.` is followed by the service that is called.
pub const POINTS: &[&str] = &["call.", "bus.publish", "bus.deliver", "store.commit", "blob.put", "blob.get", clocks::POINT];

#[derive(Clone, Debug)]
pub struct Faults(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    clock: Clock,
    chance: Chance,
    /// Read before the lock is taken: a system without faults pays one load.
    count: AtomicUsize,
    set: Mutex<Vec<Set>>,
    clocks: Clocks,
    lifted: tokio::sync::Notify,
}

#[derive(Clone, Debug)]
struct Set {
    point: String,
    fault: Fault,
    until: Option<Timestamp>,
    passed: BTreeMap<String, u64>,
}

/// A fault that cannot be set, with what is wrong about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    #[error("`{0}` is no point; there are {points}", points = POINTS.join(", "))]
    UnknownPoint(String),
    #[error("`share` must be from 0 to 1")]
    Share,
    #[error("`{0:?}` has no meaning at `{1}`")]
    Meaningless(Rule, String),
    #[error("`for` must be a positive number of seconds")]
    Length,
    #[error("at `clock.offset`, `{0}` must {1}")]
    Clock(&'static str, &'static str),
}

impl Faults {
    #[must_use]
    pub fn new(clock: Clock, chance: Chance) -> Self {
        Self(Arc::new(Inner {
            clock,
            chance,
            count: AtomicUsize::new(0),
            set: Mutex::default(),
            clocks: Clocks::default(),
            lifted: tokio::sync::Notify::new(),
        }))
    }

    /// The clock that a service goes by: the world's, behind by what is set for it.
    #[must_use]
    pub(crate) fn clock_of(&self, service: &'static str) -> Clock {
        self.0.clock.lagging(self.0.clocks.of(service, &self.lock()))
    }

    /// Sets a fault at a point, in place of one with the same rule and scope.
    pub fn set(&self, point: &str, fault: Fault) -> Result<(), FaultError> {
        let is = |known: &&str| if known.ends_with('.') { point.len() > known.len() && point.starts_with(*known) } else { *known == point };
        if !POINTS.iter().any(is) {
            return Err(FaultError::UnknownPoint(point.to_owned()));
        }
        if !(0.0..=1.0).contains(&fault.share) {
            return Err(FaultError::Share);
        }
        if fault.for_seconds.is_some_and(|seconds| !seconds.is_finite() || seconds <= 0.0) {
            return Err(FaultError::Length);
        }
        if !means_something(point, fault.rule) {
            return Err(FaultError::Meaningless(fault.rule, point.to_owned()));
        }
        if point == clocks::POINT {
            clocks::check(&fault)?;
        }
        let until = fault.for_seconds.map(|seconds| self.0.clock.now().plus(Duration::from_secs_f64(seconds.min(1e9))));
        let mut set = self.lock();
        set.retain(|other| other.point != point || other.fault.rule != fault.rule || other.fault.scope != fault.scope);
        set.push(Set { point: point.to_owned(), fault, until, passed: BTreeMap::new() });
        self.0.count.store(set.len(), Ordering::Release);
        self.0.clocks.wind(&set);
        Ok(())
    }

    /// Lifts every fault at this point (all of them for `None`); says how many there were.
    pub fn clear(&self, point: Option<&str>) -> usize {
        let now = self.0.clock.now();
        let mut set = self.lock();
        set.retain(|other| other.until.is_none_or(|until| until > now));
        let before = set.len();
        set.retain(|other| point.is_some_and(|point| other.point != point));
        self.0.count.store(set.len(), Ordering::Release);
        self.0.clocks.wind(&set);
        self.0.lifted.notify_waiters();
        before - set.len()
    }

    /// What is set at the moment, by point, and when each lifts itself.
    #[must_use]
    pub fn list(&self) -> Vec<(String, Fault, Option<Timestamp>)> {
        let now = self.0.clock.now();
        self.lock()
            .iter()
            .filter(|set| set.until.is_none_or(|until| until > now))
            .map(|set| (set.point.clone(), set.fault.clone(), set.until))
            .collect()
    }

    /// Lets something pass a point: waits out delays and holds, and says what else must happen to it.
    pub async fn pass(&self, point: &str, passing: Passing<'_>) -> Effect {
        if self.0.count.load(Ordering::Acquire) == 0 {
            return Effect::None;
        }
        let (mut effect, mut delay) = (Effect::None, Duration::ZERO);
        for (rule, millis) in self.hits(point, passing, |rule| rule != Rule::Corrupt) {
            match rule {
                Rule::Delay => delay += Duration::from_millis(millis),
                Rule::Hold => self.wait_until_lifted(point, passing).await,
                Rule::Fail => effect = Effect::Fail,
                Rule::Drop => effect = Effect::Drop,
                Rule::Duplicate => effect = Effect::Duplicate,
                Rule::Reorder => effect = Effect::Reorder,
                // A matter of each record: see `corrupts`.
                Rule::Corrupt => {}
            }
        }
        if !delay.is_zero() {
            self.0.clock.sleep(delay).await;
        }
        effect
    }

    /// Whether a record that passes is written with bytes that nobody can read. A batch passes as a whole, and each of its records is asked
    /// about by itself once it may.
    #[must_use]
    pub fn corrupts(&self, point: &str, passing: Passing<'_>) -> bool {
        self.0.count.load(Ordering::Acquire) > 0 && !self.hits(point, passing, |rule| rule == Rule::Corrupt).is_empty()
    }

    fn hits(&self, point: &str, passing: Passing<'_>, asked: impl Fn(Rule) -> bool) -> Vec<(Rule, u64)> {
        let now = self.0.clock.now();
        let mut set = self.lock();
        set.retain(|set| set.until.is_none_or(|until| until > now));
        self.0.count.store(set.len(), Ordering::Release);
        let chance = self.0.chance;
        set.iter_mut()
            .filter(|set| asked(set.fault.rule) && set.applies(point, passing))
            .filter_map(|set| {
                // The n-th passing of one key has its own draw, so another key's traffic does not change it.
                let nth = set.passed.entry(passing.key.to_owned()).or_default();
                *nth += 1;
                let hit = set.fault.share >= 1.0
                    || chance.stream(point, passing.key, &format!("{:?}-{nth}", set.fault.rule)).random_bool(set.fault.share);
                hit.then_some((set.fault.rule, set.fault.millis))
            })
            .collect()
    }

    async fn wait_until_lifted(&self, point: &str, passing: Passing<'_>) {
        loop {
            let lifted = self.0.lifted.notified();
            let held =
                self.lock().iter().filter(|set| set.fault.rule == Rule::Hold && set.applies(point, passing)).map(|set| set.until).max();
            match held {
                None => return,
                Some(None) => lifted.await,
                Some(Some(until)) if until <= self.0.clock.now() => return,
                Some(Some(until)) => drop(self.0.clock.timeout(until.since(self.0.clock.now()), lifted).await),
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Set>> {
        self.0.set.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Set {
    fn applies(&self, point: &str, passing: Passing<'_>) -> bool {
        let fits = |wanted: &Option<String>, actual: Option<&str>| wanted.as_deref().is_none_or(|wanted| Some(wanted) == actual);
        self.point == point
            && fits(&self.fault.scope.service, Some(passing.service))
            && fits(&self.fault.scope.topic, passing.topic)
            && fits(&self.fault.scope.key, Some(passing.key))
            && fits(&self.fault.scope.region, passing.region)
    }
}

fn means_something(point: &str, rule: Rule) -> bool {
    if point == clocks::POINT {
        return rule == Rule::Delay;
    }
    match rule {
        Rule::Delay | Rule::Hold => true,
        Rule::Fail => point != "bus.deliver",
        Rule::Drop => !matches!(point, "bus.publish" | "store.commit"),
        Rule::Duplicate => point.starts_with("call.") || point == "bus.deliver",
        Rule::Reorder => point == "bus.deliver",
        Rule::Corrupt => point == "bus.publish",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(rule: Rule) -> Fault {
        Fault { rule, share: 1.0, millis: 0, scope: Scope::default(), for_seconds: None }
    }

    #[tokio::test(start_paused = true)]
    async fn refuses_nonsense() {
        let faults = Faults::new(Clock::simulated(), Chance::seeded(1));
        assert!(matches!(faults.set("bus.nowhere", fault(Rule::Fail)), Err(FaultError::UnknownPoint(_))));
        assert!(matches!(faults.set("call.", fault(Rule::Fail)), Err(FaultError::UnknownPoint(_))));
        assert_eq!(faults.set("call.psp", Fault { share: 1.5, ..fault(Rule::Fail) }), Err(FaultError::Share));
        assert!(matches!(faults.set("blob.put", fault(Rule::Reorder)), Err(FaultError::Meaningless(..))));
        assert!(matches!(faults.set("bus.deliver", fault(Rule::Corrupt)), Err(FaultError::Meaningless(..))));
    }

    #[tokio::test(start_paused = true)]
    async fn corruption_is_drawn_by_record_and_lets_the_batch_pass() {
        let faults = Faults::new(Clock::simulated(), Chance::seeded(1));
        let passing = |key| Passing { topic: Some("t"), key, ..Passing::default() };
        assert!(!faults.corrupts("bus.publish", passing("a")));
        faults.set("bus.publish", Fault { share: 0.5, ..fault(Rule::Corrupt) }).unwrap();
        assert_eq!(faults.pass("bus.publish", passing("a")).await, Effect::None);
        let of = |key| (0..200).filter(|_| faults.corrupts("bus.publish", passing(key))).count();
        assert!((70..130).contains(&of("a")), "each record of a key has its own draw");
        let scope = Scope { key: Some("b".into()), ..Scope::default() };
        faults.clear(None);
        faults.set("bus.publish", Fault { scope, ..fault(Rule::Corrupt) }).unwrap();
        assert_eq!((of("a"), of("b")), (0, 200));
    }

    #[tokio::test(start_paused = true)]
    async fn a_share_hits_a_share_and_a_seed_hits_the_same() {
        let hits = |seed| async move {
            let faults = Faults::new(Clock::simulated(), Chance::seeded(seed));
            faults.set("call.psp", Fault { share: 0.2, ..fault(Rule::Fail) }).unwrap();
            let mut hits = Vec::new();
            for key in 0..1_000 {
                if faults.pass("call.psp", Passing { key: &key.to_string(), ..Passing::default() }).await == Effect::Fail {
                    hits.push(key);
                }
            }
            hits
        };
        let first = hits(1).await;
        assert!((150..250).contains(&first.len()), "{}", first.len());
        assert_eq!(first, hits(1).await);
        assert_ne!(first, hits(2).await);
    }

    #[tokio::test(start_paused = true)]
    async fn delays_holds_and_lifts() {
        let clock = Clock::simulated();
        let faults = Faults::new(clock, Chance::seeded(1));
        let start = clock.now();
        faults.set("bus.deliver", Fault { millis: 20, ..fault(Rule::Delay) }).unwrap();
        faults.pass("bus.deliver", Passing::default()).await;
        assert_eq!(clock.now().since(start), Duration::from_millis(20));
        faults.set("bus.deliver", Fault { for_seconds: Some(3.0), ..fault(Rule::Hold) }).unwrap();
        faults.clear(Some("blob.put"));
        let start = clock.now();
        faults.pass("bus.deliver", Passing::default()).await;
        assert!(clock.now().since(start) >= Duration::from_secs(3), "held until it lifted itself");
        assert_eq!(faults.list().len(), 1, "the hold has lifted itself, the delay stays");
        assert_eq!(faults.clear(None), 1);
        assert_eq!(faults.pass("bus.deliver", Passing::default()).await, Effect::None);
    }

    #[tokio::test(start_paused = true)]
    async fn scopes_narrow() {
        let faults = Faults::new(Clock::simulated(), Chance::seeded(1));
        let scope = Scope { topic: Some("order.created.v1".into()), ..Scope::default() };
        faults.set("bus.deliver", Fault { scope, ..fault(Rule::Drop) }).unwrap();
        let passing = |topic| Passing { topic: Some(topic), ..Passing::default() };
        assert_eq!(faults.pass("bus.deliver", passing("order.created.v1")).await, Effect::Drop);
        assert_eq!(faults.pass("bus.deliver", passing("order.status.changed.v1")).await, Effect::None);
    }
}
