//! `/products`: documents with revisions.

use axum::{
    extract::State,
    http::{HeaderMap, header},
};
use catalog_api::{Product, ProductRequest, Quarantined};
use platform::{
    http::{Answer, Body, Command, IfMatch, Page, PageQuery, Path, Query},
    problem::Problem,
};
use serde::Deserialize;
use types::{ProductId, Sku};
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{bounds, page};
use crate::app::{App, Filter, Seen};

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(quarantine))
        .routes(routes!(by_sku))
        .routes(routes!(get, replace, delete))
}

/// Make a product
#[utoipa::path(
    post, path = "/products", tag = "products",
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key is answered the same")),
    request_body = ProductRequest,
    responses(
        (status = 201, description = "The product", body = Product),
        (status = "4XX", description = "Refused; nothing has happened", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn create(State(app): State<App>, command: Command<ProductRequest>) -> Result<Answer, Problem> {
    Ok(app.create(command.body, command.key).await?)
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// A category's slug or id; what is below it counts too.
    category: Option<String>,
    /// Words; a product has, for each, one that begins like it: in a title, a SKU, or an attribute's value. At most 8.
    q: Option<String>,
    /// How many at most: 1 to 200, 50 when left out.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// The `nextCursor` of the page before.
    cursor: Option<String>,
}

/// Products, the oldest first
#[utoipa::path(
    get, path = "/products", tag = "products", params(ListQuery),
    responses(
        (status = 200, description = "A page of products", body = Page<Product>),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn list(State(app): State<App>, Query(query): Query<ListQuery>) -> Result<Answer, Problem> {
    let (limit, behind) = bounds(query.limit, query.cursor)?;
    let filter = Filter { category: query.category, q: query.q };
    let products = app.find(&filter, behind, limit + 1).await?;
    Answer::ok(&page(products, limit))
}

/// Documents that the change feed keeps apart, because their shape has drifted
#[utoipa::path(
    get, path = "/products/quarantine", tag = "products", params(PageQuery),
    responses(
        (status = 200, description = "A page of documents", body = Page<Quarantined>),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn quarantine(State(app): State<App>, Query(query): Query<PageQuery>) -> Result<Answer, Problem> {
    let (limit, behind) = bounds(query.limit, query.cursor)?;
    Answer::ok(&page(app.quarantined(behind, limit + 1).await?, limit))
}

/// The product that has a SKU, its own or a variant's
#[utoipa::path(
    get, path = "/products/by-sku/{sku}", tag = "products", params(("sku" = Sku, Path, description = "The SKU")),
    responses(
        (status = 200, description = "The product", body = Product),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn by_sku(State(app): State<App>, Path(sku): Path<Sku>) -> Result<Answer, Problem> {
    shown(&app.by_sku(&sku).await?)
}

/// One product
#[utoipa::path(
    get, path = "/products/{id}", tag = "products", params(("id" = ProductId, Path, description = "The product's id")),
    responses(
        (status = 200, description = "The product", body = Product),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn get(State(app): State<App>, Path(id): Path<ProductId>) -> Result<Answer, Problem> {
    shown(&app.get(id).await?)
}

/// Put a product in the place of the revision that you have seen
///
/// The revision stands in the body's `rev` (a stale one is 409) or in `If-Match` (412). What is left out is taken away, but for the media.
#[utoipa::path(
    put, path = "/products/{id}", tag = "products",
    params(("id" = ProductId, Path, description = "The product's id"), ("If-Match" = Option<String>, Header, description = "The ETag that you have seen")),
    request_body = ProductRequest,
    responses(
        (status = 200, description = "The product", body = Product),
        (status = "4XX", description = "Refused; nothing has changed", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn replace(
    State(app): State<App>,
    Path(id): Path<ProductId>,
    if_match: IfMatch,
    headers: HeaderMap,
    Body(request): Body<ProductRequest>,
) -> Result<Answer, Problem> {
    Ok(app.replace(id, request, seen(if_match, &headers, None)).await?)
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct DeleteQuery {
    /// The revision that you have seen, unless `If-Match` says it.
    rev: Option<String>,
}

/// Delete a product
#[utoipa::path(
    delete, path = "/products/{id}", tag = "products",
    params(("id" = ProductId, Path, description = "The product's id"), DeleteQuery, ("If-Match" = Option<String>, Header, description = "The ETag that you have seen")),
    responses(
        (status = 204, description = "It is gone"),
        (status = "4XX", description = "Refused; nothing has changed", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn delete(
    State(app): State<App>,
    Path(id): Path<ProductId>,
    Query(query): Query<DeleteQuery>,
    if_match: IfMatch,
    headers: HeaderMap,
) -> Result<Answer, Problem> {
    app.delete(id, seen(if_match, &headers, query.rev)).await?;
    Ok(Answer::no_content())
}

fn seen(if_match: IfMatch, headers: &HeaderMap, rev: Option<String>) -> Seen {
    // What the extractor leaves empty though it was sent is `*`.
    let any = if_match.0.is_none() && headers.contains_key(header::IF_MATCH);
    Seen { tag: if_match.0, any, rev }
}

fn shown(product: &Product) -> Result<Answer, Problem> {
    Ok(Answer::ok(product)?.etag(format!("\"{}\"", product.rev)))
}
