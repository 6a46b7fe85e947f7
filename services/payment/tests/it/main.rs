//! payment-service through its doors, with the mock provider behind it in the same simulated world.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what a test cannot go on without is a failed test")]

mod support;

mod books;
mod callbacks;
mod confirm;
mod credits;
mod faults;
mod money;
mod ownership;
mod random;
mod refunds;
mod requests;
mod silence;
