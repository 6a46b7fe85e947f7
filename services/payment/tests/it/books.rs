//! The ledger: balanced, complete, and never changed.

use platform::db::Dialect;
use serde_json::json;

use crate::support::*;

#[tokio::test(start_paused = true)]
async fn captures_and_refunds_are_posted_to_their_accounts() {
    let stage = stage().await;
    let id = create(&stage, 1, "tok_ok").await;
    for what in ["confirm", "capture"] {
        step(&stage, &id, what).await;
    }
    refund(&stage, &id, Some(999), "r").await;
    let lines: Vec<_> = stage
        .facts("ledger")
        .await
        .into_iter()
        .map(|line| (line["account"].as_str().unwrap().to_owned(), line["debit"].as_i64().unwrap(), line["credit"].as_i64().unwrap()))
        .collect();
    let expected = [("psp_clearing", 1_999, 0), ("customer_deposits", 0, 1_999), ("refunds", 999, 0), ("psp_clearing", 0, 999)];
    assert_eq!(lines, expected.map(|(account, debit, credit)| (account.to_owned(), debit, credit)));
    let facts = stage.facts("ledger").await;
    let truth = stage.facts("psp-truth").await;
    assert_eq!((&facts[0]["pspEventId"], &facts[2]["pspEventId"]), (&truth[1]["id"], &truth[2]["id"]));
    for field in ["seq", "at", "kind", "id", "paymentId", "orderId", "pspEventId", "account", "debit", "credit", "currency"] {
        assert!(!facts[0][field].is_null(), "{field}");
    }
    // The authorization is a memo: a posting without lines.
    let db = stage.world.db("payment").unwrap();
    let postings =
        db.read(async |tx: &mut platform::db::Tx<'_>| tx.fetch_one::<i64>("SELECT count(*) FROM ledger_postings", vec![]).await).await;
    assert_eq!(postings.unwrap(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_ledger_refuses_to_be_changed() {
    let stage = stage().await;
    let id = create(&stage, 1, "tok_ok").await;
    for what in ["confirm", "capture"] {
        step(&stage, &id, what).await;
    }
    let before = stage.facts("ledger").await;
    let db = stage.world.db("payment").unwrap();
    // What each engine takes for an id, so that it is not this that is refused.
    let id = match db.dialect() {
        Dialect::Sqlite => "x'01'",
        Dialect::Postgresql | Dialect::Mariadb => "'01900000-0000-7000-8000-000000000001'",
    };
    for statement in [
        "UPDATE ledger_lines SET debit = debit + 1 WHERE debit > 0",
        "DELETE FROM ledger_lines",
        "UPDATE ledger_postings SET amount = 1",
        "DELETE FROM ledger_postings",
        "INSERT INTO ledger_lines (posting_id, line, account, debit, credit) VALUES ({id}, 0, 'bank', 0, 0)",
        "INSERT INTO ledger_lines (posting_id, line, account, debit, credit) VALUES ({id}, 0, 'bank', -1, 0)",
        "INSERT INTO ledger_postings (id, payment_id, order_id, psp_event_id, kind, currency, amount, at)
         SELECT {id}, payment_id, order_id, psp_event_id, kind, currency, amount, at FROM ledger_postings LIMIT 1",
    ] {
        let statement = statement.replace("{id}", id);
        assert!(db.run_script(&statement).await.is_err(), "{statement}");
    }
    assert_eq!(stage.facts("ledger").await, before);
}

#[tokio::test(start_paused = true)]
async fn the_audit_shows_payments_and_their_steps() {
    let stage = stage().await;
    let id = create(&stage, 1, "tok_ok").await;
    step(&stage, &id, "confirm").await;
    let facts = stage.facts("payments").await;
    let fact = &facts[0];
    assert_eq!(
        (fact["kind"].as_str(), fact["id"].as_str(), fact["orderId"].as_str()),
        (Some("payment"), Some(id.as_str()), Some(order(1).as_str()))
    );
    assert_eq!(
        (&fact["amount"], &fact["captured"], &fact["refunded"], &fact["currency"]),
        (&json!(1_999), &json!(0), &json!(0), &json!("USD"))
    );
    assert_eq!((&fact["status"], &fact["version"]), (&json!("AUTHORIZED"), &json!(3)));
    let steps = stage.facts("payment-transitions").await;
    assert_eq!((&steps[0]["previous"], &steps[2]["previous"]), (&json!(null), &json!("PROCESSING")));
    assert_eq!(steps[2]["pspEventId"], stage.facts("psp-truth").await[0]["id"]);
    assert!(steps[1].get("pspEventId").is_none());
}
