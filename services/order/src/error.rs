//! What can go wrong here, and the one place that says how the caller is told.

use order_api::OrderStatus;
use platform::{
    client::CallError,
    db::DbError,
    problem::{Kind, Problem},
};
use types::{CartId, CreditId, OrderId};

use crate::domain::Forbidden;

const NOT_CANCELLABLE: Kind = Kind::new(409, "order-not-cancellable", "The order can no longer be cancelled");
const NOT_CREDITABLE: Kind = Kind::new(409, "order-not-creditable", "There is nothing paid for the order that could be given back");
const CART_ORDERED: Kind = Kind::new(409, "cart-already-ordered", "There is an order of this cart already");
const CART_UNFIT: Kind = Kind::new(422, "cart-not-orderable", "This cart cannot be ordered");

pub const KINDS: &[&Kind] = &[&NOT_CANCELLABLE, &NOT_CREDITABLE, &CART_ORDERED, &CART_UNFIT];

#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    #[error("there is no order {0}")]
    Unknown(OrderId),
    #[error("the order is {0} and can no longer be cancelled")]
    NotCancellable(OrderStatus),
    #[error("the order is {0} and nothing of it can be given back")]
    NotCreditable(OrderStatus),
    #[error("there is no credit {0}")]
    UnknownCredit(CreditId),
    #[error("a credit is of 1 or more")]
    EmptyCredit,
    #[error("the credit is in another currency")]
    CreditCurrency,
    #[error("only {left} is left to credit")]
    CreditTooMuch { left: i64 },
    #[error("cart {cart} has order {order} already")]
    CartOrdered { cart: CartId, order: OrderId },
    #[error("there is no cart {0}")]
    UnknownCart(CartId),
    /// The cart said no: its own problem is the best answer.
    #[error("the cart refused: {0}")]
    CartRefused(Problem),
    #[error("the cart cannot be ordered: {0}")]
    CartUnfit(&'static str),
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Store(#[from] DbError),
    #[error(transparent)]
    Told(#[from] Problem),
}

impl From<OrderError> for Problem {
    fn from(error: OrderError) -> Self {
        match error {
            OrderError::Unknown(id) => Self::not_found(format!("order {id}")),
            OrderError::NotCancellable(status) => {
                Self::new(&NOT_CANCELLABLE).detail(format!("It is {status}.")).with("currentStatus", status)
            }
            OrderError::NotCreditable(status) => {
                Self::new(&NOT_CREDITABLE).detail(format!("It is {status}.")).with("currentStatus", status)
            }
            OrderError::UnknownCredit(id) => Self::not_found(format!("credit {id}")),
            OrderError::EmptyCredit => Self::invalid("#/amount/amount", "must be 1 or more"),
            OrderError::CreditCurrency => Self::invalid("#/amount/currency", "must be the order's"),
            OrderError::CreditTooMuch { left } => {
                Self::invalid("#/amount/amount", format!("must be at most {left}, which is what is left of the order")).with("left", left)
            }
            OrderError::CartOrdered { order, .. } => {
                Self::new(&CART_ORDERED).detail(format!("It is order {order}.")).with("orderId", order)
            }
            OrderError::UnknownCart(id) => Self::invalid("#/cartId", format!("there is no cart {id}")),
            OrderError::CartRefused(problem) => problem,
            OrderError::CartUnfit(why) => Self::new(&CART_UNFIT).detail(why).at("#/cartId", why),
            OrderError::Forbidden(forbidden) => Self::new(&platform::problem::kinds::CONFLICT).detail(format!("{forbidden}.")),
            OrderError::Call(error) => error.into(),
            OrderError::Store(error) => error.into(),
            OrderError::Told(problem) => problem,
        }
    }
}
