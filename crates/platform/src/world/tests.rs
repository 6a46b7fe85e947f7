//! What a world promises to whom it starts again.

use std::collections::BTreeSet;

use axum::{extract::State, routing::get};
use types::id::Uuid;
use utoipa_axum::router::OpenApiRouter;

use super::*;
use crate::{ids::Ids, service::Service, testing::Stage};

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
