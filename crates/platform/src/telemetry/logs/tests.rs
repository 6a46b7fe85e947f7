use std::sync::{Arc, Mutex};

use serde_json::json;
use tracing::Dispatch;

use super::{super::context::Contexts, *};
use crate::Chance;

/// What is logged while `work` runs.
fn logged(format: Format, level: &str, work: impl FnOnce()) -> String {
    let out = Arc::new(Mutex::new(String::new()));
    let sink = out.clone();
    let settings = LogSettings { level: level.to_owned(), format };
    // The epoch of a simulated clock, so that the time can be compared.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let _entered = runtime.enter();
    let lines = Lines::new(format, Clock::simulated(), move |line: &str| sink.lock().unwrap().push_str(line));
    let subscriber = tracing_subscriber::registry().with(settings.filter().unwrap()).with(lines);
    tracing::dispatcher::with_default(&Dispatch::new(subscriber), work);
    out.lock().unwrap().clone()
}

fn lines(work: impl FnOnce()) -> Vec<serde_json::Value> {
    logged(Format::Json, "trace", work).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn context() -> Context {
    Contexts::new(Chance::seeded(3), "order", 0)
        .from_pairs([("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"), ("correlation-id", "ticket-9")])
}

#[test]
fn a_line_reads_alone() {
    let seen =
        lines(|| context().enter(|| tracing::info!(order_id = "o-1", amount_minor = 1250, paid = true, share = 0.5, "order {} paid", 7)));
    assert_eq!(
        seen,
        [json!({
            "at": "2026-01-05T00:00:00.000000Z", "level": "INFO", "service": "order", "message": "order 7 paid", "correlation_id": "ticket-9",
            "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "order_id": "o-1", "amount_minor": 1250, "paid": true, "share": 0.5,
            "target": "platform::telemetry::logs::tests",
        })]
    );
}

#[test]
fn outside_of_work_the_service_is_named_by_the_field_or_the_crate() {
    let seen = lines(|| {
        tracing::warn!(service = "psp", at = 1, level = 2, "x");
        tracing::warn!(target: "inventory::sweeper", "y");
    });
    assert_eq!(
        (&seen[0]["service"], &seen[0]["at_"], &seen[0]["level_"], &seen[0]["level"]),
        (&json!("psp"), &json!(1), &json!(2), &json!("WARN"))
    );
    assert_eq!((&seen[1]["service"], seen[1].get("correlation_id")), (&json!("inventory"), None));
}

#[test]
fn fields_of_spans_are_in_the_line_and_the_nearest_wins() {
    let seen = lines(|| {
        let outer = tracing::info_span!("outer", order_id = "far", agent_id = "a", ticket_id = tracing::field::Empty);
        outer.record("ticket_id", "t");
        let _outer = outer.enter();
        let _inner = tracing::info_span!("inner", order_id = "near", step = 1).entered();
        tracing::info!(step = 2, "x");
    });
    let line = &seen[0];
    assert_eq!(
        (&line["order_id"], &line["agent_id"], &line["ticket_id"], &line["step"]),
        (&json!("near"), &json!("a"), &json!("t"), &json!(2))
    );
}

#[test]
fn an_error_is_told_with_its_causes() {
    #[derive(Debug, thiserror::Error)]
    #[error("the order is not stored")]
    struct Outer(#[source] std::io::Error);
    let error = Outer(std::io::Error::other("disk full"));
    let seen = lines(|| tracing::error!(error = &error as &dyn std::error::Error, "x"));
    assert_eq!(seen[0]["error"], json!("the order is not stored: disk full"));
}

#[test]
fn nothing_from_outside_begins_a_line() {
    for format in [Format::Json, Format::Text] {
        let out = logged(format, "info", || {
            let forged = "a\nb\r\n{\"level\":\"ERROR\"}\u{1b}[2J\u{2028}\u{85}";
            tracing::info!(order_id = forged, other = ?forged, third = %forged, "{forged}");
        });
        assert_eq!(out.lines().count(), 1, "{out}");
        assert!(!out.trim_end().contains(['\n', '\r', '\u{1b}']), "{out}");
        assert!(format == Format::Json || !out.contains(['\u{2028}', '\u{85}']), "{out}");
    }
}

#[test]
fn text_is_for_people() {
    let out = logged(Format::Text, "info", || context().enter(|| tracing::info!(order_id = "o-1", reason = "too late", "refused")));
    assert_eq!(
        out,
        "2026-01-05T00:00:00.000000Z  INFO order: refused order_id=o-1 reason=\"too late\" correlation_id=ticket-9 \
         trace_id=4bf92f3577b34da6a3ce929d0e0e4736\n"
    );
}

#[test]
fn nothing_personal_is_ever_in_the_log() {
    #[derive(Debug)]
    #[expect(dead_code, reason = "read by Debug")]
    struct Customer {
        full_name: &'static str,
        address: Option<&'static str>,
        id: u32,
    }
    let work = || {
        let markers = "ann.marker@shop.example +49 151 55MARKER 0151 5550123";
        let customer = Customer { full_name: "MARKER Lee", address: Some("MARKER Street 1"), id: 7 };
        let span = tracing::info_span!("span", email = "MARKER", phone = 491_515_550_123_u64, comment = "of ann.marker@shop.example");
        let _entered = span.enter();
        tracing::info!(
            full_name = "MARKER",
            customerEmail = "MARKER",
            shipping.address = "MARKER",
            token = "MARKER",
            authorization = "MARKER",
            card = 4_111_111_111_111_111_u64,
            number = 4_111_111_111_111_111_u64,
            note = "call 0151 5550123, pay 4111 1111 1111 1111, tok_MARKER",
            ?customer,
            body = r#"{"full_name":"MARKER","phone":"0151"}"#,
            url = "http://ann:MARKER@host/?token=MARKER",
            error = &std::io::Error::other("Bearer MARKER-MARKER-1 of ann.marker@shop.example") as &dyn std::error::Error,
            "{}",
            markers.replace("MARKER", "50123"),
        );
        Contexts::new(Chance::seeded(1), "order", 0)
            .from_pairs([("correlation-id", "ann.marker@shop.example")])
            .enter(|| tracing::info!(order_id = 7, "x"));
    };
    for format in [Format::Json, Format::Text] {
        let out = logged(format, "trace", work);
        for marker in ["MARKER", "marker", "50123", "5550123", "550123", "4111", "1111"] {
            assert!(!out.contains(marker), "{marker} in {out}");
        }
        assert!(out.contains("id: 7") && out.contains("order_id"), "{out}");
    }
}

#[test]
fn the_level_is_kept_and_a_wrong_one_refused() {
    let work = || {
        tracing::info!(target: "order", "one");
        tracing::debug!(target: "order", "two");
        tracing::debug!(target: "psp", "three");
    };
    let count = |level| logged(Format::Json, level, work).lines().count();
    assert_eq!([count("info"), count("info,order=debug"), count("trace"), count("off")], [1, 2, 3, 0]);
    let wrong = LogSettings { level: "order=loud".to_owned(), format: Format::Auto };
    assert!(wrong.validate().unwrap_err().starts_with("`level` is `order=loud`"));
}

#[test]
fn a_simulated_world_is_quiet() {
    let out = logged(Format::Json, "info", || {
        quiet(|| tracing::error!("inside"));
        tracing::info!("outside");
    });
    assert!(out.contains("outside") && !out.contains("inside"), "{out}");
}

#[test]
fn a_process_has_one_log() {
    let settings = LogSettings { level: "off".to_owned(), format: Format::Json };
    init(&settings, Clock::real()).unwrap();
    assert!(matches!(init(&settings, Clock::real()), Err(LogsError::AlreadySet)));
}

#[test]
#[ignore = "a measurement, not a check: cargo test --release -p platform measure -- --ignored --nocapture"]
#[expect(clippy::disallowed_methods, reason = "it measures the machine")]
fn measure_a_line() {
    let lines = Lines::new(Format::Json, Clock::real(), |line: &str| {
        std::hint::black_box(line);
    });
    tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), || {
        context().enter(|| {
            let start = std::time::Instant::now();
            for _ in 0..200_000 {
                tracing::info!(order_id = "0194f2c8-1234-7abc-8123-0123456789ab", amount_minor = 1250, "the order was accepted");
            }
            println!("{:.0} ns per line", start.elapsed().as_secs_f64() * 1e9 / 200_000.0);
        });
    });
}
