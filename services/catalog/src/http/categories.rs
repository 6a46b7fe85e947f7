//! `/categories`: the taxonomy.

use axum::extract::State;
use catalog_api::{Category, CategoryRequest, Slug};
use platform::{
    http::{Answer, Body, Command, IfMatch, Page, PageQuery, Path, Query},
    problem::Problem,
};
use types::CategoryId;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{bounds, page};
use crate::{app::App, error::CatalogError};

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(create, list)).routes(routes!(by_slug)).routes(routes!(get, replace))
}

/// Make a category
#[utoipa::path(
    post, path = "/categories", tag = "categories",
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key is answered the same")),
    request_body = CategoryRequest,
    responses(
        (status = 201, description = "The category", body = Category),
        (status = "4XX", description = "Refused; nothing has happened", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn create(State(app): State<App>, command: Command<CategoryRequest>) -> Result<Answer, Problem> {
    Ok(app.create_category(command.body, command.key).await?)
}

/// All categories, the oldest first; each names its parent
#[utoipa::path(
    get, path = "/categories", tag = "categories", params(PageQuery),
    responses(
        (status = 200, description = "A page of categories", body = Page<Category>),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn list(State(app): State<App>, Query(query): Query<PageQuery>) -> Result<Answer, Problem> {
    let (limit, behind) = bounds(query.limit, query.cursor)?;
    Answer::ok(&page(app.categories(behind, limit + 1).await?, limit))
}

/// The category of a slug
#[utoipa::path(
    get, path = "/categories/by-slug/{slug}", tag = "categories", params(("slug" = Slug, Path, description = "The slug")),
    responses(
        (status = 200, description = "The category", body = Category),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn by_slug(State(app): State<App>, Path(slug): Path<Slug>) -> Result<Answer, Problem> {
    let category = app.category_by_slug(&slug).await?.ok_or_else(|| CatalogError::UnknownCategory(slug.to_string()))?;
    Ok(Answer::ok(&category)?.version(category.version))
}

/// One category
#[utoipa::path(
    get, path = "/categories/{id}", tag = "categories", params(("id" = CategoryId, Path, description = "The category's id")),
    responses(
        (status = 200, description = "The category", body = Category),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn get(State(app): State<App>, Path(id): Path<CategoryId>) -> Result<Answer, Problem> {
    let category = app.category(id).await?;
    Ok(Answer::ok(&category)?.version(category.version))
}

/// Change a category; its place in the tree too, with all that is below it
#[utoipa::path(
    put, path = "/categories/{id}", tag = "categories",
    params(("id" = CategoryId, Path, description = "The category's id"), ("If-Match" = Option<String>, Header, description = "The ETag that you have seen")),
    request_body = CategoryRequest,
    responses(
        (status = 200, description = "The category", body = Category),
        (status = "4XX", description = "Refused; nothing has changed", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn replace(
    State(app): State<App>,
    Path(id): Path<CategoryId>,
    if_match: IfMatch,
    Body(request): Body<CategoryRequest>,
) -> Result<Answer, Problem> {
    Ok(app.replace_category(id, request, if_match).await?)
}
