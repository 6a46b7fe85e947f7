use std::time::Duration;

use bytes::Bytes;
use engine_tests::{Server, clock, redis};
use platform::{
    Clock,
    cache::{Cache, CacheError, Limits},
    engine::Redis,
};
use rand::RngExt;

const MINUTE: Duration = Duration::from_secs(60);
/// Far less than anybody would call hanging, and far more than what the settings of these tests allow.
const SOON: Duration = Duration::from_secs(2);

async fn fresh(bytes_max: usize) -> (Cache, Clock) {
    let clock = clock();
    (Cache::in_redis(clock, Limits { entries_max: 10, bytes_max }, redis()), clock)
}

platform::cache_suite!(
    #[tokio::test]
    fresh
);

fn over(server: &Server) -> Cache {
    let redis = Redis::new(&server.settings(200)).unwrap();
    Cache::in_redis(Clock::real(), Limits { entries_max: 10, bytes_max: 1_000 }, redis)
}

async fn text(cache: &Cache, key: &str) -> Option<String> {
    cache.get(key).await.unwrap().map(|value| String::from_utf8(value.to_vec()).unwrap())
}

async fn newer(cache: &Cache, version: u64, value: &'static str) -> bool {
    cache.put_if_newer("customer::1", version, Bytes::from_static(value.as_bytes()), MINUTE).await.unwrap()
}

/// Asks until it answers again: how long that takes is Redis' business, and bounded here.
async fn until_back(cache: &Cache) {
    let began = Clock::real().now();
    while cache.get("is it there").await.is_err() {
        assert!(Clock::real().now().since(began) < Duration::from_secs(10), "it does not come back");
        Clock::real().sleep(Duration::from_millis(20)).await;
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Value(Option<Bytes>),
    Done,
    Let(bool),
    TooLarge(usize),
}

fn answer(result: Result<Answer, CacheError>) -> Answer {
    match result {
        Ok(answer) => answer,
        Err(CacheError::TooLarge { size, .. }) => Answer::TooLarge(size),
        Err(error) => panic!("{error:?}"),
    }
}

#[tokio::test]
async fn ten_thousand_operations_have_the_same_answers_in_memory_and_in_redis() {
    let (seed, mut chance) = crate::seeded();
    let clock = clock();
    let limits = Limits { entries_max: 1_000, bytes_max: 1_500 };
    // In memory there is room for all; one entry has the same bound on both.
    let memory = Cache::in_memory(clock, Limits { bytes_max: 1_000_000, ..limits });
    let engine = Cache::in_redis(clock, Limits { bytes_max: 1_000_000, ..limits }, redis());
    let (mut hits, mut refused) = (0, 0);
    for nth in 0..crate::OPERATIONS {
        let key = format!("customer::{}", chance.random_range(0..12));
        // Nothing ends by Redis' own clock while this runs, or it ends at once.
        let ttl = [Duration::ZERO, 5 * MINUTE, 5 * MINUTE, 10 * MINUTE, Duration::MAX][chance.random_range(0..5)];
        let version = [chance.random_range(0..20), u64::MAX - chance.random_range(0..3), 1 << 53, (1 << 53) + 1]
            [chance.random_range(0..12_usize).saturating_sub(8)];
        let value = Bytes::from(vec![u8::try_from(nth % 251).unwrap(); chance.random_range(0..40)]);
        let kind = chance.random_range(0..100);
        if kind < 5 {
            clock.sleep(Duration::from_micros(chance.random_range(0..400_000_000))).await;
        }
        let ask = async |cache: &Cache| {
            answer(match kind {
                0..45 => cache.get(&key).await.map(Answer::Value),
                45..70 => cache.put_if_newer(&key, version, value.clone(), ttl).await.map(Answer::Let),
                70..85 => cache.invalidate(&key, version, ttl).await.map(|()| Answer::Done),
                85..95 => cache.put(&key, value.clone(), ttl).await.map(|()| Answer::Done),
                _ => cache.remove(&key).await.map(|()| Answer::Done),
            })
        };
        let (here, there) = (ask(&memory).await, ask(&engine).await);
        assert_eq!(here, there, "operation {nth} of SEED={seed}: {kind} on {key}, version {version}, {ttl:?}");
        hits += usize::from(matches!(here, Answer::Value(Some(_))));
        refused += usize::from(matches!(here, Answer::Let(false)));
    }
    assert!(hits > 500 && refused > 500, "{hits} hits and {refused} refusals are too few to tell anything");
}

#[tokio::test]
async fn a_stale_reader_in_another_process_cannot_put_back_what_was_superseded() {
    let shared = engine_tests::redis_settings();
    let process = || Cache::in_redis(Clock::real(), Limits { entries_max: 10, bytes_max: 1_000 }, Redis::new(&shared).unwrap());
    let (writer, reader) = (process(), process());
    assert!(newer(&reader, 1, "one").await);
    // The reader has read version 1 from the store; then the writer changes the row.
    writer.invalidate("customer::1", 2, MINUTE).await.unwrap();
    assert!(!newer(&reader, 1, "one").await);
    assert_eq!(text(&reader, "customer::1").await, None);
    assert!(newer(&writer, 2, "two").await);
    assert!(!newer(&reader, 1, "one").await);
    assert_eq!(text(&reader, "customer::1").await.as_deref(), Some("two"));
    // Of many at once the newest stays, whatever the order.
    let all = (3..60).map(|version| {
        let cache = if version % 2 == 0 { writer.clone() } else { reader.clone() };
        async move { cache.put_if_newer("customer::1", version, Bytes::from(version.to_string()), MINUTE).await.unwrap() }
    });
    futures::future::join_all(all).await;
    assert_eq!(text(&reader, "customer::1").await.as_deref(), Some("59"));
}

#[tokio::test]
async fn a_redis_that_is_killed_is_an_error_soon_and_is_used_again_when_it_is_back() {
    let mut server = Server::start().await;
    let cache = over(&server);
    assert!(newer(&cache, 1, "one").await);
    server.kill();
    let began = Clock::real().now();
    for _ in 0..20 {
        assert!(matches!(cache.get("customer::1").await, Err(CacheError::Unavailable(_))));
    }
    assert!(cache.put("a", Bytes::new(), MINUTE).await.is_err() && cache.remove("a").await.is_err());
    let took = Clock::real().now().since(began);
    assert!(took < SOON, "22 calls to a Redis that is gone took {took:?}");
    server.restart().await;
    until_back(&cache).await;
    assert!(newer(&cache, 1, "one").await, "scripts are given to a server that does not know them");
    assert_eq!(text(&cache, "customer::1").await.as_deref(), Some("one"));
}

#[tokio::test]
async fn a_change_that_redis_did_not_hear_of_is_made_good_before_its_key_is_read_again() {
    let server = Server::start().await;
    let cache = over(&server);
    assert!(newer(&cache, 1, "one").await);
    cache.put("plain", Bytes::from_static(b"old"), MINUTE).await.unwrap();
    cache.put("gone", Bytes::from_static(b"old"), MINUTE).await.unwrap();
    // It keeps what it has, and answers nobody.
    assert_eq!(server.say("CLIENT PAUSE 1200 ALL"), "+OK");
    let began = Clock::real().now();
    assert!(cache.invalidate("customer::1", 2, MINUTE).await.is_err());
    assert!(cache.put("plain", Bytes::from_static(b"new"), MINUTE).await.is_err());
    assert!(cache.remove("gone").await.is_err());
    assert!(cache.get("customer::1").await.is_err());
    let took = Clock::real().now().since(began);
    assert!(took < Duration::from_millis(1_000), "four calls to a Redis that sleeps took {took:?}, with 200 ms for each");
    until_back(&cache).await;
    assert_eq!(text(&cache, "customer::1").await, None, "the old one is still there, but it is not read");
    assert!(!newer(&cache, 1, "one").await);
    assert!(newer(&cache, 2, "two").await);
    assert_eq!((text(&cache, "plain").await, text(&cache, "gone").await), (None, None));
}

#[tokio::test]
async fn what_a_command_is_refused_for_does_not_end_the_connection() {
    let server = Server::start().await;
    let cache = over(&server);
    cache.put("a", Bytes::from_static(b"1"), MINUTE).await.unwrap();
    assert_eq!(server.say("SET test:cache:strange text"), "+OK");
    assert!(matches!(cache.get("strange").await, Err(CacheError::Unavailable(_))), "a key of another type");
    assert_eq!(text(&cache, "a").await.as_deref(), Some("1"), "others are served at once");
    let wrong = platform::auth::Secret::new("redis://default:wrong@127.0.0.1:1/0").unwrap();
    let settings = platform::settings::RedisSettings { url: Some(wrong), ..server.settings(200) };
    let refused = Redis::new(&settings).unwrap().ping().await.unwrap_err();
    assert!(!format!("{refused} {refused:?} {settings:?}").contains("wrong"), "{refused:?}");
}

#[tokio::test]
async fn an_entry_leaves_redis_by_itself() {
    let server = Server::start().await;
    let cache = over(&server);
    cache.put("a", Bytes::from_static(b"1"), MINUTE).await.unwrap();
    cache.invalidate("b", 3, MINUTE).await.unwrap();
    for key in ["a", "b"] {
        let left: i64 = server.say(&format!("PTTL test:cache:{key}")).trim_start_matches(':').parse().unwrap();
        assert!((50_000..=60_000).contains(&left), "{left}");
    }
}
