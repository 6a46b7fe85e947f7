//! The data set: what a shop looks like on the morning before anything goes wrong, made from a seed and put into a system through its
//! public APIs. An outsider: it knows the contract only, so it works on a system in this process and on one far away alike.
//!
//! Everything is named by natural keys (e-mail, SKU, slug, coupon, session token), so a second run finds what is there and changes
//! nothing, and a run that was cut off is finished by the next one.
//!
//! Reading order: [`plan`] (what there shall be: pure), [`shop`] (how a system is spoken to), [`apply`] (the way in), [`manifest`] (what
//! came of it). [`testing`] is a scripted system for tests.

pub mod apply;
pub mod manifest;
pub mod plan;
pub mod shop;
pub mod testing;
pub mod zipf;

pub use apply::{SeedError, apply};
pub use manifest::{Directory, Kind, Manifest, Progress, Seeded};
pub use plan::{DataSet, plan};
pub use shop::{Answer, Call, HttpShop, Patient, Shop};
