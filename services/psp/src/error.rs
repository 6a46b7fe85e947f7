//! What can go wrong here, and the one place that says how the caller is told.

use platform::{
    db::DbError,
    problem::{Kind, Problem, kinds},
};
use types::id::Uuid;

use crate::domain::Refused;

const NOT_CAPTURABLE: Kind = Kind::new(409, "authorization-not-capturable", "There is no authorized amount to capture");
const NOT_VOIDABLE: Kind = Kind::new(409, "authorization-not-voidable", "The authorization can no longer be voided");
const NOT_REFUNDABLE: Kind = Kind::new(409, "authorization-not-refundable", "There is no captured amount to refund");

pub const KINDS: &[&Kind] = &[&NOT_CAPTURABLE, &NOT_VOIDABLE, &NOT_REFUNDABLE];

#[derive(Debug, thiserror::Error)]
pub enum PspError {
    #[error("there is no authorization {0}")]
    Unknown(Uuid),
    #[error("there is no authorization for {0}")]
    UnknownReference(String),
    #[error("the amount to authorize is negative: {0}")]
    Negative(i64),
    #[error("the key was used for another request")]
    KeyReused,
    /// The plan of the token: the connection stayed silent and ends without an answer.
    #[error("the answer is withheld")]
    Silent,
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Store(#[from] DbError),
    #[error(transparent)]
    Told(#[from] Problem),
}

impl From<PspError> for Problem {
    fn from(error: PspError) -> Self {
        match error {
            PspError::Unknown(id) => Self::not_found(format!("authorization {id}")),
            PspError::UnknownReference(reference) => Self::not_found(format!("authorization for {reference}")),
            PspError::Negative(_) => Self::invalid("#/amount/amount", "must be 0 or more"),
            PspError::KeyReused => Self::new(&kinds::KEY_REUSED).detail("Use a new `Idempotency-Key` for a new request."),
            PspError::Silent => Self::new(&kinds::TIMEOUT),
            PspError::Refused(refused) => match refused {
                Refused::NotCapturable(status) => {
                    Self::new(&NOT_CAPTURABLE).detail(format!("It is {status}.")).with("currentStatus", status)
                }
                Refused::NotVoidable(status) => Self::new(&NOT_VOIDABLE).detail(format!("It is {status}.")).with("currentStatus", status),
                Refused::NotRefundable(status) => {
                    Self::new(&NOT_REFUNDABLE).detail(format!("It is {status}.")).with("currentStatus", status)
                }
                Refused::Currency(_) => Self::invalid("#/amount/currency", refused.to_string()),
                Refused::Range(_) => Self::invalid("#/amount/amount", refused.to_string()),
            },
            PspError::Store(error) => error.into(),
            PspError::Told(problem) => problem,
        }
    }
}
