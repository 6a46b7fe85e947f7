//! Load. In the open loop buyers come when they come, whether or not the system keeps up, and every latency counts from the moment at which
//! a buyer was meant to come: a system that stands still for a second is seen by everybody who came in that second, not by one
//! (coordinated omission). In the closed loop a fixed number of shoppers come again as soon as they are done: that measures how much
//! a system can take, not how it feels.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use platform::{Clock, Tasks};
use seed::{Directory, Shop};
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, mpsc};

use crate::{
    buyer::{Buyer, Crowd},
    journey::{Ending, Journey, Outcome, micros},
    mix::{LoadError, Mix},
    pace::{Arrivals, Cycle, Schedule},
    report::{Recorder, Report},
};

/// Buyers who come at a rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OpenLoop {
    /// Journeys that begin each second, on average.
    pub rate_per_second: f64,
    /// How long buyers come; those under way then are waited for.
    pub duration: Duration,
    #[serde(default)]
    pub arrivals: Arrivals,
    #[serde(default)]
    pub cycle: Option<Cycle>,
    /// More journeys than this are not under way at a time; who has to wait, waits on the clock that is measured.
    pub in_flight_max: u32,
}

impl OpenLoop {
    #[must_use]
    pub const fn new(rate_per_second: f64, duration: Duration) -> Self {
        Self { rate_per_second, duration, arrivals: Arrivals::Poisson, cycle: None, in_flight_max: 10_000 }
    }

    fn validate(&self) -> Result<(), LoadError> {
        let knob = |knob, value, must| Err(LoadError::Knob { knob, value, must });
        if !(self.rate_per_second > 0.0 && self.rate_per_second <= 100_000.0) {
            return knob("ratePerSecond", self.rate_per_second, "above 0 and at most 100000");
        }
        if !(1..=100_000).contains(&self.in_flight_max) {
            return knob("inFlightMax", f64::from(self.in_flight_max), "from 1 to 100000");
        }
        match self.cycle {
            Some(Cycle { day_seconds }) if !(day_seconds.is_finite() && day_seconds >= 1.0) => knob("daySeconds", day_seconds, "1 or more"),
            _ => Ok(()),
        }
    }
}

/// Shoppers who come again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClosedLoop {
    pub shoppers: u32,
    pub until: Until,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// This many have tried to check out.
    Orders(u64),
    Passed(Duration),
}

/// After a journey that failed, a shopper waits this long, or a system that is down would be asked as fast as it can refuse.
pub(crate) const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(100);

/// Called with each outcome as it comes, for progress and for the curious.
pub type Watch = Arc<dyn Fn(&Outcome) + Send + Sync>;

/// A load that is ready to run.
pub struct Load<S> {
    shop: Arc<S>,
    crowd: Arc<Crowd>,
    clock: Clock,
    tasks: Tasks,
    watch: Option<Watch>,
}

impl<S: Shop + 'static> Load<S> {
    /// Journeys run as tasks of `tasks`; `seed` names the crowd. When the tasks are asked to stop, nobody comes any more, those under way
    /// end their journeys, and the report tells of them.
    pub fn new(shop: Arc<S>, directory: &Directory, mix: Mix, seed: u64, clock: Clock, tasks: Tasks) -> Result<Self, LoadError> {
        let crowd = Arc::new(Crowd::new(seed, mix, directory)?);
        Ok(Self { shop, crowd, clock, tasks, watch: None })
    }

    #[must_use]
    pub fn watched_by(mut self, watch: Watch) -> Self {
        self.watch = Some(watch);
        self
    }

    pub async fn open_loop(&self, plan: &OpenLoop) -> Result<Report, LoadError> {
        plan.validate()?;
        let start = self.clock.now();
        let weights = self.crowd.weights();
        let all: f64 = weights.iter().map(|(_, weight)| weight).sum();
        let busy = |at: Duration| match &plan.cycle {
            Some(cycle) => weights.iter().map(|(region, weight)| weight * cycle.busy(*region, start, at)).sum::<f64>() / all,
            None => 1.0,
        };
        let stream = self.crowd.chance().stream("load", "arrivals", "schedule");
        let limit = Arc::new(Semaphore::new(plan.in_flight_max as usize));
        let (counter, done) = Counter::new(self.watch.clone());
        for (number, at) in Schedule::new(plan.arrivals, plan.rate_per_second, plan.duration, stream, busy) {
            let intended = start.plus(at);
            if self.tasks.unless_stopping(self.clock.sleep_until(intended)).await.is_none() {
                break;
            }
            let buyer = self.crowd.buyer(number, |region| plan.cycle.map_or(1.0, |cycle| cycle.busy(region, start, at)));
            let walker = self.walker();
            let (limit, counter) = (limit.clone(), counter.clone());
            self.tasks.spawn("buyer", async move {
                // It is never closed; and if it were, going without a limit would still be right.
                let _place = limit.acquire_owned().await.ok();
                let late = micros(walker.clock.now().since(intended));
                counter.count(&walker.go(&buyer).await, late);
            });
        }
        let arrivals = match plan.arrivals {
            Arrivals::Poisson => "poisson",
            Arrivals::Constant => "constant",
        };
        let name = format!("open loop, {} journeys/s ({arrivals}), {} s", plan.rate_per_second, plan.duration.as_secs_f64());
        Ok(counter.report(done, name, || self.clock.now().since(start)).await)
    }

    pub async fn closed_loop(&self, plan: ClosedLoop) -> Result<Report, LoadError> {
        let shoppers = plan.shoppers;
        if !(1..=100_000).contains(&shoppers) {
            return Err(LoadError::Knob { knob: "shoppers", value: f64::from(shoppers), must: "from 1 to 100000" });
        }
        if matches!(plan.until, Until::Orders(_)) && self.crowd.mix().abandoned >= 1.0 {
            return Err(LoadError::Knob { knob: "abandoned", value: 1.0, must: "below 1 where orders are counted" });
        }
        let start = self.clock.now();
        let (counter, done) = Counter::new(self.watch.clone());
        let tickets = Arc::new(Tickets { until: plan.until, numbers: AtomicU64::new(0), checkouts: AtomicU64::new(0) });
        for _ in 0..shoppers {
            let (walker, crowd, tickets, counter) = (self.walker(), self.crowd.clone(), tickets.clone(), counter.clone());
            let tasks = self.tasks.clone();
            self.tasks.spawn("shopper", async move {
                while let Some(buyer) = tickets.next(&crowd, walker.clock.now().since(start)).filter(|_| !tasks.is_stopping()) {
                    let outcome = walker.go(&buyer).await;
                    counter.count(&outcome, 0);
                    if matches!(outcome.ending, Ending::Refused { .. } | Ending::Unreachable { .. } | Ending::Unreadable { .. }) {
                        walker.clock.sleep(PAUSE_AFTER_FAILURE).await;
                    }
                }
            });
        }
        let name = format!("closed loop, {shoppers} shoppers");
        Ok(counter.report(done, name, || self.clock.now().since(start)).await)
    }

    fn walker(&self) -> Walker<S> {
        Walker { shop: self.shop.clone(), clock: self.clock, patience: self.crowd.mix().patience() }
    }
}

/// What a task needs to walk journeys.
struct Walker<S> {
    shop: Arc<S>,
    clock: Clock,
    patience: Duration,
}

impl<S: Shop> Walker<S> {
    async fn go(&self, buyer: &Buyer) -> Outcome {
        Journey { shop: self.shop.as_ref(), clock: self.clock, patience: self.patience }.checkout(buyer).await
    }
}

/// Who comes next in a closed loop.
struct Tickets {
    until: Until,
    numbers: AtomicU64,
    checkouts: AtomicU64,
}

impl Tickets {
    fn next(&self, crowd: &Crowd, passed: Duration) -> Option<Buyer> {
        if let Until::Passed(duration) = self.until
            && passed >= duration
        {
            return None;
        }
        if let Until::Orders(most) = self.until
            && self.checkouts.load(Ordering::SeqCst) >= most
        {
            return None;
        }
        let buyer = crowd.buyer(self.numbers.fetch_add(1, Ordering::SeqCst), |_| 1.0);
        match self.until {
            Until::Orders(most) if !buyer.abandons => (self.checkouts.fetch_add(1, Ordering::SeqCst) < most).then_some(buyer),
            Until::Orders(_) | Until::Passed(_) => Some(buyer),
        }
    }
}

/// Counts for many tasks; the last one that drops it ends the waiting, killed tasks too.
#[derive(Clone)]
struct Counter {
    recorder: Arc<Mutex<Recorder>>,
    watch: Option<Watch>,
    _held: mpsc::Sender<()>,
}

impl Counter {
    fn new(watch: Option<Watch>) -> (Self, mpsc::Receiver<()>) {
        let (held, done) = mpsc::channel(1);
        (Self { recorder: Arc::default(), watch, _held: held }, done)
    }

    fn count(&self, outcome: &Outcome, late_micros: u64) {
        self.recorder.lock().unwrap_or_else(PoisonError::into_inner).record(outcome, late_micros);
        if let Some(watch) = &self.watch {
            watch(outcome);
        }
    }

    async fn report(self, mut done: mpsc::Receiver<()>, load: String, elapsed: impl Fn() -> Duration) -> Report {
        let recorder = self.recorder.clone();
        drop(self);
        // Nobody sends: this ends when every task has dropped its end.
        while done.recv().await.is_some() {}
        recorder.lock().unwrap_or_else(PoisonError::into_inner).report(load, elapsed())
    }
}

#[cfg(test)]
mod tests;
