//! With tokens asked for, a cart is its customer's, or the guest's who shows the token of its session; to others it is not there.

use platform::auth::Role;

use super::*;

const OWNER: &str = "0195f3a2-7c11-7d3e-8a11-3f2f0c9b1e22";
const STRANGER: &str = "0195f3a2-7c11-7d3e-8a11-3f2f0c9b1e33";

/// The headers with which somebody comes.
type Shown<'a> = &'a [(&'static str, &'a str)];

async fn open(shop: &Shop, body: Json, shown: Shown<'_>) -> Got {
    shop.stage.send(Method::POST, "/carts", Some(&body), shown).await
}

/// Everything that can be asked of a cart by its id; the checkout is the last.
async fn everything(shop: &Shop, cart: &Cart, shown: Shown<'_>) -> Vec<Got> {
    let path = format!("/carts/{}", cart.id);
    let send = async |method: Method, rest: &str, body: Option<Json>| {
        shop.stage.send(method, &format!("{path}{rest}"), body.as_ref(), shown).await
    };
    vec![
        send(Method::GET, "", None).await,
        send(Method::POST, "/items", Some(json!({"sku": "LAMP", "quantity": 1}))).await,
        send(Method::PUT, "/items/LAMP", Some(json!({"quantity": 2}))).await,
        send(Method::POST, "/items", Some(json!({"sku": "DESK", "quantity": 1}))).await,
        send(Method::DELETE, "/items/DESK", None).await,
        send(Method::POST, "/apply-coupon", Some(json!({"code": "SAVE"}))).await,
        send(Method::DELETE, "/coupon", None).await,
        send(Method::POST, "/checkout", Some(checkout())).await,
    ]
}

fn statuses(answers: &[Got]) -> Vec<u16> {
    answers.iter().map(|got| got.status.as_u16()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_customers_cart_is_the_customers_alone() {
    let shop = Shop::guarded().await;
    let (owner, stranger) = (shop.stage.bearer(OWNER, &[Role::Customer]), shop.stage.bearer(STRANGER, &[Role::Customer]));
    let cart: Cart = open(&shop, json!({"sessionToken": "browser-1"}), &[("authorization", &owner)]).await.view();
    assert_eq!(cart.customer_id.map(|id| id.to_string()).as_deref(), Some(OWNER), "opened in the name of whose token it is");
    let unknown = shop.stage.send(Method::GET, &format!("/carts/{STRANGER}"), None::<&Json>, &[("authorization", &owner)]).await;
    let detail = |got: &Got, id: &str| got.json()["detail"].as_str().unwrap_or_default().replace(id, "it");
    let session = [("x-session-token", "browser-1")];
    for shown in [&[("authorization", stranger.as_str())][..], &[("authorization", &stranger), session[0]], &session, &[]] {
        for got in everything(&shop, &cart, shown).await {
            assert_eq!((got.status.as_u16(), detail(&got, &cart.id.to_string())), (404, detail(&unknown, STRANGER)), "{shown:?}");
        }
        let by_session = shop.stage.send(Method::GET, "/carts/by-session/browser-1", None::<&Json>, shown).await;
        assert_eq!(by_session.status.as_u16(), 404);
        assert_eq!(open(&shop, json!({"sessionToken": "browser-1"}), shown).await.status.as_u16(), 404, "not given back to another");
    }
    assert_eq!(shop.orders.count(), 0);
    assert_eq!(shop.stage.facts("carts").await[0]["version"], 1, "nobody has changed it");

    let shown = [("authorization", owner.as_str())];
    let again = open(&shop, json!({"sessionToken": "browser-1"}), &shown).await;
    assert_eq!((again.status.as_u16(), again.view::<Cart>().id), (200, cart.id));
    assert_eq!(shop.stage.send(Method::GET, "/carts/by-session/browser-1", None::<&Json>, &shown).await.status.as_u16(), 200);
    assert_eq!(statuses(&everything(&shop, &cart, &shown).await), [200, 200, 200, 200, 200, 200, 200, 202]);
}

#[tokio::test(start_paused = true)]
async fn a_guests_cart_is_whose_who_shows_the_sessions_token() {
    let shop = Shop::guarded().await;
    let cart: Cart = open(&shop, json!({}), &[]).await.view();
    assert_eq!(cart.customer_id, None);
    let customer = shop.stage.bearer(STRANGER, &[Role::Customer]);
    for shown in [&[][..], &[("x-session-token", "another")], &[("x-session-token", "")], &[("authorization", customer.as_str())]] {
        assert_eq!(statuses(&everything(&shop, &cart, shown).await), [404; 8], "{shown:?}");
    }
    assert_eq!(shop.stage.get(&format!("/carts/by-session/{}", cart.session_token)).await.view::<Cart>().id, cart.id);
    let session = ("x-session-token", cart.session_token.as_str());
    // Who has signed in meanwhile goes on with the same cart.
    let signed_in = [session, ("authorization", customer.as_str())];
    assert_eq!(shop.stage.send(Method::GET, &format!("/carts/{}", cart.id), None::<&Json>, &signed_in).await.status.as_u16(), 200);
    assert_eq!(statuses(&everything(&shop, &cart, &[session]).await), [200, 200, 200, 200, 200, 200, 200, 202]);
}

#[tokio::test(start_paused = true)]
async fn nobody_opens_a_cart_in_somebody_elses_name() {
    let shop = Shop::guarded().await;
    let (customer, agent) = (shop.stage.bearer(OWNER, &[Role::Customer]), shop.stage.bearer("agent-7", &[Role::Agent]));
    for shown in [&[("authorization", customer.as_str())][..], &[]] {
        let got = open(&shop, json!({"customerId": STRANGER}), shown).await;
        assert_eq!((got.status.as_u16(), pointer(&got)), (422, "#/customerId".into()));
    }
    assert!(shop.stage.facts("carts").await.is_empty());
    let own = open(&shop, json!({"customerId": OWNER}), &[("authorization", &customer)]).await;
    let helped = open(&shop, json!({"customerId": STRANGER}), &[("authorization", &agent)]).await;
    assert_eq!((own.status.as_u16(), helped.status.as_u16()), (201, 201), "an agent may");
    // The same key and body from another customer is another request, and no way to the first one's cart.
    let keyed = async |bearer: &str| open(&shop, json!({}), &[("authorization", bearer), ("idempotency-key", "k")]).await.view::<Cart>();
    let (first, stranger) = (keyed(&customer).await, shop.stage.bearer(STRANGER, &[Role::Customer]));
    assert_ne!(keyed(&stranger).await.id, first.id);
    assert_eq!(keyed(&customer).await.id, first.id);
}

#[tokio::test(start_paused = true)]
async fn order_service_freezes_in_a_customers_name_only_what_is_the_customers() {
    let shop = Shop::guarded().await;
    let (owner, service) = (shop.stage.bearer(OWNER, &[Role::Customer]), shop.stage.bearer("order", &[Role::Service]));
    let cart: Cart = open(&shop, json!({}), &[("authorization", &owner)]).await.view();
    let items = format!("/carts/{}/items", cart.id);
    let added = shop.stage.send(Method::POST, &items, Some(&json!({"sku": "LAMP", "quantity": 1})), &[("authorization", &owner)]).await;
    assert_eq!(added.status.as_u16(), 200);
    let freeze = async |of: &str, bearer: &str| {
        shop.stage.send(Method::POST, &format!("/carts/{}/freeze{of}", cart.id), Some(&json!({})), &[("authorization", bearer)]).await
    };
    assert_eq!(freeze(&format!("?customerId={STRANGER}"), &service).await.status.as_u16(), 404);
    assert_eq!(shop.stage.facts("carts").await[0]["status"], "OPEN", "and is left open");
    assert_eq!(freeze("", &owner).await.status.as_u16(), 403, "a buyer checks out");
    assert_eq!(freeze(&format!("?customerId={OWNER}"), &service).await.status.as_u16(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_not_valid_makes_nobody_a_guest() {
    let shop = Shop::guarded().await;
    let cart: Cart = open(&shop, json!({}), &[]).await.view();
    for (wrong, bearer) in shop.stage.bad_bearers(OWNER, &[Role::Customer, Role::Operator]).await {
        let shown = [("authorization", bearer.as_str()), ("x-session-token", cart.session_token.as_str())];
        assert_eq!(statuses(&everything(&shop, &cart, &shown).await), [401; 8], "{wrong}");
        assert_eq!(open(&shop, json!({}), &shown).await.status.as_u16(), 401, "{wrong}");
    }
    assert_eq!(shop.stage.facts("carts").await.len(), 1);
}
