use std::time::Duration;

use engine_tests::{Server, clock, redis, redis_settings};
use futures::future::join_all;
use platform::{
    Clock,
    engine::Redis,
    limiter::{Bucket, Limiter, LimiterError},
};
use rand::RngExt;

async fn fresh(bucket: Bucket) -> (Limiter, Clock) {
    let clock = clock();
    (Limiter::in_redis(clock, "suite", bucket, redis()), clock)
}

platform::limiter_suite!(
    #[tokio::test]
    fresh
);

#[tokio::test]
async fn ten_thousand_calls_have_the_same_answers_in_memory_and_in_redis() {
    let (seed, mut chance) = crate::seeded();
    let clock = clock();
    let redis = redis();
    let mut refused = 0;
    // Small ones, uneven rates, and the largest there is.
    for (nth, (capacity, rate)) in [(5, 1), (100, 7), (1, 3), (20, 1_000), (u32::MAX, u32::MAX - 2)].into_iter().enumerate() {
        let bucket = Bucket::new(capacity, rate).unwrap();
        let memory = Limiter::in_memory(clock, bucket, 1_000);
        let engine = Limiter::in_redis(clock, &format!("bucket {nth}"), bucket, redis.clone());
        for call in 0..crate::OPERATIONS / 5 {
            let key = chance.random_range(0..4).to_string();
            let fill = u64::from(capacity) * 1_000_000 / u64::from(rate);
            match chance.random_range(0..10) {
                0..5 => clock.sleep(Duration::from_micros(chance.random_range(0..fill / 4 + 2))).await,
                5 => clock.sleep(Duration::from_micros(chance.random_range(0..2 * fill + 2))).await,
                _ => {}
            }
            let tokens = chance.random_range(0..=capacity);
            let (here, there) = (memory.take(&key, tokens).await.unwrap(), engine.take(&key, tokens).await.unwrap());
            assert_eq!(here, there, "call {call} of SEED={seed}: {tokens} of {bucket:?}");
            refused += usize::from(!here.allowed);
        }
    }
    assert!(refused > 1_000, "{refused} refusals are too few to tell anything");
}

#[tokio::test]
async fn two_limiters_over_one_redis_let_no_more_pass_than_one_bucket_holds() {
    let shared = redis_settings();
    // One token in more than an hour: whatever passes is of the capacity.
    let bucket = Bucket::new(100, 1).unwrap();
    let began = Clock::real().now();
    let limiters: Vec<_> = (0..4).map(|_| Limiter::in_redis(Clock::real(), "door", bucket, Redis::new(&shared).unwrap())).collect();
    let calls = (0..400).map(|nth| {
        let limiter = limiters[nth % 4].clone();
        async move { limiter.take("customer", 1).await.unwrap().allowed }
    });
    let passed = join_all(calls).await.into_iter().filter(|allowed| *allowed).count();
    let flowed = usize::try_from(Clock::real().now().since(began).as_secs()).unwrap() + 1;
    assert!((100..=100 + flowed).contains(&passed), "{passed} passed in {flowed} s");
    let other = Limiter::in_redis(Clock::real(), "window", bucket, Redis::new(&shared).unwrap());
    assert!(other.take("customer", 100).await.unwrap().allowed, "another limiter has its own buckets");
}

#[tokio::test]
async fn a_limiter_without_its_redis_says_so_soon_and_goes_on_when_it_is_back() {
    let mut server = Server::start().await;
    let limiter = Limiter::in_redis(Clock::real(), "door", Bucket::new(2, 1).unwrap(), Redis::new(&server.settings(200)).unwrap());
    assert!(limiter.take("a", 2).await.unwrap().allowed);
    server.kill();
    let began = Clock::real().now();
    for _ in 0..10 {
        assert!(matches!(limiter.take("a", 1).await, Err(LimiterError::Unavailable(_))));
    }
    assert!(Clock::real().now().since(began) < Duration::from_secs(2));
    server.restart().await;
    while limiter.take("a", 0).await.is_err() {
        assert!(Clock::real().now().since(began) < Duration::from_secs(20), "it does not come back");
        Clock::real().sleep(Duration::from_millis(20)).await;
    }
    assert!(limiter.take("a", 2).await.unwrap().allowed, "a Redis that keeps no file has forgotten the bucket");
}

#[tokio::test]
async fn a_bucket_leaves_redis_once_it_is_full_again() {
    let server = Server::start().await;
    let limiter = Limiter::in_redis(Clock::real(), "door", Bucket::new(10, 1).unwrap(), Redis::new(&server.settings(2_000)).unwrap());
    limiter.take("a", 10).await.unwrap();
    let left: i64 = server.say("PTTL test:limiter:door:a").trim_start_matches(':').parse().unwrap();
    assert!((60_000..=70_001).contains(&left), "{left}");
}
