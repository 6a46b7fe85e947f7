//! What an erasure promises, looked for where it counts: in every file of the data folder, byte by byte, of a system that was then killed, so
//! that nothing is tidied up on the way out. Events are in those files too: they carry ids and nothing else from the beginning.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what a test cannot go on without is a failed test")]

use std::{
    io::BufRead,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use futures::future::join_all;
use http::Method;
use lab::target::{Remote, Request, Target};
use serde_json::{Value as Json, json};

const CUSTOMERS: usize = 30;
/// What is personal: in names, e-mail addresses, streets, notes.
const MARKERS: [&str; 4] = ["Quagmire", "zq.marker", "Xanthippe", "Zebulon"];

struct Up(Child);

impl Drop for Up {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn start(data: &Path) -> (Up, Remote) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_crashcart"))
        .args(["up", "--port", "0", "--json", "--data"])
        .arg(data)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let up = Up(child);
    let told: Json = serde_json::from_str(&line).unwrap();
    let text = |name: &str| told[name].as_str().unwrap().to_owned();
    let remote = Remote::new(&text("gateway"), Some((&text("admin"), &text("adminToken")))).unwrap();
    (up, remote)
}

/// Which markers stand in which files.
fn found(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = std::fs::read(&path).unwrap();
            for marker in MARKERS {
                let count = bytes.windows(marker.len()).filter(|window| *window == marker.as_bytes()).count();
                if count > 0 {
                    found.push(format!("{count} × {marker} in {}", path.display()));
                }
            }
        }
    }
    found
}

fn address(number: usize) -> Json {
    json!({"line1": format!("Xanthippe Boulevard {number}"), "line2": "c/o Zebulon Quagmire", "city": "Quagmire", "postalCode": "12345", "country": "US"})
}

/// Signs up, buys, and sometimes cancels with a note; the customer's id.
async fn lives_here(shop: &Remote, number: usize) -> String {
    let mut home = address(number);
    home["label"] = json!("home");
    let person = json!({
        "email": format!("zq.marker.{number}@example.com"), "fullName": format!("Zebulon Quagmire {number}"), "region": "US",
        "addresses": [home],
    });
    let keyed = |request: Request, what: &str| request.header("idempotency-key", format!("{what}-{number}"));
    let customer = shop.must(keyed(Request::post("/customers", person), "sign-up")).await.unwrap()["id"].as_str().unwrap().to_owned();
    let cart = shop.must(keyed(Request::post("/carts", json!({"customerId": customer, "region": "US"})), "cart")).await.unwrap();
    let cart = cart["id"].as_str().unwrap();
    shop.must(Request::post(format!("/carts/{cart}/items"), json!({"sku": "ERASE-LAMP", "quantity": 1}))).await.unwrap();
    let mut checkout = json!({"paymentMethod": {"type": "card", "token": "tok_ok"}, "shippingAddress": address(number)});
    let order = if number.is_multiple_of(2) {
        shop.must(keyed(Request::post(format!("/carts/{cart}/checkout"), checkout), "buy")).await.unwrap()["orderId"].clone()
    } else {
        checkout["cartId"] = json!(cart);
        shop.must(keyed(Request::post("/orders?wait=10s", checkout), "buy")).await.unwrap()["id"].clone()
    };
    let order = order.as_str().unwrap();
    if number.is_multiple_of(3) {
        let note = json!({"reason": "Zebulon Quagmire is moving away from Xanthippe Boulevard"});
        // Whether it can still be cancelled is not the matter here.
        shop.call(keyed(Request::post(format!("/orders/{order}/cancel"), note), "cancel")).await.unwrap();
    }
    customer
}

async fn is_erased(shop: &Remote, customer: &str) {
    let taken = shop.must(Request::post(format!("/customers/{customer}/erasure"), json!({}))).await.unwrap();
    let path = format!("/customers/{customer}/erasure/{}", taken["jobId"].as_str().unwrap());
    for _ in 0..600 {
        let job = shop.must(Request::get(&path)).await.unwrap();
        if job["status"] == "COMPLETED" {
            return;
        }
        shop.sleep(Duration::from_millis(100)).await;
    }
    panic!("the erasure of {customer} does not end: {}", shop.must(Request::get(&path)).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_erasure_nothing_personal_is_left_in_any_file() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("shop");
    let (up, shop) = start(&data);
    let price = json!({"unitPrice": {"amount": 1_999, "currency": "USD"}});
    shop.must(Request { method: Method::PUT, ..Request::post("/pricing/books/standard-usd/entries/ERASE-LAMP", price) }).await.unwrap();
    let stock = json!({"sku": "ERASE-LAMP", "warehouse": "us-east", "delta": 1_000, "reason": "received"});
    shop.must(Request::post("/inventory/adjust", stock)).await.unwrap();
    let customers = join_all((0..CUSTOMERS).map(|number| lives_here(&shop, number))).await;
    // Some move: what stood there before is overwritten.
    for (number, customer) in customers.iter().enumerate().filter(|(number, _)| number.is_multiple_of(5)) {
        let person = json!({"email": format!("zq.marker.{number}@example.com"), "fullName": "Zebulon the Short", "region": "US"});
        shop.must(Request::put(format!("/customers/{customer}"), person)).await.unwrap();
    }
    let before = found(&data);
    for marker in MARKERS {
        assert!(before.iter().any(|found| found.contains(marker)), "{marker} was planted: {before:?}");
    }
    assert!(before.iter().all(|found| !found.contains("/bus/")), "events carry ids only: {before:?}");

    join_all(customers.iter().map(|customer| is_erased(&shop, customer))).await;
    drop(up);
    assert_eq!(found(&data), Vec::<String>::new());

    let (_up, shop) = start(&data);
    for customer in &customers {
        assert_eq!(shop.call(Request::get(format!("/customers/{customer}"))).await.unwrap().status.as_u16(), 410);
    }
    assert_eq!(shop.facts("orders").await.unwrap().len(), CUSTOMERS, "the orders themselves stay");
}
