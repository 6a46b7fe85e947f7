//! The steps: each takes a [`State`] and gives the [`Changes`] or a [`Refusal`]. A repeat of a step that was taken changes nothing.

use inventory_api::{
    ReservationStatus, ReserveItem,
    events::{InventoryAdjusted, InventoryClaimed, InventoryReleased, InventoryReserved, InventoryShortfall},
};
use types::{OrderId, ReservationId, Sku, Timestamp, states};

use super::{Changes, Move, Movement, Place, Refusal, Reservation, Shelf, State, Told, pick::pick};

/// In how many warehouses a SKU can be, so that a decision over all of them stays small.
pub const WAREHOUSES_MAX: usize = 100;

/// A hold that is asked for.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The id that it will have if it is made.
    pub id: ReservationId,
    pub order_id: OrderId,
    pub items: Vec<ReserveItem>,
    /// The warehouses, in the order in which they are asked.
    pub nearest: Vec<Sku>,
    pub ttl: std::time::Duration,
}

/// An adjustment that is asked for.
#[derive(Clone, Debug)]
pub struct Correction {
    pub place: Place,
    pub delta: i64,
    pub reason: String,
    pub allow_shortfall: bool,
}

/// Holds everything that is asked for. While the order has a reservation that stands, that is the answer.
pub fn reserve(state: &State, ask: &Ask) -> Result<Changes, Refusal> {
    reserve_as_seen(state, state, ask)
}

/// The same, by what was free when somebody looked: whatever has been taken since is taken once more (R0 of `hot-sku`).
pub fn reserve_as_seen(state: &State, seen: &State, ask: &Ask) -> Result<Changes, Refusal> {
    if let Some(standing) = state.reservation.as_ref().filter(|reservation| reservation.stands()) {
        return if standing.is_for(&ask.items) { Ok(Changes::default()) } else { Err(Refusal::OtherItems(standing.id)) };
    }
    let expires_at = state.now.plus(ask.ttl);
    let reservation = Reservation {
        id: ask.id,
        order_id: ask.order_id,
        status: ReservationStatus::Held,
        fencing_token: state.next_token,
        lines: pick(seen, &ask.items, &ask.nearest)?,
        created_at: state.now,
        expires_at,
        held_until: Some(expires_at),
        claimed_at: None,
        ended_at: None,
        version: 0,
    };
    let told = InventoryReserved {
        reservation_id: reservation.id,
        order_id: reservation.order_id,
        fencing_token: reservation.fencing_token,
        expires_at,
        lines: reservation.told_lines(),
        at: state.now,
    };
    Ok(Draft::new(state).all_lines(&reservation, Move::Hold)?.done(reservation, Some(Told::Reserved(told))))
}

/// Turns a live hold into a claim, with its token.
pub fn claim(state: &State, token: i64) -> Result<Changes, Refusal> {
    let reservation = fenced(state, token)?;
    match reservation.status {
        ReservationStatus::Claimed | ReservationStatus::Shipped => Ok(Changes::default()),
        ReservationStatus::Held if reservation.held_until.is_some() => take(state, reservation),
        _ => Err(ended(reservation)),
    }
}

/// The same for a hold that had not ended at the moment that the caller names, whatever has become of it since (R0 of `clock-skew`).
pub fn claim_as_of(state: &State, token: i64, at: Timestamp) -> Result<Changes, Refusal> {
    let reservation = fenced(state, token)?;
    match reservation.status {
        ReservationStatus::Claimed | ReservationStatus::Shipped => Ok(Changes::default()),
        ReservationStatus::Held | ReservationStatus::Expired if at < reservation.expires_at => take(state, reservation),
        _ => Err(ended(reservation)),
    }
}

/// Claims as an upsert does: whatever became of the hold, without a look at it. What it does not find held it adds all the same. This is
/// what oversells (R0).
pub fn claim_by_upsert(state: &State) -> Result<Changes, Refusal> {
    match &state.reservation {
        None => Ok(Changes::default()),
        Some(reservation) => match reservation.status {
            ReservationStatus::Claimed | ReservationStatus::Shipped | ReservationStatus::ReturnedToStock => Ok(Changes::default()),
            ReservationStatus::Held | ReservationStatus::Released | ReservationStatus::Expired => take(state, reservation),
        },
    }
}

fn take(state: &State, reservation: &Reservation) -> Result<Changes, Refusal> {
    let claimed = Reservation {
        status: ReservationStatus::Claimed,
        held_until: None,
        claimed_at: Some(state.now),
        ended_at: None,
        ..reservation.clone()
    };
    let told = InventoryClaimed {
        reservation_id: claimed.id,
        order_id: claimed.order_id,
        fencing_token: claimed.fencing_token,
        lines: claimed.told_lines(),
        at: state.now,
    };
    let from_hold = reservation.held_until.is_some();
    Ok(Draft::new(state).all_lines(&claimed, Move::Claim { from_hold })?.done(claimed, Some(Told::Claimed(told))))
}

/// Makes a live hold last for `ttl` from now, if that is longer than it lasts anyway.
pub fn extend(state: &State, token: i64, ttl: std::time::Duration) -> Result<Changes, Refusal> {
    let reservation = fenced(state, token)?;
    if reservation.status != ReservationStatus::Held || reservation.held_until.is_none() {
        return Err(ended(reservation));
    }
    let expires_at = state.now.plus(ttl);
    if expires_at <= reservation.expires_at {
        return Ok(Changes::default());
    }
    let extended = Reservation { expires_at, held_until: Some(expires_at), ..reservation.clone() };
    Ok(Draft::new(state).all_lines(&extended, Move::Extend)?.done(extended, None))
}

/// Ends a hold, or gives a claim back to the stock. Without a token an operator asks, who is not fenced.
pub fn release(state: &State, token: Option<i64>) -> Result<Changes, Refusal> {
    let reservation = match token {
        Some(token) => fenced(state, token)?,
        None => found(state)?,
    };
    match reservation.status {
        ReservationStatus::Released | ReservationStatus::ReturnedToStock => Ok(Changes::default()),
        ReservationStatus::Held if reservation.held_until.is_some() => {
            end(state, reservation, ReservationStatus::Released, Move::Release, "released")
        }
        ReservationStatus::Claimed => end(state, reservation, ReservationStatus::ReturnedToStock, Move::Return, "returned"),
        _ => Err(ended(reservation)),
    }
}

/// What becomes of an order's reservation when the order is cancelled: a hold ends, a claim goes back, what has ended stays as it is.
pub fn cancel(state: &State) -> Result<Changes, Refusal> {
    match &state.reservation {
        Some(reservation) if reservation.status != ReservationStatus::Shipped && reservation.stands() => release(state, None),
        _ => Ok(Changes::default()),
    }
}

/// What becomes of an order's reservation when the order leaves the house.
pub fn ship(state: &State) -> Result<Changes, Refusal> {
    match &state.reservation {
        Some(reservation) if reservation.status == ReservationStatus::Claimed => {
            let shipped = become_(reservation, ReservationStatus::Shipped, state.now)?;
            Ok(Draft::new(state).all_lines(&shipped, Move::Ship)?.done(shipped, None))
        }
        _ => Ok(Changes::default()),
    }
}

/// Ends a hold whose time is over, and says so.
pub fn expire(state: &State) -> Result<Changes, Refusal> {
    end(state, found(state)?, ReservationStatus::Expired, Move::Expire, "expired")
}

/// Lets a hold whose time is over vanish: its units are free again, and nothing says so, neither journal nor event nor status.
pub fn vanish(state: &State) -> Result<Changes, Refusal> {
    let reservation = Reservation { held_until: None, ..found(state)?.clone() };
    let mut draft = Draft::new(state).all_lines(&reservation, Move::Expire)?;
    draft.changes.movements.clear();
    Ok(draft.done(reservation, None))
}

/// Corrects what is on hand. Never below zero; below what is held or claimed only if that is allowed, and then it is told.
pub fn adjust(state: &State, correction: &Correction) -> Result<Changes, Refusal> {
    let Correction { place, delta, reason, allow_shortfall } = correction;
    let known = state.shelves.get(place);
    let shelf = known.copied().unwrap_or_default();
    if known.is_none() && *delta > 0 && state.shelves.keys().filter(|other| other.sku == place.sku).count() >= WAREHOUSES_MAX {
        return Err(Refusal::TooManyWarehouses);
    }
    let kind = if known.is_none() { Move::Receipt } else { Move::Adjust };
    let after = shelf.moved(kind, *delta).ok_or(Refusal::OutOfRange)?;
    if *delta < 0 && after.on_hand < 0 {
        return Err(Refusal::BelowZero { on_hand: shelf.on_hand });
    }
    let missing = after.available().checked_neg().ok_or(Refusal::OutOfRange)?;
    if *delta < 0 && missing > 0 && !allow_shortfall {
        return Err(Refusal::Committed { on_hand: shelf.on_hand, committed: shelf.held.saturating_add(shelf.claimed) });
    }
    let (sku, warehouse, at) = (&place.sku, &place.warehouse, state.now);
    let mut changes = Changes::default();
    changes.shelves.insert(place.clone(), after);
    changes.movements.push(Movement {
        kind,
        place: place.clone(),
        quantity: *delta,
        reservation: None,
        order: None,
        fencing_token: None,
        expires_at: None,
        reason: Some(reason.clone()),
        at,
    });
    changes.events.push(Told::Adjusted(InventoryAdjusted {
        sku: sku.clone(),
        warehouse: warehouse.clone(),
        delta: *delta,
        on_hand: after.on_hand,
        reason: reason.clone(),
        at,
    }));
    if *delta < 0 && missing > 0 {
        changes.events.push(Told::Shortfall(InventoryShortfall { sku: sku.clone(), warehouse: warehouse.clone(), missing, at }));
    }
    Ok(changes)
}

fn found(state: &State) -> Result<&Reservation, Refusal> {
    state.reservation.as_ref().ok_or(Refusal::UnknownReservation)
}

fn fenced(state: &State, token: i64) -> Result<&Reservation, Refusal> {
    let reservation = found(state)?;
    if reservation.fencing_token == token { Ok(reservation) } else { Err(Refusal::StaleToken) }
}

/// Why nothing more can be done with a reservation that is not live.
const fn ended(reservation: &Reservation) -> Refusal {
    match reservation.status {
        ReservationStatus::Held | ReservationStatus::Expired => Refusal::HoldExpired(reservation.expires_at),
        status => Refusal::Ended(status),
    }
}

fn become_(reservation: &Reservation, to: ReservationStatus, now: Timestamp) -> Result<Reservation, Refusal> {
    if !states::allows("reservation", reservation.status, to) {
        return Err(ended(reservation));
    }
    Ok(Reservation { status: to, held_until: None, ended_at: Some(now), ..reservation.clone() })
}

fn end(state: &State, reservation: &Reservation, to: ReservationStatus, kind: Move, reason: &str) -> Result<Changes, Refusal> {
    let over = become_(reservation, to, state.now)?;
    let told = InventoryReleased {
        reservation_id: over.id,
        order_id: over.order_id,
        reason: reason.to_owned(),
        lines: over.told_lines(),
        at: state.now,
    };
    Ok(Draft::new(state).all_lines(&over, kind)?.done(over, Some(Told::Released(told))))
}

/// Changes in the making.
struct Draft<'a> {
    state: &'a State,
    changes: Changes,
}

impl<'a> Draft<'a> {
    fn new(state: &'a State) -> Self {
        Self { state, changes: Changes::default() }
    }

    /// Moves every line of a reservation, counters and journal together.
    fn all_lines(mut self, reservation: &Reservation, kind: Move) -> Result<Self, Refusal> {
        for line in &reservation.lines {
            let place = Place { sku: line.sku.clone(), warehouse: line.warehouse.clone() };
            let shelf: Shelf = match self.changes.shelves.get(&place).or_else(|| self.state.shelves.get(&place)) {
                Some(shelf) => *shelf,
                None => Shelf::default(),
            };
            let units = line.quantity.as_i64();
            self.changes.shelves.insert(place.clone(), shelf.moved(kind, units).ok_or(Refusal::OutOfRange)?);
            self.changes.movements.push(Movement {
                kind,
                place,
                quantity: units,
                reservation: Some(reservation.id),
                order: Some(reservation.order_id),
                fencing_token: Some(reservation.fencing_token),
                expires_at: matches!(kind, Move::Hold | Move::Extend).then_some(reservation.expires_at),
                reason: None,
                at: self.state.now,
            });
        }
        // Nothing of a counter changes with an extension.
        if kind == Move::Extend {
            self.changes.shelves.clear();
        }
        Ok(self)
    }

    fn done(mut self, reservation: Reservation, told: Option<Told>) -> Changes {
        self.changes.reservation = Some(reservation);
        self.changes.events.extend(told);
        self.changes
    }
}
