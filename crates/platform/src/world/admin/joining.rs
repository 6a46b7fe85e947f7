//! A process that comes to a system that is up takes on what is set in it. Faults and rungs live in processes, and half of a system with a
//! fault is another experiment: who was killed in it, or was not there when it was set, is to come back into the same one.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use futures::future::join_all;
use http::Method;
use serde::{Deserialize, de::DeserializeOwned};
use types::Timestamp;

use super::{FaultAt, across::Peers};
use crate::{auth::Secret, world::World};

/// How long a start waits for the others. Those of a system that starts as a whole are not there yet, which is known at once.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Deserialize)]
struct Listed {
    items: Vec<FaultAt>,
}

/// What a process has that is set at run time.
struct Standing {
    faults: Vec<FaultAt>,
    rungs: BTreeMap<String, String>,
}

/// Takes on the faults and the rungs of the first of the other processes that tells its own. To be called before a service is started.
pub async fn join(world: &World, token: &Secret) {
    let elsewhere = world.elsewhere();
    if elsewhere.is_empty() {
        return;
    }
    let Ok(peers) = Peers::new(token, PATIENCE) else { return };
    let asked = elsewhere.iter().flat_map(|service| &service.admins).map(|admin| standing(&peers, admin));
    let Some(standing) = join_all(asked).await.into_iter().flatten().next() else { return };
    for FaultAt { point, mut fault, until } in standing.faults {
        fault.for_seconds = until.map(|until| left(until, world.clock().now()));
        if fault.for_seconds == Some(0.0) {
            continue;
        }
        if let Err(error) = world.faults().set(&point, fault) {
            tracing::warn!(point, %error, "a fault that is set elsewhere cannot be set here");
        }
    }
    for (scenario, rung) in standing.rungs {
        world.keep_rung(&scenario, &rung);
    }
}

fn left(until: Timestamp, now: Timestamp) -> f64 {
    until.since(now).as_secs_f64()
}

async fn standing(peers: &Peers, admin: &str) -> Option<Standing> {
    let listed: Listed = told(peers, admin, "/lab/faults").await?;
    Some(Standing { faults: listed.items, rungs: told(peers, admin, "/lab/rungs").await? })
}

async fn told<T: DeserializeOwned>(peers: &Peers, admin: &str, path: &str) -> Option<T> {
    let (status, body) = peers.ask(admin, &Method::GET, path, &Bytes::new()).await.ok()?;
    if status.is_success() { serde_json::from_slice(&body).ok() } else { None }
}
