use engine_tests::{s3_settings, settings, unique};
use platform::{Settings, engine::Engines, settings::DEFAULTS, telemetry::traces::Traces, world::World};

/// What the machine of the tests has, used by every store.
fn used() -> Settings {
    let settings = settings().with("engines.s3.bucket", unique("world")).unwrap();
    let settings = settings.with("engines.redis.prefix", unique("world")).unwrap();
    [("stores.cache", "redis"), ("stores.limiter", "redis"), ("stores.blobs", "s3")]
        .into_iter()
        .fold(settings, |settings, (path, value)| settings.with(path, value).unwrap())
}

#[tokio::test]
async fn the_file_that_names_the_engines_is_taken_and_uses_none_by_itself() {
    let stores = settings().stores().unwrap();
    assert_eq!(stores.cache, platform::settings::Shelf::Memory);
    Engines::check(&settings()).unwrap();
    Engines::check(&used()).unwrap();
    let printed = used().printable();
    for secret in [settings().engines().unwrap().s3.secret_key.unwrap().expose(), s3_settings().access_key.unwrap().expose()] {
        assert!(
            !printed.lines().filter(|line| !line.starts_with("bucket")).any(|line| line.contains(&format!("\"{secret}\""))),
            "{secret}"
        );
    }
}

#[tokio::test]
async fn what_is_asked_for_and_not_told_where_is_one_sentence() {
    for (setting, key) in
        [("stores.cache", "engines.redis.url"), ("stores.limiter", "engines.redis.url"), ("stores.blobs", "engines.s3.endpoint")]
    {
        let engine = if setting == "stores.blobs" { "s3" } else { "redis" };
        let settings = Settings::load(DEFAULTS, None, std::iter::empty()).unwrap().with(setting, engine).unwrap();
        let refused = Engines::check(&settings).unwrap_err().to_string();
        assert_eq!(refused, format!("`{setting}` is \"{engine}\", but `{key}` is empty: say there how it is reached"));
    }
}

#[tokio::test]
async fn a_real_world_stands_on_the_engines_that_its_settings_name() {
    let folder = tempfile::tempdir().unwrap();
    World::real(used(), folder.path(), Traces::off()).unwrap();
    assert!(!folder.path().join("blobs").exists(), "no objects in the data folder");
}
