//! Worlds at random: buyers over all services, faults at every point, crashes of services between any two steps; then everything is lifted and
//! must settle, and every invariant must hold. A seed is a world, always the same; a seed that fails is made smaller until nothing can be left
//! out of it, and told with the command that brings it back.
//!
//! Left out on purpose: messages that the log loses or hands out in another order. The log promises both, so a world in which it breaks its
//! promise shows nothing about the services; scenarios of their own do that.
//!
//! Reading order: [`plan`] (what a seed stands for), [`phases`] (one world from its beginning to its end), `shopper` (what a buyer does),
//! [`shrink`], [`campaign`].

pub mod campaign;
pub mod phases;
pub mod plan;
mod shopper;
pub mod shrink;

pub use self::{
    campaign::{Campaign, Report},
    phases::{Outcome, run},
    plan::{Plan, Shape},
};
