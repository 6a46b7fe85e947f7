//! The three tests that every saga must pass, on a saga of three steps whose world is a list of what was done: it fails at every step and
//! unwinds; it unwinds twice and that is once; every step is taken twice and that is once.

mod played;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use platform::{Chance, Clock, Tasks, db::Db, fault::Faults, lease::Leases, telemetry::context::Contexts};
use tokio::sync::Notify;

use super::*;
use crate::{
    row::{State, Stored},
    runner::Parts,
};

#[derive(Clone, Default)]
struct Outside {
    /// By key: an effect said twice is one.
    effects: Arc<Mutex<BTreeSet<String>>>,
    calls: Arc<Mutex<Vec<String>>>,
    fails_at: Option<&'static str>,
    /// The answer of each first try is lost: the effect is there, the saga does not know.
    loses_answers: bool,
    waits_at: Option<&'static str>,
    open: Arc<Mutex<bool>>,
    /// The step that waits has looked and not answered yet: what is done between the two comes while it is under way.
    meanwhile: Option<Arc<Meanwhile>>,
}

#[derive(Default)]
struct Meanwhile {
    looked: Notify,
    may_answer: Notify,
}

const STEPS: &[&str] = &["hold", "pay", "claim"];

impl Definition for Outside {
    type Data = u32;

    fn steps(&self) -> &'static [&'static str] {
        STEPS
    }

    fn act<'a>(&'a self, step: &'static str, run: &'a Run<u32>) -> BoxFuture<'a, Outcome<u32>> {
        Box::pin(async move {
            self.calls.lock().unwrap().push(format!("do {step}"));
            if self.fails_at == Some(step) {
                return Outcome::Refused { reason: format!("no {step}"), and_this: false };
            }
            if self.waits_at == Some(step) && !*self.open.lock().unwrap() {
                if let Some(meanwhile) = &self.meanwhile {
                    meanwhile.looked.notify_one();
                    meanwhile.may_answer.notified().await;
                }
                return Outcome::Wait(run.data, Timestamp::from_micros(i64::MAX));
            }
            self.effects.lock().unwrap().insert(run.key());
            if self.loses_answers && run.attempt == 0 { Outcome::Retry("the answer was lost".into()) } else { Outcome::Done(run.data + 1) }
        })
    }

    fn undo<'a>(&'a self, step: &'static str, run: &'a Run<u32>) -> BoxFuture<'a, Undone<u32>> {
        Box::pin(async move {
            self.calls.lock().unwrap().push(format!("undo {step}"));
            self.effects.lock().unwrap().remove(run.key().trim_end_matches("-undo"));
            if self.loses_answers && run.attempt == 0 { Undone::Retry("the answer was lost".into()) } else { Undone::Done(run.data) }
        })
    }

    fn record<'a>(&'a self, tx: &'a mut Tx<'_>, step: &'static str, _: &'a Run<u32>) -> LocalBoxFuture<'a, Result<(), DbError>> {
        Box::pin(async move { tx.execute("INSERT INTO notes (text) VALUES (?)", platform::values![step]).await.map(|_| ()) })
    }

    fn unwound<'a>(&'a self, tx: &'a mut Tx<'_>, reason: &'a str, _: &'a Run<u32>) -> LocalBoxFuture<'a, Result<(), DbError>> {
        Box::pin(async move {
            tx.execute("INSERT INTO notes (text) VALUES (?)", platform::values![format!("unwound: {reason}")]).await.map(|_| ())
        })
    }
}

struct Stage {
    runner: Runner<Outside>,
    db: Db,
    clock: Clock,
    id: Uuid,
    outside: Outside,
}

/// A store that has room for sagas.
async fn store(clock: Clock) -> Db {
    let chance = Chance::seeded(7);
    let db = Db::in_memory("test", chance, Faults::new(clock, chance)).unwrap();
    db.migrate(&[migration(1, "sagas")]).await.unwrap();
    db
}

/// A process at these rows.
fn process<D: Definition>(db: &Db, clock: Clock, definition: D) -> Runner<D> {
    let chance = Chance::seeded(7);
    let parts = Parts {
        table: "sagas",
        db: db.clone(),
        clock,
        chance,
        tasks: Tasks::new("test", clock),
        leases: Leases::default(),
        contexts: Contexts::new(chance, "test", 0),
    };
    Runner::new(parts, definition)
}

async fn begin<D: Definition<Data = u32>>(db: &Db, runner: &Runner<D>, id: Uuid) {
    let runner = runner.clone();
    db.write(async move |tx: &mut Tx<'_>| runner.begin(tx, id, &0).await).await.unwrap();
}

/// The one saga that there is.
async fn stored(db: &Db) -> Stored {
    let query = "SELECT id, state, step, attempt, data, reason, abort, nudges, began_at, version, correlation_id, traceparent FROM sagas";
    db.fetch_optional(query, vec![]).await.unwrap().unwrap()
}

async fn stage(outside: Outside) -> Stage {
    let clock = Clock::simulated();
    let db = store(clock).await;
    db.run_script("CREATE TABLE notes (text TEXT NOT NULL)").await.unwrap();
    let (runner, id) = (process(&db, clock, outside.clone()), Uuid::from_u128(1));
    begin(&db, &runner, id).await;
    Stage { runner, db, clock, id, outside }
}

impl Stage {
    /// Runs until the saga has ended.
    async fn end(&self) -> Stored {
        for _ in 0..50 {
            self.runner.advance(self.id).await.unwrap();
            let stored = self.stored().await;
            if matches!(stored.state, State::Done | State::Unwound) {
                return stored;
            }
            self.clock.sleep(Duration::from_secs(20)).await;
        }
        panic!("it never ends")
    }

    async fn stored(&self) -> Stored {
        stored(&self.db).await
    }

    async fn notes(&self) -> Vec<String> {
        self.db.read(async |tx: &mut Tx<'_>| tx.fetch_all("SELECT text FROM notes", vec![]).await).await.unwrap()
    }

    fn effects(&self) -> usize {
        self.outside.effects.lock().unwrap().len()
    }

    fn calls(&self) -> Vec<String> {
        self.outside.calls.lock().unwrap().clone()
    }
}

#[tokio::test(start_paused = true)]
async fn all_steps_then_the_end() {
    let stage = stage(Outside::default()).await;
    let stored = stage.end().await;
    assert_eq!((stored.state, stored.data), (State::Done, 3.into()));
    assert_eq!(stage.notes().await, STEPS);
    assert_eq!(stage.effects(), 3);
}

#[tokio::test(start_paused = true)]
async fn it_fails_at_every_step_and_unwinds() {
    for (position, step) in STEPS.iter().enumerate() {
        let stage = stage(Outside { fails_at: Some(step), ..Outside::default() }).await;
        let stored = stage.end().await;
        assert_eq!(stored.state, State::Unwound);
        assert_eq!(stage.effects(), 0, "failed at {step}");
        let undone: Vec<_> = stage.calls().into_iter().filter(|call| call.starts_with("undo")).collect();
        let expected: Vec<_> = STEPS[..position].iter().rev().map(|step| format!("undo {step}")).collect();
        assert_eq!(undone, expected, "the last first");
        assert_eq!(stage.notes().await.last(), Some(&format!("unwound: no {step}")));
    }
}

#[tokio::test(start_paused = true)]
async fn every_step_twice_is_once() {
    let stage = stage(Outside { loses_answers: true, ..Outside::default() }).await;
    assert_eq!(stage.end().await.state, State::Done);
    assert_eq!(stage.calls().len(), 6, "each was said twice");
    assert_eq!(stage.effects(), 3);
    assert_eq!(stage.notes().await, STEPS, "and noted once");
}

#[tokio::test(start_paused = true)]
async fn it_unwinds_twice_and_that_is_once() {
    let stage = stage(Outside { loses_answers: true, fails_at: Some("claim"), ..Outside::default() }).await;
    assert_eq!(stage.end().await.state, State::Unwound);
    assert_eq!(stage.effects(), 0);
    assert_eq!(stage.calls().iter().filter(|call| *call == "undo pay").count(), 2);
    assert_eq!(stage.notes().await.iter().filter(|note| note.starts_with("unwound")).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn it_can_be_undone_from_its_end_and_only_once() {
    let stage = stage(Outside::default()).await;
    stage.end().await;
    let abort = async || {
        let runner = stage.runner.clone();
        let id = stage.id;
        stage.db.write(async move |tx: &mut Tx<'_>| runner.abort(tx, id, "changed my mind").await).await.unwrap()
    };
    assert!(abort().await);
    assert!(!abort().await, "it is being undone already");
    assert_eq!(stage.end().await.state, State::Unwound);
    assert_eq!(stage.effects(), 0);
    assert!(!abort().await, "there is nothing left to undo");
}

#[tokio::test(start_paused = true)]
async fn a_waiting_saga_goes_on_when_it_is_woken() {
    let stage = stage(Outside { waits_at: Some("pay"), ..Outside::default() }).await;
    stage.runner.advance(stage.id).await.unwrap();
    stage.runner.advance(stage.id).await.unwrap();
    assert_eq!((stage.stored().await.step, stage.effects()), (1, 1));
    *stage.outside.open.lock().unwrap() = true;
    let (runner, id) = (stage.runner.clone(), stage.id);
    stage.db.write(async move |tx: &mut Tx<'_>| runner.wake(tx, id).await).await.unwrap();
    // The sweep finds what was woken and takes it on.
    stage.runner.sweep().await.unwrap();
    stage.clock.sleep(Duration::from_secs(1)).await;
    assert_eq!(stage.stored().await.state, State::Done);
}

#[tokio::test(start_paused = true)]
async fn a_nudge_that_comes_while_a_step_is_under_way_is_not_lost() {
    let meanwhile = Arc::new(Meanwhile::default());
    let stage = stage(Outside { waits_at: Some("pay"), meanwhile: Some(meanwhile.clone()), ..Outside::default() }).await;
    let news = async {
        meanwhile.looked.notified().await;
        *stage.outside.open.lock().unwrap() = true;
        let (runner, id) = (stage.runner.clone(), stage.id);
        stage.db.write(async move |tx: &mut Tx<'_>| runner.wake(tx, id).await).await.unwrap();
        meanwhile.may_answer.notify_one();
    };
    let (advanced, ()) = futures::future::join(stage.runner.advance(stage.id), news).await;
    advanced.unwrap();
    // Nothing sweeps here: it is the step's own save that must notice, or the saga would wait for its deadline, which never comes.
    assert_eq!(stage.calls(), ["do hold", "do pay", "do pay", "do claim"]);
    assert_eq!(stage.stored().await.state, State::Done);
}

#[tokio::test(start_paused = true)]
async fn a_fresh_runner_takes_on_what_a_crash_left() {
    let before = stage(Outside::default()).await;
    // Nobody was kicked: the process died behind the commit that began the saga.
    let progress = before.runner.sweep().await.unwrap();
    assert_eq!(progress, platform::service::Progress::More);
    before.clock.sleep(Duration::from_secs(1)).await;
    assert_eq!(before.stored().await.state, State::Done);
}

/// Once the sweep has looked and waits, a minute of waiting is left of it.
#[tokio::test(start_paused = true)]
async fn what_is_new_is_swept_at_once() {
    let stage = stage(Outside { waits_at: Some("pay"), ..Outside::default() }).await;
    let (work, tasks, clock) = (stage.runner.background(), Tasks::new("test", stage.clock), stage.clock);
    let own = tasks.clone();
    tasks.supervise(work.name, move || work.clone().run("test", clock, own.clone()));
    let (at_once, id) = (Duration::from_millis(1), stage.id);
    clock.sleep(Duration::from_secs(1)).await;
    assert_eq!((stage.stored().await.state, stage.effects()), (State::Forward, 1));
    *stage.outside.open.lock().unwrap() = true;
    let runner = stage.runner.clone();
    stage.db.write(async move |tx: &mut Tx<'_>| runner.wake(tx, id).await).await.unwrap();
    clock.sleep(at_once).await;
    assert_eq!(stage.stored().await.state, State::Done);
    let runner = stage.runner.clone();
    stage.db.write(async move |tx: &mut Tx<'_>| runner.abort(tx, id, "changed my mind").await).await.unwrap();
    clock.sleep(at_once).await;
    assert_eq!((stage.stored().await.state, stage.effects()), (State::Unwound, 0));
}
