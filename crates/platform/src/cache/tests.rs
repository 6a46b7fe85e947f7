use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn cache(entries_max: usize, bytes_max: usize) -> Cache {
    Cache::in_memory(Clock::simulated(), Limits { entries_max, bytes_max })
}

async fn get(cache: &Cache, key: &str) -> Option<String> {
    cache.get(key).await.unwrap().map(|value| String::from_utf8(value.to_vec()).unwrap())
}

async fn put(cache: &Cache, key: &str, value: &'static str) {
    cache.put(key, Bytes::from_static(value.as_bytes()), MINUTE).await.unwrap();
}

async fn put_if_newer(cache: &Cache, version: u64, value: &'static str) -> bool {
    cache.put_if_newer("cart", version, Bytes::from_static(value.as_bytes()), MINUTE).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_one_instance_puts_another_gets_until_it_is_removed() {
    let one = cache(10, 1_000);
    let other = one.clone();
    assert_eq!(get(&other, "a").await, None);
    put(&one, "a", "1").await;
    assert_eq!(get(&other, "a").await.as_deref(), Some("1"));
    put(&other, "a", "2").await;
    assert_eq!(get(&one, "a").await.as_deref(), Some("2"));
    one.remove("a").await.unwrap();
    one.remove("never there").await.unwrap();
    assert_eq!(get(&other, "a").await, None);
    one.lock().check();
}

#[tokio::test(start_paused = true)]
async fn a_value_expires_on_the_platforms_clock() {
    let cache = cache(10, 1_000);
    put(&cache, "a", "1").await;
    cache.clock.sleep(MINUTE - Duration::from_micros(1)).await;
    assert!(get(&cache, "a").await.is_some());
    cache.clock.sleep(Duration::from_micros(1)).await;
    assert_eq!(get(&cache, "a").await, None, "reading it does not make it live longer");
    put(&cache, "b", "1").await;
    cache.put("b", Bytes::new(), Duration::ZERO).await.unwrap();
    assert_eq!(get(&cache, "b").await, None, "kept for no time at all");
    cache.lock().check();
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
    cache.lock().check();
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
    cache.lock().check();
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_is_told_and_leaves_nothing_stale_behind() {
    let cache = cache(10, 10);
    put(&cache, "a", "old").await;
    let refused = cache.put("a", Bytes::from_static(b"0123456789"), MINUTE).await;
    assert!(matches!(refused, Err(CacheError::TooLarge { size: 11, .. })));
    assert_eq!(get(&cache, "a").await, None);
    assert!(put_if_newer(&cache, 1, "old").await);
    assert!(cache.put_if_newer("cart", 2, Bytes::from_static(b"0123456789"), MINUTE).await.is_err());
    assert_eq!(get(&cache, "cart").await, None);
    cache.lock().check();
}

#[tokio::test(start_paused = true)]
async fn an_older_version_never_takes_the_place_of_a_newer() {
    let cache = cache(10, 1_000);
    assert!(put_if_newer(&cache, 2, "two").await);
    assert!(!put_if_newer(&cache, 1, "one").await, "a slow reader comes late");
    assert!(!put_if_newer(&cache, 2, "two again").await);
    assert_eq!(get(&cache, "cart").await.as_deref(), Some("two"));
    assert!(put_if_newer(&cache, 3, "three").await);
    assert_eq!(get(&cache, "cart").await.as_deref(), Some("three"));
    cache.clock.sleep(MINUTE).await;
    assert!(put_if_newer(&cache, 1, "one").await, "what has expired is no longer remembered");
}

#[tokio::test(start_paused = true)]
async fn an_invalidation_removes_the_old_and_lets_only_the_new_in() {
    let cache = cache(10, 1_000);
    put_if_newer(&cache, 1, "one").await;
    cache.invalidate("cart", 2, MINUTE).await.unwrap();
    assert_eq!(get(&cache, "cart").await, None);
    assert!(!put_if_newer(&cache, 1, "one").await);
    assert!(put_if_newer(&cache, 2, "two").await, "the version it waits for");
    cache.invalidate("cart", 2, MINUTE).await.unwrap();
    cache.invalidate("cart", 1, MINUTE).await.unwrap();
    assert_eq!(get(&cache, "cart").await.as_deref(), Some("two"), "an invalidation that comes late does no harm");
    cache.invalidate("cart", 5, MINUTE).await.unwrap();
    cache.invalidate("cart", 4, MINUTE).await.unwrap();
    assert!(!put_if_newer(&cache, 4, "four").await, "nor does one weaken another");
    cache.lock().check();
}

#[tokio::test(start_paused = true)]
async fn typed_values_go_in_and_out_and_another_shape_is_an_error_to_ignore() {
    let cache = cache(10, 1_000);
    let totals = BTreeMap::from([("EUR".to_owned(), 1_999_u64)]);
    cache.put_json("a", &totals, MINUTE).await.unwrap();
    assert_eq!(cache.get_json("a").await.unwrap(), Some(totals.clone()));
    assert_eq!(cache.get_json::<u64>("nothing").await.unwrap(), None);
    let strange = cache.get_json::<Vec<String>>("a").await;
    assert!(matches!(strange, Err(CacheError::Json { ref key, .. }) if key == "a"));
    assert!(cache.put_json_if_newer("b", 2, &2, MINUTE).await.unwrap());
    assert!(!cache.put_json_if_newer("b", 1, &1, MINUTE).await.unwrap());
    assert_eq!(cache.get_json("b").await.unwrap(), Some(2));
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
