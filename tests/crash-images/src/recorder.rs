//! Notes what is done to the files of one folder, in one order for all threads, and what the store acknowledged in between. It can also
//! refuse: a [`Fault`] makes the calls on some files fail as a disk's would.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    os::unix::fs::{DirEntryExt, MetadataExt},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::{
    disk::{Disk, Node, Operation},
    interpose,
};

static RECORDING: AtomicBool = AtomicBool::new(false);
static REFUSES_READS: AtomicBool = AtomicBool::new(false);
/// The recorder at work; the C library's functions have no other way to it.
static RECORDER: Mutex<Option<Recorder>> = Mutex::new(None);
/// One recording at a time in a process.
static TURN: Mutex<()> = Mutex::new(());

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn is_recording() -> bool {
    RECORDING.load(Ordering::Acquire)
}

pub(crate) fn refuses_reads() -> bool {
    REFUSES_READS.load(Ordering::Acquire)
}

pub(crate) fn with<T>(work: impl FnOnce(Option<&mut Recorder>) -> T) -> T {
    work(locked(&RECORDER).as_mut())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    Open,
    OpenToWrite,
    Read,
    Write,
    Cut,
    Sync,
    Map,
}

/// Calls that fail.
#[derive(Clone, Debug)]
pub struct Fault {
    pub call: Call,
    /// A part of the path of the files that it is about.
    pub on: String,
    /// The system's error number.
    pub number: i32,
    /// How many calls go well before the first that fails.
    pub after: u32,
    /// How many fail.
    pub times: u32,
}

/// How to record.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Planted: every sync is made but counts for nothing, as on a disk that lies.
    pub swallows_syncs: bool,
}

/// What was recorded.
#[derive(Debug)]
pub struct Recording {
    /// What was in the folder before.
    pub baseline: Disk,
    pub operations: Vec<Operation>,
}

/// Of a folder: its entries by name, each with the number of its inode and whether it is a folder.
type Names = BTreeMap<OsString, (u64, bool)>;

pub(crate) struct Recorder {
    root: PathBuf,
    device: u64,
    names: BTreeMap<PathBuf, Names>,
    /// By inode. One that is used again is another node.
    nodes: BTreeMap<u64, Node>,
    paths: BTreeMap<Node, PathBuf>,
    next: u32,
    operations: Vec<Operation>,
    faults: Vec<Fault>,
    swallows_syncs: bool,
    void: Option<String>,
}

/// Records what `work` makes of a folder. An error when something was done that cannot be recorded.
pub fn record<T>(root: &Path, options: Options, work: impl FnOnce() -> T) -> Result<(T, Recording), String> {
    let _turn = locked(&TURN);
    let (baseline, recorder) = interpose::unrecorded(|| Recorder::new(root, options))?;
    *locked(&RECORDER) = Some(recorder);
    RECORDING.store(true, Ordering::Release);
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
    RECORDING.store(false, Ordering::Release);
    REFUSES_READS.store(false, Ordering::Release);
    let recorder = locked(&RECORDER).take();
    let result = result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    let Some(mut recorder) = recorder else { return Err("the recorder is gone".into()) };
    interpose::unrecorded(|| recorder.look_around());
    if let Some(why) = recorder.void {
        return Err(why);
    }
    let recording = Recording { baseline, operations: recorder.operations };
    let mut played = recording.baseline.clone();
    recording.operations.iter().for_each(|operation| played.apply(operation));
    let found = interpose::unrecorded(|| Disk::read(root)).map_err(|error| error.to_string())?.0;
    played.differs_from(&found).map_or(Ok((result, recording)), |difference| Err(format!("not all was recorded: {difference}")))
}

/// Notes, between the operations, that a step has begun.
pub fn begun(step: usize) {
    mark(Operation::Begun(step));
}

/// Notes, between the operations, that a step was acknowledged.
pub fn acknowledged(step: usize) {
    mark(Operation::Acknowledged(step));
}

fn mark(operation: Operation) {
    interpose::unrecorded(|| {
        with(|recorder| {
            if let Some(recorder) = recorder {
                recorder.look_around();
                recorder.operations.push(operation);
            }
        });
    });
}

/// Sets what fails from now on in the recording at hand; nothing to let everything go well again.
pub fn set_faults(faults: Vec<Fault>) {
    REFUSES_READS.store(faults.iter().any(|fault| fault.call == Call::Read), Ordering::Release);
    interpose::unrecorded(|| {
        with(|recorder| {
            if let Some(recorder) = recorder {
                recorder.faults = faults;
            }
        });
    });
}

impl Recorder {
    fn new(root: &Path, options: Options) -> Result<(Disk, Self), String> {
        let root = root.canonicalize().map_err(|error| error.to_string())?;
        let device = root.metadata().map_err(|error| error.to_string())?.dev();
        let (baseline, found) = Disk::read(&root).map_err(|error| error.to_string())?;
        let nodes: BTreeMap<u64, Node> = found.iter().map(|(_, inode, node)| (*inode, *node)).collect();
        let paths: BTreeMap<Node, PathBuf> = found.into_iter().map(|(path, _, node)| (node, path)).collect();
        let next = baseline.next_number();
        let mut recorder = Self {
            root,
            device,
            names: BTreeMap::new(),
            nodes,
            paths,
            next,
            operations: Vec::new(),
            faults: Vec::new(),
            swallows_syncs: options.swallows_syncs,
            void: None,
        };
        recorder.names = recorder.seen();
        Ok((baseline, recorder))
    }

    pub fn void(&mut self, why: String) {
        self.void.get_or_insert(why);
    }

    /// What a descriptor is of, when it is of this folder.
    pub fn node_of(&mut self, descriptor: i32) -> Option<u32> {
        let (device, inode) = interpose::device_and_inode(descriptor)?;
        if device != self.device || !self.nodes.contains_key(&inode) {
            return None;
        }
        self.look_around();
        self.nodes.get(&inode).map(|node| node.number())
    }

    pub fn is_below(&self, path: &Path) -> bool {
        path.starts_with(&self.root)
    }

    /// The file of this name.
    pub fn file_at(&mut self, path: &Path) -> Option<u32> {
        self.look_around();
        let (inode, _) = self.names.get(path.parent()?)?.get(path.file_name()?)?;
        self.nodes.get(inode).map(|node| node.number())
    }

    pub fn refusal(&mut self, node: u32, call: Call) -> Option<i32> {
        if self.faults.is_empty() {
            return None;
        }
        let path = self.paths.iter().find(|(known, _)| known.number() == node).map(|(_, path)| path.display().to_string())?;
        self.refused(&path, call)
    }

    pub fn refusal_to_open(&mut self, path: &Path, writes: bool) -> Option<i32> {
        let path = path.display().to_string();
        let refused = self.refused(&path, Call::Open);
        if writes { refused.or_else(|| self.refused(&path, Call::OpenToWrite)) } else { refused }
    }

    fn refused(&mut self, path: &str, call: Call) -> Option<i32> {
        let fault = self.faults.iter_mut().find(|fault| fault.call == call && fault.times > 0 && path.contains(&fault.on))?;
        if fault.after > 0 {
            fault.after -= 1;
            return None;
        }
        fault.times -= 1;
        Some(fault.number)
    }

    pub fn wrote(&mut self, file: u32, offset: u64, bytes: &[u8]) {
        self.operations.push(Operation::Write { file, offset, bytes: Arc::from(bytes) });
    }

    pub fn cut(&mut self, file: u32, length: u64) {
        self.operations.push(Operation::Cut { file, length });
    }

    pub fn synced(&mut self, node: u32) {
        if !self.swallows_syncs {
            self.operations.push(Operation::Sync { node });
        }
    }

    /// What is written through memory is not seen. SQLite does that with its `-shm` only, which no image has.
    pub fn mapped(&mut self, file: u32) {
        let path = self.paths.get(&Node::File(file)).map(|path| path.display().to_string()).unwrap_or_default();
        if !path.ends_with("-shm") {
            self.void(format!("{path} is written through memory, which is not recorded"));
        }
    }

    /// The folders as they are.
    fn seen(&self) -> BTreeMap<PathBuf, Names> {
        let mut folders = vec![self.root.clone()];
        let mut seen = BTreeMap::new();
        while let Some(folder) = folders.pop() {
            let mut names = Names::new();
            for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
                let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
                if is_folder {
                    folders.push(entry.path());
                }
                names.insert(entry.file_name(), (entry.ino(), is_folder));
            }
            seen.insert(folder, names);
        }
        seen
    }

    /// Notes what has become of the names since the last look.
    pub fn look_around(&mut self) {
        let mut seen = self.seen();
        if seen == self.names {
            return;
        }
        // A look is not one moment: what changes meanwhile may be seen twice or not at all. So it is looked at until two looks agree.
        loop {
            let again = self.seen();
            if again == seen {
                break;
            }
            seen = again;
        }
        let before = std::mem::replace(&mut self.names, seen.clone());
        for (path, names) in seen {
            let known = before.get(&path).cloned().unwrap_or_default();
            self.compare(&path, &known, &names, &before);
        }
    }

    fn compare(&mut self, path: &Path, known: &Names, names: &Names, before: &BTreeMap<PathBuf, Names>) {
        let Some(folder) = self.paths.iter().find(|(_, known)| *known == path).map(|(node, _)| node.number()) else {
            return self.void(format!("{} came from nowhere", path.display()));
        };
        let mut gone: BTreeMap<OsString, u64> =
            known.iter().filter(|(name, entry)| names.get(*name) != Some(entry)).map(|(name, entry)| (name.clone(), entry.0)).collect();
        for (name, (inode, is_folder)) in names.iter().filter(|(name, entry)| known.get(*name) != Some(entry)) {
            let at = path.join(name);
            let old_name = gone.iter().find(|(_, old)| *old == inode).map(|(name, _)| name.clone());
            if let (Some(from), Some(node)) = (old_name, self.nodes.get(inode).copied()) {
                gone.remove(&from);
                gone.remove(name);
                self.forget_path(&at);
                self.paths.insert(node, at);
                self.operations.push(Operation::Rename { folder, from, to: name.clone() });
                continue;
            }
            if before.iter().any(|(other, names)| other != path && names.values().any(|entry| entry.0 == *inode)) {
                self.void(format!("{} was moved between folders or has two names", at.display()));
            }
            let node = if *is_folder { Node::Folder(self.next) } else { Node::File(self.next) };
            self.next += 1;
            self.nodes.insert(*inode, node);
            self.forget_path(&at);
            self.paths.insert(node, at.clone());
            if gone.remove(name).is_some() {
                self.operations.push(Operation::Unlink { folder, name: name.clone() });
            }
            self.operations.push(Operation::Create { folder, name: name.clone(), node });
            if !*is_folder && at.metadata().is_ok_and(|status| status.len() > 0) {
                self.void(format!("{} was there before it was opened", at.display()));
            }
        }
        for name in gone.into_keys() {
            self.forget_path(&path.join(&name));
            self.operations.push(Operation::Unlink { folder, name });
        }
    }

    fn forget_path(&mut self, path: &Path) {
        self.paths.retain(|_, known| known != path);
    }
}
