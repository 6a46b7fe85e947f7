//! Bugs of what lies between a client and the system: it answers for the system, or shows it as it was.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures::future::BoxFuture;
use http::{HeaderMap, Method, StatusCode};
use lab::target::{ClockKind, Reply, Request, Target, TargetError, simulation::Simulated};
use types::Timestamp;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// A checkout is acknowledged and reaches nobody.
    SwallowsCheckouts,
    /// A delivery of desks is acknowledged and reaches nobody.
    SwallowsStock,
    /// What was read once is shown again, whatever became of it.
    ShowsTheFirstState,
    /// Carts are shown as they were one change ago.
    LagsOneChange,
    /// An order is not found when it is looked for the second time.
    LosesOrders,
    /// An answer that is given again says nothing of where the thing is.
    ReplaysWithoutLocation,
    /// An answer that is given again has another body.
    ReplaysAnotherBody,
}

pub struct Tampered<'a> {
    target: &'a Simulated,
    bug: Option<Bug>,
    /// What was answered to each path, in order.
    answered: Mutex<BTreeMap<String, Vec<Reply>>>,
}

impl<'a> Tampered<'a> {
    pub fn new(target: &'a Simulated, bug: Option<Bug>) -> Self {
        Self { target, bug, answered: Mutex::default() }
    }

    /// What was answered to this path before.
    fn before(&self, path: &str) -> Vec<Reply> {
        self.answered.lock().unwrap_or_else(PoisonError::into_inner).get(path).cloned().unwrap_or_default()
    }

    async fn answer(&self, bug: Bug, request: Request) -> Result<Reply, TargetError> {
        let (path, reads) = (request.path.clone(), request.method == Method::GET);
        let before = self.before(&path);
        let reply = match bug {
            Bug::SwallowsCheckouts if path.ends_with("/checkout") => {
                reply(202, r#"{"cartId":"x","orderId":"019b8b45-0000-7000-8000-00000000dead","status":"PENDING"}"#)
            }
            Bug::SwallowsStock if path == "/inventory/adjust" && request.body.as_ref().is_some_and(|body| body["sku"] == "DESK") => {
                reply(200, r#"{"sku":"DESK","warehouses":[]}"#)
            }
            Bug::ShowsTheFirstState if reads && !before.is_empty() => before[0].clone(),
            Bug::LosesOrders if reads && path.starts_with("/orders/") && !before.is_empty() => reply(404, "{}"),
            _ => self.target.call(request).await?,
        };
        let mut shown = reply.clone();
        let is_replay = reply.headers.contains_key("idempotency-replayed");
        match bug {
            Bug::LagsOneChange if reads && path.starts_with("/carts/") => shown = before.last().cloned().unwrap_or(shown),
            Bug::ReplaysWithoutLocation if is_replay => drop(shown.headers.remove("location")),
            Bug::ReplaysAnotherBody if is_replay => shown.body = "{}".into(),
            _ => {}
        }
        self.answered.lock().unwrap_or_else(PoisonError::into_inner).entry(path).or_default().push(reply);
        Ok(shown)
    }
}

fn reply(status: u16, body: &'static str) -> Reply {
    Reply { status: StatusCode::from_u16(status).unwrap(), headers: HeaderMap::new(), body: body.into() }
}

impl Target for Tampered<'_> {
    fn clock(&self) -> ClockKind {
        self.target.clock()
    }
    fn now(&self) -> Timestamp {
        self.target.now()
    }
    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        self.target.sleep(duration)
    }
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Reply, TargetError>> {
        match self.bug {
            None => self.target.call(request),
            Some(bug) => Box::pin(self.answer(bug, request)),
        }
    }
    fn admin(&self, request: Request) -> BoxFuture<'_, Result<Reply, TargetError>> {
        self.target.admin(request)
    }
}
