//! The endpoints: parse, call the application, show.

use axum::extract::State;
use cart_api::{AddItem, ApplyCoupon, Cart, CheckedOut, Checkout, CreateCart, FrozenCart, SetQuantity, client::Erased};
use platform::{
    auth::Caller,
    http::{Answer, Body, Command, IfMatch, Path, Query},
    problem::Problem,
};
use pricing_api::CartLine;
use serde::Deserialize;
use types::{CartId, CustomerId, Sku};
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{app::App, domain::Change, error::CartError};

pub fn router(app: App) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(create))
        .routes(routes!(get))
        .routes(routes!(of_session))
        .routes(routes!(add_item))
        .routes(routes!(set_quantity, remove_item))
        .routes(routes!(apply_coupon))
        .routes(routes!(remove_coupon))
        .routes(routes!(check_out))
        .routes(routes!(freeze))
        .routes(routes!(erase))
        .with_state(app)
}

/// Open a cart
///
/// A session has one open cart: with the token of one, that is given back (200) instead of a new one (201). A customer's token opens the
/// customer's own cart; without one it is a guest's, who shows its session's token from then on.
#[utoipa::path(
    post, path = "/carts", tag = "carts",
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key is answered the same")),
    request_body = CreateCart,
    responses(
        (status = 201, description = "The new cart", body = Cart),
        (status = 200, description = "The cart that this session has open", body = Cart),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn create(State(app): State<App>, caller: Caller, command: Command<CreateCart>) -> Result<Answer, Problem> {
    let mut request = command.body;
    if caller.is_bounded() {
        if request.customer_id.is_some_and(|customer| !caller.owns(Some(customer))) {
            return Err(Problem::invalid("#/customerId", "must be the customer whose token this is, or be left out"));
        }
        request.customer_id = caller.customer();
    }
    Ok(app.create(request, command.key, caller).await?)
}

/// 404 for a cart that is not the caller's: a customer's is the customer's, a guest's is whose who shows its session's token.
async fn own(app: &App, caller: &Caller, id: CartId) -> Result<(), CartError> {
    if !caller.is_bounded() {
        return Ok(());
    }
    let cart = app.get(id).await?;
    if cart.customer_id.is_none() && caller.shows_session(&cart.session_token) {
        return Ok(());
    }
    caller.must_own(cart.customer_id, || CartError::Unknown(id))
}

/// One cart, with its lines and what it costs
#[utoipa::path(
    get, path = "/carts/{id}", tag = "carts",
    params(("id" = CartId, Path, description = "The cart's id"), ("X-Session-Token" = Option<String>, Header, description = "A guest's, where requests need a token")),
    responses(
        (status = 200, description = "The cart", body = Cart),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn get(State(app): State<App>, caller: Caller, Path(id): Path<CartId>) -> Result<Answer, Problem> {
    own(&app, &caller, id).await?;
    shown(&app.get(id).await?)
}

/// The cart of a session: the open one, else the newest
#[utoipa::path(
    get, path = "/carts/by-session/{token}", tag = "carts", params(("token" = Sku, Path, description = "The session's token")),
    responses(
        (status = 200, description = "The cart", body = Cart),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn of_session(State(app): State<App>, caller: Caller, Path(token): Path<Sku>) -> Result<Answer, Problem> {
    let cart = app.of_session(token.as_str()).await?;
    if cart.customer_id.is_some() {
        caller.must_own(cart.customer_id, || CartError::UnknownSession)?;
    }
    shown(&cart)
}

fn shown(cart: &Cart) -> Result<Answer, Problem> {
    Ok(Answer::ok(cart)?.version(cart.version))
}

/// Put something into a cart
///
/// Quantities of the same SKU add up. The whole cart is priced anew.
#[utoipa::path(
    post, path = "/carts/{id}/items", tag = "carts",
    params(
        ("id" = CartId, Path, description = "The cart's id"),
        ("X-Session-Token" = Option<String>, Header, description = "A guest's, where requests need a token"),
        ("If-Match" = Option<String>, Header, description = "The version that was seen; another one is 412"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key is answered the same"),
    ),
    request_body = AddItem,
    responses(
        (status = 200, description = "The cart", body = Cart),
        (status = "4XX", description = "Refused; nothing has changed", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn add_item(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<CartId>,
    seen: IfMatch,
    command: Command<AddItem>,
) -> Result<Answer, Problem> {
    own(&app, &caller, id).await?;
    let AddItem { sku, quantity } = command.body;
    Ok(app.change(id, Change::Add(CartLine { sku, quantity }), seen, command.key).await?)
}

/// Say how many of something a cart holds
#[utoipa::path(
    put, path = "/carts/{id}/items/{sku}", tag = "carts",
    params(
        ("id" = CartId, Path, description = "The cart's id"),
        ("X-Session-Token" = Option<String>, Header, description = "A guest's, where requests need a token"),
        ("sku" = Sku, Path, description = "What is in it"),
        ("If-Match" = Option<String>, Header, description = "The version that was seen; another one is 412"),
    ),
    request_body = SetQuantity,
    responses(
        (status = 200, description = "The cart", body = Cart),
        (status = "4XX", description = "Refused; nothing has changed", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn set_quantity(
    State(app): State<App>,
    caller: Caller,
    Path((id, sku)): Path<(CartId, Sku)>,
    seen: IfMatch,
    Body(SetQuantity { quantity }): Body<SetQuantity>,
) -> Result<Answer, Problem> {
    own(&app, &caller, id).await?;
    Ok(app.change(id, Change::SetQuantity(CartLine { sku, quantity }), seen, None).await?)
}

/// Take something out of a cart
///
/// What pricing no longer has a price for leaves with it.
#[utoipa::path(
    delete, path = "/carts/{id}/items/{sku}", tag = "carts",
    params(
        ("id" = CartId, Path, description = "The cart's id"),
        ("X-Session-Token" = Option<String>, Header, description = "A guest's, where requests need a token"),
        ("sku" = Sku, Path, description = "What is in it"),
        ("If-Match" = Option<String>, Header, description = "The version that was seen; another one is 412"),
    ),
    responses(
        (status = 200, description = "The cart", body = Cart),
        (status = "4XX", description = "Refused; nothing has changed", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn remove_item(
    State(app): State<App>,
    caller: Caller,
    Path((id, sku)): Path<(CartId, Sku)>,
    seen: IfMatch,
) -> Result<Answer, Problem> {
    own(&app, &caller, id).await?;
    Ok(app.change(id, Change::Remove(sku), seen, None).await?)
}

/// Put a coupon on a cart
///
/// In place of the one that is there: a cart has one at most.
#[utoipa::path(
    post, path = "/carts/{id}/apply-coupon", tag = "carts",
    params(
        ("id" = CartId, Path, description = "The cart's id"),
        ("X-Session-Token" = Option<String>, Header, description = "A guest's, where requests need a token"),
        ("If-Match" = Option<String>, Header, description = "The version that was seen; another one is 412"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key is answered the same"),
    ),
    request_body = ApplyCoupon,
    responses(
        (status = 200, description = "The cart", body = Cart),
        (status = "4XX", description = "Refused; nothing has changed", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn apply_coupon(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<CartId>,
    seen: IfMatch,
    command: Command<ApplyCoupon>,
) -> Result<Answer, Problem> {
    own(&app, &caller, id).await?;
    Ok(app.change(id, Change::ApplyCoupon(command.body.code), seen, command.key).await?)
}

/// Take the coupon off a cart
#[utoipa::path(
    delete, path = "/carts/{id}/coupon", tag = "carts",
    params(
        ("id" = CartId, Path, description = "The cart's id"),
        ("X-Session-Token" = Option<String>, Header, description = "A guest's, where requests need a token"),
        ("If-Match" = Option<String>, Header, description = "The version that was seen; another one is 412"),
    ),
    responses(
        (status = 200, description = "The cart", body = Cart),
        (status = "4XX", description = "Refused; nothing has changed", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn remove_coupon(State(app): State<App>, caller: Caller, Path(id): Path<CartId>, seen: IfMatch) -> Result<Answer, Problem> {
    own(&app, &caller, id).await?;
    Ok(app.change(id, Change::RemoveCoupon, seen, None).await?)
}

/// Check a cart out
///
/// Closes the cart and makes its order, which is there when this answers. If prices have risen since they were quoted: 409 `price-changed`,
/// and the cart shows the new ones. A 503 may mean that the order is still on its way: the same request with the same key finds it.
#[utoipa::path(
    post, path = "/carts/{id}/checkout", tag = "carts",
    params(
        ("id" = CartId, Path, description = "The cart's id"),
        ("X-Session-Token" = Option<String>, Header, description = "A guest's, where requests need a token"),
        ("If-Match" = Option<String>, Header, description = "The version that was seen; another one is 412"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key is answered the same"),
    ),
    request_body = Checkout,
    responses(
        (status = 202, description = "The order, under way", body = CheckedOut),
        (status = "4XX", description = "Refused; the cart is open as before", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn check_out(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<CartId>,
    seen: IfMatch,
    command: Command<Checkout>,
) -> Result<Answer, Problem> {
    own(&app, &caller, id).await?;
    Ok(app.check_out(id, command.body, seen, command.key).await?)
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct FreezeQuery {
    /// In whose name it is asked for: 404 for a cart that is another's.
    customer_id: Option<CustomerId>,
}

/// Close a cart for its order (for services)
///
/// The same answer however often it is asked, until the order is there.
#[utoipa::path(
    post, path = "/carts/{id}/freeze", tag = "internal", params(("id" = CartId, Path, description = "The cart's id"), FreezeQuery),
    responses(
        (status = 200, description = "What was in it, and how it was checked out if the buyer told the cart", body = FrozenCart),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn freeze(State(app): State<App>, Path(id): Path<CartId>, Query(query): Query<FreezeQuery>) -> Result<Answer, Problem> {
    if query.customer_id.is_some() && app.get(id).await?.customer_id != query.customer_id {
        return Err(CartError::Unknown(id).into());
    }
    Answer::ok(&app.freeze(id).await?)
}

/// Remove what is personal from a customer's carts (for services)
#[utoipa::path(
    post, path = "/carts/customers/{customer}/erasure", tag = "internal", params(("customer" = CustomerId, Path, description = "The customer's id")),
    responses(
        (status = 200, description = "How many carts were made anonymous", body = Erased),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn erase(State(app): State<App>, Path(customer): Path<CustomerId>) -> Result<Answer, Problem> {
    Answer::ok(&Erased { records: app.erase(customer).await? })
}
