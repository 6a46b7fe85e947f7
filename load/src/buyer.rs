//! One buyer, with everything that this buyer will do: drawn beforehand from a stream of the buyer's own, so that the same seed sends the
//! same people however fast they come and however the system answers.

use std::collections::BTreeMap;

use cart_api::AddItem;
use platform::{Chance, chance::Stream};
use rand::RngExt;
use seed::{Directory, manifest::Customer, zipf::Zipf};
use types::{Address, Currency, CustomerId, Quantity, Region, Sku};

use crate::mix::{LoadError, Mix};

#[derive(Clone, Debug)]
pub struct Buyer {
    pub number: u64,
    /// None for a guest.
    pub customer_id: Option<CustomerId>,
    pub region: Region,
    pub currency: Currency,
    pub address: Address,
    pub items: Vec<AddItem>,
    pub coupon: Option<Sku>,
    /// Fills the cart and leaves it.
    pub abandons: bool,
    /// What the PSP gave the shop's page for the card: `tok_ok`, `tok_decline_lost`, `tok_slow_20`.
    pub payment_token: String,
}

/// All who may come.
#[derive(Clone, Debug)]
pub struct Crowd {
    chance: Chance,
    mix: Mix,
    customers: BTreeMap<Region, Vec<Customer>>,
    skus: Vec<Sku>,
    popularity: Zipf,
    coupons: Vec<Sku>,
}

impl Crowd {
    /// The crowd of a seeded system. A region in which nobody lives sends nobody.
    pub fn new(seed: u64, mix: Mix, directory: &Directory) -> Result<Self, LoadError> {
        mix.validate()?;
        let mut customers: BTreeMap<Region, Vec<Customer>> = BTreeMap::new();
        for customer in &directory.customers {
            if mix.regions.get(&customer.region).is_some_and(|weight| *weight > 0.0) {
                customers.entry(customer.region).or_default().push(customer.clone());
            }
        }
        if customers.is_empty() || directory.skus.is_empty() {
            return Err(LoadError::NotSeeded);
        }
        let skus = directory.skus.clone();
        let popularity = Zipf::new(skus.len(), mix.popularity);
        Ok(Self { chance: Chance::seeded(seed), mix, customers, skus, popularity, coupons: directory.coupons.clone() })
    }

    #[must_use]
    pub const fn mix(&self) -> &Mix {
        &self.mix
    }

    #[must_use]
    pub const fn chance(&self) -> &Chance {
        &self.chance
    }

    /// The regions that send buyers, with their weights.
    #[must_use]
    pub fn weights(&self) -> Vec<(Region, f64)> {
        self.customers.keys().map(|region| (*region, self.mix.regions.get(region).copied().unwrap_or(0.0))).collect()
    }

    /// The buyer of this number. `busy` says how busy a region is at the moment (1 is the average).
    #[must_use]
    pub fn buyer(&self, number: u64, busy: impl Fn(Region) -> f64) -> Buyer {
        let key = format!("buyer-{number}");
        let mut stream = self.chance.stream("load", &key, "who");
        let region = self.region(&mut stream, busy);
        let of_region = self.customers.get(&region).map_or(&[][..], Vec::as_slice);
        // A region comes from the keys of this very map, and none of its lists is empty.
        let customer = &of_region[stream.random_range(0..of_region.len())];
        let is_guest = stream.random_bool(self.mix.guests);
        let mut wishes = self.chance.stream("load", &key, "what");
        let coupon = wishes.random_bool(self.mix.coupons).then(|| self.coupon(&mut wishes)).flatten();
        Buyer {
            number,
            customer_id: (!is_guest).then_some(customer.id),
            region,
            currency: customer.currency,
            address: customer.address.clone(),
            coupon,
            abandons: wishes.random_bool(self.mix.abandoned),
            items: self.items(&mut wishes),
            payment_token: self.payment_token(&mut self.chance.stream("load", &key, "card"), region),
        }
    }

    fn region(&self, stream: &mut Stream, busy: impl Fn(Region) -> f64) -> Region {
        let weights: Vec<(Region, f64)> = self.weights().into_iter().map(|(region, weight)| (region, weight * busy(region))).collect();
        let mut point = stream.random::<f64>() * weights.iter().map(|(_, weight)| weight).sum::<f64>();
        for (region, weight) in &weights {
            if point < *weight {
                return *region;
            }
            point -= weight;
        }
        weights.last().map_or(Region::Us, |(region, _)| *region)
    }

    fn coupon(&self, stream: &mut Stream) -> Option<Sku> {
        (!self.coupons.is_empty()).then(|| self.coupons[stream.random_range(0..self.coupons.len())].clone())
    }

    fn items(&self, stream: &mut Stream) -> Vec<AddItem> {
        let mut items: Vec<AddItem> = Vec::new();
        for _ in 0..stream.random_range(1..=self.mix.lines_max) {
            let quantity = if stream.random_bool(0.2) { 2 } else { 1 };
            let quantity = Quantity::new(quantity).unwrap_or(Quantity::ONE);
            let sku = &self.skus[self.popularity.draw(stream)];
            if items.iter().all(|item| item.sku != *sku) {
                items.push(AddItem { sku: sku.clone(), quantity });
            }
        }
        items
    }

    fn payment_token(&self, stream: &mut Stream, region: Region) -> String {
        let (is_declined, is_lost, is_slow) = (stream.random::<f64>(), stream.random::<f64>(), stream.random::<f64>());
        if is_declined < self.mix.declines.get(&region).copied().unwrap_or(0.0) {
            let reason = if is_lost < self.mix.lost_cards { "lost" } else { "insufficient" };
            return format!("tok_decline_{reason}");
        }
        if is_slow < self.mix.slow { format!("tok_slow_{}", self.mix.slow_seconds) } else { "tok_ok".to_owned() }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use types::{ShortText, id::Uuid};

    use super::*;

    /// A few customers in each region, and a few SKUs.
    pub(crate) fn directory() -> Directory {
        let short = |text: &str| ShortText::new(text).expect("a line");
        let customer = |number: u128| {
            let region = Region::ALL[usize::try_from(number % 3).expect("small")];
            let country = "DE".to_owned().try_into().expect("a country");
            let address =
                Address { line1: short("Am Markt 1"), line2: None, city: short("Görlitz"), postal_code: short("02826"), country };
            Customer { id: CustomerId(Uuid::from_u128(number)), region, currency: region.currency(), time_zone: "Europe/Berlin", address }
        };
        Directory {
            customers: (0..30).map(customer).collect(),
            skus: (0..50).map(|number| Sku::new(format!("SKU-{number}")).expect("a SKU")).collect(),
            sessions: Vec::new(),
            coupons: vec![Sku::new("WELCOME10").expect("a code")],
        }
    }

    fn share(buyers: &[Buyer], is: impl Fn(&Buyer) -> bool) -> f64 {
        buyers.iter().filter(|buyer| is(buyer)).count() as f64 / buyers.len() as f64
    }

    #[test]
    fn buyers_are_as_the_mix_says() {
        let crowd = Crowd::new(5, Mix { slow: 0.1, ..Mix::default() }, &directory()).expect("a crowd");
        let buyers: Vec<Buyer> = (0..6_000).map(|number| crowd.buyer(number, |_| 1.0)).collect();
        let near = |seen: f64, due: f64| assert!((seen - due).abs() < 0.03, "{seen} instead of {due}");
        near(share(&buyers, |buyer| buyer.abandons), 0.70);
        near(share(&buyers, |buyer| buyer.customer_id.is_none()), 1.0 / 3.0);
        near(share(&buyers, |buyer| buyer.coupon.is_some()), 0.15);
        near(share(&buyers, |buyer| buyer.region == Region::Us), 0.45);
        near(share(&buyers, |buyer| buyer.region == Region::Apac), 0.20);
        near(share(&buyers, |buyer| buyer.payment_token == "tok_slow_20"), 0.09);
        for (region, due) in [(Region::Us, 0.08), (Region::Eu, 0.10), (Region::Apac, 0.15)] {
            let there: Vec<Buyer> = buyers.iter().filter(|buyer| buyer.region == region).cloned().collect();
            near(share(&there, |buyer| buyer.payment_token.starts_with("tok_decline")), due);
        }
        assert!(buyers.iter().all(|buyer| (1..=3).contains(&buyer.items.len())));
        assert!(buyers.iter().any(|buyer| buyer.payment_token == "tok_decline_lost"));
    }

    #[test]
    fn things_are_bought_by_zipfs_law_or_all_alike() {
        let firsts = |popularity| {
            let crowd = Crowd::new(5, Mix { popularity, lines_max: 1, ..Mix::bench() }, &directory()).expect("a crowd");
            let buyers: Vec<Buyer> = (0..4_000).map(|number| crowd.buyer(number, |_| 1.0)).collect();
            share(&buyers, |buyer| buyer.items[0].sku.as_str() == "SKU-0")
        };
        assert!((firsts(0.0) - 0.02).abs() < 0.01, "one of fifty: {}", firsts(0.0));
        assert!(firsts(1.1) > 0.2, "{}", firsts(1.1));
    }

    #[test]
    fn the_same_number_is_the_same_buyer_whatever_else_is_turned() {
        let directory = directory();
        let crowd = |mix| Crowd::new(5, mix, &directory).expect("a crowd");
        let (one, other) = (crowd(Mix::default()), crowd(Mix { declines: BTreeMap::new(), ..Mix::default() }));
        for number in 0..200 {
            let (one, other) = (one.buyer(number, |_| 1.0), other.buyer(number, |_| 1.0));
            assert_eq!(
                (one.region, one.customer_id, one.abandons, one.items.len()),
                (other.region, other.customer_id, other.abandons, other.items.len())
            );
            assert_eq!(other.payment_token, "tok_ok");
        }
    }

    #[test]
    fn a_busy_region_sends_more_and_a_region_without_people_none() {
        let mix = Mix { regions: BTreeMap::from([(Region::Eu, 1.0), (Region::Us, 1.0)]), ..Mix::default() };
        let crowd = Crowd::new(1, mix.clone(), &directory()).expect("a crowd");
        let busy = |region| if region == Region::Eu { 3.0 } else { 1.0 };
        let buyers: Vec<Buyer> = (0..2_000).map(|number| crowd.buyer(number, busy)).collect();
        assert!((share(&buyers, |buyer| buyer.region == Region::Eu) - 0.75).abs() < 0.04);
        let mut only_us = directory();
        only_us.customers.retain(|customer| customer.region == Region::Us);
        let crowd = Crowd::new(1, mix.clone(), &only_us).expect("a crowd");
        assert!((0..100).all(|number| crowd.buyer(number, |_| 1.0).region == Region::Us));
        assert_eq!(Crowd::new(1, mix, &Directory::default()).expect_err("nobody"), LoadError::NotSeeded);
    }
}
