use proptest::prelude::*;

use super::*;

const START: Timestamp = crate::clock::SIMULATED_EPOCH;

async fn fresh(bucket: Bucket) -> (Limiter, Clock) {
    let clock = Clock::simulated();
    (Limiter::in_memory(clock, bucket, 100), clock)
}

crate::limiter_suite!(
    #[tokio::test(start_paused = true)]
    fresh
);

fn shelf(capacity: u32, rate: u32, keys_max: usize) -> Shelf {
    Shelf { bucket: Bucket::new(capacity, rate).unwrap(), keys_max, levels: BTreeMap::new(), by_full: BTreeSet::new() }
}

fn after(micros: i64) -> Timestamp {
    Timestamp::from_micros(START.micros() + micros)
}

#[test]
fn the_number_of_keys_is_bounded_and_room_comes_back_when_a_bucket_is_full_again() {
    let mut shelf = shelf(10, 1, 2);
    assert!(shelf.take(START, "a", 5).unwrap().allowed);
    assert!(shelf.take(START, "b", 2).unwrap().allowed);
    let refused = shelf.take(START, "c", 1).unwrap();
    assert_eq!(refused, Taken { allowed: false, remaining: 0, retry_after: Duration::from_secs(2) });
    assert!(shelf.take(START, "a", 5).unwrap().allowed, "keys that have their bucket go on");
    assert!(!shelf.take(after(1_999_999), "c", 1).unwrap().allowed);
    assert!(shelf.take(after(2_000_000), "c", 1).unwrap().allowed);
    assert_eq!((shelf.levels.len(), shelf.by_full.len()), (2, 2));
}

#[test]
fn a_full_bucket_is_forgotten_and_a_long_rest_is_no_more_than_a_full_bucket() {
    let mut shelf = shelf(u32::MAX, u32::MAX, 2);
    assert!(shelf.take(START, "a", u32::MAX).unwrap().allowed);
    assert!(!shelf.take(START, "a", 1).unwrap().allowed);
    assert_eq!(shelf.take(Timestamp::from_micros(i64::MAX), "a", 0).unwrap().remaining, u32::MAX);
    assert!(shelf.levels.is_empty() && shelf.by_full.is_empty());
}

#[test]
fn a_clock_that_is_set_back_gives_nothing_and_the_flow_goes_on() {
    let mut shelf = shelf(1, 1, 2);
    assert!(shelf.take(after(3_600_000_000), "a", 1).unwrap().allowed);
    assert!(!shelf.take(START, "a", 1).unwrap().allowed);
    assert!(!shelf.take(after(999_999), "a", 1).unwrap().allowed);
    assert!(shelf.take(after(1_000_000), "a", 1).unwrap().allowed);
}

proptest! {
    /// The promise itself, for every stretch of every schedule, exactly.
    #[test]
    fn no_stretch_of_time_lets_more_pass_than_the_capacity_and_what_flowed_in(
        capacity in 1_u32..20,
        rate in 1_u32..3_000,
        keys_max in 1_usize..4,
        calls in prop::collection::vec((prop_oneof![0_i64..50, 0_i64..200_000, 0_i64..20_000_000], 0_usize..4, 0_u32..8), 1..80),
    ) {
        let mut shelf = shelf(capacity, rate, keys_max);
        let mut passed: Vec<Vec<(i64, u64)>> = vec![Vec::new(); 4];
        let mut now = 0;
        for (gap, key, tokens) in calls {
            now += gap;
            let name = key.to_string();
            let tokens = tokens.min(capacity);
            let taken = shelf.take(after(now), &name, tokens).unwrap();
            prop_assert!(shelf.levels.len() <= keys_max && shelf.levels.len() == shelf.by_full.len());
            if taken.allowed {
                prop_assert_eq!(taken.retry_after, Duration::ZERO);
                passed[key].push((now, u64::from(tokens)));
            } else if shelf.levels.contains_key(name.as_str()) {
                // The answer is exact too: then it would pass, a microsecond earlier it would not.
                let wait = i64::try_from(taken.retry_after.as_micros()).unwrap();
                let cost = u64::from(tokens) * SCALE;
                prop_assert!(shelf.parts(after(now + wait), &name) >= cost);
                prop_assert!(shelf.parts(after(now + wait - 1), &name) < cost);
            }
        }
        for times in passed {
            for from in 0..times.len() {
                let mut sum = 0;
                for (at, tokens) in &times[from..] {
                    sum += tokens;
                    let flowed = u64::try_from(at - times[from].0).unwrap() * u64::from(rate);
                    prop_assert!(sum * SCALE <= u64::from(capacity) * SCALE + flowed);
                }
            }
        }
    }

    /// The other side of the promise: whoever asks within the rate is never refused.
    #[test]
    fn whoever_keeps_to_the_rate_always_passes(capacity in 1_u32..5, rate in 1_u32..3_000, count in 1_u64..200) {
        let mut shelf = shelf(capacity, rate, 1);
        for nth in 0..count {
            let at = i64::try_from(nth * SCALE.div_ceil(u64::from(rate))).unwrap();
            prop_assert!(shelf.take(after(at), "a", 1).unwrap().allowed);
        }
    }
}
