//! The use cases: what is asked of the store, what is decided, and what the caller is shown.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use inventory_api::{Adjust, Claim, Extend, Release, Reservation as View, ReservationStatus, Reserve, Stock};
use platform::{
    Clock, Ids,
    auth::{Keys, Role},
    http::Answer,
    idempotency::Key,
    problem::Problem,
    service::{BuildError, Env, Live, Progress},
    telemetry::metrics::{Counter, Family},
    world::{AuthMode, PlatformSettings},
};
use tokio::sync::Notify;
use types::{OrderId, ReservationId, Sku};

use crate::{
    config::{Config, Hold, HoldClock, ReserveBy},
    domain::{
        Changes, Place, Refusal, Reservation, State,
        steps::{self, Ask, Correction},
    },
    error::InventoryError,
    store::{Find, Once, Operation, ReadBack, Store, StoreError},
};

/// How often an operation is tried whose answer is lost each time.
const ATTEMPTS: u32 = 6;
/// How many units an adjustment moves at most.
const DELTA_MAX: u64 = 1_000_000;
const ITEMS_MAX: usize = 100;

#[derive(Clone, Debug)]
pub struct App {
    pub clock: Clock,
    pub store: Store,
    /// Rung when a hold was made that ends before the sweeper would look.
    pub expiry: Arc<Notify>,
    config: Live<Config>,
    ids: Ids,
    keys: Keys,
    auth: AuthMode,
    asked: Family<Counter>,
}

impl App {
    pub async fn new(env: &Env, config: Live<Config>) -> Result<Self, BuildError> {
        let expiry = Arc::<Notify>::default();
        Ok(Self {
            clock: env.clock,
            store: Store::open(env, &config.get(), expiry.clone()).await?,
            expiry,
            config,
            ids: env.ids.clone(),
            keys: env.keys.clone(),
            auth: env.settings.checked::<PlatformSettings>("platform")?.auth,
            asked: env.metrics.counters("inventory_operations_total", "Requests that would change stock, by what became of them."),
        })
    }

    /// Holds all of what an order asks for, or nothing.
    pub async fn reserve(&self, request: Reserve, key: Option<Key>) -> Result<Answer, InventoryError> {
        let config = self.config.get();
        let ask = Ask {
            id: self.ids.make(),
            order_id: request.order_id,
            ttl: ttl(request.ttl_seconds.unwrap_or(config.reservation_ttl_seconds), &config)?,
            nearest: config.nearest(request.warehouse.as_ref(), request.region),
            items: checked(request.items)?,
        };
        let seen = match config.reserve_by {
            ReserveBy::ConditionalWrite => None,
            ReserveBy::LookThenTake => Some(self.look(&ask).await?),
        };
        let operation = Operation {
            skus: ask.items.iter().map(|item| item.sku.clone()).collect(),
            reservation: Some(Find::Order(ask.order_id)),
            answer: Arc::new(|state| {
                let view = shown(state)?;
                Answer::created(format!("/inventory/reservations/{}", view.reservation_id), &view)
            }),
            ..self.operation(once(key), &config, move |state| steps::reserve_as_seen(state, seen.as_ref().unwrap_or(state), &ask))
        };
        self.run("reserve", operation).await
    }

    /// What is free now of what is asked for.
    async fn look(&self, ask: &Ask) -> Result<State, InventoryError> {
        let mut shelves = BTreeMap::new();
        for item in &ask.items {
            shelves.extend(self.store.stock_of(&item.sku).await?);
        }
        Ok(State { now: self.clock.now(), shelves, reservation: None, next_token: 0 })
    }

    /// Turns a live hold into a claim.
    pub async fn claim(&self, request: Claim, key: Option<Key>) -> Result<Answer, InventoryError> {
        let Claim { reservation_id, fencing_token, at } = request;
        let as_of = match self.config.get().hold_clock {
            HoldClock::Own => None,
            HoldClock::Callers => at,
        };
        let decide = move |state: &State| match as_of {
            None => steps::claim(state, fencing_token),
            Some(at) => steps::claim_as_of(state, fencing_token, at),
        };
        self.with_reservation("claim", reservation_id, key, decide).await
    }

    /// Makes a live hold last longer.
    pub async fn extend(&self, request: Extend, key: Option<Key>) -> Result<Answer, InventoryError> {
        let ttl = ttl(request.ttl_seconds, &self.config.get())?;
        self.with_reservation("extend", request.reservation_id, key, move |state| steps::extend(state, request.fencing_token, ttl)).await
    }

    /// Ends a hold, or gives a claim back to the stock.
    pub async fn release(&self, request: Release, key: Option<Key>) -> Result<Answer, InventoryError> {
        self.with_reservation("release", request.reservation_id, key, move |state| steps::release(state, request.fencing_token)).await
    }

    async fn with_reservation(
        &self,
        name: &'static str,
        id: ReservationId,
        key: Option<Key>,
        decide: impl Fn(&State) -> Result<Changes, Refusal> + Send + Sync + 'static,
    ) -> Result<Answer, InventoryError> {
        let operation = Operation {
            reservation: Some(Find::Id(id)),
            answer: Arc::new(|state| Answer::ok(&shown(state)?)),
            ..self.operation(once(key), &self.config.get(), decide)
        };
        self.run(name, operation).await.map_err(|error| match error {
            InventoryError::Store(StoreError::Refused(Refusal::UnknownReservation)) => InventoryError::UnknownReservation(id),
            other => other,
        })
    }

    /// Corrects what is on hand of a SKU in a warehouse.
    pub async fn adjust(&self, request: Adjust, key: Option<Key>) -> Result<Answer, InventoryError> {
        if request.delta == 0 || request.delta.unsigned_abs() > DELTA_MAX {
            return Err(Problem::invalid("#/delta", format!("must be from -{DELTA_MAX} to {DELTA_MAX}, and not 0")).into());
        }
        let sku = request.sku.clone();
        let correction = Correction {
            place: Place { sku: request.sku, warehouse: request.warehouse },
            delta: request.delta,
            reason: request.reason.into(),
            allow_shortfall: request.allow_shortfall,
        };
        let operation = Operation {
            skus: vec![sku.clone()],
            answer: Arc::new(move |state| match state.stock(&sku) {
                Some(stock) => Answer::ok(&stock),
                None => Err(Problem::not_found(format!("stock of SKU {sku}"))),
            }),
            ..self.operation(once(key), &self.config.get(), move |state| steps::adjust(state, &correction))
        };
        self.run("adjust", operation).await
    }

    /// An order has gone on: what is held or claimed for it goes back, or leaves the house.
    pub async fn order_cancelled(&self, order: OrderId, note: Once) -> Result<(), InventoryError> {
        self.heard("cancel", order, note, steps::cancel).await
    }

    /// An order has left the house, and with it what was claimed for it.
    pub async fn order_shipped(&self, order: OrderId, note: Once) -> Result<(), InventoryError> {
        self.heard("ship", order, note, steps::ship).await
    }

    /// An order has been paid. The saga claims; only where a hold is a time to live is this the claim.
    pub async fn order_paid(&self, order: OrderId, note: Once) -> Result<(), InventoryError> {
        if self.claims_what_is_paid() {
            self.heard("claim", order, note, steps::claim_by_upsert).await
        } else {
            self.only_note(vec![note]).await
        }
    }

    #[must_use]
    pub fn claims_what_is_paid(&self) -> bool {
        self.config.get().hold == Hold::Ttl
    }

    /// Things were heard that change nothing here; that they were heard is kept.
    pub async fn only_note(&self, notes: Vec<Once>) -> Result<(), InventoryError> {
        let config = self.config.get();
        let notes: Vec<Operation> = notes.into_iter().map(|note| self.operation(note, &config, |_| Ok(Changes::default()))).collect();
        let noted = self.store.note(&notes).await;
        let became = if noted.is_ok() { "done" } else { "failed" };
        self.asked.with(&[("operation", "note"), ("outcome", became)]).inc_by(notes.len() as u64);
        Ok(noted?)
    }

    async fn heard(
        &self,
        name: &'static str,
        order: OrderId,
        note: Once,
        decide: fn(&State) -> Result<Changes, Refusal>,
    ) -> Result<(), InventoryError> {
        let operation = Operation { reservation: Some(Find::Order(order)), ..self.operation(note, &self.config.get(), decide) };
        self.run(name, operation).await.map(drop)
    }

    fn operation(
        &self,
        once: Once,
        config: &Config,
        decide: impl Fn(&State) -> Result<Changes, Refusal> + Send + Sync + 'static,
    ) -> Operation {
        Operation {
            name: self.ids.make(),
            once,
            hold: config.hold,
            skus: Vec::new(),
            reservation: None,
            decide: Arc::new(decide),
            answer: Arc::new(|_| Ok(Answer::no_content())),
        }
    }

    /// Does an operation; when its answer is lost, asks whether it was done before it is done again.
    async fn run(&self, name: &'static str, operation: Operation) -> Result<Answer, InventoryError> {
        let mut attempt = 1;
        let outcome = loop {
            let answer = self.store.transact(&operation).await;
            let Err(StoreError::Unknown(_)) = answer else { break answer };
            match self.store.read_back(&operation).await {
                Ok(ReadBack::Applied(answer)) => break Ok(answer),
                Ok(ReadBack::NotApplied) if attempt < ATTEMPTS => attempt += 1,
                Ok(ReadBack::NotApplied) => break answer,
                Err(error) => break Err(error),
            }
        };
        let became = match &outcome {
            Ok(_) => "done",
            Err(StoreError::Refused(_) | StoreError::Told(_)) => "refused",
            Err(StoreError::Unknown(_) | StoreError::Db(_)) => "failed",
        };
        self.asked.with(&[("operation", name), ("outcome", became)]).inc();
        Ok(outcome?)
    }

    /// Whether whoever sends this `Authorization` may do what only an operator may. Without authentication everybody is one.
    pub fn require_operator(&self, authorization: Option<&str>) -> Result<(), InventoryError> {
        if self.auth == AuthMode::Off {
            return Ok(());
        }
        let token = authorization.and_then(|value| value.strip_prefix("Bearer ")).ok_or(InventoryError::Unauthenticated)?;
        let claims = self.keys.verify(token).map_err(|_| InventoryError::Unauthenticated)?;
        if claims.has(Role::Operator) { Ok(()) } else { Err(InventoryError::NotAllowed(Role::Operator)) }
    }

    pub async fn stock(&self, sku: Sku) -> Result<Stock, InventoryError> {
        let shelves = self.store.stock_of(&sku).await?;
        let state = State { now: self.clock.now(), shelves, reservation: None, next_token: 0 };
        state.stock(&sku).ok_or(InventoryError::UnknownSku(sku))
    }

    /// The stock of up to `limit` SKUs behind `after`, in their order.
    pub async fn stock_after(&self, after: &str, limit: u32) -> Result<Vec<Stock>, InventoryError> {
        let mut all: Vec<Stock> = Vec::new();
        for (place, shelf) in self.store.stock_after(after, limit).await? {
            let view = crate::domain::shelf_view(&place, shelf);
            match all.last_mut().filter(|stock| stock.sku == place.sku) {
                Some(stock) => stock.warehouses.push(view),
                None => all.push(Stock { sku: place.sku, warehouses: vec![view] }),
            }
        }
        Ok(all)
    }

    pub async fn reservation(&self, id: ReservationId) -> Result<View, InventoryError> {
        let reservation = self.store.reservation(id).await?.ok_or(InventoryError::UnknownReservation(id))?;
        Ok(self.seen(&reservation))
    }

    /// An order's reservations, the newest first, behind the one with the token `before`.
    pub async fn reservations_of(&self, order: OrderId, before: i64, limit: u32) -> Result<Vec<View>, InventoryError> {
        let reservations = self.store.reservations_of(order, before, limit).await?;
        Ok(reservations.iter().map(|reservation| self.seen(reservation)).collect())
    }

    /// A hold that is over is shown as what it is, also in the moment before the sweeper comes by.
    fn seen(&self, reservation: &Reservation) -> View {
        let over = reservation.held_until.is_some_and(|moment| moment <= self.clock.now());
        let status = if over && self.config.get().hold == Hold::Fenced { ReservationStatus::Expired } else { reservation.status };
        View { status, ..reservation.view() }
    }

    /// Ends holds that are over.
    pub async fn sweep(&self) -> Result<Progress, InventoryError> {
        Ok(self.store.sweep(self.config.get().hold).await?)
    }

    /// Forgets answers that are older than a day.
    pub async fn purge(&self) -> Result<u64, InventoryError> {
        Ok(self.store.purge().await?)
    }
}

fn once(key: Option<Key>) -> Once {
    key.map_or(Once::Always, Once::Key)
}

fn shown(state: &State) -> Result<View, Problem> {
    state.reservation.as_ref().map(Reservation::view).ok_or_else(|| Problem::not_found("such reservation"))
}

fn ttl(seconds: u32, config: &Config) -> Result<Duration, Problem> {
    if (1..=config.reservation_ttl_max_seconds).contains(&seconds) {
        return Ok(Duration::from_secs(seconds.into()));
    }
    Err(Problem::invalid("#/ttlSeconds", format!("must be from 1 to {}", config.reservation_ttl_max_seconds)))
}

fn checked(items: Vec<inventory_api::ReserveItem>) -> Result<Vec<inventory_api::ReserveItem>, Problem> {
    if items.is_empty() || items.len() > ITEMS_MAX {
        return Err(Problem::invalid("#/items", format!("must be 1 to {ITEMS_MAX} lines")));
    }
    let twice = |index: &usize| items[..*index].iter().any(|earlier| earlier.sku == items[*index].sku);
    match (0..items.len()).find(twice) {
        Some(index) => Err(Problem::invalid(format!("#/items/{index}/sku"), "is there twice; ask for all of it in one line")),
        None => Ok(items),
    }
}
