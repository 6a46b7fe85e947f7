//! What the settings say of all services at once: the section `[platform]`.

use serde::Deserialize;

use crate::{db::Durability, settings::Section};

/// Who may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthMode {
    /// Anybody; only on loopback.
    Off,
    /// Whoever has a token for it.
    Jwt,
}

/// The section `[platform]` of the settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlatformSettings {
    /// What an answered write survives: `power` or `process`.
    pub durability: Durability,
    /// A request that takes longer is answered 503.
    pub request_timeout_ms: u64,
    /// A larger body is refused.
    pub max_body_bytes: usize,
    /// The secret of tokens (JWT, HS256) and of presigned URLs. Made anew for each data folder when left empty.
    pub signing_secret: String,
    /// How long an event stays in the log.
    pub event_retention_hours: u64,
    /// Whether requests need a token.
    pub auth: AuthMode,
    /// After so many calls in a row without an answer a caller leaves a service alone for two seconds.
    pub breaker_failures: u32,
    /// How many entries the cache keeps.
    pub cache_entries: usize,
    /// How many bytes it keeps at most.
    pub cache_bytes: usize,
}

impl Section for PlatformSettings {
    fn validate(&self) -> Result<(), String> {
        if self.request_timeout_ms == 0
            || self.max_body_bytes == 0
            || self.event_retention_hours == 0
            || self.cache_entries == 0
            || self.cache_bytes == 0
            || self.breaker_failures == 0
        {
            return Err("request_timeout_ms, max_body_bytes, event_retention_hours, breaker_failures, cache_entries and cache_bytes must be 1 or more".into());
        }
        Ok(())
    }
}
