//! Inventory's stock in Cassandra: the same random operations against both floors, an operation that is broken off at each of its steps, answers
//! that get lost on the network, holds that are a time to live on the server, two processes, and a server that is away. The service's own tests
//! are the suite of the port; `.ci/engines` plays them there too.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    path::Path,
    pin::pin,
    sync::Arc,
    time::Duration,
};

use axum::{
    body::{Body, to_bytes},
    http::{Method, Request, StatusCode},
};
use engine_tests::{cassandra_settings, no_faults, proxy::Proxy, settings};
use inventory::{
    MANIFEST, audit,
    config::{Config, Hold},
    domain::{
        Place, Reservation, Shelf, State,
        steps::{self, Ask, Correction},
    },
    store::{Find, Once, Operation, ReadBack, Store, StoreError, cassandra::rows},
};
use inventory_api::{ReservationStatus, ReserveItem};
use payment_api::events::PaymentAuthorized;
use platform::{
    Chance, Clock, Settings,
    bus::Outgoing,
    engine::{
        Engines,
        cassandra::{CassandraError, Keyspace, Server},
    },
    event::Event,
    http::Answer,
    idempotency,
    service::{Live, Manifest, Progress, Service},
    settings::CassandraSettings,
    telemetry::traces::Traces,
    testing::Stage,
    values,
    world::World,
};
use rand::RngExt;
use serde_json::{Value, json};
use types::{Currency, EventId, Money, OrderId, PaymentId, ReservationId, Sku, Timestamp, id::Uuid};

/// Longer than anything takes that has to come, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);
const TTL: Duration = Duration::from_secs(600);

// ── stores in a simulated world ──

thread_local! {
    static OPENED: RefCell<Vec<Store>> = const { RefCell::new(Vec::new()) };
}

/// inventory-service of which nothing runs by itself: only its store.
static STORE_ONLY: Manifest = Manifest {
    name: "inventory",
    summary: "",
    paths: &[],
    publishes: MANIFEST.publishes,
    consumes: &[],
    calls: &[],
    problems: &[],
    migrations: MANIFEST.migrations,
    build: |env| {
        Box::pin(async move {
            let config = env.config::<Config>()?;
            let store = Store::open(&env, &config, Arc::default()).await?;
            let audit = audit::collections(&store, &env.db(), env.clock, Live::new(config));
            OPENED.with_borrow_mut(|opened| opened.push(store));
            Ok(Service { audit, ..Service::default() })
        })
    },
};

fn on_cassandra(settings: Settings) -> Settings {
    let CassandraSettings { contact_points, prefix, timeout_ms, .. } = cassandra_settings();
    let with = |settings: Settings, path: &str, value: &str| settings.with(path, value).unwrap();
    let settings = with(settings, "stores.stock", "cassandra");
    let settings = with(settings, "engines.cassandra.contact_points", &contact_points);
    let settings = settings.with("engines.cassandra.timeout_ms", i64::try_from(timeout_ms).unwrap()).unwrap();
    with(settings, "engines.cassandra.prefix", &prefix)
}

/// A world and a store for each of so many instances.
async fn stage(on: fn(Settings) -> Settings, instances: u32) -> (Stage, Vec<Store>) {
    let stage = Stage::of(&[], 1, on).await;
    for instance in 0..instances {
        stage.world.start(&STORE_ONLY, instance).await.unwrap();
    }
    (stage, OPENED.take())
}

fn sku(name: &str) -> Sku {
    Sku::new(name).unwrap()
}

fn order(number: u64) -> OrderId {
    OrderId(Uuid::from_u128(number.into()))
}

fn name(number: u64) -> Uuid {
    Uuid::from_u128(u128::from(number) | 1 << 100)
}

fn key(number: u64) -> Once {
    Once::Key(idempotency::Key::new("POST /test", &number.to_string(), [0; 32]))
}

fn event(number: u64) -> Once {
    Once::Event { topic: "test.v1", id: EventId(name(number)), key: "x".into() }
}

fn told(state: &State) -> Answer {
    let reservation = state.reservation.as_ref().map(Reservation::view);
    let stock: Vec<_> = ["LAMP", "DESK", "CHAIR"].iter().filter_map(|name| state.stock(&sku(name))).collect();
    Answer::ok(&json!({"reservation": reservation, "stock": stock})).unwrap()
}

fn operation(
    name: Uuid,
    once: Once,
    reservation: Option<Find>,
    decide: impl Fn(&State) -> Result<inventory::domain::Changes, inventory::domain::Refusal> + Send + Sync + 'static,
) -> Operation {
    let answer = Arc::new(|state: &State| Ok(told(state)));
    Operation { name, once, hold: Hold::Fenced, skus: vec![], reservation, decide: Arc::new(decide), answer }
}

fn reserve(name: Uuid, once: Once, order: OrderId, items: &[(&str, i64)], ttl: Duration) -> Operation {
    let items: Vec<ReserveItem> =
        items.iter().map(|(name, units)| ReserveItem { sku: sku(name), quantity: (*units).try_into().unwrap() }).collect();
    let skus = items.iter().map(|item| item.sku.clone()).collect();
    let nearest = vec![sku("us"), sku("eu")];
    let ask = Ask { id: ReservationId(Uuid::from_u128(name.as_u128() | 1 << 101)), order_id: order, items, nearest, ttl };
    Operation { skus, ..operation(name, once, Some(Find::Order(order)), move |state| steps::reserve(state, &ask)) }
}

fn adjust(name: Uuid, once: Once, of: &str, warehouse: &str, delta: i64, allow_shortfall: bool) -> Operation {
    let place = Place { sku: sku(of), warehouse: sku(warehouse) };
    let correction = Correction { place, delta, reason: "count".into(), allow_shortfall };
    Operation { skus: vec![sku(of)], ..operation(name, once, None, move |state| steps::adjust(state, &correction)) }
}

async fn all_stock(store: &Store) -> BTreeMap<Place, Shelf> {
    store.stock_after("", 100).await.unwrap()
}

// ── the same on both floors ──

/// What became of an operation: its answer, or the refusal in words.
fn outcome(became: Result<Answer, StoreError>) -> Result<(u16, Value, bool), String> {
    match became {
        Ok(answer) => Ok((answer.status, serde_json::from_slice(&answer.body).unwrap_or_default(), answer.replayed)),
        Err(error @ (StoreError::Refused(_) | StoreError::Told(_))) => Err(format!("{error:?}")),
        Err(error) => panic!("{error}"),
    }
}

/// Tokens and numbers of one floor in place of those of the other: each store has its own, which grow in the same order.
#[derive(Default)]
struct Tokens(BTreeMap<i64, i64>);

impl Tokens {
    /// That here and there are the same but for tokens, and those in the same order.
    fn alike(&mut self, here: &Value, there: &Value, what: &str) {
        match (here, there) {
            (Value::Object(here), Value::Object(there)) => {
                assert_eq!(here.keys().collect::<Vec<_>>(), there.keys().collect::<Vec<_>>(), "{what}");
                for (name, value) in here {
                    match name.as_str() {
                        "fencingToken" | "fencing_token" => self.same(value.as_i64().unwrap(), there[name].as_i64().unwrap(), what),
                        "seq" => {}
                        // Ids of movements that are not the first of their operation, and of events, are drawn by each for itself.
                        "id" if here.contains_key("topic") || here.contains_key("quantity") => {}
                        _ => self.alike(value, &there[name], what),
                    }
                }
            }
            (Value::Array(here), Value::Array(there)) => {
                assert_eq!(here.len(), there.len(), "{what}: {here:?} {there:?}");
                here.iter().zip(there).for_each(|(here, there)| self.alike(here, there, what));
            }
            _ => assert_eq!(here, there, "{what}"),
        }
    }

    fn same(&mut self, here: i64, there: i64, what: &str) {
        assert_eq!(*self.0.entry(here).or_insert(there), there, "{what}: one token stands for two");
        assert!(self.0.values().is_sorted_by(|one, next| one < next), "{what}: tokens grow in another order");
    }
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_operations_have_the_same_answers_in_tables_and_in_cassandra() {
    let (seed, mut chance) = crate::seeded();
    let began = Clock::real().now();
    let (here, ours) = stage(|settings| settings, 1).await;
    let (there, theirs) = stage(on_cassandra, 1).await;
    let (ours, theirs) = (&ours[0], &theirs[0]);
    let mut tokens = Tokens::default();
    // Of each order its reservations as both have made them.
    let mut made: BTreeMap<OrderId, Vec<(ReservationId, i64, i64)>> = BTreeMap::new();
    let (mut taken, mut refused, mut repeated) = (0, 0, 0);
    for nth in 1..=crate::OPERATIONS as u64 {
        let what = format!("seed {seed}, operation {nth}");
        let of = order(chance.random_range(1..60));
        let known = made.get(&of).and_then(|made| made.last()).copied();
        let item = ["LAMP", "DESK", "CHAIR"][chance.random_range(0..3)];
        let units = chance.random_range(1..5);
        let old = chance.random_range(1..=nth);
        let once = || match nth % 5 {
            0 => key(nth),
            // Most likely one that was used.
            1 => key(old / 5 * 5),
            _ => Once::Always,
        };
        let both = |one: Operation| (one.clone(), one);
        let fenced = |known: Option<(ReservationId, i64, i64)>, stale: bool, step: fn(&State, i64) -> _| {
            let (id, here, there) = known.unwrap_or((ReservationId(name(nth)), 1, 1));
            let of = |token: i64| {
                let token = token - i64::from(stale);
                operation(name(nth), once(), Some(Find::Id(id)), move |state| step(state, token))
            };
            (of(here), of(there))
        };
        let (one, other) = match chance.random_range(0..100) {
            0..30 => {
                let mut items = vec![(item, units)];
                if item != "CHAIR" && chance.random_ratio(1, 2) {
                    items.push(("CHAIR", 1));
                }
                both(reserve(name(nth), once(), of, &items, Duration::from_secs(chance.random_range(1..90))))
            }
            30..45 => {
                let (warehouse, delta) = (["us", "eu"][chance.random_range(0..2)], chance.random_range(-3..12));
                both(adjust(name(nth), once(), item, warehouse, if delta == 0 { 1 } else { delta }, chance.random_ratio(1, 5)))
            }
            45..57 => fenced(known, chance.random_ratio(1, 8), steps::claim),
            57..62 => fenced(known, false, |state, token| steps::extend(state, token, Duration::from_secs(60))),
            62..70 => fenced(known, false, |state, token| steps::release(state, Some(token))),
            70..76 => both(operation(name(nth), event(nth), Some(Find::Order(of)), steps::cancel)),
            76..80 => both(operation(name(nth), event(old), Some(Find::Order(of)), steps::ship)),
            80..85 => {
                // By one clock for both worlds.
                here.pass(Duration::from_secs(chance.random_range(1..40))).await;
                for store in [ours, theirs] {
                    while store.sweep(Hold::Fenced).await.unwrap() == Progress::More {}
                }
                continue;
            }
            85..93 => {
                let (here, there) = (ours.stock_of(&sku(item)).await.unwrap(), theirs.stock_of(&sku(item)).await.unwrap());
                assert_eq!(here, there, "{what}");
                continue;
            }
            _ => {
                let limit = chance.random_range(1..4);
                let (here, there) =
                    (ours.reservations_of(of, i64::MAX, limit).await.unwrap(), theirs.reservations_of(of, i64::MAX, limit).await.unwrap());
                let plain = |all: Vec<Reservation>| serde_json::to_value(all).unwrap();
                tokens.alike(&plain(here), &plain(there), &what);
                continue;
            }
        };
        let (here, there) = (outcome(ours.transact(&one).await), outcome(theirs.transact(&other).await));
        match (&here, &there) {
            (Ok(here), Ok(there)) => {
                assert_eq!((here.0, here.2), (there.0, there.2), "{what}");
                tokens.alike(&here.1, &there.1, &what);
                let (reservation, theirs) = (&here.1["reservation"], &there.1["reservation"]);
                if let (Some(id), Some(of)) = (reservation["reservationId"].as_str(), reservation["orderId"].as_str()) {
                    let entry =
                        (id.parse().unwrap(), reservation["fencingToken"].as_i64().unwrap(), theirs["fencingToken"].as_i64().unwrap());
                    let made = made.entry(of.parse().unwrap()).or_default();
                    if !made.contains(&entry) {
                        made.push(entry);
                    }
                }
                taken += 1;
                repeated += u32::from(here.2);
            }
            (Err(here), Err(there)) => {
                assert_eq!(here, there, "{what}");
                refused += 1;
            }
            _ => panic!("{what}: {here:?}, {there:?}"),
        }
        if nth % 500 == 0 {
            assert_eq!(all_stock(ours).await, all_stock(theirs).await, "{what}");
        }
    }
    let took = Clock::real().now().since(began);
    println!("seed {seed}: {taken} were taken ({repeated} told again) and {refused} refused by both in {took:?}");
    assert!(taken > 3_000 && refused > 1_000 && repeated > 100, "seed {seed}: too one-sided to tell anything");
    assert_eq!(all_stock(ours).await, all_stock(theirs).await);
    for collection in ["stock", "movements", "reservations", "inbox"] {
        let (mut here, mut there) = (here.facts(collection).await, there.facts(collection).await);
        if collection == "inbox" {
            for facts in [&mut here, &mut there] {
                facts.sort_by_key(|fact| fact["id"].to_string());
            }
        }
        tokens.alike(&Value::Array(here), &Value::Array(there), collection);
    }
    let keys = |facts: Vec<Value>| facts.iter().map(|fact| (fact["topic"].to_string(), fact["key"].to_string())).collect::<Vec<_>>();
    assert_eq!(keys(here.facts("outbox").await), keys(there.facts("outbox").await));
}

// ── broken off ──

/// Lets work go so many steps and then drops it, as a process that dies. In a simulated world a step is a request to the server.
async fn broken_off<T>(work: impl Future<Output = T>, steps: usize) -> Option<T> {
    let mut work = pin!(work);
    for _ in 0..steps {
        if let std::task::Poll::Ready(done) = futures::poll!(work.as_mut()) {
            return Some(done);
        }
        // A task that never yields is held back by the runtime.
        tokio::task::yield_now().await;
    }
    None
}

/// Lets each find that no hold is left of an earlier time, so that its operations do not look for one.
async fn swept(stores: &[Store]) {
    for store in stores {
        store.sweep(Hold::Fenced).await.unwrap();
    }
}

/// Units held, claimed and shipped, of LAMP and of DESK.
type Units = [[i64; 3]; 2];

/// That whoever is told of an order's reservations finds each by its id: a repeat is told the id, and goes on with it.
async fn check_found(store: &Store, of: OrderId, what: &str) {
    for known in store.reservations_of(of, i64::MAX, 10).await.unwrap() {
        let found = store.reservation(known.id).await.unwrap();
        assert_eq!(found.map(|found| found.id), Some(known.id), "{what}");
    }
}

/// What the reservations of these orders say of them, over what is known of others. A hold whose time is over holds nothing, ended or not.
async fn reserved(store: &Store, now: Timestamp, mut units: Units, orders: impl IntoIterator<Item = u64>) -> Units {
    for number in orders {
        for reservation in store.reservations_of(order(number), i64::MAX, 10).await.unwrap() {
            let counter = match reservation.status {
                ReservationStatus::Held if reservation.held_until.is_some_and(|until| until > now) => 0,
                ReservationStatus::Claimed => 1,
                ReservationStatus::Shipped => 2,
                _ => continue,
            };
            for line in &reservation.lines {
                units[usize::from(line.sku.as_str() == "DESK")][counter] += line.quantity.as_i64();
            }
        }
    }
    units
}

/// That the counters are just what the orders say.
async fn check_whole(store: &Store, units: Units, lamps: i64, what: &str) {
    for ((name, received), [held, claimed, shipped]) in [("LAMP", lamps), ("DESK", 10_000)].into_iter().zip(units) {
        let shelf: Vec<Shelf> = store.stock_of(&sku(name)).await.unwrap().into_values().collect();
        let is = (shelf[0].on_hand, shelf[0].held, shelf[0].claimed, shelf[0].shipped);
        assert_eq!(is, (received - shipped, held, claimed, shipped), "{name}: {what}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_operation_that_is_broken_off_anywhere_is_done_whole_or_not_at_all_and_once() {
    const KINDS: [&str; 7] = ["adjust", "reserve", "extend", "claim", "release", "ship", "expire"];
    let (stage, stores) = stage(on_cassandra, 2).await;
    let [dies, lives] = stores.as_slice() else { panic!("two") };
    let mut names = 1_000_000_u64;
    let mut next = || {
        names += 1;
        names
    };
    let (mut lamps, mut orders) = (10_000, 0_u64);
    for name_of in ["LAMP", "DESK"] {
        let number = next();
        lives.transact(&adjust(name(number), Once::Always, name_of, "us", 10_000, false)).await.unwrap();
    }
    swept(&stores).await;
    let (mut points, mut told, mut ended) = (BTreeMap::new(), 2_usize, BTreeMap::new());
    let mut units = Units::default();
    for kind in KINDS {
        for steps in 1.. {
            orders += 1;
            let of = order(orders);
            let make = reserve(name(next()), key(next()), of, &[("LAMP", 2), ("DESK", 1)], TTL);
            let number = next();
            let found = Some(Find::Order(of));
            let once = key(number);
            if !["adjust", "reserve"].contains(&kind) {
                lives.transact(&make).await.unwrap();
                told += 1;
            }
            if kind == "ship" {
                lives.transact(&operation(name(next()), Once::Always, found, |state| steps::claim(state, token(state)))).await.unwrap();
                told += 1;
            }
            let operation = match kind {
                "adjust" => adjust(name(number), once, "LAMP", "us", 1, false),
                "reserve" => make,
                "extend" => operation(name(number), once, found, |state| steps::extend(state, token(state), TTL * 2)),
                "claim" => operation(name(number), once, found, |state| steps::claim(state, token(state))),
                "release" => operation(name(number), once, found, |state| steps::release(state, Some(token(state)))),
                _ => operation(name(number), event(number), found, steps::ship),
            };
            let is_done = if kind == "expire" {
                stage.pass(TTL + Duration::from_secs(1)).await;
                broken_off(dies.sweep(Hold::Fenced), steps).await.map(drop).is_some()
            } else {
                broken_off(dies.transact(&operation), steps).await.map(|done| done.map(drop).unwrap()).is_some()
            };
            // An adjustment is seen or not; everything else is told by the orders.
            let seen: i64 = lives.stock_of(&sku("LAMP")).await.unwrap().values().map(|shelf| shelf.on_hand + shelf.shipped).sum();
            let what = format!("{kind} broken off after {steps} steps");
            assert!(seen == lamps || (kind == "adjust" && seen == lamps + 1), "{what}: {seen} of {lamps}");
            check_whole(lives, reserved(lives, stage.world.clock().now(), units, [orders]).await, seen, &what).await;
            check_found(lives, of, &what).await;
            if kind == "expire" {
                while lives.sweep(Hold::Fenced).await.unwrap() == Progress::More {}
            } else {
                lives.transact(&operation).await.unwrap();
                check_found(lives, of, &what).await;
                lives.transact(&operation).await.unwrap();
            }
            lamps += i64::from(kind == "adjust");
            units = reserved(lives, stage.world.clock().now(), units, [orders]).await;
            check_whole(lives, units, lamps, &what).await;
            let status = lives.reservations_of(of, i64::MAX, 10).await.unwrap().first().map(|reservation| reservation.status);
            let wanted = match kind {
                "adjust" => None,
                "reserve" | "extend" => Some(ReservationStatus::Held),
                "claim" => Some(ReservationStatus::Claimed),
                "release" => Some(ReservationStatus::Released),
                "ship" => Some(ReservationStatus::Shipped),
                _ => Some(ReservationStatus::Expired),
            };
            assert_eq!(status, wanted, "{what}");
            told += usize::from(!["extend", "ship"].contains(&kind));
            *ended.entry(kind).or_insert(0_usize) += 1;
            if is_done {
                points.insert(kind, steps);
                break;
            }
        }
        // What is held of these orders must not run out while others are tried.
        for number in 1..=orders {
            let number = (next(), number);
            let cancel = operation(name(number.0), event(number.0), Some(Find::Order(order(number.1))), steps::cancel);
            let before = lives.reservations_of(order(number.1), i64::MAX, 1).await.unwrap();
            let stands = before.first().is_some_and(|known| known.stands() && known.status != ReservationStatus::Shipped);
            lives.transact(&cancel).await.unwrap();
            told += usize::from(stands);
        }
        units = reserved(lives, stage.world.clock().now(), Units::default(), 1..=orders).await;
        check_whole(lives, units, lamps, kind).await;
    }
    println!("each was broken off after every one of so many steps: {points:?}");
    assert!(points.values().all(|steps| *steps > 15), "{points:?}");
    // Whatever was left behind is found and told, once nobody waits for it any more.
    let Store::Cassandra(teller) = lives else { panic!("it is in Cassandra") };
    stage.pass(Duration::from_secs(61)).await;
    while teller.tell().await.unwrap() == Progress::More {}
    let outbox = stage.facts("outbox").await;
    assert!(outbox.iter().all(|fact| fact["status"] == "SENT"));
    let ids: BTreeSet<String> = outbox.iter().map(|fact| fact["id"].to_string()).collect();
    assert_eq!((outbox.len(), ids.len()), (told, told), "each is told, with an id of its own");
    let mut events = 0;
    for topic in MANIFEST.publishes {
        events += stage.events(topic).await.len();
    }
    assert_eq!(events, told);
    let movements = stage.facts("movements").await;
    let of_kind = |kind: &str| movements.iter().filter(|fact| fact["kind"] == kind).count();
    for (kind, count) in &ended {
        // Each order has two lines.
        let (word, lines) = if *kind == "adjust" { ("adjust", 1) } else { (*kind, 2) };
        let least = count * lines;
        let is = of_kind(if word == "reserve" { "hold" } else { word });
        assert!(is >= least && is % lines == 0, "{kind}: {is} movements of {least}");
    }
    let names: BTreeSet<String> = movements.iter().map(|fact| fact["id"].to_string()).collect();
    assert_eq!(names.len(), movements.len(), "no movement stands there twice");
}

#[tokio::test(start_paused = true)]
async fn whoever_dies_at_any_step_holds_up_nothing_that_is_told_behind_him() {
    // More than the relay carries at once.
    const OPERATIONS: u64 = 250;
    let (stage, stores) = stage(on_cassandra, 2).await;
    let [dies, lives] = stores.as_slice() else { panic!("two") };
    let count = |number: u64, of: &str| adjust(name(number), Once::Always, of, "us", 1, false);
    swept(&stores).await;
    for steps in 1..=18 {
        // Each at a cell of its own: nobody comes by and ends what was begun.
        let begun = count(1_000 + steps, &format!("SKU-{steps}"));
        assert!(broken_off(dies.transact(&begun), usize::try_from(steps).unwrap()).await.is_none(), "done after {steps} steps");
    }
    let listed = lives.stock_after("", 100).await.unwrap();
    for steps in 1..=18 {
        let alone = lives.stock_of(&sku(&format!("SKU-{steps}"))).await.unwrap();
        assert!(alone.keys().all(|place| listed.contains_key(place)), "what is there is not listed, after {steps} steps");
    }
    for number in 1..=OPERATIONS {
        lives.transact(&count(number, "LAMP")).await.unwrap();
    }
    let Store::Cassandra(teller) = lives else { panic!("it is in Cassandra") };
    while teller.tell().await.unwrap() == Progress::More {}
    let deltas = |events: &[Value]| events.iter().filter(|event| event["sku"] == "LAMP").count();
    assert_eq!(deltas(&stage.events("inventory.adjusted.v1").await), usize::try_from(OPERATIONS).unwrap());
    // Nobody waits for the dead any more, and what they had decided is told.
    stage.pass(Duration::from_secs(61)).await;
    while teller.tell().await.unwrap() == Progress::More {}
    let outbox = stage.facts("outbox").await;
    assert!(outbox.iter().all(|fact| fact["status"] == "SENT") && outbox.len() >= usize::try_from(OPERATIONS).unwrap());
    assert_eq!(stage.events("inventory.adjusted.v1").await.len(), outbox.len());
}

fn token(state: &State) -> i64 {
    state.reservation.as_ref().map_or(0, |reservation| reservation.fencing_token)
}

// ── on the network ──

fn prefix() -> String {
    cassandra_settings().prefix
}

/// A real world with inventory alone, whose stock is there.
fn world(folder: &Path, prefix: &str, at: &str, more: &[(&str, &str)]) -> World {
    let changes = [("stores.stock", "cassandra"), ("engines.cassandra.contact_points", at), ("engines.cassandra.prefix", prefix)];
    let set = |settings: Settings, (path, value): &(&str, &str)| match value.parse::<i64>() {
        Ok(number) => settings.with(path, number).unwrap(),
        Err(_) => settings.with(path, *value).unwrap(),
    };
    let changed = changes.iter().chain(&[("engines.cassandra.timeout_ms", "20000")]).chain(more).fold(settings(), set);
    World::real(changed, folder, Traces::off()).unwrap()
}

fn keyspace(prefix: &str) -> Keyspace {
    let settings = CassandraSettings { prefix: prefix.to_owned(), ..cassandra_settings() };
    Server::new(&settings, Clock::real()).unwrap().keyspace("inventory", Chance::real().unwrap(), no_faults())
}

fn at() -> String {
    cassandra_settings().contact_points
}

struct Got {
    status: StatusCode,
    retry_after: bool,
    body: Value,
}

async fn ask(world: &World, method: Method, path: &str, body: Option<Value>) -> Got {
    let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    let request = request.body(Body::from(body.map(|body| body.to_string()).unwrap_or_default())).unwrap();
    let answer = tower::ServiceExt::oneshot(world.router("inventory").unwrap(), request).await.unwrap();
    let (status, retry_after) = (answer.status(), answer.headers().contains_key("retry-after"));
    let bytes = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    Got { status, retry_after, body: serde_json::from_slice(&bytes).unwrap_or_default() }
}

async fn receive(world: &World, units: i64) -> Got {
    let body = json!({"sku": "LAMP", "warehouse": "us-east", "delta": units, "reason": "count"});
    ask(world, Method::POST, "/inventory/adjust", Some(body)).await
}

async fn hold(world: &World, of: OrderId, seconds: u32) -> Got {
    let body = json!({"orderId": of, "items": [{"sku": "LAMP", "quantity": 1}], "ttlSeconds": seconds});
    ask(world, Method::POST, "/inventory/reserve", Some(body)).await
}

/// on hand, held, claimed, available
async fn counters(world: &World) -> [i64; 4] {
    let got = ask(world, Method::GET, "/inventory/LAMP", None).await;
    assert_eq!(got.status, 200, "{}", got.body);
    ["onHand", "held", "claimed", "available"].map(|name| got.body["warehouses"][0][name].as_i64().unwrap())
}

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let clock = Clock::real();
    let began = clock.now();
    while !is_so().await {
        assert!(clock.now().since(began) < PATIENCE, "never: {what}");
        clock.sleep(Duration::from_millis(20)).await;
    }
}

async fn pay(world: &World, of: OrderId, at: Timestamp) {
    let event = PaymentAuthorized {
        payment_id: PaymentId(Uuid::from_u128(of.uuid().as_u128() | 1 << 64)),
        order_id: of,
        amount: Money::new(1_999, Currency::Usd),
        version: 2,
        reason: None,
        refunded: None,
        kept: None,
        at,
    };
    let topic = PaymentAuthorized::TOPIC;
    let codec = platform::schema::Codec::<PaymentAuthorized>::register(world.registry(), &format!("{topic}-value")).unwrap();
    let headers = vec![("ce_id".to_owned(), Uuid::from_u128(of.uuid().as_u128() | 2 << 64).to_string())];
    let event = Outgoing { topic: topic.into(), key: event.key(), value: codec.encode(&event).unwrap(), headers };
    world.bus().publish(vec![event]).await.unwrap();
}

struct HoldRow {
    order_id: Option<Uuid>,
    status: Option<String>,
}

impl platform::db::FromRow for HoldRow {
    fn from_row(row: &platform::db::Row<'_>) -> Result<Self, platform::db::DbError> {
        Ok(Self { order_id: row.get("order_id")?, status: row.get("status")? })
    }
}

async fn hold_row(space: &Keyspace, id: &str) -> Option<HoldRow> {
    let id: Uuid = id.parse().unwrap();
    space.fetch_optional("SELECT order_id, status FROM $.holds WHERE reservation_id = ?", values![id]).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_that_is_a_time_to_live_goes_without_a_word_and_an_update_brings_a_stump_back() {
    let (folder, prefix) = (tempfile::tempdir().unwrap(), prefix());
    let world = world(folder.path(), &prefix, &at(), &[("inventory.hold", "ttl")]);
    world.start(&MANIFEST, 0).await.unwrap();
    let space = keyspace(&prefix);
    space.prepare(rows::migrations()).await.unwrap();
    assert_eq!(receive(&world, 1).await.status, 200);
    let first = hold(&world, order(1), 1).await;
    assert_eq!(first.status, 201, "{}", first.body);
    let id = first.body["reservationId"].as_str().unwrap().to_owned();
    until("the server's clock takes the row away", async || hold_row(&space, &id).await.is_none()).await;
    until("the unit is free", async || counters(&world).await == [1, 0, 0, 1]).await;
    let second = hold(&world, order(2), 600).await;
    assert_eq!(second.status, 201, "{}", second.body);
    let whole = hold_row(&space, second.body["reservationId"].as_str().unwrap()).await.unwrap();
    assert_eq!((whole.order_id, whole.status.as_deref()), (Some(order(2).uuid()), Some("HELD")));

    let now = Clock::real().now();
    pay(&world, order(2), now).await;
    pay(&world, order(1), now).await;
    until("both have paid, and one unit is sold twice", async || counters(&world).await == [1, 0, 2, -1]).await;
    // The counters are seen as they were decided, and the row is written after that.
    until("a stump of the row is back", async || hold_row(&space, &id).await.is_some()).await;
    let stump = hold_row(&space, &id).await.unwrap();
    assert_eq!((stump.order_id, stump.status.as_deref()), (None, Some("CLAIMED")), "a status without the rest of its row");
    let status = ask(&world, Method::GET, &format!("/inventory/reservations/{id}"), None).await;
    assert_eq!(status.body["status"], "CLAIMED");
    assert!(world.bus().read("inventory.released.v1", 0, 0, 10).await.unwrap().is_empty(), "nobody was told that it had ended");
    assert!(world.stop(Duration::from_secs(10)).await);
    space.drop_it().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn above_that_rung_one_authority_ends_a_hold_and_says_so() {
    let (folder, prefix) = (tempfile::tempdir().unwrap(), prefix());
    let world = world(folder.path(), &prefix, &at(), &[]);
    world.start(&MANIFEST, 0).await.unwrap();
    assert_eq!(receive(&world, 1).await.status, 200);
    let held = hold(&world, order(1), 1).await.body;
    let ends = async || {
        let mut ends = 0;
        for partition in 0..u32::try_from(world.bus().end_offsets("inventory.released.v1").unwrap().len()).unwrap() {
            ends += world.bus().read("inventory.released.v1", partition, 0, 10).await.unwrap().len();
        }
        ends
    };
    until("its end is told", async || ends().await == 1).await;
    let path = format!("/inventory/reservations/{}", held["reservationId"].as_str().unwrap());
    assert_eq!(ask(&world, Method::GET, &path, None).await.body["status"], "EXPIRED");
    let claim = json!({"reservationId": held["reservationId"], "fencingToken": held["fencingToken"]});
    let late = ask(&world, Method::POST, "/inventory/claim", Some(claim)).await;
    assert_eq!(late.status, 409, "{}", late.body);
    assert_eq!(counters(&world).await, [1, 0, 0, 1]);
    world.stop(Duration::from_secs(10)).await;
    keyspace(&prefix).drop_it().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_sell_the_last_unit_once() {
    let (one, other, prefix) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), prefix());
    let worlds = [world(one.path(), &prefix, &at(), &[]), world(other.path(), &prefix, &at(), &[])];
    futures::future::join_all(worlds.iter().map(|world| async { world.start(&MANIFEST, 0).await.unwrap() })).await;
    assert_eq!(receive(&worlds[0], 20).await.status, 200);
    let asked = (0..40).map(|buyer| {
        let world = &worlds[usize::from(buyer % 2 == 0)];
        hold(world, order(buyer + 1), 600)
    });
    let answers = futures::future::join_all(asked).await;
    let count = |status: u16| answers.iter().filter(|got| got.status.as_u16() == status).count();
    let told: Vec<u16> = answers.iter().map(|got| got.status.as_u16()).collect();
    assert_eq!((count(201), count(409)), (20, 20), "{told:?}");
    let tokens: BTreeSet<i64> = answers.iter().filter_map(|got| got.body["fencingToken"].as_i64()).collect();
    assert_eq!(tokens.len(), 20);
    for world in &worlds {
        assert_eq!(counters(world).await, [20, 20, 0, 0]);
        world.stop(Duration::from_secs(10)).await;
    }
    keyspace(&prefix).drop_it().await.unwrap();
}

/// The events of a topic on the bus of a world, by their ids.
async fn ids(world: &World, topic: &str) -> Vec<String> {
    let mut ids = Vec::new();
    for partition in 0..u32::try_from(world.bus().end_offsets(topic).unwrap().len()).unwrap() {
        let found = world.bus().read(topic, partition, 0, 1_000).await.unwrap();
        ids.extend(found.iter().map(|event| event.header("ce_id").unwrap().to_owned()));
    }
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_end_each_hold_once_and_tell_each_event_once() {
    const HOLDS: usize = 20;
    let (one, other, prefix) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), prefix());
    let worlds = [world(one.path(), &prefix, &at(), &[]), world(other.path(), &prefix, &at(), &[])];
    futures::future::join_all(worlds.iter().map(|world| async { world.start(&MANIFEST, 0).await.unwrap() })).await;
    assert_eq!(receive(&worlds[0], 100).await.status, 200);
    for (buyer, world) in (1..=HOLDS as u64).zip(worlds.iter().cycle()) {
        let held = hold(world, order(buyer), 1).await;
        assert_eq!(held.status, 201, "{}", held.body);
    }
    // Each has a bus of its own here, so what both tell is told twice.
    let told = async |topic: &str| [ids(&worlds[0], topic).await, ids(&worlds[1], topic).await].concat();
    until("every end is told", async || told("inventory.released.v1").await.len() >= HOLDS).await;
    until("every hold is told", async || told("inventory.reserved.v1").await.len() >= HOLDS).await;
    for world in &worlds {
        assert_eq!(counters(world).await, [100, 0, 0, 100]);
        world.stop(Duration::from_secs(10)).await;
    }
    for topic in ["inventory.reserved.v1", "inventory.released.v1"] {
        let all = told(topic).await;
        assert_eq!((all.len(), all.iter().collect::<BTreeSet<_>>().len()), (HOLDS, HOLDS), "{topic}");
    }
    keyspace(&prefix).drop_it().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_stock_is_away_who_needs_it_is_told_to_come_again_and_nothing_acknowledged_is_lost() {
    let (folder, prefix) = (tempfile::tempdir().unwrap(), prefix());
    keyspace(&prefix).prepare(rows::migrations()).await.unwrap();
    let proxy = Proxy::to(&format!("cql://{}", at())).await;
    let through = proxy.url().trim_start_matches("cql://").to_owned();
    proxy.refuse();
    let world = world(folder.path(), &prefix, &through, &[("engines.cassandra.timeout_ms", "1500")]);
    world.start(&MANIFEST, 0).await.unwrap();
    assert_eq!(receive(&world, 1).await.status, 503, "a start without it waits for nobody");
    proxy.forward();
    until("it is found later", async || receive(&world, 10).await.status == 200).await;
    let before = counters(&world).await[0];
    for away in [Proxy::refuse, Proxy::hold] {
        away(&proxy);
        for refused in [receive(&world, 1).await, ask(&world, Method::GET, "/inventory/LAMP", None).await] {
            assert_eq!((refused.status, refused.retry_after), (StatusCode::SERVICE_UNAVAILABLE, true), "{}", refused.body);
        }
        let ready = ask(&world, Method::GET, "/health/ready", None).await.body;
        assert!(ready["dependencies"]["cassandra"].to_string().contains("DOWN"), "{ready}");
        proxy.forward();
        until("it is back", async || ask(&world, Method::GET, "/inventory/LAMP", None).await.status == 200).await;
    }
    let after = counters(&world).await[0];
    assert!(after >= before, "{after} of {before}");
    assert_eq!(receive(&world, 5).await.status, 200);
    assert_eq!(counters(&world).await[0], after + 5);
    world.stop(Duration::from_secs(10)).await;
    keyspace(&prefix).drop_it().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conditional_write_whose_answer_is_lost_on_the_network_is_read_back_as_what_it_was() {
    const MANY: u32 = 10_000;
    let prefix = prefix();
    let proxy = Proxy::to(&format!("cql://{}", at())).await;
    let through = proxy.url().trim_start_matches("cql://").to_owned();
    let folders = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    // Stores of two processes, of which one is behind the proxy.
    let (first, second) = (
        world(folders.0.path(), &prefix, &at(), &[]),
        world(folders.1.path(), &prefix, &through, &[("engines.cassandra.timeout_ms", "5000")]),
    );
    OPENED.take();
    first.start(&STORE_ONLY, 0).await.unwrap();
    second.start(&STORE_ONLY, 0).await.unwrap();
    let stores = OPENED.take();
    let [direct, unsure] = stores.as_slice() else { panic!("two") };
    direct.transact(&adjust(name(1), Once::Always, "LAMP", "us", 1_000, false)).await.unwrap();
    until("it is reached", async || unsure.sweep(Hold::Fenced).await.is_ok()).await;
    let mut answers = 0;
    for number in 2..5 {
        proxy.mute_after(MANY);
        unsure.transact(&adjust(name(number), Once::Always, "LAMP", "us", 1, false)).await.unwrap();
        answers = MANY - proxy.spared();
        proxy.forward();
    }
    let mut expected = 1_003;
    let (mut applied, mut not) = (0, 0);
    // What else is said on the way counts too, so which answer is that of the decision is not always the same. It is one of the last.
    for (number, spared) in (100..).zip((0..=answers).rev().cycle()).take(200) {
        let operation = adjust(name(number), Once::Always, "LAMP", "us", 1, false);
        proxy.mute_after(spared);
        let became = unsure.transact(&operation).await;
        proxy.forward();
        let is_done = if became.is_ok() {
            true
        } else {
            let is_applied = matches!(direct.read_back(&operation).await.unwrap(), ReadBack::Applied(_));
            if is_applied {
                applied += 1
            } else {
                not += 1
            }
            is_applied
        };
        expected += i64::from(is_done);
        let stock = direct.stock_of(&sku("LAMP")).await.unwrap();
        assert_eq!(stock.values().next().unwrap().on_hand, expected, "with {spared} answers");
        until("it is reached again", async || unsure.stock_of(&sku("LAMP")).await.is_ok()).await;
        if applied > 0 && not > 3 {
            break;
        }
    }
    println!("an operation has {answers} answers; of those without one {applied} were applied, {not} were not");
    assert!(applied > 0 && not > 3, "{applied} were applied, {not} were not");
    let last = direct.transact(&adjust(name(999), Once::Always, "LAMP", "us", 1, false)).await.unwrap();
    assert_eq!(last.status, 200);
    keyspace(&prefix).drop_it().await.unwrap();
}

#[tokio::test]
async fn many_make_one_keyspace_whose_tables_go_up_and_down_and_a_newer_one_is_refused() {
    let prefix = prefix();
    let all: Vec<Keyspace> = (0..4).map(|_| keyspace(&prefix)).collect();
    for prepared in futures::future::join_all(all.iter().map(|space| space.prepare(rows::migrations()))).await {
        prepared.unwrap();
    }
    all[0].write("INSERT INTO $.marks (name, reached) VALUES ('a', 1)", vec![]).await.unwrap();
    all[1].migrate_down(0).await.unwrap();
    let gone = all[0].write("INSERT INTO $.marks (name, reached) VALUES ('a', 1)", vec![]).await;
    assert!(matches!(gone, Err(CassandraError::Refused { .. })), "{gone:?}");
    let anew = keyspace(&prefix);
    anew.prepare(rows::migrations()).await.unwrap();
    let reached: Option<i64> = anew.fetch_optional("SELECT reached FROM $.marks WHERE name = 'a'", vec![]).await.unwrap();
    assert_eq!(reached, None, "what was taken away is empty");
    let newer = keyspace(&prefix).prepare(vec![]).await.unwrap_err().to_string();
    assert!(newer.contains("written by a newer version"), "{newer}");
    let mut changed = rows::migrations();
    changed[0].up.push_str("\nDROP TABLE IF EXISTS $.nothing");
    let refused = keyspace(&prefix).prepare(changed).await.unwrap_err().to_string();
    assert!(refused.contains("was changed after it had been applied"), "{refused}");
    let lease = anew.lease("test", PATIENCE).await.unwrap().unwrap();
    assert!(all[0].lease("test", PATIENCE).await.unwrap().is_none(), "another has it");
    lease.end().await;
    assert!(all[0].lease("test", PATIENCE).await.unwrap().is_some());
    anew.drop_it().await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_used_is_one_sentence() {
    let refused = |changes: &[(&str, &str)]| {
        let defaults = Settings::load(platform::settings::DEFAULTS, None, std::iter::empty()).unwrap();
        let settings = changes.iter().fold(defaults, |settings, (path, value)| settings.with(path, *value).unwrap());
        Engines::check(&settings).unwrap_err().to_string()
    };
    let cassandra = ("stores.stock", "cassandra");
    let unset = "`stores.stock` is \"cassandra\", but `engines.cassandra.contact_points` is empty: say there how it is reached";
    assert_eq!(refused(&[cassandra]), unset);
    let missing = refused(&[cassandra, ("engines.cassandra.contact_points", "x:1"), ("engines.cassandra.ca_file", "/nowhere/ca.pem")]);
    assert!(missing.starts_with("`engines.cassandra.ca_file`: /nowhere/ca.pem cannot be read"), "{missing}");
}
