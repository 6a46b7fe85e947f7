//! What carries an outbox to the bus.
//!
//! To tell an event and to note that it was told are two writes, and of a busy relay's work the note is the dearer one: a transaction for each
//! handful of events. So a relay works in shifts. A shift begins with the lease, tells what comes for [`SHIFT`] at the longest, and ends
//! with one note of all that it told. Meanwhile it knows by itself what it has told. A relay that dies in a shift takes that with it, and the
//! next one tells it again: consumers dedupe by event id, and as each event that is passed over lies in the log already, those of a key are
//! there in their order at their first delivery, whoever tells them.

use std::{
    mem,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

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

/// Carries a service's outbox to the bus, in order; one at a time over all processes. The instances of a process share one, and any of them
/// goes on where another stopped.
#[derive(Clone, Debug)]
pub struct Relay {
    service: &'static str,
    db: Db,
    bus: Bus,
    clock: Clock,
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

/// The one step that is taken. However it ends, somebody can take the next; what it does not give back is over.
struct Step<'r> {
    stand: &'r Mutex<Stand>,
    back: Option<Shift>,
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
    /// The step, and the shift that has begun; none while another instance takes one, which looks again before it waits.
    fn take(stand: &'r Mutex<Stand>) -> Option<(Self, Option<Shift>)> {
        let mut standing = stand.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = match mem::replace(&mut *standing, Stand::Stepping { is_wanted: false }) {
            Stand::Over => None,
            Stand::Begun(shift) => Some(shift),
            Stand::Stepping { .. } => {
                *standing = Stand::Stepping { is_wanted: true };
                return None;
            }
        };
        Some((Self { stand, back: None }, begun))
    }

    /// Whether another instance wanted to take one meanwhile.
    fn is_wanted(&self) -> bool {
        matches!(*self.stand.lock().unwrap_or_else(PoisonError::into_inner), Stand::Stepping { is_wanted: true })
    }
}

impl Drop for Step<'_> {
    fn drop(&mut self) {
        *self.stand.lock().unwrap_or_else(PoisonError::into_inner) = self.back.take().map_or(Stand::Over, Stand::Begun);
    }
}

impl Relay {
    #[must_use]
    pub fn new(service: &'static str, db: Db, bus: Bus, clock: Clock) -> Self {
        let statements = Statements::of(service, db.dialect());
        Self { service, db, bus: bus.of(service), clock, statements, stand: Arc::default() }
    }

    /// Carries up to one batch, in the shift that has begun or in a new one.
    pub async fn step(&self) -> Result<Progress, RelayError> {
        let later = || Progress::Until(self.clock.now().plus(LOOK_AGAIN));
        let Some((mut step, begun)) = Step::take(&self.stand) else { return Ok(later()) };
        let begun = match begun {
            Some(shift) => Some(shift),
            None => self.begin().await?,
        };
        // Another process is at it, but our bell does not ring there: what was committed here since it looked would wait for nobody.
        let Some(mut shift) = begun else { return Ok(later()) };
        let carried = self.carry(&mut shift).await;
        let until = shift.began.plus(SHIFT);
        let progress = if carried.is_err() || shift.told.is_empty() || shift.is_over(self.clock.now()) {
            let ended = self.end(shift).await;
            let progress = carried?;
            ended?;
            progress
        } else {
            step.back = Some(shift);
            if carried? == Progress::More { Progress::More } else { Progress::Until(until) }
        };
        Ok(if step.is_wanted() { Progress::More } else { progress })
    }

    /// Ends the shift that has begun: what was told in it is noted.
    pub async fn stop(&self) -> Result<Progress, RelayError> {
        if let Some((_step, Some(shift))) = Step::take(&self.stand) {
            self.end(shift).await?;
        }
        Ok(Progress::Idle)
    }

    /// An instance was killed, and with it goes what it knew: what was told and not noted is told again.
    pub(crate) fn forget(&self) {
        // A step that is taken lives on, or takes its shift along. The lease that goes with one may take its time, so it goes when nobody waits.
        drop(Step::take(&self.stand));
    }

    /// None while another process is at it.
    async fn begin(&self) -> Result<Option<Shift>, DbError> {
        let lease = self.db.lease("outbox").await?;
        Ok(lease.map(|lease| Shift { began: self.clock.now(), told: Vec::new(), lease }))
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
    }

    impl Stage {
        async fn new() -> Self {
            let (clock, chance) = (Clock::simulated(), Chance::seeded(1));
            let db = Db::in_memory("test", chance, no_faults()).unwrap();
            db.migrate(&event::migrations("test")).await.unwrap();
            let bus = Bus::in_memory(clock, no_faults());
            bus.create_topic(Counted::TOPIC, crate::bus::TopicSettings::default()).await.unwrap();
            let outbox = Outbox::new("test", clock, Ids::new(clock, chance, "test", 0), Registry::in_memory(), Arc::default());
            outbox.register::<Counted>().unwrap();
            Self { db, bus, clock, outbox }
        }

        fn relay(&self) -> Relay {
            Relay::new("test", self.db.clone(), self.bus.clone(), self.clock)
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

    /// The bell wakes one of them, whichever that is.
    #[tokio::test(start_paused = true)]
    async fn another_instance_goes_on_with_the_shift() {
        let stage = Stage::new().await;
        let relay = stage.relay();
        let (other, until) = (relay.clone(), Progress::Until(stage.clock.now().plus(SHIFT)));
        stage.tell(0..1).await;
        assert_eq!(relay.step().await.unwrap(), until);
        stage.tell(1..2).await;
        assert_eq!(other.step().await.unwrap(), until);
        assert_eq!(stage.told_and_noted().await, (2, 0));
        stage.clock.sleep(SHIFT).await;
        assert_eq!(relay.step().await.unwrap(), Progress::Idle);
        assert_eq!(stage.told_and_noted().await, (2, 2));
    }

    /// Who was woken while another took a step may have been woken for what that one did not see.
    #[tokio::test(start_paused = true)]
    async fn who_is_wanted_while_it_takes_a_step_looks_again() {
        let stage = Stage::new().await;
        let relay = stage.relay();
        stage.tell(0..1).await;
        let step = relay.step();
        tokio::pin!(step);
        assert!(futures::poll!(step.as_mut()).is_pending(), "it waits for its store");
        assert_eq!(relay.step().await.unwrap(), Progress::Until(stage.clock.now().plus(LOOK_AGAIN)));
        assert_eq!(step.await.unwrap(), Progress::More);
        assert!(matches!(relay.step().await.unwrap(), Progress::Until(_)));
    }

    /// A step that is given up does not keep others from the next one.
    #[tokio::test(start_paused = true)]
    async fn a_step_that_is_broken_off_is_over() {
        let stage = Stage::new().await;
        let relay = stage.relay();
        stage.tell(0..1).await;
        {
            let step = relay.step();
            tokio::pin!(step);
            assert!(futures::poll!(step.as_mut()).is_pending());
        }
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
        let shift = Shift { began, told: vec![1], lease };
        assert!(!shift.is_over(began) && !shift.is_over(began.plus(SHIFT / 2)));
        assert!(shift.is_over(began.plus(SHIFT)));
        assert!(shift.is_over(Timestamp::from_micros(999_999_999)));
    }
}
