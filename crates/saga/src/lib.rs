//! A saga: steps in other services that must all have happened in the end, or none of them. Each step is a call with a key, so that it
//! may be said again; after each its result, the service's own change and the next step are committed together. After a crash the row
//! says where to go on. What failed walks back: every step that may have had an effect is undone, the last one first.
//!
//! The saga knows nothing of what the steps do ([`Definition`] does); it keeps the row ([`row`]) and takes the steps ([`runner`]).
//!
//! What a definition must promise: `act` and `undo` may be run more than once for the same step and must then have one effect; `undo`
//! must be content when there is nothing to undo, because a step whose answer was lost is undone as well.

pub mod row;
pub mod runner;

use futures::future::{BoxFuture, LocalBoxFuture};
use platform::db::{DbError, Tx};
pub use row::migration;
pub use runner::Runner;
use serde::{Serialize, de::DeserializeOwned};
use types::{Timestamp, id::Uuid};

/// One kind of saga.
pub trait Definition: Send + Sync + 'static {
    /// What the steps learn and hand on.
    type Data: Serialize + DeserializeOwned + Clone + Send + Sync + 'static;

    /// In the order in which they are taken.
    fn steps(&self) -> &'static [&'static str];

    /// Takes a step. `run.key()` is the key to call with.
    fn act<'a>(&'a self, step: &'static str, run: &'a Run<Self::Data>) -> BoxFuture<'a, Outcome<Self::Data>>;

    /// Undoes a step, or finds that there is nothing to undo.
    fn undo<'a>(&'a self, step: &'static str, run: &'a Run<Self::Data>) -> BoxFuture<'a, Undone<Self::Data>>;

    /// The service's own change for a step that was taken, in the transaction that notes it.
    fn record<'a>(&'a self, tx: &'a mut Tx<'_>, step: &'static str, run: &'a Run<Self::Data>) -> LocalBoxFuture<'a, Result<(), DbError>>;

    /// The service's own change when everything was undone, in the transaction that ends the saga.
    fn unwound<'a>(&'a self, tx: &'a mut Tx<'_>, reason: &'a str, run: &'a Run<Self::Data>) -> LocalBoxFuture<'a, Result<(), DbError>>;
}

/// What a step sees of its saga.
#[derive(Clone, Debug)]
pub struct Run<D> {
    pub id: Uuid,
    pub data: D,
    /// How often this step has been tried before.
    pub attempt: u32,
    /// When the saga began.
    pub began_at: Timestamp,
    pub(crate) step: &'static str,
    pub(crate) undoing: bool,
}

impl<D> Run<D> {
    /// The key of this step of this saga, the same at every try. Undoing has its own.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}-{}{}", self.id, self.step, if self.undoing { "-undo" } else { "" })
    }
}

/// What became of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<D> {
    /// It happened; this is what is known now.
    Done(D),
    /// It goes on elsewhere: look again when told ([`Runner::wake`]), or at this moment. Keeps what is known so far.
    Wait(D, Timestamp),
    /// It did not happen and will not: walk back. With `and_this`, this step too may have had an effect.
    Refused { reason: String, and_this: bool },
    /// It is not known, or somebody is not there: try again a little later.
    Retry(String),
}

/// What became of undoing a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undone<D> {
    Done(D),
    /// It cannot be said yet: look again at this moment.
    Wait(D, Timestamp),
    Retry(String),
}

#[cfg(test)]
mod tests;
