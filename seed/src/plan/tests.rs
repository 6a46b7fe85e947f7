use std::collections::BTreeSet;

use types::{Currency, Email, Region};

use super::*;
use crate::{manifest::digests, zipf::EXPONENT};

fn lines(rows: &[impl Serialize]) -> Vec<String> {
    rows.iter().map(|row| serde_json::to_string(row).expect("a row is JSON")).collect()
}

fn all_different<T: Ord>(keys: impl IntoIterator<Item = T>) -> bool {
    let mut seen = BTreeSet::new();
    keys.into_iter().all(|key| seen.insert(key))
}

#[test]
fn the_same_seed_gives_the_same_data_and_another_seed_other_data() {
    assert_eq!(digests(&plan(42, 1.0)), digests(&plan(42, 1.0)));
    let (one, other) = (digests(&plan(42, 1.0)), digests(&plan(43, 1.0)));
    let same: Vec<_> = one.iter().zip(&other).filter(|(one, other)| one.2 == other.2).map(|(one, _)| one.0).collect();
    // The taxonomy and the campaigns are drawn by nobody.
    assert_eq!(same, [crate::Kind::Categories, crate::Kind::Promotions]);
}

#[test]
fn the_data_of_seed_42_is_what_it_was() {
    insta::assert_json_snapshot!(digests(&plan(42, 1.0)));
}

#[test]
fn a_smaller_data_set_is_the_beginning_of_a_larger_one() {
    let (small, whole, large) = (plan(7, 0.3), plan(7, 1.0), plan(7, 10.0));
    assert_eq!((whole.customers.len(), large.customers.len(), small.customers.len()), (1_000, 10_000, 300));
    assert_eq!(whole.customers, large.customers[..1_000]);
    assert_eq!(small.customers, whole.customers[..300]);
    assert_eq!(lines(&whole.carts), lines(&large.carts)[..300]);
    assert_eq!((&whole.products, &whole.prices, &whole.stock), (&large.products, &large.prices, &large.stock));
    assert_eq!(small.products, whole.products[..60]);
}

#[test]
fn a_scale_that_makes_no_sense_is_the_smallest() {
    for scale in [0.0, -3.0, f64::NAN, f64::NEG_INFINITY, 0.000_001] {
        let data = plan(1, scale);
        assert_eq!((data.customers.len(), data.products.len(), data.carts.len()), (1, 1, 1), "{scale}");
        assert!(data.rules.iter().all(|rule| !rule.skus.is_empty()));
    }
}

#[test]
fn natural_keys_are_unique_and_well_formed() {
    let data = plan(42, 3.0);
    assert!(all_different(data.customers.iter().map(|person| &person.email)));
    assert!(data.customers.iter().all(|person| Email::new(person.email.clone()).is_ok_and(|email| email.as_str() == person.email)));
    assert!(data.customers.iter().all(|person| person.email.ends_with("@example.com")));
    let skus = data.products.iter().flat_map(|product| product.variants.iter().map(|variant| &variant.sku).chain([&product.sku]));
    assert!(all_different(skus));
    assert!(all_different(data.categories.iter().map(|category| &category.slug)));
    assert!(all_different(data.prices.iter().map(|price| (price.book, &price.sku))));
    assert!(all_different(data.stock.iter().map(|stock| (&stock.sku, &stock.warehouse))));
    assert!(all_different(data.carts.iter().map(|cart| &cart.session_token)));
    assert!(all_different(data.rules.iter().map(|rule| rule.id)));
    assert!(all_different(data.promotions.iter().map(|promotion| promotion.name.as_str())));
}

#[test]
fn nobody_can_be_called_or_written_to() {
    let free_for_fiction = ["+1-202-555-01", "+1-415-555-01", "+49-30-23125-", "+33-1-99-00-", "+46-8-465-004-"];
    for person in plan(42, 2.0).customers {
        let phone = person.phone.unwrap_or_else(|| "+1-202-555-0100".into());
        assert!(free_for_fiction.iter().any(|range| phone.starts_with(range)), "{phone}");
        assert!(!phone.contains('#'), "{phone}");
    }
}

#[test]
fn regions_currencies_and_countries_agree() {
    let data = plan(42, 1.0);
    for person in &data.customers {
        let fits = match person.region {
            Region::Us => person.currency == Currency::Usd && person.addresses[0].address.country.as_str() == "US",
            Region::Eu => person.currency == Currency::Eur,
            Region::Apac => matches!(person.currency, Currency::Jpy | Currency::Vnd),
        };
        assert!(fits, "{} {}", person.region, person.currency);
    }
    for region in Region::ALL {
        let count = data.customers.iter().filter(|person| person.region == region).count();
        assert!(count > 120, "{region}: {count}");
    }
    assert!(data.customers.iter().any(|person| !person.full_name.is_ascii()));
    let vips = data.customers.iter().filter(|person| !person.segments.is_empty()).count();
    assert!((50..120).contains(&vips), "{vips}");
    for cart in &data.carts {
        let owner = cart.customer.as_ref().and_then(|email| data.customers.iter().find(|person| person.email == *email));
        assert!(owner.is_none_or(|person| (person.region, person.currency) == (cart.region, cart.currency)));
    }
}

#[test]
fn every_sku_has_a_price_in_each_book_that_ends_as_its_currency_does() {
    let data = plan(42, 1.0);
    assert_eq!(data.products.len(), 200);
    assert!((500..700).contains(&data.popularity.len()), "{}", data.popularity.len());
    assert_eq!(data.prices.len(), data.popularity.len() * 4);
    for price in &data.prices {
        let (amount, currency) = (price.unit_price.amount, price.unit_price.currency);
        assert_eq!(price.book, format!("standard-{}", currency.code().to_lowercase()));
        let ends_well = match currency {
            Currency::Usd => amount % 100 == 99,
            Currency::Eur => amount % 100 == 95,
            Currency::Jpy => amount % 100 == 80,
            Currency::Vnd => amount % 10_000 == 9_000,
        };
        assert!(amount > 0 && ends_well, "{}", price.unit_price);
    }
    assert_eq!(prices::price(1_999, Currency::Usd).to_string(), "19.99 USD");
    assert_eq!(prices::price(2_000, Currency::Jpy).amount, 2_980);
}

#[test]
fn the_taxonomy_has_three_levels_and_parents_come_first() {
    let data = plan(1, 1.0);
    for (index, category) in data.categories.iter().enumerate() {
        if let Some(parent) = &category.parent {
            assert!(data.categories[..index].iter().any(|above| above.slug == *parent), "{}", category.slug);
        }
        assert!(category.slug.split('-').all(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase())));
    }
    assert!(data.products.iter().all(|product| data.categories.iter().any(|category| category.slug == product.category)));
    let top = data.categories.iter().filter(|category| category.parent.is_none()).count();
    let used = data.products.iter().map(|product| &product.category).collect::<BTreeSet<_>>().len();
    assert_eq!((top, used), (5, 20));
}

#[test]
fn what_is_popular_is_in_stock_and_in_the_carts() {
    let data = plan(42, 10.0);
    let zipf = Zipf::new(data.popularity.len(), EXPONENT);
    let units = |sku: &Sku| data.stock.iter().filter(|stock| stock.sku == *sku).map(|stock| stock.units).sum::<i64>();
    assert!(units(&data.popularity[0]) > 5 * units(&data.popularity[9]));
    assert!(data.stock.iter().all(|stock| stock.units > 0));
    let warehouses: BTreeSet<_> = data.stock.iter().map(|stock| stock.warehouse.as_str()).collect();
    assert_eq!(warehouses.into_iter().collect::<Vec<_>>(), ["apac-south", "eu-central", "us-east"]);

    // A SKU is once in a basket however often it is drawn, so the first place is a little rarer than its share.
    let lines: f64 = data.carts.iter().map(|cart| cart.items.len()).sum::<usize>() as f64;
    let with = |sku: &Sku| data.carts.iter().filter(|cart| cart.items.iter().any(|item| item.sku == *sku)).count() as f64 / lines;
    for rank in [1, 5, 20] {
        let (seen, due) = (with(&data.popularity[rank]), zipf.share(rank));
        assert!((seen / due - 1.0).abs() < 0.35, "rank {rank}: {seen} instead of {due}");
    }
}

#[test]
fn a_third_of_the_carts_are_guests_and_baskets_are_small_with_a_long_tail() {
    let data = plan(42, 10.0);
    let guests = data.carts.iter().filter(|cart| cart.customer.is_none()).count();
    assert!((900..1_100).contains(&guests), "{guests}");
    let mut lines: Vec<usize> = data.carts.iter().map(|cart| cart.items.len()).collect();
    lines.sort_unstable();
    assert!((1..=3).contains(&lines[lines.len() / 2]) && lines[0] >= 1 && lines[lines.len() - 1] >= 6);
    let owners: Vec<_> = data.carts.iter().filter_map(|cart| cart.customer.as_ref()).collect();
    assert!(!all_different(owners), "nobody came twice");
}
