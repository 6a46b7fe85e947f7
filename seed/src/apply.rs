//! The way in: every row through the public APIs, kind after kind, many at a time. A row is looked up by its natural key and made when it
//! is missing, so a second run changes nothing and a run that was cut off is finished by the next.
//!
//! On a fresh system the look-ups are left out, and this is why that is safe: the first row of a kind is written alone, before any other
//! of that kind. If it was missing, no run has ever come as far as the second one, so none of the others can be there either.
//!
//! Reading order: this file (the order of things), [`ask`] (requests and what may be answered), then a file for each part of the system.

pub mod ask;
mod catalog;
mod people;
mod prices;
mod stock;

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    sync::{Mutex, MutexGuard, PoisonError},
};

pub use ask::SeedError;
use futures::stream::{FuturesUnordered, StreamExt};
use types::{CartId, CategoryId, CustomerId, Sku};

use crate::{
    manifest::{Counts, Customer, Directory, Kind, Manifest, Progress, Seeded, Session, digests},
    plan::DataSet,
    shop::Shop,
};

/// Puts the data set into a system; at most `concurrency` requests are on their way at a time. The first request that is refused ends
/// the run with an error that names it; what was made until then stays and is found by the next run.
pub async fn apply<S: Shop>(
    data: &DataSet,
    shop: &S,
    concurrency: usize,
    progress: impl Fn(Progress) + Send + Sync,
) -> Result<Seeded, SeedError> {
    let planned = digests(data);
    let total = planned.iter().map(|(_, rows, _)| rows).sum();
    let run = Run { shop, seed: data.seed, concurrency: concurrency.max(1), total, progress: &progress, known: Mutex::default() };
    catalog::look_around(&run).await?;
    prices::look_around(&run).await?;
    let mut tallies = BTreeMap::new();
    // Parents before children: one at a time.
    tallies.insert(Kind::Categories, run.place_all(&data.categories, 1).await?);
    tallies.insert(Kind::Products, run.place_all(&data.products, run.concurrency).await?);
    tallies.insert(Kind::Prices, run.place_all(&data.prices, run.concurrency).await?);
    tallies.insert(Kind::Rules, run.place_all(&data.rules, run.concurrency).await?);
    // Campaigns before coupons, for what a coupon tells of them.
    tallies.insert(Kind::Promotions, run.place_all(&data.promotions, 1).await?);
    tallies.insert(Kind::Stock, run.place_all(&data.stock, run.concurrency).await?);
    tallies.insert(Kind::Customers, run.place_all(&data.customers, run.concurrency).await?);
    tallies.insert(Kind::Carts, run.place_all(&data.carts, run.concurrency).await?);
    let kinds = planned
        .into_iter()
        .map(|(kind, planned, digest)| {
            let Tally { created, completed, found } = tallies.get(&kind).copied().unwrap_or_default();
            Counts { kind, planned, created, completed, found, digest }
        })
        .collect();
    Ok(Seeded { manifest: Manifest { seed: data.seed, scale: data.scale, kinds }, directory: run.directory(data) })
}

/// What became of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    Created,
    Completed,
    Found,
}

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    created: u64,
    completed: u64,
    found: u64,
}

impl Tally {
    const fn add(&mut self, effect: Effect) {
        match effect {
            Effect::Created => self.created += 1,
            Effect::Completed => self.completed += 1,
            Effect::Found => self.found += 1,
        }
    }

    const fn rows(self) -> u64 {
        self.created + self.completed + self.found
    }
}

/// Something that can be put into a system.
trait Row: Sync {
    const KIND: Kind;

    /// Makes the row unless it is there. With `look` it is asked for first; without, nobody has made it before.
    fn place<S: Shop>(&self, run: &Run<'_, S>, look: bool) -> impl Future<Output = Result<Effect, SeedError>> + Send;
}

struct Run<'a, S> {
    shop: &'a S,
    seed: u64,
    concurrency: usize,
    total: u64,
    progress: &'a (dyn Fn(Progress) + Send + Sync),
    known: Mutex<Known>,
}

/// What the system has told so far.
#[derive(Default)]
struct Known {
    done: u64,
    categories: BTreeMap<String, CategoryId>,
    /// The names of campaigns without a code.
    campaigns: BTreeSet<String>,
    customers: BTreeMap<String, CustomerId>,
    carts: BTreeMap<Sku, CartId>,
}

impl<S: Shop> Run<'_, S> {
    async fn place_all<R: Row>(&self, rows: &[R], concurrency: usize) -> Result<Tally, SeedError> {
        let mut tally = Tally::default();
        let Some((first, rest)) = rows.split_first() else { return Ok(tally) };
        let scout = first.place(self, true).await?;
        self.count::<R>(&mut tally, scout);
        let look = scout != Effect::Created;
        let mut waiting = rest.iter();
        let mut under_way = FuturesUnordered::new();
        loop {
            while under_way.len() < concurrency
                && let Some(row) = waiting.next()
            {
                under_way.push(row.place(self, look));
            }
            match under_way.next().await {
                Some(effect) => self.count::<R>(&mut tally, effect?),
                None => return Ok(tally),
            }
        }
    }

    fn count<R: Row>(&self, tally: &mut Tally, effect: Effect) {
        tally.add(effect);
        let done = {
            let mut known = self.known();
            known.done += 1;
            known.done
        };
        debug_assert!(tally.rows() <= done);
        (self.progress)(Progress { kind: R::KIND, done, planned: self.total });
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn directory(&self, data: &DataSet) -> Directory {
        let known = self.known();
        let customers = data
            .customers
            .iter()
            .filter_map(|person| {
                let address = person.addresses.first()?.address.clone();
                let id = *known.customers.get(&person.email)?;
                Some(Customer { id, region: person.region, currency: person.currency, time_zone: person.time_zone, address })
            })
            .collect();
        let session = |token: &Sku| known.carts.get(token).map(|&cart_id| Session { token: token.clone(), cart_id });
        Directory {
            customers,
            skus: data.popularity.clone(),
            sessions: data.carts.iter().filter_map(|cart| session(&cart.session_token)).collect(),
            coupons: data
                .promotions
                .iter()
                .filter(|promotion| promotion.usage_limit.is_none() && promotion.when.is_none())
                .filter_map(|promotion| promotion.code.clone())
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests;
