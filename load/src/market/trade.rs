//! What each operation of a market does, as calls of the public APIs. As in a journey nothing is tried twice, but an update is two calls, a
//! look and a change of what was seen, and both are its time.

use catalog_api::{Product, ProductRequest};
use futures::future::join_all;
use http::{HeaderValue, header};
use platform::Clock;
use pricing_api::{BookEntry, BookEntryRequest};
use rand::{Rng, RngExt};
use seed::{Answer, Call, Shop, plan::prices::book};
use serde::de::DeserializeOwned;
use types::{Currency, Money, Sku};

use super::{
    Operation,
    range::{OF_SELLER, price_minor, seller, sku},
};
use crate::{
    buyer::Crowd,
    journey::{Ending, Journey},
};

/// What an operation came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    pub calls: u64,
    /// Of a checkout: from its first call to its answer.
    pub answered_micros: Option<u64>,
    /// Of a checkout: how it ended.
    pub order: Option<&'static str>,
    /// Why it did not come to what it was for.
    pub error: Option<String>,
}

impl Done {
    pub const fn is_failure(&self) -> bool {
        self.error.is_some()
    }
}

/// Somebody who does one operation.
pub struct Trader<'a, S> {
    pub shop: &'a S,
    pub clock: Clock,
    pub crowd: &'a Crowd,
}

/// An operation under way: why it goes no further.
type Step<T> = Result<T, String>;

impl<S: Shop> Trader<'_, S> {
    pub async fn go(&self, operation: Operation, number: u64, product: u32, chance: &mut (impl Rng + Send)) -> Done {
        let mut done = Done::default();
        let came = match operation {
            Operation::Checkout => return self.check_out(number).await,
            Operation::Dashboard => self.look_around(&mut done, product).await,
            Operation::PriceUpdate => self.reprice(&mut done, product, chance).await,
            Operation::ProductUpdate => self.describe(&mut done, product, number).await,
        };
        done.error = came.err();
        done
    }

    async fn check_out(&self, number: u64) -> Done {
        let mut buyer = self.crowd.buyer(number, |_| 1.0);
        // The range has prices in dollars only.
        buyer.currency = Currency::Usd;
        let journey = Journey { shop: self.shop, clock: self.clock, patience: self.crowd.mix().patience() };
        let outcome = journey.checkout(&buyer).await;
        let error = match &outcome.ending {
            Ending::Settled { reason: Some(reason), .. } => Some(format!("cancelled {reason}")),
            Ending::Settled { .. } | Ending::Abandoned => None,
            Ending::Refused { step, status, slug, .. } => Some(format!("{step} {status} {slug}")),
            Ending::Unsettled { .. } => Some("unsettled".to_owned()),
            Ending::Unreachable { step, .. } => Some(format!("{step} no answer")),
            Ending::Unreadable { step } => Some(format!("{step} unreadable answer")),
        };
        Done {
            calls: outcome.calls.len() as u64,
            answered_micros: outcome.answered_micros,
            order: outcome.order_id.map(|_| outcome.ending.label()),
            error,
        }
    }

    /// The seller's products by his word, then of each what it costs and what there is, all at once as a page would.
    async fn look_around(&self, done: &mut Done, product: u32) -> Step<()> {
        let path = format!("/products?q={}&limit={OF_SELLER}", seller(product));
        let page = self.ask(done, Call::get(path)).await?;
        let products: Vec<Product> = read(&page.body["items"])?;
        if products.is_empty() {
            return Err("no products".to_owned());
        }
        let calls = products.iter().flat_map(|product| [entry(&product.sku), format!("/inventory/{}", product.sku)]).map(Call::get);
        let mut sent = Vec::new();
        for call in calls {
            done.calls += 1;
            sent.push(self.answer(call));
        }
        join_all(sent).await.into_iter().try_for_each(|answer| answer.map(drop))
    }

    async fn reprice(&self, done: &mut Done, product: u32, chance: &mut (impl Rng + Send)) -> Step<()> {
        let path = entry(&sku(product));
        let answer = self.ask(done, Call::get(path.clone())).await?;
        let seen: BookEntry = read(&answer.body)?;
        let tag = answer.headers.get(header::ETAG).map(HeaderValue::to_str);
        let Some(Ok(tag)) = tag else { return Err("no ETag".to_owned()) };
        // Around what it cost at first, so that prices stay where they are in a long run; and another one, for the same would change nothing.
        let drawn = price_minor(product) * chance.random_range(90..=110_i64) / 100;
        let amount = if drawn == seen.unit_price.amount { drawn + 1 } else { drawn };
        let request = BookEntryRequest { unit_price: Money::new(amount, seen.unit_price.currency) };
        self.ask(done, Call::put(path, &request).header("if-match", tag)).await.map(drop)
    }

    async fn describe(&self, done: &mut Done, product: u32, number: u64) -> Step<()> {
        let answer = self.ask(done, Call::get(format!("/products/by-sku/{}", sku(product)))).await?;
        let seen: Product = read(&answer.body)?;

        let request = ProductRequest {
            sku: seen.sku,
            title: seen.title,
            description: Some(format!("As described anew by operation {number}.")),
            category_id: seen.category_id,
            attributes: seen.attributes,
            variants: seen.variants,
            media: None,
            rev: Some(seen.rev),
        };
        self.ask(done, Call::put(format!("/products/{}", seen.id), &request)).await.map(drop)
    }

    async fn ask(&self, done: &mut Done, call: Call) -> Step<Answer> {
        done.calls += 1;
        self.answer(call).await
    }

    async fn answer(&self, call: Call) -> Step<Answer> {
        match self.shop.send(call).await {
            Ok(answer) if answer.status.is_success() => Ok(answer),
            Ok(answer) => Err(format!("{} {}", answer.status.as_u16(), answer.slug())),
            Err(_) => Err("no answer".to_owned()),
        }
    }
}

fn entry(sku: &Sku) -> String {
    format!("/pricing/books/{}/entries/{sku}", book(Currency::Usd))
}

fn read<T: DeserializeOwned>(body: &serde_json::Value) -> Step<T> {
    T::deserialize(body).map_err(|_| "unreadable answer".to_owned())
}
