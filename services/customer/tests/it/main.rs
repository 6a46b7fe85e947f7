//! customer-service in a simulated world, its neighbours order and cart scripted.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod cache;
mod erasure;
mod ownership;
mod privacy;
mod profiles;
mod real;
mod segments;
mod stage;
