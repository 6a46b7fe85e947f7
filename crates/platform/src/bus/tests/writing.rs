//! What the bus promises about its writer and its folder.

use futures::FutureExt;

use super::{
    super::{
        memory::Memory,
        state::State,
        store::{Change, Store, StoreError},
    },
    *,
};

/// A store that counts its commits and can be made to fail.
#[derive(Default)]
struct Stubborn {
    memory: Memory,
    commits: Arc<std::sync::Mutex<Vec<(usize, bool)>>>,
    fails: Arc<std::sync::atomic::AtomicBool>,
    gate: Arc<std::sync::Mutex<()>>,
}

impl Store for Stubborn {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.memory.get(key)
    }

    fn commit(&self, changes: Vec<Change>, durable: bool) -> Result<(), StoreError> {
        let _open = self.gate.lock().unwrap();
        self.commits.lock().unwrap().push((changes.len(), durable));
        if self.fails.load(std::sync::atomic::Ordering::SeqCst) {
            return Err(StoreError::new(std::io::Error::other("the disk is gone")));
        }
        self.memory.commit(changes, durable)
    }

    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<(Bytes, Bytes)>, StoreError> {
        self.memory.scan(from, to, limit)
    }

    fn last_key(&self, prefix: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.memory.last_key(prefix)
    }
}

#[tokio::test(start_paused = true)]
async fn publishers_share_a_commit_and_its_failure() {
    let store = Stubborn::default();
    let (commits, fails, gate) = (store.commits.clone(), store.fails.clone(), store.gate.clone());
    let clock = Clock::simulated();
    let floor = Floor::Embedded(Embedded::with_writer(Box::new(store), clock).unwrap());
    let bus = Bus::over(floor, Faults::new(clock, Chance::seeded(1)));
    bus.create_topic("t", TopicSettings { partitions: 1, retention: None }).await.unwrap();
    commits.lock().unwrap().clear();
    for failing in [false, true] {
        fails.store(failing, std::sync::atomic::Ordering::SeqCst);
        let closed = gate.lock().unwrap();
        // Unconstrained: else the runtime's budget for one turn of a task may end before the last of them has queued up.
        let publish = |n: i32| bus.publish(vec![outgoing("t", "k", "v"), outgoing("t", &n.to_string(), "v")]);
        let mut publishers: Vec<_> = (0..50).map(|n| Box::pin(tokio::task::unconstrained(publish(n)))).collect();
        for publisher in &mut publishers {
            assert!(publisher.as_mut().now_or_never().is_none(), "it waits for the commit");
        }
        drop(closed);
        let answers = futures::future::join_all(publishers).await;
        let made = std::mem::take(&mut *commits.lock().unwrap());
        assert!(made.len() <= 2, "50 publishers, {} commits", made.len());
        assert_eq!(made.iter().map(|(changes, _)| changes).sum::<usize>(), 100);
        if failing {
            assert!(answers.iter().all(|answer| matches!(answer, Err(BusError::Store(_)))));
        } else {
            let offsets: Vec<_> = answers.into_iter().flat_map(|answer| answer.unwrap()).map(|(_, offset)| offset).collect();
            assert_eq!(offsets, (0..100).collect::<Vec<_>>(), "in the order of the calls");
        }
        assert_eq!(bus.end_offsets("t").unwrap(), [100]);
    }
    // An offset that could not be stored is not lost: the next commit takes it along, and it costs no fsync of its own.
    let mut reader = bus.subscribe("g", &["t"], "m").await.unwrap();
    reader.poll(1).await.unwrap();
    reader.commit(&[Position { topic: "t".into(), partition: 0, offset: 1 }]).unwrap();
    drop(reader);
    fails.store(false, std::sync::atomic::Ordering::SeqCst);
    let (shared, log) = (Arc::downgrade(&bus.embedded().shared), bus.embedded().shared.log.clone());
    drop(bus);
    assert!(shared.upgrade().is_none());
    assert_eq!(State::load(log.store.as_ref()).unwrap().groups["g"].committed[&(0, 0)], 1);
    assert_eq!(commits.lock().unwrap().last().map(|(_, durable)| *durable), Some(false));
    assert_eq!(Arc::strong_count(&log), 1, "the writer's thread has ended");
}

#[tokio::test(start_paused = true)]
async fn a_folder_in_use_or_damaged_is_a_clear_error() {
    let world = World::disk();
    world.topic("t", 1).await;
    world.publish("t", &[("k", "1")]).await;
    let World { bus, clock, faults, folder } = world;
    let folder = folder.unwrap();
    let open = || Bus::open(folder.path(), Durability::Power, clock, faults.clone());
    assert!(matches!(open(), Err(BusError::Locked(_))));
    drop(bus);
    let bus = open().unwrap();
    bus.publish(vec![outgoing("t", "k", "2")]).await.unwrap();
    drop(bus);
    let version = std::fs::read(folder.path().join("version")).unwrap();
    std::fs::write(folder.path().join("version"), b"rubbish").unwrap();
    let error = open().unwrap_err();
    assert!(matches!(error, BusError::Damaged { .. }), "{error:?}");
    assert!(error.to_string().contains("backup"), "{error}");
    std::fs::write(folder.path().join("version"), version).unwrap();
    assert_eq!(open().unwrap().end_offsets("t").unwrap(), [2]);
    let file = folder.path().join("file");
    std::fs::write(&file, b"not a folder").unwrap();
    assert!(matches!(Bus::open(&file, Durability::Power, clock, faults.clone()), Err(BusError::Open { .. })));
}

/// The engine marks its folder last, in two pieces, and refuses one with half a mark. Nothing was told to anybody by then.
#[tokio::test(start_paused = true)]
async fn a_first_start_that_lost_its_power_is_begun_anew() {
    let World { clock, faults, .. } = World::memory();
    for mark in [b"".as_slice(), b"FJ", b"FJL", b"FJL\0", b"\0\0\0\x03", b"\0\0\0\0"] {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
        std::fs::create_dir(folder.path().join("keyspaces")).unwrap();
        write("lock", b"");
        write("0.jnl", &[0; 4_096]);
        write("version", mark);
        let open = || Bus::open(folder.path(), Durability::Power, clock, faults.clone());
        let bus = open().unwrap();
        bus.create_topic("t", TopicSettings::default()).await.unwrap();
        bus.publish(vec![outgoing("t", "k", "1")]).await.unwrap();
        drop(bus);
        // Where something is kept, half a mark is damage.
        write("version", mark);
        assert!(matches!(open(), Err(BusError::Damaged { .. })), "{mark:?}");
    }
}

/// Of some of these bytes the engine would make a size, and ask for as much memory.
#[tokio::test(start_paused = true)]
async fn a_wrong_byte_in_a_list_of_the_engines_files_is_told() {
    let world = World::disk();
    world.topic("t", 1).await;
    let World { bus, clock, faults, folder } = world;
    drop(bus);
    let folder = folder.unwrap();
    let trees = std::fs::read_dir(folder.path().join("keyspaces")).unwrap().map(|tree| tree.unwrap().path());
    let mut tried = 0;
    for tree in trees {
        let current = std::fs::read(tree.join("current")).unwrap();
        let path = tree.join(format!("v{}", u64::from_le_bytes(current[..8].try_into().unwrap())));
        let whole = std::fs::read(&path).unwrap();
        for place in 0..whole.len() {
            let mut wrong = whole.clone();
            wrong[place] ^= 0x40;
            std::fs::write(&path, wrong).unwrap();
            let error = Bus::open(folder.path(), Durability::Power, clock, faults.clone()).unwrap_err();
            assert!(matches!(error, BusError::Damaged { .. }), "{place}: {error}");
            let mut causes = std::iter::successors(std::error::Error::source(&error), |cause| cause.source());
            assert!(causes.any(|cause| cause.to_string().contains(path.to_str().unwrap())), "{place}: {error:?}");
            tried += 1;
        }
        std::fs::write(&path, whole).unwrap();
    }
    assert!(tried > 100, "{tried}");
    Bus::open(folder.path(), Durability::Power, clock, faults).unwrap();
}
