//! The one layer around every service: context in and out, a limit on time and size, the request log, metrics, and a panic that stays
//! the request's own. It is one middleware and not seven, because each costs every request.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{DefaultBodyLimit, MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures::FutureExt;
use http::{HeaderValue, header};

use crate::{
    auth::{access::Guard, caller::Admitted},
    clock::Clock,
    db::after::{READ_AFTER, Visit},
    problem::{Problem, kinds},
    telemetry::{
        context::{CORRELATION_HEADER, Contexts},
        metrics::HttpMetrics,
        traces::{SpanKind, Traces},
    },
};

/// What the layer needs to know.
#[derive(Debug)]
pub struct Frame {
    pub service: &'static str,
    pub clock: Clock,
    pub contexts: Contexts,
    pub metrics: HttpMetrics,
    pub traces: Traces,
    pub timeout: Duration,
    pub max_body_bytes: usize,
    /// Set where requests need a token.
    pub guard: Option<Guard>,
    /// Whether what is shown may come from a replica.
    pub has_replica: bool,
}

/// Puts the layer around a service's router.
pub fn frame(router: Router, frame: Frame) -> Router {
    let max_body_bytes = frame.max_body_bytes;
    router
        .fallback(|| async { Problem::new(&kinds::NOT_FOUND).detail("No such path; `/openapi.json` lists those there are.") })
        .method_not_allowed_fallback(|| async { Problem::new(&kinds::METHOD_NOT_ALLOWED) })
        .layer(DefaultBodyLimit::max(max_body_bytes))
        .layer(axum::middleware::from_fn_with_state(Arc::new(frame), around))
}

async fn around(State(frame): State<Arc<Frame>>, mut request: Request, next: Next) -> Response {
    let started = frame.clock.now();
    let context = frame.contexts.from_headers(request.headers());
    let method = request.method().clone();
    let visit = frame.has_replica.then(|| Visit::of(frame.service, &method, request.headers()));
    let route = request.extensions().get::<MatchedPath>().cloned();
    let path = request.uri().path().to_owned();
    let pattern = route.as_ref().map_or("unknown", MatchedPath::as_str);
    let in_flight = frame.metrics.begin(&method, pattern);
    let mut span =
        frame.traces.span(pattern, SpanKind::Server, &context, &[("http.request.method", method.as_str()), ("http.route", pattern)]);
    let admitted = frame.guard.as_ref().map(|guard| guard.admit(&method, pattern, request.headers()));
    let work = async {
        match admitted {
            Some(Err(problem)) => return problem.into_response(),
            Some(Ok(claims)) => drop(request.extensions_mut().insert(Admitted::of(claims.as_ref()))),
            None => {}
        }
        next.run(request).await
    };
    let work = AssertUnwindSafe(work).catch_unwind();
    let limited = frame.clock.timeout(frame.timeout, work);
    let outcome = context.clone().scope(Visit::scope(visit.clone(), limited)).await;
    let mut response = match outcome {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => {
            context.clone().enter(|| tracing::error!(service = frame.service, %method, path, "a handler panicked"));
            Problem::new(&kinds::INTERNAL).into_response()
        }
        Err(_) => Problem::new(&kinds::TIMEOUT).detail("It may have happened all the same; ask before you try again.").into_response(),
    };
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        name_instance(&mut response, problem, &path);
    }
    if let Some(value) = context.correlation_id().and_then(|id| HeaderValue::from_str(id).ok()) {
        response.headers_mut().insert(CORRELATION_HEADER, value);
    }
    if let Some(token) = visit.and_then(|visit| visit.token()) {
        response.headers_mut().insert(READ_AFTER, token);
    }
    let took = frame.clock.now().since(started);
    let status = response.status();
    in_flight.end(status, took);
    span.set("http.response.status_code", i64::from(status.as_u16()));
    if status.is_server_error() {
        span.fail("the answer was a server error");
    }
    drop(span);
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    context.enter(|| {
        if status.is_server_error() {
            tracing::warn!(service = frame.service, %method, path, route = pattern, status = status.as_u16(), micros, "request");
        } else {
            tracing::debug!(service = frame.service, %method, path, route = pattern, status = status.as_u16(), micros, "request");
        }
    });
    response
}

/// The problem's `instance` is the path, which only the layer knows for all of them.
fn name_instance(response: &mut Response, problem: Problem, path: &str) {
    if problem.instance.is_none()
        && let Ok(body) = serde_json::to_vec(&Problem { instance: Some(path.to_owned()), ..problem })
    {
        response.headers_mut().remove(header::CONTENT_LENGTH);
        *response.body_mut() = Body::from(body);
    }
}
