//! Tasks, the one way to them. Each instance of a service owns a set: the host can ask it to stop (finish what you hold, take nothing
//! new), wait for it, or kill it as `kill -9` would (every task is dropped at its next await point). A supervised task that panics is
//! told, marks its service unhealthy and is started again; neither its service nor the process goes with it.

use std::{
    collections::BTreeMap,
    future::Future,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::FutureExt;
use tokio::sync::oneshot;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::clock::Clock;

#[derive(Clone, Debug)]
pub struct Tasks {
    service: &'static str,
    clock: Clock,
    tracker: TaskTracker,
    stop: CancellationToken,
    kill: CancellationToken,
    /// Supervised tasks that are down at the moment, and why.
    ailing: Arc<Mutex<BTreeMap<&'static str, String>>>,
}

/// The task was killed or panicked before it had an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the task ended without an answer")]
pub struct Gone;

impl Tasks {
    #[must_use]
    pub fn new(service: &'static str, clock: Clock) -> Self {
        Self {
            service,
            clock,
            tracker: TaskTracker::new(),
            stop: CancellationToken::new(),
            kill: CancellationToken::new(),
            ailing: Arc::default(),
        }
    }

    /// Runs `work` to its end, whatever becomes of whoever waits for it.
    pub fn spawn(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        drop(self.run(name, work));
    }

    /// Runs `work` as a task of this set; the answer comes through the receiver. Dropping the receiver drops the answer, not the work.
    pub fn run<T: Send + 'static>(&self, name: &'static str, work: impl Future<Output = T> + Send + 'static) -> Answer<T> {
        let (reply, answer) = oneshot::channel();
        let service = self.service;
        let kill = self.kill.clone();
        self.tracker.spawn(async move {
            // The end comes first: what was killed takes no further step, not even one that is ready (a commit).
            let outcome = tokio::select! {
                biased;
                () = kill.cancelled() => None,
                outcome = AssertUnwindSafe(work).catch_unwind() => Some(outcome),
            };
            match outcome {
                Some(Ok(value)) => drop(reply.send(value)),
                Some(Err(panic)) => tracing::error!(service, task = name, panic = message(panic.as_ref()), "a task panicked"),
                None => {}
            }
        });
        Answer(answer)
    }

    /// Keeps a task alive for as long as the set: `make` gives it anew after a panic, with a pause that grows to half a minute. It should
    /// end when [`Tasks::stopping`] does; an end before that is final.
    pub fn supervise<F: Future<Output = ()> + Send + 'static>(&self, name: &'static str, make: impl Fn() -> F + Send + 'static) {
        let tasks = self.clone();
        self.spawn(name, async move {
            let mut pause = Duration::from_millis(100);
            loop {
                match AssertUnwindSafe(make()).catch_unwind().await {
                    Ok(()) => return,
                    Err(panic) => {
                        let reason = message(panic.as_ref());
                        tracing::error!(
                            service = tasks.service,
                            task = name,
                            panic = reason,
                            "a background task panicked and is started again"
                        );
                        tasks.ailing().insert(name, format!("panicked: {reason}"));
                    }
                }
                if tasks.stop.run_until_cancelled(tasks.clock.sleep(pause)).await.is_none() {
                    return;
                }
                pause = (pause * 2).min(Duration::from_secs(30));
            }
        });
    }

    /// Marks a supervised task as well again: called after a step that succeeded.
    pub fn well(&self, name: &'static str) {
        let mut ailing = self.ailing();
        if !ailing.is_empty() {
            ailing.remove(name);
        }
    }

    /// Marks a task as failing, with the reason that readiness shows.
    pub fn ill(&self, name: &'static str, reason: impl Into<String>) {
        self.ailing().insert(name, reason.into());
    }

    /// The tasks that are down, with the reason; empty when all is well.
    #[must_use]
    pub fn ailments(&self) -> BTreeMap<&'static str, String> {
        self.ailing().clone()
    }

    /// Completes when the set is asked to stop.
    pub async fn stopping(&self) {
        self.stop.cancelled().await;
    }

    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Waits, but not past the moment at which the set is asked to stop; says whether it may go on.
    pub async fn sleep(&self, duration: Duration) -> bool {
        self.stop.run_until_cancelled(self.clock.sleep(duration)).await.is_some()
    }

    /// The future's answer, or nothing when the set is asked to stop first.
    pub async fn unless_stopping<F: Future>(&self, future: F) -> Option<F::Output> {
        self.stop.run_until_cancelled(future).await
    }

    /// Asks every task to finish and waits; after `patience` what is left is killed. Says whether all ended by themselves.
    pub async fn drain(&self, patience: Duration) -> bool {
        self.stop.cancel();
        self.tracker.close();
        let finished = self.clock.timeout(patience, self.tracker.wait()).await.is_ok();
        self.kill();
        finished
    }

    /// Drops every task where it stands, as a crash would.
    pub fn kill(&self) {
        self.stop.cancel();
        self.kill.cancel();
        self.tracker.close();
    }

    fn ailing(&self) -> std::sync::MutexGuard<'_, BTreeMap<&'static str, String>> {
        self.ailing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The answer of a task.
#[derive(Debug)]
pub struct Answer<T>(oneshot::Receiver<T>);

impl<T> Answer<T> {
    pub async fn wait(self) -> Result<T, Gone> {
        self.0.await.map_err(|_| Gone)
    }
}

/// What a panic said.
pub(crate) fn message(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_caller_may_go_the_work_stays() {
        let tasks = Tasks::new("test", Clock::simulated());
        let done = Arc::new(AtomicUsize::new(0));
        let (clock, count) = (tasks.clock, done.clone());
        drop(tasks.run("work", async move {
            clock.sleep(Duration::from_secs(1)).await;
            count.fetch_add(1, Ordering::SeqCst);
        }));
        assert!(tasks.drain(Duration::from_secs(2)).await);
        assert_eq!(done.load(Ordering::SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_is_told_and_the_task_started_again() {
        let tasks = Tasks::new("test", Clock::simulated());
        let tries = Arc::new(AtomicUsize::new(0));
        let (own, count) = (tasks.clone(), tries.clone());
        tasks.supervise("sweeper", move || {
            let (own, count) = (own.clone(), count.clone());
            async move {
                assert!(count.fetch_add(1, Ordering::SeqCst) > 0, "first time unlucky");
                own.well("sweeper");
                own.stopping().await;
            }
        });
        tasks.clock.sleep(Duration::from_millis(50)).await;
        assert_eq!(tasks.ailments().get("sweeper").map(String::as_str), Some("panicked: first time unlucky"));
        tasks.clock.sleep(Duration::from_millis(100)).await;
        assert!(tasks.ailments().is_empty());
        assert!(tasks.drain(Duration::from_secs(1)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn killed_work_stops_at_its_next_await() {
        let tasks = Tasks::new("test", Clock::simulated());
        let clock = tasks.clock;
        let answer = tasks.run("work", async move { clock.sleep(Duration::from_secs(9)).await });
        clock.sleep(Duration::from_secs(1)).await;
        tasks.kill();
        assert_eq!(answer.wait().await, Err(Gone));
    }

    #[tokio::test(start_paused = true)]
    async fn killed_work_takes_no_further_step_even_if_it_could() {
        let tasks = Tasks::new("test", Clock::simulated());
        let clock = tasks.clock;
        let steps = Arc::new(AtomicUsize::new(0));
        let count = steps.clone();
        let answer = tasks.run("work", async move {
            tokio::task::yield_now().await;
            count.fetch_add(1, Ordering::SeqCst);
        });
        // The work has come to its await and is ready to go on.
        tokio::task::yield_now().await;
        tasks.kill();
        assert_eq!(answer.wait().await, Err(Gone));
        clock.sleep(Duration::from_secs(1)).await;
        assert_eq!(steps.load(Ordering::SeqCst), 0);
    }
}
