//! With tokens asked for, a customer sees and changes itself; other customers are not there.

use http::Method;
use platform::{
    auth::Role,
    testing::{Got, Stage},
};
use serde_json::{Value as Json, json};

use crate::stage::{Shop, plain};

const OWN: &str = "0195f3a2-7c11-7d3e-8a11-3f2f0c9b1e22";
const NOBODY: &str = "0195f3a2-7c11-7d3e-8a11-3f2f0c9b1e44";

async fn guarded() -> Shop {
    Shop::around(Stage::of(&[&customer::MANIFEST], 1, |settings| settings.with("platform.auth", "jwt").unwrap()).await)
}

async fn send(shop: &Shop, method: Method, path: &str, body: Option<Json>, bearer: &str) -> Got {
    shop.send(method, path, body.as_ref(), &[("authorization", bearer)]).await
}

/// Everything that a customer may ask for by an id; the erasure is the last.
async fn everything(shop: &Shop, id: &str, bearer: &str) -> Vec<Got> {
    let path = format!("/customers/{id}");
    let mut answers = vec![
        send(shop, Method::GET, &path, None, bearer).await,
        send(shop, Method::PUT, &path, Some(plain("new@example.com")), bearer).await,
        send(shop, Method::POST, &format!("{path}/erasure"), Some(json!({})), bearer).await,
    ];
    let job = answers[2].json()["jobId"].as_str().unwrap_or(NOBODY).to_owned();
    answers.push(send(shop, Method::GET, &format!("{path}/erasure/{job}"), None, bearer).await);
    answers
}

fn statuses(answers: &[Got]) -> Vec<u16> {
    answers.iter().map(|got| got.status.as_u16()).collect()
}

#[tokio::test(start_paused = true)]
async fn who_signs_up_becomes_the_customer_of_the_token_once() {
    let shop = guarded().await;
    let own = shop.bearer(OWN, &[Role::Customer]);
    let made = send(&shop, Method::POST, "/customers", Some(plain("mai@example.com")), &own).await;
    assert_eq!((made.status.as_u16(), &made.json()["id"]), (201, &json!(OWN)));
    let again = send(&shop, Method::POST, "/customers", Some(plain("other@example.com")), &own).await;
    assert_eq!((again.status.as_u16(), again.slug()), (409, "conflict".to_owned()), "{}", again.json());
    let nameless = send(&shop, Method::POST, "/customers", Some(plain("ann@example.com")), &shop.bearer("ann", &[Role::Customer])).await;
    assert_eq!(nameless.status.as_u16(), 403);
    let agent = shop.bearer("agent-7", &[Role::Agent]);
    let helped = send(&shop, Method::POST, "/customers", Some(plain("ann@example.com")), &agent).await;
    assert_eq!(helped.status.as_u16(), 201);
    assert_ne!(helped.json()["id"], OWN);
}

#[tokio::test(start_paused = true)]
async fn a_customer_sees_and_changes_itself_and_nobody_else() {
    let shop = guarded().await;
    let (own, agent) = (shop.bearer(OWN, &[Role::Customer]), shop.bearer("agent-7", &[Role::Agent]));
    send(&shop, Method::POST, "/customers", Some(plain("mai@example.com")), &own).await;
    let ann = send(&shop, Method::POST, "/customers", Some(plain("ann@example.com")), &agent).await.json();
    let ann = ann["id"].as_str().unwrap();
    let stranger = shop.bearer(ann, &[Role::Customer]);
    let detail = |got: &Got, id: &str| got.json()["detail"].as_str().unwrap_or_default().replace(id, "it");
    let unknown = send(&shop, Method::GET, &format!("/customers/{NOBODY}"), None, &own).await;
    for got in everything(&shop, OWN, &stranger).await {
        assert_eq!((got.status.as_u16(), detail(&got, OWN)), (404, detail(&unknown, NOBODY)), "as if it were not there");
    }
    let list = send(&shop, Method::GET, "/customers?email=ann@example.com", None, &own).await;
    assert_eq!(list.status.as_u16(), 403, "the list is for those who work there");
    assert_eq!(send(&shop, Method::GET, &format!("/customers/{OWN}"), None, &agent).await.json()["email"], "mai@example.com");
    assert_eq!(statuses(&everything(&shop, OWN, &own).await), [200, 200, 202, 200]);
    shop.seconds(5).await;
    assert_eq!(send(&shop, Method::GET, &format!("/customers/{OWN}"), None, &own).await.status.as_u16(), 410);
    let foreign = send(&shop, Method::GET, &format!("/customers/{OWN}"), None, &stranger).await;
    assert_eq!(foreign.status.as_u16(), 404, "nor is an erasure told");
    let reborn = send(&shop, Method::POST, "/customers", Some(plain("mai@example.com")), &own).await;
    assert_eq!(reborn.status.as_u16(), 410, "who was erased stays erased");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_not_valid_opens_nothing() {
    let shop = guarded().await;
    send(&shop, Method::POST, "/customers", Some(plain("mai@example.com")), &shop.bearer(OWN, &[Role::Customer])).await;
    let mut bearers = shop.bad_bearers(OWN, &[Role::Customer, Role::Operator]).await;
    bearers.push(("none at all", String::new()));
    for (wrong, bearer) in bearers {
        assert_eq!(statuses(&everything(&shop, OWN, &bearer).await), [401; 4], "{wrong}");
        let made = send(&shop, Method::POST, "/customers", Some(plain("new@example.com")), &bearer).await;
        assert_eq!((made.status.as_u16(), made.slug()), (401, "unauthenticated".to_owned()), "{wrong}");
    }
    assert_eq!(shop.facts("customers").await.len(), 1);
}
