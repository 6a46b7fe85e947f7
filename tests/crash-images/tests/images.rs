//! The images of the two stores, at each promise. What the two durabilities promise stands in `config/default.toml`.
#![expect(clippy::panic, reason = "a broken promise is a failed test, and says where its image is kept")]
#![expect(clippy::print_stdout, reason = "the figures are for docs/benchmarks.md")]

use std::time::Instant;

use crash_images::{
    disk::Leaves,
    recorder::{Options, record},
    session::{Plan, Tally, run},
    store::{Database, EventLog, Store},
};
use platform::{Chance, db::Durability};
use sha2::{Digest, Sha256};

fn sessions<S: Store>(seeds: std::ops::Range<u64>, plan: impl Fn(u64) -> Plan) -> Tally {
    let mut all = Tally::default();
    for seed in seeds {
        match run::<S>(&plan(seed)) {
            Ok(tally) => all.add(&tally),
            Err(mut broken) => {
                let kept = broken.kept.take().map(tempfile::TempDir::keep);
                panic!("{broken}; the folder is kept: {kept:?}");
            }
        }
    }
    all
}

#[test]
fn power_loses_nothing_of_sqlite() {
    let tally = sessions::<Database>(1..3, |seed| Plan::new(seed, Durability::Power));
    assert_eq!((tally.images, tally.images_with_losses), (240, 0));
}

#[test]
fn power_loses_nothing_of_the_event_log() {
    let tally = sessions::<EventLog>(1..3, |seed| Plan::new(seed, Durability::Power));
    assert_eq!((tally.images, tally.images_with_losses), (240, 0));
}

/// What `process` promises: after the end of the process all is there (the sessions hold it to that whenever everything that was written
/// is left); after a power cut the last steps may be missing, as many as were taken since the last sync by chance, but what is left is
/// the state after some step, whole.
fn process_loses_the_last_steps_at_most<S: Store>() {
    let tally = sessions::<S>(1..3, |seed| Plan { images: 20, ..Plan::new(seed, Durability::Process) });
    println!("{}: {} of {} images had lost something, up to {} steps", S::NAME, tally.images_with_losses, tally.images, tally.most_lost);
    assert!(tally.images_with_losses > 0 && tally.most_lost > 1, "a power cut that loses nothing shows nothing: {tally:?}");
}

#[test]
fn process_loses_the_last_steps_of_sqlite_at_most() {
    process_loses_the_last_steps_at_most::<Database>();
}

#[test]
fn process_loses_the_last_steps_of_the_event_log_at_most() {
    process_loses_the_last_steps_at_most::<EventLog>();
}

/// A recording differs from run to run where threads of the stores meet (a connection that closes, the engine's worker); what is made of
/// a recording does not.
#[test]
fn a_recording_and_a_seed_are_the_same_image_twice() {
    let folder = tempfile::tempdir().unwrap();
    let work = || {
        let mut store = EventLog::open(folder.path(), Durability::Process).unwrap();
        let mut stream = Chance::seeded(1).stream("crash-images", "1", "steps");
        let mut state = Default::default();
        for _ in 0..4 {
            let step = EventLog::draw(&state, &mut stream, false);
            state = EventLog::after(&state, &step);
            store = store.take(&step).unwrap();
        }
        store.close();
    };
    let ((), recording) = record(folder.path(), Options::default(), work).unwrap();
    // One image after each operation, all of them as one digest.
    let images = |seed: u64| {
        let (mut disk, mut digest) = (recording.baseline.clone(), Sha256::new());
        let mut stream = Chance::seeded(seed).stream("crash-images", "1", "crashes");
        for operation in &recording.operations {
            disk.apply(operation);
            digest.update(format!("{:?}", disk.crash(Leaves::Some { share: 0.5, torn: 0.3 }, &mut stream)));
        }
        hex::encode(digest.finalize())
    };
    assert_eq!(images(1), images(1));
    assert_ne!(images(1), images(2));
}

/// A number from the environment.
#[expect(clippy::disallowed_methods, reason = "a test may be told how much it is to do")]
fn asked(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|number| number.parse().ok()).unwrap_or(otherwise)
}

/// `CRASH_IMAGES` over both stores, from `FIRST_SEED` on; so a run can be gone on with where another one ended.
#[test]
#[ignore = "minutes in a release build: make crash-images"]
#[expect(clippy::disallowed_methods, reason = "how many a second is for the benchmarks")]
fn power_loses_nothing_on_many_images() {
    let (wanted, first) = (asked("CRASH_IMAGES", 100_000), asked("FIRST_SEED", 1));
    let began = Instant::now();
    let (mut all, mut broken, mut seed) = (Tally::default(), Vec::new(), first);
    while all.images < wanted {
        let plan = Plan { images: 400, ..Plan::new(seed, Durability::Power) };
        for result in [run::<Database>(&plan), run::<EventLog>(&plan)] {
            match result {
                Ok(tally) => all.add(&tally),
                Err(why) => {
                    println!("{why}");
                    broken.push(why);
                }
            }
        }
        seed += 1;
        assert!(broken.len() < 20, "enough is broken");
    }
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{} images of {} operations, seeds {first} to {}, in {seconds:.0} s ({:.0} a second): {} lost something",
        all.images,
        all.operations,
        seed - 1,
        all.images as f64 / seconds,
        all.images_with_losses
    );
    assert!(broken.is_empty(), "{} sessions broke their promise", broken.len());
    assert_eq!(all.images_with_losses, 0);
}
