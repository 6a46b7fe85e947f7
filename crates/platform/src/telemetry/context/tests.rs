use super::*;

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn contexts(service: &str) -> Contexts {
    Contexts::new(Chance::seeded(7), service, 0)
}

fn headers(pairs: &[(&'static str, &[u8])]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, HeaderValue::from_bytes(value).unwrap());
    }
    headers
}

#[test]
fn a_request_continues_its_trace_with_a_span_of_its_own() {
    let given = headers(&[(TRACEPARENT, PARENT.as_bytes()), (TRACESTATE, b"a=1"), (TRACESTATE, b"b=2"), ("x-correlation-id", b"ticket-9")]);
    let context = contexts("order").from_headers(&given);
    assert_eq!(context.trace_id().unwrap().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(context.parent_span_id().unwrap().to_string(), "00f067aa0ba902b7");
    assert_ne!(context.span_id(), context.parent_span_id());
    assert!(context.is_sampled());
    assert_eq!((context.tracestate(), context.correlation_id(), context.service()), (Some("a=1,b=2"), Some("ticket-9"), Some("order")));
    let next = contexts("psp").from_headers(&context.headers());
    assert_eq!((next.trace_id(), next.parent_span_id()), (context.trace_id(), context.span_id()));
    assert_eq!((next.tracestate(), next.correlation_id()), (context.tracestate(), context.correlation_id()));
}

#[test]
fn an_event_carries_it_too() {
    let context =
        contexts("order").from_headers(&headers(&[(TRACEPARENT, PARENT.as_bytes()), (TRACESTATE, b"a=1"), ("x-correlation-id", b"c")]));
    let pairs: Vec<(&str, String)> = context.pairs().collect();
    let consumer = contexts("notification").from_pairs(pairs.iter().map(|(name, value)| (*name, value.as_str())));
    assert_eq!((consumer.trace_id(), consumer.parent_span_id()), (context.trace_id(), context.span_id()));
    assert_eq!((consumer.correlation_id(), consumer.tracestate()), (Some("c"), Some("a=1")));
    let alone = contexts("notification").from_pairs([(TRACESTATE, "a=1")]);
    assert_eq!(alone.tracestate(), None);
}

#[test]
fn what_is_not_exactly_right_begins_a_new_trace() {
    let wrong: [&[(&str, &[u8])]; 4] = [
        &[],
        &[(TRACEPARENT, b"00-xyz"), (TRACESTATE, b"a=1")],
        &[(TRACEPARENT, PARENT.as_bytes()), (TRACEPARENT, PARENT.as_bytes()), (TRACESTATE, b"a=1")],
        &[(TRACEPARENT, b"\xff")],
    ];
    for given in wrong {
        let context = contexts("order").from_headers(&headers(given));
        assert_eq!((context.parent_span_id(), context.tracestate()), (None, None));
        assert_ne!(context.trace_id().unwrap().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
    }
}

#[test]
fn a_correlation_id_from_outside_is_checked() {
    let taken = |id: &[u8]| {
        let context = contexts("order").from_headers(&headers(&[("x-correlation-id", id)]));
        let trace = context.trace_id().unwrap().to_string();
        let id = context.correlation_id().unwrap().to_owned();
        (id != trace).then_some(id)
    };
    assert_eq!(taken(b"a").as_deref(), Some("a"));
    assert_eq!(taken(&[b'~'; 128]).map(|id| id.len()), Some(128));
    for wrong in [&b""[..], &[b'a'; 129], b"a b", b"a\tb", "é".as_bytes(), b"\xff\xfe"] {
        assert_eq!(taken(wrong), None, "{wrong:?}");
    }
    let event = contexts("order").from_pairs([(CORRELATION_ATTRIBUTE, "one\n{\"level\":\"forged\"}")]);
    assert_eq!(event.correlation_id(), event.trace_id().map(|id| id.to_string()).as_deref());
}

#[test]
fn the_seed_makes_the_ids() {
    let ids = |seed| Contexts::new(Chance::seeded(seed), "order", 0).fresh();
    assert_eq!(ids(1), ids(1));
    assert_ne!(ids(1).trace_id(), ids(2).trace_id());
    let source = contexts("order");
    let first = source.fresh();
    let child = source.child(&first);
    assert_eq!((child.trace_id(), child.parent_span_id()), (first.trace_id(), first.span_id()));
    assert_eq!(child.correlation_id(), first.correlation_id());
    assert!(source.child(&Context::default()).trace_id().is_some());
}

#[tokio::test(start_paused = true)]
async fn the_task_keeps_its_own() {
    let source = contexts("order");
    let (a, b) = (source.fresh(), source.fresh());
    assert_eq!(Context::current(), Context::default());
    assert!(Context::current().headers().is_empty());
    let seen = |context: &Context| {
        let context = context.clone();
        let clock = crate::Clock::simulated();
        context.scope(async move {
            clock.sleep(std::time::Duration::from_secs(1)).await;
            Context::current()
        })
    };
    assert_eq!(futures::join!(seen(&a), seen(&b)), (a.clone(), b.clone()));
    assert_eq!(b.clone().enter(|| a.clone().enter(Context::current)), a);
    assert_eq!(b.clone().enter(|| Context::look(|context| context.trace_id())), b.trace_id());
    assert_eq!(Context::look(|context| context.trace_id()), None);
}
