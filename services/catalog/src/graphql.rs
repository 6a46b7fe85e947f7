//! `/graphql`: the catalog as a storefront asks for it. What a query may cost is bounded before it runs ([`limits`]), and what many of
//! its fields ask for is asked of the stores once ([`loader`]). Whatever is wrong with a query is an error in a GraphQL answer; only a
//! request that is no GraphQL request at all is a problem.

pub mod limits;
pub mod loader;
pub mod objects;
pub mod query;

use async_graphql::{EmptyMutation, EmptySubscription, Request, Response, ServerError, Variables};
use axum::{
    extract::State,
    http::{HeaderName, header},
    response::Html,
};
use platform::{
    http::{Answer, Body},
    problem::Problem,
};
use serde::Deserialize;
use serde_json::{Map, Value as Json};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use self::{loader::Loader, query::Query};
use crate::app::App;

type Schema = async_graphql::Schema<Query, EmptyMutation, EmptySubscription>;

#[derive(Clone)]
struct Graph {
    app: App,
    schema: Schema,
}

pub fn router(app: App) -> OpenApiRouter {
    let schema = Schema::build(Query, EmptyMutation, EmptySubscription)
        .limit_complexity(app.config.get().graphql_max_complexity)
        .limit_directives(8)
        .data(app.clone())
        .finish();
    OpenApiRouter::new().routes(routes!(ask, page)).with_state(Graph { app, schema })
}

/// The schema in its own language.
#[must_use]
pub fn schema_text() -> String {
    Schema::new(Query, EmptyMutation, EmptySubscription).sdl()
}

/// A GraphQL request.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Question {
    query: String,
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    variables: Option<Map<String, Json>>,
    /// Which of several operations is meant.
    #[serde(default)]
    operation_name: Option<String>,
    /// Accepted and not looked at.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    #[expect(dead_code, reason = "clients send it, and there is nothing in it that this service would use")]
    extensions: Option<Map<String, Json>>,
}

/// A GraphQL answer.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "it only describes the answer for the documentation")]
struct Told {
    #[schema(value_type = Option<Object>)]
    data: Json,
    #[schema(value_type = Option<Vec<Object>>)]
    errors: Json,
}

/// What the page may load: its own script and style, answers of this system, and nothing from elsewhere.
const PAGE_MAY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; base-uri 'none'; \
                        form-action 'none'; frame-ancestors 'none'";

/// Ask for products and categories with GraphQL
#[utoipa::path(
    post, path = "/graphql", tag = "graphql", request_body = Question,
    responses(
        (status = 200, description = "What was asked for, and what was wrong", body = Told),
        (status = "4XX", description = "No GraphQL request", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn ask(State(graph): State<Graph>, Body(question): Body<Question>) -> Result<Answer, Problem> {
    Answer::ok(&graph.answer(question).await)
}

/// A page to write queries on
#[utoipa::path(
    get, path = "/graphql", tag = "graphql",
    responses(
        (status = 200, description = "The page", content_type = "text/html", body = String),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn page() -> ([(HeaderName, &'static str); 1], Html<&'static str>) {
    ([(header::CONTENT_SECURITY_POLICY, PAGE_MAY)], Html(include_str!("graphql/page.html")))
}

impl Graph {
    async fn answer(&self, question: Question) -> Response {
        let document = match limits::read(&question.query, self.app.config.get().graphql_max_depth) {
            Ok(document) => document,
            Err(reason) => return Response::from_errors(vec![ServerError::new(reason, None)]),
        };
        let mut request = Request::new(question.query);
        request.set_parsed_query(document);
        if let Some(name) = question.operation_name {
            request = request.operation_name(name);
        }
        if let Some(variables) = question.variables {
            request = request.variables(Variables::from_json(Json::Object(variables)));
        }
        self.schema.execute(request.data(Loader::new(self.app.clone()))).await
    }
}
