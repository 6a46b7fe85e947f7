//! The stores under test: the product's own, driven step by step, with a model of what each step leaves.

mod database;
mod log;

use std::{fmt::Debug, future::Future, path::Path};

pub use database::{Database, Rows, Step as DatabaseStep};
pub use log::EventLog;
use platform::{Chance, Clock, chance::Stream, db::Durability, fault::Faults};

/// A store, opened in a folder.
pub trait Store: Sized {
    const NAME: &'static str;
    /// What the store holds, as a reader sees it.
    type State: Clone + Default + PartialEq + Debug;
    type Step: Debug;

    /// Opens it as the product does. The error says why it cannot be opened.
    fn open(folder: &Path, durability: Durability) -> Result<Self, String>;

    /// Draws a step that can be taken in this state; `is_large` for the few sessions that write enough to turn buffers over.
    fn draw(state: &Self::State, stream: &mut Stream, is_large: bool) -> Self::Step;

    /// What a step makes of a state: all of it, or nothing.
    fn after(state: &Self::State, step: &Self::Step) -> Self::State;

    /// Takes a step; returns once it is acknowledged.
    fn take(self, step: &Self::Step) -> Result<Self, String>;

    /// What it holds. The error tells of something that no state is: a gap, rubbish, an index that disagrees.
    fn state(&self) -> Result<Self::State, String>;

    /// Takes one more write, as a store that was recovered must.
    fn goes_on(&self) -> Result<(), String>;

    /// Closes it and waits until nothing of it is at work.
    fn close(self);
}

thread_local! {
    static RUNTIME: (tokio::runtime::Runtime, Clock) = {
        #[expect(clippy::expect_used, reason = "without a runtime there is no test")]
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
        let clock = runtime.block_on(async { Clock::simulated() });
        (runtime, clock)
    };
}

/// Runs work of the product's to its end.
fn run<T>(work: impl Future<Output = T>) -> T {
    RUNTIME.with(|(runtime, _)| runtime.block_on(work))
}

/// The one clock of all stores of a thread: it goes on from one opening to the next.
fn clock() -> Clock {
    RUNTIME.with(|(_, clock)| *clock)
}

/// None.
fn faults() -> Faults {
    Faults::new(clock(), Chance::seeded(1))
}

fn told(error: impl std::error::Error) -> String {
    platform::with_causes(&error)
}
