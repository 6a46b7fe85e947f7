//! The endpoints: parse, call the application, show.

use axum::extract::State;
use http::{HeaderMap, header};
use inventory_api::{Adjust, Claim, Extend, Release, Reservation, Reserve, Stock};
use platform::{
    http::{Answer, Command, Page, PageQuery, Path, Query},
    problem::Problem,
};
use serde::Deserialize;
use types::{OrderId, ReservationId, Sku};
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::app::App;

pub fn router(app: App) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(reserve))
        .routes(routes!(claim))
        .routes(routes!(extend))
        .routes(routes!(release))
        .routes(routes!(adjust))
        .routes(routes!(reservations))
        .routes(routes!(reservation))
        .routes(routes!(list))
        .routes(routes!(stock))
        .with_state(app)
}

/// Hold stock for an order
///
/// All or nothing, from one warehouse if one has everything. The hold ends at `expiresAt` unless it is claimed, extended or released. While
/// an order's reservation stands, the same request gets it again.
#[utoipa::path(
    post, path = "/inventory/reserve", tag = "inventory",
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key is answered the same")),
    request_body = Reserve,
    responses(
        (status = 201, description = "The reservation", body = Reservation),
        (status = "4XX", description = "Refused; nothing has happened", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn reserve(State(app): State<App>, command: Command<Reserve>) -> Result<Answer, Problem> {
    Ok(app.reserve(command.body, command.key).await?)
}

/// Turn a hold into a claim
///
/// Only while the hold lives, and only with its fencing token.
#[utoipa::path(
    post, path = "/inventory/claim", tag = "inventory",
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key is answered the same")),
    request_body = Claim,
    responses(
        (status = 200, description = "The reservation", body = Reservation),
        (status = "4XX", description = "Refused; nothing has happened", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn claim(State(app): State<App>, command: Command<Claim>) -> Result<Answer, Problem> {
    Ok(app.claim(command.body, command.key).await?)
}

/// Make a hold last longer
///
/// For `ttlSeconds` from now; a hold that lasts longer anyway stays as it is.
#[utoipa::path(
    post, path = "/inventory/extend", tag = "inventory",
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key is answered the same")),
    request_body = Extend,
    responses(
        (status = 200, description = "The reservation", body = Reservation),
        (status = "4XX", description = "Refused; nothing has happened", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn extend(State(app): State<App>, command: Command<Extend>) -> Result<Answer, Problem> {
    Ok(app.extend(command.body, command.key).await?)
}

/// End a hold, or give a claim back to the stock
///
/// With the fencing token; without it only an operator may.
#[utoipa::path(
    post, path = "/inventory/release", tag = "inventory",
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key is answered the same")),
    request_body = Release,
    responses(
        (status = 200, description = "The reservation", body = Reservation),
        (status = "4XX", description = "Refused; nothing has happened", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn release(State(app): State<App>, headers: HeaderMap, command: Command<Release>) -> Result<Answer, Problem> {
    if command.body.fencing_token.is_none() {
        app.require_operator(headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()))?;
    }
    Ok(app.release(command.body, command.key).await?)
}

/// Correct what is on hand
///
/// The first adjustment of a SKU in a warehouse makes it known there. Never below zero; below what is held or claimed only with
/// `allowShortfall`.
#[utoipa::path(
    post, path = "/inventory/adjust", tag = "inventory",
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key is answered the same")),
    request_body = Adjust,
    responses(
        (status = 200, description = "The stock of the SKU", body = Stock),
        (status = "4XX", description = "Refused; nothing has happened", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn adjust(State(app): State<App>, command: Command<Adjust>) -> Result<Answer, Problem> {
    Ok(app.adjust(command.body, command.key).await?)
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct OfOrder {
    /// Whose reservations.
    order_id: OrderId,
    /// How many at most: 1 to 200, 50 when left out.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// The `nextCursor` of the page before.
    cursor: Option<String>,
}

/// An order's reservations, the newest first
#[utoipa::path(
    get, path = "/inventory/reservations", tag = "inventory", params(OfOrder),
    responses(
        (status = 200, description = "A page of reservations", body = Page<Reservation>),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn reservations(State(app): State<App>, Query(query): Query<OfOrder>) -> Result<Answer, Problem> {
    let page = PageQuery { limit: query.limit, cursor: query.cursor };
    let (limit, before) = (page.limit()?, page.place::<i64>()?.unwrap_or(i64::MAX));
    let reservations = app.reservations_of(query.order_id, before, limit + 1).await?;
    Answer::ok(&Page::cut(reservations, limit, |reservation| reservation.fencing_token))
}

/// One reservation
#[utoipa::path(
    get, path = "/inventory/reservations/{id}", tag = "inventory", params(("id" = ReservationId, Path, description = "The reservation's id")),
    responses(
        (status = 200, description = "The reservation", body = Reservation),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn reservation(State(app): State<App>, Path(id): Path<ReservationId>) -> Result<Answer, Problem> {
    Answer::ok(&app.reservation(id).await?)
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct OfStock {
    /// This SKU only.
    sku: Option<Sku>,
    /// How many SKUs at most: 1 to 200, 50 when left out.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// The `nextCursor` of the page before.
    cursor: Option<String>,
}

/// What is in stock, by SKU
#[utoipa::path(
    get, path = "/inventory", tag = "inventory", params(OfStock),
    responses(
        (status = 200, description = "A page of stock", body = Page<Stock>),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn list(State(app): State<App>, Query(query): Query<OfStock>) -> Result<Answer, Problem> {
    let page = PageQuery { limit: query.limit, cursor: query.cursor };
    let (limit, after) = (page.limit()?, page.place::<Sku>()?);
    if let Some(sku) = query.sku {
        let items = match app.stock(sku).await {
            Ok(stock) => vec![stock],
            Err(crate::error::InventoryError::UnknownSku(_)) => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        return Answer::ok(&Page { items, next_cursor: None });
    }
    let stock = app.stock_after(after.as_ref().map_or("", Sku::as_str), limit + 1).await?;
    Answer::ok(&Page::cut(stock, limit, |stock| stock.sku.clone()))
}

/// What is in stock of a SKU, by warehouse
#[utoipa::path(
    get, path = "/inventory/{sku}", tag = "inventory", params(("sku" = Sku, Path, description = "The SKU")),
    responses(
        (status = 200, description = "The stock", body = Stock),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn stock(State(app): State<App>, Path(sku): Path<Sku>) -> Result<Answer, Problem> {
    Answer::ok(&app.stock(sku).await?)
}
