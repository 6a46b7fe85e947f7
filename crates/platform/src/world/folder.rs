//! The data folder: it belongs to one process at a time, and to the version that wrote it.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{ErrorKind, Write},
    path::Path,
};

use rand::RngExt;

use crate::{auth::Secret, chance::Chance};

/// The layout that this program writes.
const LAYOUT: &str = "crashcart-data 1";
/// The file that names the layout.
const MARK: &str = "LAYOUT";
/// The same while it is being written.
const UNFINISHED_MARK: &str = "LAYOUT.new";
/// The file whose lock is held by the process that works here.
const LOCK: &str = "LOCK";

#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    #[error("the data folder {path} is in use by another crashcart; stop that one, or name another folder with --data")]
    InUse { path: String },
    #[error(
        "the data folder {path} has the layout `{found}`, this program knows `{LAYOUT}`; use the version that wrote it, or another folder"
    )]
    Layout { path: String, found: String },
    #[error("the folder {path} is not empty and no data folder of crashcart; name another one with --data")]
    Foreign { path: String },
    #[error("the data folder {path} cannot be used: {source}; mend that, or name another folder with --data")]
    Io { path: String, source: std::io::Error },
}

/// Holds a data folder for this process; let go when dropped.
#[derive(Debug)]
pub struct Held {
    _lock: File,
}

/// Looks whether a folder can be taken, and changes nothing: what is wrong with it is to be told before anything else is done.
pub fn look(folder: &Path) -> Result<(), FolderError> {
    if is_fresh(folder)? {
        return Ok(());
    }
    match File::open(folder.join(LOCK)) {
        Ok(lock) => take(folder, &lock),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(source) => Err(io(folder)(source)),
    }
}

/// Opens or makes a data folder and takes it for this process.
pub fn hold(folder: &Path) -> Result<Held, FolderError> {
    if is_fresh(folder)? {
        std::fs::create_dir_all(folder).map_err(io(folder))?;
        // Whole or not at all: half a mark would be that of no version.
        let unfinished = folder.join(UNFINISHED_MARK);
        let written = std::fs::write(&unfinished, format!("{LAYOUT}\n")).and_then(|()| std::fs::rename(&unfinished, folder.join(MARK)));
        written.map_err(io(folder))?;
    }
    let lock = OpenOptions::new().create(true).truncate(false).write(true).open(folder.join(LOCK)).map_err(io(folder))?;
    take(folder, &lock)?;
    Ok(Held { _lock: lock })
}

/// Whether nothing is there yet; an error for a folder that is no data folder of this version.
fn is_fresh(folder: &Path) -> Result<bool, FolderError> {
    let path = || folder.display().to_string();
    let fresh = match std::fs::read_dir(folder) {
        Ok(mut entries) => entries.all(|entry| entry.is_ok_and(|entry| entry.file_name() == UNFINISHED_MARK)),
        Err(error) if error.kind() == ErrorKind::NotFound => true,
        Err(source) => return Err(io(folder)(source)),
    };
    match std::fs::read_to_string(folder.join(MARK)) {
        Ok(found) if found.trim() == LAYOUT => Ok(false),
        Ok(found) => Err(FolderError::Layout { path: path(), found: found.trim().chars().take(60).collect() }),
        Err(error) if error.kind() == ErrorKind::NotFound && fresh => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(FolderError::Foreign { path: path() }),
        Err(source) => Err(io(folder)(source)),
    }
}

fn take(folder: &Path, lock: &File) -> Result<(), FolderError> {
    match lock.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(FolderError::InUse { path: folder.display().to_string() }),
        Err(TryLockError::Error(source)) => Err(io(folder)(source)),
    }
}

fn io(folder: &Path) -> impl FnOnce(std::io::Error) -> FolderError {
    let path = folder.display().to_string();
    move |source| FolderError::Io { path, source }
}

/// Whether a process holds this data folder now; the files of one that was killed say nothing of that.
#[must_use]
pub fn is_held(folder: &Path) -> bool {
    let lock = OpenOptions::new().write(true).open(folder.join(LOCK));
    lock.is_ok_and(|lock| matches!(lock.try_lock(), Err(TryLockError::WouldBlock)))
}

/// A secret of this data folder: made at the first start, readable by its owner only, the same from then on.
pub fn secret(folder: &Path, name: &str, chance: Chance) -> Result<Secret, FolderError> {
    let path = folder.join(name);
    let io = |source| FolderError::Io { path: path.display().to_string(), source };
    let empty = || io(std::io::Error::other("the secret in it cannot be used"));
    match std::fs::read_to_string(&path) {
        Ok(secret) if !secret.trim().is_empty() => return Secret::new(secret.trim()).map_err(|_| empty()),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(source) => return Err(io(source)),
    }
    let mut bytes = [0_u8; 32];
    chance.stream("platform", name, "secret").fill(&mut bytes);
    let secret = hex::encode(bytes);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&path).map_err(io)?;
    file.write_all(secret.as_bytes()).and_then(|()| file.sync_all()).map_err(io)?;
    Secret::new(secret).map_err(|_| empty())
}
