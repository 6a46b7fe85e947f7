//! A server behind `platform::db::Db`: the suite that SQLite takes, the same random work for both, and what only an engine can do: be away, be
//! slow, refuse an order, be used by several processes. Each of the servers takes all of it, and what is its own stands in a file of its name.

#![expect(clippy::disallowed_methods, reason = "no world stands here whose tasks these could be")]
#![expect(clippy::disallowed_types, reason = "the derive of AvroSchema names HashSet in a signature; nobody looks at its order")]

mod mariadb;
mod postgresql;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use apache_avro::AvroSchema;
use engine_tests::proxy::Proxy;
use platform::{
    Chance, Clock, Ids,
    auth::Secret,
    bus::{Bus, TopicSettings},
    db::{Db, DbError, Migration, Options, Tx},
    event::{self, Event, Outbox, Relay},
    fault::Faults,
    idempotency::{self, Idempotency, Key},
    schema::Registry,
    service::Progress,
    testing::stores::{count, insert, migrations, no_faults, twins},
    values,
};

/// One server that stands behind `Db`, and what has to be said to it in its own words.
#[derive(Clone, Copy)]
struct Server {
    url: fn() -> String,
    open: fn(&'static str, &Options, Chance, Faults) -> Result<Db, DbError>,
    /// Takes a schema and everything in it.
    drop: fn(&str) -> String,
    /// Asks for a number, and is answered after so many seconds.
    pause: fn(&str) -> String,
}

impl Server {
    fn options(self, schema: &str) -> Options {
        let mut options = Options::new(Secret::new((self.url)()).unwrap());
        options.schema = Some(format!("test_{schema}"));
        // Others work on this machine at the same time, and a file system may be slow.
        options.patience = Duration::from_secs(20);
        options
    }

    fn db(self, options: &Options) -> Db {
        (self.open)("test", options, Chance::seeded(1), no_faults()).unwrap()
    }

    fn again(self, schema: &str) -> Db {
        self.db(&self.options(schema))
    }

    /// A database of this name without anything in it.
    async fn fresh(self, schema: &str) -> Db {
        let mut options = self.options(schema);
        let name = options.schema.clone().unwrap();
        options.schema = Some("crashcart".to_owned());
        self.db(&options).run_script(&(self.drop)(&name)).await.unwrap();
        let db = self.again(schema);
        db.migrate(&[]).await.unwrap();
        db
    }
}

async fn wall(work: impl Future) -> Duration {
    let clock = Clock::real();
    let from = clock.now();
    work.await;
    clock.now().since(from)
}

/// A simulated world's thread waits for the engine in another runtime, whose time is the machine's. What a service does in its transaction has
/// the world's, or it would find nothing due and everything young.
async fn work_in_a_simulated_world_is_told_the_worlds_time(server: Server) {
    let db = server.fresh("time_of_the_world").await;
    let clock = Clock::simulated();
    clock.sleep(Duration::from_secs(3_600)).await;
    let look = async move |tx: &mut Tx<'_>| {
        let first = clock.now();
        tx.fetch_one::<i64>("SELECT count(*) FROM schema_migrations", vec![]).await?;
        Ok::<_, DbError>((first, clock.now()))
    };
    let (outside, written, read) = (clock.now(), db.write(look).await.unwrap(), db.read(look).await.unwrap());
    assert_eq!((written, read, clock.now()), ((outside, outside), (outside, outside), outside));
}

/// All of it for one server: the suite of the stores and the checks below, a test for each.
macro_rules! on {
    ($server:expr) => {
        $crate::sql::on!(stores $server;
            an_error_of_the_work_undoes_the_work,
            a_panic_in_the_work_stays_there,
            a_reader_changes_nothing,
            what_waits_is_told_after_the_commit_only,
            everybody_who_waits_is_told_and_nobody_who_comes_later,
            migrations_go_up_and_down_and_know_a_newer_store,
            every_kind_of_value_comes_back_as_it_was,
            a_row_whose_key_is_taken_is_not_inserted_anew,
            rows_are_inserted_many_at_a_time_and_in_their_order,
            no_change_is_lost,
            a_limit_over_many_rows_holds,
            a_read_is_one_snapshot,
        );
        $crate::sql::on!(checks $server;
            ten_thousand_random_statements_are_answered_as_by_sqlite,
            of_several_processes_one_migrates,
            a_deadlock_ends_and_both_get_their_way,
            work_that_swallows_an_error_keeps_nothing_and_is_told,
            two_relays_publish_each_event_once_and_in_order,
            what_a_relay_dies_with_is_told_again_and_in_order,
            the_same_request_has_one_effect_and_one_answer,
            a_lease_is_of_one_process_until_it_ends,
            an_engine_that_is_away_is_an_error_in_bounded_time_and_then_works_again,
            an_engine_that_is_silent_is_an_error_in_bounded_time_and_then_works_again,
            a_statement_that_takes_too_long_is_given_up,
            no_password_is_shown,
        );
        $crate::sql::on!(worlds $server;
            work_in_a_simulated_world_is_told_the_worlds_time,
            in_a_simulated_world_a_lease_ends_in_the_moment_of_a_crash,
        );
    };
    (stores $server:expr; $($check:ident),* $(,)?) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $check() {
            platform::testing::stores::$check($server.fresh(stringify!($check)).await).await;
        }
    )*};
    (checks $server:expr; $($check:ident),* $(,)?) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn $check() {
            $crate::sql::$check($server).await;
        }
    )*};
    (worlds $server:expr; $($check:ident),* $(,)?) => {$(
        #[tokio::test(start_paused = true)]
        async fn $check() {
            $crate::sql::$check($server).await;
        }
    )*};
}
use on;

async fn ten_thousand_random_statements_are_answered_as_by_sqlite(server: Server) {
    let floor = Db::in_memory("test", Chance::seeded(1), no_faults()).unwrap();
    twins::agree(&floor, &server.fresh("twins").await, Chance::seeded(42), 10_000).await;
}

async fn of_several_processes_one_migrates(server: Server) {
    let first = server.fresh("leader").await;
    // Not safe to repeat: whoever ran it a second time would fail.
    let slow = || {
        let up = format!("CREATE TABLE slow (n bigint); {}; INSERT INTO slow VALUES (1)", (server.pause)("0.2"));
        Migration::new(3, "slow", "", "").with_postgresql(&up, "DROP TABLE slow").with_mariadb(&up, "DROP TABLE slow")
    };
    let all = || [migrations(), vec![slow()]].concat();
    let processes: Vec<Db> = (0..4).map(|_| server.again("leader")).collect();
    futures::future::try_join_all(processes.into_iter().map(|db| {
        let all = all();
        let work = tokio::spawn(async move { db.migrate(&all).await });
        async move { work.await.unwrap() }
    }))
    .await
    .unwrap();
    let rows: i64 = first.read(async |tx: &mut Tx<'_>| tx.fetch_one("SELECT count(*) FROM slow", vec![]).await).await.unwrap();
    assert_eq!(rows, 1);
}

/// Two who take the same two rows in opposite orders: the engine ends the deadlock, and the loser's work is run again.
async fn a_deadlock_ends_and_both_get_their_way(server: Server) {
    let db = server.fresh("deadlock").await;
    db.migrate(&migrations()).await.unwrap();
    insert(&db, 1).await.unwrap();
    insert(&db, 2).await.unwrap();
    let runs = Arc::new(AtomicU64::new(0));
    let both = [(1_i64, 2_i64), (2, 1)].map(|(first, second)| {
        let (db, runs) = (db.clone(), runs.clone());
        tokio::spawn(async move {
            db.write(async move |tx: &mut Tx<'_>| -> Result<(), DbError> {
                runs.fetch_add(1, Ordering::Relaxed);
                let update = "UPDATE notes SET text = text || ? WHERE id = ?";
                tx.execute(update, values!["+", first]).await?;
                // Until the other has its first row too.
                tx.fetch_one::<i64>(&(server.pause)("0.2"), vec![]).await?;
                tx.execute(update, values!["+", second]).await?;
                Ok(())
            })
            .await
        })
    });
    for one in both {
        one.await.unwrap().unwrap();
    }
    assert!(runs.load(Ordering::Relaxed) >= 3, "nobody was refused");
    assert_eq!(db.counters().reruns.load(Ordering::Relaxed), runs.load(Ordering::Relaxed) - 2);
    let texts: Vec<String> = db.read(async |tx: &mut Tx<'_>| tx.fetch_all("SELECT text FROM notes", vec![]).await).await.unwrap();
    assert_eq!(texts, ["x++", "x++"]);
}

async fn work_that_swallows_an_error_keeps_nothing_and_is_told(server: Server) {
    let db = server.fresh("swallowed").await;
    db.migrate(&migrations()).await.unwrap();
    insert(&db, 1).await.unwrap();
    let answer = db
        .write(async |tx: &mut Tx<'_>| -> Result<(), DbError> {
            tx.execute("INSERT INTO notes (id, text) VALUES (2, 'x')", vec![]).await?;
            drop(tx.execute("INSERT INTO notes (id, text) VALUES (1, 'x')", vec![]).await);
            Ok(())
        })
        .await;
    assert!(matches!(answer, Err(DbError::Statement { .. })), "{answer:?}");
    assert_eq!(count(&db).await, 1);
}

#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, AvroSchema)]
#[avro(namespace = "crashcart.engines")]
struct Counted {
    thing: i64,
    number: i64,
}

impl Event for Counted {
    const TOPIC: &'static str = "engines.thing.counted.v1";
    fn key(&self) -> String {
        self.thing.to_string()
    }
}

async fn two_relays_publish_each_event_once_and_in_order(server: Server) {
    two_relays_publish(server, "relays", u32::MAX).await;
}

async fn what_a_relay_dies_with_is_told_again_and_in_order(server: Server) {
    two_relays_publish(server, "deaths", 20).await;
}

/// Four write events while two processes relay, of which one dies after so many steps, again and again: each event is published, and those of one
/// thing in the order of its changes at their first delivery. While nobody dies each is published once.
async fn two_relays_publish(server: Server, name: &'static str, steps_of_a_life: u32) {
    let (clock, things, changes) = (Clock::real(), 4_i64, 60_i64);
    let db = server.fresh(name).await;
    db.migrate(&[event::migrations("test"), migrations()].concat()).await.unwrap();
    let (bus, registry) = (Bus::in_memory(clock, no_faults()), Registry::in_memory());
    bus.create_topic(Counted::TOPIC, TopicSettings::default()).await.unwrap();
    let outbox = Outbox::new("test", clock, Ids::new(clock, Chance::seeded(1), "test", 0), registry.clone(), Arc::default());
    outbox.register::<Counted>().unwrap();
    let writers: Vec<_> = (0..things)
        .map(|thing| {
            let (db, outbox) = (server.again(name), outbox.clone());
            tokio::spawn(async move {
                insert(&db, thing).await.unwrap();
                for number in 0..changes {
                    let outbox = outbox.clone();
                    db.write(async move |tx: &mut Tx<'_>| {
                        outbox.add(tx, &Counted { thing, number }).await?;
                        tx.execute("UPDATE notes SET text = ? WHERE id = ?", values![number.to_string(), thing]).await
                    })
                    .await
                    .unwrap();
                }
            })
        })
        .collect();
    let written = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let relays: Vec<_> = [u32::MAX, steps_of_a_life]
        .into_iter()
        .map(|lives_for| {
            // As in a process of its own, with a pool of its own.
            let (db, bus, written) = (server.again(name), bus.clone(), written.clone());
            tokio::spawn(async move {
                let start = || Relay::new("test", db.clone(), bus.clone(), clock, Arc::default());
                let (mut relay, mut steps, mut deaths) = (start(), 0, 0);
                loop {
                    let is_last = written.load(Ordering::SeqCst);
                    if relay.step().await.unwrap() == Progress::Idle && is_last {
                        return deaths;
                    }
                    steps += 1;
                    if steps == lives_for {
                        (relay, steps, deaths) = (start(), 0, deaths + 1);
                    }
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    written.store(true, Ordering::SeqCst);
    let mut deaths = 0;
    for relay in relays {
        deaths += relay.await.unwrap();
    }
    assert_eq!(deaths > 0, steps_of_a_life < u32::MAX);
    let mut found: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    let mut delivered = BTreeSet::new();
    for partition in 0..bus.end_offsets(Counted::TOPIC).unwrap().len() {
        for delivery in bus.read(Counted::TOPIC, u32::try_from(partition).unwrap(), 0, 10_000).await.unwrap() {
            if !delivered.insert(delivery.header("ce_id").unwrap().to_owned()) {
                assert!(deaths > 0, "it was told twice: {delivery:?}");
                continue;
            }
            let event = platform::schema::decode_json(&registry, &delivery.value).unwrap();
            found.entry(delivery.key.clone()).or_default().push(event["number"].as_i64().unwrap());
        }
    }
    let wanted: Vec<i64> = (0..changes).collect();
    assert_eq!(found, (0..things).map(|thing| (thing.to_string(), wanted.clone())).collect());
    let pending = "SELECT count(*) FROM test_outbox WHERE status <> 'SENT' OR sent_at IS NULL";
    assert_eq!(db.read(async |tx: &mut Tx<'_>| tx.fetch_one::<i64>(pending, vec![]).await).await.unwrap(), 0);
}

/// The same request from eight at once, of several processes: one does the work, all get its answer.
async fn the_same_request_has_one_effect_and_one_answer(server: Server) {
    use platform::{http::Answer, problem::Problem};
    let db = server.fresh("idempotency").await;
    db.migrate(&[vec![idempotency::migration("test")], migrations()].concat()).await.unwrap();
    let all: Vec<_> = (0..8_i64)
        .map(|caller| {
            let (db, answers) = (server.again("idempotency"), Idempotency::new("test", Clock::real()));
            tokio::spawn(async move {
                let key = Key::new("POST /notes", "k", [7; 32]);
                db.write(async move |tx: &mut Tx<'_>| {
                    let work = async |tx: &mut Tx<'_>| -> Result<Answer, Problem> {
                        tx.execute("INSERT INTO notes (id, text) VALUES (?, 'x')", values![caller]).await?;
                        Answer::ok(&caller)
                    };
                    answers.once(tx, Some(&key), work).await
                })
                .await
            })
        })
        .collect();
    let mut bodies = Vec::new();
    for one in all {
        bodies.push(one.await.unwrap().unwrap().body);
    }
    bodies.dedup();
    assert_eq!((bodies.len(), count(&db).await), (1, 1));
}

async fn a_lease_is_of_one_process_until_it_ends(server: Server) {
    let (one, other) = (server.fresh("lease").await, server.again("lease"));
    let held = one.lease("sweep").await.unwrap().unwrap();
    assert!(other.lease("sweep").await.unwrap().is_none());
    other.lease("another").await.unwrap().unwrap().end().await;
    held.end().await;
    let held = other.lease("sweep").await.unwrap().unwrap();
    assert!(one.lease("sweep").await.unwrap().is_none());
    // As when its process dies: the engine hears of it when the connection closes, a moment later.
    drop(held);
    let clock = Clock::real();
    let freed = async {
        while one.lease("sweep").await.unwrap().is_none() {
            clock.sleep(Duration::from_millis(5)).await;
        }
    };
    clock.timeout(Duration::from_secs(10), freed).await.unwrap();
}

/// No second of the world passes while the engine finds out.
async fn in_a_simulated_world_a_lease_ends_in_the_moment_of_a_crash(server: Server) {
    let (one, other) = (server.fresh("lease_in_a_world").await, server.again("lease_in_a_world"));
    for round in 0..100 {
        drop(one.lease("sweep").await.unwrap().unwrap());
        assert!(other.lease("sweep").await.unwrap().is_some(), "round {round}");
    }
}

/// Through a proxy that the test can make silent or close.
async fn behind_a_proxy(server: Server, schema: &str, patience: Duration) -> (Proxy, Db) {
    server.fresh(schema).await.migrate(&migrations()).await.unwrap();
    let mut options = server.options(schema);
    let proxy = Proxy::to(options.url.expose()).await;
    options.url = Secret::new(proxy.url()).unwrap();
    options.patience = patience;
    options.connections = 3;
    (proxy, server.db(&options))
}

async fn an_engine_that_is_away_is_an_error_in_bounded_time_and_then_works_again(server: Server) {
    let (proxy, db) = behind_a_proxy(server, "away", Duration::from_millis(800)).await;
    insert(&db, 1).await.unwrap();
    proxy.refuse();
    let took = wall(async {
        let refused = insert(&db, 2).await;
        assert!(refused.as_ref().is_err_and(DbError::is_transient), "{refused:?}");
        let refused = db.read(async |tx: &mut Tx<'_>| tx.fetch_one::<i64>("SELECT 1", vec![]).await).await;
        assert!(refused.as_ref().is_err_and(DbError::is_transient), "{refused:?}");
    })
    .await;
    assert!(took < Duration::from_millis(1_700), "{took:?}");
    proxy.forward();
    insert(&db, 2).await.unwrap();
    assert_eq!(count(&db).await, 2);
}

async fn an_engine_that_is_silent_is_an_error_in_bounded_time_and_then_works_again(server: Server) {
    let (proxy, db) = behind_a_proxy(server, "silent", Duration::from_millis(500)).await;
    insert(&db, 1).await.unwrap();
    proxy.hold();
    // More at once than there are connections: those who wait for one are told in time, too.
    let took = wall(async {
        let all: Vec<_> = (10..20_i64)
            .map(|id| {
                let db = db.clone();
                tokio::spawn(async move { insert(&db, id).await })
            })
            .collect();
        for one in all {
            let refused = one.await.unwrap();
            assert!(refused.as_ref().is_err_and(DbError::is_transient), "{refused:?}");
        }
    })
    .await;
    assert!(took < Duration::from_millis(1_500), "{took:?}");
    proxy.forward();
    insert(&db, 2).await.unwrap();
    let ids: Vec<i64> =
        db.read(async |tx: &mut Tx<'_>| tx.fetch_all("SELECT id FROM notes WHERE id < 10 ORDER BY id", vec![]).await).await.unwrap();
    assert_eq!(ids, [1, 2]);
}

async fn a_statement_that_takes_too_long_is_given_up(server: Server) {
    let (_proxy, db) = behind_a_proxy(server, "too_long", Duration::from_millis(400)).await;
    let took = wall(async {
        let refused = db.read(async |tx: &mut Tx<'_>| tx.fetch_optional::<i64>(&(server.pause)("30"), vec![]).await).await;
        assert!(refused.as_ref().is_err_and(DbError::is_transient), "{refused:?}");
    })
    .await;
    assert!(took < Duration::from_millis(1_000), "{took:?}");
    insert(&db, 1).await.unwrap();
}

async fn no_password_is_shown(server: Server) {
    let url = (server.url)();
    let scheme = url.split(':').next().unwrap_or_default();
    let password = url.split(['/', ':', '@']).nth(4).unwrap_or_default().to_owned();
    assert!(password.len() > 8);
    let mut wrong = server.options("secrets");
    let shown = |db: &Db, error: &DbError| format!("{db:?} {error:?} {error}");
    // Another password, of which the right one is a part.
    wrong.url = Secret::new(url.replace(&password, &format!("{password}x"))).unwrap();
    let db = server.db(&wrong);
    let refused = insert(&db, 1).await.unwrap_err();
    assert!(refused.is_transient(), "{refused:?}");
    let text = format!("{} {wrong:?}", shown(&db, &refused));
    assert!(!text.contains(&password), "{text}");
    wrong.url = Secret::new(format!("{scheme}://crashcart:{password}@nowhere:port/x")).unwrap();
    let refused = (server.open)("test", &wrong, Chance::seeded(1), no_faults()).unwrap_err();
    assert!(!format!("{refused:?} {refused}").contains(&password), "{refused:?}");
}
