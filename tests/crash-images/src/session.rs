//! A session: a recording of one store's work, and crash images of it, over some generations: what a crash has left is opened again, works
//! on, and crashes again. Everything is drawn from the session's seed.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use platform::{Chance, db::Durability};
use rand::RngExt;
use sha2::{Digest, Sha256};

use crate::{
    disk::{Leaves, Left, Operation},
    image,
    recorder::{self, Options, Recording},
    store::Store,
};

/// How often a crash is followed by more work.
const GENERATIONS: u32 = 3;
/// One session of so many writes enough to turn the stores' buffers over.
const LARGE_ONE_IN: u64 = 16;

/// What to do.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub seed: u64,
    /// Crash images per generation.
    pub images: u32,
    /// Steps per generation.
    pub steps: u32,
    /// How the store is opened.
    pub opened: Durability,
    /// What it is held to; another one than it was opened with only to show that this is found.
    pub promised: Durability,
    pub options: Options,
}

impl Plan {
    #[must_use]
    pub const fn new(seed: u64, durability: Durability) -> Self {
        Self { seed, images: 40, steps: 20, opened: durability, promised: durability, options: Options { swallows_syncs: false } }
    }
}

/// What was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub images: u64,
    /// Images after which an acknowledged step was missing, all of them covered by what was promised.
    pub images_with_losses: u64,
    /// The most steps that one image had lost.
    pub most_lost: u64,
    pub operations: u64,
    /// Of the recordings: what kind of operation, on which node, where and how long, in order.
    pub digest: String,
}

impl Tally {
    pub fn add(&mut self, other: &Self) {
        self.images += other.images;
        self.images_with_losses += other.images_with_losses;
        self.most_lost = self.most_lost.max(other.most_lost);
        self.operations += other.operations;
        self.digest = hex::encode(Sha256::digest([self.digest.as_bytes(), other.digest.as_bytes()].concat()));
    }
}

/// A promise that was broken.
#[derive(Debug)]
pub struct Broken {
    pub store: &'static str,
    pub seed: u64,
    pub why: String,
    /// The image, for as long as this is held.
    pub kept: Option<tempfile::TempDir>,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, seed {}: {}", self.store, self.seed, self.why)
    }
}

/// What may be found after a crash: the states from the first of these steps to the last.
#[derive(Clone, Copy, Debug)]
struct Allowed {
    first: usize,
    last: usize,
}

/// Runs a session; the error tells of the first image that breaks the promise.
pub fn run<S: Store>(plan: &Plan) -> Result<Tally, Broken> {
    let broken = |why: String| Broken { store: S::NAME, seed: plan.seed, why, kept: None };
    let work = tempfile::tempdir_in(image::place()).map_err(|error| broken(error.to_string()))?;
    let mut session = Session::<S> {
        plan: *plan,
        chance: Chance::seeded(plan.seed),
        work: work.path().to_owned(),
        images: 0,
        states: vec![S::State::default()],
        tally: Tally::default(),
    };
    let mut root = work.path().join("root-0");
    std::fs::create_dir(&root).map_err(|error| broken(error.to_string()))?;
    for generation in 0..GENERATIONS {
        let before = session.states.len() - 1;
        let recording = session.record(&root, generation).map_err(|why| broken(format!("generation {generation}: {why}")))?;
        let next = work.path().join(format!("root-{}", generation + 1));
        match session.crash(&recording, before, generation, &next) {
            Ok(recovered) => session.states.truncate(recovered + 1),
            Err(why) => return Err(Broken { kept: Some(work), ..broken(format!("generation {generation}, {why}")) }),
        }
        root = next;
    }
    Ok(session.tally)
}

struct Session<S: Store> {
    plan: Plan,
    chance: Chance,
    work: PathBuf,
    /// How many were written, to name them.
    images: u64,
    /// After each step; the first is before all of them.
    states: Vec<S::State>,
    tally: Tally,
}

impl<S: Store> Session<S> {
    fn record(&mut self, root: &Path, generation: u32) -> Result<Recording, String> {
        let mut stream = self.chance.stream(S::NAME, &generation.to_string(), "steps");
        let is_large = self.plan.seed.is_multiple_of(LARGE_ONE_IN);
        let (plan, states) = (self.plan, &mut self.states);
        let (worked, recording) = recorder::record(root, plan.options, || {
            let mut store = S::open(root, plan.opened)?;
            for _ in 0..plan.steps {
                let (number, state) = (states.len(), &states[states.len() - 1]);
                let step = S::draw(state, &mut stream, is_large);
                let after = S::after(state, &step);
                states.push(after);
                recorder::begun(number);
                store = store.take(&step)?;
                recorder::acknowledged(number);
                let seen = store.state()?;
                if seen != states[number] {
                    return Err(format!("without a crash, step {number} left something else than it should"));
                }
            }
            store.close();
            Ok(())
        })?;
        worked?;
        self.tally.operations += recording.operations.len() as u64;
        self.tally.digest = digest(&self.tally.digest, &recording.operations);
        Ok(recording)
    }

    /// Makes the images of a generation and looks at each. Writes one more as the beginning of the next generation, and answers which
    /// step that one has come back to.
    fn crash(&mut self, recording: &Recording, before: usize, generation: u32, next: &Path) -> Result<usize, String> {
        let mut stream = self.chance.stream(S::NAME, &generation.to_string(), "crashes");
        let count = recording.operations.len();
        let mut moments: Vec<usize> = (0..self.plan.images).map(|_| stream.random_range(0..count)).collect();
        moments.sort_unstable();
        let chosen = stream.random_range(0..moments.len());
        let mut disk = recording.baseline.clone();
        let mut waiting = moments.into_iter().enumerate().peekable();
        let (mut acknowledged, mut begun) = (before, before);
        let mut recovered = None;
        for (number, operation) in recording.operations.iter().enumerate() {
            disk.apply(operation);
            match operation {
                Operation::Begun(step) => begun = *step,
                Operation::Acknowledged(step) => acknowledged = *step,
                _ => {}
            }
            while let Some((image, _)) = waiting.next_if(|(_, moment)| *moment == number) {
                let leaves = Leaves::drawn(&mut stream);
                let left = disk.crash(leaves, &mut stream);
                // When only the process ends, what it has written is there with either promise.
                let is_kept = self.plan.promised == Durability::Power || leaves == Leaves::Everything;
                let allowed = Allowed { first: if is_kept { acknowledged } else { before }, last: begun };
                let at = format!("after operation {number} of {count} ({}), {leaves:?}", short(operation));
                let path = self.write(&left).map_err(|why| format!("{at}: {why}"))?;
                let step = self.judge(&path, allowed).map_err(|why| format!("{at}: {why}; the image was {}", path.display()))?;
                let lost = acknowledged.saturating_sub(step) as u64;
                self.tally.images += 1;
                self.tally.images_with_losses += u64::from(lost > 0);
                self.tally.most_lost = self.tally.most_lost.max(lost);
                if image == chosen {
                    image::write(&left, next).map_err(|error| error.to_string())?;
                    recovered = Some(step);
                }
            }
        }
        recovered.ok_or_else(|| "no image was made".to_owned())
    }

    fn write(&mut self, left: &Left) -> Result<PathBuf, String> {
        self.images += 1;
        let path = self.work.join(format!("image-{}", self.images));
        image::write(left, &path).map_err(|error| error.to_string())?;
        Ok(path)
    }

    /// Opens an image and finds the step whose state it holds.
    fn judge(&self, path: &Path, allowed: Allowed) -> Result<usize, String> {
        let store = S::open(path, self.plan.opened).map_err(|why| format!("it cannot be opened: {why}"))?;
        let found = store.state();
        let goes_on = store.goes_on();
        // Not waited for: nothing else looks at this folder any more.
        drop(store);
        let found = found?;
        let Allowed { first, last } = allowed;
        let step = (first..=last).rev().find(|step| self.states[*step] == found).ok_or_else(|| {
            match self.states.iter().position(|state| *state == found) {
                Some(step) if step < first => format!("step {step} is the last that is there, but {first} was acknowledged"),
                Some(step) => format!("step {step} is there, which had not begun"),
                None => format!("it holds no state that there ever was (steps {first} to {last} were expected)"),
            }
        })?;
        goes_on.map_err(|why| format!("it takes no more: {why}"))?;
        // Of a temporary folder: what cannot be removed now goes with it.
        drop(std::fs::remove_dir_all(path));
        Ok(step)
    }
}

fn short(operation: &Operation) -> String {
    match operation {
        Operation::Write { file, offset, bytes } => format!("write of {} bytes to file {file} at {offset}", bytes.len()),
        other => format!("{other:?}"),
    }
}

/// Names are not in it: those of temporary files are the machine's chance.
fn digest(before: &str, operations: &[Operation]) -> String {
    let mut digest = Sha256::new_with_prefix(before);
    for operation in operations {
        digest.update(match operation {
            Operation::Create { folder, node, .. } => format!("create {node:?} in {folder}"),
            Operation::Rename { folder, .. } => format!("rename in {folder}"),
            Operation::Unlink { folder, .. } => format!("unlink in {folder}"),
            other => short(other),
        });
    }
    hex::encode(digest.finalize())
}
