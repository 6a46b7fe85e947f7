//! Customers, for those who call them.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use platform::{
    client::{CallError, Client},
    http::{Page, version_tag},
};
use types::{CustomerId, Email};

use crate::{Customer, CustomerInput, Erasure, ErasureJobId, ErasureTaken, Segment, SetSegments};

/// A typed client; made from `env.client("customer")`.
#[derive(Clone, Debug)]
pub struct Customers(pub Client);

impl Customers {
    /// Makes a customer; with the same key and content there is one, however often it is said. 409 `email-taken`.
    pub async fn create(&self, customer: &CustomerInput, key: impl AsRef<str>) -> Result<Customer, CallError> {
        self.0.post("/customers").json(customer).idempotency_key(key).send_json().await
    }

    /// 404 for one that never was, 410 `customer-erased` for one that is no more.
    pub async fn get(&self, id: CustomerId) -> Result<Customer, CallError> {
        self.0.get(format!("/customers/{id}")).send_json().await
    }

    /// The customer with this e-mail address, if there is one.
    pub async fn by_email(&self, email: &Email) -> Result<Option<Customer>, CallError> {
        let email = utf8_percent_encode(email.as_str(), NON_ALPHANUMERIC);
        let page: Page<Customer> = self.0.get(format!("/customers?limit=1&email={email}")).send_json().await?;
        Ok(page.items.into_iter().next())
    }

    /// Replaces a customer; with the version that was seen, only if it is still that one (else 412).
    pub async fn update(&self, id: CustomerId, customer: &CustomerInput, seen: Option<i64>) -> Result<Customer, CallError> {
        let call = self.0.put(format!("/customers/{id}")).json(customer);
        match seen {
            Some(version) => call.if_match(version_tag(version)).send_json().await,
            None => call.send_json().await,
        }
    }

    /// Gives a customer these segments in place of those it has.
    pub async fn assign(&self, id: CustomerId, segments: Vec<Segment>) -> Result<Customer, CallError> {
        self.set_segments(id, &SetSegments { segments: Some(segments), recalculate: None }).await
    }

    /// Gives a customer the segments that follow from its orders.
    pub async fn recalculate(&self, id: CustomerId) -> Result<Customer, CallError> {
        self.set_segments(id, &SetSegments { segments: None, recalculate: Some(true) }).await
    }

    async fn set_segments(&self, id: CustomerId, segments: &SetSegments) -> Result<Customer, CallError> {
        self.0.post(format!("/customers/{id}/segments")).json(segments).send_json().await
    }

    /// Has a customer erased in every service; said again it is the same job.
    pub async fn erase(&self, id: CustomerId) -> Result<ErasureTaken, CallError> {
        self.0.post(format!("/customers/{id}/erasure")).send_json().await
    }

    /// How far an erasure is.
    pub async fn erasure(&self, id: CustomerId, job: ErasureJobId) -> Result<Erasure, CallError> {
        self.0.get(format!("/customers/{id}/erasure/{job}")).send_json().await
    }
}
