//! With tokens asked for, a customer sees the payments of its own orders; those of others are not there. It changes none.

use http::{Method, StatusCode};
use platform::{
    auth::Role,
    testing::{Got, Stage},
};
use serde_json::{Value as Json, json};

use crate::support::{guarded, order, request};

const OWNER: &str = "0195f3a2-7c11-7d3e-8a11-3f2f0c9b1e22";
const STRANGER: &str = "0195f3a2-7c11-7d3e-8a11-3f2f0c9b1e23";

async fn get(stage: &Stage, path: &str, bearer: &str) -> Got {
    stage.send(Method::GET, path, None::<&Json>, &[("authorization", bearer)]).await
}

async fn post(stage: &Stage, path: &str, body: &Json, bearer: &str) -> Got {
    stage.send(Method::POST, path, Some(body), &[("authorization", bearer), ("idempotency-key", "k")]).await
}

/// The id of a new payment of order `n`.
async fn made(stage: &Stage, n: u32, customer: Option<&str>) -> String {
    let mut body = request(n, "tok_ok");
    if let Some(customer) = customer {
        body["customerId"] = json!(customer);
    }
    let service = stage.bearer("order", &[Role::Service]);
    let headers = [("authorization", service.as_str()), ("idempotency-key", &format!("create-{n}"))];
    let got = stage.send(Method::POST, "/payments", Some(&body), &headers).await;
    assert_eq!(got.status, StatusCode::CREATED, "{}", got.json());
    got.json()["id"].as_str().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_customer_sees_the_payments_of_its_own_orders_only() {
    let stage = guarded().await;
    let (owner, stranger) = (stage.bearer(OWNER, &[Role::Customer]), stage.bearer(STRANGER, &[Role::Customer]));
    let (bought, guests) = (made(&stage, 1, Some(OWNER)).await, made(&stage, 2, None).await);
    let shown = get(&stage, &format!("/payments/{bought}"), &owner).await;
    assert_eq!((shown.status, &shown.json()["customerId"]), (StatusCode::OK, &json!(OWNER)));
    let count = async |n: u32, bearer: &str| {
        get(&stage, &format!("/payments?orderId={}", order(n)), bearer).await.json()["items"].as_array().map(Vec::len)
    };
    let agent = stage.bearer("agent-7", &[Role::Agent]);
    assert_eq!((count(1, &owner).await, count(1, &stranger).await, count(1, &agent).await), (Some(1), Some(0), Some(1)));
    assert_eq!((count(2, &owner).await, count(2, &agent).await), (Some(0), Some(1)));
    let detail = |got: Got, id: &str| got.json()["detail"].as_str().unwrap_or_default().replace(id, "it");
    let unknown = detail(get(&stage, &format!("/payments/{OWNER}"), &stranger).await, OWNER);
    for (id, bearer) in [(&bought, &stranger), (&guests, &owner), (&guests, &stranger)] {
        let got = get(&stage, &format!("/payments/{id}"), bearer).await;
        assert_eq!((got.status.as_u16(), detail(got, id)), (404, unknown.clone()), "as if it were not there");
    }
    assert_eq!(get(&stage, &format!("/payments/{guests}"), &agent).await.status, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_customer_moves_no_money() {
    let stage = guarded().await;
    let owner = stage.bearer(OWNER, &[Role::Customer]);
    let id = made(&stage, 1, Some(OWNER)).await;
    for what in ["confirm", "capture", "void", "refund"] {
        assert_eq!(post(&stage, &format!("/payments/{id}/{what}"), &json!({}), &owner).await.status, StatusCode::FORBIDDEN, "{what}");
    }
    assert_eq!(post(&stage, "/payments", &request(2, "tok_ok"), &owner).await.status, StatusCode::FORBIDDEN);
    assert_eq!(get(&stage, &format!("/payments/{id}"), &owner).await.json()["status"], "REQUIRES_CONFIRMATION");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_not_valid_opens_nothing() {
    let stage = guarded().await;
    let id = made(&stage, 1, Some(OWNER)).await;
    let mut bearers = stage.bad_bearers(OWNER, &[Role::Customer, Role::Operator]).await;
    bearers.push(("none at all", String::new()));
    for (wrong, bearer) in bearers {
        for got in [
            get(&stage, &format!("/payments/{id}"), &bearer).await,
            get(&stage, &format!("/payments?orderId={}", order(1)), &bearer).await,
            post(&stage, &format!("/payments/{id}/refund"), &json!({}), &bearer).await,
        ] {
            assert_eq!((got.status.as_u16(), got.slug()), (401, "unauthenticated".to_owned()), "{wrong}");
        }
    }
}
