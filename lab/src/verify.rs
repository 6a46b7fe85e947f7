//! Every invariant over a system, running or simulated. On a running one the collections are read one after the other while orders go on, so a
//! breach counts only when it stands in several readings; in a simulated world one reading is exact.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value as Json, json};

use crate::{
    facts::{Facts, FactsError},
    invariants::{self, Findings, Grace, Invariant},
    scenario::violations_json,
    target::{ClockKind, Target},
};

/// How often a breach must be seen on a running system, and how far apart.
const READINGS: usize = 3;
const APART: Duration = Duration::from_secs(1);

/// What holds and what does not.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    pub findings: Findings,
    /// How many facts were looked at: orders, reservations, movements, payments.
    pub facts: Vec<(&'static str, usize)>,
}

impl Report {
    #[must_use]
    pub fn holds(&self) -> bool {
        self.findings.breaches.is_empty()
    }

    /// `held`, `broken` or `unchecked`.
    #[must_use]
    pub fn state(&self, invariant: Invariant) -> &'static str {
        if self.findings.of(invariant).next().is_some() {
            "broken"
        } else if self.findings.unchecked.iter().any(|(unchecked, _)| *unchecked == invariant) {
            "unchecked"
        } else {
            "held"
        }
    }

    #[must_use]
    pub fn json(&self) -> Json {
        let of = |invariant: &Invariant| json!({"invariant": invariant, "name": invariant.name(), "state": self.state(*invariant)});
        json!({
            "holds": self.holds(),
            "invariants": Invariant::ALL.iter().map(of).collect::<Vec<_>>(),
            "violations": violations_json(&self.findings.breaches),
            "details": self.findings.breaches,
            "facts": self.facts.iter().map(|(name, count)| ((*name).to_owned(), json!(count))).collect::<serde_json::Map<_, _>>(),
        })
    }
}

/// Checks everything.
pub async fn verify(target: &dyn Target, grace: &Grace) -> Result<Report, FactsError> {
    let facts = Facts::read(target).await?;
    let mut findings = invariants::check(&facts, grace);
    if target.clock() == ClockKind::Wall {
        for _ in 1..READINGS {
            if findings.breaches.is_empty() {
                break;
            }
            target.sleep(APART).await;
            let again: BTreeSet<(Invariant, String)> = invariants::check(&Facts::read(target).await?, grace)
                .breaches
                .into_iter()
                .map(|breach| (breach.invariant, breach.id))
                .collect();
            findings.breaches.retain(|breach| again.contains(&(breach.invariant, breach.id.clone())));
        }
    }
    let facts = vec![
        ("orders", facts.orders.len()),
        ("reservations", facts.reservations.len()),
        ("movements", facts.movements.len()),
        ("payments", facts.payments.len()),
    ];
    Ok(Report { findings, facts })
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use bytes::Bytes;
    use futures::future::BoxFuture;
    use http::{HeaderMap, StatusCode};
    use types::Timestamp;

    use super::*;
    use crate::target::{Reply, Request, TargetError};

    /// A system whose cart has two orders at the first reading and, if it is torn, no longer at the second.
    struct Planted {
        is_torn: bool,
        readings: Mutex<usize>,
    }

    impl Target for Planted {
        fn clock(&self) -> ClockKind {
            ClockKind::Wall
        }
        fn now(&self) -> Timestamp {
            Timestamp::from_seconds(1_767_571_200)
        }
        fn sleep(&self, _: Duration) -> BoxFuture<'_, ()> {
            Box::pin(async {})
        }
        fn call(&self, request: Request) -> BoxFuture<'_, Result<Reply, TargetError>> {
            self.admin(request)
        }
        fn admin(&self, request: Request) -> BoxFuture<'_, Result<Reply, TargetError>> {
            let order = |id: &str| {
                json!({"seq": 1, "at": "2026-01-05T00:00:00Z", "kind": "order", "id": id, "cartId": "cart", "status": "PENDING", "subtotal": 0, "discounts": 0,
                    "tax": 0, "shipping": 0, "total": 0,
                    "paymentId": null, "paymentRefunded": 0, "version": 1, "createdAt": "2026-01-05T00:00:00Z"})
            };
            let step = |id: &str| {
                json!({"seq": 1, "at": "2026-01-05T00:00:00Z", "kind": "order-transition", "id": id, "previous": null, "status": "PENDING",
                    "reason": null, "version": 1})
            };
            let lines = match request.path.as_str() {
                "/lab/audit/orders" => {
                    let mut readings = self.readings.lock().unwrap();
                    *readings += 1;
                    let second = if self.is_torn && *readings > 1 { vec![] } else { vec![order("b")] };
                    [vec![order("a")], second].concat()
                }
                "/lab/audit/carts" => vec![json!({"id": "cart", "status": "CHECKED_OUT", "total": 0, "version": 2})],
                "/lab/audit/order-transitions" => vec![step("a"), step("b")],
                "/lab/audit/promotions" => {
                    let status = StatusCode::NOT_FOUND;
                    return Box::pin(async move { Ok(Reply { status, headers: HeaderMap::new(), body: Bytes::new() }) });
                }
                _ => vec![],
            };
            let body = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
            Box::pin(async move { Ok(Reply { status: StatusCode::OK, headers: HeaderMap::new(), body: Bytes::from(body) }) })
        }
    }

    #[tokio::test]
    async fn on_a_running_system_a_breach_must_stand() {
        let look = async |is_torn| {
            let target = Planted { is_torn, readings: Mutex::new(0) };
            verify(&target, &Grace::default()).await.unwrap()
        };
        let broken = look(false).await;
        assert!(!broken.holds());
        assert_eq!((broken.state(Invariant::I20), broken.state(Invariant::I9)), ("broken", "held"));
        assert_eq!(broken.json()["violations"], json!([{"invariant": "I20", "count": 1, "ids": ["cart"]}]));
        assert_eq!(broken.json()["facts"]["orders"], 2);
        assert!(look(true).await.holds());
    }
}
