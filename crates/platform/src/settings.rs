//! What a person may turn, in one place. The compiled-in defaults are a commented TOML document with one table per service and some
//! shared ones; a file, a `.env` beside it and the environment may change what that document names, and nothing else. So the document
//! is the list of known keys and their types, and a slip of the pen is one sentence (where it stands, the nearest right key) before a
//! port is bound, never a default that silently stays.
//!
//! Later wins: defaults, file, `.env`, environment, [`Settings::with`]. In the environment `CRASHCART_<SECTION>__<KEY>` reaches
//! every key; `SERVICE_<KEY>` reaches that key in every section that has it (ledger P-06: `SERVICE_REDIS_URL`), the name with the
//! section wins over it; `SERVICE_<NAME>_SERVICE_URL` sets `calls.<name>`, where another service is reached. With `_FILE` behind it a name
//! of either kind says which file holds the value: so a secret need not stand in the environment. Variables that start otherwise are not
//! ours. A duration is an integer with its unit in the key's name.

mod engines;
mod environment;
mod error;
mod layers;
mod print;

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use indexmap::IndexMap;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

pub use self::{
    engines::{
        CassandraSettings, CouchdbSettings, EngineSettings, Events, Goods, KafkaSettings, MariadbSettings, Objects, Papers,
        PostgresqlSettings, Reads, RedisSettings, RegistrySettings, S3Settings, Schemas, Shelf, StoreSettings, Tables,
    },
    environment::environment,
    error::{Problem, SettingsError},
    print::MASK,
};

/// The default document: every key there is, with its default and what it means.
pub const DEFAULTS: &str = include_str!("../../../config/default.toml");

/// A section that knows the ranges of its values. The message names the key and what is allowed:
/// ``"`ttl_seconds` must be from 1 to 3600"``.
pub trait Section: DeserializeOwned {
    fn validate(&self) -> Result<(), String>;
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Default { line: usize },
    File { path: PathBuf, line: usize },
    DotEnv { path: PathBuf, line: usize, name: String },
    Environment { name: String },
    Override,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default { .. } => f.write_str("default"),
            Self::File { path, line } => write!(f, "file {}:{line}", path.display()),
            Self::DotEnv { path, line, name } => write!(f, "{name} in {}:{line}", path.display()),
            Self::Environment { name } => write!(f, "env {name}"),
            Self::Override => f.write_str("override"),
        }
    }
}

#[derive(Clone)]
struct Entry {
    value: Value,
    /// What the type is checked against.
    default: Value,
    origin: Origin,
    comments: Vec<String>,
}

/// The settings in force. Cloning copies them; nothing is shared or watched.
#[derive(Clone, Default)]
pub struct Settings {
    /// Every known key by its path (`order.retry.attempts`), in the order of the default document.
    entries: IndexMap<String, Entry>,
    /// Every table by its path, with the comment above it.
    tables: IndexMap<String, Vec<String>>,
}

impl Settings {
    /// Reads the layers. `env` is the process's environment ([`environment`]) or a test's. The error holds every mistake, not the first.
    pub fn load(defaults: &str, file: Option<&Path>, env: impl Iterator<Item = (String, String)>) -> Result<Self, SettingsError> {
        let mut settings = Self::from_defaults(defaults)?;
        let mut problems = Vec::new();
        let mut variables = Vec::new();
        if let Some(path) = file {
            let text =
                std::fs::read_to_string(path).map_err(|cause| Problem::Unreadable { path: path.to_owned(), cause: cause.to_string() })?;
            settings.apply_document(&text, path, &mut problems)?;
            let beside = path.with_file_name(".env");
            match std::fs::read_to_string(&beside) {
                Ok(text) => variables = environment::dot_env(&text, &beside, &mut problems),
                Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {}
                Err(cause) => problems.push(Problem::Unreadable { path: beside, cause: cause.to_string() }),
            }
        }
        settings.apply_variables(&variables, &mut problems);
        let variables: Vec<_> = env.map(|(name, value)| environment::Variable::of_process(name, value)).collect();
        settings.apply_variables(&variables, &mut problems);
        if problems.is_empty() { Ok(settings) } else { Err(SettingsError { problems }) }
    }

    /// The same settings with one value replaced, under the same checks as a line in the file.
    pub fn with(&self, path: &str, value: impl Into<Value>) -> Result<Self, SettingsError> {
        let mut changed = self.clone();
        let mut problems = Vec::new();
        changed.set(path, value.into(), Origin::Override, &mut problems);
        if problems.is_empty() { Ok(changed) } else { Err(SettingsError { problems }) }
    }

    /// The section as a type of the caller's.
    pub fn section<T: DeserializeOwned>(&self, name: &str) -> Result<T, SettingsError> {
        let table = self.table(name).ok_or_else(|| self.unknown(name, None))?;
        serde_path_to_error::deserialize(Value::Table(table)).map_err(|error| {
            let path = format!("{name}.{}", error.path());
            let entry = self.entries.get(&path);
            // The deserializer quotes what it read, and that must not be a password.
            let reason = if print::is_secret(&path) {
                "what stands there does not fit".to_owned()
            } else {
                error.inner().message().trim_end().to_owned()
            };
            Problem::Refused { path, reason, origin: entry.map(|entry| entry.origin.clone()) }.into()
        })
    }

    /// The section, with its ranges checked.
    pub fn checked<T: Section>(&self, name: &str) -> Result<T, SettingsError> {
        let section: T = self.section(name)?;
        section.validate().map_err(|reason| {
            // The section does not know where its values come from, but it names the key that is out of range.
            let named = self
                .entries
                .iter()
                .find(|(path, _)| path.strip_prefix(name).and_then(|rest| rest.strip_prefix('.')).is_some_and(|key| names(&reason, key)));
            match named {
                Some((path, entry)) => Problem::Refused { path: path.clone(), reason, origin: Some(entry.origin.clone()) }.into(),
                None => SettingsError::from(Problem::Refused { path: name.to_owned(), reason, origin: None }),
            }
        })?;
        Ok(section)
    }

    /// Where other services are reached: `calls.<name>`, without those that are empty (reached in this process).
    #[must_use]
    pub fn calls(&self) -> BTreeMap<String, String> {
        let call = |(path, entry): (&String, &Entry)| {
            let name = path.strip_prefix("calls.")?;
            let url = entry.value.as_str()?;
            (!url.is_empty()).then(|| (name.to_owned(), url.to_owned()))
        };
        self.entries.iter().filter_map(call).collect()
    }

    /// The tables at the top, in the order of the default document.
    pub fn sections(&self) -> impl Iterator<Item = &str> {
        self.tables.keys().map(String::as_str).filter(|path| !path.contains('.'))
    }

    #[must_use]
    pub fn origin(&self, path: &str) -> Option<&Origin> {
        self.entries.get(path).map(|entry| &entry.origin)
    }

    fn table(&self, name: &str) -> Option<Table> {
        self.tables.get(name)?;
        let mut table = Table::new();
        for (path, entry) in &self.entries {
            let Some(key) = path.strip_prefix(name).and_then(|rest| rest.strip_prefix('.')) else { continue };
            let mut at = &mut table;
            let mut parts = key.split('.').peekable();
            while let Some(part) = parts.next() {
                if parts.peek().is_none() {
                    at.insert(part.to_owned(), entry.value.clone());
                    break;
                }
                let next = at.entry(part).or_insert_with(|| Value::Table(Table::new()));
                let Value::Table(next) = next else { break };
                at = next;
            }
        }
        Some(table)
    }
}

/// Passwords stay out of whatever prints this.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.printable())
    }
}

/// Whether `text` speaks of `key`, as a word.
fn names(text: &str, key: &str) -> bool {
    text.split(|letter: char| !(letter.is_alphanumeric() || matches!(letter, '_' | '.' | '-'))).any(|word| word.trim_matches('.') == key)
}

#[cfg(test)]
mod tests;
