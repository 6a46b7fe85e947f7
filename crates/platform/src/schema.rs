//! The contract on the wire: what an event may look like, and that tomorrow's reader still reads what was written today. An event's
//! schema is registered under a subject before the first event is written; a schema that would break a reader is refused there, at
//! the start of the process that brings it, and not in somebody else's consumer at night.
//!
//! [`Registry`] is embedded and speaks Confluent's REST API ([`rest::router`]), so every tool that knows that API can look. Every
//! record carries its schema's id in Confluent's wire format ([`Codec`]). Left out: schema references, Protobuf and JSON Schema,
//! modes other than READWRITE, contexts, and replication.
//!
//! Or it stands elsewhere (`confluent`), for several processes together. Then what is here is a mirror of it: what this process announced,
//! and what it met. A service announces its schemas while it is built ([`Codec::register`]), and the world has them confirmed before the
//! service is at work ([`Registry::confirm`]), so that building asks nobody and a refusal is still told at the start.
//!
//! Reading order: this file, `compatibility` (schema resolution), [`codec`], [`rest`], `store` (the file), `confluent` (another's registry),
//! `tree` (a parsed schema), `datum` (the binary encoding), `defaults`.

pub mod codec;
mod compatibility;
#[cfg(feature = "engines")]
mod confluent;
mod datum;
mod defaults;
pub mod rest;
mod store;
mod tree;

use std::{
    fmt,
    path::Path,
    str::FromStr,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use serde::{Deserialize, Serialize};
use store::{Change, Log, State};

pub use codec::{Codec, CodecError, decode_json};
pub use compatibility::Incompatibility;
pub use datum::DatumError;
pub use store::StoreError;
pub use tree::SchemaMistake;
use tree::Tree;

/// The number that stands for one schema text in all subjects, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SchemaId(pub u32);

impl fmt::Display for SchemaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which schemas of a subject a new one must get along with. BACKWARD: the new reads what the last one wrote; FORWARD: the last one
/// reads what the new one writes; FULL: both; TRANSITIVE: not only the last one but all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Level {
    None,
    #[default]
    Backward,
    BackwardTransitive,
    Forward,
    ForwardTransitive,
    Full,
    FullTransitive,
}

impl Level {
    pub const ALL: [Self; 7] =
        [Self::None, Self::Backward, Self::BackwardTransitive, Self::Forward, Self::ForwardTransitive, Self::Full, Self::FullTransitive];

    /// The name in Confluent's API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Backward => "BACKWARD",
            Self::BackwardTransitive => "BACKWARD_TRANSITIVE",
            Self::Forward => "FORWARD",
            Self::ForwardTransitive => "FORWARD_TRANSITIVE",
            Self::Full => "FULL",
            Self::FullTransitive => "FULL_TRANSITIVE",
        }
    }

    const fn new_reads_old(self) -> bool {
        matches!(self, Self::Backward | Self::BackwardTransitive | Self::Full | Self::FullTransitive)
    }

    const fn old_reads_new(self) -> bool {
        matches!(self, Self::Forward | Self::ForwardTransitive | Self::Full | Self::FullTransitive)
    }

    const fn is_transitive(self) -> bool {
        matches!(self, Self::BackwardTransitive | Self::ForwardTransitive | Self::FullTransitive)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Level {
    type Err = SchemaError;
    fn from_str(name: &str) -> Result<Self, SchemaError> {
        let level = Self::ALL.into_iter().find(|level| level.name().eq_ignore_ascii_case(name));
        level.ok_or_else(|| SchemaError::UnknownLevel(name.chars().take(64).collect()))
    }
}

/// Whether a deleted thing can still be looked up by id and counts as used (soft), or is gone. A thing must be deleted softly before
/// it can be deleted for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    Soft,
    Permanent,
}

/// A schema under a subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Registered {
    pub subject: String,
    pub id: SchemaId,
    pub version: u32,
    /// The canonical text.
    pub schema: String,
}

/// Why a schema is not registered, found, changed or deleted.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    #[error("there is no subject `{0}`")]
    UnknownSubject(String),
    #[error("the subject `{subject}` has no version {version}")]
    UnknownVersion { subject: String, version: u32 },
    #[error("there is no such schema")]
    UnknownSchema,
    #[error("the subject `{0}` is already deleted; add permanent=true to delete it for good")]
    SubjectDeleted(String),
    #[error("delete the subject `{0}` without permanent=true first")]
    SubjectNotDeleted(String),
    #[error("version {version} of `{subject}` is already deleted; add permanent=true to delete it for good")]
    VersionDeleted { subject: String, version: u32 },
    #[error("delete version {version} of `{subject}` without permanent=true first")]
    VersionNotDeleted { subject: String, version: u32 },
    #[error("the subject `{0}` has no compatibility level of its own; the global one holds")]
    NoLevel(String),
    #[error("`{0}` is no compatibility level; use NONE, BACKWARD, FORWARD or FULL, the last three also with _TRANSITIVE")]
    UnknownLevel(String),
    #[error("a subject needs 1 to 255 characters and no control characters")]
    InvalidSubject,
    #[error(transparent)]
    InvalidSchema(#[from] SchemaMistake),
    #[error("the schema breaks `{subject}`, whose level is {level}: {}", .breaks.join("; "))]
    Incompatible { subject: String, level: Level, breaks: Vec<String> },
    #[error("the schema of {kind} cannot be used: {mistake}")]
    Type { kind: &'static str, mistake: String },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the schema registry at {url} cannot be used")]
    Registry { url: String, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("the schemas are in the registry at {0}: change them there")]
    NotHere(String),
}

/// The schemas of one world. Clones share them.
#[derive(Clone, Debug)]
pub struct Registry {
    inner: Arc<Mutex<Inner>>,
    #[cfg(feature = "engines")]
    elsewhere: Option<confluent::Confluent>,
}

#[derive(Debug, Default)]
struct Inner {
    state: State,
    log: Option<Log>,
    /// Where the registry is of which this is the mirror.
    mirrored: Option<String>,
    /// What it has yet to be asked for, each with its subject.
    announced: Vec<(String, Announced)>,
}

/// A schema of ours and, as soon as it has one, its number.
#[derive(Clone, Debug)]
struct Announced {
    tree: Arc<Tree>,
    id: Arc<OnceLock<SchemaId>>,
}

impl Inner {
    /// On the disk first, then visible.
    fn change(&mut self, change: Change) -> Result<(), SchemaError> {
        if let Some(url) = &self.mirrored {
            return Err(SchemaError::NotHere(url.clone()));
        }
        if let Some(log) = &mut self.log {
            log.append(&change)?;
        }
        // The change was made from this state under the same lock, so it fits; a schema in it was parsed before.
        self.state.apply(change).map_err(|mistake| SchemaMistake { path: "/".to_owned(), mistake }.into())
    }
}

impl Registry {
    /// Forgets everything when the last clone is dropped.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::over(Inner::default())
    }

    /// Keeps everything in this file, which is made if it is not there. Its folder must exist.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, SchemaError> {
        let (log, state) = Log::open(path.as_ref())?;
        Ok(Self::over(Inner { state, log: Some(log), ..Inner::default() }))
    }

    fn over(inner: Inner) -> Self {
        Self {
            inner: Arc::new(Mutex::new(inner)),
            #[cfg(feature = "engines")]
            elsewhere: None,
        }
    }

    /// The mirror of a registry that speaks Confluent's API. Nothing is asked yet.
    ///
    /// # Errors
    /// [`EngineError`](crate::engine::EngineError) for an address or an authority that cannot be used.
    #[cfg(feature = "engines")]
    pub fn elsewhere(settings: &crate::settings::RegistrySettings) -> Result<Self, crate::engine::EngineError> {
        let elsewhere = confluent::Confluent::new(settings)?;
        let inner = Inner { mirrored: Some(elsewhere.shown().to_owned()), ..Inner::default() };
        Ok(Self { elsewhere: Some(elsewhere), ..Self::over(inner) })
    }

    /// Registers a schema of ours: at once, or with the next [`Registry::confirm`] if the registry is elsewhere.
    fn announce(&self, subject: &str, schema: &str) -> Result<Announced, SchemaError> {
        let mut inner = self.inner();
        if inner.mirrored.is_some() {
            let announced = Announced { tree: Arc::new(Tree::parse(schema)?), id: Arc::default() };
            inner.announced.push((subject.to_owned(), announced.clone()));
            return Ok(announced);
        }
        drop(inner);
        let registered = self.register(subject, schema)?;
        let tree = self.tree(registered.id).ok_or(SchemaError::UnknownSchema)?;
        Ok(Announced { tree, id: Arc::new(registered.id.into()) })
    }

    /// Has the registry take what was announced, if it is elsewhere. What was announced by a service that did not start is asked for too: a
    /// schema there changes nothing as long as nobody writes with it.
    ///
    /// # Errors
    /// The registry refuses a schema, or cannot be asked. What it has not taken stays announced.
    pub async fn confirm(&self) -> Result<(), SchemaError> {
        #[cfg(feature = "engines")]
        if let Some(elsewhere) = &self.elsewhere {
            loop {
                let Some((subject, next)) = self.inner().announced.first().cloned() else { return Ok(()) };
                let registered = elsewhere.register(&subject, &next.tree.text).await?;
                let mut inner = self.inner();
                inner.state.mirror(next.tree, Some((&registered.subject, registered.version)), registered.id);
                // Another who announced the same was told the same.
                let _: Result<(), SchemaId> = next.id.set(registered.id);
                inner.announced.retain(|(_, announced)| !Arc::ptr_eq(&announced.id, &next.id));
            }
        }
        Ok(())
    }

    /// Asks for a schema that nobody here has met; says whether it is known now. Without a registry elsewhere there is nobody to ask.
    ///
    /// # Errors
    /// The registry cannot be asked, or what it has under this number is no schema.
    pub async fn learn(&self, id: SchemaId) -> Result<bool, SchemaError> {
        #[cfg(feature = "engines")]
        if let Some(elsewhere) = &self.elsewhere {
            if self.tree(id).is_some() {
                return Ok(true);
            }
            let Some(text) = elsewhere.schema(id).await? else { return Ok(false) };
            self.inner().state.mirror(Arc::new(Tree::parse(&text)?), None, id);
            return Ok(true);
        }
        Ok(self.tree(id).is_some())
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers the schema as the subject's newest version. The same schema again gives the same id and version. Refused when it
    /// breaks the subject's compatibility level; the error says which field breaks what.
    pub fn register(&self, subject: &str, schema: &str) -> Result<Registered, SchemaError> {
        if subject.is_empty() || subject.chars().count() > 255 || subject.chars().any(char::is_control) {
            return Err(SchemaError::InvalidSubject);
        }
        let tree = Arc::new(Tree::parse(schema)?);
        let mut inner = self.inner();
        let state = &inner.state;
        if let Some(found) = state.find(subject, &tree.text, false) {
            return Ok(found);
        }
        let level = state.level(subject);
        let breaks = state.breaks(level, &tree, state.live(subject));
        if !breaks.is_empty() {
            return Err(SchemaError::Incompatible { subject: subject.to_owned(), level, breaks });
        }
        let next_id = || SchemaId(state.schemas.keys().next_back().map_or(1, |id| id.0.saturating_add(1)));
        let id = state.ids.get(&tree.text).copied().unwrap_or_else(next_id);
        let last = state.subjects.get(subject).and_then(|versions| versions.keys().next_back());
        let version = last.map_or(1, |version| version.saturating_add(1));
        let schema = tree.text.clone();
        inner.change(Change::Register { subject: subject.to_owned(), version, id, schema: schema.clone() })?;
        Ok(Registered { subject: subject.to_owned(), id, version, schema })
    }

    /// The subject's version with this very schema.
    pub fn lookup(&self, subject: &str, schema: &str, with_deleted: bool) -> Result<Registered, SchemaError> {
        let tree = Tree::parse(schema)?;
        let inner = self.inner();
        inner.state.known(subject, with_deleted)?;
        inner.state.find(subject, &tree.text, with_deleted).ok_or(SchemaError::UnknownSchema)
    }

    /// What the schema would break under the subject's level: one sentence each, none if it may be registered. Checked against the
    /// one version, or against those that the level asks for.
    pub fn check(&self, subject: &str, schema: &str, version: Option<u32>) -> Result<Vec<String>, SchemaError> {
        let tree = Arc::new(Tree::parse(schema)?);
        let inner = self.inner();
        let state = &inner.state;
        let against = match version {
            Some(version) => vec![(version, state.version(subject, version, false)?.id)],
            None => state.live(subject),
        };
        Ok(state.breaks(state.level(subject), &tree, against))
    }

    /// The schema's canonical text.
    pub fn schema(&self, id: SchemaId) -> Result<String, SchemaError> {
        self.tree(id).map(|tree| tree.text.clone()).ok_or(SchemaError::UnknownSchema)
    }

    /// Where the schema is used: subjects and versions.
    pub fn uses(&self, id: SchemaId, with_deleted: bool) -> Result<Vec<(String, u32)>, SchemaError> {
        let inner = self.inner();
        if !inner.state.uses(id) {
            return Err(SchemaError::UnknownSchema);
        }
        let subjects = inner.state.subjects.iter();
        Ok(subjects
            .flat_map(|(subject, versions)| versions.iter().map(move |(number, version)| (subject, number, version)))
            .filter(|(_, _, version)| version.id == id && (with_deleted || !version.deleted))
            .map(|(subject, number, _)| (subject.clone(), *number))
            .collect())
    }

    /// All subjects that have a version, by name.
    #[must_use]
    pub fn subjects(&self) -> Vec<String> {
        self.subjects_with(false)
    }

    pub(crate) fn subjects_with(&self, deleted: bool) -> Vec<String> {
        let inner = self.inner();
        let subjects = inner.state.subjects.iter();
        subjects
            .filter(|(_, versions)| deleted || versions.values().any(|version| !version.deleted))
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// The subject's versions, the oldest first.
    pub fn versions(&self, subject: &str) -> Result<Vec<u32>, SchemaError> {
        self.versions_with(subject, false)
    }

    pub(crate) fn versions_with(&self, subject: &str, deleted: bool) -> Result<Vec<u32>, SchemaError> {
        let inner = self.inner();
        let versions = inner.state.known(subject, deleted)?;
        Ok(versions.iter().filter(|(_, version)| deleted || !version.deleted).map(|(number, _)| *number).collect())
    }

    pub fn version(&self, subject: &str, version: u32) -> Result<Registered, SchemaError> {
        self.version_with(subject, version, false)
    }

    pub(crate) fn version_with(&self, subject: &str, version: u32, deleted: bool) -> Result<Registered, SchemaError> {
        let inner = self.inner();
        let id = inner.state.version(subject, version, deleted)?.id;
        inner.state.registered(subject, version, id).ok_or(SchemaError::UnknownSchema)
    }

    pub fn latest(&self, subject: &str) -> Result<Registered, SchemaError> {
        let version = self.versions(subject)?.pop().ok_or_else(|| SchemaError::UnknownSubject(subject.to_owned()))?;
        self.version(subject, version)
    }

    /// Deletes the subject and answers its versions.
    pub fn delete_subject(&self, subject: &str, deletion: Deletion) -> Result<Vec<u32>, SchemaError> {
        let mut inner = self.inner();
        let known = inner.state.known(subject, true)?;
        let live = known.iter().filter(|(_, version)| !version.deleted).map(|(number, _)| *number);
        let versions: Vec<u32> = match deletion {
            Deletion::Soft => live.collect(),
            Deletion::Permanent if live.count() > 0 => return Err(SchemaError::SubjectNotDeleted(subject.to_owned())),
            Deletion::Permanent => known.keys().copied().collect(),
        };
        if versions.is_empty() {
            return Err(SchemaError::SubjectDeleted(subject.to_owned()));
        }
        let permanent = deletion == Deletion::Permanent;
        inner.change(Change::Delete { subject: subject.to_owned(), versions: versions.clone(), permanent })?;
        Ok(versions)
    }

    pub fn delete_version(&self, subject: &str, version: u32, deletion: Deletion) -> Result<(), SchemaError> {
        let mut inner = self.inner();
        let subject = subject.to_owned();
        match (inner.state.version(&subject, version, true)?.deleted, deletion) {
            (true, Deletion::Soft) => return Err(SchemaError::VersionDeleted { subject, version }),
            (false, Deletion::Permanent) => return Err(SchemaError::VersionNotDeleted { subject, version }),
            _ => {}
        }
        inner.change(Change::Delete { subject, versions: vec![version], permanent: deletion == Deletion::Permanent })
    }

    /// The level that holds for the subject: its own, or the global one.
    #[must_use]
    pub fn level(&self, subject: &str) -> Level {
        self.inner().state.level(subject)
    }

    #[must_use]
    pub fn global_level(&self) -> Level {
        self.inner().state.global_level
    }

    /// The subject's own level.
    pub fn own_level(&self, subject: &str) -> Result<Level, SchemaError> {
        self.inner().state.levels.get(subject).copied().ok_or_else(|| SchemaError::NoLevel(subject.to_owned()))
    }

    /// Sets the subject's level, or the global one. Holds for what is registered from now on.
    pub fn set_level(&self, subject: Option<&str>, level: Level) -> Result<(), SchemaError> {
        self.inner().change(Change::Level { subject: subject.map(str::to_owned), level: Some(level) })
    }

    /// Takes away the subject's own level, or puts the global one back to BACKWARD; answers the level that stood there.
    pub fn reset_level(&self, subject: Option<&str>) -> Result<Level, SchemaError> {
        let before = subject.map_or_else(|| Ok(self.global_level()), |subject| self.own_level(subject))?;
        self.inner().change(Change::Level { subject: subject.map(str::to_owned), level: None })?;
        Ok(before)
    }

    /// The schema, if any version uses it.
    fn tree(&self, id: SchemaId) -> Option<Arc<Tree>> {
        let inner = self.inner();
        // A mirror does not hear of what is deleted, and holds foreign schemas without their subjects.
        inner.state.schemas.get(&id).filter(|_| inner.mirrored.is_some() || inner.state.uses(id)).cloned()
    }
}

#[cfg(test)]
mod tests;
