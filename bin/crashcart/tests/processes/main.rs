//! Every service in a process of its own, over the real engines: a customer buys, processes are killed under load, two processes of a service
//! share its work; and every time the whole system is checked as one. These tests need the engines (`make test-engines`).
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "what a test cannot go on without is a failed test")]

mod buyer;
mod fleet;

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use crashcart::{parts::GATEWAY, registry::SERVICES};
use futures::{StreamExt, future::Either, stream};
use http::StatusCode;
use lab::{
    crash::{self, Shared, record::Record},
    target::{Remote, Request, Target},
};
use platform::{
    Clock,
    fault::{Fault, Rule},
    settings::environment,
};
use serde_json::{Value as Json, json};

use crate::{
    buyer::{Buyer, offer, sell},
    fleet::Fleet,
};

/// How long a load may take to get so far.
const PATIENCE: Duration = Duration::from_secs(180);
const LOOK: Duration = Duration::from_millis(50);

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_buys_where_every_service_has_a_process_of_its_own() {
    let fleet = Fleet::start(&[]).await;
    let shop = fleet.remote();
    sell(&shop).await;
    let buyer = Buyer::new(&fleet, 1);
    let bought = buyer.buy("tok_ok").await;
    bought.must_be("FULFILLED_READY");
    let payment = shop.must(Request::get(format!("/payments/{}", bought.payment))).await.unwrap();
    assert_eq!((payment["status"].as_str(), &payment["captured"]), (Some("CAPTURED"), &bought.total));
    // An order is shown by the replica to who does not mind.
    let path = format!("/orders/{}", bought.order);
    let clock = fleet.clock;
    let until = clock.now().plus(PATIENCE);
    while shop.call(Request::get(&*path).header("x-read-after", "any")).await.unwrap().status != StatusCode::OK {
        assert!(clock.now() < until, "the replica has no order within {PATIENCE:?}");
        clock.sleep(LOOK).await;
    }
    assert!(fleet.count("order", "store_replica_reads").await >= 1.0, "no read went to the replica");
    let refused = Buyer::new(&fleet, 2).buy("tok_decline_insufficient").await;
    refused.must_be("CANCELLED");

    // The gateway has a door to every room, and none to the laboratory.
    for path in ["/products", "/health", "/docs", "/openapi/order", "/openapi/catalog"] {
        assert_eq!(shop.call(Request::get(path)).await.unwrap().status, StatusCode::OK, "{path}");
    }
    until_ready(&shop, fleet.clock).await;
    assert_eq!(shop.call(Request::get("/lab/audit")).await.unwrap().status, StatusCode::NOT_FOUND);
    let nobody = shop.call(Request::get("/orders").header("authorization", "Bearer nobody")).await.unwrap();
    assert_eq!(nobody.status, StatusCode::UNAUTHORIZED, "the order's process asks for the token itself");

    let verified = fleet.verify();
    assert_eq!((&verified["facts"]["orders"], &verified["facts"]["payments"]), (&2.into(), &2.into()), "{verified}");
    let unchecked: Vec<&str> = verified["invariants"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["state"] != "held")
        .map(|one| one["invariant"].as_str().unwrap())
        .collect();
    assert_eq!(unchecked, ["I15"], "a session's record is a client's, and here is none");
    let data = fleet.data("gateway").display().to_string();
    let tail = ["events", "tail", "--from-start", "--topic", "order.created.v1", "--limit", "2", "--data", &data];
    let (code, told, error) = fleet.run(&tail);
    assert!(code == 0 && !told.contains("undecodable") && told.contains("order.created"), "{error}\n{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_that_is_set_at_one_admin_listener_is_set_in_every_process() {
    let mut fleet = Fleet::start(&[]).await;
    let shop = fleet.remote();
    shop.set_fault("call.psp", &Fault::always(Rule::Fail)).await.unwrap();
    for process in ["payment", "order", "gateway"] {
        let alone = Request::get("/lab/faults/call.psp").header("crashcart-alone", "1");
        let told = fleet.admin(process).admin(alone).await.unwrap().json();
        assert_eq!(told["items"].as_array().map(Vec::len), Some(1), "{process}: {told}");
    }
    shop.clear_faults(None).await.unwrap();
    shop.set_fault("call.catalog", &Fault::always(Rule::Delay).of_millis(1)).await.unwrap();
    shop.set_rung("psp-timeout", "R0").await.unwrap();
    // Half of the facts are none: who cannot be asked is named.
    fleet.kill("payment");
    let error = shop.facts("orders").await.unwrap_err().to_string();
    assert!(error.contains("The admin listener of payment"), "{error}");
    // Who does not hear of a fault is told too, and comes back into the same system.
    let brief = Fault { for_seconds: Some(600.0), ..Fault::always(Rule::Fail) };
    let error = shop.set_fault("blob.put", &brief).await.unwrap_err().to_string();
    assert!(error.contains("The admin listener of payment"), "{error}");
    fleet.restart("payment").await;
    let admin = fleet.admin("payment");
    let alone = async |path: &str| admin.admin(Request::get(path).header("crashcart-alone", "1")).await.unwrap().json();
    let told = alone("/lab/faults").await;
    let points: Vec<_> = told["items"].as_array().unwrap().iter().map(|at| at["point"].as_str().unwrap()).collect();
    assert_eq!(points, ["call.catalog", "blob.put"], "{told}");
    let left = told["items"][1]["for"].as_f64().unwrap();
    assert!(left > 0.0 && left < 600.0, "{told}");
    assert_eq!(alone("/lab/rungs").await, json!({"psp-timeout": "R0"}));
}

/// Waits until every service has what it needs: on a machine that is busy, a task of one may be without an answer for a moment.
async fn until_ready(shop: &Remote, clock: Clock) {
    let until = clock.now().plus(PATIENCE);
    loop {
        let answer = shop.call(Request::get("/health/ready")).await.unwrap();
        if answer.status == StatusCode::OK {
            return;
        }
        assert!(clock.now() < until, "not ready within {PATIENCE:?}: {}", answer.json());
        clock.sleep(LOOK).await;
    }
}

/// Waits for a load to get so far.
async fn until_taken(shared: &Shared, clock: Clock, orders: u64) {
    let until = clock.now().plus(PATIENCE);
    while shared.record().orders() < orders {
        assert!(clock.now() < until, "only {} of {orders} orders were taken", shared.record().orders());
        clock.sleep(LOOK).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_are_killed_twenty_times_under_load_and_nothing_is_lost_or_done_twice() {
    const KILLS: u64 = 20;
    let mut fleet = Fleet::start(&[]).await;
    let shared = Shared::new(Record::open(&fleet.folder().join("record.ndjson")).unwrap());
    let clock = fleet.clock;
    let orders = |count| until_taken(&shared, clock, count);
    // Orders are taken without payment, and their money waits; then everybody has a turn.
    let others = SERVICES.iter().map(|service| service.name).chain([GATEWAY]).cycle();
    let mut victims = (0..KILLS).zip(std::iter::once("payment").chain(others));
    for life in 0.. {
        let shop = fleet.remote();
        let findings = {
            let conduct = async {
                for (number, victim) in victims.by_ref() {
                    orders(10 + 5 * number).await;
                    fleet.kill(victim);
                    if victim == GATEWAY {
                        return None;
                    }
                    if number == 0 {
                        orders(20).await;
                    }
                    fleet.restart(victim).await;
                }
                orders(15 + 5 * KILLS).await;
                Some(())
            };
            let load = crash::live(&shop, &shared, 7, life, 4);
            futures::pin_mut!(conduct, load);
            match futures::future::select(conduct, load).await {
                Either::Left((Some(()), _)) => break,
                // Without the gateway nobody can shop.
                Either::Left((None, load)) => load.await,
                Either::Right((findings, conduct)) => {
                    assert!(conduct.await.is_none(), "the gateway went away by itself");
                    findings
                }
            }
        };
        assert!(findings.is_empty(), "{findings:#?}");
        fleet.restart(GATEWAY).await;
    }
    let checked = crash::check(&fleet.remote(), &shared, 7, 0).await.unwrap();
    assert!(checked.holds(), "{checked:#?}");
    assert!(checked.judged.orders >= 15 + 5 * KILLS && checked.judged.captures >= 40, "{:?}", checked.judged);
    fleet.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_engine_is_killed_under_load_and_nothing_is_lost_or_done_twice() {
    // Not the registry, whose server of these tests keeps its schemas in memory.
    const ENGINES: [&str; 7] = ["redis", "postgresql", "mariadb", "kafka", "couchdb", "minio", "cassandra"];
    let fleet = Fleet::start(&[]).await;
    let shop = fleet.remote();
    let shared = Shared::new(Record::open(&fleet.folder().join("record.ndjson")).unwrap());
    {
        let conduct = async {
            for (number, engine) in (1..).zip(ENGINES) {
                until_taken(&shared, fleet.clock, 10 * number).await;
                fleet.crash_engine(engine).await;
            }
            until_taken(&shared, fleet.clock, 100).await;
        };
        let load = crash::live(&shop, &shared, 7, 0, 4);
        futures::pin_mut!(conduct, load);
        match futures::future::select(conduct, load).await {
            Either::Left(((), _)) => {}
            Either::Right((findings, _)) => unreachable!("the gateway answers all the time: {findings:?}"),
        }
    }
    let checked = crash::check(&shop, &shared, 7, 0).await.unwrap();
    assert!(checked.holds(), "{checked:#?}");
    assert!(checked.judged.orders >= 100 && checked.judged.captures >= 40, "{:?}", checked.judged);
    fleet.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_of_a_service_share_its_work_and_one_that_is_killed_loses_nothing() {
    const BUYERS: usize = 40;
    const DOUBLED: [&str; 7] = ["payment", "customer", "catalog", "pricing", "cart", "order", "inventory"];
    let mut fleet = Fleet::start(&DOUBLED).await;
    let shop = &fleet.remote();
    sell(shop).await;
    let buyers: Vec<Buyer> = (0..BUYERS).map(|number| Buyer::new(&fleet, number)).collect();
    let done = &AtomicUsize::new(0);
    let load = stream::iter(buyers.iter().enumerate()).map(|(number, buyer)| async move {
        let product = offer(shop, number).await;
        let bought = buyer.buy("tok_ok").await;
        bought.must_be("FULFILLED_READY");
        let credit = buyer.is_given_back(&bought).await;
        done.fetch_add(1, Relaxed);
        (bought, credit, product)
    });
    let load = load.buffer_unordered(6).collect::<Vec<_>>();
    let conduct = async {
        let until = fleet.clock.now().plus(PATIENCE);
        // Not before each has had a share of the events.
        while done.load(Relaxed) < BUYERS / 4
            || fleet.count("payment", "consumer_handled").await == 0.0
            || fleet.count("payment-2", "consumer_handled").await == 0.0
        {
            assert!(fleet.clock.now() < until, "the load does not get on, or one of two processes hears nothing");
            fleet.clock.sleep(LOOK).await;
        }
        for service in DOUBLED {
            for process in [service.to_owned(), format!("{service}-2")] {
                assert!(fleet.count(&process, "http_request_duration_seconds_count").await > 0.0, "{process} was asked for nothing");
            }
        }
        fleet.kill("payment");
        fleet.kill("customer");
        fleet.kill("catalog-2");
        fleet.kill("pricing-2");
        fleet.kill("cart-2");
        fleet.kill("order");
        fleet.kill("inventory-2");
    };
    let (all, ()) = futures::join!(load, conduct);

    // Each credit is an event that payment hears, perhaps twice, and refunds once.
    let credits: BTreeSet<&str> = all.iter().map(|(_, credit, _)| credit.as_str()).collect();
    assert_eq!(credits.len(), BUYERS);
    let until = shop.now().plus(PATIENCE);
    let refunds = loop {
        let refunds = shop.facts("refunds").await.unwrap();
        if refunds.iter().filter(|refund| refund["status"] == "SUCCEEDED").count() >= BUYERS {
            break refunds;
        }
        assert!(shop.now() < until, "not every credit was refunded: {refunds:#?}");
        shop.sleep(LOOK).await;
    };
    let refunded: Vec<&str> = refunds.iter().filter_map(|refund| refund["creditId"].as_str()).collect();
    assert_eq!((refunded.len(), refunded.iter().copied().collect::<BTreeSet<_>>()), (BUYERS, credits), "each once");
    let truth = shop.facts("psp-truth").await.unwrap();
    let kind = |kind: &str| truth.iter().filter(|event| event["kind"] == kind).count();
    assert_eq!((kind("capture.succeeded"), kind("refund.succeeded")), (BUYERS, BUYERS), "and so for the provider");
    for buyer in &buyers {
        assert_eq!(buyer.is_known().await, StatusCode::OK);
    }
    let offered: BTreeSet<&str> = all.iter().map(|(.., product)| product.as_str()).collect();
    assert_eq!(offered.len(), BUYERS);
    until_announced(shop, &offered).await;
    let verified = fleet.verify();
    assert_eq!(verified["facts"]["orders"], BUYERS, "{verified}");
}

/// Waits until these products are all that there are, and each is announced as it stands, whichever process was told of it.
async fn until_announced(shop: &Remote, offered: &BTreeSet<&str>) {
    let products = shop.facts("products").await.unwrap();
    assert_eq!(products.iter().map(|product| product["id"].as_str().unwrap()).collect::<BTreeSet<_>>(), *offered);
    let event_of = |product: &Json| {
        let text = |field: &str| product[field].as_str().unwrap();
        catalog::feed::event_id(text("id").parse().unwrap(), &text("rev").parse().unwrap()).to_string()
    };
    let until = shop.now().plus(PATIENCE);
    loop {
        let outbox = shop.facts("outbox").await.unwrap();
        let sent: BTreeSet<&str> =
            outbox.iter().filter(|event| event["status"] == "SENT").filter_map(|event| event["id"].as_str()).collect();
        let untold: Vec<&Json> = products.iter().filter(|product| !sent.contains(event_of(product).as_str())).collect();
        if untold.is_empty() {
            return;
        }
        assert!(shop.now() < until, "not announced within {PATIENCE:?}: {untold:#?}");
        shop.sleep(LOOK).await;
    }
}

/// Plays an incident against a fleet, hurried by these settings and knobs, on the rungs that `CRASHCART_TEST_RUNGS` names (`R0,R1`, or `all`) or
/// on those of the least and the most remedy; and holds each verdict against that of the simulation.
async fn has_the_verdicts_of_the_simulation(incident: &str, settings: &[(&str, &str)], knobs: &[&str]) {
    let fleet = Fleet::with(&[], settings).await;
    sell(&fleet.remote()).await;
    let chosen = environment().find(|(name, _)| name == "CRASHCART_TEST_RUNGS").map_or_else(|| "R0,R3".to_owned(), |(_, rungs)| rungs);
    let records = fleet.folder().join("incidents").display().to_string();
    let mut args = vec!["scenario", "run", incident, "--seed", "7", "--json", "--records", &records];
    args.extend(chosen.split(',').filter(|rung| *rung != "all").flat_map(|rung| ["--rung", rung]));
    args.extend(knobs.iter().flat_map(|knob| ["--set", knob]));
    let verdicts = |args: &[&str]| {
        let (code, told, error) = fleet.run(args);
        assert_eq!(code, 0, "{error}\n{told}");
        let told: Json = serde_json::from_str(&told).unwrap();
        let of = |rung: &Json| (rung["rung"].clone(), rung["verdict"].clone(), rung["twin"]["violations"].clone());
        told["rungs"].as_array().unwrap().iter().map(of).collect::<Vec<_>>()
    };
    let simulated = verdicts(&args);
    let (data, gateway) = (fleet.data("gateway").display().to_string(), fleet.gateway());
    args.extend(["--target", &gateway, "--data", &data]);
    assert_eq!(verdicts(&args), simulated);
}

#[tokio::test(flavor = "multi_thread")]
async fn units_are_sold_twice_on_the_engines_as_in_the_simulation() {
    let settings =
        [("INVENTORY__RESERVATION_TTL_SECONDS", "2"), ("ORDER__PAYMENT_DEADLINE_SECONDS", "8"), ("ORDER__HOLD_EXTENSION_SECONDS", "4")];
    let knobs = ["time_scale=60", "stock=30", "demand_per_second=0.25"];
    has_the_verdicts_of_the_simulation("oversell", &settings, &knobs).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn money_is_taken_for_a_cancelled_order_on_the_engines_as_in_the_simulation() {
    let settings = [
        ("ORDER__CAPTURE", "authorize"),
        ("ORDER__PAYMENT_DEADLINE_SECONDS", "10"),
        ("PAYMENT__PSP_TIMEOUT_MS", "2000"),
        ("PAYMENT__FIRST_INQUIRY_SECONDS", "4"),
        ("PSP__ANSWER_LIMIT_MS", "3000"),
    ];
    let knobs = [
        "buyers=30",
        "window_seconds=10",
        "silent_share=0.2",
        "fast_median_seconds=0.2",
        "patience_seconds=2",
        "silence_seconds=3",
        "inquiry_seconds=4",
        "deadline_seconds=10",
    ];
    has_the_verdicts_of_the_simulation("psp-timeout", &settings, &knobs).await;
}
