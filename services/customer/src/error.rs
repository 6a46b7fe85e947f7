//! What can go wrong here, and the one place that says how the caller is told. No problem repeats what a customer said.

use customer_api::ErasureJobId;
use platform::{
    client::CallError,
    db::DbError,
    problem::{Kind, Problem, kinds},
};
use types::CustomerId;

use crate::domain::Refused;

const EMAIL_TAKEN: Kind = Kind::new(409, "email-taken", "This e-mail address belongs to a customer already");
const ERASED: Kind = Kind::new(410, "customer-erased", "The customer was erased");

pub const KINDS: &[&Kind] = &[&EMAIL_TAKEN, &ERASED];

#[derive(Debug, thiserror::Error)]
pub enum CustomerError {
    #[error("there is no customer {0}")]
    Unknown(CustomerId),
    #[error("customer {customer} has no erasure {job}")]
    UnknownErasure { customer: CustomerId, job: ErasureJobId },
    #[error("customer {0} is there already")]
    Exists(CustomerId),
    #[error("the token's subject is no customer's id")]
    NoCustomersToken,
    #[error("the e-mail address belongs to another customer")]
    EmailTaken,
    #[error("customer {0} was changed by somebody else at the same moment")]
    Overtaken(CustomerId),
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Store(#[from] DbError),
    #[error(transparent)]
    Told(#[from] Problem),
}

impl From<CustomerError> for Problem {
    fn from(error: CustomerError) -> Self {
        match error {
            CustomerError::Unknown(id) => Self::not_found(format!("customer {id}")),
            CustomerError::UnknownErasure { customer, job } => Self::not_found(format!("erasure {job} of customer {customer}")),
            CustomerError::Exists(id) => {
                Self::new(&kinds::CONFLICT).detail(format!("Customer {id} is there already; change it by `PUT /customers/{id}`."))
            }
            CustomerError::NoCustomersToken => {
                Self::new(&kinds::FORBIDDEN).detail("The subject of a customer's token must be a customer's id, and this one's is none.")
            }
            CustomerError::EmailTaken => Self::new(&EMAIL_TAKEN)
                .detail("Use another address, or find the customer by `GET /customers?email=`.")
                .at("#/email", "is taken"),
            CustomerError::Overtaken(id) => {
                Self::new(&kinds::CONFLICT).detail(format!("Customer {id} changed at the same moment; read it again and repeat."))
            }
            CustomerError::Refused(refused) => match refused {
                Refused::Erased => Self::new(&ERASED).detail("Nothing is known of this customer any more."),
                Refused::TooManyAddresses => Self::invalid("#/addresses", refused.to_string()),
                Refused::TooManySegments => Self::invalid("#/segments", refused.to_string()),
                Refused::BothWays => Self::invalid("#/recalculate", refused.to_string()),
                Refused::NoWay => Self::invalid("#/segments", refused.to_string()),
            },
            CustomerError::Call(error) => error.into(),
            CustomerError::Store(error) => error.into(),
            CustomerError::Told(problem) => problem,
        }
    }
}
