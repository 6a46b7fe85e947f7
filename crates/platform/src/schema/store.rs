//! What the registry remembers, and the file that makes it last. Each change is one line of JSON in `schemas.ndjson`, flushed to
//! the disk before anybody sees the change; opening reads the lines again. There is no compaction: schemas are few.
//!
//! A line without its end was never acknowledged (the machine stopped while writing it) and is cut off. Anything else that cannot
//! be read is refused: ids in stored records point into this file, and a guess would decode them wrongly.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::{Level, Registered, SchemaError, SchemaId, compatibility::incompatibilities, tree::Tree};

/// The file cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the schema file {path} cannot be used; check that the folder exists and may be written")]
    Io { path: PathBuf, source: std::io::Error },
    #[error("the schema file {path} is in use by another process; stop it, or give this one another data folder")]
    Locked { path: PathBuf },
    #[error("the schema file {path} is damaged at line {line}: {mistake}; restore it from a backup")]
    Damaged { path: PathBuf, line: usize, mistake: String },
    #[error("the schema file {path} could not be written before, and what it holds is unknown; restart to read it again")]
    Broken { path: PathBuf },
}

/// One line of the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Change {
    Register { subject: String, version: u32, id: SchemaId, schema: String },
    Level { subject: Option<String>, level: Option<Level> },
    Delete { subject: String, versions: Vec<u32>, permanent: bool },
}

#[derive(Debug)]
pub(crate) struct Version {
    pub id: SchemaId,
    pub deleted: bool,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    /// Never forgets: an id means one text for ever, even when nothing refers to it any more.
    pub schemas: BTreeMap<SchemaId, Arc<Tree>>,
    pub ids: BTreeMap<String, SchemaId>,
    pub subjects: BTreeMap<String, BTreeMap<u32, Version>>,
    pub levels: BTreeMap<String, Level>,
    pub global_level: Level,
}

impl State {
    /// Applies a change that is known to be good, or says why it is not.
    pub fn apply(&mut self, change: Change) -> Result<(), String> {
        match change {
            Change::Register { subject, version, id, schema } => {
                if !self.schemas.contains_key(&id) {
                    let tree = Tree::parse(&schema).map_err(|error| error.to_string())?;
                    self.ids.insert(tree.text.clone(), id);
                    self.schemas.insert(id, Arc::new(tree));
                } else if self.ids.get(&schema) != Some(&id) {
                    return Err(format!("the id {id} stands for two schemas"));
                }
                self.subjects.entry(subject).or_default().insert(version, Version { id, deleted: false });
            }
            Change::Level { subject: None, level } => self.global_level = level.unwrap_or_default(),
            Change::Level { subject: Some(subject), level: Some(level) } => drop(self.levels.insert(subject, level)),
            Change::Level { subject: Some(subject), level: None } => drop(self.levels.remove(&subject)),
            Change::Delete { subject, versions, permanent } => {
                let Some(known) = self.subjects.get_mut(&subject) else { return Err(format!("there is no subject `{subject}`")) };
                for version in versions {
                    if permanent {
                        known.remove(&version);
                    } else if let Some(version) = known.get_mut(&version) {
                        version.deleted = true;
                    }
                }
                if known.is_empty() {
                    self.subjects.remove(&subject);
                    self.levels.remove(&subject);
                }
            }
        }
        Ok(())
    }

    /// Takes over what another registry says: a number, its schema, and where it is used if that is known. There one text may have several numbers.
    #[cfg(feature = "engines")]
    pub fn mirror(&mut self, tree: Arc<Tree>, place: Option<(&str, u32)>, id: SchemaId) {
        self.schemas.entry(id).or_insert(tree);
        if let Some((subject, version)) = place {
            self.subjects.entry(subject.to_owned()).or_default().insert(version, Version { id, deleted: false });
        }
    }

    /// Whether any version, deleted softly or not, still uses the schema.
    pub fn uses(&self, id: SchemaId) -> bool {
        self.subjects.values().flat_map(BTreeMap::values).any(|version| version.id == id)
    }
}

/// Questions.
impl State {
    pub fn level(&self, subject: &str) -> Level {
        self.levels.get(subject).copied().unwrap_or(self.global_level)
    }

    /// The subject's versions, if it has any (or any that are not deleted).
    pub fn known(&self, subject: &str, deleted: bool) -> Result<&BTreeMap<u32, Version>, SchemaError> {
        let versions = self.subjects.get(subject).filter(|versions| deleted || versions.values().any(|version| !version.deleted));
        versions.ok_or_else(|| SchemaError::UnknownSubject(subject.to_owned()))
    }

    pub fn version(&self, subject: &str, version: u32, deleted: bool) -> Result<&Version, SchemaError> {
        let found = self.known(subject, deleted)?.get(&version).filter(|found| deleted || !found.deleted);
        found.ok_or_else(|| SchemaError::UnknownVersion { subject: subject.to_owned(), version })
    }

    pub fn registered(&self, subject: &str, version: u32, id: SchemaId) -> Option<Registered> {
        let schema = self.schemas.get(&id)?.text.clone();
        Some(Registered { subject: subject.to_owned(), id, version, schema })
    }

    /// The version with this canonical text, the newest first.
    pub fn find(&self, subject: &str, text: &str, deleted: bool) -> Option<Registered> {
        let id = *self.ids.get(text)?;
        let mut versions = self.subjects.get(subject)?.iter().rev();
        let (version, _) = versions.find(|(_, version)| version.id == id && (deleted || !version.deleted))?;
        self.registered(subject, *version, id)
    }

    /// The versions that are not deleted, the newest first.
    pub fn live(&self, subject: &str) -> Vec<(u32, SchemaId)> {
        let versions = self.subjects.get(subject).into_iter().flatten().rev();
        versions.filter(|(_, version)| !version.deleted).map(|(number, version)| (*number, version.id)).collect()
    }

    /// What the new schema breaks: one sentence for each problem with each version that the level asks for.
    pub fn breaks(&self, level: Level, new: &Arc<Tree>, versions: Vec<(u32, SchemaId)>) -> Vec<String> {
        let count = if level.is_transitive() { versions.len() } else { 1 };
        let mut breaks = Vec::new();
        for (version, id) in versions.into_iter().take(count) {
            let Some(old) = self.schemas.get(&id) else { continue };
            if level.new_reads_old() {
                let problems = incompatibilities(old, new);
                breaks.extend(problems.iter().map(|problem| format!("the new schema cannot read what version {version} wrote: {problem}")));
            }
            if level.old_reads_new() {
                let problems = incompatibilities(new, old);
                breaks
                    .extend(problems.iter().map(|problem| format!("version {version} cannot read what the new schema writes: {problem}")));
            }
        }
        breaks
    }
}

/// The open file.
#[derive(Debug)]
pub(crate) struct Log {
    path: PathBuf,
    file: File,
    length: u64,
    broken: bool,
}

impl Log {
    /// Opens or makes the file and reads what it holds. The file is locked until the log is dropped.
    pub fn open(path: &Path) -> Result<(Self, State), StoreError> {
        let io = |source| StoreError::Io { path: path.to_owned(), source };
        let is_new = !path.exists();
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Err(StoreError::Locked { path: path.to_owned() }),
            Err(std::fs::TryLockError::Error(source)) => return Err(io(source)),
        }
        if is_new {
            // The file's name must last as well as its bytes.
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(io)?;
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(io)?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        if whole < bytes.len() {
            tracing::warn!(path = %path.display(), bytes = bytes.len() - whole, "cut off a schema change that was not written to its end");
            file.set_len(whole as u64).and_then(|()| file.sync_all()).map_err(io)?;
        }
        let mut state = State::default();
        for (index, line) in bytes[..whole].split_inclusive(|byte| *byte == b'\n').enumerate() {
            let change = serde_json::from_slice(line).map_err(|error| error.to_string());
            change.and_then(|change| state.apply(change)).map_err(|mistake| StoreError::Damaged {
                path: path.to_owned(),
                line: index + 1,
                mistake,
            })?;
        }
        Ok((Self { path: path.to_owned(), file, length: whole as u64, broken: false }, state))
    }

    /// Writes one change; when this returns it lasts.
    pub fn append(&mut self, change: &Change) -> Result<(), StoreError> {
        if self.broken {
            return Err(StoreError::Broken { path: self.path.clone() });
        }
        match self.write(change) {
            Ok(length) => {
                self.length += length;
                Ok(())
            }
            Err(source) => {
                // Half a line in the middle would be damage; take it away, or write no more.
                self.broken = self.file.set_len(self.length).and_then(|()| self.file.sync_all()).is_err();
                Err(StoreError::Io { path: self.path.clone(), source })
            }
        }
    }

    fn write(&mut self, change: &Change) -> std::io::Result<u64> {
        let mut line = serde_json::to_vec(change)?;
        line.push(b'\n');
        self.file.seek(SeekFrom::Start(self.length))?;
        self.file.write_all(&line)?;
        self.file.sync_data()?;
        Ok(line.len() as u64)
    }
}

#[cfg(test)]
impl super::Registry {
    /// Whatever it writes fails.
    pub fn over_a_read_only_file(path: &Path) -> Self {
        std::fs::write(path, "").expect("an empty file");
        let file = File::open(path).expect("the file just made");
        let log = Log { path: path.to_owned(), file, length: 0, broken: false };
        Self::over(super::Inner { log: Some(log), ..super::Inner::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Deletion, Registry};

    const FIRST: &str = r#"{"type":"record","name":"A","fields":[]}"#;
    const SECOND: &str = r#"{"type":"record","name":"A","fields":[{"name":"x","type":"int","default":1}]}"#;

    fn file() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("schemas.ndjson");
        (folder, path)
    }

    #[test]
    fn everything_lasts() {
        let (_folder, path) = file();
        let registry = Registry::open(&path).unwrap();
        registry.register("a", FIRST).unwrap();
        let second = registry.register("a", SECOND).unwrap();
        registry.register("b", FIRST).unwrap();
        registry.set_level(Some("a"), Level::FullTransitive).unwrap();
        registry.set_level(None, Level::None).unwrap();
        registry.delete_version("a", 1, Deletion::Soft).unwrap();
        registry.delete_subject("b", Deletion::Soft).unwrap();
        registry.delete_subject("b", Deletion::Permanent).unwrap();
        drop(registry);

        let registry = Registry::open(&path).unwrap();
        assert_eq!(registry.subjects(), ["a"]);
        assert_eq!(registry.versions("a").unwrap(), [2]);
        assert_eq!(registry.latest("a").unwrap().id, second.id);
        assert_eq!(registry.level("a"), Level::FullTransitive);
        assert_eq!(registry.global_level(), Level::None);
        assert_eq!(registry.register("c", SECOND).unwrap().id, second.id);
    }

    #[test]
    fn a_torn_last_line_is_cut_off_and_the_rest_stays() {
        let (_folder, path) = file();
        Registry::open(&path).unwrap().register("a", FIRST).unwrap();
        let whole = std::fs::read(&path).unwrap();
        Registry::open(&path).unwrap().register("a", SECOND).unwrap();
        let both = std::fs::read(&path).unwrap();
        for cut in whole.len()..both.len() {
            std::fs::write(&path, &both[..cut]).unwrap();
            let registry = Registry::open(&path).unwrap();
            assert_eq!(registry.versions("a").unwrap(), [1], "cut at {cut}");
            drop(registry);
            assert_eq!(std::fs::read(&path).unwrap(), whole, "cut at {cut}");
        }
        Registry::open(&path).unwrap().register("a", SECOND).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), both);
    }

    #[test]
    fn other_damage_is_refused_and_the_line_is_named() {
        let (_folder, path) = file();
        let registry = Registry::open(&path).unwrap();
        registry.register("a", FIRST).unwrap();
        registry.register("a", SECOND).unwrap();
        drop(registry);
        let good = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = good.lines().collect();
        for (bad, line) in [
            (format!("{}\nnonsense\n", lines[0]), 2),
            (format!("{}\n{}\n", &lines[0][..20], lines[1]), 1),
            (good.replace(r#"\"int\""#, r#"\"inX\""#), 2),
            (good.replace("\"id\":2", "\"id\":1"), 2),
            ("\n".to_owned(), 1),
        ] {
            std::fs::write(&path, &bad).unwrap();
            match Registry::open(&path) {
                Err(SchemaError::Store(StoreError::Damaged { line: found, .. })) => assert_eq!(found, line, "{bad}"),
                other => panic!("{bad} gave {other:?}"),
            }
            assert_eq!(std::fs::read_to_string(&path).unwrap(), bad, "a damaged file must stay as it is");
        }
    }

    #[test]
    fn two_registries_cannot_share_a_file() {
        let (_folder, path) = file();
        let _first = Registry::open(&path).unwrap();
        assert!(matches!(Registry::open(&path), Err(SchemaError::Store(StoreError::Locked { .. }))));
    }

    #[test]
    fn a_folder_that_does_not_exist_is_an_error() {
        let (folder, _) = file();
        let missing = folder.path().join("missing").join("schemas.ndjson");
        assert!(matches!(Registry::open(&missing), Err(SchemaError::Store(StoreError::Io { .. }))));
    }
}
