//! The payment service provider as the shop sees it: a mock of the outside world with a store and a truth of its own. Nothing here is
//! specific to Crashcart; a real provider has the same calls under other names.

pub mod client;

pub use client::Psp;
use serde::{Deserialize, Serialize};
use types::{Money, ShortText, Sku, Timestamp, id::Uuid};
use utoipa::{IntoParams, ToSchema};

types::words! {
    /// What became of an authorization.
    AuthorizationStatus {
        Processing = "PROCESSING",
        Authorized = "AUTHORIZED",
        Declined = "DECLINED",
        Captured = "CAPTURED",
        Voided = "VOIDED",
    }
}

/// Every call carries the merchant's reference and an `Idempotency-Key`. The same key gets the same answer, for good; a key that was
/// used for something else is refused with 422.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Authorize {
    /// What the merchant calls it; it can be asked for by this name.
    pub merchant_reference: ShortText,
    pub amount: Money,
    /// Decides what happens; see the README of psp.
    pub token: Sku,
    /// Take the money at once.
    #[serde(default)]
    pub capture: bool,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Amount {
    /// The whole when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Money>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Authorization {
    pub id: Uuid,
    pub merchant_reference: String,
    pub amount: Money,
    pub captured: Money,
    pub refunded: Money,
    pub status: AuthorizationStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decline_code: Option<String>,
    /// The provider's event that told the state last; a callback about the same step carries the same id.
    pub last_event: Option<PspEvent>,
    /// Everything the provider has told of it, the oldest first: who has missed a callback finds it here.
    #[serde(default)]
    pub events: Vec<PspEvent>,
    pub created_at: Timestamp,
}

#[derive(Clone, Debug, Deserialize, Serialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ByReference {
    pub merchant_reference: String,
}

types::words! {
    /// What a callback tells.
    PspEventType {
        Authorized = "authorization.succeeded",
        Declined = "authorization.declined",
        Captured = "capture.succeeded",
        Voided = "authorization.voided",
        Refunded = "refund.succeeded",
    }
}

/// What the provider tells: in the answer to a call, in a callback, or both; `event_id` says whether it is the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PspEvent {
    pub event_id: Uuid,
    /// The merchant's reference: for our shop, the payment's id.
    pub payment_id: String,
    pub authorization_id: Uuid,
    #[serde(rename = "type")]
    pub kind: PspEventType,
    pub amount: Money,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decline_code: Option<String>,
    /// The `Idempotency-Key` of the call that brought it about: tells one refund from another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_key: Option<String>,
    pub at: Timestamp,
}

/// The header that signs a callback: `t=UNIX,v1=HEX`, HMAC-SHA256 of `t.body`.
pub const SIGNATURE_HEADER: &str = "psp-signature";
