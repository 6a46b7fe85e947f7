//! The store on the embedded floor: one SQLite file, an operation is one of its transactions, its pending events are rows of the
//! platform's outbox and its note is a row of the platform's inbox or of the idempotency table.
//!
//! It keeps the failure semantics of the engine that it stands for, where somebody could come to rely on their absence: with
//! [`Hold::Ttl`] a hold ends silently and an upsert revives its row; and of the answers to conditional writes a share can be lost
//! ([`LostAnswers`]).

pub mod rows;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use inventory_api::events::{InventoryAdjusted, InventoryClaimed, InventoryReleased, InventoryReserved, InventoryShortfall};
use platform::{
    Clock, Ids,
    db::{Db, DbError, Tx},
    event::Outbox,
    http::Answer,
    idempotency::{Idempotency, Undone},
    service::{BuildError, Env, Progress},
    values,
};
use tokio::sync::Notify;
use types::{OrderId, ReservationId, Sku, Timestamp, id::Uuid};

use super::{
    Find, Once, Operation, ReadBack, StoreError,
    lost::{Lost, LostAnswers},
};
use crate::{
    config::Hold,
    domain::{Changes, Place, Reservation, Shelf, State, Told, steps},
};

/// How many holds that are over are ended in one transaction.
const LAPSE_BATCH: u32 = 64;

#[derive(Clone, Debug)]
pub struct Embedded {
    db: Db,
    clock: Clock,
    ids: Ids,
    outbox: Outbox,
    idempotency: Idempotency,
    note: Arc<str>,
    lost: LostAnswers,
    expiry: Arc<Notify>,
    /// When the sweeper will look next, in microseconds: a hold that ends before that wakes it.
    next_look: Arc<AtomicI64>,
}

impl From<StoreError> for Undone<StoreError> {
    fn from(error: StoreError) -> Self {
        Self::Refused(error)
    }
}

/// What became of one transaction.
enum Outcome {
    Done(Answer, Option<Timestamp>),
    /// Refused, but holds that were over have been ended, and that is kept.
    Refused(StoreError),
    /// More holds were over than are ended at a time: once more.
    Again,
}

impl Embedded {
    pub fn new(env: &Env, lost_answers_share: f64, expiry: Arc<Notify>) -> Result<Self, BuildError> {
        let outbox = env.outbox();
        outbox.register::<InventoryReserved>()?;
        outbox.register::<InventoryClaimed>()?;
        outbox.register::<InventoryReleased>()?;
        outbox.register::<InventoryAdjusted>()?;
        outbox.register::<InventoryShortfall>()?;
        Ok(Self {
            db: env.db(),
            clock: env.clock,
            ids: env.ids.clone(),
            outbox,
            idempotency: env.idempotency(),
            note: format!("INSERT INTO {}_inbox (consumer, event_id, \"key\", at) VALUES (?, ?, ?, ?)", env.service).into(),
            lost: LostAnswers::new(env, lost_answers_share),
            expiry,
            next_look: Arc::new(AtomicI64::new(i64::MAX)),
        })
    }

    pub async fn transact(&self, operation: &Operation) -> Result<Answer, StoreError> {
        let lost = self.lost.next(operation.name);
        if lost == Some(Lost::Before) {
            return Err(StoreError::Unknown(operation.name));
        }
        loop {
            let (this, work) = (self.clone(), operation.clone());
            let outcome = match self.db.write(async move |tx: &mut Tx<'_>| this.attempt(tx, &work).await).await {
                Ok(outcome) => outcome,
                Err(Undone::Answered(first)) => Outcome::Done(first, None),
                Err(Undone::Refused(refusal)) => Outcome::Refused(refusal),
            };
            match outcome {
                Outcome::Again => {}
                // A repeat may be refused for what the first request has changed.
                Outcome::Refused(refusal) => match &operation.once {
                    Once::Key(key) => return self.idempotency.answered(&self.db, key).await?.ok_or(refusal),
                    Once::Always | Once::Event { .. } => return Err(refusal),
                },
                Outcome::Done(answer, held_until) => {
                    self.wake_for(held_until);
                    return if lost.is_some() { Err(StoreError::Unknown(operation.name)) } else { Ok(answer) };
                }
            }
        }
    }

    /// Operations that change nothing, in one transaction.
    pub async fn note(&self, operations: &[Operation]) -> Result<(), StoreError> {
        let (this, operations) = (self.clone(), operations.to_vec());
        let noted = self.db.write(async move |tx: &mut Tx<'_>| {
            for operation in &operations {
                this.decide_and_save(tx, operation, this.clock.now(), &mut 0).await?;
            }
            Ok(())
        });
        match noted.await {
            Ok(()) | Err(Undone::Answered(_)) => Ok(()),
            Err(Undone::Refused(refusal)) => Err(refusal),
        }
    }

    async fn attempt(&self, tx: &mut Tx<'_>, operation: &Operation) -> Result<Outcome, Undone<StoreError>> {
        let now = self.clock.now();
        // What is free hangs on every hold of it. Who is about one reservation looks at that one alone, and a note of an event at none.
        let mut lapsed = if operation.skus.is_empty() { 0 } else { self.lapse(tx, operation.hold, now).await? };
        if lapsed == LAPSE_BATCH as usize {
            return Ok(Outcome::Again);
        }
        match self.decide_and_save(tx, operation, now, &mut lapsed).await {
            Ok((answer, held_until)) => Ok(Outcome::Done(answer, held_until)),
            // A decision refuses before anything of it is written; only the note of an event stands by then, and it must not be kept.
            Err(Undone::Refused(refusal @ StoreError::Refused(_))) if lapsed > 0 && !matches!(operation.once, Once::Event { .. }) => {
                Ok(Outcome::Refused(refusal))
            }
            Err(error) => Err(error),
        }
    }

    async fn decide_and_save(
        &self,
        tx: &mut Tx<'_>,
        operation: &Operation,
        now: Timestamp,
        lapsed: &mut usize,
    ) -> Result<(Answer, Option<Timestamp>), Undone<StoreError>> {
        let key = match &operation.once {
            Once::Always => None,
            Once::Key(key) => Some(key),
            Once::Event { topic, id, key } => {
                if !tx.insert_new(&self.note, values![*topic, *id, key, now]).await? {
                    return Ok((Answer::no_content(), None));
                }
                None
            }
        };
        let mut state = load(tx, operation, now).await?;
        if let Some(over) = state.reservation.take_if(|reservation| reservation.held_until.is_some_and(|moment| moment <= now)) {
            self.end_hold(tx, operation.hold, &over, now).await?;
            *lapsed += 1;
            state = load(tx, operation, now).await?;
        }
        let changes = (operation.decide)(&state).map_err(StoreError::from)?;
        let held_until = changes.reservation.as_ref().and_then(|reservation| reservation.held_until);
        self.save(tx, operation.name, &changes, now).await?;
        let answer = (operation.answer)(&state.after(changes)).map_err(StoreError::from)?;
        Ok((self.idempotency.keep_first(tx, key, answer).await?, held_until))
    }

    /// Ends what is over, up to a batch; says how many.
    async fn lapse(&self, tx: &mut Tx<'_>, hold: Hold, now: Timestamp) -> Result<usize, StoreError> {
        let over = rows::over(tx, now, LAPSE_BATCH).await?;
        for reservation in &over {
            self.end_hold(tx, hold, reservation, now).await?;
        }
        Ok(over.len())
    }

    /// Ends a hold that is over.
    async fn end_hold(&self, tx: &mut Tx<'_>, hold: Hold, reservation: &Reservation, now: Timestamp) -> Result<(), StoreError> {
        let mut shelves = BTreeMap::new();
        for line in &reservation.lines {
            let place = Place { sku: line.sku.clone(), warehouse: line.warehouse.clone() };
            if let Some(shelf) = rows::shelf(tx, &place).await? {
                shelves.insert(place, shelf);
            }
        }
        let state = State { now, shelves, reservation: Some(reservation.clone()), next_token: 0 };
        let changes = match hold {
            Hold::Fenced => steps::expire(&state)?,
            Hold::Ttl => steps::vanish(&state)?,
        };
        Ok(self.save(tx, self.ids.make(), &changes, now).await?)
    }

    /// Writes the changes; the first movement is named as the operation is.
    async fn save(&self, tx: &mut Tx<'_>, name: Uuid, changes: &Changes, now: Timestamp) -> Result<(), DbError> {
        for (place, shelf) in &changes.shelves {
            rows::save_shelf(tx, place, *shelf, now).await?;
        }
        let mut name = Some(name);
        let named = changes.movements.iter().map(|movement| (name.take().unwrap_or_else(|| self.ids.make()), movement));
        rows::append(tx, named).await?;
        if let Some(reservation) = &changes.reservation {
            rows::save_reservation(tx, reservation).await?;
        }
        let sealed = changes.events.iter().map(|event| match event {
            Told::Reserved(event) => self.outbox.seal_new(event),
            Told::Claimed(event) => self.outbox.seal_new(event),
            Told::Released(event) => self.outbox.seal_new(event),
            Told::Adjusted(event) => self.outbox.seal_new(event),
            Told::Shortfall(event) => self.outbox.seal_new(event),
        });
        self.outbox.add_all(tx, sealed.collect::<Result<_, _>>()?).await
    }

    /// A read of the one file sees every write that was answered or given up before it.
    pub async fn read_back(&self, operation: &Operation) -> Result<ReadBack, StoreError> {
        let now = self.clock.now();
        self.db
            .read(async |tx: &mut Tx<'_>| {
                if !rows::is_written(tx, operation.name).await? {
                    return Ok(ReadBack::NotApplied);
                }
                let state = load(tx, operation, now).await?;
                Ok(ReadBack::Applied((operation.answer)(&state)?))
            })
            .await
    }

    pub async fn sweep(&self, hold: Hold) -> Result<Progress, StoreError> {
        // Whoever makes a hold from here on wakes us; what was made before is seen below.
        self.next_look.store(i64::MAX, Ordering::SeqCst);
        let next = self.db.read(async |tx: &mut Tx<'_>| rows::next_over(tx).await).await?;
        let Some(next) = next else { return Ok(Progress::Idle) };
        if next > self.clock.now() {
            self.next_look.store(next.micros(), Ordering::SeqCst);
            return Ok(Progress::Until(next));
        }
        let this = self.clone();
        self.db.write(async move |tx: &mut Tx<'_>| this.lapse(tx, hold, this.clock.now()).await).await?;
        Ok(Progress::More)
    }

    fn wake_for(&self, held_until: Option<Timestamp>) {
        if held_until.is_some_and(|moment| moment.micros() < self.next_look.load(Ordering::SeqCst)) {
            self.expiry.notify_one();
        }
    }

    pub async fn stock_after(&self, after: &str, limit: u32) -> Result<BTreeMap<Place, Shelf>, StoreError> {
        let now = self.clock.now();
        let read = async |tx: &mut Tx<'_>| {
            let mut shelves = BTreeMap::new();
            for sku in rows::skus_after(tx, after, limit).await? {
                shelves.extend(rows::shelves(tx, &sku).await?);
            }
            free_what_is_over(tx, &mut shelves, now).await?;
            Ok(shelves)
        };
        self.db.read(read).await
    }

    pub async fn stock_of(&self, sku: &Sku) -> Result<BTreeMap<Place, Shelf>, StoreError> {
        let now = self.clock.now();
        let read = async |tx: &mut Tx<'_>| {
            let mut shelves: BTreeMap<_, _> = rows::shelves(tx, sku).await?.into_iter().collect();
            free_what_is_over(tx, &mut shelves, now).await?;
            Ok(shelves)
        };
        self.db.read(read).await
    }

    pub async fn reservation(&self, id: ReservationId) -> Result<Option<Reservation>, StoreError> {
        Ok(self.db.read(async |tx: &mut Tx<'_>| rows::reservation(tx, id).await).await?)
    }

    pub async fn reservations_of(&self, order: OrderId, before: i64, limit: u32) -> Result<Vec<Reservation>, StoreError> {
        Ok(self.db.read(async |tx: &mut Tx<'_>| rows::reservations_of(tx, order, before, limit).await).await?)
    }

    pub async fn purge(&self) -> Result<u64, StoreError> {
        Ok(self.idempotency.purge(&self.db).await?)
    }
}

async fn load(tx: &mut Tx<'_>, operation: &Operation, now: Timestamp) -> Result<State, DbError> {
    let reservation = match operation.reservation {
        None => None,
        Some(Find::Id(id)) => rows::reservation(tx, id).await?,
        Some(Find::Order(order)) => rows::reservations_of(tx, order, i64::MAX, 1).await?.pop(),
    };
    let mut skus: BTreeSet<&Sku> = operation.skus.iter().collect();
    if operation.skus.is_empty() {
        skus.extend(reservation.iter().flat_map(|reservation| reservation.lines.iter().map(|line| &line.sku)));
    }
    let mut shelves = BTreeMap::new();
    for sku in skus {
        shelves.extend(rows::shelves(tx, sku).await?);
    }
    let next_token = if operation.skus.is_empty() { 0 } else { rows::next_token(tx).await? };
    Ok(State { now, shelves, reservation, next_token })
}

/// Takes what is over, and not yet ended, out of what is held.
async fn free_what_is_over(tx: &mut Tx<'_>, shelves: &mut BTreeMap<Place, Shelf>, now: Timestamp) -> Result<(), DbError> {
    for (place, units) in rows::units_over(tx, now).await? {
        if let Some(shelf) = shelves.get_mut(&place) {
            shelf.held -= units;
        }
    }
    Ok(())
}
