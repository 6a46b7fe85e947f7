//! A write whose answer is lost may have been applied or not. Whoever asked must not be able to tell, and nothing happens twice.

use futures::future::join_all;

use crate::{Inventory, US, order};

async fn forgetful(seed: u64, share: f64) -> Inventory {
    Inventory::of(seed, |settings| settings.with("inventory.lost_answers_share", share).unwrap(), &[]).await
}

#[tokio::test(start_paused = true)]
async fn every_step_happens_once_although_half_of_the_answers_are_lost() {
    for seed in 1..=3 {
        let inventory = forgetful(seed, 0.5).await;
        let mut given_up = 0;
        // An adjustment has no natural key: only the name of the write says whether it was applied.
        let mut expected = 0;
        for _ in 0..60 {
            let got = inventory.adjust("LAMP", US, 10).await;
            match got.status.as_u16() {
                200 => expected += 10,
                503 => given_up += 1,
                other => panic!("{other}: {}", got.json()),
            }
            assert_eq!(inventory.counters("LAMP").await.0, expected, "seed {seed}");
        }
        let answers = join_all((0..80).map(|buyer| inventory.ask(order(buyer), "LAMP", 1))).await;
        for got in answers.iter().filter(|got| got.status != 503) {
            assert_eq!(got.status, 201, "{}", got.json());
            let held = got.view();
            for step in [inventory.extend(&held, 1_200).await, inventory.claim(&held).await, inventory.release(&held).await] {
                given_up += usize::from(step.status == 503);
                assert!([200, 503].contains(&step.status.as_u16()), "{}", step.json());
            }
        }
        assert!(given_up < 15, "six attempts are seldom too few: {given_up}");
        let kinds = inventory.facts("movements").await;
        let count = |kind: &str| kinds.iter().filter(|fact| fact["kind"] == kind).count();
        assert_eq!(count("hold"), answers.iter().filter(|got| got.status == 201).count(), "what is told is what was done");
        assert_eq!(inventory.facts("reservations").await.len(), count("hold"), "and nothing twice");
        inventory.check_books().await;
    }
}

#[tokio::test(start_paused = true)]
async fn when_no_answer_ever_comes_what_was_written_is_found_and_the_rest_is_told_as_unknown() {
    let inventory = forgetful(1, 1.0).await;
    let (mut applied, mut unknown) = (0, 0);
    for _ in 0..40 {
        match inventory.adjust("LAMP", US, 1).await.status.as_u16() {
            200 => applied += 1,
            503 => unknown += 1,
            other => panic!("{other}"),
        }
    }
    assert!(applied > 30, "one of six attempts is applied: {applied} of 40, {unknown} unknown");
    assert_eq!(inventory.counters("LAMP").await.0, applied);
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_loses_the_same_answers() {
    let run = async |seed: u64| {
        let inventory = forgetful(seed, 0.5).await;
        for _ in 0..20 {
            inventory.adjust("LAMP", US, 1).await;
        }
        inventory.facts("movements").await
    };
    assert_eq!(run(7).await, run(7).await);
}
