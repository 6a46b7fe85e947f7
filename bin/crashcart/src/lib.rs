//! The composition root of Crashcart, and its command line.
//!
//! Reading order: [`registry`] (what can run), [`parts`] (what of it one process has), [`host`] (a running system: ports, drain), [`cli`] (every command and its options), then a
//! file for each command.

pub mod cli;
mod commands;
pub mod host;
mod output;
pub mod parts;
pub mod registry;
mod remote;

/// An order makes thousands of small allocations on a handful of threads; the system's allocator took a fifth of its CPU.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
