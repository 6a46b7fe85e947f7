//! The endpoints: parse, call the application, show. [`products`], [`media`], [`categories`]; GraphQL's stands in [`crate::graphql`].

mod categories;
mod media;
mod products;

use axum::http::{HeaderMap, header};
use platform::problem::Problem;
use utoipa_axum::router::OpenApiRouter;

use crate::{app::App, graphql};

pub fn router(app: App) -> OpenApiRouter {
    OpenApiRouter::new()
        .merge(products::router())
        .merge(media::router(&app))
        .merge(categories::router())
        .with_state(app.clone())
        .merge(graphql::router(app))
}

/// Under which address the caller reached this system, for signed URLs: what the settings say, or the request's own `Host`. Nothing when
/// that is not a plain host and port; then signed URLs are paths.
fn base(app: &App, headers: &HeaderMap) -> String {
    let configured = app.config.get().public_url.clone();
    if !configured.is_empty() {
        return configured;
    }
    let plain = |host: &&str| !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte));
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok()).filter(plain);
    let secure = headers.get("x-forwarded-proto").is_some_and(|scheme| scheme.as_bytes().eq_ignore_ascii_case(b"https"));
    host.map(|host| format!("{}://{host}", if secure { "https" } else { "http" })).unwrap_or_default()
}

/// The document of an endpoint that is asked without a body: `{}` or nothing.
#[derive(Debug, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// A list's page from rows with their places.
fn page<T>(rows: Vec<(i64, T)>, limit: u32) -> platform::http::Page<T> {
    let cut = platform::http::Page::cut(rows, limit, |(place, _)| *place);
    platform::http::Page { items: cut.items.into_iter().map(|(_, item)| item).collect(), next_cursor: cut.next_cursor }
}

/// How many and behind which place.
fn bounds(limit: Option<u32>, cursor: Option<String>) -> Result<(u32, i64), Problem> {
    let query = platform::http::PageQuery { limit, cursor };
    Ok((query.limit()?, query.place::<i64>()?.unwrap_or(0)))
}
