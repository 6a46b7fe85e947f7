//! Worlds at random: a few seeds here, many in the release job. That a broken system is found, made small and brought back is shown on a bug
//! that is planted behind a store.

use std::collections::BTreeSet;

use crashcart::registry::SIMULATION;
use lab::{
    chaos::{Campaign, Shape},
    target::Simulation,
};

fn campaign(first_seed: u64, seeds: u64) -> Campaign {
    Campaign { first_seed, seeds, shape: Shape { minutes: 2, orders: 12 }, only_first: None, harms: None, threads: 2 }
}

#[test]
fn in_worlds_at_random_every_invariant_holds_and_a_seed_is_the_same_world_twice() {
    let report = campaign(1, 4).run(&SIMULATION, &|| {});
    assert!(report.holds(), "{:#}", report.json());
    assert_eq!((report.worlds, report.run_twice), (4, 1));
    assert!(report.orders >= 30 && report.crashes >= 3 && report.faults >= 3, "{:#}", report.json());
}

#[test]
fn a_world_that_fails_is_made_small_and_its_command_brings_it_back() {
    let broken = Simulation {
        planted: &[(
            "inventory",
            "CREATE TRIGGER bug BEFORE INSERT ON movements WHEN NEW.kind = 'release' BEGIN SELECT RAISE(IGNORE); END",
        )],
        ..SIMULATION
    };
    let report = campaign(1, 1).run(&broken, &|| {});
    let failed = report.failed.first().unwrap();
    assert!(failed.findings.iter().any(|finding| finding.what == "I2"), "{failed:?}");
    assert_eq!(failed.harms, Vec::<String>::new(), "nothing needs to go wrong for it");
    assert!(failed.orders < 12, "{failed:?}");
    let expected =
        format!("crashcart simulate --seeds 1 --first-seed 1 --minutes 2 --orders 12 --only-first {} --harms none", failed.orders);
    assert_eq!(failed.replay, expected);
    let replay = Campaign { only_first: Some(failed.orders), harms: Some(BTreeSet::new()), ..campaign(1, 1) };
    assert_eq!(replay.run(&broken, &|| {}).failed.first().unwrap().findings, failed.findings);
    assert!(replay.run(&SIMULATION, &|| {}).holds(), "without the bug the same world is whole");
}
