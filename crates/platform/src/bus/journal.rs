//! Reads the engine's journal before the engine does: cuts off a commit that a power cut has left torn, and holds the commits' numbers against
//! each other.
//!
//! The engine writes a commit without a sync after each byte, so of the last one any part may be there. It drops a commit that has no end,
//! but where beginning and end are there and something between them is not, its checksum fails, and the engine refuses the whole log
//! (seen with fjall 3.1.13). Nobody was told that such a commit is safe, so it goes. Damage further up is another thing: what comes after
//! it was acknowledged, and to cut that off would be to lose it, so the log stays refused.
//!
//! A commit's number is outside of its checksum. With one that is too small the engine leaves the commit out and says nothing; with one that is
//! too large it panics at the next commit. Numbers only rise, so one that does not is damage. A power cut leaves whole pages out, and with them
//! more than the number: there is nothing to cut here.

use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use bytes::Buf;
use xxhash_rust::xxh3::xxh3_64;

use super::Durability;

/// The kinds of entries, and what follows the checksum at the end of a commit.
const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const TRAILER: &[u8] = b"FJL\x03";
/// The engine panics at numbers from here on.
const END_OF_NUMBERS: u64 = 1 << 63;

/// A commit in the journal: where it begins, and what it is.
#[derive(Debug, PartialEq, Eq)]
struct Commit {
    start: usize,
    number: u64,
    /// It has as many items as it should, and their checksum.
    is_whole: bool,
    /// Somebody waited for it to be safe: it holds more than offsets.
    is_waited_for: bool,
}

/// Cuts the journal before its first commit whose checksum fails, if a power cut can have done that; says whether it did.
pub(super) fn cut_torn_tail(folder: &Path, durability: Durability) -> io::Result<bool> {
    let Some(path) = active(folder)? else { return Ok(false) };
    let bytes = std::fs::read(&path)?;
    let commits = commits(&bytes);
    let Some(torn) = commits.iter().position(|commit| !commit.is_whole) else { return Ok(false) };
    let (start, later) = (commits[torn].start, &commits[torn + 1..]);
    // A commit that is waited for is synced with all before it, before the next one is written.
    let was_synced = later.iter().rev().skip(1).any(|commit| commit.is_waited_for) || (commits[torn].is_waited_for && !later.is_empty());
    if was_synced && durability == Durability::Power {
        return Err(io::Error::other(format!(
            "the commit at byte {start} of {} has changed since it was acknowledged; if the log was last used with durability = \"process\", \
             start once with that to cut it there",
            path.display()
        )));
    }
    let file = std::fs::OpenOptions::new().write(true).open(&path)?;
    file.set_len(start as u64)?;
    file.sync_all()?;
    tracing::warn!(path = %path.display(), byte = start, commits = later.len() + 1, "the event log is cut before a commit that was not wholly written");
    Ok(true)
}

/// Whether the numbers of the commits rise as far as the commits are whole; [`ErrorKind::InvalidData`] names the first that does not.
pub(super) fn check_order(folder: &Path) -> io::Result<()> {
    let mut newest = None;
    for path in journals(folder)? {
        let bytes = std::fs::read(&path)?;
        for commit in commits(&bytes).iter().take_while(|commit| commit.is_whole) {
            if newest >= Some(commit.number) || commit.number >= END_OF_NUMBERS {
                let (start, number, path) = (commit.start, commit.number, path.display());
                let what = format!("the commit at byte {start} of {path} has the number {number}, which is not what was written there");
                return Err(io::Error::new(ErrorKind::InvalidData, what));
            }
            newest = Some(commit.number);
        }
    }
    Ok(())
}

/// The journal that is written to: the last one.
fn active(folder: &Path) -> io::Result<Option<PathBuf>> {
    Ok(journals(folder)?.pop())
}

/// All journals, the oldest first; none where there is no folder.
fn journals(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut journals = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if let Some(number) = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".jnl")?.parse::<u64>().ok()) {
            journals.push((number, path));
        }
    }
    journals.sort_unstable();
    Ok(journals.into_iter().map(|(_, path)| path).collect())
}

/// The commits that have an end. Behind the first thing that is none the engine looks no further, and cuts by itself.
fn commits(bytes: &[u8]) -> Vec<Commit> {
    let (mut commits, mut rest) = (Vec::new(), bytes);
    while let Some(commit) = take_commit(bytes.len(), &mut rest) {
        commits.push(commit);
    }
    commits
}

fn take_commit(length: usize, rest: &mut &[u8]) -> Option<Commit> {
    let start = length - rest.len();
    if rest.try_get_u8().ok()? != START {
        return None;
    }
    let (count, number) = (rest.try_get_u32_le().ok()?, rest.try_get_u64_le().ok()?);
    let (items, mut found, mut is_waited_for) = (*rest, 0_u32, false);
    loop {
        let so_far = items.len() - rest.len();
        match rest.try_get_u8().ok()? {
            ITEM => {
                let (_kind, _compression, _keyspace) = (rest.try_get_u8().ok()?, rest.try_get_u8().ok()?, rest.try_get_u64_le().ok()?);
                let key = usize::from(rest.try_get_u16_le().ok()?);
                let (value, stored) = (rest.try_get_u32_le().ok()?, rest.try_get_u32_le().ok()?);
                if value != stored {
                    // Nothing is compressed here: its head is torn, and where it ends is not known.
                    return Some(Commit { start, number, is_whole: false, is_waited_for: true });
                }
                is_waited_for |= rest.first().is_some_and(|kind| *kind != b'o');
                *rest = rest.get(key + usize::try_from(value).ok()?..)?;
                found = found.saturating_add(1);
            }
            END => {
                let checksum = rest.try_get_u64_le().ok()?;
                *rest = rest.strip_prefix(TRAILER)?;
                let is_whole = found == count && xxh3_64(&items[..so_far]) == checksum;
                return Some(Commit { start, number, is_whole, is_waited_for });
            }
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{
        super::{
            disk::Disk,
            store::{Change, Store},
        },
        *,
    };

    /// A log of three commits, and its journal.
    fn log(keys: [&str; 3]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::open(folder.path(), Durability::Power).unwrap();
        for key in keys {
            disk.commit(vec![Change::Put(key.into(), Bytes::from(vec![b'v'; 10_000]))], true).unwrap();
        }
        drop(disk);
        let journal = active(folder.path()).unwrap().unwrap();
        (folder, journal)
    }

    /// A page in the middle of a commit never reached the disk.
    fn tear(journal: &Path, commit: usize) {
        let mut bytes = std::fs::read(journal).unwrap();
        let start = commits(&bytes)[commit].start;
        bytes[start + 4_096..start + 8_192].fill(0);
        std::fs::write(journal, bytes).unwrap();
    }

    #[test]
    fn a_last_commit_that_is_torn_is_cut_off() {
        let (folder, journal) = log(["e1", "e2", "e3"]);
        tear(&journal, 2);
        let disk = Disk::open(folder.path(), Durability::Power).unwrap();
        assert!(disk.get(b"e2").unwrap().is_some());
        assert_eq!(disk.get(b"e3").unwrap(), None);
        disk.commit(vec![Change::Put(b"e3".to_vec(), Bytes::from_static(b"again"))], true).unwrap();
        drop(disk);
        assert_eq!(Disk::open(folder.path(), Durability::Power).unwrap().get(b"e3").unwrap().unwrap(), "again");
    }

    #[test]
    fn a_commit_that_others_follow_has_not_been_torn_by_a_power_cut() {
        let (folder, journal) = log(["e1", "e2", "e3"]);
        tear(&journal, 1);
        let before = std::fs::read(&journal).unwrap();
        let error = Disk::open(folder.path(), Durability::Power).map(drop).unwrap_err();
        assert!(error.to_string().contains("backup"), "{error}");
        assert_eq!(std::fs::read(&journal).unwrap(), before, "nothing is touched");
        // Without an fsync in each commit any of them may be torn, and what is left before it is what there was at some time.
        let disk = Disk::open(folder.path(), Durability::Process).unwrap();
        assert!(disk.get(b"e1").unwrap().is_some());
        assert!(disk.get(b"e2").unwrap().is_none() && disk.get(b"e3").unwrap().is_none());
    }

    #[test]
    fn a_wrong_number_of_a_commit_is_told_and_nothing_is_touched() {
        const NUMBER: usize = 1 + 4;
        for (commit, byte, value) in [(0, 7, 0x80), (1, 0, 0xff), (1, 5, 1), (1, 7, 0xff), (2, 0, 0), (2, 7, 0xff)] {
            let (folder, journal) = log(["e1", "e2", "e3"]);
            check_order(folder.path()).unwrap();
            let mut bytes = std::fs::read(&journal).unwrap();
            let start = commits(&bytes)[commit].start;
            bytes[start + NUMBER + byte] = value;
            std::fs::write(&journal, &bytes).unwrap();
            for durability in [Durability::Power, Durability::Process] {
                let error = Disk::open(folder.path(), durability).map(drop).unwrap_err();
                let cause = crate::with_causes(&error);
                assert!(
                    cause.contains("the commit at byte") && cause.contains(&journal.display().to_string()),
                    "{commit}, {byte}: {cause}"
                );
            }
            assert_eq!(std::fs::read(&journal).unwrap(), bytes, "nothing is touched");
        }
    }

    #[test]
    fn offsets_are_stored_without_a_wait_so_one_commit_after_them_may_be_there() {
        let (folder, journal) = log(["e1", "o2", "e3"]);
        tear(&journal, 1);
        let disk = Disk::open(folder.path(), Durability::Power).unwrap();
        assert!(disk.get(b"e1").unwrap().is_some());
        assert!(disk.get(b"o2").unwrap().is_none() && disk.get(b"e3").unwrap().is_none());
        let (folder, journal) = log(["o1", "e2", "e3"]);
        tear(&journal, 0);
        assert!(Disk::open(folder.path(), Durability::Power).is_err(), "e2 was acknowledged, and o1 with it");
    }
}
