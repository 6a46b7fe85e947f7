//! What a world promises to whom it starts again.

use std::collections::BTreeSet;

use axum::{extract::State, routing::get};
use types::id::Uuid;
use utoipa_axum::router::OpenApiRouter;

use super::*;
use crate::{
    ids::Ids,
    service::{Live, Service},
    testing::Stage,
};

/// A service that makes ids.
static MAKER: Manifest = Manifest {
    name: "maker",
    summary: "Makes ids.",
    paths: &["/maker"],
    publishes: &[],
    consumes: &[],
    calls: &[],
    problems: &[],
    migrations: Vec::new,
    build: |env| {
        let make = get(|State(ids): State<Ids>| async move { ids.make::<Uuid>().to_string() });
        let router = OpenApiRouter::new().route("/maker", make).with_state(env.ids);
        Box::pin(async move { Ok(Service { router, ..Service::default() }) })
    },
};

/// Three lives of both instances, all in one moment, each of which makes some ids.
async fn ids_of_three_lives(seed: u64) -> Vec<String> {
    let stage = Stage::of(&[&MAKER], seed, |settings| settings).await;
    stage.world.start(&MAKER, 1).await.unwrap();
    let began = stage.world.clock().now();
    let mut ids = Vec::new();
    for life in 0..3 {
        for instance in [0, 1].into_iter().filter(|_| life > 0) {
            stage.world.kill("maker", instance);
            stage.world.start(&MAKER, instance).await.unwrap();
        }
        for _ in 0..10 {
            ids.push(String::from_utf8(stage.get("/maker").await.body.to_vec()).unwrap());
        }
    }
    assert_eq!(stage.world.clock().now(), began, "no time has passed that could tell the ids apart");
    ids
}

#[tokio::test(start_paused = true)]
async fn who_is_started_again_does_not_make_the_ids_of_its_former_lives() {
    let ids = ids_of_three_lives(1).await;
    let different: BTreeSet<&String> = ids.iter().collect();
    assert_eq!((ids.len(), different.len()), (30, 30));
    assert_eq!(ids, ids_of_three_lives(1).await, "and the same seed makes the same ones");
}

/// A service that says on which rung it stands.
static CLIMBER: Manifest = Manifest {
    name: "climber",
    summary: "Stands on a rung.",
    paths: &["/climber"],
    publishes: &[],
    consumes: &[],
    calls: &[],
    problems: &[],
    migrations: Vec::new,
    build: |_| {
        let rung = Live::new("R9".to_owned());
        let switch = rung.switch("climbing", |stands, to| {
            if to == "R7" {
                return Err("there is no R7".into());
            }
            to.clone_into(stands);
            Ok(())
        });
        let tell = get(|State(rung): State<Live<String>>| async move { rung.get().to_string() });
        let router = OpenApiRouter::new().route("/climber", tell).with_state(rung);
        Box::pin(async move { Ok(Service { router, rungs: vec![switch], ..Service::default() }) })
    },
};

#[tokio::test(start_paused = true)]
async fn who_is_started_again_stands_on_the_rung_that_was_asked_for() {
    let stage = Stage::of(&[&CLIMBER], 1, |settings| settings).await;
    let stands = async || String::from_utf8(stage.get("/climber").await.body.to_vec()).unwrap();
    let again = async || {
        stage.world.kill("climber", 0);
        stage.world.start(&CLIMBER, 0).await.unwrap();
    };
    assert_eq!(stands().await, "R9", "as it is set");
    stage.world.set_rung("climbing", "R0").unwrap();
    stage.world.set_rung("climbing", "R7").unwrap_err();
    again().await;
    assert_eq!(stands().await, "R0", "a rung that was refused is not kept");
    stage.world.keep_rung("climbing", "R1");
    assert_eq!(stands().await, "R0", "what is kept is for who is started later");
    again().await;
    assert_eq!(stands().await, "R1");
    stage.world.keep_rung("climbing", "R7");
    again().await;
    assert_eq!(stands().await, "R9", "one that it does not know leaves it as it is set");
}
