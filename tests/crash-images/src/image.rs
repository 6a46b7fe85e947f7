//! Writes an image out, to be opened as a data folder.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use crate::disk::Left;

/// Where images are written: memory when the machine has a folder for that.
#[must_use]
pub fn place() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() }
}

/// Writes what is left into a folder that is not there yet.
pub fn write(left: &Left, path: &Path) -> io::Result<()> {
    match left {
        Left::Folder(names) => {
            std::fs::create_dir(path)?;
            names.iter().try_for_each(|(name, left)| write(left, &path.join(name)))
        }
        Left::File(content) => {
            let file = File::create(path)?;
            file.set_len(content.size)?;
            content.runs().try_for_each(|(offset, bytes)| file.write_all_at(bytes, offset))
        }
    }
}
