use std::{sync::Mutex, time::Duration};

use axum::{Router, body::Bytes, http::StatusCode, routing::post};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, any_value},
    trace::v1::Span as Sent,
};
use prost::Message as _;

use super::{super::context::Contexts, *};
use crate::Chance;

type Seen = Arc<Mutex<Vec<(String, Sent)>>>;

/// A collector of our own: its address, and the spans that came with the service that sent them.
async fn collector(tasks: &Tasks, answer: StatusCode) -> (String, Seen) {
    let seen = Seen::default();
    let sink = seen.clone();
    let take = move |body: Bytes| {
        let request = ExportTraceServiceRequest::decode(body).unwrap();
        for spans in request.resource_spans {
            let service = text(&spans.resource.unwrap().attributes.iter().find(|pair| pair.key == "service.name").unwrap().value);
            let spans = spans.scope_spans.into_iter().flat_map(|scope| scope.spans);
            sink.lock().unwrap().extend(spans.map(|span| (service.clone(), span)));
        }
        async move { answer }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tasks.spawn("collector", async move { axum::serve(listener, Router::new().route("/v1/traces", post(take))).await.unwrap() });
    (address, seen)
}

fn text(value: &Option<AnyValue>) -> String {
    match value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(any_value::Value::StringValue(text)) => text.clone(),
        other => format!("{other:?}"),
    }
}

fn contexts(service: &str) -> Contexts {
    Contexts::new(Chance::seeded(5), service, 0)
}

#[tokio::test]
async fn client_server_and_event_arrive_as_one_trace() {
    let (clock, collector_tasks) = (Clock::real(), Tasks::new("collector", Clock::real()));
    let (address, seen) = collector(&collector_tasks, StatusCode::OK).await;
    let tasks = Tasks::new("process", clock);
    let traces = Traces::start(&address, &tasks, clock).unwrap();
    assert!(traces.is_on());

    let client = contexts("gateway").fresh();
    {
        let mut span = traces.span("POST", SpanKind::Client, &client, &[("email", "ann"), ("note", "of ann@example.com")]);
        let server = contexts("order").from_headers(&client.headers());
        {
            let mut span = traces.span("POST /orders", SpanKind::Server, &server, &[("http.route", "/orders")]);
            span.set("http.response.status_code", 503);
            span.fail("the stock of ann@example.com is gone");
            let pairs: Vec<_> = server.pairs().collect();
            let consumer = contexts("notification").from_pairs(pairs.iter().map(|(name, value)| (*name, value.as_str())));
            drop(traces.span("order.created.v1", SpanKind::Consumer, &consumer, &[]));
        }
        span.set("http.response.status_code", 201);
    }
    traces.flush().await;
    assert_eq!(traces.lost(), 0);

    let seen = seen.lock().unwrap().clone();
    let find = |service: &str| seen.iter().find(|(name, _)| name == service).map(|(_, span)| span.clone()).unwrap();
    let (gateway, order, notification) = (find("gateway"), find("order"), find("notification"));
    assert_eq!(seen.len(), 3);
    assert_eq!(gateway.trace_id, client.trace_id().unwrap().bytes());
    assert!(seen.iter().all(|(_, span)| span.trace_id == gateway.trace_id && span.end_time_unix_nano >= span.start_time_unix_nano));
    assert!(gateway.parent_span_id.is_empty());
    assert_eq!((&order.parent_span_id, &notification.parent_span_id), (&gateway.span_id, &order.span_id));
    assert_eq!((gateway.name.as_str(), order.name.as_str(), notification.name.as_str()), ("POST", "POST /orders", "order.created.v1"));
    assert_eq!((gateway.kind, order.kind, notification.kind), (3, 2, 5));
    let status = order.status.clone().unwrap();
    assert_eq!((status.code, status.message.as_str()), (2, "the stock of [masked] is gone"));
    let attribute = |key: &str| text(&gateway.attributes.iter().find(|pair| pair.key == key).unwrap().value);
    assert_eq!((attribute("email").as_str(), attribute("note").as_str()), (MASK, "of [masked]"));
    assert_eq!(attribute("correlation_id"), client.correlation_id().unwrap());
    assert!(tasks.drain(Duration::from_secs(5)).await);
    collector_tasks.kill();
}

#[tokio::test]
async fn what_waits_is_sent_when_the_process_stops() {
    let (clock, collector_tasks) = (Clock::real(), Tasks::new("collector", Clock::real()));
    let (address, seen) = collector(&collector_tasks, StatusCode::OK).await;
    let tasks = Tasks::new("process", clock);
    let traces = Traces::start(&format!("{address}/v1/traces"), &tasks, clock).unwrap();
    for _ in 0..1_000 {
        drop(traces.span("sweep", SpanKind::Internal, &contexts("order").fresh(), &[]));
    }
    assert!(tasks.drain(Duration::from_secs(20)).await);
    assert_eq!((seen.lock().unwrap().len(), traces.lost()), (1_000, 0));
    drop(traces.span("late", SpanKind::Internal, &contexts("order").fresh(), &[]));
    assert_eq!(traces.lost(), 1);
    traces.flush().await;
    collector_tasks.kill();
}

#[tokio::test]
async fn a_collector_that_refuses_holds_nobody_up_and_is_counted() {
    let (clock, collector_tasks) = (Clock::real(), Tasks::new("collector", Clock::real()));
    let (address, _) = collector(&collector_tasks, StatusCode::BAD_REQUEST).await;
    let tasks = Tasks::new("process", clock);
    let traces = Traces::start(&address, &tasks, clock).unwrap();
    drop(traces.span("x", SpanKind::Internal, &contexts("order").fresh(), &[]));
    traces.flush().await;
    assert_eq!(traces.lost(), 1);
    for _ in 0..QUEUE * 2 {
        drop(traces.span("x", SpanKind::Internal, &contexts("order").fresh(), &[]));
    }
    assert!(traces.lost() > QUEUE as u64, "the queue has a length");
    tasks.kill();
    collector_tasks.kill();
}

#[test]
fn without_an_endpoint_or_a_wish_to_record_a_span_is_nothing() {
    let context = contexts("order").fresh();
    assert!(Traces::off().span("x", SpanKind::Server, &context, &[("a", "b")]).0.is_none());
    assert!(!Traces::default().is_on());
    let traces = Traces::kept(Clock::real());
    assert!(traces.span("x", SpanKind::Server, &context, &[]).0.is_some());
    let unsampled = contexts("order").from_pairs([("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00")]);
    assert!(traces.span("x", SpanKind::Server, &unsampled, &[]).0.is_none());
    assert!(traces.span("x", SpanKind::Server, &Context::default(), &[]).0.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_wrong_address_and_a_simulated_world_are_refused() {
    let tasks = Tasks::new("process", Clock::real());
    for wrong in ["collector:4318", "https://collector", "", "http://"] {
        let error = Traces::start(wrong, &tasks, Clock::real()).unwrap_err();
        assert!(error.to_string().contains("http://127.0.0.1:4318"), "{error}");
    }
    assert!(matches!(Traces::start("http://127.0.0.1:1", &tasks, Clock::simulated()), Err(TracesError::Simulated)));
}
