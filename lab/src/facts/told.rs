//! What services tell each other and their clients: events on their way from the outbox to the inbox, schemas, and answers that are kept.

use serde::Deserialize;
use types::Timestamp;

/// An event that a service has committed and its relay is to publish.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Committed {
    pub seq: i64,
    pub at: Timestamp,
    pub service: String,
    pub id: String,
    pub topic: String,
    pub key: String,
    /// PENDING, SENT
    pub status: String,
}

/// A service's note that it has taken an event.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Noted {
    pub seq: i64,
    pub at: Timestamp,
    pub service: String,
    /// The topic that it listens to.
    pub consumer: String,
    pub id: String,
    pub key: String,
    /// It told of an older version than what was known, and had no effect.
    #[serde(default)]
    pub passed_over: bool,
}

/// An event as it lies in the log.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Published {
    pub at: Timestamp,
    pub id: Option<String>,
    pub topic: String,
    pub partition: u32,
    pub offset: u64,
    pub key: String,
    /// Base64.
    pub value: String,
    /// Of a dead letter: the group that could not take it.
    pub group: Option<String>,
}

/// How far a group has read a partition.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Reading {
    /// `SERVICE-TOPIC`.
    pub group: String,
    pub topic: String,
    pub partition: u32,
    pub committed: u64,
}

/// A key whose events a group leaves lie.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct ParkedKey {
    pub group: String,
    pub topic: String,
    pub key: String,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Schema {
    pub subject: String,
    pub version: u32,
    pub id: u32,
    /// Its text.
    pub schema: String,
}

/// An answer that a service keeps to give it again.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct KeptAnswer {
    pub at: Timestamp,
    pub service: String,
    /// Digest of the key.
    pub id: String,
    /// `POST /carts/…/checkout`
    pub endpoint: String,
    /// None while the first request is at work.
    pub status: Option<u16>,
    pub location: Option<String>,
    pub etag: Option<String>,
    /// Digest of the answer's body.
    pub answer: Option<String>,
}
