//! The PSP's callbacks: signed, possibly late, twice and out of order. What is told in its turn is taken at once; otherwise the PSP is
//! asked, and everything is taken in its order.

use payment_api::PaymentStatus;
use platform::{
    Clock,
    auth::{Secret, Signature},
    db::Tx,
    http::extract,
    service::{BuildError, Env},
};
use psp_api::{PspEvent, PspEventType};
use serde::{Deserialize, Serialize};
use types::{Money, PaymentId, Timestamp, id::Uuid};
use utoipa::ToSchema;

use crate::{app::App, config::Config, error::PaymentError, store};

/// What the PSP tells. The first four are there always; without the others the PSP is asked.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Callback {
    pub event_id: Uuid,
    /// The merchant's reference.
    pub payment_id: String,
    #[serde(rename = "type")]
    pub kind: PspEventType,
    pub at: Timestamp,
    pub authorization_id: Option<Uuid>,
    pub amount: Option<Money>,
    pub decline_code: Option<String>,
    /// The key of the call that brought it about.
    pub request_key: Option<String>,
}

/// The callback was taken, now or before.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CallbackTaken {
    pub event_id: Uuid,
}

/// Who reads callbacks: knows the secret that they are signed with.
#[derive(Clone, Debug)]
pub struct Reader {
    clock: Clock,
    secret: Secret,
}

impl Reader {
    pub fn new(env: &Env, config: &Config) -> Result<Self, BuildError> {
        let secret = match config.psp_callback_secret.as_str() {
            "" => env.secret_for("psp-callbacks")?,
            text => Secret::new(text).map_err(|error| BuildError::Other(error.to_string()))?,
        };
        Ok(Self { clock: env.clock, secret })
    }

    /// The callback, if its signature is right. Nothing of the body is read before that.
    pub fn read(&self, signature: Option<&str>, body: &[u8]) -> Result<Callback, PaymentError> {
        let signature = signature.ok_or(PaymentError::Unsigned)?;
        Signature::verify(signature, body, &self.secret, self.clock.now(), Signature::WINDOW)?;
        Ok(extract::parse(body)?)
    }
}

impl Callback {
    /// The whole event, if the callback tells it.
    fn event(&self) -> Option<PspEvent> {
        Some(PspEvent {
            event_id: self.event_id,
            payment_id: self.payment_id.clone(),
            authorization_id: self.authorization_id?,
            kind: self.kind,
            amount: self.amount?,
            decline_code: self.decline_code.clone(),
            request_key: self.request_key.clone(),
            at: self.at,
        })
    }
}

impl App {
    /// Takes a callback. An event that was taken before changes nothing.
    pub async fn called_back(&self, callback: &Callback) -> Result<CallbackTaken, PaymentError> {
        let id: PaymentId = callback.payment_id.parse().map_err(|_| PaymentError::UnknownName(callback.payment_id.clone()))?;
        let taken = CallbackTaken { event_id: callback.event_id };
        let too_early = match callback.event() {
            Some(event) => self.hear(id, &event).await.map_err(|error| match error {
                PaymentError::Refused(refused) => PaymentError::Misfit(refused),
                other => other,
            })?,
            None => !self.is_known(id, callback.event_id).await?,
        };
        if !too_early {
            return Ok(taken);
        }
        if let Some(told) = self.psp().by_reference(&id.to_string()).await? {
            self.learn(id, &told, None, |_: PaymentStatus| false).await?;
        }
        // If it is not there even now, the PSP will tell again.
        if self.is_known(id, callback.event_id).await? { Ok(taken) } else { Err(PaymentError::OutOfTurn) }
    }

    async fn is_known(&self, id: PaymentId, event: Uuid) -> Result<bool, PaymentError> {
        self.db
            .read(async |tx: &mut Tx<'_>| {
                store::by_id(tx, id).await?.ok_or(PaymentError::Unknown(id))?;
                Ok(store::is_posted(tx, event).await?)
            })
            .await
    }
}
