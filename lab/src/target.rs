//! The lab is an outsider: whatever system it looks at, it looks through a [`Target`], as a user does (the gateway) and as an operator does
//! (the admin listener: audit exports, faults, rungs). There are two: a simulated world in this process ([`simulation`]) and a running
//! system somewhere ([`remote`]). No scenario and no check asks which one it has, except to know whether the clock is the wall's.

pub mod remote;
pub mod resting;
mod scrapes;
pub mod simulation;
pub mod still;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{HeaderMap, Method, StatusCode};
use platform::fault::Fault;
use serde_json::{Value as Json, json};
use types::Timestamp;

pub use self::{
    remote::Remote,
    resting::Resting,
    simulation::{Simulation, SimulationError},
    still::Still,
};
use crate::witness::Exchange;

/// Which clock a system lives by. Against the wall's clock nothing is precise, and what ran before is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockKind {
    Simulated,
    Wall,
}

impl ClockKind {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Simulated => "simulated",
            Self::Wall => "wall",
        }
    }
}

/// One request; a body makes it JSON.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: Method,
    pub path: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: Option<Json>,
}

impl Request {
    pub fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), headers: Vec::new(), body: None }
    }
    pub fn post(path: impl Into<String>, body: Json) -> Self {
        Self { method: Method::POST, path: path.into(), headers: Vec::new(), body: Some(body) }
    }
    pub fn put(path: impl Into<String>, body: Json) -> Self {
        Self { method: Method::PUT, path: path.into(), headers: Vec::new(), body: Some(body) }
    }
    pub fn delete(path: impl Into<String>) -> Self {
        Self { method: Method::DELETE, path: path.into(), headers: Vec::new(), body: None }
    }

    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Reply {
    /// The body as JSON; null when it is none.
    #[must_use]
    pub fn json(&self) -> Json {
        serde_json::from_slice(&self.body).unwrap_or(Json::Null)
    }

    /// The slug of a problem; empty when it is none.
    #[must_use]
    pub fn slug(&self) -> String {
        self.json()["type"].as_str().and_then(|uri| uri.rsplit([':', '/']).next()).unwrap_or_default().to_owned()
    }

    /// Itself, if the status says that it was done.
    pub fn done(self, request: &str) -> Result<Self, TargetError> {
        if self.status.is_success() {
            return Ok(self);
        }
        let told = self.json();
        let detail = [&told["title"], &told["detail"]].iter().filter_map(|text| text.as_str()).collect::<Vec<_>>().join(": ");
        Err(TargetError::Refused { request: request.to_owned(), status: self.status, slug: self.slug(), detail })
    }
}

/// Why the lab has no answer from a system, or not the one that it needs.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TargetError {
    #[error("{request} had no answer: {reason}. Is the system running, and is this its address?")]
    Unreachable { request: String, reason: String },
    #[error("{request} was answered {status} ({slug}) {detail}")]
    Refused { request: String, status: StatusCode, slug: String, detail: String },
    #[error("{request} was answered with what is not {expected}: {found}")]
    Unreadable { request: String, expected: &'static str, found: String },
    #[error("{0}")]
    NoAdmin(String),
}

impl TargetError {
    /// Whether the system says that it has no such thing.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::Refused { status, .. } if *status == StatusCode::NOT_FOUND)
    }
}

/// The facts of one collection and, first, what is known of all.
pub type Facts = Vec<Json>;

/// A system that the lab works on.
pub trait Target: Send + Sync {
    fn clock(&self) -> ClockKind;

    fn now(&self) -> Timestamp;

    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()>;

    /// A call of a user's, through the gateway.
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Reply, TargetError>>;

    /// A call of an operator's, through the admin listener.
    fn admin(&self, request: Request) -> BoxFuture<'_, Result<Reply, TargetError>>;

    /// What its users' calls were and how they were answered, where somebody writes that down ([`crate::witness::Recorded`]).
    fn witnessed(&self) -> Option<Vec<Arc<Exchange>>> {
        None
    }

    fn sleep_until(&self, moment: Timestamp) -> BoxFuture<'_, ()> {
        let left = moment.since(self.now());
        Box::pin(async move {
            if !left.is_zero() {
                self.sleep(left).await;
            }
        })
    }

    /// A call of a user's that must be done.
    fn must(&self, request: Request) -> BoxFuture<'_, Result<Json, TargetError>> {
        let name = request.name();
        Box::pin(async move { Ok(self.call(request).await?.done(&name)?.json()) })
    }

    /// The names of all audit collections.
    fn collections(&self) -> BoxFuture<'_, Result<Vec<String>, TargetError>> {
        Box::pin(async move {
            let told = self.admin(Request::get("/lab/audit")).await?.done("GET /lab/audit")?.json();
            let names = told["collections"].as_array().ok_or_else(|| TargetError::Unreadable {
                request: "GET /lab/audit".into(),
                expected: "a list of collections",
                found: shortened(&told.to_string()),
            })?;
            Ok(names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect())
        })
    }

    /// A collection as it is exported, over all services: a line of JSON for each fact.
    fn export<'a>(&'a self, collection: &'a str) -> BoxFuture<'a, Result<Bytes, TargetError>> {
        Box::pin(async move {
            let request = Request::get(format!("/lab/audit/{collection}"));
            let name = request.name();
            Ok(self.admin(request).await?.done(&name)?.body)
        })
    }

    /// Every fact of a collection, in the order in which the services tell them.
    fn facts<'a>(&'a self, collection: &'a str) -> BoxFuture<'a, Result<Facts, TargetError>> {
        Box::pin(async move {
            let body = self.export(collection).await?;
            let read = |line: &[u8]| {
                serde_json::from_slice(line).map_err(|_| TargetError::Unreadable {
                    request: format!("GET /lab/audit/{collection}"),
                    expected: "newline-delimited JSON",
                    found: shortened(&String::from_utf8_lossy(line)),
                })
            };
            lines_of(&body).map(read).collect()
        })
    }

    /// Puts every service that has a place on this ladder on a rung.
    fn set_rung<'a>(&'a self, scenario: &'a str, rung: &'a str) -> BoxFuture<'a, Result<(), TargetError>> {
        let request = Request::put(format!("/lab/rungs/{scenario}"), json!({"rung": rung}));
        Box::pin(async move {
            let name = request.name();
            self.admin(request).await?.done(&name).map(drop)
        })
    }

    fn set_fault<'a>(&'a self, point: &'a str, fault: &'a Fault) -> BoxFuture<'a, Result<(), TargetError>> {
        Box::pin(async move {
            let body = serde_json::to_value(fault).unwrap_or(Json::Null);
            let request = Request::put(format!("/lab/faults/{point}"), body);
            let name = request.name();
            self.admin(request).await?.done(&name).map(drop)
        })
    }

    /// Lifts the faults at a point, or all of them.
    fn clear_faults<'a>(&'a self, point: Option<&'a str>) -> BoxFuture<'a, Result<(), TargetError>> {
        let request = Request::delete(point.map_or_else(|| "/lab/faults".to_owned(), |point| format!("/lab/faults/{point}")));
        Box::pin(async move {
            let name = request.name();
            self.admin(request).await?.done(&name).map(drop)
        })
    }
}

/// The lines of an export.
pub(crate) fn lines_of(body: &[u8]) -> impl Iterator<Item = &[u8]> {
    body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
}

/// The beginning of a text that came from outside.
pub(crate) fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(120).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, body: &str) -> Reply {
        Reply { status: StatusCode::from_u16(status).unwrap(), headers: HeaderMap::new(), body: Bytes::from(body.to_owned()) }
    }

    #[test]
    fn a_refusal_names_the_request_and_what_was_said() {
        let refused =
            reply(409, r#"{"type":"urn:crashcart:problem:hold-expired","title":"The hold has ended","detail":"It ended at noon."}"#);
        assert_eq!(refused.slug(), "hold-expired");
        let error = refused.done("POST /inventory/claim").unwrap_err();
        assert_eq!(
            error.to_string(),
            "POST /inventory/claim was answered 409 Conflict (hold-expired) The hold has ended: It ended at noon."
        );
        assert!(!error.is_unknown());
        assert!(reply(404, "{}").done("GET /x").unwrap_err().is_unknown());
        assert!(reply(202, "{}").done("GET /x").is_ok());
    }

    #[test]
    fn a_text_from_outside_is_cut() {
        assert_eq!(shortened("short"), "short");
        assert_eq!(shortened(&"ä".repeat(200)).chars().count(), 121);
    }
}
