//! The composition root of Crashcart, and its command line.
//!
//! Reading order: [`registry`] (what can run), [`host`] (a running system: ports, drain), [`cli`] (every command and its options), then a
//! file for each command.

pub mod cli;
mod commands;
pub mod host;
mod output;
pub mod registry;
mod remote;
