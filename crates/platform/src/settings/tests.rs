use std::path::PathBuf;

use serde::Deserialize;

use super::*;

const DEFAULTS: &str = r#"
# What every service shares.
[platform]
log_level = "info"

# Where another service is reached; empty is in this process.
[calls]
order = ""
inventory = ""

[order]
redis_url = ""
# How often a step is tried again.
attempts = 3
strict = true
factor = 1.5

[order.retry]
pause_ms = 100

[inventory]
redis_url = ""
# How long a hold lasts.
reservation_ttl_seconds = 900
regions = ["eu", "us"]
api_key = ""
"#;

fn load(file: Option<&Path>, env: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    Settings::load(DEFAULTS, file, env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("crashcart.toml");
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

fn mistake(text: &str) -> String {
    let (_folder, path) = file(text);
    let message = load(Some(&path), &[]).unwrap_err().to_string();
    message.replace(&path.display().to_string(), "FILE")
}

fn env_mistake(name: &str, value: &str) -> String {
    load(None, &[(name, value)]).unwrap_err().to_string()
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Inventory {
    redis_url: String,
    reservation_ttl_seconds: u64,
    regions: Vec<String>,
    api_key: String,
}

impl Section for Inventory {
    fn validate(&self) -> Result<(), String> {
        let right = (1..=86_400).contains(&self.reservation_ttl_seconds);
        right.then_some(()).ok_or_else(|| "`reservation_ttl_seconds` must be from 1 to 86400".to_owned())
    }
}

#[derive(Debug, Deserialize)]
struct Order {
    redis_url: String,
    attempts: u32,
    strict: bool,
    factor: f64,
    retry: Retry,
}

#[derive(Debug, Deserialize)]
struct Retry {
    pause_ms: u64,
}

#[test]
fn later_layers_win_and_say_so() {
    let (folder, path) = file("[order]\nattempts = 4\nfactor = 2\nretry.pause_ms = 5\n[inventory]\nreservation_ttl_seconds = 60\n");
    let dot_env = "# ours\nexport CRASHCART_ORDER__ATTEMPTS=5 # five\nCRASHCART_ORDER__STRICT='false'\nPATH_OF_OTHERS=x\n\nSERVICE_REDIS_URL=\"redis://dot\"\n";
    std::fs::write(folder.path().join(".env"), dot_env).unwrap();
    let env = [
        ("CRASHCART_ORDER__ATTEMPTS", "6"),
        ("SERVICE_REDIS_URL", "redis://all"),
        ("CRASHCART_INVENTORY__REDIS_URL", "redis://own"),
        ("HOME", "/"),
    ];
    let settings = load(Some(&path), &env).unwrap();
    let order: Order = settings.section("order").unwrap();
    assert_eq!((order.attempts, order.strict, order.retry.pause_ms, order.redis_url.as_str()), (6, false, 5, "redis://all"));
    assert!((order.factor - 2.0).abs() < f64::EPSILON);
    let inventory: Inventory = settings.checked("inventory").unwrap();
    assert_eq!((inventory.reservation_ttl_seconds, inventory.redis_url.as_str()), (60, "redis://own"));
    assert_eq!(settings.origin("order.attempts"), Some(&Origin::Environment { name: "CRASHCART_ORDER__ATTEMPTS".to_owned() }));
    assert_eq!(settings.origin("order.factor"), Some(&Origin::File { path, line: 3 }));
    assert!(matches!(settings.origin("order.strict"), Some(Origin::DotEnv { line: 3, .. })));
    assert!(matches!(settings.origin("inventory.regions"), Some(Origin::Default { .. })));
}

#[test]
fn the_names_of_the_source_documents_work() {
    let settings = load(
        None,
        &[("SERVICE_ORDER_SERVICE_URL", "http://order:8105"), ("SERVICE_REDIS_URL", "redis://r"), ("SERVICE_LOG_LEVEL", "debug")],
    )
    .unwrap();
    assert_eq!(settings.calls(), BTreeMap::from([("order".to_owned(), "http://order:8105".to_owned())]));
    for section in ["order", "inventory"] {
        assert_eq!(settings.section::<Table>(section).unwrap()["redis_url"].as_str(), Some("redis://r"));
    }
    assert_eq!(settings.section::<Table>("platform").unwrap()["log_level"].as_str(), Some("debug"));
}

#[test]
fn lists_come_from_the_environment_in_both_forms() {
    for text in ["eu,ap", "[\"eu\", \"ap\"]", " eu , ap "] {
        let settings = load(None, &[("CRASHCART_INVENTORY__REGIONS", text)]).unwrap();
        assert_eq!(settings.section::<Inventory>("inventory").unwrap().regions, ["eu", "ap"], "{text}");
    }
}

#[test]
fn a_wrong_key_in_the_file_is_named_with_its_line_and_the_right_one() {
    assert_eq!(mistake("[order]\natempts = 4"), "FILE:2: there is no key `order.atempts`; did you mean `order.attempts`?");
    assert_eq!(mistake("[ordre]\nattempts = 4"), "FILE:1: there is no section `ordre`; did you mean `order`?");
    assert_eq!(mistake("\n[order.retyr]\nx = 1"), "FILE:2: there is no key `order.retyr`");
    assert_eq!(
        mistake("[order]\nreservation_ttl_seconds = 4"),
        "FILE:2: there is no key `order.reservation_ttl_seconds`; did you mean `inventory.reservation_ttl_seconds`?"
    );
    assert_eq!(mistake("attempts = 4"), "FILE:1: there is no section `attempts`; did you mean `order.attempts`?");
    assert_eq!(mistake("[order]\nzzzzzzzzz = 4"), "FILE:2: there is no key `order.zzzzzzzzz`");
    assert!(mistake("[order]\nattempts = \n").starts_with("FILE:2 is not TOML: "));
}

#[test]
fn a_wrong_type_says_what_is_expected_and_what_stands_there() {
    assert_eq!(
        mistake("[order]\nattempts = \"many\""),
        "FILE:2: `order.attempts` takes a whole number such as 3, but text \"many\" stands there"
    );
    assert_eq!(mistake("order = 3"), "FILE:1: `order` takes a table, but whole number 3 stands there");
    assert_eq!(
        mistake("[inventory]\nregions = [1]"),
        "FILE:2: `inventory.regions` takes a list such as [\"eu\", \"us\"], but list [1] stands there"
    );
    let hidden = mistake("[inventory]\napi_key = 123456");
    assert!(hidden.contains("api_key") && !hidden.contains("123456"), "{hidden}");
    assert_eq!(
        env_mistake("CRASHCART_ORDER__STRICT", "yes"),
        "environment variable CRASHCART_ORDER__STRICT: `order.strict` takes true or false, but `yes` stands there"
    );
    assert_eq!(
        env_mistake("SERVICE_ATTEMPTS", "3s"),
        "environment variable SERVICE_ATTEMPTS: `order.attempts` takes a whole number such as 3, but `3s` stands there"
    );
}

#[test]
fn variables_that_fit_nothing_are_mistakes() {
    assert_eq!(
        env_mistake("CRASHCART_ORDER__ATEMPTS", "1"),
        "environment variable CRASHCART_ORDER__ATEMPTS names no setting; did you mean `CRASHCART_ORDER__ATTEMPTS`?"
    );
    assert_eq!(
        env_mistake("SERVICE_REDIS_ULR", "1"),
        "environment variable SERVICE_REDIS_ULR names no setting; did you mean `SERVICE_REDIS_URL`?"
    );
    assert_eq!(
        env_mistake("SERVICE_ORDRE_SERVICE_URL", "1"),
        "environment variable SERVICE_ORDRE_SERVICE_URL names no setting; did you mean `SERVICE_ORDER_SERVICE_URL`?"
    );
    assert_eq!(env_mistake("CRASHCART_X", "1"), "environment variable CRASHCART_X names no setting");
}

#[test]
fn every_mistake_is_told_at_once_and_a_broken_dot_env_too() {
    let (folder, path) = file("[order]\natempts = 4\nstrict = 1\n");
    std::fs::write(folder.path().join(".env"), "no sign here\nA B=secret-behind\nCRASHCART_Q='open\n").unwrap();
    let error = load(Some(&path), &[("SERVICE_NOTHING", "")]).unwrap_err();
    assert_eq!(error.problems.len(), 6, "{error}");
    assert!(!error.to_string().contains("secret-behind"));
}

#[test]
fn a_mistake_is_one_line_whatever_stands_in_the_file() {
    assert_eq!(mistake("\"a\\nb\\u001b[2J\" = 1"), "FILE:1: there is no section `a?b?[2J`");
    let (folder, path) = file("");
    std::fs::write(folder.path().join(".env"), "no\u{1b}sign\n").unwrap();
    assert!(load(Some(&path), &[]).unwrap_err().to_string().ends_with("`no?sign` is not a line NAME=value"));
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let message = load(Some(Path::new("/nowhere/crashcart.toml")), &[]).unwrap_err().to_string();
    assert!(message.starts_with("cannot read /nowhere/crashcart.toml: "), "{message}");
}

#[test]
fn what_is_out_of_range_is_refused_with_its_origin() {
    let settings = load(None, &[("CRASHCART_INVENTORY__RESERVATION_TTL_SECONDS", "0")]).unwrap();
    assert_eq!(
        settings.checked::<Inventory>("inventory").unwrap_err().to_string(),
        "environment variable CRASHCART_INVENTORY__RESERVATION_TTL_SECONDS: `inventory.reservation_ttl_seconds` is refused: \
         `reservation_ttl_seconds` must be from 1 to 86400"
    );
    let negative = load(None, &[]).unwrap().with("inventory.reservation_ttl_seconds", -1).unwrap();
    let message = negative.section::<Inventory>("inventory").unwrap_err().to_string();
    assert!(message.starts_with("override: `inventory.reservation_ttl_seconds` is refused: invalid value: integer `-1`"), "{message}");
    let message = negative.section::<Inventory>("inventroy").unwrap_err().to_string();
    assert_eq!(message, "there is no section `inventroy`; did you mean `inventory`?");
}

#[test]
fn an_override_changes_a_copy_only() {
    let settings = load(None, &[]).unwrap();
    let other = settings.with("inventory.reservation_ttl_seconds", 5).unwrap();
    assert_eq!(other.section::<Inventory>("inventory").unwrap().reservation_ttl_seconds, 5);
    assert_eq!(settings.section::<Inventory>("inventory").unwrap().reservation_ttl_seconds, 900);
    assert!(settings.with("inventory.ttl", 5).is_err());
    assert!(settings.with("inventory.reservation_ttl_seconds", "5").is_err());
}

#[test]
fn the_print_shows_origins_and_comments_and_hides_secrets() {
    let env = [
        ("CRASHCART_INVENTORY__API_KEY", "sesame-1"),
        ("CRASHCART_ORDER__REDIS_URL", "redis://ann:sesame-2@x:6379/0"),
        ("CRASHCART_INVENTORY__REDIS_URL", "redis://ann:sesame/3@4@x"),
        ("CRASHCART_INVENTORY__REGIONS", "http://a:sesame-5@b,plain"),
    ];
    let settings = load(None, &env).unwrap();
    for printed in [settings.printable(), format!("{settings:?}")] {
        assert!(!printed.contains("sesame"), "{printed}");
        assert!(printed.contains("# How long a hold lasts.\nreservation_ttl_seconds = 900 # default\n"), "{printed}");
        assert!(printed.contains("api_key = \"***\" # env CRASHCART_INVENTORY__API_KEY\n"), "{printed}");
        assert!(printed.contains("redis_url = \"redis://ann:***@x:6379/0\" # env CRASHCART_ORDER__REDIS_URL\n"), "{printed}");
        assert!(printed.contains("# What every service shares.\n[platform]\n"), "{printed}");
        let again: Table = toml::from_str(&printed).unwrap();
        assert_eq!(again["order"]["retry"]["pause_ms"].as_integer(), Some(100));
    }
}

#[test]
fn a_secret_may_stand_in_a_file_that_the_environment_names() {
    let (_folder, path) = file("sesame\n");
    let path = path.display().to_string();
    let settings = load(None, &[("CRASHCART_INVENTORY__API_KEY_FILE", &path), ("SERVICE_REDIS_URL_FILE", &path)]).unwrap();
    let inventory: Inventory = settings.section("inventory").unwrap();
    assert_eq!((inventory.api_key.as_str(), inventory.redis_url.as_str()), ("sesame", "sesame"));
    assert!(!format!("{settings:?}").contains("api_key = \"sesame"));
    let missing = env_mistake("CRASHCART_INVENTORY__API_KEY_FILE", "/nowhere/key");
    assert!(missing.starts_with("cannot read /nowhere/key: ") && missing.contains("API_KEY_FILE"), "{missing}");
}

#[test]
fn an_engine_is_reached_by_the_name_that_all_services_share() {
    let settings =
        Settings::load(super::DEFAULTS, None, [("SERVICE_REDIS_URL".to_owned(), "redis://r:6379".to_owned())].into_iter()).unwrap();
    assert_eq!(settings.engines().unwrap().redis.url.unwrap().expose(), "redis://r:6379");
}
