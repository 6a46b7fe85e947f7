//! What the system says about itself: numbers ([`metrics`]), lines ([`logs`]) and traces ([`traces`]), held together by the context
//! that travels with a request ([`context`]); and what it must not say ([`mask`]).
//!
//! Nothing here may reach a decision: a world with its telemetry off lives the same life.

pub mod context;
pub mod logs;
pub mod mask;
pub mod metrics;
pub mod traces;

pub use context::Context;
pub use metrics::{Metrics, ServiceMetrics};
pub use traces::Traces;
