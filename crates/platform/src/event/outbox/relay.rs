//! What carries an outbox to the bus.
//!
//! To tell an event and to note that it was told are two writes, and of a busy relay's work the note is the dearer one: a transaction for each
//! handful of events. So a relay works in shifts. A shift begins with the lease, tells what comes for [`SHIFT`] at the longest, and ends
//! with one note of all that it told. Meanwhile it knows by itself what it has told. A relay that dies in a shift takes that with it, and the
//! next one tells it again: consumers dedupe by event id, and as each event that is passed over lies in the log already, those of a key are
//! there in their order at their first delivery, whoever tells them.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;
use types::Timestamp;

use super::Pending;
use crate::{
    bus::{Bus, BusError},
    clock::Clock,
    db::{self, Db, DbError, Dialect, Value},
    service::Progress,
    values,
};

/// How many events are carried at a time, and how many wait for their note at the most.
const BATCH: usize = 500;
/// How long a shift takes at the longest.
const SHIFT: Duration = Duration::from_millis(100);
/// How long after it found another at work.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Carries a service's outbox to the bus, in order; one at a time over all processes. The instances of a process share one ([`Relay::of`]), and
/// any of them goes on where another stopped.
#[derive(Clone, Debug)]
pub struct Relay {
    service: &'static str,
    instance: u32,
    db: Db,
    bus: Bus,
    clock: Clock,
    bell: Arc<Notify>,
    statements: Statements,
    stand: Arc<Mutex<Stand>>,
}

/// How the shift stands.
#[derive(Debug, Default)]
enum Stand {
    #[default]
    Over,
    Begun(Shift),
    /// Somebody takes a step of it; whether somebody else wanted to take one meanwhile.
    Stepping {
        is_wanted: bool,
    },
}

/// The one step that is taken. However it ends, somebody can take the next.
struct Step<'r> {
    relay: &'r Relay,
    is_done: bool,
}

/// What is pending and not told yet, and the note of what was told.
#[derive(Clone, Debug)]
struct Statements {
    select: Arc<str>,
    sent: Arc<str>,
    told_are: Told,
}

/// How a statement is given what was told.
#[derive(Clone, Copy, Debug)]
enum Told {
    /// From the first to the last: with one writer at a time, nothing comes between them later.
    Between,
    /// Each by its number, of which there is a list. Where several write at once numbers are given before they are committed, so a lower one may come later.
    Each,
}

/// From the lease to the note.
#[derive(Debug)]
struct Shift {
    began: Timestamp,
    /// Which instance sees to its end.
    keeper: u32,
    /// The numbers of what was told in it, in the order in which that was done.
    told: Vec<i64>,
    lease: db::Lease,
}

impl Shift {
    /// Its time is over, or its list is long. A clock that was set back does not make it longer.
    fn is_over(&self, now: Timestamp) -> bool {
        self.told.len() >= BATCH || !(self.began..self.began.plus(SHIFT)).contains(&now)
    }
}

impl Statements {
    fn of(service: &'static str, dialect: Dialect) -> Self {
        let (untold, sent, told_are) = match dialect {
            Dialect::Sqlite => (
                "seq > ?",
                format!("UPDATE {service}_outbox SET status = 'SENT', sent_at = ? WHERE seq BETWEEN ? AND ? AND status = 'PENDING'"),
                Told::Between,
            ),
            Dialect::Postgresql => (
                "seq NOT IN (SELECT value::bigint FROM jsonb_array_elements_text(?))",
                format!(
                    "WITH told AS (SELECT value::bigint AS seq FROM jsonb_array_elements_text(?))
                     UPDATE {service}_outbox SET status = 'SENT', sent_at = ? WHERE seq IN (SELECT seq FROM told) AND status = 'PENDING'"
                ),
                Told::Each,
            ),
            Dialect::Mariadb => (
                "seq NOT IN (SELECT told.seq FROM JSON_TABLE(?, '$[*]' COLUMNS (seq bigint PATH '$')) AS told)",
                // From the list to the rows, so that no other row is locked.
                format!(
                    "UPDATE JSON_TABLE(?, '$[*]' COLUMNS (seq bigint PATH '$')) AS told
                     STRAIGHT_JOIN {service}_outbox pending ON pending.seq = told.seq
                     SET pending.status = 'SENT', pending.sent_at = ? WHERE pending.status = 'PENDING'"
                ),
                Told::Each,
            ),
        };
        let select = format!(
            "SELECT seq, event_id, topic, \"key\", payload, traceparent, correlation_id, created_at FROM {service}_outbox
             WHERE status = 'PENDING' AND {untold} ORDER BY seq LIMIT {BATCH}"
        );
        Self { select: select.into(), sent: sent.into(), told_are }
    }

    /// What [`Self::select`] is asked with.
    fn besides(&self, told: &[i64]) -> Vec<Value> {
        match self.told_are {
            Told::Between => values![told.last().copied().unwrap_or(0)],
            Told::Each => values![list(told)],
        }
    }

    /// What [`Self::sent`] is told with.
    fn note(&self, told: &[i64], now: Timestamp) -> Vec<Value> {
        match self.told_are {
            Told::Between => values![now, told.first().copied().unwrap_or(0), told.last().copied().unwrap_or(0)],
            Told::Each => values![list(told), now],
        }
    }
}

fn list(numbers: &[i64]) -> serde_json::Value {
    numbers.iter().copied().collect()
}

impl<'r> Step<'r> {
    /// The step, and the shift that has begun; none while another instance takes one.
    fn take(relay: &'r Relay) -> Option<(Self, Option<Shift>)> {
        let mut stand = relay.stand();
        let begun = match mem::replace(&mut *stand, Stand::Stepping { is_wanted: false }) {
            Stand::Over => None,
            Stand::Begun(shift) => Some(shift),
            Stand::Stepping { .. } => {
                *stand = Stand::Stepping { is_wanted: true };
                return None;
            }
        };
        Some((Self { relay, is_done: false }, begun))
    }

    /// With the shift, if it goes on. Whoever wanted to take a step meanwhile may have been woken for what this one did not see, or to end the
    /// shift: both are this instance's now.
    fn finish(mut self, taken: Result<(Option<Shift>, Progress), RelayError>) -> Result<Progress, RelayError> {
        self.is_done = true;
        let mut stand = self.relay.stand();
        let is_wanted = matches!(*stand, Stand::Stepping { is_wanted: true });
        *stand = Stand::Over;
        let (shift, progress) = taken?;
        if let Some(shift) = shift {
            *stand = Stand::Begun(Shift { keeper: if is_wanted { self.relay.instance } else { shift.keeper }, ..shift });
        }
        Ok(if is_wanted { Progress::More } else { progress })
    }
}

impl Drop for Step<'_> {
    /// One that was broken off, with whoever took it: his shift is over, and another has to look.
    fn drop(&mut self) {
        if !self.is_done {
            *self.relay.stand() = Stand::Over;
            self.relay.bell.notify_one();
        }
    }
}

impl Relay {
    /// `bell` wakes who takes its steps.
    #[must_use]
    pub fn new(service: &'static str, db: Db, bus: Bus, clock: Clock, bell: Arc<Notify>) -> Self {
        let statements = Statements::of(service, db.dialect());
        Self { service, instance: 0, db, bus: bus.of(service), clock, bell, statements, stand: Arc::default() }
    }

    /// The same one, as this instance of the service takes its steps.
    #[must_use]
    pub fn of(&self, instance: u32) -> Self {
        Self { instance, ..self.clone() }
    }

    /// Carries up to one batch, in the shift that has begun or in a new one.
    pub async fn step(&self) -> Result<Progress, RelayError> {
        // Whoever takes one just now will look again.
        let Some((step, begun)) = Step::take(self) else { return Ok(Progress::Idle) };
        step.finish(self.go_on(begun).await)
    }

    /// Ends the shift that has begun: what was told in it is noted.
    pub async fn stop(&self) -> Result<Progress, RelayError> {
        let Some((step, begun)) = Step::take(self) else { return Ok(Progress::Idle) };
        let ended = match begun {
            Some(shift) => self.end(shift).await,
            None => Ok(()),
        };
        step.finish(ended.map(|()| (None, Progress::Idle)))
    }

    /// An instance was killed, and with it goes what it knew: what was told and not noted is told again.
    pub(crate) fn forget(&self) {
        // As a step that is broken off. One that is taken just now lives on, or is broken off itself.
        drop(Step::take(self));
    }

    fn stand(&self) -> MutexGuard<'_, Stand> {
        self.stand.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a step comes to, with the shift if it is not over.
    async fn go_on(&self, begun: Option<Shift>) -> Result<(Option<Shift>, Progress), RelayError> {
        let begun = match begun {
            Some(shift) => Some(shift),
            None => self.begin().await?,
        };
        // Another process is at it, but our bell does not ring there: what was committed here since it looked would wait for nobody.
        let Some(mut shift) = begun else { return Ok((None, Progress::Until(self.clock.now().plus(LOOK_AGAIN)))) };
        let carried = self.carry(&mut shift).await;
        if carried.is_err() || shift.told.is_empty() || shift.is_over(self.clock.now()) {
            let ended = self.end(shift).await;
            let progress = carried?;
            return ended.map(|()| (None, progress));
        }
        let progress = match carried? {
            Progress::Idle if shift.keeper == self.instance => Progress::Until(shift.began.plus(SHIFT)),
            progress => progress,
        };
        Ok((Some(shift), progress))
    }

    /// None while another process is at it.
    async fn begin(&self) -> Result<Option<Shift>, DbError> {
        let lease = self.db.lease("outbox").await?;
        Ok(lease.map(|lease| Shift { began: self.clock.now(), keeper: self.instance, told: Vec::new(), lease }))
    }

    async fn carry(&self, shift: &mut Shift) -> Result<Progress, RelayError> {
        let pending: Vec<Pending> = self.db.fetch_all(&self.statements.select, self.statements.besides(&shift.told)).await?;
        if pending.is_empty() {
            return Ok(Progress::Idle);
        }
        let numbers: Vec<i64> = pending.iter().map(|row| row.seq).collect();
        self.bus.publish(pending.into_iter().map(|row| row.event.outgoing(self.service)).collect()).await?;
        let is_whole = numbers.len() == BATCH;
        shift.told.extend(numbers);
        Ok(if is_whole { Progress::More } else { Progress::Idle })
    }

    async fn end(&self, shift: Shift) -> Result<(), RelayError> {
        if !shift.told.is_empty() {
            self.db.execute(&self.statements.sent, self.statements.note(&shift.told, self.clock.now())).await?;
        }
        shift.lease.end().await;
        Ok(())
    }
}

#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    #[error(transparent)]
    Store(#[from] DbError),
    #[error(transparent)]
    Bus(#[from] BusError),
}

#[cfg(test)]
#[expect(clippy::disallowed_types, reason = "the derive of AvroSchema names HashSet in a signature; nobody looks at its order")]
mod tests {
    use std::sync::atomic::Ordering;

    use apache_avro::AvroSchema;
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::{
        chance::Chance,
        db::{FromRow, Row, Tx},
        event::{self, Event, Outbox},
        ids::Ids,
        schema::Registry,
        service::Background,
        tasks::Tasks,
        testing::stores::no_faults,
    };

    #[derive(Clone, Debug, Serialize, Deserialize, AvroSchema)]
    #[avro(namespace = "crashcart.test")]
    struct Counted {
        number: i64,
    }

    impl Event for Counted {
        const TOPIC: &'static str = "test.thing.counted.v1";
        fn key(&self) -> String {
            "thing".to_owned()
        }
    }

    struct Stage {
        db: Db,
        bus: Bus,
        clock: Clock,
        outbox: Outbox,
        bell: Arc<Notify>,
    }

    impl Stage {
        async fn new() -> Self {
            let (clock, chance) = (Clock::simulated(), Chance::seeded(1));
            let db = Db::in_memory("test", chance, no_faults()).unwrap();
            db.migrate(&event::migrations("test")).await.unwrap();
            let bus = Bus::in_memory(clock, no_faults());
            bus.create_topic(Counted::TOPIC, crate::bus::TopicSettings::default()).await.unwrap();
            let bell = Arc::new(Notify::new());
            let outbox = Outbox::new("test", clock, Ids::new(clock, chance, "test", 0), Registry::in_memory(), bell.clone());
            outbox.register::<Counted>().unwrap();
            Self { db, bus, clock, outbox, bell }
        }

        fn relay(&self) -> Relay {
            Relay::new("test", self.db.clone(), self.bus.clone(), self.clock, self.bell.clone())
        }

        async fn tell(&self, numbers: std::ops::Range<i64>) {
            for number in numbers {
                let outbox = self.outbox.clone();
                self.db.write(async move |tx: &mut Tx<'_>| outbox.add(tx, &Counted { number }).await.map(drop)).await.unwrap();
            }
        }

        /// How many are in the log, and how many are noted as told.
        async fn told_and_noted(&self) -> (u64, i64) {
            let told = self.bus.end_offsets(Counted::TOPIC).unwrap().into_iter().sum();
            let noted = "SELECT count(*) FROM test_outbox WHERE status = 'SENT' AND sent_at IS NOT NULL";
            (told, self.db.read(async |tx: &mut Tx<'_>| tx.fetch_one::<i64>(noted, vec![]).await).await.unwrap())
        }
    }

    /// Each event goes out at once; the note of all of them comes when the shift is over.
    #[tokio::test(start_paused = true)]
    async fn what_is_told_in_a_shift_is_noted_together() {
        let stage = Stage::new().await;
        let (relay, began) = (stage.relay(), stage.clock.now());
        let until = Progress::Until(began.plus(SHIFT));
        for number in 0..3 {
            stage.tell(number..number + 1).await;
            assert_eq!(relay.step().await.unwrap(), until);
            assert_eq!(stage.told_and_noted().await, (number.unsigned_abs() + 1, 0));
        }
        let commits = || stage.db.counters().commits.load(Ordering::Relaxed);
        let before = commits();
        stage.clock.sleep_until(began.plus(SHIFT)).await;
        assert_eq!(relay.step().await.unwrap(), Progress::Idle);
        assert_eq!((stage.told_and_noted().await, commits() - before), ((3, 3), 1));
        assert_eq!(relay.step().await.unwrap(), Progress::Idle);
        assert_eq!(stage.told_and_noted().await, (3, 3));
    }

    /// As it runs in a world where a service has two instances: a look for each ring, one more at the end of the shift, and none after that.
    #[tokio::test(start_paused = true)]
    async fn it_looks_as_often_as_it_is_rung_for() {
        let stage = Stage::new().await;
        let tasks = Tasks::new("test", stage.clock);
        let relay = stage.relay();
        for instance in 0..2 {
            let relay = relay.of(instance);
            let work = Background::new("relay", Duration::from_secs(30), Some(stage.bell.clone()), move || {
                let relay = relay.clone();
                Box::pin(async move { relay.step().await })
            });
            tasks.spawn("relay", work.run("test", stage.clock, tasks.clone()));
            stage.clock.sleep(Duration::from_millis(1)).await;
        }
        let select = Statements::of("test", Dialect::Sqlite).select;
        let looks = || stage.db.counters().by_text().get(&*select).copied().unwrap_or(0);
        let before = looks();
        for number in 0..3 {
            stage.tell(number..number + 1).await;
            stage.clock.sleep(Duration::from_millis(5)).await;
        }
        stage.clock.sleep(Duration::from_secs(1)).await;
        assert_eq!((stage.told_and_noted().await, looks() - before), ((3, 3), 3 + 1));
        tasks.drain(SHIFT).await;
    }

    /// The bell wakes one of them, whichever that is.
    #[tokio::test(start_paused = true)]
    async fn another_instance_goes_on_with_the_shift() {
        let stage = Stage::new().await;
        let relay = stage.relay();
        let (other, until) = (relay.of(1), Progress::Until(stage.clock.now().plus(SHIFT)));
        stage.tell(0..1).await;
        assert_eq!(relay.step().await.unwrap(), until);
        stage.tell(1..2).await;
        assert_eq!(other.step().await.unwrap(), Progress::Idle, "who began it sees to its end");
        assert_eq!(stage.told_and_noted().await, (2, 0));
        stage.clock.sleep(SHIFT).await;
        assert_eq!(relay.step().await.unwrap(), Progress::Idle);
        assert_eq!(stage.told_and_noted().await, (2, 2));
    }

    /// Who was woken while another took a step may have been woken for what that one did not see, or to end the shift.
    #[tokio::test(start_paused = true)]
    async fn who_is_wanted_while_it_takes_a_step_looks_again_and_keeps_the_shift() {
        let stage = Stage::new().await;
        let relay = stage.relay();
        let (other, until) = (relay.of(1), Progress::Until(stage.clock.now().plus(SHIFT)));
        stage.tell(0..1).await;
        assert_eq!(relay.step().await.unwrap(), until);
        let step = other.step();
        tokio::pin!(step);
        assert!(futures::poll!(step.as_mut()).is_pending(), "it waits for its store");
        assert_eq!(relay.step().await.unwrap(), Progress::Idle);
        assert_eq!(step.await.unwrap(), Progress::More);
        assert_eq!(other.step().await.unwrap(), until);
    }

    /// A step that is given up does not keep others from the next one, and has them take it.
    #[tokio::test(start_paused = true)]
    async fn a_step_that_is_broken_off_is_over() {
        let stage = Stage::new().await;
        let relay = stage.relay();
        stage.tell(0..1).await;
        stage.bell.notified().await;
        {
            let step = relay.step();
            tokio::pin!(step);
            assert!(futures::poll!(step.as_mut()).is_pending());
        }
        stage.clock.timeout(Duration::from_millis(1), stage.bell.notified()).await.unwrap();
        assert!(matches!(relay.step().await.unwrap(), Progress::Until(_)));
        assert_eq!(stage.told_and_noted().await.0, 1);
    }

    /// Who dies takes what it knew with it: the next one tells again what was not noted.
    #[tokio::test(start_paused = true)]
    async fn who_dies_in_a_shift_leaves_it_to_be_told_again() {
        let stage = Stage::new().await;
        let relay = stage.relay();
        stage.tell(0..2).await;
        relay.step().await.unwrap();
        relay.forget();
        stage.tell(2..3).await;
        relay.step().await.unwrap();
        assert_eq!(stage.told_and_noted().await, (2 + 3, 0));
        relay.stop().await.unwrap();
        assert_eq!(stage.told_and_noted().await, (5, 3), "who is asked to stop notes what it has told");
        assert_eq!(relay.step().await.unwrap(), Progress::Idle);
    }

    /// A list does not grow without end: a shift that has told much is over before its time.
    #[tokio::test(start_paused = true)]
    async fn a_long_list_ends_the_shift() {
        let stage = Stage::new().await;
        let (relay, many) = (stage.relay(), i64::try_from(BATCH).unwrap());
        stage.tell(0..many + 1).await;
        assert_eq!(relay.step().await.unwrap(), Progress::More);
        assert_eq!(stage.told_and_noted().await, (BATCH as u64, many));
        assert!(matches!(relay.step().await.unwrap(), Progress::Until(_)));
        assert_eq!(stage.told_and_noted().await, (BATCH as u64 + 1, many));
    }

    /// A step of the engine's plan.
    struct Planned(String);

    impl FromRow for Planned {
        fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
            Ok(Self(row.get("detail")?))
        }
    }

    /// And not those that are told, which are all that there ever were.
    #[tokio::test(start_paused = true)]
    async fn a_look_walks_over_what_is_pending_only() {
        let stage = Stage::new().await;
        let statements = Statements::of("test", Dialect::Sqlite);
        for (statement, values) in
            [(&statements.select, statements.besides(&[7])), (&statements.sent, statements.note(&[7, 9], stage.clock.now()))]
        {
            let plan: Vec<Planned> = stage.db.fetch_all(&format!("EXPLAIN QUERY PLAN {statement}"), values).await.unwrap();
            assert!(
                plan.iter().all(|step| step.0.contains("INDEX test_outbox_pending")),
                "{:?}",
                plan.iter().map(|step| &step.0).collect::<Vec<_>>()
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_was_set_back_does_not_make_a_shift_longer() {
        let lease = Stage::new().await.db.lease("test").await.unwrap().unwrap();
        let began = Timestamp::from_micros(1_000_000_000);
        let shift = Shift { began, keeper: 0, told: vec![1], lease };
        assert!(!shift.is_over(began) && !shift.is_over(began.plus(SHIFT / 2)));
        assert!(shift.is_over(began.plus(SHIFT)));
        assert!(shift.is_over(Timestamp::from_micros(999_999_999)));
    }
}
