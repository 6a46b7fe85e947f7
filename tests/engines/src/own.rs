//! An engine of a test's own, over data of its own: others do not notice what is done to it.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use platform::settings::{DEFAULTS, Settings};

/// Ends with this value; what it has written stays.
#[derive(Debug)]
pub struct Own {
    engine: &'static str,
    folder: PathBuf,
}

impl Own {
    /// Starts the engine of this name in a folder.
    ///
    /// # Panics
    /// When it does not start: a test has failed.
    #[must_use]
    pub fn start(engine: &'static str, folder: &Path) -> Self {
        let own = Self { engine, folder: folder.to_owned() };
        own.xtask("up");
        own
    }

    /// The defaults, and how it is reached.
    ///
    /// # Panics
    /// When it has written none: a test has failed.
    #[must_use]
    pub fn settings(&self) -> Settings {
        Settings::load(DEFAULTS, Some(&self.folder.join("engines.toml")), std::iter::empty()).unwrap()
    }

    /// Starts it again over what it has written, as whoever finds it ended.
    pub fn restart(&self) {
        self.xtask("crash");
    }

    fn xtask(&self, verb: &str) {
        let mut command = Command::new("cargo");
        command.args(["xtask", "engines", verb, "--only", self.engine, "--data"]).arg(&self.folder);
        let done = command.stdin(Stdio::null()).output().unwrap();
        assert!(done.status.success(), "{} {verb}: {}", self.engine, String::from_utf8_lossy(&done.stderr));
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.xtask("down");
    }
}
