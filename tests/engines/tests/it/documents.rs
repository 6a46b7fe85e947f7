//! Catalog's documents on a server that speaks CouchDB's protocol: the suite of the port, the same random operations against both floors, answers
//! that get lost, a publisher that is killed, others who write, and a server that is away.

use std::{collections::BTreeMap, path::Path, time::Duration};

use axum::{
    body::{Body, to_bytes},
    http::{Method, Request, StatusCode},
};
use catalog::{
    MANIFEST,
    store::{Change, Couchdb, Documents, Embedded, Rev, Seq, StoreError, suite::read_all},
};
use engine_tests::{couchdb_settings, no_faults, proxy::Proxy, settings, unique};
use platform::{
    Chance, Clock, Ids, Settings,
    auth::Secret,
    db::{Db, DbError},
    engine::{
        Engines,
        couchdb::{Database, Server},
    },
    settings::CouchdbSettings,
    telemetry::traces::Traces,
    world::World,
};
use rand::{RngExt, seq::IndexedRandom};
use serde_json::{Value, json};
use types::{ProductId, id::Uuid};

const UPDATED: &str = "catalog.product.updated.v1";
/// Longer than anything takes that has to come, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);

fn database(settings: &CouchdbSettings) -> Database {
    Server::new(settings, Clock::real()).unwrap().database("catalog", Chance::real().unwrap(), no_faults())
}

fn on(settings: &CouchdbSettings) -> Documents {
    let ids = Ids::new(Clock::real(), Chance::real().unwrap(), "test", 0);
    Documents::Couchdb(Couchdb::new(database(settings), ids))
}

async fn fresh() -> Documents {
    on(&couchdb_settings())
}

catalog::document_suite!(
    #[tokio::test]
    fresh
);

fn id(n: u128) -> ProductId {
    ProductId(Uuid::from_u128(n))
}

/// What a write was told, without what is each store's own.
fn told(result: &Result<Rev, StoreError>) -> Result<i64, Option<i64>> {
    match result {
        Ok(rev) => Ok(rev.generation()),
        Err(StoreError::Conflict { current }) => Err(current.as_ref().map(Rev::generation)),
        Err(StoreError::Store(error)) => panic!("{error}"),
    }
}

fn facts(changes: &BTreeMap<ProductId, Change>) -> BTreeMap<ProductId, (i64, Option<Value>)> {
    changes.iter().map(|(id, change)| (*id, (change.rev.generation(), change.body.clone()))).collect()
}

#[tokio::test]
async fn ten_thousand_operations_have_the_same_answers_in_tables_and_in_couchdb() {
    const DOCUMENTS: u128 = 24;
    let (seed, mut chance) = crate::seeded();
    let db = Db::in_memory("catalog", Chance::seeded(seed), no_faults()).unwrap();
    db.migrate(&platform::world::all_migrations(&MANIFEST)).await.unwrap();
    let (ours, theirs) = (Documents::Embedded(Embedded::new(db, Clock::real(), Chance::seeded(seed))), fresh().await);
    // The revisions that each document has had, here and there, and the write at which it changed last.
    let mut revs: BTreeMap<ProductId, Vec<(Rev, Rev)>> = BTreeMap::new();
    let mut changed: BTreeMap<ProductId, usize> = BTreeMap::new();
    let mut places: Vec<(Option<Seq>, Option<Seq>, usize)> = vec![(None, None, 0)];
    let (mut taken, mut refused, mut told_again) = (0, 0, 0);
    let began = Clock::real().now();
    for nth in 1..=crate::OPERATIONS {
        let id = id(chance.random_range(0..DOCUMENTS));
        let known = revs.get(&id).cloned().unwrap_or_default();
        let stale = known.choose(&mut chance).cloned();
        let latest = known.last().cloned();
        let body = json!({"n": nth, "_id": chance.random_range(0..9), "text": format!("№ {nth}")});
        let over = |pair: &Option<(Rev, Rev)>| (pair.as_ref().map(|pair| pair.0.clone()), pair.as_ref().map(|pair| pair.1.clone()));
        let draw = chance.random_range(0..100);
        let written = match draw {
            0..70 => {
                let (here, there) = match draw {
                    0..15 => (None, None),
                    15..50 => over(&latest),
                    _ => over(&stale),
                };
                Some((ours.put(id, here.as_ref(), &body).await, theirs.put(id, there.as_ref(), &body).await))
            }
            70..85 => match if draw < 80 { latest } else { stale } {
                Some((here, there)) => Some((ours.delete(id, &here).await, theirs.delete(id, &there).await)),
                None => None,
            },
            85..93 => {
                let (here, there) = (ours.get(id).await.unwrap(), theirs.get(id).await.unwrap());
                let plain = |stored: Option<catalog::store::Stored>| stored.map(|stored| (stored.rev.generation(), stored.body));
                assert_eq!(plain(here), plain(there), "seed {seed}, operation {nth}");
                None
            }
            93..96 => {
                let ids: Vec<ProductId> = (0..5).map(|_| self::id(chance.random_range(0..DOCUMENTS + 3))).collect();
                let mut unlike = ids.clone();
                unlike.sort_unstable();
                unlike.dedup();
                let (here, there) = (ours.get_many(&unlike).await.unwrap(), theirs.get_many(&unlike).await.unwrap());
                let plain = |found: Vec<catalog::store::Stored>| -> Vec<_> {
                    found.into_iter().map(|stored| (stored.id, stored.rev.generation(), stored.body)).collect()
                };
                assert_eq!(plain(here), plain(there), "seed {seed}, operation {nth}");
                None
            }
            _ => {
                let (here, there, at) = places.choose(&mut chance).cloned().unwrap();
                let limit = chance.random_range(5..30);
                let (here, our_end) = read_all(&ours, here, limit).await;
                let (there, their_end) = read_all(&theirs, there, limit).await;
                let (here, there) = (facts(&here), facts(&there));
                let wanted: Vec<ProductId> = changed.iter().filter(|(_, when)| **when > at).map(|(id, _)| *id).collect();
                assert_eq!(there.keys().copied().collect::<Vec<_>>(), wanted, "seed {seed}, operation {nth}: what changed since {at}");
                for (id, fact) in &there {
                    assert_eq!(here.get(id), Some(fact), "seed {seed}, operation {nth}");
                }
                told_again += here.len() - there.len();
                places.push((Some(our_end), Some(their_end), nth));
                None
            }
        };
        let Some((here, there)) = written else { continue };
        assert_eq!(told(&here), told(&there), "seed {seed}, operation {nth} on {id}: {here:?} {there:?}");
        match (here, there) {
            (Ok(here), Ok(there)) => {
                revs.entry(id).or_default().push((here, there));
                changed.insert(id, nth);
                taken += 1;
            }
            _ => refused += 1,
        }
    }
    println!(
        "seed {seed}: {taken} writes were taken and {refused} refused by both in {:?}; only the tables told {told_again} changes again",
        Clock::real().now().since(began)
    );
    assert!(taken > 2_000 && refused > 2_000, "seed {seed}: {taken} taken, {refused} refused: too one-sided to tell anything");
    let (here, there) = (read_all(&ours, None, 100).await.0, read_all(&theirs, None, 100).await.0);
    assert_eq!(facts(&here), facts(&there));
}

/// Waits until a document is at this generation.
async fn until_at(store: &Documents, id: ProductId, generation: i64) -> Rev {
    let clock = Clock::real();
    let began = clock.now();
    loop {
        match store.get(id).await.unwrap() {
            Some(stored) if stored.rev.generation() >= generation => return stored.rev,
            _ => assert!(clock.now().since(began) < PATIENCE, "the write never came"),
        }
        clock.sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_told_as_it_was_and_never_done_twice() {
    let settings = couchdb_settings();
    let proxy = Proxy::to(settings.url.as_ref().unwrap().expose()).await;
    let direct = on(&settings);
    let through = on(&CouchdbSettings { url: Some(Secret::new(proxy.url()).unwrap()), retries: 10, ..settings });
    through.prepare().await.unwrap();
    let body = |n: u32| json!({"n": n});
    let write = async |over: Option<&Rev>, n: u32| through.put(id(1), over, &body(n)).await;

    // A new one, and one over another; each is sent again and again, and was done the first time.
    proxy.mute_after(0);
    let heard = async {
        until_at(&direct, id(1), 1).await;
        proxy.forward();
    };
    let (first, ()) = futures::join!(write(None, 1), heard);
    let first = first.unwrap();
    assert_eq!(first.generation(), 1);
    proxy.mute_after(0);
    let heard = async {
        until_at(&direct, id(1), 2).await;
        proxy.forward();
    };
    let (second, ()) = futures::join!(write(Some(&first), 2), heard);
    let second = second.unwrap();
    assert_eq!((second.generation(), direct.get(id(1)).await.unwrap().unwrap().rev), (2, second.clone()));

    // Somebody has written over it before it is heard that it was done.
    proxy.mute_after(0);
    let heard = async {
        let third = until_at(&direct, id(1), 3).await;
        let fourth = direct.put(id(1), Some(&third), &body(4)).await.unwrap();
        proxy.forward();
        (third, fourth)
    };
    let (written, (third, fourth)) = futures::join!(write(Some(&second), 3), heard);
    assert_eq!(written.unwrap(), third);

    // Somebody else was faster, with the very same words: that is a conflict.
    proxy.mute_after(0);
    let fifth = direct.put(id(1), Some(&fourth), &body(5)).await.unwrap();
    let heard = async {
        Clock::real().sleep(Duration::from_millis(150)).await;
        proxy.forward();
    };
    let (refused, ()) = futures::join!(write(Some(&fourth), 5), heard);
    assert!(matches!(&refused, Err(StoreError::Conflict { current: Some(current) }) if *current == fifth), "{refused:?}");

    // A tombstone. What stands there is looked at before, and that is answered.
    proxy.mute_after(1);
    let heard = async {
        let clock = Clock::real();
        let began = clock.now();
        while direct.get(id(1)).await.unwrap().is_some() {
            assert!(clock.now().since(began) < PATIENCE, "it was never deleted");
            clock.sleep(Duration::from_millis(5)).await;
        }
        proxy.forward();
    };
    let (gone, ()) = futures::join!(through.delete(id(1), &fifth), heard);
    assert_eq!(gone.unwrap().generation(), 6);
}

/// A real world with catalog alone, whose documents are there.
fn world(folder: &Path, prefix: &str, url: &str, more: &[(&str, &str)]) -> World {
    let changes =
        [("stores.documents", "couchdb"), ("engines.couchdb.url", url), ("engines.couchdb.prefix", prefix), ("catalog.feed_batch", "3")];
    let set = |settings: Settings, (path, value): &(&str, &str)| match value.parse::<i64>() {
        Ok(number) => settings.with(path, number).unwrap(),
        Err(_) => settings.with(path, *value).unwrap(),
    };
    let changed = changes.iter().chain(more).fold(settings(), set);
    World::real(changed, folder, Traces::off()).unwrap()
}

fn prefix() -> String {
    format!("{}-", unique("world"))
}

fn url() -> String {
    couchdb_settings().url.unwrap().expose().to_owned()
}

struct Got {
    status: StatusCode,
    retry_after: bool,
    body: Value,
}

async fn ask(world: &World, method: Method, path: &str, body: Option<Value>) -> Got {
    let key = path.starts_with("/products") && method == Method::POST;
    let mut request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    if let Some(body) = body.as_ref().filter(|_| key) {
        request = request.header("idempotency-key", body["sku"].as_str().unwrap());
    }
    let request = request.body(Body::from(body.map(|body| body.to_string()).unwrap_or_default())).unwrap();
    let answer = tower::ServiceExt::oneshot(world.router("catalog").unwrap(), request).await.unwrap();
    let (status, retry_after) = (answer.status(), answer.headers().contains_key("retry-after"));
    let bytes = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    Got { status, retry_after, body: serde_json::from_slice(&bytes).unwrap_or_default() }
}

async fn create(world: &World, sku: &str) -> Got {
    ask(world, Method::POST, "/products", Some(json!({"sku": sku, "title": format!("Lamp {sku}")}))).await
}

/// Every event so far: product and revision, each with how often it was told.
async fn events(world: &World) -> BTreeMap<(String, String), u32> {
    let mut told = BTreeMap::new();
    for partition in 0..u32::try_from(world.bus().end_offsets(UPDATED).unwrap().len()).unwrap() {
        for delivery in world.bus().read(UPDATED, partition, 0, 10_000).await.unwrap() {
            let event = platform::schema::decode_json(world.registry(), &delivery.value).unwrap();
            let text = |name: &str| event[name].as_str().unwrap().to_owned();
            *told.entry((text("product_id"), text("rev"))).or_insert(0) += 1;
        }
    }
    told
}

async fn until_told(world: &World, count: usize) -> BTreeMap<(String, String), u32> {
    let clock = Clock::real();
    let began = clock.now();
    loop {
        let told = events(world).await;
        if told.len() >= count {
            return told;
        }
        assert!(clock.now().since(began) < PATIENCE, "{} of {count} changes were told", told.len());
        clock.sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_publisher_goes_on_from_the_place_that_it_stored() {
    let (folder, prefix) = (tempfile::tempdir().unwrap(), prefix());
    let first = world(folder.path(), &prefix, &url(), &[]);
    first.start(&MANIFEST, 0).await.unwrap();
    let outsider = on(&CouchdbSettings { prefix: prefix.clone(), ..couchdb_settings() });
    let document = |sku: String| {
        json!({"sku": sku, "title": "Lamp", "attributes": {}, "variants": [], "media": [],
            "createdAt": "2026-01-05T00:00:00Z", "updatedAt": "2026-01-05T00:00:00Z"})
    };
    let mut wanted = Vec::new();
    for round in 0..6_u32 {
        for n in 0..8 {
            let made = create(&first, &format!("S{round}-{n}")).await;
            assert_eq!(made.status, 201, "{}", made.body);
            wanted.push((made.body["id"].as_str().unwrap().to_owned(), made.body["rev"].as_str().unwrap().to_owned()));
        }
        // Dead somewhere in the middle, and others write meanwhile.
        first.kill("catalog", 0);
        let id = id(u128::from(round) + 1);
        let rev = outsider.put(id, None, &document(format!("OUT-{round}"))).await.unwrap();
        wanted.push((id.to_string(), rev.to_string()));
        first.start(&MANIFEST, 0).await.unwrap();
    }
    until_told(&first, wanted.len()).await;

    // Dead once more with everything told: it goes on, and tells nothing again.
    first.kill("catalog", 0);
    first.start(&MANIFEST, 0).await.unwrap();
    let id = id(99);
    let rev = outsider.put(id, None, &document("OUT-99".into())).await.unwrap();
    wanted.push((id.to_string(), rev.to_string()));
    let told = until_told(&first, wanted.len()).await;
    wanted.sort_unstable();
    assert_eq!(told.keys().cloned().collect::<Vec<_>>(), wanted, "nothing lost, nothing made up");
    assert!(first.stop(Duration::from_secs(10)).await, "it ends though it listens");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_else_writes_is_heard_at_once() {
    let (folder, prefix) = (tempfile::tempdir().unwrap(), prefix());
    // Nobody looks by himself for an hour.
    let world = world(folder.path(), &prefix, &url(), &[("catalog.feed_look_seconds", "3600")]);
    world.start(&MANIFEST, 0).await.unwrap();
    let outsider = on(&CouchdbSettings { prefix, ..couchdb_settings() });
    for n in 1..=3 {
        outsider
            .put(
                id(n),
                None,
                &json!({"sku": format!("OUT-{n}"), "title": "Lamp", "attributes": {}, "variants": [], "media": [],
            "createdAt": "2026-01-05T00:00:00Z", "updatedAt": "2026-01-05T00:00:00Z"}),
            )
            .await
            .unwrap();
        until_told(&world, usize::try_from(n).unwrap()).await;
    }
    assert!(world.stop(Duration::from_secs(10)).await, "it ends though it listens");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_documents_are_away_the_rest_works_and_nothing_acknowledged_is_lost() {
    let (folder, proxy) = (tempfile::tempdir().unwrap(), Proxy::to(&url()).await);
    let quick = [("engines.couchdb.timeout_ms", "1500"), ("engines.couchdb.retries", "1"), ("catalog.feed_look_seconds", "1")];
    let world = world(folder.path(), &prefix(), proxy.url(), &quick);
    world.start(&MANIFEST, 0).await.unwrap();
    let kept = create(&world, "KEPT").await;
    assert_eq!(kept.status, 201, "{}", kept.body);
    let path = format!("/products/{}", kept.body["id"].as_str().unwrap());
    for (nth, away) in [Proxy::refuse, Proxy::hold].into_iter().enumerate() {
        away(&proxy);
        let sku = format!("LATER-{nth}");
        for refused in [ask(&world, Method::GET, &path, None).await, create(&world, &sku).await] {
            assert_eq!((refused.status, refused.retry_after), (StatusCode::SERVICE_UNAVAILABLE, true), "{}", refused.body);
        }
        let category = json!({"slug": format!("home-{nth}"), "name": "Home"});
        assert_eq!(ask(&world, Method::POST, "/categories", Some(category)).await.status, 201);
        assert_eq!(ask(&world, Method::GET, "/categories", None).await.status, 200);
        let ready = ask(&world, Method::GET, "/health/ready", None).await.body;
        let told = ready["dependencies"]["couchdb"].to_string();
        assert!(told.contains("DOWN") && told.contains("CouchDB at http://127.0.0.1"), "{ready}");
        assert_eq!(ready["dependencies"]["store"]["status"], "UP", "{ready}");
        proxy.forward();
        let made = create(&world, &sku).await;
        assert_eq!(made.status, 201, "{}", made.body);
        assert_eq!(create(&world, &sku).await.body, made.body, "asked again, it is the same");
        assert_eq!(ask(&world, Method::GET, &path, None).await.body, kept.body);
    }
    let told = until_told(&world, 3).await;
    assert_eq!(told.len(), 3, "{told:?}");
    let clock = Clock::real();
    let began = clock.now();
    while ask(&world, Method::GET, "/health/ready", None).await.status != 200 {
        assert!(clock.now().since(began) < PATIENCE, "it is back, and not ready");
        clock.sleep(Duration::from_millis(50)).await;
    }
    world.stop(Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_without_the_documents_waits_for_nobody_and_finds_them_later() {
    let (folder, proxy) = (tempfile::tempdir().unwrap(), Proxy::to(&url()).await);
    proxy.refuse();
    let world = world(folder.path(), &prefix(), proxy.url(), &[("engines.couchdb.retries", "1")]);
    world.start(&MANIFEST, 0).await.unwrap();
    assert_eq!(create(&world, "A").await.status, 503);
    proxy.forward();
    assert_eq!(create(&world, "A").await.status, 201);
    world.stop(Duration::from_secs(10)).await;
}

#[tokio::test]
async fn many_make_one_database_and_a_place_of_a_former_one_leads_back_to_the_beginning() {
    let settings = couchdb_settings();
    let all: Vec<Database> = (0..8).map(|_| database(&settings)).collect();
    for prepared in futures::future::join_all(all.iter().map(Database::prepare)).await {
        prepared.unwrap();
    }
    let store = on(&settings);
    for n in 0..3 {
        store.put(id(n), None, &json!({})).await.unwrap();
    }
    let place = all[0].changes(None, 10).await.unwrap().last;
    for other in &all {
        assert!(other.changes(Some(&place), 10).await.unwrap().changes.is_empty(), "one identity for all");
    }
    all[0].drop_it().await.unwrap();
    let anew = on(&settings);
    anew.put(id(7), None, &json!({"n": 7})).await.unwrap();
    // The server itself would say that there is nothing behind it.
    let changes = anew.changes(Some(&Seq::from_stored(place)), 10).await.unwrap();
    assert_eq!(changes.entries.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_is_wrong_ends_the_start_and_is_not_told() {
    let folder = tempfile::tempdir().unwrap();
    let login = [("engines.couchdb.user", "somebody"), ("engines.couchdb.password", "sesame")];
    let with_login = url().replace("http://", "http://somebody:sesame@");
    let world = world(folder.path(), &prefix(), &url(), &login);
    let error = world.start(&MANIFEST, 0).await.unwrap_err();
    let told = error.to_string();
    assert!(told.starts_with("catalog cannot start: CouchDB at http://127.0.0.1") && told.contains("401"), "{told}");
    assert!(!format!("{told}{error:?}{world:?}").contains("sesame"), "{told}");
    let server =
        Server::new(&CouchdbSettings { url: Some(Secret::new(with_login).unwrap()), ..couchdb_settings() }, Clock::real()).unwrap();
    assert!(!format!("{server:?}").contains("sesame"));
    let database = server.database("catalog", Chance::real().unwrap(), no_faults());
    assert!(matches!(database.prepare().await, Err(platform::engine::couchdb::CouchError::Closed { .. })));
}

#[tokio::test]
async fn what_cannot_be_used_is_one_sentence() {
    let refused = |changes: &[(&str, &str)]| {
        let defaults = Settings::load(platform::settings::DEFAULTS, None, std::iter::empty()).unwrap();
        let settings = changes.iter().fold(defaults, |settings, (path, value)| settings.with(path, *value).unwrap());
        Engines::check(&settings).unwrap_err().to_string()
    };
    let couchdb = ("stores.documents", "couchdb");
    assert_eq!(refused(&[couchdb]), "`stores.documents` is \"couchdb\", but `engines.couchdb.url` is empty: say there how it is reached");
    let missing = refused(&[couchdb, ("engines.couchdb.url", "https://x"), ("engines.couchdb.ca_file", "/nowhere/ca.pem")]);
    assert!(missing.starts_with("`engines.couchdb.ca_file`: /nowhere/ca.pem cannot be read"), "{missing}");
    let error: DbError = platform::engine::couchdb::CouchError::Closed { url: "x".into(), reason: "it answered 401".into() }.into();
    assert!(error.is_transient(), "a person mends it while the service runs");
}
