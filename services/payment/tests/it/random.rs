//! Anything in any order: operations, faults, crashes, old callbacks and time, drawn at random. Whatever happens on the way, at the end the
//! provider's truth, the books and the payments agree, and nothing is held or kept of what has ended.

use std::collections::BTreeMap;

use http::Method;
use platform::{
    auth::{Secret, Signature},
    fault::{Fault, Rule, Scope},
    testing::Stage,
};
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use types::Timestamp;

use crate::support::*;

const TOKENS: [&str; 14] = [
    "tok_ok",
    "tok_ok",
    "tok_slow_2.5",
    "tok_slow_14",
    "tok_late_7",
    "tok_late_70",
    "tok_timeout",
    "tok_lost",
    "tok_firm_90",
    "tok_never",
    "tok_duplicate",
    "tok_disorder",
    "tok_decline_lost",
    "tok_decline_insufficient",
];

#[derive(Clone, Debug)]
enum Op {
    Create {
        token: usize,
        capture: bool,
    },
    Confirm(usize),
    Capture(usize),
    Void(usize),
    Refund(usize, Option<i64>),
    /// Two of them at the same time.
    Both(Box<Op>, Box<Op>),
    /// An event of the PSP's truth is told again, or for the first time out of order.
    Retell(usize),
    Fault(&'static str, Rule, u8),
    Mend,
    Crash(bool),
    Pass(u64),
}

fn call() -> impl Strategy<Value = Op> {
    let which = 0..6_usize;
    prop_oneof![
        4 => which.clone().prop_map(Op::Confirm),
        3 => which.clone().prop_map(Op::Capture),
        2 => which.clone().prop_map(Op::Void),
        3 => (which.clone(), prop::option::of(1..2_500_i64)).prop_map(|(which, amount)| Op::Refund(which, amount)),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let rule = prop_oneof![Just(Rule::Fail), Just(Rule::Drop), Just(Rule::Delay), Just(Rule::Duplicate)];
    let point = prop_oneof![Just("call.psp"), Just("call.psp"), Just("call.payment")];
    prop_oneof![
        3 => (0..TOKENS.len(), any::<bool>()).prop_map(|(token, capture)| Op::Create { token, capture }),
        8 => call(),
        3 => (call(), call()).prop_map(|(one, two)| Op::Both(Box::new(one), Box::new(two))),
        2 => (0..40_usize).prop_map(Op::Retell),
        2 => (point, rule, 10..90_u8).prop_map(|(point, rule, percent)| Op::Fault(point, rule, percent)),
        1 => Just(Op::Mend),
        1 => any::<bool>().prop_map(Op::Crash),
        4 => prop_oneof![1..200_u64, 500_000..20_000_000_u64, 20_000_000..120_000_000_u64].prop_map(Op::Pass),
    ]
}

struct Shop {
    stage: Stage,
    ids: Vec<String>,
    tokens: BTreeMap<String, &'static str>,
    calls: u32,
}

impl Shop {
    async fn apply(&mut self, op: &Op) {
        match op {
            Op::Create { token, capture } => {
                let n = u32::try_from(self.ids.len()).unwrap() + 1;
                let mut body = request(n, TOKENS[*token]);
                body["captureAtOnce"] = json!(capture);
                let id = create_as(&self.stage, n, body).await;
                self.tokens.insert(id.clone(), TOKENS[*token]);
                self.ids.push(id);
            }
            Op::Both(one, two) => {
                self.calls += 2;
                let (first, second) = (self.ask(one, self.calls - 1), self.ask(two, self.calls));
                futures::join!(first, second);
            }
            Op::Retell(nth) => self.retell(*nth).await,
            Op::Fault(point, rule, percent) => {
                let fault =
                    Fault { rule: *rule, share: f64::from(*percent) / 100.0, millis: 12_000, scope: Scope::default(), for_seconds: None };
                self.stage.world.faults().set(point, fault).unwrap();
            }
            Op::Mend => drop(self.stage.world.faults().clear(None)),
            Op::Crash(of_payment) => {
                let manifest = if *of_payment { &payment::MANIFEST } else { &psp::MANIFEST };
                self.stage.world.kill(manifest.name, 0);
                self.stage.world.start(manifest, 0).await.unwrap();
            }
            Op::Pass(micros) => self.stage.pass(std::time::Duration::from_micros(*micros)).await,
            call => {
                self.calls += 1;
                self.ask(call, self.calls).await;
            }
        }
    }

    /// One call of a client, under a key of its own. A server's error is said again under the key; what was answered is answered the same
    /// again.
    async fn ask(&self, op: &Op, nth: u32) {
        let (which, what, body) = match op {
            Op::Confirm(which) => (which, "confirm", json!({})),
            Op::Capture(which) => (which, "capture", json!({})),
            Op::Void(which) => (which, "void", json!({})),
            Op::Refund(which, None) => (which, "refund", json!({})),
            Op::Refund(which, Some(amount)) => (which, "refund", json!({"amount": {"amount": amount, "currency": "USD"}})),
            _ => return,
        };
        let Some(id) = self.ids.get(which % self.ids.len().max(1)) else { return };
        let (path, key) = (format!("/payments/{id}/{what}"), format!("call-{nth}"));
        let first = self.stage.post_with_key(&path, &body, &key).await;
        assert!(first.status.as_u16() != 500, "{}", first.json());
        let again = self.stage.post_with_key(&path, &body, &key).await;
        if first.status.is_success() {
            assert_eq!((first.status, &first.body, first.header("etag")), (again.status, &again.body, again.header("etag")));
        }
    }

    async fn retell(&self, nth: usize) {
        let mut events: Vec<Json> = Vec::new();
        for id in &self.ids {
            let known = self.stage.get(&format!("/psp/authorizations?merchantReference={id}")).await.json();
            events.extend(known["events"].as_array().cloned().unwrap_or_default());
        }
        let Some(event) = events.get(nth % events.len().max(1)) else { return };
        let bytes = serde_json::to_vec(event).unwrap();
        let signature = Signature::sign(&Secret::new(SECRET).unwrap(), self.stage.world.clock().now(), &bytes);
        let headers = [("content-type", "application/json"), (psp_api::SIGNATURE_HEADER, signature.as_str())];
        let got = self.stage.send_bytes(Method::POST, "/payments/psp/callback", bytes, &headers).await;
        assert!(got.status.is_success() || got.status.as_u16() == 503 || got.status.as_u16() == 409, "{} {event}", got.json());
    }

    /// After everything was mended and has had its time.
    async fn judge(&self) {
        self.stage.world.faults().clear(None);
        self.stage.pass(seconds(1_500)).await;
        check_books(&self.stage).await;
        let truth = self.stage.facts("psp-truth").await;
        for fact in self.stage.facts("payments").await {
            let (id, status) = (fact["id"].as_str().unwrap(), fact["status"].as_str().unwrap());
            let told: Vec<&str> = truth.iter().filter(|fact| fact["paymentId"] == id).map(|fact| fact["kind"].as_str().unwrap()).collect();
            let expected: &[Option<&str>] = match status {
                "REQUIRES_CONFIRMATION" => &[None],
                "PROCESSING" | "UNKNOWN" if self.tokens[id] == "tok_never" => &[None],
                "AUTHORIZED" => &[Some("authorization.succeeded")],
                "CAPTURED" => &[Some("capture.succeeded")],
                "PARTIALLY_REFUNDED" | "REFUNDED" => &[Some("refund.succeeded")],
                // Closed while the provider could not void it: what came of it was given back.
                "FAILED" if self.tokens[id] == "tok_firm_90" => &[Some("authorization.voided"), Some("refund.succeeded")],
                "FAILED" => &[Some("authorization.declined")],
                "VOIDED" => &[None, Some("authorization.voided")],
                other => panic!("{id} ({}) is still {other}; the PSP told {told:?}", self.tokens[id]),
            };
            assert!(expected.contains(&told.last().copied()), "{id} is {status}, the PSP told {told:?}");
            let shown = payment(&self.stage, id).await;
            let pending = shown["refunds"].as_array().unwrap().iter().any(|refund| refund["status"] == "PENDING");
            assert!(!pending, "{shown}");
        }
        let open: i64 = {
            let db = self.stage.world.db("payment").unwrap();
            let query =
                "SELECT count(*) FROM payments WHERE inquire_at IS NOT NULL AND status NOT IN ('PROCESSING', 'UNKNOWN') AND updated_at < ?";
            let look = async |tx: &mut platform::db::Tx<'_>| -> Result<i64, platform::db::DbError> {
                let latest: Option<Timestamp> = tx.fetch_one("SELECT max(updated_at) FROM payments", vec![]).await?;
                let long_ago = latest.map(|latest| Timestamp::from_micros(latest.micros() - 4_000_000_000));
                tx.fetch_one(query, platform::values![long_ago]).await
            };
            db.read(look).await.unwrap()
        };
        assert_eq!(open, 0);
    }
}

fn run(seed: u64, ops: &[Op]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut shop = Shop { stage: seeded(seed).await, ids: Vec::new(), tokens: BTreeMap::new(), calls: 0 };
        for n in 0..3 {
            shop.apply(&Op::Create { token: n * 3, capture: n == 1 }).await;
        }
        for op in ops {
            shop.apply(op).await;
        }
        shop.judge().await;
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn truth_and_books_agree_whatever_happens(seed in any::<u64>(), ops in prop::collection::vec(op(), 5..40)) {
        run(seed, &ops);
    }
}
