//! What can go wrong here, and the one place that says how the caller is told.

use platform::{
    db::DbError,
    problem::{Kind, Problem, kinds},
};
use types::{Currency, Sku, Timestamp, id::Uuid};

use crate::domain::check::Wrong;

const CODE_TAKEN: Kind = Kind::new(409, "promotion-code-taken", "There is a promotion with this code already");
const EXHAUSTED: Kind = Kind::new(409, "coupon-exhausted", "The coupon has been used as often as it may be");
const NOT_ACTIVE: Kind = Kind::new(409, "promotion-not-active", "The promotion does not hold now");
const TOO_MANY_RULES: Kind = Kind::new(409, "too-many-rules", "There are too many rules or promotions in force");

pub const KINDS: &[&Kind] = &[&CODE_TAKEN, &EXHAUSTED, &NOT_ACTIVE, &TOO_MANY_RULES];

#[derive(Debug, thiserror::Error)]
pub enum PricingError {
    #[error("the request is wrong at {} place(s)", .0.len())]
    Invalid(Vec<Wrong>),
    #[error("{sku} has no price in {currency}")]
    Unpriced { sku: Sku, currency: Currency },
    #[error("there is no price book {0}")]
    UnknownBook(String),
    #[error("book {book} has no price for {sku}")]
    UnknownEntry { book: String, sku: Sku },
    #[error("there is no price rule {0}")]
    UnknownRule(Uuid),
    #[error("there is no promotion {0}")]
    UnknownPromotion(String),
    #[error("the code {0} is taken")]
    CodeTaken(Sku),
    #[error("coupon {code} has been used {limit} times")]
    Exhausted { code: Sku, limit: u32 },
    #[error("promotion {code} holds from {starts_at} to {ends_at}")]
    NotActive { code: Sku, starts_at: Timestamp, ends_at: Timestamp },
    /// So many rules would be looked at for one price that pricing would grow slow for all.
    #[error("at most {limit} of {what} may be in force")]
    TooMany { what: String, limit: u32 },
    #[error("it was changed by somebody else at the same moment")]
    Raced,
    #[error("the exchange rates of {0} have not been fetched yet")]
    NoRates(Currency),
    #[error(transparent)]
    Store(#[from] DbError),
    #[error(transparent)]
    Told(#[from] Problem),
}

impl PricingError {
    /// Something that is wrong at one place of the body.
    #[must_use]
    pub fn invalid(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Invalid(vec![Wrong::new(pointer, detail)])
    }

    /// An error when there is something wrong.
    pub fn of(wrong: Vec<Wrong>) -> Result<(), Self> {
        if wrong.is_empty() { Ok(()) } else { Err(Self::Invalid(wrong)) }
    }
}

impl From<PricingError> for Problem {
    fn from(error: PricingError) -> Self {
        match error {
            PricingError::Invalid(wrong) => {
                wrong.into_iter().fold(Self::new(&kinds::INVALID), |problem, wrong| problem.at(format!("#{}", wrong.pointer), wrong.detail))
            }
            PricingError::Unpriced { sku, currency } => Self::not_found(format!("price of {sku} in {currency}")),
            PricingError::UnknownBook(book) => {
                Self::not_found(format!("price book {book} (there are standard-usd, standard-eur, standard-jpy and standard-vnd)"))
            }
            PricingError::UnknownEntry { book, sku } => Self::not_found(format!("price of {sku} in {book}")),
            PricingError::UnknownRule(id) => Self::not_found(format!("price rule {id}")),
            PricingError::UnknownPromotion(name) => Self::not_found(format!("promotion {name}")),
            PricingError::CodeTaken(code) => Self::new(&CODE_TAKEN).detail(format!("Choose another code than {code}.")),
            PricingError::Exhausted { code, limit } => {
                Self::new(&EXHAUSTED).detail(format!("{code} may be used {limit} times, and was.")).with("usageLimit", limit)
            }
            PricingError::NotActive { code, starts_at, ends_at } => Self::new(&NOT_ACTIVE)
                .detail(format!("{code} holds from {starts_at} to {ends_at}."))
                .with("startsAt", starts_at)
                .with("endsAt", ends_at),
            PricingError::TooMany { what, limit } => {
                Self::new(&TOO_MANY_RULES).detail(format!("At most {limit} of {what} may be in force; end some (`endsAt`) first."))
            }
            PricingError::Raced => Self::new(&kinds::CONFLICT).detail("Somebody else changed it at the same moment; send it again."),
            PricingError::NoRates(currency) => {
                Self::new(&kinds::UNAVAILABLE).detail(format!("The exchange rates of {currency} have not been fetched yet; try again."))
            }
            PricingError::Store(error) => error.into(),
            PricingError::Told(problem) => problem,
        }
    }
}
