//! With tokens asked for, a customer sees and changes its own orders; those of others are not there.

use http::Method;
use platform::{auth::Role, testing::Got};

use super::*;
use crate::neighbours::{CUSTOMER, stage_of};

const STRANGER: &str = "0195f3a2-7c11-7d3e-8a11-3f2f0c9b1e23";

async fn guarded(script: Script) -> (Stage, Script) {
    stage_of(script, |settings| settings.with("platform.auth", "jwt").unwrap()).await
}

async fn post(stage: &Stage, path: &str, body: &Json, bearer: &str, key: &str) -> Got {
    stage.send(Method::POST, path, Some(body), &[("authorization", bearer), ("idempotency-key", key)]).await
}

async fn get(stage: &Stage, path: &str, bearer: &str) -> Got {
    stage.send(Method::GET, path, None::<&Json>, &[("authorization", bearer)]).await
}

fn pointer(got: &Got) -> String {
    got.json()["errors"][0]["pointer"].as_str().unwrap_or_default().to_owned()
}

/// What is answered apart from the id that was asked for.
fn as_unknown(got: &Got) -> (u16, String) {
    let text = got.json()["detail"].as_str().unwrap_or_default().to_owned();
    (got.status.as_u16(), text.split_whitespace().filter(|word| word.len() < 30).collect::<Vec<_>>().join(" "))
}

#[tokio::test(start_paused = true)]
async fn a_customer_sees_and_changes_its_own_orders_and_nobody_elses() {
    let (stage, script) = guarded(Script { customer: true, ..Script::default() }).await;
    let (own, stranger) = (stage.bearer(CUSTOMER, &[Role::Customer]), stage.bearer(STRANGER, &[Role::Customer]));
    let made = post(&stage, "/orders?wait=10s", &body(cart_of(1), "tok_ok"), &own, "k").await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.json());
    let id = made.view::<Order>().id;
    let path = format!("/orders/{id}");
    assert_eq!(get(&stage, &path, &own).await.status, StatusCode::OK);
    let unknown = as_unknown(&get(&stage, &format!("/orders/{STRANGER}"), &stranger).await);
    assert_eq!(unknown.0, 404);
    assert_eq!(as_unknown(&get(&stage, &path, &stranger).await), unknown, "as if it were not there");
    let refused = post(&stage, &format!("{path}/cancel"), &json!({}), &stranger, "c").await;
    assert_eq!(as_unknown(&refused), unknown);
    assert_eq!(get(&stage, &path, &own).await.view::<Order>().status, OrderStatus::FulfilledReady, "nothing was cancelled");

    let list = format!("/orders?customerId={CUSTOMER}");
    let count = async |bearer: &str| get(&stage, &list, bearer).await.json()["items"].as_array().map(Vec::len);
    let agent = stage.bearer("agent-7", &[Role::Agent]);
    assert_eq!((count(&own).await, count(&stranger).await, count(&agent).await), (Some(1), Some(0), Some(1)));

    // The same key and body from somebody else is not the same request.
    let replayed = post(&stage, "/orders?wait=10s", &body(cart_of(1), "tok_ok"), &own, "k").await;
    assert_eq!((replayed.status, replayed.header("idempotency-replayed")), (StatusCode::CREATED, Some("true")));
    let guessed = post(&stage, "/orders?wait=10s", &body(cart_of(1), "tok_ok"), &stranger, "k").await;
    assert_eq!((guessed.status.as_u16(), pointer(&guessed)), (422, "#/cartId".to_owned()), "{}", guessed.json());

    let cancelled = post(&stage, &format!("{path}/cancel"), &json!({}), &own, "c").await;
    assert_eq!(cancelled.view::<Order>().status, OrderStatus::Cancelled);
    assert!(script.said().contains(&"refund".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_guest_has_the_order_whose_session_it_shows() {
    let (stage, _) = guarded(Script::default()).await;
    let agent = stage.bearer("agent-7", &[Role::Agent]);
    let made = post(&stage, "/orders?wait=10s", &body(cart_of(1), "tok_ok"), &agent, "k").await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.json());
    let path = format!("/orders/{}", made.view::<Order>().id);
    let asked = async |method: Method, path: &str, headers: &[(&'static str, &str)]| {
        let body = (method == Method::POST).then(|| json!({}));
        stage.send(method, path, body.as_ref(), headers).await
    };

    // The neighbours' cart is of the session "s".
    let unknown = as_unknown(&asked(Method::GET, &format!("/orders/{STRANGER}"), &[("x-session-token", "s")]).await);
    assert_eq!(unknown.0, 404);
    let digest = platform::auth::session_digest("s");
    let customer = stage.bearer(CUSTOMER, &[Role::Customer]);
    for headers in
        [vec![], vec![("x-session-token", "t")], vec![("x-session-token", digest.as_str())], vec![("authorization", customer.as_str())]]
    {
        assert_eq!(as_unknown(&asked(Method::GET, &path, &headers).await), unknown, "as if it were not there: {headers:?}");
        let cancel = format!("{path}/cancel");
        assert_eq!(as_unknown(&asked(Method::POST, &cancel, &headers).await), unknown, "{headers:?}");
    }
    let shown = asked(Method::GET, &path, &[("x-session-token", "s")]).await;
    assert_eq!(shown.view::<Order>().status, OrderStatus::FulfilledReady, "nothing was cancelled");
    let cancelled = asked(Method::POST, &format!("{path}/cancel"), &[("x-session-token", "s"), ("idempotency-key", "c")]).await;
    assert_eq!(cancelled.view::<Order>().status, OrderStatus::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn a_customers_order_is_not_its_sessions() {
    let (stage, _) = guarded(Script { customer: true, ..Script::default() }).await;
    let own = stage.bearer(CUSTOMER, &[Role::Customer]);
    let made = post(&stage, "/orders?wait=10s", &body(cart_of(1), "tok_ok"), &own, "k").await;
    let path = format!("/orders/{}", made.view::<Order>().id);
    assert_eq!(stage.send(Method::GET, &path, None::<&Json>, &[("x-session-token", "s")]).await.status, StatusCode::NOT_FOUND);
    assert_eq!(get(&stage, &path, &own).await.status, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn nobody_orders_what_is_in_somebody_elses_cart() {
    for (script, subject) in [
        (Script { customer: true, ..Script::default() }, STRANGER),
        (Script { customer: true, ..Script::default() }, "me"),
        // A guest's cart is not a customer's.
        (Script::default(), CUSTOMER),
    ] {
        let (stage, script) = guarded(script).await;
        let got = post(&stage, "/orders", &body(cart_of(1), "tok_ok"), &stage.bearer(subject, &[Role::Customer]), "k").await;
        // As for a cart that nobody has.
        assert_eq!((got.status.as_u16(), pointer(&got)), (422, "#/cartId".to_owned()), "{subject}: {}", got.json());
        assert_eq!(got.json()["errors"][0]["detail"], json!(format!("there is no cart {}", cart_of(1))));
        assert!(script.said().is_empty(), "the cart was left as it was");
        assert!(stage.facts("orders").await.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_not_valid_opens_nothing() {
    let (stage, script) = guarded(Script { customer: true, ..Script::default() }).await;
    for (wrong, bearer) in stage.bad_bearers(CUSTOMER, &[Role::Customer, Role::Operator]).await {
        for got in [
            post(&stage, "/orders", &body(cart_of(1), "tok_ok"), &bearer, "k").await,
            get(&stage, &format!("/orders?customerId={CUSTOMER}"), &bearer).await,
            post(&stage, &format!("/orders/{CUSTOMER}/cancel"), &json!({}), &bearer, "k").await,
        ] {
            assert_eq!((got.status.as_u16(), got.slug()), (401, "unauthenticated".to_owned()), "{wrong}");
        }
    }
    assert_eq!(stage.get(&format!("/orders?customerId={CUSTOMER}")).await.status, StatusCode::UNAUTHORIZED, "nor none at all");
    assert!(script.said().is_empty());
}
