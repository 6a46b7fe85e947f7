//! The endpoints: parse, call the application, show.

use std::time::Duration;

use axum::extract::State;
use order_api::{
    CancelOrder, CreateOrder, Credit, GrantCredit, Order,
    client::{CustomerSummary, Erased},
};
use platform::{
    auth::Caller,
    http::{Answer, Command, Page, PageQuery, Path, Query},
    problem::Problem,
};
use serde::Deserialize;
use types::{CreditId, CustomerId, OrderId};
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{app::App, error::OrderError};

/// How long a cancellation may take before the order is shown as it stands.
const CANCEL_WAIT: Duration = Duration::from_secs(5);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

pub fn router(app: App) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(get))
        .routes(routes!(cancel))
        .routes(routes!(grant_credit, credits))
        .routes(routes!(credit))
        .routes(routes!(summary))
        .routes(routes!(erase))
        .with_state(app)
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Wait {
    /// Answer when the order has settled, but no later than this: `10s`, at most `30s`.
    wait: Option<String>,
}

impl Wait {
    fn duration(&self) -> Result<Option<Duration>, Problem> {
        let Some(text) = &self.wait else { return Ok(None) };
        let wrong = || Problem::invalid("#/wait", "must be whole seconds such as 10s, at most 30s");
        let seconds: u64 = text.strip_suffix('s').and_then(|number| number.parse().ok()).ok_or_else(wrong)?;
        let wait = Duration::from_secs(seconds);
        if wait > LONGEST_WAIT { Err(wrong()) } else { Ok(Some(wait)) }
    }
}

/// Make the order of a cart
///
/// There is one order for each cart. Its saga (reserve, authorize, claim, capture, confirm) goes on after the answer; `wait` waits for it.
#[utoipa::path(
    post, path = "/orders", tag = "orders", params(Wait, ("Idempotency-Key" = String, Header, description = "Required; a new one for each new order")),
    request_body = CreateOrder,
    responses(
        (status = 201, description = "The order", body = Order),
        (status = "4XX", description = "Refused; nothing has happened", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn create(
    State(app): State<App>,
    caller: Caller,
    Query(wait): Query<Wait>,
    command: Command<CreateOrder>,
) -> Result<Answer, Problem> {
    let key = command.required_key()?;
    // Whose cart it is, only the cart can say: it is asked in the customer's name.
    if caller.is_bounded() && caller.customer().is_none() {
        return Err(OrderError::UnknownCart(command.body.cart_id).into());
    }
    Ok(app.create(command.body, key, wait.duration()?, caller.customer()).await?)
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Whose orders.
    customer_id: CustomerId,
    /// How many at most: 1 to 200, 50 when left out.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// The `nextCursor` of the page before.
    cursor: Option<String>,
}

/// A customer's orders, the newest first
///
/// To another customer the list is empty.
#[utoipa::path(
    get, path = "/orders", tag = "orders",
    params(
        ListQuery,
        ("X-Read-After" = Option<String>, Header, description = "What it must have seen, as the answer to a change told it; where a replica may answer"),
    ),
    responses(
        (status = 200, description = "A page of orders", body = Page<Order>),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn list(State(app): State<App>, caller: Caller, Query(query): Query<ListQuery>) -> Result<Answer, Problem> {
    let page = PageQuery { limit: query.limit, cursor: query.cursor };
    let (limit, before) = (page.limit()?, page.place::<i64>()?.unwrap_or(i64::MAX));
    let is_own = caller.owns(Some(query.customer_id));
    let orders = if is_own { app.of_customer(query.customer_id, before, limit + 1).await? } else { Vec::new() };
    let page = Page::cut(orders, limit, |(seq, _)| *seq);
    Answer::ok(&Page { items: page.items.into_iter().map(|(_, order)| order).collect(), next_cursor: page.next_cursor })
}

/// 404 for an order that is not the caller's: a customer's is the customer's, a guest's is whose who shows the token of its session.
async fn own(app: &App, caller: &Caller, id: OrderId, owner: Option<CustomerId>) -> Result<(), OrderError> {
    if owner.is_none() && caller.is_bounded() && app.guest_session(id).await?.is_some_and(|digest| caller.shows_session_of(&digest)) {
        return Ok(());
    }
    caller.must_own(owner, || OrderError::Unknown(id))
}

/// One order, with its lines and its timeline
///
/// With `wait`, answered when it has settled (ready to be shipped, or cancelled) or the time is up; the answer says which.
#[utoipa::path(
    get, path = "/orders/{id}", tag = "orders",
    params(
        Wait,
        ("id" = OrderId, Path, description = "The order's id"),
        ("X-Session-Token" = Option<String>, Header, description = "A guest's, where requests need a token"),
        ("X-Read-After" = Option<String>, Header, description = "What it must have seen, as the answer to a change told it; where a replica may answer"),
    ),
    responses(
        (status = 200, description = "The order", body = Order),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn get(State(app): State<App>, caller: Caller, Path(id): Path<OrderId>, Query(wait): Query<Wait>) -> Result<Answer, Problem> {
    let wait = wait.duration()?;
    let mut order = app.shown(id).await?;
    own(&app, &caller, id, order.customer_id).await?;
    if let Some(wait) = wait
        && !order.status.is_settled()
    {
        order = app.settled(id, wait).await?;
    }
    Ok(Answer::ok(&order)?.version(order.version))
}

/// Cancel an order that has not been shipped
///
/// Its stock goes back and its money too, whatever had happened by then. 409 where it can no longer be cancelled.
#[utoipa::path(
    post, path = "/orders/{id}/cancel", tag = "orders",
    params(
        ("id" = OrderId, Path, description = "The order's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key is answered the same"),
        ("X-Session-Token" = Option<String>, Header, description = "A guest's, where requests need a token"),
    ),
    request_body = CancelOrder,
    responses(
        (status = 200, description = "The order", body = Order),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn cancel(State(app): State<App>, caller: Caller, Path(id): Path<OrderId>, command: Command<CancelOrder>) -> Result<Answer, Problem> {
    if caller.is_bounded() {
        own(&app, &caller, id, app.get(id).await?.customer_id).await?;
    }
    let note = command.body.reason.map(String::from);
    Ok(app.cancel(id, note, command.key, CANCEL_WAIT).await?)
}

/// Give something back of an order, to make up for something
///
/// The money goes back by itself, and `payment.refunded` of the order tells when it has. All credits of an order are at most its total. 409 where nothing
/// was paid for it, or it was cancelled.
#[utoipa::path(
    post, path = "/orders/{id}/credits", tag = "orders",
    params(
        ("id" = OrderId, Path, description = "The order's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key is answered the same"),
    ),
    request_body = GrantCredit,
    responses(
        (status = 201, description = "The credit", body = Credit),
        (status = "4XX", description = "Refused; nothing has happened", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn grant_credit(State(app): State<App>, Path(id): Path<OrderId>, command: Command<GrantCredit>) -> Result<Answer, Problem> {
    Ok(app.grant_credit(id, command.body, command.key).await?)
}

/// What was given back of an order to make up for something, the oldest first
#[utoipa::path(
    get, path = "/orders/{id}/credits", tag = "orders", params(("id" = OrderId, Path, description = "The order's id")),
    responses(
        (status = 200, description = "The credits, all of them", body = Page<Credit>),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn credits(State(app): State<App>, Path(id): Path<OrderId>) -> Result<Answer, Problem> {
    Answer::ok(&Page { items: app.credits(id).await?, next_cursor: None })
}

/// One credit
#[utoipa::path(
    get, path = "/orders/{id}/credits/{credit}", tag = "orders",
    params(("id" = OrderId, Path, description = "The order's id"), ("credit" = CreditId, Path, description = "The credit's id")),
    responses(
        (status = 200, description = "The credit", body = Credit),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn credit(State(app): State<App>, Path((id, credit)): Path<(OrderId, CreditId)>) -> Result<Answer, Problem> {
    Answer::ok(&app.credit(id, credit).await?)
}

/// How much a customer has bought (for services)
#[utoipa::path(
    get, path = "/orders/customers/{customer}/summary", tag = "internal", params(("customer" = CustomerId, Path, description = "The customer's id")),
    responses(
        (status = 200, description = "The sums", body = CustomerSummary),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn summary(State(app): State<App>, Path(customer): Path<CustomerId>) -> Result<Answer, Problem> {
    Answer::ok(&app.summary(customer).await?)
}

/// Remove what is personal from a customer's orders (for services)
#[utoipa::path(
    post, path = "/orders/customers/{customer}/erasure", tag = "internal", params(("customer" = CustomerId, Path, description = "The customer's id")),
    responses(
        (status = 200, description = "How many records were made anonymous", body = Erased),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn erase(State(app): State<App>, Path(customer): Path<CustomerId>) -> Result<Answer, Problem> {
    let records = u32::try_from(app.erase(customer).await?).unwrap_or(u32::MAX);
    Answer::ok(&Erased { records })
}
