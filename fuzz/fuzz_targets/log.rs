//! The files of an event log, damaged in any way: it opens and reads what is whole, or says that it is damaged. It never reads what was not
//! written, opened again it is what it was, and what it takes from then on stays.
#![no_main]

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use libfuzzer_sys::fuzz_target;
use platform::{
    Chance, Clock,
    bus::{Bus, BusError, Outgoing, TopicSettings},
    db::Durability,
    fault::Faults,
};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

const EVENTS: usize = 24;
const TOPIC: &str = "told";
const PARTITIONS: u32 = 2;
const DAMAGES_MAX: usize = 8;

/// What lies in a log, by partition and offset: key, value, headers.
type Told = BTreeMap<(u32, u64), (String, Vec<u8>, Vec<(String, String)>)>;

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().build().expect("a runtime can be made")
}

fn open(path: &Path, durability: Durability) -> Result<Bus, BusError> {
    let clock = Clock::real();
    Bus::open(path, durability, clock, Faults::new(clock, Chance::seeded(1)))
}

fn event(number: usize) -> Outgoing {
    let (key, value) = (format!("key-{}", number % 7), format!("value {number}").into());
    Outgoing { topic: TOPIC.into(), key, value, headers: vec![("ce_id".into(), number.to_string())] }
}

/// Everything that can be read, and that no offset is left out.
async fn read(bus: &Bus) -> Result<Told, BusError> {
    let mut told = Told::new();
    for (partition, end) in (0..).zip(bus.end_offsets(TOPIC)?) {
        let events = bus.read(TOPIC, partition, 0, usize::MAX).await?;
        assert_eq!(events.iter().map(|event| event.offset).collect::<Vec<_>>(), (0..end).collect::<Vec<_>>(), "no event is left out");
        told.extend(events.into_iter().map(|event| ((partition, event.offset), (event.key, event.value.to_vec(), event.headers.to_vec()))));
    }
    Ok(told)
}

/// A file: where it lies, what was written, and how many zeros follow. A new journal is as long as it will ever be; of its zeros none is damaged.
#[derive(Clone)]
struct File {
    path: PathBuf,
    written: Vec<u8>,
    zeros: usize,
}

/// A log, of whose files copies are damaged.
struct Whole {
    files: Vec<File>,
    told: Told,
}

fn whole() -> &'static Whole {
    static WHOLE: OnceLock<Whole> = OnceLock::new();
    WHOLE.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let told = runtime().block_on(async {
            let bus = open(folder.path(), Durability::Process).expect("a new log opens");
            bus.create_topic(TOPIC, TopicSettings { partitions: PARTITIONS, retention: None }).await.expect("a topic can be made");
            // One by one, and several as one.
            for number in (0..EVENTS).step_by(4) {
                bus.publish(vec![event(number)]).await.expect("an event can be published");
                bus.publish((number + 1..number + 4).map(event).collect()).await.expect("so can several");
            }
            read(&bus).await.expect("it can be read")
        });
        assert_eq!(told.len(), EVENTS);
        let mut files = Vec::new();
        collect(folder.path(), Path::new(""), &mut files);
        Whole { files, told }
    })
}

/// The files below a folder, in order, with their paths from there.
fn collect(folder: &Path, below: &Path, found: &mut Vec<File>) {
    let mut entries: Vec<_> = std::fs::read_dir(folder.join(below)).expect("a folder").flatten().collect();
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = below.join(entry.file_name());
        if entry.path().is_dir() {
            collect(folder, &path, found);
        } else {
            let mut written = std::fs::read(entry.path()).expect("a file");
            let length = written.len();
            written.truncate(written.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
            written.shrink_to_fit();
            found.push(File { path, zeros: length - written.len(), written });
        }
    }
}

/// A damage: which file, where in it (two bytes), what kind, with which byte.
type Damage = [u8; 5];

fn damaged(files: &[File], damages: &[Damage]) -> TempDir {
    let copy = tempfile::tempdir().expect("a folder can be made");
    let mut files = files.to_vec();
    for [file, high, low, kind, byte] in damages {
        let chosen = usize::from(*file) % files.len();
        let File { written, zeros, .. } = &mut files[chosen];
        let place = usize::from(u16::from_be_bytes([*high, *low])) % (written.len() + 1);
        match kind % 4 {
            0 if place < written.len() => written[place] = *byte,
            // A power cut: what was written last is not there, or there are zeros in its place.
            1 => {
                written.truncate(place);
                *zeros = 0;
            }
            2 => written.iter_mut().skip(place).take(usize::from(*byte) * 16).for_each(|byte| *byte = 0),
            _ => written.insert(place, *byte),
        }
    }
    for File { path, written, zeros } in files {
        let path = copy.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder can be made");
        std::fs::write(&path, &written).expect("a file can be written");
        let file = std::fs::OpenOptions::new().write(true).open(&path).expect("a file can be opened");
        file.set_len((written.len() + zeros) as u64).expect("and made longer");
    }
    copy
}

/// The engine may panic over a damaged file while it is opened; the log catches that and says that it is damaged. libFuzzer's hook would end
/// the process before. A panic that nobody catches still ends it.
fn let_the_engine_panic() {
    let abort = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let is_engine = panic.location().is_some_and(|place| ["/fjall-", "/lsm-tree-"].iter().any(|name| place.file().contains(name)));
        if !is_engine {
            abort(panic);
        }
    }));
}

fuzz_target!(
    init: let_the_engine_panic(),
    |data: &[u8]| {
        let [durability, damages @ ..] = data else { return };
        let (damages, _) = damages.as_chunks::<5>();
        let damages = &damages[..damages.len().min(DAMAGES_MAX)];
        let durability = if *durability == b'P' { Durability::Power } else { Durability::Process };
        let whole = whole();
        let copy = damaged(&whole.files, damages);
        let opened = open(copy.path(), durability);
        assert!(opened.is_ok() || !damages.is_empty(), "a whole log opens");
        let Ok(bus) = opened else {
            assert!(open(copy.path(), durability).is_err(), "what is damaged stays so until somebody mends it");
            return;
        };
        runtime().block_on(async {
            // Without its topic it is an empty log; so it is when its first commit was cut off.
            let Ok(told) = read(&bus).await else { return };
            assert!(told.iter().all(|(place, event)| whole.told.get(place) == Some(event)), "only what was written is read");
            assert!(!damages.is_empty() || told == whole.told, "all of a whole log is read");
            drop(bus);
            let bus = open(copy.path(), durability).expect("what was opened can be opened again");
            assert_eq!(read(&bus).await.expect("and read again"), told, "as the same");
            bus.publish(vec![event(EVENTS)]).await.expect("it takes another event");
            drop(bus);
            let bus = open(copy.path(), durability).expect("what was opened can be opened again");
            let now = read(&bus).await.expect("and read again");
            assert_eq!(now.len(), told.len() + 1, "what was taken stays");
            assert!(told.iter().all(|(place, event)| now.get(place) == Some(event)), "beside what was there");
        });
    }
);
