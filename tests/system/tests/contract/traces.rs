//! One checkout is one trace: from the caller's span through every call and every event that it leads to, as an OTLP collector sees it. The
//! system is the real one, with files and threads; the collector is a task of this test.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Bytes, routing::post};
use crashcart::host::{Host, Plan};
use http::Method;
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::any_value::Value,
    trace::v1::{Span, span::SpanKind},
};
use platform::{
    Clock, Settings, settings,
    testing::{Got, answer},
    world::gateway,
};
use prost::Message;
use serde_json::{Value as Json, json};
use system_tests::{checkout_body, expect};

/// The service that sent it, and the span.
type Seen = Arc<Mutex<Vec<(String, Span)>>>;

async fn collector() -> (String, Seen) {
    let seen = Seen::default();
    let sink = seen.clone();
    let take = move |body: Bytes| {
        for spans in ExportTraceServiceRequest::decode(body).unwrap().resource_spans {
            let attributes = spans.resource.unwrap().attributes;
            let name = attributes.into_iter().find(|pair| pair.key == "service.name").unwrap().value.unwrap().value.unwrap();
            let Value::StringValue(service) = name else { panic!("{name:?}") };
            let spans = spans.scope_spans.into_iter().flat_map(|scope| scope.spans);
            sink.lock().unwrap().extend(spans.map(|span| (service.clone(), span)));
        }
        async {}
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().route("/v1/traces", post(take));
    platform::Tasks::new("collector", Clock::real()).spawn("collector", async move { axum::serve(listener, router).await.unwrap() });
    (address, seen)
}

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

async fn ask(host: &Host, method: Method, path: &str, body: &Json, headers: &[(&str, &str)]) -> Got {
    let mut all = vec![("content-type", "application/json")];
    all.extend(headers);
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    answer(gateway::router(&host.world), method, path, body, &all).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkout_is_one_trace_over_calls_and_events() {
    let (address, seen) = collector().await;
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings::load(settings::DEFAULTS, None, std::iter::empty()).unwrap();
    let settings = settings.with("traces.otlp_endpoint", address).unwrap().with("platform.durability", "process").unwrap();
    let host = Host::start(settings, &folder.path().join("shop"), Plan::whole(0)).await.unwrap();
    let entry = json!({"unitPrice": {"amount": 1999, "currency": "USD"}});
    expect(ask(&host, Method::PUT, "/pricing/books/standard-usd/entries/LAMP", &entry, &[]).await, 201);
    let receipt = json!({"sku": "LAMP", "warehouse": "us-east", "delta": 10, "reason": "received"});
    expect(ask(&host, Method::POST, "/inventory/adjust", &receipt, &[]).await, 200);
    let cart = expect(ask(&host, Method::POST, "/carts", &json!({"region": "US"}), &[]).await, 201).json();
    let cart = cart["id"].as_str().unwrap().to_owned();
    let item = json!({"sku": "LAMP", "quantity": 2});
    expect(ask(&host, Method::POST, &format!("/carts/{cart}/items"), &item, &[]).await, 200);

    let parent = format!("00-{TRACE}-{CALLER}-01");
    let path = format!("/carts/{cart}/checkout");
    let told = expect(ask(&host, Method::POST, &path, &checkout_body("tok_ok"), &[("traceparent", &parent)]).await, 202).json();
    let order = format!("/orders/{}", told["orderId"].as_str().unwrap());
    let clock = Clock::real();
    let settled = async {
        while ask(&host, Method::GET, &order, &Json::Null, &[]).await.json()["status"] != "FULFILLED_READY" {
            clock.sleep(Duration::from_millis(20)).await;
        }
        // Who listens to the last event of it has taken it once nothing is left to be taken.
        while host.world.bus().lag().iter().any(|lag| lag.events > 0) {
            clock.sleep(Duration::from_millis(20)).await;
        }
    };
    clock.timeout(Duration::from_secs(60), settled).await.unwrap();
    assert!(host.stop().await, "everything came to rest, and what waited to be exported was");

    let seen = seen.lock().unwrap().clone();
    let trace: Vec<&(String, Span)> = seen.iter().filter(|(_, span)| hex(&span.trace_id) == TRACE).collect();
    let by_id: BTreeMap<String, &(String, Span)> = trace.iter().map(|one| (hex(&one.1.span_id), *one)).collect();
    let shown = || trace.iter().map(|(service, span)| format!("{service}: {:?} {}\n", span.kind(), span.name)).collect::<String>();
    assert_eq!(by_id.len(), trace.len(), "no span comes twice\n{}", shown());

    let services: BTreeSet<&str> = trace.iter().map(|(service, _)| service.as_str()).collect();
    assert!(services.is_superset(&BTreeSet::from(["cart", "order", "payment", "inventory", "psp"])), "{services:?}\n{}", shown());
    for (service, span) in &trace {
        let parent = hex(&span.parent_span_id);
        let Some((other, above)) = by_id.get(&parent) else {
            assert_eq!(parent, CALLER, "{service}: {} hangs in the air\n{}", span.name, shown());
            continue;
        };
        match span.kind() {
            SpanKind::Server => assert_eq!(above.kind(), SpanKind::Client, "{service}: {} was called by {other}", span.name),
            SpanKind::Client => assert_eq!(service, other, "{} is a call of {service}", span.name),
            _ => {}
        }
    }
    let named = |kind: SpanKind, name: &str| trace.iter().filter(|(_, span)| span.kind() == kind && span.name == name).count();
    assert!(named(SpanKind::Client, "POST order") >= 1 && named(SpanKind::Client, "POST psp") >= 1, "{}", shown());
    assert!(named(SpanKind::Server, "/carts/{id}/checkout") == 1, "{}", shown());
    // An event's consumer is under the work that told it, in another service.
    let consumed: Vec<(&str, &str, &str)> = trace
        .iter()
        .filter(|(_, span)| span.kind() == SpanKind::Consumer)
        .filter_map(|(service, span)| {
            by_id.get(&hex(&span.parent_span_id)).map(|(by, _)| (by.as_str(), span.name.as_str(), service.as_str()))
        })
        .collect();
    for expected in [("payment", "process payment.authorized.v1", "order"), ("cart", "process cart.checkedout.v1", "order")] {
        assert!(consumed.contains(&expected), "{expected:?} in {consumed:?}\n{}", shown());
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
