//! The endpoints: parse, call the application, show.

use axum::extract::State;
use customer_api::{Customer, CustomerInput, Erasure, ErasureJobId, ErasureTaken, SetSegments};
use platform::{
    auth::Caller,
    http::{Answer, Body, Command, IfMatch, Page, PageQuery, Path, Query},
    problem::Problem,
};
use serde::Deserialize;
use types::{CustomerId, Email};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{app::App, error::CustomerError};

pub fn router(app: App) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(get, update))
        .routes(routes!(set_segments))
        .routes(routes!(erase))
        .routes(routes!(erasure))
        .with_state(app)
}

/// Make a customer
///
/// An e-mail address belongs to one customer at a time: 409 `email-taken`. Who has a customer's token makes the customer whose id is its
/// subject, once.
#[utoipa::path(
    post, path = "/customers", tag = "customers", params(("Idempotency-Key" = Option<String>, Header, description = "The same key is answered the same")),
    request_body = CustomerInput,
    responses(
        (status = 201, description = "The customer", body = Customer),
        (status = "4XX", description = "Refused; nothing has happened", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn create(State(app): State<App>, caller: Caller, command: Command<CustomerInput>) -> Result<Answer, Problem> {
    if caller.is_bounded() && caller.customer().is_none() {
        return Err(CustomerError::NoCustomersToken.into());
    }
    Ok(app.create(command.body, command.key, caller.customer()).await?)
}

/// 404 for another customer, whether or not there is one.
fn own(caller: &Caller, id: CustomerId) -> Result<(), CustomerError> {
    caller.must_own(Some(id), || CustomerError::Unknown(id))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// How many at most: 1 to 200, 50 when left out.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// The `nextCursor` of the page before.
    cursor: Option<String>,
    /// Only the customer who has this address.
    email: Option<Email>,
}

/// Customers, in the order in which they were made
///
/// Who was erased is not among them.
#[utoipa::path(
    get, path = "/customers", tag = "customers", params(ListQuery),
    responses(
        (status = 200, description = "A page of customers", body = Page<Customer>),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn list(State(app): State<App>, Query(query): Query<ListQuery>) -> Result<Answer, Problem> {
    let page = PageQuery { limit: query.limit, cursor: query.cursor };
    let (limit, after) = (page.limit()?, page.place::<i64>()?.unwrap_or(0));
    let customers = app.list(query.email, after, limit + 1).await?;
    let page = Page::cut(customers, limit, |(seq, _)| *seq);
    Answer::ok(&Page { items: page.items.into_iter().map(|(_, customer)| customer).collect(), next_cursor: page.next_cursor })
}

/// One customer
///
/// 410 `customer-erased` for one that was erased.
#[utoipa::path(
    get, path = "/customers/{id}", tag = "customers", params(("id" = CustomerId, Path, description = "The customer's id")),
    responses(
        (status = 200, description = "The customer", body = Customer),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn get(State(app): State<App>, caller: Caller, Path(id): Path<CustomerId>) -> Result<Answer, Problem> {
    own(&caller, id)?;
    let customer = app.get(id).await?;
    Ok(Answer::ok(&customer)?.version(customer.version))
}

/// Replace a customer
///
/// The whole customer is replaced, with its addresses; what is left out is gone. With `If-Match`, only the version that was seen: else 412.
#[utoipa::path(
    put, path = "/customers/{id}", tag = "customers",
    params(("id" = CustomerId, Path, description = "The customer's id"), ("If-Match" = Option<String>, Header, description = "The ETag that was seen")),
    request_body = CustomerInput,
    responses(
        (status = 200, description = "The customer", body = Customer),
        (status = "4XX", description = "Refused; nothing has happened", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn update(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<CustomerId>,
    seen: IfMatch,
    Body(input): Body<CustomerInput>,
) -> Result<Answer, Problem> {
    own(&caller, id)?;
    let customer = app.update(id, input, seen).await?;
    Ok(Answer::ok(&customer)?.version(customer.version))
}

/// Give a customer other segments
///
/// `segments` replaces those the customer has; `recalculate` replaces them by the one that follows from the customer's orders: `VIP`,
/// `GENERAL` or `NEW`.
#[utoipa::path(
    post, path = "/customers/{id}/segments", tag = "customers",
    params(("id" = CustomerId, Path, description = "The customer's id"), ("Idempotency-Key" = Option<String>, Header, description = "The same key is answered the same")),
    request_body = SetSegments,
    responses(
        (status = 200, description = "The customer", body = Customer),
        (status = "4XX", description = "Refused; nothing has happened", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered: 503 when order-service is not there", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn set_segments(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<CustomerId>,
    command: Command<SetSegments>,
) -> Result<Answer, Problem> {
    own(&caller, id)?;
    Ok(app.set_segments(id, command.body, command.key).await?)
}

/// Nothing needs to be said.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// Have a customer erased in every service
///
/// The answer comes at once, the erasure goes on until every service has done its part; `Location` says where to ask how far it is. Said
/// again it is the same job. It cannot be undone.
#[utoipa::path(
    post, path = "/customers/{id}/erasure", tag = "customers",
    params(("id" = CustomerId, Path, description = "The customer's id"), ("Idempotency-Key" = Option<String>, Header, description = "The same key is answered the same")),
    request_body(content = Option<Nothing>, description = "Empty, or {}"),
    responses(
        (status = 202, description = "The erasure is queued, or was before", body = ErasureTaken),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn erase(State(app): State<App>, caller: Caller, Path(id): Path<CustomerId>, command: Command<Nothing>) -> Result<Answer, Problem> {
    own(&caller, id)?;
    Ok(app.erase(id, command.key).await?)
}

/// How far an erasure is
#[utoipa::path(
    get, path = "/customers/{id}/erasure/{job}", tag = "customers",
    params(("id" = CustomerId, Path, description = "The customer's id"), ("job" = ErasureJobId, Path, description = "The job's id")),
    responses(
        (status = 200, description = "The erasure, in all and by service", body = Erasure),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn erasure(State(app): State<App>, caller: Caller, Path((id, job)): Path<(CustomerId, ErasureJobId)>) -> Result<Answer, Problem> {
    own(&caller, id)?;
    Answer::ok(&app.erasure(id, job).await?)
}
