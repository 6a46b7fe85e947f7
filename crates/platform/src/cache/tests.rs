use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn cache(entries_max: usize, bytes_max: usize) -> Cache {
    Cache::in_memory(Clock::simulated(), Limits { entries_max, bytes_max })
}

fn check(cache: &Cache) {
    #[cfg_attr(not(feature = "engines"), expect(irrefutable_let_patterns, reason = "there is one floor"))]
    if let Floor::Memory(memory) = &cache.floor {
        lock(memory).check();
    }
}

async fn fresh(bytes_max: usize) -> (Cache, Clock) {
    let cache = cache(10, bytes_max);
    let clock = cache.clock;
    (cache, clock)
}

crate::cache_suite!(
    #[tokio::test(start_paused = true)]
    fresh
);

async fn get(cache: &Cache, key: &str) -> Option<String> {
    cache.get(key).await.unwrap().map(|value| String::from_utf8(value.to_vec()).unwrap())
}

async fn put(cache: &Cache, key: &str, value: &'static str) {
    cache.put(key, Bytes::from_static(value.as_bytes()), MINUTE).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_was_used_longest_ago_makes_room() {
    let cache = cache(3, 1_000);
    for key in ["a", "b", "c"] {
        put(&cache, key, "1").await;
    }
    get(&cache, "a").await;
    put(&cache, "d", "1").await;
    assert_eq!(get(&cache, "b").await, None);
    for key in ["a", "c", "d"] {
        assert!(get(&cache, key).await.is_some(), "{key}");
    }
    put(&cache, "c", "2").await;
    put(&cache, "e", "1").await;
    assert_eq!(get(&cache, "a").await, None, "`c` and `d` were used after it");
    check(&cache);
}

#[tokio::test(start_paused = true)]
async fn bytes_are_bounded_and_the_expired_go_before_the_used() {
    let cache = cache(10, 12);
    cache.put("a", Bytes::from_static(b"12345"), Duration::from_secs(1)).await.unwrap();
    put(&cache, "b", "12345").await;
    cache.clock.sleep(Duration::from_secs(1)).await;
    put(&cache, "c", "12345").await;
    assert!(get(&cache, "b").await.is_some() && get(&cache, "c").await.is_some());
    put(&cache, "d", "1234567890").await;
    assert_eq!((get(&cache, "b").await, get(&cache, "c").await), (None, None));
    check(&cache);
}

#[derive(Clone, Debug)]
enum Step {
    Get(u8),
    Put(u8, u64, usize),
    Invalidate(u8, u64),
    Remove(u8),
    Wait(i64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0_u8..6).prop_map(Step::Get),
        (0_u8..6, 0_u64..8, 0_usize..12).prop_map(|(key, version, size)| Step::Put(key, version, size)),
        (0_u8..6, 0_u64..8).prop_map(|(key, version)| Step::Invalidate(key, version)),
        (0_u8..6).prop_map(Step::Remove),
        (0_i64..40_000_000).prop_map(Step::Wait),
    ]
}

proptest! {
    /// Over any history the bounds hold, the books balance, and what is read for a key is never older than what was read before,
    /// unless it was gone in between.
    #[test]
    fn any_history_keeps_the_bounds_and_the_order_of_versions(steps in prop::collection::vec(step(), 1..120)) {
        let mut memory = memory::Memory::new(Limits { entries_max: 4, bytes_max: 30 });
        let mut now = crate::clock::SIMULATED_EPOCH;
        let mut seen: BTreeMap<u8, u8> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Get(key) => match memory.get(now, &key.to_string()) {
                    Some(value) => prop_assert!(seen.insert(key, value[0]).unwrap_or(0) <= value[0]),
                    None => drop(seen.remove(&key)),
                },
                Step::Put(key, version, size) => {
                    let mut value = vec![u8::try_from(version).unwrap()];
                    value.resize(1 + size, 0);
                    // Looked at before, so that an entry that went in between is known to be gone.
                    if memory.get(now, &key.to_string()).is_none() {
                        seen.remove(&key);
                    }
                    let _ = memory.put_if_newer(now, &key.to_string(), version, value.into(), MINUTE).unwrap();
                }
                Step::Invalidate(key, version) => memory.invalidate(now, &key.to_string(), version, MINUTE).unwrap(),
                Step::Remove(key) => memory.remove(&key.to_string()),
                Step::Wait(micros) => now = now.plus(Duration::from_micros(u64::try_from(micros).unwrap())),
            }
            memory.check();
        }
    }
}
