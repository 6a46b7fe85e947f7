//! The store on Cassandra, which has no transaction over several partitions: an operation is decided by one conditional write, and everything
//! that it does follows from the row that was written then.
//!
//! 1. **Read** the cells that it is about: the order's reservations, the stock of its SKUs. Decide.
//! 2. **Open** an entry in the journal, under a number that is higher than that of whatever it has read; and where something new is made, what
//!    leads to it by its name. Of an attempt that comes to nothing that leads to nothing.
//! 3. **Lock** each cell, if it still has the version that was read.
//! 4. **Decide**: the row of the operation is written with all that it does, its events and its answer, if no other attempt was decided.
//!    Before it nothing has happened, from it on everything has.
//! 5. **Apply**: each cell gets its new body and is left, the ends of holds are noted, and last the entry in the journal, which the relay tells
//!    from.
//!
//! Whoever finds a cell locked looks at the operation. It was decided: he applies it. It was given up, or overtaken: he leaves the cell as it
//! was. Neither: he waits a little, and then sees to it that it cannot be decided any more. Readers look through a lock: a cell reads as the
//! decided operation leaves it. So it does not matter where a process ends.
//!
//! The row of the operation is also the note that an event was taken, the answer that a repeat gets, and what [`Cassandra::read_back`] looks for.
//! Of a key's or an event's operations all have one row, so one of them is decided.

pub mod facts;
mod relay;
pub mod rows;
mod turns;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use inventory_api::{
    ReservationStatus,
    events::{InventoryAdjusted, InventoryClaimed, InventoryReleased, InventoryReserved, InventoryShortfall},
};
use platform::{
    Clock, Ids,
    bus::Bus,
    db::DbError,
    engine::cassandra::{CassandraError, Keyspace},
    event::{Outbox, Sealed},
    http::Answer,
    idempotency,
    lease::Leases,
    service::{BuildError, Env, Progress},
};
use tokio::sync::{Mutex, Notify};
use types::{OrderId, ReservationId, Sku, Timestamp, id::Uuid};

use self::{
    rows::{After, Cell, Decided, Due, Effects, Fading, Key, Line, Lock, Note, Phase, Standing},
    turns::Turns,
};
use super::{
    Find, Once, Operation, ReadBack, StoreError,
    lost::{Lost, LostAnswers},
};
use crate::{
    config::Hold,
    domain::{Changes, Place, Reservation, Shelf, State, Told, steps},
};

/// How many holds that are over are ended at a time.
const LAPSE_BATCH: u32 = 64;
/// How many holds that are over a reader takes into account; the sweeper leaves none for long.
const OVER_MAX: u32 = 10_000;
/// How often an operation is tried whose cells were changed meanwhile.
const ATTEMPTS: u32 = 50;
/// How long somebody who is at a cell is waited for, before he is thought to have died; and, where the server is slow, how many times as long
/// as an operation of one's own takes: or two processes would end each other's operations, and none would be done.
const WAIT: Duration = Duration::from_millis(500);
const PACES: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(80);
/// When a hold is looked at again that should be over.
const SOON: Duration = Duration::from_millis(200);
/// Where a sweeper begins that finds no mark.
const LOOK_BACK: Duration = Duration::from_secs(24 * 3_600);
/// How far behind this clock those of other processes may be: the sweeper looks for holds that ended so long ago, and found none then.
const MARGIN: Duration = Duration::from_secs(600);
/// The same for everybody else, who comes by with every request; what ended before, the sweeper finds.
const SHORT_MARGIN: Duration = Duration::from_secs(5);
/// How far ahead the sweeper looks for the next end.
const LOOK_AHEAD: Duration = Duration::from_secs(3_600);
const SWEPT: &str = "swept";

#[derive(Clone, Debug)]
pub struct Cassandra {
    space: Keyspace,
    clock: Clock,
    ids: Ids,
    outbox: Outbox,
    bus: Bus,
    leases: Leases,
    turns: Turns,
    lost: LostAnswers,
    expiry: Arc<Notify>,
    /// Rung when there is something to tell.
    bell: Arc<Notify>,
    /// When the sweeper will look next, in microseconds: a hold that ends before that wakes it.
    next_look: Arc<AtomicI64>,
    /// No hold is left that ended by this moment, in microseconds.
    swept: Arc<AtomicI64>,
    /// When the sweeper found last that none was over, in microseconds.
    looked: Arc<AtomicI64>,
    /// How long an operation takes at its cells, in microseconds.
    pace: Arc<AtomicU64>,
    /// The last number that this process knows of.
    number: Arc<Mutex<i64>>,
}

/// What is known of an attempt from outside.
enum Fate {
    /// It was decided, and this is what it does.
    Done(Box<Effects>),
    /// Nothing comes of it any more.
    Over,
    /// It may be decided yet, over this attempt.
    Open(Option<i64>),
}

/// What an operation has read.
#[derive(Clone, Debug, Default)]
struct Read {
    cells: BTreeMap<Key, Cell>,
    places: BTreeMap<Sku, rows::Places>,
    /// Of its order.
    reservations: Vec<Reservation>,
}

/// What is done about a hold that is over and that an operation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    IsEndedFirst,
    /// The operation itself ends it.
    IsWhatItIsFor,
}

/// What became of one attempt.
enum Outcome {
    Done(Answer),
    /// Somebody else was first; once more.
    Again,
    /// The hold that it is about is over, and has to be ended before.
    Over(Box<Reservation>),
}

impl Cassandra {
    pub fn new(env: &Env, space: Keyspace, lost_answers_share: f64, expiry: Arc<Notify>) -> Result<Self, BuildError> {
        let outbox = env.outbox();
        outbox.register::<InventoryReserved>()?;
        outbox.register::<InventoryClaimed>()?;
        outbox.register::<InventoryReleased>()?;
        outbox.register::<InventoryAdjusted>()?;
        outbox.register::<InventoryShortfall>()?;
        Ok(Self {
            space,
            clock: env.clock,
            ids: env.ids.clone(),
            outbox,
            bus: env.bus.of(env.service),
            leases: env.leases.clone(),
            turns: Turns::default(),
            lost: LostAnswers::new(env, lost_answers_share),
            expiry,
            bell: Arc::default(),
            next_look: Arc::new(AtomicI64::new(i64::MAX)),
            swept: Arc::new(AtomicI64::new(i64::MIN)),
            looked: Arc::new(AtomicI64::new(i64::MIN)),
            pace: Arc::default(),
            number: Arc::default(),
        })
    }

    /// Finds the keyspace or makes it. One that does not answer is waited for by whoever needs it, and not by the start.
    pub async fn prepare(&self) -> Result<(), CassandraError> {
        match self.space.prepare(rows::migrations()).await {
            Err(error @ (CassandraError::Away { .. } | CassandraError::Unknown { .. })) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the stock does not answer; who needs it is answered 503 until it does"
                );
                Ok(())
            }
            prepared => prepared,
        }
    }

    pub async fn transact(&self, operation: &Operation) -> Result<Answer, StoreError> {
        self.space.let_write().await.map_err(DbError::from)?;
        let lost = self.lost.next(operation.name);
        if lost == Some(Lost::Before) {
            return Err(StoreError::Unknown(operation.name));
        }
        self.end_what_is_over(operation).await?;
        let answer = self.perform(operation, Over::IsEndedFirst).await?;
        if lost.is_some() { Err(StoreError::Unknown(operation.name)) } else { Ok(answer) }
    }

    async fn perform(&self, operation: &Operation, over: Over) -> Result<Answer, StoreError> {
        let mut pause = FIRST_PAUSE;
        for _ in 0..ATTEMPTS {
            match Box::pin(self.attempt(operation, over)).await? {
                Outcome::Done(answer) => return Ok(answer),
                Outcome::Over(reservation) => Box::pin(self.end(&reservation, operation.hold)).await?,
                Outcome::Again => {
                    self.clock.sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
        Err(DbError::Unavailable("the stock was changed by others each time".into()).into())
    }

    async fn attempt(&self, operation: &Operation, if_over: Over) -> Result<Outcome, StoreError> {
        let id = row_of(operation);
        let known = rows::operation(&self.space, id).await?;
        if let Some(answer) = self.repeated(operation, known.as_ref())? {
            return Ok(Outcome::Done(answer));
        }
        let over = known.as_ref().map(|known| known.attempt);
        if let Some(known) = &known
            && let Some(effects) = known.effects()?
        {
            // An answer that is forgotten: what it tells of must stand before another takes its place.
            self.apply(Lock { operation: id, attempt: known.attempt }, &effects).await?;
        }

        let order = match operation.reservation {
            None => None,
            Some(Find::Order(order)) => Some(order),
            Some(Find::Id(id)) => rows::order_of(&self.space, id).await?,
        };
        let mut turns = Vec::new();
        let Read { mut cells, mut places, mut reservations } = Read::default();
        if let Some(order) = order {
            turns.push(self.turns.take(Key::Order(order)).await);
            let cell = self.settled(&Key::Order(order)).await?;
            reservations = rows::reservations(cell.body.as_deref())?;
            cells.insert(Key::Order(order), cell);
        }
        let reservation = match operation.reservation {
            Some(Find::Id(id)) => reservations.iter().find(|reservation| reservation.id == id),
            _ => reservations.last(),
        };
        let mut skus: BTreeSet<&Sku> = operation.skus.iter().collect();
        if operation.skus.is_empty() {
            skus.extend(reservation.iter().flat_map(|reservation| reservation.lines.iter().map(|line| &line.sku)));
        }
        for sku in skus {
            let key = Key::Sku(sku.clone());
            turns.push(self.turns.take(key.clone()).await);
            let cell = self.settled(&key).await?;
            places.insert(sku.clone(), rows::places(cell.body.as_deref())?);
            cells.insert(key, cell);
        }

        let now = self.clock.now();
        if let Some(reservation) = reservation
            && reservation.held_until.is_some_and(|until| until <= now)
            && if_over == Over::IsEndedFirst
            && !(operation.hold == Hold::Ttl && self.space.rows_fade())
        {
            return Ok(Outcome::Over(Box::new(reservation.clone())));
        }
        let mut state = State { now, shelves: shelves(&places), reservation: reservation.cloned(), next_token: 0 };
        let mut changes = (operation.decide)(&state)?;
        if changes.is_empty() {
            let answer = (operation.answer)(&state)?;
            return self.noted(operation, id, over, now, answer).await;
        }
        let span = [changes.movements.len(), changes.events.len(), 1].into_iter().max().unwrap_or(1) as i64;
        let number = self.take_numbers(span).await?;
        if changes.reservation.as_ref().is_some_and(|reservation| reservation.version == 0) {
            // Its token is its number.
            state.next_token = number;
            changes = (operation.decide)(&state)?;
        }
        let read = Read { cells, places, reservations };
        let effects = self.effects(operation, &state, &changes, &read, span, number)?;
        let answer = (operation.answer)(&state.after(changes))?;
        let decided = Decided {
            attempt: number,
            phase: Phase::Done,
            at: now,
            note: note_of(operation, now),
            effects: Some(rows::effects_text(&effects)?),
            answer: Some(answer.clone()),
        };
        let lock = Lock { operation: id, attempt: number };
        if self.commit(operation, lock, over, &decided, &effects, &read.cells).await? {
            Ok(Outcome::Done(answer))
        } else {
            Ok(Outcome::Again)
        }
    }

    /// Steps 2 to 5; says whether it was decided.
    async fn commit(
        &self,
        operation: &Operation,
        lock: Lock,
        over: Option<i64>,
        decided: &Decided,
        effects: &Effects,
        cells: &BTreeMap<Key, Cell>,
    ) -> Result<bool, StoreError> {
        rows::open_entry(&self.space, lock.attempt, effects.span, lock.operation, effects.at).await?;
        self.lead_to(effects).await?;
        let (began, mut locked) = (self.clock.now(), Vec::new());
        for after in &effects.cells {
            let version = cells.get(&after.key).map_or(0, |cell| cell.version);
            if !rows::lock(&self.space, &after.key, version, lock).await.map_err(|error| unsure(operation, error))? {
                return self.leave(lock, effects, &locked).await.map(|()| false);
            }
            locked.push(&after.key);
        }
        let is_decided = rows::decide(&self.space, lock.operation, over, decided).await.map_err(|error| unsure(operation, error))?;
        let took = u64::try_from(self.clock.now().since(began).as_micros()).unwrap_or(u64::MAX);
        self.pace.store(took.max(self.pace.load(Ordering::Relaxed) / 2), Ordering::Relaxed);
        if !is_decided {
            return self.leave(lock, effects, &locked).await.map(|()| false);
        }
        // It is done. What cannot be applied now whoever comes next will apply, or the relay.
        if let Err(error) = self.apply(lock, effects).await {
            tracing::warn!(error = &error as &dyn std::error::Error, operation = %lock.operation, "what was decided is not applied yet");
        }
        self.bell.notify_one();
        Ok(true)
    }

    /// What leads to something new by its name. It is there before the decision: from that moment on a repeat is told the name, and asks for it.
    async fn lead_to(&self, effects: &Effects) -> Result<(), DbError> {
        for after in &effects.cells {
            if let (Key::Sku(sku), 1) = (&after.key, after.version) {
                rows::index_sku(&self.space, sku).await?;
            }
        }
        match &effects.reservation {
            Some(reservation) if effects.made => rows::index_reservation(&self.space, reservation).await,
            _ => Ok(()),
        }
    }

    /// Leaves what an attempt has locked that was not decided.
    async fn leave(&self, lock: Lock, effects: &Effects, locked: &[&Key]) -> Result<(), StoreError> {
        for key in locked {
            rows::unlock(&self.space, key, lock).await?;
        }
        rows::close_entry(&self.space, lock.attempt, effects.span, lock.operation, effects.at).await?;
        Ok(())
    }

    /// Does what was decided, as far as it is not done yet. The entry in the journal comes last: who sees it written knows that all stands.
    async fn apply(&self, lock: Lock, effects: &Effects) -> Result<(), DbError> {
        for after in &effects.cells {
            rows::save(&self.space, lock, after).await?;
        }
        if let Some(reservation) = &effects.reservation {
            if reservation.held_until != effects.held_before {
                if let Some(until) = reservation.held_until {
                    rows::add_due(&self.space, until, reservation, effects.fading.is_some()).await?;
                    self.look_by(until).await?;
                }
                if let Some(until) = effects.held_before {
                    rows::remove_due(&self.space, until, reservation.id).await?;
                }
            }
            match &effects.fading {
                None => {}
                Some(Fading::Until(until)) => {
                    // In whole seconds of the server's clock; what is over already is not made at all.
                    let left = until.since(self.clock.now());
                    if !left.is_zero() {
                        let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
                        rows::hold_for(&self.space, reservation, i64::try_from(seconds).unwrap_or(i64::MAX)).await?;
                    }
                }
                Some(Fading::Upsert(status)) => rows::upsert_hold(&self.space, reservation.id, status).await?,
                Some(Fading::Gone) => rows::remove_hold(&self.space, reservation.id).await?,
            }
        }
        rows::write_entry(&self.space, lock, effects).await
    }

    fn effects(
        &self,
        operation: &Operation,
        state: &State,
        changes: &Changes,
        read: &Read,
        span: i64,
        number: i64,
    ) -> Result<Effects, DbError> {
        let Read { cells, mut places, mut reservations } = read.clone();
        let mut changed = BTreeMap::new();
        for (place, shelf) in &changes.shelves {
            let at = places.entry(place.sku.clone()).or_default();
            let seq = at.get(&place.warehouse).map_or(number, |standing| standing.seq);
            let shelf = Shelf { version: shelf.version + 1, ..*shelf };
            at.insert(place.warehouse.clone(), Standing { shelf, seq, updated_at: state.now });
            changed.insert(Key::Sku(place.sku.clone()), rows::body(at)?);
        }
        let reservation = changes.reservation.clone().map(|reservation| Reservation { version: reservation.version + 1, ..reservation });
        if let Some(reservation) = &reservation {
            match reservations.iter_mut().find(|known| known.id == reservation.id) {
                Some(known) => *known = reservation.clone(),
                None => reservations.push(reservation.clone()),
            }
            changed.insert(Key::Order(reservation.order_id), rows::body(&reservations)?);
        }
        let held_before = state.reservation.as_ref().filter(|before| reservation.as_ref().is_some_and(|after| after.id == before.id));
        let held_before = held_before.and_then(|before| before.held_until);
        let after = |(key, body)| After { version: cells.get(&key).map_or(0, |cell| cell.version) + 1, key, body };
        let mut name = Some(operation.name);
        let movements =
            changes.movements.iter().map(|movement| Line::new(name.take().unwrap_or_else(|| self.ids.make()), movement)).collect();
        let fading = reservation.as_ref().filter(|_| operation.hold == Hold::Ttl).and_then(|reservation| match reservation.status {
            ReservationStatus::Held => reservation.held_until.map(Fading::Until),
            ReservationStatus::Claimed => Some(Fading::Upsert(reservation.status.as_str().to_owned())),
            ReservationStatus::Shipped => None,
            ReservationStatus::Released | ReservationStatus::Expired | ReservationStatus::ReturnedToStock => Some(Fading::Gone),
        });
        Ok(Effects {
            at: state.now,
            span,
            cells: changed.into_iter().map(after).collect(),
            movements,
            events: changes.events.iter().map(|event| self.sealed(event)).collect::<Result<_, _>>()?,
            made: reservation.as_ref().is_some_and(|reservation| reservation.version == 1),
            reservation,
            held_before,
            fading,
        })
    }

    fn sealed(&self, event: &Told) -> Result<Sealed, DbError> {
        let id = self.ids.make();
        match event {
            Told::Reserved(event) => self.outbox.seal(id, event),
            Told::Claimed(event) => self.outbox.seal(id, event),
            Told::Released(event) => self.outbox.seal(id, event),
            Told::Adjusted(event) => self.outbox.seal(id, event),
            Told::Shortfall(event) => self.outbox.seal(id, event),
        }
    }

    /// The answer of an operation that was decided before: under this name, for this key, of this event.
    fn repeated(&self, operation: &Operation, known: Option<&Decided>) -> Result<Option<Answer>, StoreError> {
        let Some(known) = known.filter(|known| known.phase != Phase::Undone) else { return Ok(None) };
        match &operation.once {
            Once::Key(_) if known.note.until.is_none_or(|until| until <= self.clock.now()) => Ok(None),
            Once::Key(key) => {
                let fingerprint = known.note.fingerprint.as_deref().unwrap_or_default();
                Ok(Some(key.judge(fingerprint, known.answer.clone())?))
            }
            Once::Event { .. } => Ok(Some(Answer::no_content())),
            Once::Always => Ok(known.answer.clone().map(|answer| Answer { replayed: false, ..answer })),
        }
    }

    /// What changes nothing: only that it was asked for is kept, if it is to happen once.
    async fn noted(
        &self,
        operation: &Operation,
        id: Uuid,
        over: Option<i64>,
        at: Timestamp,
        answer: Answer,
    ) -> Result<Outcome, StoreError> {
        if matches!(operation.once, Once::Always) {
            return Ok(Outcome::Done(answer));
        }
        // It is at no cell, so that nobody compares its number with another.
        let attempt = over.map_or(0, |over| over + 1);
        let (note, kept) = (note_of(operation, at), Some(answer.clone()));
        let decided = Decided { attempt, phase: Phase::Applied, at, note, effects: None, answer: kept };
        let is_noted = rows::finish(&self.space, id, over, decided).await.map_err(|error| unsure(operation, error))?;
        Ok(if is_noted { Outcome::Done(answer) } else { Outcome::Again })
    }

    /// So many numbers, above every one that was given before; the first of them.
    async fn take_numbers(&self, count: i64) -> Result<i64, DbError> {
        let mut last = self.number.lock().await;
        for _ in 0..ATTEMPTS {
            match rows::take_numbers(&self.space, *last, count).await {
                Ok(true) => {
                    let first = *last + 1;
                    *last += count;
                    return Ok(first);
                }
                // Others have taken some; or it is not known, and those are nobody's.
                Ok(false) => *last = rows::last_number(&self.space).await?,
                Err(error) => {
                    *last = rows::last_number(&self.space).await.map_err(|_| error)?;
                }
            }
        }
        Err(DbError::Unavailable("numbers were taken by others each time".into()))
    }

    // ── cells ──

    /// A cell that nobody is at: what was decided is applied, what was given up is left.
    async fn settled(&self, key: &Key) -> Result<Cell, DbError> {
        let patience = WAIT.max(Duration::from_micros(self.pace.load(Ordering::Relaxed)).saturating_mul(PACES));
        let (mut met, mut since, mut pause) = (None, self.clock.now(), FIRST_PAUSE);
        loop {
            let cell = rows::cell(&self.space, key).await?;
            let Some(lock) = cell.lock else { return Ok(cell) };
            if met.replace(lock) != Some(lock) {
                (since, pause) = (self.clock.now(), FIRST_PAUSE);
            }
            match self.fate(lock).await? {
                Fate::Done(effects) => self.apply(lock, &effects).await?,
                Fate::Over => drop(rows::unlock(&self.space, key, lock).await?),
                Fate::Open(_) if self.clock.now().since(since) < patience => {
                    self.clock.sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                // Who was at it has died, or is so slow that he has to begin again.
                Fate::Open(over) => drop(rows::give_up(&self.space, lock.operation, over, lock.attempt, self.clock.now()).await?),
            }
        }
    }

    /// A cell as a reader sees it: as whatever was decided leaves it.
    async fn seen(&self, key: &Key) -> Result<Cell, DbError> {
        let cell = rows::cell(&self.space, key).await?;
        let Some(lock) = cell.lock else { return Ok(cell) };
        match self.fate(lock).await? {
            Fate::Done(effects) => match effects.cells.into_iter().find(|after| after.key == *key) {
                Some(after) => Ok(Cell { version: after.version, body: Some(after.body), lock: Some(lock) }),
                None => Ok(cell),
            },
            Fate::Over | Fate::Open(_) => Ok(cell),
        }
    }

    async fn fate(&self, lock: Lock) -> Result<Fate, DbError> {
        let Some(known) = rows::operation(&self.space, lock.operation).await? else { return Ok(Fate::Open(None)) };
        if known.attempt == lock.attempt {
            return Ok(known.effects()?.map_or(Fate::Over, |effects| Fate::Done(Box::new(effects))));
        }
        // Numbers grow with each attempt, and none goes over one that was decided, as long as its answer counts.
        let counts = known.phase != Phase::Undone && known.note.until.is_none_or(|until| until > self.clock.now());
        Ok(if known.attempt > lock.attempt || counts { Fate::Over } else { Fate::Open(Some(known.attempt)) })
    }

    /// Reads with a serial read, which ends whatever is on its way. What was not decided is given up then, so that it never will be.
    pub async fn read_back(&self, operation: &Operation) -> Result<ReadBack, StoreError> {
        let id = row_of(operation);
        for _ in 0..ATTEMPTS {
            let known = rows::operation_for_certain(&self.space, id).await?;
            if let Some(answer) = self.repeated(operation, known.as_ref())? {
                if let Some((effects, known)) = known.and_then(|known| Some((known.effects().ok()??, known))) {
                    // Its own process may have broken off before.
                    self.apply(Lock { operation: id, attempt: known.attempt }, &effects).await?;
                    self.bell.notify_one();
                }
                return Ok(ReadBack::Applied(Answer { replayed: false, ..answer }));
            }
            let (mark, now) = (self.take_numbers(1).await?, self.clock.now());
            // The relay need not wait for an entry under this number.
            rows::close_entry(&self.space, mark, 1, id, now).await?;
            if rows::give_up(&self.space, id, known.map(|known| known.attempt), mark, now).await? {
                return Ok(ReadBack::NotApplied);
            }
        }
        Err(DbError::Unavailable("what became of a write cannot be told now".into()).into())
    }

    // ── holds that are over ──

    /// Ends the holds that are over of whatever an operation is about.
    async fn end_what_is_over(&self, operation: &Operation) -> Result<(), StoreError> {
        let is_meant = |due: &Due| {
            due.units.iter().any(|unit| operation.skus.contains(&unit.sku))
                || match operation.reservation {
                    Some(Find::Id(id)) => due.reservation == id,
                    Some(Find::Order(order)) => due.order == order,
                    None => false,
                }
        };
        for due in self.lately_over().await?.iter().filter(|due| is_meant(due)) {
            self.end_due(due, operation.hold).await?;
        }
        Ok(())
    }

    /// Holds that are over and not ended. What the sweeper has seen to is not looked at again.
    async fn lately_over(&self) -> Result<Vec<Due>, DbError> {
        let now = self.clock.now();
        let looked = Timestamp::from_micros(self.looked.load(Ordering::Relaxed)).min(now).minus(SHORT_MARGIN);
        self.over(self.swept(now).await?.max(looked), now, OVER_MAX).await
    }

    /// Holds that ended after `from` and by now, and are not ended, the earliest first.
    async fn over(&self, from: Timestamp, now: Timestamp, limit: u32) -> Result<Vec<Due>, DbError> {
        let mut over = Vec::new();
        for due in self.due(from, now, limit).await? {
            // Where its row is the hold, the server's clock ends it.
            let goes_by_the_server = due.fades && self.space.rows_fade();
            if !(goes_by_the_server && rows::is_held(&self.space, due.reservation).await?) {
                over.push(due);
            }
        }
        Ok(over)
    }

    /// The first entries of ends after `from` and by `until`.
    async fn due(&self, from: Timestamp, until: Timestamp, limit: u32) -> Result<Vec<Due>, DbError> {
        let mut due = Vec::new();
        for hour in rows::hour_of(from)..=rows::hour_of(until) {
            let left = limit.saturating_sub(u32::try_from(due.len()).unwrap_or(u32::MAX));
            if left == 0 {
                break;
            }
            due.extend(rows::due(&self.space, hour, from, until, left).await?);
        }
        Ok(due)
    }

    /// From when on holds are looked for; what a process with a clock that is behind adds is not before it.
    async fn swept(&self, now: Timestamp) -> Result<Timestamp, DbError> {
        if self.swept.load(Ordering::Relaxed) == i64::MIN {
            let mark = rows::mark(&self.space, SWEPT).await?.unwrap_or(now.minus(LOOK_BACK).micros());
            self.swept.store(mark, Ordering::Relaxed);
        }
        Ok(Timestamp::from_micros(self.swept.load(Ordering::Relaxed)).min(now.minus(MARGIN)))
    }

    async fn end_due(&self, due: &Due, hold: Hold) -> Result<(), StoreError> {
        let cell = self.seen(&Key::Order(due.order)).await?;
        let reservations = rows::reservations(cell.body.as_deref())?;
        match reservations.iter().find(|known| known.id == due.reservation && known.held_until == Some(due.until)) {
            Some(reservation) => self.end(reservation, hold).await,
            // It was ended or extended by somebody who broke off before he took this away.
            None => Ok(rows::remove_due(&self.space, due.until, due.reservation).await?),
        }
    }

    /// Ends a hold, unless somebody else did or made it last longer.
    async fn end(&self, reservation: &Reservation, hold: Hold) -> Result<(), StoreError> {
        let (id, until) = (reservation.id, reservation.held_until);
        let operation = Operation {
            name: self.ids.make(),
            once: Once::Always,
            hold,
            skus: Vec::new(),
            reservation: Some(Find::Id(id)),
            decide: Arc::new(move |state| match &state.reservation {
                Some(known) if known.held_until.is_some() && known.held_until == until => match hold {
                    Hold::Fenced => steps::expire(state),
                    Hold::Ttl => steps::vanish(state),
                },
                _ => Ok(Changes::default()),
            }),
            answer: Arc::new(|_| Ok(Answer::no_content())),
        };
        self.perform(&operation, Over::IsWhatItIsFor).await.map(drop)
    }

    pub async fn sweep(&self, hold: Hold) -> Result<Progress, StoreError> {
        // Whoever makes a hold from here on wakes us; what was made before is seen below.
        self.next_look.store(i64::MAX, Ordering::SeqCst);
        let now = self.clock.now();
        let from = self.swept(now).await?;
        let over = self.over(from, now, LAPSE_BATCH).await?;
        for due in &over {
            self.end_due(due, hold).await?;
        }
        if !over.is_empty() {
            return Ok(Progress::More);
        }
        self.looked.store(now.micros(), Ordering::Relaxed);
        let swept = now.minus(MARGIN);
        // Seldom written: whoever starts has that much more to look at.
        if self.swept.load(Ordering::Relaxed) < swept.minus(MARGIN).micros() && self.due(from, swept, 1).await?.is_empty() {
            rows::set_mark(&self.space, SWEPT, swept.micros()).await?;
            self.swept.store(swept.micros(), Ordering::Relaxed);
        }
        // A hold that ends later is seen by a later look.
        let next = self.due(from, now.plus(LOOK_AHEAD), 1).await?.first().map(|due| due.until);
        // One that is past already goes by the server's clock: it is looked for again soon.
        let next = next.map(|next| if next > now { next } else { now.plus(SOON) });
        self.next_look.store(next.map_or(i64::MAX, Timestamp::micros), Ordering::SeqCst);
        Ok(next.map_or(Progress::Idle, Progress::Until))
    }

    /// Sees to it that a hold that ends then is ended. Where that was decided long ago and is only now applied, it may end before what was looked at.
    async fn look_by(&self, until: Timestamp) -> Result<(), DbError> {
        if self.swept(self.clock.now()).await? >= until {
            let before = until.minus(Duration::from_micros(1));
            rows::set_mark(&self.space, SWEPT, before.micros()).await?;
            self.swept.fetch_min(before.micros(), Ordering::Relaxed);
        }
        if until.micros() < self.next_look.load(Ordering::SeqCst) {
            self.expiry.notify_one();
        }
        Ok(())
    }

    // ── what can be looked at ──

    pub async fn stock_after(&self, after: &str, limit: u32) -> Result<BTreeMap<Place, Shelf>, StoreError> {
        let mut all = BTreeMap::new();
        for sku in rows::skus_after(&self.space, after, limit).await? {
            all.extend(self.stock_of(&sku).await?);
        }
        Ok(all)
    }

    pub async fn stock_of(&self, sku: &Sku) -> Result<BTreeMap<Place, Shelf>, StoreError> {
        Ok(shelves(&[(sku.clone(), self.standing(sku).await?)].into_iter().collect()))
    }

    /// A SKU's counters, in which holds whose time is over hold nothing, ended or not. The cell and the holds are not read at one moment: it is
    /// looked again until none of those has ended in between, or it would be taken out twice.
    async fn standing(&self, sku: &Sku) -> Result<rows::Places, DbError> {
        let mut over = self.units_over(sku).await?;
        for _ in 0..ATTEMPTS {
            let mut places = rows::places(self.seen(&Key::Sku(sku.clone())).await?.body.as_deref())?;
            let before = std::mem::replace(&mut over, self.units_over(sku).await?);
            if before != over {
                continue;
            }
            for unit in over.values().flatten() {
                if let Some(standing) = places.get_mut(&unit.warehouse) {
                    standing.shelf.held -= unit.quantity;
                }
            }
            return Ok(places);
        }
        Err(DbError::Unavailable("holds ended each time while the stock was looked at".into()))
    }

    /// The units of a SKU that are counted as held although their time is over.
    async fn units_over(&self, sku: &Sku) -> Result<BTreeMap<ReservationId, Vec<rows::Unit>>, DbError> {
        let mut over = BTreeMap::new();
        for due in self.lately_over().await? {
            let units: Vec<_> = due.units.iter().filter(|unit| unit.sku == *sku).cloned().collect();
            if units.is_empty() {
                continue;
            }
            // An entry that stayed behind holds nothing.
            let cell = self.seen(&Key::Order(due.order)).await?;
            let held = rows::reservations(cell.body.as_deref())?;
            if held.iter().any(|known| known.id == due.reservation && known.held_until == Some(due.until)) {
                over.insert(due.reservation, units);
            }
        }
        Ok(over)
    }

    pub async fn reservation(&self, id: ReservationId) -> Result<Option<Reservation>, StoreError> {
        let Some(order) = rows::order_of(&self.space, id).await? else { return Ok(None) };
        Ok(self.reservations(order).await?.into_iter().find(|reservation| reservation.id == id))
    }

    pub async fn reservations_of(&self, order: OrderId, before: i64, limit: u32) -> Result<Vec<Reservation>, StoreError> {
        let all = self.reservations(order).await?;
        let newest_first = all.into_iter().rev().filter(|reservation| reservation.fencing_token < before);
        Ok(newest_first.take(limit as usize).collect())
    }

    async fn reservations(&self, order: OrderId) -> Result<Vec<Reservation>, DbError> {
        rows::reservations(self.seen(&Key::Order(order)).await?.body.as_deref())
    }
}

/// A conditional write without an answer: whether the operation was decided has to be read back.
fn unsure(operation: &Operation, error: CassandraError) -> StoreError {
    match error {
        CassandraError::Unknown { .. } => StoreError::Unknown(operation.name),
        error => DbError::from(error).into(),
    }
}

/// The row of an operation: of its name, or of what it is to happen once for.
fn row_of(operation: &Operation) -> Uuid {
    match &operation.once {
        Once::Always => operation.name,
        Once::Key(key) => Ids::named(&["key", key.endpoint(), key.token()]),
        Once::Event { topic, id, .. } => Ids::named(&["event", topic, &id.to_string()]),
    }
}

fn note_of(operation: &Operation, now: Timestamp) -> Note {
    match &operation.once {
        Once::Always => Note::default(),
        Once::Key(key) => Note {
            endpoint: Some(key.endpoint().to_owned()),
            token: Some(key.token().to_owned()),
            fingerprint: Some(key.fingerprint().to_vec()),
            until: Some(now.plus(idempotency::KEPT)),
            ..Note::default()
        },
        Once::Event { topic, id, key } => {
            Note { topic: Some((*topic).to_owned()), event_key: Some(key.clone()), event_id: Some(*id), ..Note::default() }
        }
    }
}

fn shelves(places: &BTreeMap<Sku, rows::Places>) -> BTreeMap<Place, Shelf> {
    let of = |(sku, at): (&Sku, &rows::Places)| {
        let place = |warehouse: &Sku| Place { sku: sku.clone(), warehouse: warehouse.clone() };
        at.iter().map(|(warehouse, standing)| (place(warehouse), standing.shelf)).collect::<Vec<_>>()
    };
    places.iter().flat_map(of).collect()
}
