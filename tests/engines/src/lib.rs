//! Where the engines are that `cargo xtask engines up` has started. Their settings file is named by the variable `CRASHCART_ENGINES`;
//! `make test-engines` sets it.

pub mod proxy;

/// The text under these keys of the engines' settings, `engines.postgresql.url`.
///
/// # Panics
/// When there are no engines: a test that needs them has failed.
#[must_use]
#[expect(clippy::panic, clippy::disallowed_methods, reason = "for tests, which learn from the variable where the engines are")]
pub fn setting(key: &str) -> String {
    let path = std::env::var("CRASHCART_ENGINES").unwrap_or_else(|_| {
        panic!("CRASHCART_ENGINES does not say where the engines are; start them and the tests with `make test-engines`")
    });
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("the engines' settings at {path} cannot be read: {error}"));
    let settings: toml::Table = text.parse().unwrap_or_else(|error| panic!("the engines' settings at {path} are no TOML: {error}"));
    let mut parts = key.split('.');
    let first = parts.next().and_then(|part| settings.get(part));
    let found = parts.fold(first, |table, part| table.and_then(|table| table.get(part)));
    found.and_then(toml::Value::as_str).map(str::to_owned).unwrap_or_else(|| panic!("the engines' settings at {path} have no `{key}`"))
}
