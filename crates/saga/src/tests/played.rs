//! Sagas whose steps answer what a script says: waits, failures that come and go, two processes at one saga, news in the middle of a step.

use std::collections::{BTreeMap, VecDeque};

use platform::service::Progress;

use super::*;

/// An answer that is not "done".
#[derive(Clone, Debug)]
enum Reply {
    Wait(u32),
    Retry,
    Refused,
}

/// Answers what the script says, in turn, and is done after that: a step adds one to the data, undoing it takes one away if there is one.
#[derive(Clone, Default)]
struct Played {
    script: Arc<Mutex<BTreeMap<&'static str, VecDeque<Reply>>>>,
    /// What was asked, with the data and the attempt that it came with.
    asked: Arc<Mutex<Vec<(String, u32, u32)>>>,
    /// What was recorded, with the data.
    recorded: Arc<Mutex<Vec<(String, u32)>>>,
    /// See [`Saga::pays_slowly`].
    slow: Arc<Mutex<Option<Arc<Meanwhile>>>>,
}

impl Played {
    fn with(script: &[(&'static str, &[Reply])]) -> Self {
        let script = script.iter().map(|(what, replies)| (*what, replies.iter().cloned().collect())).collect();
        Self { script: Arc::new(Mutex::new(script)), ..Self::default() }
    }

    async fn answer(&self, what: String, run: &Run<u32>) -> Option<Reply> {
        self.asked.lock().unwrap().push((what.clone(), run.data, run.attempt));
        let slow = if what == "pay" { self.slow.lock().unwrap().take() } else { None };
        let reply = self.script.lock().unwrap().get_mut(&*what).and_then(VecDeque::pop_front);
        if let Some(meanwhile) = slow {
            meanwhile.looked.notify_one();
            meanwhile.may_answer.notified().await;
        }
        reply
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().iter().map(|(what, ..)| what.clone()).collect()
    }
}

const NEVER: Timestamp = Timestamp::from_micros(i64::MAX);

impl Definition for Played {
    type Data = u32;

    fn steps(&self) -> &'static [&'static str] {
        STEPS
    }

    fn act<'a>(&'a self, step: &'static str, run: &'a Run<u32>) -> BoxFuture<'a, Outcome<u32>> {
        Box::pin(async move {
            match self.answer(step.to_owned(), run).await {
                None => Outcome::Done(run.data + 1),
                Some(Reply::Wait(data)) => Outcome::Wait(data, NEVER),
                Some(Reply::Retry) => Outcome::Retry("not now".into()),
                Some(Reply::Refused) => Outcome::Refused { reason: "no".into(), and_this: false },
            }
        })
    }

    fn undo<'a>(&'a self, step: &'static str, run: &'a Run<u32>) -> BoxFuture<'a, Undone<u32>> {
        Box::pin(async move {
            match self.answer(format!("undo {step}"), run).await {
                None => Undone::Done(run.data.saturating_sub(1)),
                Some(Reply::Wait(data)) => Undone::Wait(data, NEVER),
                Some(Reply::Retry | Reply::Refused) => Undone::Retry("not now".into()),
            }
        })
    }

    fn record<'a>(&'a self, _: &'a mut Tx<'_>, step: &'static str, run: &'a Run<u32>) -> LocalBoxFuture<'a, Result<(), DbError>> {
        self.recorded.lock().unwrap().push((step.to_owned(), run.data));
        Box::pin(async { Ok(()) })
    }

    fn unwound<'a>(&'a self, _: &'a mut Tx<'_>, reason: &'a str, run: &'a Run<u32>) -> LocalBoxFuture<'a, Result<(), DbError>> {
        self.recorded.lock().unwrap().push((format!("unwound: {reason}"), run.data));
        Box::pin(async { Ok(()) })
    }
}

struct Saga {
    played: Played,
    runner: Runner<Played>,
    db: Db,
    clock: Clock,
}

const ID: Uuid = Uuid::from_u128(1);

impl Saga {
    /// One that has begun, of a script.
    async fn begun(script: &[(&'static str, &[Reply])]) -> Self {
        let (clock, played) = (Clock::simulated(), Played::with(script));
        let db = store(clock).await;
        let runner = process(&db, clock, played.clone());
        begin(&db, &runner, ID).await;
        Self { played, runner, db, clock }
    }

    async fn advance(&self) -> Stored {
        self.runner.advance(ID).await.unwrap();
        self.stored().await
    }

    async fn stored(&self) -> Stored {
        stored(&self.db).await
    }

    /// The first that is asked to pay looks, and answers when it is let.
    fn pays_slowly(&self) -> Arc<Meanwhile> {
        let meanwhile = Arc::new(Meanwhile::default());
        *self.played.slow.lock().unwrap() = Some(meanwhile.clone());
        meanwhile
    }

    async fn wake(&self) {
        let runner = self.runner.clone();
        self.db.write(async move |tx: &mut Tx<'_>| runner.wake(tx, ID).await).await.unwrap();
    }

    async fn abort(&self) {
        let runner = self.runner.clone();
        assert!(self.db.write(async move |tx: &mut Tx<'_>| runner.abort(tx, ID, "enough").await).await.unwrap());
    }

    /// When it is looked at again, from now; none once that is due.
    async fn rests(&self) -> Option<Duration> {
        let due: Vec<Timestamp> = self.db.fetch_all("SELECT wake_at FROM sagas", vec![]).await.unwrap();
        let now = self.clock.now();
        (due[0] > now).then(|| due[0].since(now))
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_step_learns_is_kept_recorded_and_handed_on() {
    let saga = Saga::begun(&[("pay", &[Reply::Retry, Reply::Wait(7)])]).await;
    let failed = saga.advance().await;
    assert_eq!((failed.step, failed.attempt, &failed.data), (1, 1, &1.into()));
    let waits = saga.advance().await;
    assert_eq!((waits.state, waits.step, waits.attempt, &waits.data), (State::Forward, 1, 1, &7.into()), "a wait is no new beginning");
    let done = saga.advance().await;
    assert_eq!((done.state, &done.data), (State::Done, &9.into()));
    let asked = saga.played.asked.lock().unwrap().clone();
    let asked: Vec<_> = asked.iter().map(|(what, data, attempt)| (what.as_str(), *data, *attempt)).collect();
    assert_eq!(asked, [("hold", 0, 0), ("pay", 1, 0), ("pay", 1, 1), ("pay", 7, 1), ("claim", 8, 0)]);
    let recorded = saga.played.recorded.lock().unwrap().clone();
    assert_eq!(recorded, [("hold".to_owned(), 1), ("pay".to_owned(), 8), ("claim".to_owned(), 9)]);
    assert_eq!(format!("{:?}", saga.runner), "Runner(sagas)");
}

#[tokio::test(start_paused = true)]
async fn a_walk_back_waits_and_fails_where_it_is_and_ends_before_the_first_step() {
    let saga = Saga::begun(&[("claim", &[Reply::Refused]), ("undo pay", &[Reply::Retry, Reply::Wait(5)])]).await;
    let failed = saga.advance().await;
    assert_eq!((failed.state, failed.step, failed.attempt, &failed.data), (State::Back, 1, 1, &2.into()));
    let waits = saga.advance().await;
    assert_eq!((waits.state, waits.step, waits.attempt, &waits.data), (State::Back, 1, 1, &5.into()));
    let end = saga.advance().await;
    assert_eq!((end.state, end.step, &end.data), (State::Unwound, -1, &3.into()));
    assert_eq!(saga.played.asked(), ["hold", "pay", "claim", "undo pay", "undo pay", "undo pay", "undo hold"]);
    assert_eq!(saga.played.recorded.lock().unwrap().last(), Some(&("unwound: no".to_owned(), 3)));
}

#[tokio::test(start_paused = true)]
async fn a_step_that_keeps_failing_is_tried_at_growing_intervals() {
    let tries = vec![Reply::Retry; 12];
    let saga = Saga::begun(&[("hold", &tries)]).await;
    let mut pauses = Vec::new();
    for tried in 1..=12 {
        saga.advance().await;
        assert_eq!(saga.played.asked().len(), tried, "once, and then it rests");
        pauses.push(saga.rests().await.unwrap());
    }
    // 50 ms doubled each time, half to the whole of it, ten seconds at most.
    for (number, pause) in (1..).zip(&pauses) {
        let whole = Duration::from_millis(50 << number).min(Duration::from_secs(10));
        assert!(*pause >= whole / 2 && *pause <= whole, "{number}: {pause:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_abort_that_comes_while_a_step_fails_is_not_left_waiting() {
    let saga = Saga::begun(&[("pay", &[Reply::Retry])]).await;
    let meanwhile = saga.pays_slowly();
    let stop = async {
        meanwhile.looked.notified().await;
        saga.abort().await;
        meanwhile.may_answer.notify_one();
    };
    let (end, ()) = futures::future::join(saga.advance(), stop).await;
    assert_eq!(end.state, State::Unwound, "at once: nothing sweeps here");
    assert_eq!(saga.played.asked(), ["hold", "pay", "undo pay", "undo hold"]);
}

#[tokio::test(start_paused = true)]
async fn an_abort_does_not_hurry_a_walk_back_that_fails() {
    let saga = Saga::begun(&[("undo hold", &[Reply::Retry])]).await;
    saga.abort().await;
    assert_eq!((saga.advance().await.state, saga.played.asked()), (State::Back, vec!["undo hold".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn news_that_come_while_a_step_fails_are_due_at_once() {
    let saga = Saga::begun(&[("pay", &[Reply::Retry])]).await;
    let meanwhile = saga.pays_slowly();
    let news = async {
        meanwhile.looked.notified().await;
        saga.wake().await;
        meanwhile.may_answer.notify_one();
    };
    let (failed, ()) = futures::future::join(saga.advance(), news).await;
    assert_eq!((failed.attempt, saga.rests().await), (1, None));
}

#[tokio::test(start_paused = true)]
async fn what_another_process_has_moved_on_is_not_taken_back_by_who_comes_late() {
    let saga = Saga::begun(&[("claim", &[Reply::Wait(2)])]).await;
    let meanwhile = saga.pays_slowly();
    let other = process(&saga.db, saga.clock, saga.played.clone());
    let overtakes = async {
        meanwhile.looked.notified().await;
        // The lease is of one process; the other one thinks that this one has died.
        other.advance(ID).await.unwrap();
        let moved = saga.stored().await;
        assert_eq!((moved.state, moved.step), (State::Forward, 2));
        meanwhile.may_answer.notify_one();
        moved.version
    };
    let (after, version) = futures::future::join(saga.advance(), overtakes).await;
    assert_eq!((after.state, after.step, after.version), (State::Forward, 2, version), "the row is the other's");
    let recorded: Vec<String> = saga.played.recorded.lock().unwrap().iter().map(|(step, _)| step.clone()).collect();
    assert_eq!(recorded, ["hold", "pay"], "and nothing is recorded twice");
}

#[tokio::test(start_paused = true)]
async fn a_saga_behind_its_last_step_has_ended() {
    // As one that an older version began, which had more steps.
    let saga = Saga::begun(&[]).await;
    saga.db.run_script("UPDATE sagas SET step = 3, version = version + 1").await.unwrap();
    assert_eq!(saga.advance().await.state, State::Done);
    assert!(saga.played.asked().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_sweep_says_when_the_next_saga_is_due() {
    let saga = Saga::begun(&[("hold", &[Reply::Retry])]).await;
    saga.advance().await;
    // The first look of a process takes on everything; this one has looked before.
    let other = process(&saga.db, saga.clock, saga.played.clone());
    saga.db.run_script("UPDATE sagas SET state = 'DONE'").await.unwrap();
    assert_eq!(other.sweep().await.unwrap(), Progress::Idle);
    saga.db.run_script("UPDATE sagas SET state = 'FORWARD'").await.unwrap();
    let rests = saga.rests().await.unwrap();
    assert_eq!(other.sweep().await.unwrap(), Progress::Until(saga.clock.now().plus(rests)));
    saga.clock.sleep(rests).await;
    assert_eq!(other.sweep().await.unwrap(), Progress::More);
    assert_eq!(saga.rests().await, Some(Duration::from_secs(30)), "it is being worked on");
}
