//! The settings of catalog-service, section `[catalog]`, and its place on the ladder of the catalog-drift scenario.

use platform::{
    blob::{OBJECT_MAX_BYTES, PRESIGN_MAX},
    settings::Section,
};
use serde::Deserialize;

/// The scenario on whose ladder these settings stand.
pub const DRIFT: &str = "catalog-drift";

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Whether the change feed holds each document to the shape that this service writes: one that drifted is kept apart (R1). Without,
    /// it is published as it is (R0).
    pub validate_feed: bool,
    /// How many changes are published in one transaction.
    pub feed_batch: u32,
    /// How long at most until the feed is looked at though nobody rang: changes that were written past this service.
    pub feed_look_seconds: u64,
    /// The largest file of a medium, in bytes.
    pub media_max_bytes: u64,
    /// How long a signed upload URL is good.
    pub upload_url_seconds: u64,
    /// How long a signed download URL is good.
    pub download_url_seconds: u64,
    /// What clients reach this system under, for signed URLs; the request's own `Host` when empty.
    pub public_url: String,
    /// How deep a GraphQL query may be.
    pub graphql_max_depth: usize,
    /// How much a GraphQL query may ask: the number of its fields, times the items of each list they stand in.
    pub graphql_max_complexity: usize,
}

impl Section for Config {
    fn validate(&self) -> Result<(), String> {
        if self.feed_batch == 0 || self.feed_batch > 1_000 {
            return Err("feed_batch must be from 1 to 1000".into());
        }
        if self.feed_look_seconds == 0 {
            return Err("feed_look_seconds must be 1 or more".into());
        }
        if self.media_max_bytes == 0 || self.media_max_bytes > OBJECT_MAX_BYTES {
            return Err(format!("media_max_bytes must be from 1 to {OBJECT_MAX_BYTES}"));
        }
        for (name, seconds) in [("upload_url_seconds", self.upload_url_seconds), ("download_url_seconds", self.download_url_seconds)] {
            if seconds == 0 || seconds > PRESIGN_MAX.as_secs() {
                return Err(format!("{name} must be from 1 to {}", PRESIGN_MAX.as_secs()));
            }
        }
        if !self.public_url.is_empty() && !self.public_url.starts_with("http://") && !self.public_url.starts_with("https://") {
            return Err("public_url must be empty or begin with http:// or https://".into());
        }
        if self.graphql_max_depth == 0 || self.graphql_max_complexity == 0 {
            return Err("graphql_max_depth and graphql_max_complexity must be 1 or more".into());
        }
        Ok(())
    }
}

impl Config {
    /// Takes a rung of the catalog-drift ladder. R0 is this service's honest older behaviour.
    pub fn stand_on(&mut self, rung: &str) -> Result<(), String> {
        self.validate_feed = match rung {
            "R0" => false,
            "R1" => true,
            other => return Err(format!("`{other}` is no rung of {DRIFT}; there are R0, R1")),
        };
        Ok(())
    }
}
