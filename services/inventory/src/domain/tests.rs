use std::time::Duration;

use types::{Quantity, id::Uuid};

use super::{
    steps::{Ask, Correction, adjust, cancel, claim, claim_as_of, claim_by_upsert, expire, extend, release, reserve, ship, vanish},
    *,
};

const NOW: Timestamp = Timestamp::from_seconds(1_000);
const TTL: Duration = Duration::from_secs(60);

fn sku(name: &str) -> Sku {
    Sku::new(name).unwrap()
}

fn place(name: &str, warehouse: &str) -> Place {
    Place { sku: sku(name), warehouse: sku(warehouse) }
}

fn item(name: &str, units: u32) -> ReserveItem {
    ReserveItem { sku: sku(name), quantity: Quantity::new(units).unwrap() }
}

fn state(stock: &[(&str, &str, i64)]) -> State {
    let shelf = |(name, warehouse, on_hand): &(&str, &str, i64)| {
        (place(name, warehouse), Shelf { on_hand: *on_hand, version: 1, ..Shelf::default() })
    };
    State { now: NOW, shelves: stock.iter().map(shelf).collect(), reservation: None, next_token: 7 }
}

fn ask(items: Vec<ReserveItem>) -> Ask {
    let id = ReservationId(Uuid::from_u128(1));
    Ask { id, order_id: OrderId(Uuid::from_u128(2)), items, nearest: vec![sku("near"), sku("far")], ttl: TTL }
}

/// Three lamps held, of ten.
fn held() -> State {
    let empty = state(&[("LAMP", "near", 10)]);
    let changes = reserve(&empty, &ask(vec![item("LAMP", 3)])).unwrap();
    empty.after(changes)
}

fn in_status(status: ReservationStatus) -> State {
    let held = held();
    let changes = match status {
        ReservationStatus::Held => return held,
        ReservationStatus::Claimed => claim(&held, 7),
        ReservationStatus::Released => release(&held, Some(7)),
        ReservationStatus::Expired => expire(&held),
        ReservationStatus::Shipped => {
            let claimed = in_status(ReservationStatus::Claimed);
            let changes = ship(&claimed).unwrap();
            return claimed.after(changes);
        }
        ReservationStatus::ReturnedToStock => {
            let claimed = in_status(ReservationStatus::Claimed);
            let changes = release(&claimed, Some(7)).unwrap();
            return claimed.after(changes);
        }
    };
    held.clone().after(changes.unwrap())
}

fn lamps(state: &State) -> (i64, i64, i64, i64) {
    let shelf = state.shelves[&place("LAMP", "near")];
    (shelf.on_hand, shelf.held, shelf.claimed, shelf.shipped)
}

#[test]
fn a_hold_ends_after_its_time_to_live_and_has_the_next_token() {
    let state = held();
    let reservation = state.reservation.clone().unwrap();
    assert_eq!((reservation.fencing_token, reservation.expires_at, reservation.held_until), (7, NOW.plus(TTL), Some(NOW.plus(TTL))));
    assert_eq!(lamps(&state), (10, 3, 0, 0));
}

#[test]
fn every_step_from_every_state_is_one_of_the_table_or_changes_nothing() {
    type Step = fn(&State) -> Result<Changes, Refusal>;
    let steps: [(&str, Step); 6] = [
        ("claim", |state| claim(state, 7)),
        ("extend", |state| extend(state, 7, TTL * 2)),
        ("release", |state| release(state, Some(7))),
        ("cancel", cancel),
        ("ship", ship),
        ("expire", expire),
    ];
    for status in ReservationStatus::ALL {
        for (name, step) in steps {
            let before = in_status(*status);
            let Ok(changes) = step(&before) else { continue };
            let Some(after) = &changes.reservation else {
                assert!(changes.is_empty(), "{name} of {status}: half a change");
                continue;
            };
            let legal = after.status == *status || types::states::allows("reservation", status, after.status);
            assert!(legal, "{name} takes {status} to {}", after.status);
            let state = before.after(changes);
            let (on_hand, held, claimed, shipped) = lamps(&state);
            assert_eq!(on_hand + shipped, 10, "{name} of {status} loses units");
            assert!(held >= 0 && claimed >= 0 && held + claimed <= on_hand, "{name} of {status}");
        }
    }
}

#[test]
fn another_token_is_refused_before_anything_else_is_looked_at() {
    for status in ReservationStatus::ALL {
        let state = in_status(*status);
        assert_eq!(claim(&state, 6), Err(Refusal::StaleToken), "{status}");
        assert_eq!(extend(&state, 6, TTL), Err(Refusal::StaleToken), "{status}");
        assert_eq!(release(&state, Some(6)), Err(Refusal::StaleToken), "{status}");
    }
}

#[test]
fn a_hold_that_vanished_leaves_no_trace_but_free_units() {
    let before = held();
    let changes = vanish(&before).unwrap();
    assert!(changes.movements.is_empty() && changes.events.is_empty());
    let after = before.clone().after(changes);
    assert_eq!(lamps(&after), (10, 0, 0, 0));
    assert_eq!(after.reservation.as_ref().map(|gone| gone.status), Some(ReservationStatus::Held));
    assert_eq!(claim(&after, 7), Err(Refusal::HoldExpired(NOW.plus(TTL))));
}

#[test]
fn an_upsert_takes_from_a_live_hold_and_adds_to_a_dead_one() {
    let live = held();
    assert_eq!(lamps(&live.clone().after(claim_by_upsert(&live).unwrap())), (10, 0, 3, 0));
    let gone = live.clone().after(vanish(&live).unwrap());
    let revived = gone.clone().after(claim_by_upsert(&gone).unwrap());
    assert_eq!(lamps(&revived), (10, 0, 3, 0));
    assert!(claim_by_upsert(&revived).unwrap().is_empty(), "a second payment claims nothing more");
}

#[test]
fn by_the_callers_clock_a_hold_lives_until_its_end_and_one_that_has_ended_is_revived() {
    let (live, end) = (held(), NOW.plus(TTL));
    let before = Timestamp::from_micros(end.micros() - 1);
    assert_eq!(lamps(&live.clone().after(claim_as_of(&live, 7, before).unwrap())), (10, 0, 3, 0));
    assert_eq!(claim_as_of(&live, 7, end), Err(Refusal::HoldExpired(end)), "he is late by his own clock");
    let gone = in_status(ReservationStatus::Expired);
    assert_eq!(lamps(&gone), (10, 0, 0, 0));
    let revived = gone.clone().after(claim_as_of(&gone, 7, before).unwrap());
    assert_eq!(lamps(&revived), (10, 0, 3, 0));
    assert_eq!(claim_as_of(&gone, 7, end), Err(Refusal::HoldExpired(end)));
    assert!(claim_as_of(&revived, 7, end).unwrap().is_empty(), "a repeat changes nothing");
    assert_eq!(claim_as_of(&gone, 6, before), Err(Refusal::StaleToken));
    let released = in_status(ReservationStatus::Released);
    assert_eq!(claim_as_of(&released, 7, before), Err(Refusal::Ended(ReservationStatus::Released)));
}

#[test]
fn one_warehouse_that_has_everything_is_better_than_a_nearer_one_that_has_not() {
    let stock = state(&[("LAMP", "near", 10), ("LAMP", "far", 10), ("DESK", "far", 1), ("DESK", "zzz", 9), ("LAMP", "zzz", 9)]);
    let lines = pick::pick(&stock, &[item("LAMP", 2), item("DESK", 1)], &[sku("near"), sku("far")]).unwrap();
    assert!(lines.iter().all(|line| line.warehouse == sku("far")), "{lines:?}");
}

#[test]
fn a_line_is_split_only_when_no_warehouse_has_all_of_it() {
    let stock = state(&[("LAMP", "near", 2), ("LAMP", "far", 5), ("DESK", "near", 1)]);
    let lines = pick::pick(&stock, &[item("LAMP", 5), item("DESK", 1)], &[sku("near"), sku("far")]).unwrap();
    let told: Vec<_> = lines.iter().map(|line| format!("{}{}@{}", line.quantity, line.sku, line.warehouse)).collect();
    assert_eq!(told, ["5LAMP@far", "1DESK@near"]);
}

#[test]
fn a_shortfall_in_one_warehouse_takes_nothing_from_another() {
    let mut stock = state(&[("LAMP", "near", 0), ("LAMP", "far", 5)]);
    stock.shelves.insert(place("LAMP", "near"), Shelf { on_hand: 1, claimed: 4, version: 1, ..Shelf::default() });
    let lines = pick::pick(&stock, &[item("LAMP", 5)], &[]).unwrap();
    assert_eq!(lines.len(), 1);
    let refusal = pick::pick(&stock, &[item("LAMP", 6)], &[]).unwrap_err();
    assert!(matches!(refusal, Refusal::Insufficient { available, .. } if available[&sku("LAMP")] == 5));
}

#[test]
fn numbers_that_cannot_be_counted_are_refused() {
    let mut stock = state(&[("LAMP", "near", i64::MAX)]);
    let more = Correction { place: place("LAMP", "near"), delta: 1, reason: "more".into(), allow_shortfall: true };
    assert_eq!(adjust(&stock, &more), Err(Refusal::OutOfRange));
    stock.shelves.insert(place("LAMP", "near"), Shelf { on_hand: 1, held: i64::MAX, version: 1, ..Shelf::default() });
    assert_eq!(Shelf { held: i64::MAX, ..Shelf::default() }.moved(Move::Hold, 1), None);
}

#[test]
fn the_same_items_in_another_order_are_the_same_wish() {
    let reservation = held().reservation.unwrap();
    assert!(reservation.is_for(&[item("LAMP", 3)]));
    assert!(!reservation.is_for(&[item("LAMP", 2)]));
    assert!(!reservation.is_for(&[item("LAMP", 3), item("DESK", 1)]));
    assert!(!reservation.is_for(&[]));
}
