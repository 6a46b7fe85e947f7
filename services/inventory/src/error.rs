//! What can go wrong here, and the one place that says how the caller is told.

use platform::{
    auth::Role,
    problem::{Kind, Problem, kinds},
};
use types::{ReservationId, Sku};

use crate::{domain::Refusal, store::StoreError};

const INSUFFICIENT: Kind = Kind::new(409, "insufficient-stock", "There is too little in stock");
const ORDER_RESERVED: Kind = Kind::new(409, "order-reserved", "The order has a reservation of other items");
const HOLD_EXPIRED: Kind = Kind::new(409, "hold-expired", "The hold has run out");
const STALE_TOKEN: Kind = Kind::new(409, "stale-token", "The fencing token is not the reservation's");
const ENDED: Kind = Kind::new(409, "reservation-ended", "The reservation does not allow this any more");
const BELOW_ZERO: Kind = Kind::new(409, "stock-below-zero", "There cannot be less than nothing on hand");
const COMMITTED: Kind = Kind::new(409, "stock-committed", "What would be taken is held or claimed");

pub const KINDS: &[&Kind] = &[&INSUFFICIENT, &ORDER_RESERVED, &HOLD_EXPIRED, &STALE_TOKEN, &ENDED, &BELOW_ZERO, &COMMITTED];

#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    #[error("there is no reservation {0}")]
    UnknownReservation(ReservationId),
    #[error("SKU {0} has never been in stock")]
    UnknownSku(Sku),
    /// Who releases without a fencing token must show that it is an operator.
    #[error("a token is needed")]
    Unauthenticated,
    #[error("the token lacks the role {0:?}")]
    NotAllowed(Role),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Told(#[from] Problem),
}

impl From<InventoryError> for Problem {
    fn from(error: InventoryError) -> Self {
        match error {
            InventoryError::UnknownReservation(id) => Self::not_found(format!("reservation {id}")),
            InventoryError::UnknownSku(sku) => Self::not_found(format!("stock of SKU {sku}")),
            InventoryError::Unauthenticated => {
                Self::new(&kinds::UNAUTHENTICATED).detail("Send the `fencingToken`, or an operator's token.")
            }
            InventoryError::NotAllowed(_) => Self::new(&kinds::FORBIDDEN).detail("Without a `fencingToken` only an operator may release."),
            InventoryError::Store(StoreError::Refused(refusal)) => refused(refusal),
            InventoryError::Store(StoreError::Told(problem)) | InventoryError::Told(problem) => problem,
            InventoryError::Store(StoreError::Db(error)) => error.into(),
            InventoryError::Store(StoreError::Unknown(name)) => {
                tracing::warn!(write = %name, "the store did not say whether it has written");
                Self::new(&kinds::UNAVAILABLE).detail("The store did not say whether it was done; send the same request again.")
            }
        }
    }
}

fn refused(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::UnknownReservation => Problem::not_found("such reservation"),
        Refusal::UnknownSkus(items) => items
            .into_iter()
            .fold(Problem::new(&kinds::INVALID), |problem, item| problem.at(format!("#/items/{item}/sku"), "has never been in stock")),
        Refusal::Insufficient { short, available } => {
            let problem = Problem::new(&INSUFFICIENT)
                .detail("Nothing was held: all of it is there or none of it is taken.")
                .with("available", available);
            short.into_iter().fold(problem, |problem, short| {
                let detail = format!("{} are asked for, {} are available", short.asked, short.available);
                problem.at(format!("#/items/{}/quantity", short.item), detail)
            })
        }
        Refusal::OtherItems(id) => Problem::new(&ORDER_RESERVED).detail(format!("It is reservation {id}.")).with("reservationId", id),
        Refusal::HoldExpired(at) => Problem::new(&HOLD_EXPIRED).detail(format!("It ended at {at}.")).with("expiresAt", at),
        Refusal::StaleToken => Problem::new(&STALE_TOKEN).detail("Use the `fencingToken` that came with this reservation."),
        Refusal::Ended(status) => Problem::new(&ENDED).detail(format!("It is {status}.")).with("currentStatus", status),
        Refusal::BelowZero { on_hand } => Problem::new(&BELOW_ZERO).detail(format!("{on_hand} are on hand.")).with("onHand", on_hand),
        Refusal::Committed { on_hand, committed } => Problem::new(&COMMITTED)
            .detail(format!("{on_hand} are on hand, {committed} are held or claimed; with `allowShortfall` it is done all the same."))
            .with("onHand", on_hand)
            .with("committed", committed),
        Refusal::TooManyWarehouses => Problem::invalid("#/warehouse", "would be one more than a SKU can be in (100)"),
        Refusal::OutOfRange => Problem::invalid("#/delta", "leads to more units than can be counted"),
    }
}
