//! A file for each command.

pub mod api;
pub mod bundle;
pub mod checkout;
pub mod crash;
pub mod demo;
pub mod events;
pub mod fault;
pub mod health;
pub mod load;
pub mod scenario;
pub mod seed;
pub mod settings;
pub mod simulate;
pub mod token;
pub mod up;
pub mod verify;
