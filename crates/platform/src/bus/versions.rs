//! Holds the engine's list of its own files against its checksum, before the engine reads it.
//!
//! Each of its trees keeps a file `current` with the number of the newest list, `vN`, and the checksum of that. The engine writes the
//! checksum and does not look at it again (seen with lsm-tree 3.1): one wrong byte in the list and it may ask the system for 280 GB, which ends
//! the process. A list that is not what was written is damage, and is told as that.

use std::{
    io::{self, ErrorKind},
    path::Path,
};

use bytes::Buf;
use xxhash_rust::xxh3::xxh3_128;

/// The number of the list, its checksum, the kind of checksum.
const CURRENT_BYTES: usize = 8 + 16 + 1;
const XXH3: u8 = 0;

/// Whether the newest list of each tree is what was written; [`ErrorKind::InvalidData`] names one that is not. What is not there at all the
/// engine says best itself.
pub(super) fn check(folder: &Path) -> io::Result<()> {
    let trees = match std::fs::read_dir(folder.join("keyspaces")) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        trees => trees?,
    };
    for tree in trees {
        let tree = tree?.path();
        let Some(current) = read(&tree.join("current"))? else { continue };
        let mut fields = current.as_slice();
        if fields.len() < CURRENT_BYTES {
            return Err(changed(&tree.join("current")));
        }
        let (number, checksum, kind) = (fields.get_u64_le(), fields.get_u128_le(), fields.get_u8());
        let path = tree.join(format!("v{number}"));
        let Some(list) = read(&path)? else { continue };
        if kind != XXH3 || xxh3_128(&list) != checksum {
            return Err(changed(&path));
        }
    }
    Ok(())
}

fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        read => read.map(Some),
    }
}

fn changed(path: &Path) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("{} is not what was written there", path.display()))
}
