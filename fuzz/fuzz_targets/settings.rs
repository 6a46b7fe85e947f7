//! Any text as a settings file, and as the `.env` beside it: every mistake is told, or the settings are taken. What was taken can be printed, and
//! what was printed is taken again, as the same.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use platform::settings::{DEFAULTS, Settings, SettingsError};
use tempfile::TempDir;

thread_local! {
    static FOLDER: TempDir = tempfile::tempdir().expect("a folder can be made");
}

fn load(folder: &Path, document: &str, variables: &str) -> Result<Settings, SettingsError> {
    let file = folder.join("crashcart.toml");
    std::fs::write(&file, document).expect("a file can be written");
    std::fs::write(folder.join(".env"), variables).expect("a file can be written");
    Settings::load(DEFAULTS, Some(&file), std::iter::empty())
}

/// The values alone, without comments, which say whence each came.
fn values(settings: &Settings) -> String {
    let printed = settings.printable();
    toml::from_str::<toml::Table>(&printed).unwrap_or_else(|error| panic!("it is not printed as TOML: {error}\n{printed}")).to_string()
}

// The file; behind a line of `---` the `.env`.
fuzz_target!(|input: &str| {
    let (document, variables) = input.split_once("\n---\n").unwrap_or((input, ""));
    FOLDER.with(|folder| match load(folder.path(), document, variables) {
        Ok(settings) => {
            let again = load(folder.path(), &settings.printable(), "").unwrap_or_else(|error| panic!("{error}\n{}", settings.printable()));
            assert_eq!(values(&settings), values(&again), "settings are printed as they are");
        }
        Err(refused) => {
            let told = refused.to_string();
            assert_eq!(told.lines().count(), refused.problems.len(), "each mistake is a line: {told:?}");
            assert!(!told.replace('\n', "").contains(char::is_control), "which moves no cursor: {told:?}");
        }
    });
});
