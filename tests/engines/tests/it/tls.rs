use engine_tests::Server;
use platform::{engine::Redis, settings::RedisSettings};

#[tokio::test]
async fn redis_behind_tls_is_reached_with_its_authority_and_not_without() {
    let server = Server::start_tls().await;
    let settings = server.settings(5_000);
    Redis::new(&settings).unwrap().ping().await.unwrap();
    let unknown = Redis::new(&RedisSettings { ca_file: String::new(), ..settings.clone() }).unwrap();
    let refused = unknown.ping().await.unwrap_err().to_string();
    assert!(refused.contains("certificate") || refused.contains("Issuer"), "{refused}");
    let missing = Redis::new(&RedisSettings { ca_file: "/nowhere/ca.pem".into(), ..settings.clone() }).unwrap_err().to_string();
    assert!(missing.starts_with("`engines.redis.ca_file`: /nowhere/ca.pem cannot be read"), "{missing}");
    let plain = RedisSettings { url: Some(platform::auth::Secret::new("redis://localhost").unwrap()), ..settings };
    assert!(Redis::new(&plain).unwrap_err().to_string().contains("is for TLS"));
}
