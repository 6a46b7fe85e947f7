//! What stock and a reservation may do. Pure: a decision looks at a [`State`] and gives [`Changes`], or a refusal, which is a value;
//! time and ids come in as arguments. How each movement changes the counters stands in one place ([`Shelf::moved`]), so the counters are
//! the fold of the journal because both are written from the same change.

pub mod pick;
pub mod refusal;
pub mod steps;

use std::collections::BTreeMap;

use inventory_api::{
    ReservationStatus, ReserveItem, ReservedItem,
    events::{EventLine, InventoryAdjusted, InventoryClaimed, InventoryReleased, InventoryReserved, InventoryShortfall},
};
pub use refusal::Refusal;
use serde::{Deserialize, Serialize};
use types::{OrderId, ReservationId, Sku, Timestamp};

/// Where units are counted: a SKU in a warehouse. It is the unit of a conditional write.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub sku: Sku,
    pub warehouse: Sku,
}

/// The counters of a place, in units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shelf {
    pub on_hand: i64,
    pub held: i64,
    pub claimed: i64,
    pub shipped: i64,
    /// As it was read; 0 for a place that is new.
    pub version: i64,
}

/// What moved. `Claim` says whether it took its units from a live hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    Receipt,
    Adjust,
    Hold,
    Extend,
    Claim { from_hold: bool },
    Release,
    Expire,
    Ship,
    Return,
}

impl Move {
    /// The word in the journal.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Receipt => "receipt",
            Self::Adjust => "adjust",
            Self::Hold => "hold",
            Self::Extend => "extend",
            Self::Claim { .. } => "claim",
            Self::Release => "release",
            Self::Expire => "expire",
            Self::Ship => "ship",
            Self::Return => "return",
        }
    }
}

impl Shelf {
    /// What nobody holds or has claimed; below zero after an adjustment that allowed a shortfall.
    #[must_use]
    pub const fn available(&self) -> i64 {
        self.on_hand.saturating_sub(self.held).saturating_sub(self.claimed)
    }

    /// The counters after a movement of so many units (signed for an adjustment); none when they would leave the range of numbers.
    #[must_use]
    pub fn moved(self, kind: Move, units: i64) -> Option<Self> {
        let Self { mut on_hand, mut held, mut claimed, mut shipped, version } = self;
        match kind {
            Move::Receipt | Move::Adjust => on_hand = on_hand.checked_add(units)?,
            Move::Hold => held = held.checked_add(units)?,
            Move::Extend => {}
            Move::Claim { from_hold } => {
                claimed = claimed.checked_add(units)?;
                held = if from_hold { held.checked_sub(units)? } else { held };
            }
            Move::Release | Move::Expire => held = held.checked_sub(units)?,
            Move::Ship => {
                claimed = claimed.checked_sub(units)?;
                on_hand = on_hand.checked_sub(units)?;
                shipped = shipped.checked_add(units)?;
            }
            Move::Return => claimed = claimed.checked_sub(units)?,
        }
        Some(Self { on_hand, held, claimed, shipped, version })
    }
}

/// A line of the journal; the store gives it its id and its place in the order.
#[derive(Clone, Debug, PartialEq)]
pub struct Movement {
    pub kind: Move,
    pub place: Place,
    /// Units; signed for an adjustment only.
    pub quantity: i64,
    pub reservation: Option<ReservationId>,
    pub order: Option<OrderId>,
    pub fencing_token: Option<i64>,
    /// Of a hold and of its extension.
    pub expires_at: Option<Timestamp>,
    pub reason: Option<String>,
    pub at: Timestamp,
}

/// Units of an order, held or claimed together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reservation {
    pub id: ReservationId,
    pub order_id: OrderId,
    pub status: ReservationStatus,
    pub fencing_token: i64,
    pub lines: Vec<ReservedItem>,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    /// `expires_at` for as long as its units are counted as held.
    pub held_until: Option<Timestamp>,
    pub claimed_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    /// As it was read; 0 for one that is new.
    pub version: i64,
}

impl Reservation {
    /// Whether it still stands for its order: held, claimed or sent.
    #[must_use]
    pub const fn stands(&self) -> bool {
        match self.status {
            ReservationStatus::Held => self.held_until.is_some(),
            ReservationStatus::Claimed | ReservationStatus::Shipped => true,
            ReservationStatus::Released | ReservationStatus::Expired | ReservationStatus::ReturnedToStock => false,
        }
    }

    /// Whether it was made for just these items, wherever they were found.
    #[must_use]
    pub fn is_for(&self, items: &[ReserveItem]) -> bool {
        let mut left: BTreeMap<&Sku, i64> = BTreeMap::new();
        for item in items {
            *left.entry(&item.sku).or_default() += item.quantity.as_i64();
        }
        for line in &self.lines {
            *left.entry(&line.sku).or_default() -= line.quantity.as_i64();
        }
        left.values().all(|units| *units == 0)
    }

    /// The reservation as others see it.
    #[must_use]
    pub fn view(&self) -> inventory_api::Reservation {
        inventory_api::Reservation {
            reservation_id: self.id,
            order_id: self.order_id,
            status: self.status,
            fencing_token: self.fencing_token,
            expires_at: self.expires_at,
            items: self.lines.clone(),
        }
    }

    fn told_lines(&self) -> Vec<EventLine> {
        let line = |line: &ReservedItem| EventLine { sku: line.sku.clone(), warehouse: line.warehouse.clone(), quantity: line.quantity };
        self.lines.iter().map(line).collect()
    }
}

/// What a decision is told: the reservation it is about, and the stock of the SKUs it is about, in all warehouses.
#[derive(Clone, Debug)]
pub struct State {
    /// One reading of the clock for the whole decision.
    pub now: Timestamp,
    pub shelves: BTreeMap<Place, Shelf>,
    pub reservation: Option<Reservation>,
    /// Above the token of every reservation so far.
    pub next_token: i64,
}

impl State {
    /// What there is once the changes are made.
    #[must_use]
    pub fn after(mut self, changes: Changes) -> Self {
        self.shelves.extend(changes.shelves);
        self.reservation = changes.reservation.or(self.reservation);
        self
    }

    /// The stock of a SKU as others see it; none when the SKU has never had any.
    #[must_use]
    pub fn stock(&self, sku: &Sku) -> Option<inventory_api::Stock> {
        let warehouses: Vec<_> =
            self.shelves.iter().filter(|(place, _)| place.sku == *sku).map(|(place, shelf)| shelf_view(place, *shelf)).collect();
        (!warehouses.is_empty()).then(|| inventory_api::Stock { sku: sku.clone(), warehouses })
    }
}

/// The counters of one place as others see them.
#[must_use]
pub fn shelf_view(place: &Place, shelf: Shelf) -> inventory_api::WarehouseStock {
    inventory_api::WarehouseStock {
        warehouse: place.warehouse.clone(),
        on_hand: shelf.on_hand,
        held: shelf.held,
        claimed: shelf.claimed,
        available: shelf.available(),
    }
}

/// What is announced.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    Reserved(InventoryReserved),
    Claimed(InventoryClaimed),
    Released(InventoryReleased),
    Adjusted(InventoryAdjusted),
    Shortfall(InventoryShortfall),
}

/// What a decision changes: all of it or nothing. Empty for a repeat.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    pub shelves: BTreeMap<Place, Shelf>,
    pub movements: Vec<Movement>,
    pub reservation: Option<Reservation>,
    pub events: Vec<Told>,
}

impl Changes {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shelves.is_empty() && self.movements.is_empty() && self.reservation.is_none() && self.events.is_empty()
    }
}

#[cfg(test)]
mod tests;
