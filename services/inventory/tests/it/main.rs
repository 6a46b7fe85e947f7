//! The promises of inventory-service, kept in a simulated world and looked at through its doors.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what a test cannot go on without is a failed test")]

mod concurrency;
mod events;
mod holds;
mod listening;
mod lost_answers;
mod machine;
mod reading;
mod reserve;
mod rungs;
mod stock;

use std::{collections::BTreeMap, time::Duration};

use inventory::MANIFEST;
use inventory_api::{Reservation, Stock};
use platform::{
    bus::Outgoing,
    event::Event,
    settings::Settings,
    testing::{Got, Stage},
};
use serde_json::{Value as Json, json};
use types::{OrderId, id::Uuid};

pub const US: &str = "us-east";
pub const EU: &str = "eu-central";

/// inventory-service with some stock, and what can be asked of it.
pub struct Inventory {
    pub stage: Stage,
}

impl std::ops::Deref for Inventory {
    type Target = Stage;
    fn deref(&self) -> &Stage {
        &self.stage
    }
}

impl Inventory {
    /// With this stock: SKU, warehouse, units.
    pub async fn with(stock: &[(&str, &str, i64)]) -> Self {
        Self::of(1, |settings| settings, stock).await
    }

    pub async fn of(seed: u64, change: impl FnOnce(Settings) -> Settings, stock: &[(&str, &str, i64)]) -> Self {
        let this = Self { stage: Stage::of(&[&MANIFEST], seed, change).await };
        for (sku, warehouse, units) in stock {
            assert_eq!(this.adjust(sku, warehouse, *units).await.status, 200);
        }
        this
    }

    pub async fn adjust(&self, sku: &str, warehouse: &str, delta: i64) -> Got {
        self.post("/inventory/adjust", &json!({"sku": sku, "warehouse": warehouse, "delta": delta, "reason": "count"})).await
    }

    /// Holds so many of one SKU for an order; with the default time to live.
    pub async fn ask(&self, order: OrderId, sku: &str, quantity: i64) -> Got {
        self.post("/inventory/reserve", &json!({"orderId": order, "items": [{"sku": sku, "quantity": quantity}]})).await
    }

    pub async fn hold(&self, order: OrderId, sku: &str, quantity: i64) -> Reservation {
        let got = self.ask(order, sku, quantity).await;
        assert_eq!(got.status, 201, "{}", got.json());
        got.view()
    }

    pub async fn claim(&self, reservation: &Reservation) -> Got {
        self.post("/inventory/claim", &fenced(reservation)).await
    }

    pub async fn release(&self, reservation: &Reservation) -> Got {
        self.post("/inventory/release", &fenced(reservation)).await
    }

    pub async fn extend(&self, reservation: &Reservation, seconds: u32) -> Got {
        let mut body = fenced(reservation);
        body["ttlSeconds"] = json!(seconds);
        self.post("/inventory/extend", &body).await
    }

    pub async fn reservation(&self, reservation: &Reservation) -> Reservation {
        self.get(&format!("/inventory/reservations/{}", reservation.reservation_id)).await.view()
    }

    /// on hand, held, claimed, available of a SKU, over all warehouses.
    pub async fn counters(&self, sku: &str) -> (i64, i64, i64, i64) {
        let stock: Stock = self.get(&format!("/inventory/{sku}")).await.view();
        stock.warehouses.iter().fold((0, 0, 0, 0), |(on_hand, held, claimed, available), at| {
            (on_hand + at.on_hand, held + at.held, claimed + at.claimed, available + at.available)
        })
    }

    /// Puts an event on the bus as its service would, and lets it arrive. The same id is the same event.
    pub async fn tell<E: Event>(&self, event: &E, id: u128) {
        self.tell_all([(event, id)]).await;
    }

    /// The same of several, which arrive together.
    pub async fn tell_all<'e, E: Event>(&self, events: impl IntoIterator<Item = (&'e E, u128)>) {
        let codec = platform::schema::Codec::<E>::register(self.world.registry(), &format!("{}-value", E::TOPIC)).unwrap();
        let outgoing = |(event, id): (&E, u128)| {
            let headers = vec![("ce_id".to_owned(), Uuid::from_u128(id).to_string())];
            Outgoing { topic: E::TOPIC.into(), key: event.key(), value: codec.encode(event).unwrap(), headers }
        };
        self.world.bus().publish(events.into_iter().map(outgoing).collect()).await.unwrap();
        self.pass(Duration::from_secs(1)).await;
    }

    /// That each counter is the fold of the journal: what the lab checks as I1, and I2 with it (each reservation ends once at most).
    pub async fn check_books(&self) {
        let now = self.world.clock().now().to_string();
        let movements = self.facts("movements").await;
        let mut folded: BTreeMap<String, [i64; 4]> = BTreeMap::new();
        // Of each hold that has not ended: where, how many, until when.
        let mut holds: BTreeMap<(String, String), (i64, String)> = BTreeMap::new();
        let mut ends: BTreeMap<(String, String), u32> = BTreeMap::new();
        for movement in &movements {
            let text = |name: &str| movement[name].as_str().unwrap_or_default().to_owned();
            let (place, units) = (format!("{}@{}", text("sku"), text("warehouse")), movement["quantity"].as_i64().unwrap());
            let hold = (text("reservationId"), place.clone());
            let [on_hand, _, claimed, shipped] = folded.entry(place).or_default();
            match movement["kind"].as_str().unwrap() {
                "receipt" | "adjust" => *on_hand += units,
                "hold" => drop(holds.insert(hold, (units, text("expiresAt")))),
                "extend" => holds.get_mut(&hold).unwrap().1 = text("expiresAt"),
                "claim" => {
                    *claimed += units;
                    holds.remove(&hold);
                    *ends.entry(hold).or_default() += 1;
                }
                "release" | "expire" => {
                    holds.remove(&hold).expect("what ends was held");
                    *ends.entry(hold).or_default() += 1;
                }
                "return" => *claimed -= units,
                "ship" => {
                    *claimed -= units;
                    *on_hand -= units;
                    *shipped += units;
                }
                other => panic!("{other} is no movement"),
            }
        }
        for ((_, place), (units, until)) in holds {
            if until > now {
                folded.get_mut(&place).unwrap()[1] += units;
            }
        }
        let kept: BTreeMap<String, [i64; 4]> = self
            .facts("stock")
            .await
            .iter()
            .map(|fact| {
                let counter = |name: &str| fact[name].as_i64().unwrap();
                (fact["id"].as_str().unwrap().to_owned(), [counter("onHand"), counter("held"), counter("claimed"), counter("shipped")])
            })
            .collect();
        assert_eq!(kept, folded, "the counters are not the fold of the journal");
        assert!(ends.values().all(|times| *times == 1), "a hold ended twice: {ends:?}");
    }

    /// Everything that could have changed, for "nothing has happened". Whether an event is noted as told is the relay's matter, and comes later.
    pub async fn everything(&self) -> (Vec<Json>, Vec<Json>, Vec<Json>, Vec<Json>) {
        let mut outbox = self.facts("outbox").await;
        outbox.iter_mut().filter_map(Json::as_object_mut).for_each(|event| drop(event.remove("status")));
        (self.facts("stock").await, self.facts("movements").await, self.facts("reservations").await, outbox)
    }
}

pub fn order(number: u128) -> OrderId {
    OrderId(Uuid::from_u128(number))
}

pub fn fenced(reservation: &Reservation) -> Json {
    json!({"reservationId": reservation.reservation_id, "fencingToken": reservation.fencing_token})
}

/// The pointers of a problem, in order.
pub fn pointers(got: &Got) -> Vec<String> {
    let json = got.json();
    let pointer = |error: &Json| error["pointer"].as_str().unwrap_or_default().to_owned();
    json["errors"].as_array().map(|errors| errors.iter().map(pointer).collect()).unwrap_or_default()
}
