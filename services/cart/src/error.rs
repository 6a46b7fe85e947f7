//! What can go wrong here, and the one place that says how the caller is told.

use platform::{
    client::CallError,
    db::DbError,
    problem::{Kind, Problem, kinds},
};
use types::{CartId, Money, OrderId, Sku};

use crate::domain::{Misquoted, Refusal};

const CHECKED_OUT: Kind = Kind::new(409, "cart-checked-out", "The cart is checked out");
const EXPIRED: Kind = Kind::new(409, "cart-expired", "The cart has expired");
const EMPTY: Kind = Kind::new(422, "cart-empty", "The cart is empty");
const PRICE_CHANGED: Kind = Kind::new(409, "price-changed", "The prices have changed since they were quoted");
const ITEM_UNAVAILABLE: Kind = Kind::new(409, "item-unavailable", "Something in the cart has no price any longer");
const COUPON_REFUSED: Kind = Kind::new(409, "coupon-refused", "The coupon is no longer taken");

pub const KINDS: &[&Kind] = &[&CHECKED_OUT, &EXPIRED, &EMPTY, &PRICE_CHANGED, &ITEM_UNAVAILABLE, &COUPON_REFUSED];

#[derive(Debug, thiserror::Error)]
pub enum CartError {
    #[error("there is no cart {0}")]
    Unknown(CartId),
    #[error("there is no cart of this session")]
    UnknownSession,
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Its order is known, if it has been heard of.
    #[error("the cart is checked out already")]
    CheckedOut { order: Option<OrderId> },
    /// Others changed it each time between our look and our save.
    #[error("the cart was changed by others at the same time")]
    Raced,
    #[error("the total rose from {old} to {new}")]
    PriceChanged { old: Money, new: Money },
    /// What the request itself says is wrong, by pricing's word.
    #[error("pricing refused {pointer}: {detail}")]
    NotPriced { pointer: &'static str, detail: String },
    #[error("{} cannot be priced any longer", list(.0))]
    Unavailable(Vec<Sku>),
    #[error("the coupon was not taken: {0}")]
    CouponRefused(Problem),
    /// The cart is checked out and its order will come; only its id is not known yet.
    #[error("the order of cart {cart} was not answered: {source}")]
    OrderUnanswered { cart: CartId, source: CallError },
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Store(#[from] DbError),
    #[error(transparent)]
    Told(#[from] Problem),
}

impl From<Misquoted> for CartError {
    /// Pricing has answered, but nothing that can be relied on.
    fn from(error: Misquoted) -> Self {
        Self::Call(CallError::Unknown { target: "pricing", reason: error.to_string() })
    }
}

impl From<CartError> for Problem {
    fn from(error: CartError) -> Self {
        match error {
            CartError::Unknown(id) => Self::not_found(format!("cart {id}")),
            CartError::UnknownSession => Self::not_found("cart of this session"),
            CartError::Refused(refusal) => refused(&refusal),
            CartError::CheckedOut { order } => {
                let problem = refused(&Refusal::CheckedOut);
                if let Some(order) = order { problem.detail(format!("Its order is {order}.")).with("orderId", order) } else { problem }
            }
            CartError::Raced => {
                Self::new(&kinds::CONFLICT).detail("Others change this cart at the same time; read it again, then try again.")
            }
            CartError::PriceChanged { old, new } => Self::new(&PRICE_CHANGED)
                .detail(format!("The total was {old} and is {new} now; look at the cart, then check out again."))
                .with("oldTotal", old)
                .with("newTotal", new),
            CartError::NotPriced { pointer, detail } => Self::invalid(pointer, detail),
            CartError::Unavailable(skus) => Self::new(&ITEM_UNAVAILABLE)
                .detail(format!("Remove {} from the cart, then try again.", list(&skus)))
                .with("skus", skus.iter().map(Sku::as_str).collect::<Vec<_>>()),
            // Why is pricing's to say: `coupon-exhausted`.
            CartError::CouponRefused(problem) if problem.status == 409 => Self { instance: None, ..problem },
            CartError::CouponRefused(problem) => {
                let why = problem.errors.first().map(|error| error.detail.clone()).or(problem.detail);
                Self::new(&COUPON_REFUSED).detail(why.unwrap_or_else(|| "Remove it, then check out again.".into()))
            }
            CartError::OrderUnanswered { cart, source } => {
                tracing::warn!(cart_id = %cart, error = %source, "order-service did not answer a checkout; the event will make the order");
                Self::new(&kinds::UNAVAILABLE).detail(
                    "The cart is checked out and its order will follow; send this request again with the same `Idempotency-Key` for its id.",
                )
            }
            CartError::Call(error) => error.into(),
            CartError::Store(error) => error.into(),
            CartError::Told(problem) => problem,
        }
    }
}

fn refused(refusal: &Refusal) -> Problem {
    match refusal {
        Refusal::CheckedOut => Problem::new(&CHECKED_OUT).detail("Nothing in it can be changed any longer."),
        Refusal::Expired => Problem::new(&EXPIRED).detail("Start a new cart."),
        Refusal::Empty => Problem::new(&EMPTY).detail("Put something into it first."),
        Refusal::NoSuchItem(sku) => Problem::not_found(format!("{sku} in this cart")),
        Refusal::NoCoupon => Problem::not_found("coupon on this cart"),
        Refusal::TooMany { .. } => Problem::invalid("#/quantity", refusal.to_string()),
        Refusal::TooManyLines => Problem::invalid("#/sku", refusal.to_string()),
    }
}

fn list(skus: &[Sku]) -> String {
    skus.iter().map(Sku::as_str).collect::<Vec<_>>().join(", ")
}
