//! Customers: who they are, where they live, which segment they are in. Nobody is meant: names are put together from short lists,
//! addresses end in example.com, and telephone numbers come from ranges that are kept free for fiction.

use platform::{Chance, chance::Stream};
use rand::{Rng, RngExt};
use serde::Serialize;
use types::{Address, Currency, Region};

use super::{
    names::{LOCALES, Locale},
    text,
};

/// A customer to be. What is serialized is the natural content, without what only this crate knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Person {
    /// The natural key.
    pub email: String,
    pub full_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    pub region: Region,
    pub locale: &'static str,
    pub addresses: Vec<PlannedAddress>,
    /// Empty for the many; they are GENERAL without being told so.
    pub segments: Vec<&'static str>,
    /// The currency that this person shops in.
    pub currency: Currency,
    /// Where this person's clock hangs (IANA); the load's daily cycle goes by it.
    pub time_zone: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlannedAddress {
    pub label: &'static str,
    #[serde(flatten)]
    pub address: Address,
}

/// The customer of this number, from 1.
#[must_use]
pub fn person(chance: &Chance, number: u32) -> Person {
    let key = format!("customer-{number:06}");
    let mut stream = chance.stream("seed", &key, "person");
    let locale = locale(&mut stream);
    let (given, given_plain) = *pick(&mut stream, locale.given);
    let (family, family_plain) = *pick(&mut stream, locale.family);
    let (first, second) = if locale.family_first { (family, given) } else { (given, family) };
    let phone = stream.random_bool(0.8).then(|| digits(&mut stream, locale.phone));
    let segments = match stream.random_range(0..100) {
        0..8 => vec!["VIP"],
        _ => Vec::new(),
    };
    let mut homes = chance.stream("seed", &key, "addresses");
    let mut addresses = vec![PlannedAddress { label: "home", address: address(&mut homes, locale) }];
    if homes.random_bool(0.25) {
        addresses.push(PlannedAddress { label: "work", address: address(&mut homes, locale) });
    }
    Person {
        email: format!("{given_plain}.{family_plain}.{number:06}@example.com"),
        full_name: format!("{first}{}{second}", locale.between),
        phone,
        region: locale.region,
        locale: locale.tag,
        addresses,
        segments,
        currency: locale.currency,
        time_zone: locale.time_zone,
    }
}

/// A place by the shares of the locales: for guests too, of whom nothing else is known.
pub fn locale(stream: &mut Stream) -> &'static Locale {
    let mut point = stream.random_range(0..100);
    for locale in LOCALES {
        if point < locale.percent {
            return locale;
        }
        point -= locale.percent;
    }
    &LOCALES[0]
}

/// Somewhere to send a parcel to.
pub fn address(stream: &mut impl Rng, locale: &Locale) -> Address {
    let street = pick(stream, locale.streets);
    let house = stream.random_range(1..200_u32);
    let (town, postal_code) = pick(stream, locale.towns);
    let line1 = if locale.number_first { format!("{house} {street}") } else { format!("{street} {house}") };
    let line2 = stream.random_bool(0.15).then(|| text::short(format!("Apt {}", stream.random_range(1..40_u32))));
    Address {
        line1: text::short(line1),
        line2,
        city: text::short(*town),
        postal_code: text::short(digits(stream, postal_code)),
        country: text::country(locale.country),
    }
}

pub fn pick<'a, T>(stream: &mut impl Rng, choices: &'a [T]) -> &'a T {
    &choices[stream.random_range(0..choices.len())]
}

/// The pattern with a digit for each `#`.
fn digits(stream: &mut impl Rng, pattern: &str) -> String {
    pattern.chars().map(|sign| if sign == '#' { char::from(b'0' + stream.random_range(0..10_u8)) } else { sign }).collect()
}
