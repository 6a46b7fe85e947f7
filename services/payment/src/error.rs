//! What can go wrong here, and the one place that says how the caller is told.

use payment_api::PaymentStatus;
use platform::{
    auth::SignatureError,
    client::CallError,
    db::DbError,
    problem::{Kind, Problem, kinds},
};
use types::{OrderId, PaymentId};

use crate::{domain::Refused, ledger::LedgerError};

const EXISTS: Kind = Kind::new(409, "payment-exists", "The order has another payment already");
const NOT_CONFIRMABLE: Kind = Kind::new(409, "payment-not-confirmable", "The payment can no longer be confirmed");
const NOT_CAPTURABLE: Kind = Kind::new(409, "payment-not-capturable", "There is no authorized amount to capture");
const NOT_VOIDABLE: Kind = Kind::new(409, "payment-not-voidable", "The payment can no longer be voided");
const NOT_REFUNDABLE: Kind = Kind::new(409, "payment-not-refundable", "There is no captured amount to refund");
const TOO_MANY_REFUNDS: Kind = Kind::new(409, "too-many-refunds", "The payment has as many refunds as it can have");
const REFUND_REFUSED: Kind = Kind::new(409, "refund-refused", "The payment provider refused the refund");
const SIGNATURE: Kind = Kind::new(401, "callback-signature", "The callback's signature is not valid");
const OUT_OF_TURN: Kind = Kind::new(409, "callback-out-of-turn", "The callback tells of a step that the provider does not confirm yet");

pub const KINDS: &[&Kind] = &[
    &EXISTS,
    &NOT_CONFIRMABLE,
    &NOT_CAPTURABLE,
    &NOT_VOIDABLE,
    &NOT_REFUNDABLE,
    &TOO_MANY_REFUNDS,
    &REFUND_REFUSED,
    &SIGNATURE,
    &OUT_OF_TURN,
];

#[derive(Debug, thiserror::Error)]
pub enum PaymentError {
    #[error("there is no payment {0}")]
    Unknown(PaymentId),
    #[error("order {0} has no payment")]
    NoneOfOrder(OrderId),
    #[error("a callback names `{0}`, which is no payment")]
    UnknownName(String),
    #[error("order {order} has payment {payment} already")]
    Exists { order: OrderId, payment: PaymentId },
    #[error("the amount is negative: {0}")]
    Negative(i64),
    #[error("the payment is {0} and cannot be confirmed")]
    NotConfirmable(PaymentStatus),
    #[error("the payment is {0} and cannot be captured")]
    NotCapturable(PaymentStatus),
    #[error("the payment is {0} and cannot be voided")]
    NotVoidable(PaymentStatus),
    #[error("the payment is {0} and cannot be refunded")]
    NotRefundable(PaymentStatus),
    #[error("only {left} is left to refund")]
    TooMuch { left: i64 },
    #[error("a refund is of 1 or more")]
    EmptyRefund,
    #[error("the payment is in another currency")]
    Currency,
    #[error("the payment has {0} refunds")]
    TooManyRefunds(usize),
    #[error("the PSP refused a refund: {0}")]
    RefundRefused(String),
    #[error("the key was used for another refund")]
    KeyReused,
    #[error("a callback was not signed as it should be: {0}")]
    Signature(#[from] SignatureError),
    #[error("a callback has no signature")]
    Unsigned,
    #[error("a callback tells of a step that the PSP does not confirm")]
    OutOfTurn,
    #[error("a callback does not fit its payment: {0}")]
    Misfit(Refused),
    #[error("the PSP did not settle it")]
    Unsettled,
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Store(#[from] DbError),
    #[error(transparent)]
    Told(#[from] Problem),
}

impl From<PaymentError> for Problem {
    fn from(error: PaymentError) -> Self {
        let stands = |kind: &Kind, status: PaymentStatus| Self::new(kind).detail(format!("It is {status}.")).with("currentStatus", status);
        match error {
            PaymentError::Unknown(id) => Self::not_found(format!("payment {id}")),
            PaymentError::NoneOfOrder(order) => Self::not_found(format!("payment of order {order}")),
            PaymentError::UnknownName(name) => Self::not_found(format!("payment {name}")),
            PaymentError::Exists { payment, .. } => {
                Self::new(&EXISTS).detail(format!("It is payment {payment}.")).with("paymentId", payment)
            }
            PaymentError::Negative(_) => Self::invalid("#/amount/amount", "must be 0 or more"),
            PaymentError::NotConfirmable(status) => stands(&NOT_CONFIRMABLE, status),
            PaymentError::NotCapturable(status) => stands(&NOT_CAPTURABLE, status),
            PaymentError::NotVoidable(status) => stands(&NOT_VOIDABLE, status),
            PaymentError::NotRefundable(status) => stands(&NOT_REFUNDABLE, status),
            PaymentError::TooMuch { left } => {
                Self::invalid("#/amount/amount", format!("must be at most {left}, which is what is left")).with("left", left)
            }
            PaymentError::EmptyRefund => Self::invalid("#/amount/amount", "must be 1 or more"),
            PaymentError::Currency => Self::invalid("#/amount/currency", "must be the payment's"),
            PaymentError::TooManyRefunds(count) => Self::new(&TOO_MANY_REFUNDS).detail(format!("It has {count}.")),
            PaymentError::RefundRefused(why) => Self::new(&REFUND_REFUSED).detail(why),
            PaymentError::KeyReused => Self::new(&kinds::KEY_REUSED).detail("Use a new `Idempotency-Key` for a new refund."),
            // One answer for all of them: who forges a callback is not told how near it came.
            PaymentError::Signature(_) | PaymentError::Unsigned => {
                tracing::warn!(%error, "a callback was refused");
                Self::new(&SIGNATURE)
            }
            PaymentError::OutOfTurn => Self::new(&OUT_OF_TURN),
            PaymentError::Unsettled => Self::new(&kinds::UNAVAILABLE).detail("The payment provider has not settled it yet; try again."),
            PaymentError::Misfit(refused) => Self::invalid("#/amount", refused.to_string()),
            PaymentError::Refused(Refused::Amount { .. }) => {
                tracing::error!(%error, "the PSP's answer cannot be used");
                Self::new(&kinds::UNAVAILABLE).detail("The payment provider's answer cannot be used.")
            }
            PaymentError::Refused(forbidden @ Refused::Forbidden { .. }) => Self::new(&kinds::CONFLICT).detail(format!("{forbidden}.")),
            PaymentError::Ledger(error) => Self::internal(&error),
            PaymentError::Call(CallError::Unknown { .. }) => {
                tracing::warn!(%error, "the PSP gave no answer");
                Self::new(&kinds::TIMEOUT).detail("The payment provider did not answer; it may have happened. Send the request again.")
            }
            PaymentError::Call(error) => error.into(),
            PaymentError::Store(error) => error.into(),
            PaymentError::Told(problem) => problem,
        }
    }
}
