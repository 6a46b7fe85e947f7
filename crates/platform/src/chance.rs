//! Chance, the one way to it. Every draw comes from a stream that is named by who draws, for what and why: (seed, service, entity,
//! purpose). So taking one draw away, in a twin of a scenario, changes no other; with one shared generator it would change them all.
//! In the real world the seed is the machine's randomness; everything else is the same.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

/// A stream of random numbers, the same on every platform and in every build for the same name.
pub type Stream = ChaCha8Rng;

#[derive(Clone, Copy, Debug)]
pub struct Chance {
    seed: u64,
}

impl Chance {
    #[must_use]
    pub const fn seeded(seed: u64) -> Self {
        Self { seed }
    }

    /// Seeded by the operating system.
    pub fn real() -> Result<Self, rand::rngs::SysError> {
        use rand::TryRng;
        rand::rngs::SysRng.try_next_u64().map(|seed| Self { seed })
    }

    #[must_use]
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    /// The stream of this name, from its beginning.
    #[must_use]
    pub fn stream(&self, service: &str, entity: &str, purpose: &str) -> Stream {
        let mut name = Sha256::new_with_prefix(self.seed.to_le_bytes());
        for part in [service, entity, purpose] {
            name.update((part.len() as u64).to_le_bytes());
            name.update(part);
        }
        Stream::from_seed(name.finalize().into())
    }

    /// Chance of its own under this name: its streams are other ones than these.
    #[must_use]
    pub fn branch(&self, service: &str, entity: &str, purpose: &str) -> Self {
        Self::seeded(self.stream(service, entity, purpose).next_u64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_stream() {
        let chance = Chance::seeded(42);
        let draw = |service, entity, purpose| chance.stream(service, entity, purpose).next_u64();
        assert_eq!(draw("psp", "pay-1", "latency"), draw("psp", "pay-1", "latency"));
        assert_ne!(draw("psp", "pay-1", "latency"), draw("psp", "pay-2", "latency"));
        assert_ne!(draw("ps", "ppay-1", "latency"), draw("psp", "pay-1", "latency"));
        assert_ne!(draw("psp", "pay-1", "latency"), Chance::seeded(43).stream("psp", "pay-1", "latency").next_u64());
        let branch = |purpose| chance.branch("psp", "0", purpose).stream("psp", "pay-1", "latency").next_u64();
        assert_eq!(branch("start 1"), branch("start 1"));
        assert_ne!(branch("start 1"), branch("start 2"));
        assert_ne!(branch("start 1"), draw("psp", "pay-1", "latency"));
    }
}
