//! Whatever is done in whatever order, the service does what a few lines of model do, its books balance, nothing is sold twice and each
//! reservation ends once. The model shares no code with the service.

use std::{collections::BTreeMap, time::Duration};

use inventory_api::{Reservation, ReservationStatus};
use proptest::prelude::*;
use serde_json::json;
use types::Timestamp;

use crate::{EU, Inventory, US, fenced, order};

#[derive(Clone, Debug)]
enum Step {
    Reserve { order: u128, lamps: i64, desks: i64, seconds: u32 },
    Claim { order: u128, stale: bool },
    Extend { order: u128, seconds: u32 },
    Release { order: u128 },
    Adjust { desk: bool, eu: bool, delta: i64, allow_shortfall: bool },
    Wait { seconds: u64 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let order = 0..6_u128;
    let seconds = prop_oneof![Just(1_u32), Just(5), Just(20)];
    let step = prop_oneof![
        5 => (order.clone(), 0..4_i64, 0..3_i64, seconds.clone()).prop_map(|(order, lamps, desks, seconds)| Step::Reserve { order, lamps: lamps.max(1 - desks), desks, seconds }),
        3 => (order.clone(), prop::bool::weighted(0.1)).prop_map(|(order, stale)| Step::Claim { order, stale }),
        2 => (order.clone(), seconds).prop_map(|(order, seconds)| Step::Extend { order, seconds }),
        3 => order.prop_map(|order| Step::Release { order }),
        2 => (any::<bool>(), any::<bool>(), -4..6_i64, prop::bool::weighted(0.3)).prop_map(|(desk, eu, delta, allow_shortfall)| Step::Adjust { desk, eu, delta, allow_shortfall }),
        3 => prop_oneof![Just(1_u64), Just(4), Just(25)].prop_map(|seconds| Step::Wait { seconds }),
    ];
    prop::collection::vec(step, 1..50)
}

/// What the model knows of an order's newest reservation.
#[derive(Clone, Debug)]
struct Known {
    view: Reservation,
    state: ReservationStatus,
    until: Timestamp,
}

#[derive(Default)]
struct Model {
    on_hand: BTreeMap<(String, String), i64>,
    known: BTreeMap<u128, Known>,
    ended: u64,
}

impl Model {
    /// What is held or claimed of a SKU in a warehouse.
    fn taken(&self, sku: &str, warehouse: &str) -> i64 {
        let live = self.known.values().filter(|known| matches!(known.state, ReservationStatus::Held | ReservationStatus::Claimed));
        live.flat_map(|known| &known.view.items)
            .filter(|item| item.sku.as_str() == sku && item.warehouse.as_str() == warehouse)
            .map(|item| item.quantity.as_i64())
            .sum()
    }

    fn free(&self, sku: &str) -> i64 {
        let places = self.on_hand.iter().filter(|((known, _), _)| known == sku);
        places.map(|((_, warehouse), on_hand)| (on_hand - self.taken(sku, warehouse)).max(0)).sum()
    }

    fn let_pass(&mut self, now: Timestamp) {
        for known in self.known.values_mut().filter(|known| known.state == ReservationStatus::Held && known.until <= now) {
            known.state = ReservationStatus::Expired;
            self.ended += 1;
        }
    }
}

async fn play(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let inventory = Inventory::with(&[("LAMP", US, 6), ("DESK", US, 2)]).await;
    let clock = inventory.world.clock();
    let mut model = Model::default();
    model.on_hand.extend([(("LAMP".to_owned(), US.to_owned()), 6), (("DESK".to_owned(), US.to_owned()), 2)]);
    for step in steps {
        let now = clock.now();
        model.let_pass(now);
        match step.clone() {
            Step::Wait { seconds } => inventory.pass(Duration::from_secs(seconds)).await,
            Step::Reserve { order: number, lamps, desks, seconds } => {
                let wants = [("LAMP", lamps), ("DESK", desks)];
                let items: Vec<_> =
                    wants.iter().filter(|(_, units)| *units > 0).map(|(sku, units)| json!({"sku": sku, "quantity": units})).collect();
                let body = json!({"orderId": order(number), "items": items, "ttlSeconds": seconds});
                let got = inventory.post("/inventory/reserve", &body).await;
                let standing =
                    model.known.get(&number).filter(|known| matches!(known.state, ReservationStatus::Held | ReservationStatus::Claimed));
                if let Some(known) = standing {
                    let has = |sku: &str| -> i64 {
                        known.view.items.iter().filter(|item| item.sku.as_str() == sku).map(|item| item.quantity.as_i64()).sum()
                    };
                    let same = wants.iter().all(|(sku, units)| has(sku) == *units);
                    prop_assert_eq!(got.status.as_u16(), if same { 201 } else { 409 });
                    if same {
                        prop_assert_eq!(got.view::<Reservation>().reservation_id, known.view.reservation_id);
                    }
                } else if wants.iter().any(|(sku, units)| *units > model.free(sku)) {
                    prop_assert_eq!(got.slug(), "insufficient-stock");
                } else {
                    prop_assert_eq!(got.status.as_u16(), 201, "{}", got.json());
                    let view: Reservation = got.view();
                    prop_assert!(model.known.values().all(|known| known.view.fencing_token < view.fencing_token));
                    let until = now.plus(Duration::from_secs(seconds.into()));
                    prop_assert_eq!(view.expires_at, until);
                    model.known.insert(number, Known { view, state: ReservationStatus::Held, until });
                }
            }
            Step::Claim { order: number, stale } => {
                let Some(known) = model.known.get_mut(&number) else { continue };
                let token = known.view.fencing_token - i64::from(stale);
                let got =
                    inventory.post("/inventory/claim", &json!({"reservationId": known.view.reservation_id, "fencingToken": token})).await;
                let expected = match known.state {
                    _ if stale => "stale-token",
                    ReservationStatus::Held | ReservationStatus::Claimed => "",
                    ReservationStatus::Expired => "hold-expired",
                    _ => "reservation-ended",
                };
                prop_assert_eq!(got.slug(), expected);
                if expected.is_empty() && known.state == ReservationStatus::Held {
                    known.state = ReservationStatus::Claimed;
                    model.ended += 1;
                }
            }
            Step::Extend { order: number, seconds } => {
                let Some(known) = model.known.get_mut(&number) else { continue };
                let mut body = fenced(&known.view);
                body["ttlSeconds"] = json!(seconds);
                let got = inventory.post("/inventory/extend", &body).await;
                let expected = match known.state {
                    ReservationStatus::Held => "",
                    ReservationStatus::Expired => "hold-expired",
                    _ => "reservation-ended",
                };
                prop_assert_eq!(got.slug(), expected);
                if expected.is_empty() {
                    known.until = known.until.max(now.plus(Duration::from_secs(seconds.into())));
                    prop_assert_eq!(got.view::<Reservation>().expires_at, known.until);
                }
            }
            Step::Release { order: number } => {
                let Some(known) = model.known.get_mut(&number) else { continue };
                let got = inventory.release(&known.view).await;
                let (expected, state) = match known.state {
                    ReservationStatus::Held => ("", ReservationStatus::Released),
                    ReservationStatus::Claimed => ("", ReservationStatus::ReturnedToStock),
                    ReservationStatus::Expired => ("hold-expired", known.state),
                    state => ("", state),
                };
                prop_assert_eq!(got.slug(), expected);
                model.ended += u64::from(known.state == ReservationStatus::Held);
                known.state = state;
            }
            Step::Adjust { desk, eu, delta, allow_shortfall } => {
                let (sku, warehouse) = (if desk { "DESK" } else { "LAMP" }, if eu { EU } else { US });
                let body =
                    json!({"sku": sku, "warehouse": warehouse, "delta": delta, "reason": "count", "allowShortfall": allow_shortfall});
                let got = inventory.post("/inventory/adjust", &body).await;
                let key = (sku.to_owned(), warehouse.to_owned());
                let on_hand = model.on_hand.get(&key).copied().unwrap_or(0);
                let expected = match delta {
                    0 => "invalid",
                    _ if delta < 0 && on_hand + delta < 0 => "stock-below-zero",
                    _ if delta < 0 && on_hand + delta < model.taken(sku, warehouse) && !allow_shortfall => "stock-committed",
                    _ => "",
                };
                prop_assert_eq!(got.slug(), expected);
                if expected.is_empty() {
                    model.on_hand.insert(key, on_hand + delta);
                }
            }
        }
        model.let_pass(clock.now());
        for sku in ["LAMP", "DESK"] {
            let stock: inventory_api::Stock = inventory.get(&format!("/inventory/{sku}")).await.view();
            for at in &stock.warehouses {
                let on_hand = model.on_hand[&(sku.to_owned(), at.warehouse.to_string())];
                prop_assert_eq!(
                    (at.on_hand, at.held + at.claimed),
                    (on_hand, model.taken(sku, at.warehouse.as_str())),
                    "{} after {:?}",
                    sku,
                    step
                );
            }
        }
    }
    for known in model.known.values() {
        prop_assert_eq!(inventory.reservation(&known.view).await.status, known.state);
    }
    // Long enough for every hold that is left.
    inventory.pass(Duration::from_secs(60)).await;
    model.let_pass(clock.now());
    inventory.check_books().await;
    let ends = inventory.facts("reservations").await;
    prop_assert!(ends.iter().all(|fact| fact["status"] != "HELD"));
    prop_assert_eq!(ends.len() as u64, model.ended, "each hold has ended once");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_service_does_what_the_model_does(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(play(steps))?;
    }
}
