//! The endpoints: parse, call the application, show.

use axum::extract::State;
use platform::{
    http::{Answer, Command, Path, Query},
    problem::Problem,
};
use psp_api::{Amount, Authorization, Authorize, ByReference};
use serde::Deserialize;
use types::id::PlainId;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::app::App;

pub fn router(app: App) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(authorize, by_reference))
        .routes(routes!(get))
        .routes(routes!(capture))
        .routes(routes!(void))
        .routes(routes!(refund))
        .with_state(app)
}

/// Nothing is asked of a void.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// Authorize an amount
///
/// What happens is decided by the token (the README lists them). 201 with the outcome, or 202 while it is open; a callback or a question
/// by reference tells it then. The same key joins the first request.
#[utoipa::path(
    post, path = "/psp/authorizations", tag = "psp", params(("Idempotency-Key" = String, Header, description = "Required")),
    request_body = Authorize,
    responses(
        (status = 201, description = "The outcome is decided", body = Authorization),
        (status = 202, description = "It is still open", body = Authorization),
        (status = "4XX", description = "Refused; nothing has happened", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn authorize(State(app): State<App>, command: Command<Authorize>) -> Result<Answer, Problem> {
    let key = command.required_key()?;
    Ok(app.authorize(command.body, key).await?)
}

/// The newest authorization under a merchant's reference
#[utoipa::path(
    get, path = "/psp/authorizations", tag = "psp", params(ByReference),
    responses(
        (status = 200, description = "The authorization, with everything that was told of it", body = Authorization),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn by_reference(State(app): State<App>, Query(query): Query<ByReference>) -> Result<Answer, Problem> {
    Answer::ok(&app.by_reference(&query.merchant_reference).await?)
}

/// One authorization
#[utoipa::path(
    get, path = "/psp/authorizations/{id}", tag = "psp", params(("id" = types::id::Uuid, Path, description = "The authorization's id")),
    responses(
        (status = 200, description = "The authorization, with everything that was told of it", body = Authorization),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn get(State(app): State<App>, Path(PlainId(id)): Path<PlainId>) -> Result<Answer, Problem> {
    Answer::ok(&app.get(id).await?)
}

/// Take the authorized amount, or a part of it
#[utoipa::path(
    post, path = "/psp/authorizations/{id}/capture", tag = "psp",
    params(("id" = types::id::Uuid, Path, description = "The authorization's id"), ("Idempotency-Key" = String, Header, description = "Required")),
    request_body = Amount,
    responses(
        (status = 200, description = "The authorization", body = Authorization),
        (status = "4XX", description = "Refused; nothing has happened", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn capture(State(app): State<App>, Path(PlainId(id)): Path<PlainId>, command: Command<Amount>) -> Result<Answer, Problem> {
    let key = command.required_key()?;
    Ok(app.capture(id, command.body, key).await?)
}

/// Give an authorization back, or keep one that is under way from ever taking effect
#[utoipa::path(
    post, path = "/psp/authorizations/{id}/void", tag = "psp",
    params(("id" = types::id::Uuid, Path, description = "The authorization's id"), ("Idempotency-Key" = String, Header, description = "Required")),
    request_body = Nothing,
    responses(
        (status = 200, description = "The authorization", body = Authorization),
        (status = "4XX", description = "Refused; nothing has happened", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn void(State(app): State<App>, Path(PlainId(id)): Path<PlainId>, command: Command<Nothing>) -> Result<Answer, Problem> {
    let key = command.required_key()?;
    Ok(app.void(id, key).await?)
}

/// Give back what was taken, or a part of it
#[utoipa::path(
    post, path = "/psp/authorizations/{id}/refunds", tag = "psp",
    params(("id" = types::id::Uuid, Path, description = "The authorization's id"), ("Idempotency-Key" = String, Header, description = "Required")),
    request_body = Amount,
    responses(
        (status = 200, description = "The authorization", body = Authorization),
        (status = "4XX", description = "Refused; nothing has happened", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn refund(State(app): State<App>, Path(PlainId(id)): Path<PlainId>, command: Command<Amount>) -> Result<Answer, Problem> {
    let key = command.required_key()?;
    Ok(app.refund(id, command.body, key).await?)
}
