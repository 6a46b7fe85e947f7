//! A disk under a recording: what of each file and folder is safe, what was done to it since, and what a crash may leave of that.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use platform::chance::Stream;
use rand::RngExt;
use sha2::{Digest, Sha256};

/// What a disk writes or does not, in bytes.
pub const PAGE: usize = 4_096;
/// What of a page is never torn, in bytes.
pub const SECTOR: usize = 512;

type Page = Arc<[u8; PAGE]>;

/// A file or a folder, by its number; no two of a disk have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Node {
    File(u32),
    Folder(u32),
}

impl Node {
    #[must_use]
    pub const fn number(self) -> u32 {
        let (Self::File(number) | Self::Folder(number)) = self;
        number
    }
}

/// What was done, in the order in which it was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    Write {
        file: u32,
        offset: u64,
        bytes: Arc<[u8]>,
    },
    Cut {
        file: u32,
        length: u64,
    },
    Sync {
        node: u32,
    },
    Create {
        folder: u32,
        name: OsString,
        node: Node,
    },
    Rename {
        folder: u32,
        from: OsString,
        to: OsString,
    },
    Unlink {
        folder: u32,
        name: OsString,
    },
    /// Nothing happened to the disk: a step of the store's work has begun.
    Begun(usize),
    /// A step was acknowledged.
    Acknowledged(usize),
}

/// The bytes of a file, page by page; a page that is not there is zeros.
#[derive(Clone, Default)]
pub struct Content {
    pub size: u64,
    pages: BTreeMap<u64, Page>,
}

/// Nobody reads pages of bytes: how many there are, and a digest.
impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut digest = Sha256::new();
        self.runs().for_each(|(offset, bytes)| {
            digest.update(offset.to_le_bytes());
            digest.update(bytes);
        });
        write!(f, "{} bytes {}", self.size, hex::encode(digest.finalize()))
    }
}

/// A piece of a write: the page, where in it, and what.
fn pieces(offset: u64, bytes: &[u8]) -> impl Iterator<Item = (u64, usize, &[u8])> {
    let first = (offset % PAGE as u64) as usize;
    let mut at = offset;
    let head = bytes.len().min(PAGE - first);
    let (head, tail) = bytes.split_at(head);
    std::iter::once(head).chain(tail.chunks(PAGE)).map(move |piece| {
        let place = (at / PAGE as u64, (at % PAGE as u64) as usize, piece);
        at += piece.len() as u64;
        place
    })
}

fn zeros() -> Page {
    Arc::new([0; PAGE])
}

fn put(page: &mut Page, at: usize, piece: &[u8]) {
    if let Some(place) = Arc::make_mut(page).get_mut(at..at + piece.len()) {
        place.copy_from_slice(piece);
    }
}

/// What is left of a page when its file is cut at `length`: nothing, or all up to there.
fn cut_page(page: &mut Page, number: u64, length: u64) {
    let kept = length.saturating_sub(number * PAGE as u64).min(PAGE as u64) as usize;
    if kept < PAGE {
        Arc::make_mut(page)[kept..].fill(0);
    }
}

impl Content {
    fn page(&self, number: u64) -> Page {
        self.pages.get(&number).cloned().unwrap_or_else(zeros)
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) {
        for (number, at, piece) in pieces(offset, bytes) {
            put(self.pages.entry(number).or_insert_with(zeros), at, piece);
        }
        self.size = self.size.max(offset + bytes.len() as u64);
    }

    fn cut(&mut self, length: u64) {
        if length < self.size {
            drop(self.pages.split_off(&length.div_ceil(PAGE as u64)));
            if let Some(page) = self.pages.get_mut(&(length / PAGE as u64)) {
                cut_page(page, length / PAGE as u64, length);
            }
        }
        self.size = length;
    }

    fn change(&mut self, change: &Change) {
        match change {
            Change::Write { offset, bytes } => self.write(*offset, bytes),
            Change::Cut(length) => self.cut(*length),
        }
    }

    /// Of the machine's own disk.
    fn read(path: &Path) -> std::io::Result<Self> {
        use std::io::Read;
        let mut file = std::fs::File::open(path)?;
        let mut content = Self { size: file.metadata()?.len(), pages: BTreeMap::new() };
        let mut page = [0_u8; PAGE];
        let mut number = 0;
        loop {
            let mut filled = 0;
            while filled < PAGE {
                match file.read(&mut page[filled..])? {
                    0 => break,
                    more => filled += more,
                }
            }
            if page[..filled] != [0; PAGE][..filled] {
                page[filled..].fill(0);
                content.pages.insert(number, Arc::new(page));
            }
            if filled < PAGE {
                return Ok(content);
            }
            number += 1;
        }
    }

    /// Runs of bytes that are not all zeros, by offset; the file is as long as `size` says.
    pub fn runs(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.pages.iter().map(|(number, page)| {
            let offset = number * PAGE as u64;
            let length = self.size.saturating_sub(offset).min(PAGE as u64) as usize;
            (offset, &page[..length])
        })
    }

    fn is_same(&self, other: &Self) -> bool {
        let zeros = zeros();
        let page = |of: &Self, number: &u64| of.pages.get(number).unwrap_or(&zeros).clone();
        self.size == other.size && self.pages.keys().chain(other.pages.keys()).all(|number| page(self, number) == page(other, number))
    }
}

#[derive(Clone, Debug)]
enum Change {
    Write { offset: u64, bytes: Arc<[u8]> },
    Cut(u64),
}

/// A file: what is safe, what was done since, and what a reader sees.
#[derive(Clone, Debug, Default)]
struct File {
    safe: Content,
    since: Vec<Change>,
    now: Content,
}

type Names = BTreeMap<OsString, Node>;

#[derive(Clone, Debug)]
enum NameChange {
    Put(OsString, Node),
    Rename(OsString, OsString),
    Remove(OsString),
}

fn change_names(names: &mut Names, change: &NameChange) {
    match change {
        NameChange::Put(name, node) => drop(names.insert(name.clone(), *node)),
        NameChange::Rename(from, to) => {
            if let Some(node) = names.remove(from) {
                names.insert(to.clone(), node);
            }
        }
        NameChange::Remove(name) => drop(names.remove(name)),
    }
}

#[derive(Clone, Debug, Default)]
struct Folder {
    safe: Names,
    since: Vec<NameChange>,
    now: Names,
}

/// How much of what was not synced a crash leaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Leaves {
    Nothing,
    /// As after the end of the process alone: the machine goes on and writes everything.
    Everything,
    /// Each page with this probability, and torn with that one.
    Some {
        share: f64,
        torn: f64,
    },
}

impl Leaves {
    pub fn drawn(stream: &mut Stream) -> Self {
        match stream.random_range(0..10) {
            0 => Self::Nothing,
            1 => Self::Everything,
            draw => {
                let share = [0.1, 0.3, 0.5, 0.9][draw % 4];
                Self::Some { share, torn: if stream.random_bool(0.5) { 0.3 } else { 0.0 } }
            }
        }
    }
}

/// What is there after a crash, from the root on.
#[derive(Debug)]
pub enum Left {
    File(Content),
    Folder(BTreeMap<OsString, Left>),
}

/// A folder of a disk and all below.
#[derive(Clone, Debug)]
pub struct Disk {
    files: BTreeMap<u32, File>,
    folders: BTreeMap<u32, Folder>,
}

const ROOT: u32 = 0;

impl Disk {
    /// A folder of the machine's own disk, all of it safe; and of each node its path and its inode.
    pub fn read(root: &Path) -> std::io::Result<(Self, Vec<(PathBuf, u64, Node)>)> {
        let mut disk = Self { files: BTreeMap::new(), folders: BTreeMap::new() };
        let mut found = vec![(root.to_owned(), root.metadata()?.ino(), Node::Folder(ROOT))];
        let (mut waiting, mut next) = (vec![(root.to_owned(), ROOT)], ROOT + 1);
        while let Some((path, number)) = waiting.pop() {
            let mut entries = std::fs::read_dir(&path)?.collect::<Result<Vec<_>, _>>()?;
            entries.sort_by_key(std::fs::DirEntry::file_name);
            let mut names = Names::new();
            for entry in entries {
                let at = entry.path();
                let node = if entry.file_type()?.is_dir() {
                    waiting.push((at.clone(), next));
                    Node::Folder(next)
                } else {
                    let content = if is_memory(&entry.file_name()) { Content::default() } else { Content::read(&at)? };
                    disk.files.insert(next, File { safe: content.clone(), since: Vec::new(), now: content });
                    Node::File(next)
                };
                next += 1;
                found.push((at, entry.metadata()?.ino(), node));
                names.insert(entry.file_name(), node);
            }
            disk.folders.insert(number, Folder { safe: names.clone(), since: Vec::new(), now: names });
        }
        Ok((disk, found))
    }

    /// The number of the next node.
    #[must_use]
    pub fn next_number(&self) -> u32 {
        self.files.keys().chain(self.folders.keys()).max().map_or(ROOT, |number| number + 1)
    }

    pub fn apply(&mut self, operation: &Operation) {
        match operation {
            Operation::Write { file, offset, bytes } => self.change(*file, Change::Write { offset: *offset, bytes: bytes.clone() }),
            Operation::Cut { file, length } => self.change(*file, Change::Cut(*length)),
            Operation::Sync { node } => {
                if let Some(file) = self.files.get_mut(node) {
                    file.since.clear();
                    file.safe = file.now.clone();
                } else if let Some(folder) = self.folders.get_mut(node) {
                    folder.since.clear();
                    folder.safe = folder.now.clone();
                }
            }
            Operation::Create { folder, name, node } => {
                match node {
                    Node::File(number) => drop(self.files.insert(*number, File::default())),
                    Node::Folder(number) => drop(self.folders.insert(*number, Folder::default())),
                }
                self.rename(*folder, NameChange::Put(name.clone(), *node));
            }
            Operation::Rename { folder, from, to } => self.rename(*folder, NameChange::Rename(from.clone(), to.clone())),
            Operation::Unlink { folder, name } => self.rename(*folder, NameChange::Remove(name.clone())),
            Operation::Begun(_) | Operation::Acknowledged(_) => {}
        }
    }

    fn change(&mut self, file: u32, change: Change) {
        if let Some(file) = self.files.get_mut(&file) {
            file.now.change(&change);
            file.since.push(change);
        }
    }

    fn rename(&mut self, folder: u32, change: NameChange) {
        if let Some(folder) = self.folders.get_mut(&folder) {
            change_names(&mut folder.now, &change);
            folder.since.push(change);
        }
    }

    /// What a crash in this moment leaves.
    pub fn crash(&self, leaves: Leaves, stream: &mut Stream) -> Left {
        self.crash_folder(ROOT, leaves, stream)
    }

    fn crash_folder(&self, number: u32, leaves: Leaves, stream: &mut Stream) -> Left {
        let Some(folder) = self.folders.get(&number) else { return Left::Folder(BTreeMap::new()) };
        let kept = match leaves {
            Leaves::Nothing => 0,
            Leaves::Everything => folder.since.len(),
            Leaves::Some { .. } => stream.random_range(0..=folder.since.len()),
        };
        let mut names = folder.safe.clone();
        folder.since.iter().take(kept).for_each(|change| change_names(&mut names, change));
        let mut left = BTreeMap::new();
        for (name, node) in names {
            match node {
                Node::Folder(number) => drop(left.insert(name, self.crash_folder(number, leaves, stream))),
                Node::File(number) => {
                    if let Some(file) = self.files.get(&number).filter(|_| !is_memory(&name)) {
                        left.insert(name, Left::File(file.crash(leaves, stream)));
                    }
                }
            }
        }
        Left::Folder(left)
    }

    /// What a reader of both would see to be different.
    #[must_use]
    pub fn differs_from(&self, other: &Self) -> Option<String> {
        self.folder_differs(ROOT, other, ROOT, Path::new(""))
    }

    fn folder_differs(&self, mine: u32, other: &Self, theirs: u32, path: &Path) -> Option<String> {
        let (mine, theirs) = (self.folders.get(&mine)?, other.folders.get(&theirs)?);
        let names: Vec<_> =
            [mine, theirs].iter().map(|folder| folder.now.keys().filter(|name| !is_memory(name)).collect::<Vec<_>>()).collect();
        if names[0] != names[1] {
            return Some(format!("`{}` holds {:?}, recorded was {:?}", path.display(), names[1], names[0]));
        }
        names[0].iter().find_map(|name| {
            let at = path.join(name);
            match (mine.now.get(*name)?, theirs.now.get(*name)?) {
                (Node::Folder(mine), Node::Folder(theirs)) => self.folder_differs(*mine, other, *theirs, &at),
                (Node::File(mine), Node::File(theirs)) => {
                    let (mine, theirs) = (&self.files.get(mine)?.now, &other.files.get(theirs)?.now);
                    (!mine.is_same(theirs)).then(|| format!("`{}` has {} bytes, recorded were {}", at.display(), theirs.size, mine.size))
                }
                _ => Some(format!("`{}` is of another kind", at.display())),
            }
        })
    }
}

fn is_memory(name: &std::ffi::OsStr) -> bool {
    name.as_encoded_bytes().ends_with(b"-shm")
}

/// A page as it was at one moment since the last sync, and where the file must at least end if it is there.
type Version = (Page, u64);

impl File {
    fn crash(&self, leaves: Leaves, stream: &mut Stream) -> Content {
        let (share, torn) = match leaves {
            Leaves::Nothing => return self.safe.clone(),
            Leaves::Everything => return self.now.clone(),
            Leaves::Some { share, torn } => (share, torn),
        };
        if self.since.is_empty() {
            return self.safe.clone();
        }
        let (mut content, versions) = self.versions(stream);
        let mut size = content.size;
        for (number, versions) in versions {
            let last = versions.len() - 1;
            let newer = if stream.random_bool(share) { last } else { stream.random_range(0..=last).min(stream.random_range(0..=last)) };
            let (page, end) = &versions[newer];
            let mut page = page.clone();
            if newer > 0 && stream.random_bool(torn) {
                let older = &versions[stream.random_range(0..newer)].0;
                for sector in 0..PAGE / SECTOR {
                    if stream.random_bool(0.5) {
                        let at = sector * SECTOR;
                        put(&mut page, at, &older[at..at + SECTOR]);
                    }
                }
            }
            size = size.max(*end);
            content.pages.insert(number, page);
        }
        // A size is a change of its own, and may be there before what it covers.
        if stream.random_bool(0.25) {
            size = size.max(self.now.size);
        }
        content.size = size;
        content
    }

    /// What is there in any case, given which cuts are, and of each page that was written since, its versions.
    fn versions(&self, stream: &mut Stream) -> (Content, BTreeMap<u64, Vec<Version>>) {
        let cuts = self.since.iter().filter(|change| matches!(change, Change::Cut(_))).count();
        let mut cuts_left = stream.random_range(0..=cuts);
        let (mut content, mut size) = (self.safe.clone(), self.safe.size);
        let mut versions: BTreeMap<u64, Vec<Version>> = BTreeMap::new();
        let mut lost_from = u64::MAX;
        for change in &self.since {
            match change {
                Change::Cut(length) if cuts_left > 0 => {
                    cuts_left -= 1;
                    for (number, versions) in &mut versions {
                        for (page, end) in versions.iter_mut() {
                            cut_page(page, *number, *length);
                            *end = (*end).min(*length);
                        }
                    }
                    content.cut(*length);
                    size = *length;
                }
                Change::Cut(length) => {
                    if *length < size {
                        lost_from = lost_from.min(*length);
                    }
                    size = *length;
                }
                Change::Write { offset, bytes } => {
                    for (number, at, piece) in pieces(*offset, bytes) {
                        let start = number * PAGE as u64 + at as u64;
                        let length = usize::try_from(lost_from.saturating_sub(start)).unwrap_or(PAGE).min(piece.len());
                        if length == 0 {
                            continue;
                        }
                        let known = versions.entry(number).or_insert_with(|| vec![(content.page(number), 0)]);
                        let (mut page, end) = known.last().cloned().unwrap_or_else(|| (zeros(), 0));
                        put(&mut page, at, &piece[..length]);
                        known.push((page, end.max(start + length as u64)));
                    }
                    size = size.max(*offset + bytes.len() as u64);
                }
            }
        }
        (content, versions)
    }
}
