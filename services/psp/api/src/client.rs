//! The provider, for those who call it.

use std::time::Duration;

use platform::client::{CallError, Client};
use types::id::Uuid;

use crate::{Amount, Authorization, Authorize};

/// A typed client; made from `env.client("psp")`.
#[derive(Clone, Debug)]
pub struct Psp(pub Client);

impl Psp {
    /// Waits for at most `patience`; what becomes of it after that, a callback or a question by reference tells.
    pub async fn authorize(&self, request: &Authorize, key: &str, patience: Duration) -> Result<Authorization, CallError> {
        self.0.post("/psp/authorizations").json(request).idempotency_key(key).timeout(patience).once().send_json().await
    }

    pub async fn capture(&self, authorization: Uuid, amount: &Amount, key: &str) -> Result<Authorization, CallError> {
        self.0.post(format!("/psp/authorizations/{authorization}/capture")).json(amount).idempotency_key(key).send_json().await
    }

    pub async fn void(&self, authorization: Uuid, key: &str) -> Result<Authorization, CallError> {
        self.0.post(format!("/psp/authorizations/{authorization}/void")).idempotency_key(key).send_json().await
    }

    pub async fn refund(&self, authorization: Uuid, amount: &Amount, key: &str) -> Result<Authorization, CallError> {
        self.0.post(format!("/psp/authorizations/{authorization}/refunds")).json(amount).idempotency_key(key).send_json().await
    }

    pub async fn get(&self, authorization: Uuid) -> Result<Authorization, CallError> {
        self.0.get(format!("/psp/authorizations/{authorization}")).send_json().await
    }

    /// What the provider knows under this reference; nothing when it never heard of it.
    pub async fn by_reference(&self, reference: &str) -> Result<Option<Authorization>, CallError> {
        match self.0.get(format!("/psp/authorizations?merchantReference={reference}")).send_json().await {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.is_status(404) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
