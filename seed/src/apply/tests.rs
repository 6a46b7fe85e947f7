use std::sync::{Arc, Mutex};

use platform::{Clock, Tasks};

use super::*;
use crate::{
    plan::plan,
    shop::{HttpShop, Patient},
    testing::Scripted,
};

const SCALE: f64 = 0.1;

fn quiet(_: Progress) {}

fn of(seeded: &Seeded, kind: Kind) -> &Counts {
    seeded.manifest.kinds.iter().find(|counts| counts.kind == kind).expect("every kind is told")
}

#[tokio::test(start_paused = true)]
async fn a_fresh_system_is_filled_and_a_second_run_changes_nothing() {
    let system = Scripted::new(Clock::simulated());
    let data = plan(42, SCALE);
    let first = apply(&data, &system, 16, quiet).await.expect("it is filled");
    assert!(first.manifest.kinds.iter().all(|counts| counts.created == counts.planned && counts.found == 0), "{:?}", first.manifest);
    assert_eq!(system.things("customer").len(), 100);
    assert_eq!(system.things("product").len(), 20);
    assert_eq!(system.things("price").len(), data.prices.len());
    assert_eq!(first.directory.customers.len(), 100);
    assert_eq!(first.directory.sessions.len(), 30);
    assert_eq!(first.directory.coupons.iter().map(Sku::as_str).collect::<Vec<_>>(), ["WELCOME10"]);

    // The next day no key is known any more.
    system.forget_keys();
    let writes = system.writes();
    let second = apply(&data, &system, 16, quiet).await.expect("it is found");
    assert_eq!((second.manifest.changed(), system.writes()), (0, writes));
    assert!(second.manifest.kinds.iter().all(|counts| counts.found == counts.planned), "{:?}", second.manifest);
    assert_eq!(second.manifest.kinds.iter().map(|counts| &counts.digest).collect::<Vec<_>>(), {
        first.manifest.kinds.iter().map(|counts| &counts.digest).collect::<Vec<_>>()
    });
    assert_eq!(second.directory.customers.len(), 100);
}

#[tokio::test(start_paused = true)]
async fn what_was_put_in_is_what_was_planned() {
    let system = Scripted::new(Clock::simulated());
    let data = plan(3, SCALE);
    apply(&data, &system, 4, quiet).await.expect("it is filled");
    let customers = system.things("customer");
    for person in &data.customers {
        let there = &customers[&person.email];
        assert_eq!(there["fullName"], person.full_name.as_str());
        assert_eq!(there["segments"], serde_json::json!(person.segments));
    }
    let carts = system.things("cart");
    for cart in &data.carts {
        let there = &carts[cart.session_token.as_str()];
        assert_eq!(there["items"].as_array().map(Vec::len), Some(cart.items.len()));
        let owner = cart.customer.as_ref().map_or(serde_json::Value::Null, |email| customers[email]["id"].clone());
        assert_eq!(there["customerId"], owner);
    }
    let categories = system.things("category");
    let product = &system.things("product")[data.products[0].sku.as_str()];
    assert_eq!(product["categoryId"], categories[&data.products[0].category]["id"]);
    let leaf = &categories[&data.products[0].category];
    assert_eq!(leaf["parentId"], categories["home-lighting"]["id"]);
    for stock in &data.stock {
        let shelves = system.things("stock")[stock.sku.as_str()]["warehouses"].clone();
        assert!(
            shelves
                .as_array()
                .expect("shelves")
                .iter()
                .any(|shelf| shelf["warehouse"] == stock.warehouse.as_str() && shelf["onHand"] == stock.units)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_was_cut_off_anywhere_is_finished_by_the_next() {
    let data = plan(42, 0.02);
    let whole = Scripted::new(Clock::simulated());
    apply(&data, &whole, 8, quiet).await.expect("it is filled");
    let kinds = ["category", "product", "price", "rule", "promotion", "stock", "customer", "cart"];
    // Ids and times differ from run to run, and the order in which a SKU's shelves were filled; what is there must not.
    let content = |system: &Scripted| {
        let bare = |thing: serde_json::Value| {
            let mut shelves: Vec<String> = thing["warehouses"].as_array().into_iter().flatten().map(ToString::to_string).collect();
            shelves.sort();
            let item = |item: &serde_json::Value| (item["sku"].to_string(), item["quantity"].to_string());
            let items: Vec<_> = thing["items"].as_array().into_iter().flatten().map(item).collect();
            (shelves, items, thing["segments"].clone(), thing["unitPrice"].clone())
        };
        kinds.map(|kind| system.things(kind).into_iter().map(|(key, thing)| (key, bare(thing))).collect::<BTreeMap<_, _>>())
    };
    for cut in (0..whole.writes()).step_by(3) {
        let system = Scripted::new(Clock::simulated());
        system.set(|mood| mood.breaks_after_writes = Some(cut));
        let error = apply(&data, &system, 8, quiet).await.expect_err("it breaks");
        assert!(matches!(error, SeedError::Unreachable { .. }), "{error}");
        system.set(|mood| mood.breaks_after_writes = None);
        system.forget_keys();
        apply(&data, &system, 8, quiet).await.expect("it is finished");
        assert_eq!((content(&system), system.writes()), (content(&whole), whole.writes()), "cut after {cut}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_larger_run_adds_to_a_smaller_one() {
    let system = Scripted::new(Clock::simulated());
    apply(&plan(42, 1.0), &system, 32, quiet).await.expect("it is filled");
    let larger = apply(&plan(42, 1.5), &system, 32, quiet).await.expect("it is filled further");
    assert_eq!((of(&larger, Kind::Customers).created, of(&larger, Kind::Customers).found), (500, 1_000));
    assert_eq!((of(&larger, Kind::Carts).created, of(&larger, Kind::Carts).found), (150, 300));
    assert_eq!((of(&larger, Kind::Prices).created, of(&larger, Kind::Stock).created), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn what_people_changed_since_stays_changed() {
    let system = Scripted::new(Clock::simulated());
    let data = plan(42, SCALE);
    apply(&data, &system, 8, quiet).await.expect("it is filled");
    let vip = data.customers.iter().find(|person| !person.segments.is_empty()).expect("there is a VIP");
    system.change("customer", &vip.email, |customer| customer["segments"] = serde_json::json!(["GENERAL"]));
    let cart = &data.carts[0];
    system.change("cart", cart.session_token.as_str(), |cart| {
        cart["items"] = serde_json::json!([]);
        cart["version"] = serde_json::json!(99);
    });
    let sku = &data.stock[0].sku;
    system.change("stock", sku.as_str(), |stock| stock["warehouses"][0]["onHand"] = serde_json::json!(0));
    system.forget_keys();
    let writes = system.writes();
    let second = apply(&data, &system, 8, quiet).await.expect("it is found");
    assert_eq!((second.manifest.changed(), system.writes()), (0, writes));
}

#[tokio::test(start_paused = true)]
async fn campaigns_are_made_once() {
    let system = Scripted::new(Clock::simulated());
    let data = plan(42, 0.02);
    apply(&data, &system, 8, quiet).await.expect("it is filled");
    assert_eq!(system.things("promotion").len(), data.promotions.len());
    system.forget_keys();
    let second = apply(&data, &system, 8, quiet).await.expect("it is found");
    assert_eq!(of(&second, Kind::Promotions).found, of(&second, Kind::Promotions).planned);
    assert_eq!(second.manifest.changed(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_names_the_request_and_the_reason() {
    let system = Scripted::new(Clock::simulated());
    system.set(|mood| mood.refuses = Some(("/products".into(), 422, "invalid".into())));
    let error = apply(&plan(42, SCALE), &system, 8, quiet).await.expect_err("it is refused").to_string();
    assert!(error.starts_with("products (") && error.contains("/products") && error.contains("422 invalid: the script says no"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn progress_counts_every_row_once() {
    let system = Scripted::new(Clock::simulated());
    let seen = Mutex::new(Vec::new());
    let seeded =
        apply(&plan(42, 0.02), &system, 8, |progress| seen.lock().expect("one thread").push(progress)).await.expect("it is filled");
    let seen = seen.into_inner().expect("one thread");
    assert_eq!(seen.iter().map(|progress| progress.done).collect::<Vec<_>>(), (1..=seeded.manifest.planned()).collect::<Vec<_>>());
    assert!(seen.is_sorted_by_key(|progress| progress.kind));
}

#[tokio::test]
async fn it_works_over_http_too() {
    let clock = Clock::real();
    let tasks = Tasks::new("test", clock);
    let system = Arc::new(Scripted::new(clock));
    let address = system.clone().serve(&tasks).await.expect("a free port");
    let shop = Patient::new(HttpShop::new(&format!("http://{address}")).expect("a URL"), clock);
    let data = plan(42, SCALE);
    let began = clock.now();
    let first = apply(&data, &shop, 32, quiet).await.expect("it is filled");
    let seconds = clock.now().since(began).as_secs_f64();
    println!("{} rows in {seconds:.2} s", first.manifest.planned());
    system.forget_keys();
    let second = apply(&data, &shop, 32, quiet).await.expect("it is found");
    assert_eq!((first.manifest.changed(), second.manifest.changed()), (first.manifest.planned(), 0));
    tasks.kill();
}

#[tokio::test(start_paused = true)]
async fn the_future_can_go_to_another_thread() {
    fn is_send<T: Send>(_: &T) {}
    let system = Scripted::new(Clock::simulated());
    let data = plan(1, 0.0);
    let work = apply(&data, &system, 1, quiet);
    is_send(&work);
    work.await.expect("it is filled");
}
