//! What every cache keeps to, wherever it is: run over each floor by `cache_suite!`. `fresh` makes an empty one that takes entries of so many
//! bytes, with its clock.

#![expect(clippy::unwrap_used, reason = "a suite ends at what it does not expect")]

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;

use crate::{
    cache::{Cache, CacheError},
    clock::Clock,
};

const MINUTE: Duration = Duration::from_secs(60);

/// A test for each of the suite's promises: `cache_suite!(#[tokio::test] fresh)`.
#[macro_export]
macro_rules! cache_suite {
    (#[$test:meta] $fresh:path) => {
        $crate::port_suite!(
            #[$test] cache $fresh:
            what_one_instance_puts_another_gets_until_it_is_removed,
            a_value_expires_on_the_platforms_clock,
            what_does_not_fit_is_told_and_leaves_nothing_stale_behind,
            an_older_version_never_takes_the_place_of_a_newer,
            an_invalidation_removes_the_old_and_lets_only_the_new_in,
            typed_values_go_in_and_out_and_another_shape_is_an_error_to_ignore
        );
    };
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

pub async fn what_one_instance_puts_another_gets_until_it_is_removed(fresh: impl AsyncFn(usize) -> (Cache, Clock)) {
    let (one, _) = fresh(1_000).await;
    let other = one.clone();
    assert_eq!(get(&other, "a").await, None);
    put(&one, "a", "1").await;
    assert_eq!(get(&other, "a").await.as_deref(), Some("1"));
    put(&other, "a", "2").await;
    assert_eq!(get(&one, "a").await.as_deref(), Some("2"));
    one.remove("a").await.unwrap();
    one.remove("never there").await.unwrap();
    assert_eq!(get(&other, "a").await, None);
}

pub async fn a_value_expires_on_the_platforms_clock(fresh: impl AsyncFn(usize) -> (Cache, Clock)) {
    let (cache, clock) = fresh(1_000).await;
    put(&cache, "a", "1").await;
    clock.sleep(MINUTE - Duration::from_micros(1)).await;
    assert!(get(&cache, "a").await.is_some());
    clock.sleep(Duration::from_micros(1)).await;
    assert_eq!(get(&cache, "a").await, None, "reading it does not make it live longer");
    put(&cache, "b", "1").await;
    cache.put("b", Bytes::new(), Duration::ZERO).await.unwrap();
    assert_eq!(get(&cache, "b").await, None, "kept for no time at all");
}

pub async fn what_does_not_fit_is_told_and_leaves_nothing_stale_behind(fresh: impl AsyncFn(usize) -> (Cache, Clock)) {
    let (cache, _) = fresh(10).await;
    put(&cache, "a", "old").await;
    let refused = cache.put("a", Bytes::from_static(b"0123456789"), MINUTE).await;
    assert!(matches!(refused, Err(CacheError::TooLarge { size: 11, .. })));
    assert_eq!(get(&cache, "a").await, None);
    assert!(put_if_newer(&cache, 1, "old").await);
    assert!(cache.put_if_newer("cart", 2, Bytes::from_static(b"0123456789"), MINUTE).await.is_err());
    assert_eq!(get(&cache, "cart").await, None);
}

pub async fn an_older_version_never_takes_the_place_of_a_newer(fresh: impl AsyncFn(usize) -> (Cache, Clock)) {
    let (cache, clock) = fresh(1_000).await;
    assert!(put_if_newer(&cache, 2, "two").await);
    assert!(!put_if_newer(&cache, 1, "one").await, "a slow reader comes late");
    assert!(!put_if_newer(&cache, 2, "two again").await);
    assert_eq!(get(&cache, "cart").await.as_deref(), Some("two"));
    assert!(put_if_newer(&cache, 3, "three").await);
    assert_eq!(get(&cache, "cart").await.as_deref(), Some("three"));
    clock.sleep(MINUTE).await;
    assert!(put_if_newer(&cache, 1, "one").await, "what has expired is no longer remembered");
}

pub async fn an_invalidation_removes_the_old_and_lets_only_the_new_in(fresh: impl AsyncFn(usize) -> (Cache, Clock)) {
    let (cache, _) = fresh(1_000).await;
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
}

pub async fn typed_values_go_in_and_out_and_another_shape_is_an_error_to_ignore(fresh: impl AsyncFn(usize) -> (Cache, Clock)) {
    let (cache, _) = fresh(1_000).await;
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
