//! Any bytes as the body of any request that takes one: it is answered, or refused as the caller's mistake. What was done is done once: the same
//! request with the same key is answered the same.
#![no_main]

use crashcart_fuzz::{ask, must_be_an_answer};
use libfuzzer_sys::fuzz_target;

/// An input's first letter chooses: `A` is the first. New ones go to the end, or the corpus means other places.
const PLACES: &[(&str, &str)] = &[
    ("POST", "/customers"),
    ("PUT", "/customers/CUSTOMER_ID"),
    ("POST", "/customers/CUSTOMER_ID/segments"),
    ("POST", "/products"),
    ("PUT", "/products/PRODUCT_ID"),
    ("POST", "/products/PRODUCT_ID/media"),
    ("POST", "/categories"),
    ("PUT", "/categories/CATEGORY_ID"),
    ("POST", "/pricing/LAMP/simulate"),
    ("POST", "/pricing/rules"),
    ("PUT", "/pricing/books/standard-usd/entries/LAMP"),
    ("POST", "/pricing/carts/price"),
    ("POST", "/promotions"),
    ("POST", "/promotions/LIGHT/redemptions"),
    ("POST", "/carts"),
    ("POST", "/carts/CART_ID/items"),
    ("PUT", "/carts/CART_ID/items/LAMP"),
    ("POST", "/carts/CART_ID/apply-coupon"),
    ("POST", "/carts/CART_ID/checkout"),
    ("POST", "/orders"),
    ("POST", "/orders/ORDER_ID/cancel"),
    ("POST", "/orders/ORDER_ID/credits"),
    ("POST", "/payments"),
    ("POST", "/payments/PAYMENT_ID/refund"),
    ("POST", "/inventory/reserve"),
    ("POST", "/inventory/claim"),
    ("POST", "/inventory/extend"),
    ("POST", "/inventory/release"),
    ("POST", "/inventory/adjust"),
    ("POST", "/graphql"),
];

fuzz_target!(|data: &[u8]| {
    let [place, body @ ..] = data else { return };
    let (method, path) = PLACES[usize::from(place.wrapping_sub(b'A')) % PLACES.len()];
    ask(async |shop| {
        let (path, body) = (String::from_utf8(shop.with_ids(path.as_bytes())).expect("ids are text"), shop.with_ids(body));
        // A key of its own for each: under an old one another body is refused before it is read.
        let key = format!("fuzz-{}", shop.questions);
        let headers = [("content-type", "application/json"), ("idempotency-key", key.as_str())];
        let send = async || shop.stage.send_bytes(method.parse().expect("a method"), &path, body.clone(), &headers).await;
        let got = send().await;
        must_be_an_answer(&got);
        if method == "POST" && got.status.is_success() {
            let again = send().await;
            assert_eq!((again.status, &again.body), (got.status, &got.body), "{method} {path} is done once under one key");
        }
    });
});
