//! New ids: UUIDv7 (RFC 9562), whose text sorts by the time it was made. Time and chance are the platform's, so a seed gives the
//! same ids again.

use std::sync::{Arc, Mutex, PoisonError};

use rand::Rng;
use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

use crate::{
    chance::{Chance, Stream},
    clock::Clock,
};

/// A maker of ids: one for each instance of a service.
#[derive(Clone, Debug)]
pub struct Ids {
    clock: Clock,
    stream: Arc<Mutex<Stream>>,
}

impl Ids {
    #[must_use]
    pub fn new(clock: Clock, chance: Chance, service: &str, instance: u32) -> Self {
        Self { clock, stream: Arc::new(Mutex::new(chance.stream(service, &instance.to_string(), "ids"))) }
    }

    /// The id of what has these names: the same wherever it is asked for.
    #[must_use]
    pub fn named(names: &[&str]) -> Uuid {
        let mut digest = Sha256::new();
        for name in names {
            digest.update((name.len() as u64).to_be_bytes());
            digest.update(name.as_bytes());
        }
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest.finalize()[..16]);
        Builder::from_custom_bytes(bytes).into_uuid()
    }

    /// A new id of any kind that is a UUID underneath.
    #[must_use]
    pub fn make<T: From<Uuid>>(&self) -> T {
        let now = self.clock.now().micros();
        let mut random = [0_u8; 10];
        self.stream.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(&mut random);
        // The first twelve bits behind the milliseconds are the microseconds within them (RFC 9562, 6.2, method 3).
        let [high, low] = u16::try_from(now.rem_euclid(1_000) * 4096 / 1_000).unwrap_or(0).to_be_bytes();
        random[0] = high;
        random[1] = low;
        Builder::from_unix_timestamp_millis(u64::try_from(now.div_euclid(1_000)).unwrap_or(0), &random).into_uuid().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_other_names_has_another_id() {
        assert_eq!(Ids::named(&["a", "bc"]), Ids::named(&["a", "bc"]));
        assert_ne!(Ids::named(&["a", "bc"]), Ids::named(&["ab", "c"]));
    }

    #[tokio::test(start_paused = true)]
    async fn ids_sort_by_time_and_repeat_by_seed() {
        let clock = Clock::simulated();
        let ids = |seed| Ids::new(clock, Chance::seeded(seed), "order", 0);
        let (a, b) = (ids(1), ids(1));
        let first: Uuid = a.make();
        assert_eq!(first, b.make::<Uuid>());
        assert_ne!(first, a.make::<Uuid>());
        assert_ne!(first, ids(2).make::<Uuid>());
        assert_eq!(first.get_version_num(), 7);
        clock.sleep(std::time::Duration::from_micros(1)).await;
        assert!(a.make::<Uuid>() > first);
    }
}
