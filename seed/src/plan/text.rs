//! Our own words as checked types. They are constants of this crate, so a word that is refused is a mistake in this crate and not in
//! anything that a user gave; the tests make every one of them.
#![expect(clippy::expect_used, reason = "the words are this crate's own; no input reaches this file")]

use types::{Quantity, ShortText, Sku, place::Country};

pub fn sku(text: impl Into<String>) -> Sku {
    Sku::new(text).expect("a word of the data set is a SKU")
}

pub fn short(text: impl Into<String>) -> ShortText {
    ShortText::new(text).expect("a word of the data set is one short line")
}

pub fn country(code: &str) -> Country {
    Country::try_from(code.to_owned()).expect("a country of the data set has two letters")
}

pub fn quantity(count: u32) -> Quantity {
    Quantity::new(count.max(1)).expect("a quantity of the data set is small")
}
