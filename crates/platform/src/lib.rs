//! What every service stands on. A capability is a file; its embedded floor stands beside its port.
//!
//! Reading order: [`world`] (what the services share, and the two runtimes), [`service`] (what a service is), [`db`], [`event`], [`client`],
//! [`http`]; then the small ones: [`clock`], [`chance`], [`ids`], [`tasks`], [`fault`]. What stands behind the
//! ports in place of the embedded floors: [`engine`].

pub mod audit;
pub mod auth;
pub mod blob;
pub mod bus;
pub mod cache;
mod causes;
pub mod chance;
pub mod client;
pub mod clock;
pub mod consumer;
pub mod db;
pub mod engine;
pub mod event;
pub mod fault;
pub mod http;
pub mod idempotency;
pub mod ids;
pub mod lease;
pub mod limiter;
pub mod problem;
pub mod schema;
pub mod service;
pub mod settings;
pub mod tasks;
pub mod telemetry;
pub mod testing;
pub mod world;

pub use causes::with_causes;
pub use chance::Chance;
pub use clock::Clock;
pub use ids::Ids;
pub use settings::Settings;
pub use tasks::Tasks;
