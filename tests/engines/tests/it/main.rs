//! The ports over the real engines: the suite that the embedded floors pass, the same random operations against both, and what only a real
//! engine does: being away, being slow, coming back.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends at what it does not expect")]
#![expect(clippy::print_stderr, reason = "a test that cannot run here says so")]

mod apart;
mod blobs;
mod bus;
mod cache;
mod documents;
mod full;
mod limiter;
mod products;
mod replica;
mod schemas;
mod services;
mod sql;
mod stock;
mod tls;
mod world;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// How many operations both floors are given.
const OPERATIONS: usize = 10_000;

/// The same in every run; `SEED` in the environment for others.
fn seeded() -> (u64, ChaCha8Rng) {
    let seed = platform::settings::environment().find(|(name, _)| name == "SEED").and_then(|(_, value)| value.parse().ok()).unwrap_or(1);
    (seed, ChaCha8Rng::seed_from_u64(seed))
}
