//! From which warehouse each unit comes: one that has everything, the preferred first; where there is none, as few parcels per line as
//! can be. Everything or nothing.

use std::collections::{BTreeMap, BTreeSet};

use inventory_api::{ReserveItem, ReservedItem};
use types::{Quantity, Sku};

use super::{
    Place, State,
    refusal::{Refusal, Short},
};

/// The lines that serve these items. `nearest` names warehouses in the order in which they are asked; the others follow by name.
pub fn pick(state: &State, items: &[ReserveItem], nearest: &[Sku]) -> Result<Vec<ReservedItem>, Refusal> {
    let free = Free::of(state, items);
    free.refuse_unknown(items)?;
    free.refuse_short(items)?;
    let warehouses = free.warehouses(nearest);
    for warehouse in &warehouses {
        if items.iter().all(|item| free.at(&item.sku, warehouse) >= item.quantity.as_i64()) {
            return Ok(items.iter().map(|item| line(item, warehouse, item.quantity)).collect());
        }
    }
    let mut lines = Vec::with_capacity(items.len() + 1);
    for item in items {
        let mut left = item.quantity.as_i64();
        if let Some(warehouse) = warehouses.iter().find(|warehouse| free.at(&item.sku, warehouse) >= left) {
            lines.push(line(item, warehouse, item.quantity));
            continue;
        }
        for warehouse in &warehouses {
            let units = free.at(&item.sku, warehouse).min(left);
            if let Ok(quantity) = Quantity::try_from(units) {
                lines.push(line(item, warehouse, quantity));
                left -= units;
            }
        }
    }
    Ok(lines)
}

fn line(item: &ReserveItem, warehouse: &Sku, quantity: Quantity) -> ReservedItem {
    ReservedItem { sku: item.sku.clone(), quantity, warehouse: warehouse.clone() }
}

/// What is free of the SKUs that are asked for, by SKU and warehouse.
struct Free<'a>(BTreeMap<&'a Sku, BTreeMap<&'a Sku, i64>>);

impl<'a> Free<'a> {
    fn of(state: &'a State, items: &[ReserveItem]) -> Self {
        let asked: BTreeSet<&Sku> = items.iter().map(|item| &item.sku).collect();
        let mut free: BTreeMap<&Sku, BTreeMap<&Sku, i64>> = BTreeMap::new();
        for (Place { sku, warehouse }, shelf) in state.shelves.iter().filter(|(place, _)| asked.contains(&place.sku)) {
            // A shortfall in one warehouse takes nothing from another.
            free.entry(sku).or_default().insert(warehouse, shelf.available().max(0));
        }
        Self(free)
    }

    fn at(&self, sku: &Sku, warehouse: &Sku) -> i64 {
        self.0.get(sku).and_then(|warehouses| warehouses.get(warehouse)).copied().unwrap_or(0)
    }

    fn total(&self, sku: &Sku) -> i64 {
        self.0.get(sku).map_or(0, |warehouses| warehouses.values().fold(0, |sum: i64, units| sum.saturating_add(*units)))
    }

    fn refuse_unknown(&self, items: &[ReserveItem]) -> Result<(), Refusal> {
        let unknown: Vec<_> = (0..).zip(items).filter(|(_, item)| !self.0.contains_key(&item.sku)).map(|(index, _)| index).collect();
        if unknown.is_empty() { Ok(()) } else { Err(Refusal::UnknownSkus(unknown)) }
    }

    fn refuse_short(&self, items: &[ReserveItem]) -> Result<(), Refusal> {
        let short = |(index, item): (usize, &ReserveItem)| {
            let (asked, available) = (item.quantity.as_i64(), self.total(&item.sku));
            (available < asked).then_some(Short { item: index, asked, available })
        };
        let short: Vec<_> = items.iter().enumerate().filter_map(short).collect();
        if short.is_empty() {
            return Ok(());
        }
        let available = items.iter().map(|item| (item.sku.clone(), self.total(&item.sku))).collect();
        Err(Refusal::Insufficient { short, available })
    }

    fn warehouses(&self, nearest: &[Sku]) -> Vec<&'a Sku> {
        let all: BTreeSet<&Sku> = self.0.values().flat_map(|warehouses| warehouses.keys().copied()).collect();
        let mut all: Vec<_> = all.into_iter().collect();
        all.sort_by_key(|warehouse| nearest.iter().position(|near| near == *warehouse).unwrap_or(usize::MAX));
        all
    }
}
