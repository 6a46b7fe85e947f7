//! Why nothing was changed.

use std::collections::BTreeMap;

use inventory_api::ReservationStatus;
use types::{ReservationId, Sku, Timestamp};

/// A line for which there is too little.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Short {
    /// Which of the items that were asked for, from 0.
    pub item: usize,
    pub asked: i64,
    pub available: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("there is no such reservation")]
    UnknownReservation,
    /// Which of the items that were asked for, from 0.
    #[error("items {0:?} are of a SKU that has never been in stock")]
    UnknownSkus(Vec<usize>),
    #[error("there is too little of {} items", short.len())]
    Insufficient {
        short: Vec<Short>,
        /// Of each SKU that was asked for, over all warehouses.
        available: BTreeMap<Sku, i64>,
    },
    #[error("the order has reservation {0} of other items")]
    OtherItems(ReservationId),
    #[error("the hold ended at {0}")]
    HoldExpired(Timestamp),
    #[error("the fencing token is not the reservation's")]
    StaleToken,
    #[error("the reservation is {0}")]
    Ended(ReservationStatus),
    #[error("{on_hand} are on hand")]
    BelowZero { on_hand: i64 },
    #[error("{on_hand} are on hand and {committed} of them are held or claimed")]
    Committed { on_hand: i64, committed: i64 },
    #[error("the SKU is in as many warehouses as can be")]
    TooManyWarehouses,
    #[error("so many units cannot be counted")]
    OutOfRange,
}
