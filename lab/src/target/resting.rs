//! A stopped system as a target: its stores are opened, nothing runs in it. It has no gateway; its facts are read through the same exports
//! as those of a running one.

use std::time::Duration;

use futures::future::BoxFuture;
use platform::{
    Clock,
    world::{World, admin, folder::Held},
};
use types::Timestamp;

use super::{ClockKind, Reply, Request, Target, TargetError, simulation::through};

/// Holds the data folder for as long as it is looked at.
#[derive(Debug)]
pub struct Resting {
    world: World,
    _held: Held,
}

impl Resting {
    #[must_use]
    pub const fn new(world: World, held: Held) -> Self {
        Self { world, _held: held }
    }
}

impl Target for Resting {
    /// Nothing changes any more: one reading is exact.
    fn clock(&self) -> ClockKind {
        ClockKind::Simulated
    }
    fn now(&self) -> Timestamp {
        Clock::real().now()
    }
    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        Box::pin(async move { Clock::real().sleep(duration).await })
    }
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Reply, TargetError>> {
        Box::pin(async move {
            Err(TargetError::Unreachable { request: request.path, reason: "the system is stopped; only its facts can be read".into() })
        })
    }
    fn admin(&self, request: Request) -> BoxFuture<'_, Result<Reply, TargetError>> {
        Box::pin(through(admin::open_router(&self.world), request))
    }
}
