//! The words that a product is found by. Engine-neutral: an inverted table of words, asked by prefix. Left out: stems, weights, typing
//! errors. Pure.

use std::collections::BTreeSet;

use crate::domain::Document;

const TOKEN_MAX_CHARS: usize = 40;
/// How many words of one product are kept.
const TOKENS_MAX: usize = 1_000;

/// The words of a text, in lower case, each once.
#[must_use]
pub fn tokens(text: &str) -> BTreeSet<String> {
    text.split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(|word| word.chars().flat_map(char::to_lowercase).take(TOKEN_MAX_CHARS).collect())
        .collect()
}

/// The words of a product: its titles, SKUs and the values of its attributes, with those of its variants.
#[must_use]
pub fn of_product(document: &Document) -> BTreeSet<String> {
    let mut all = tokens(document.sku.as_str());
    all.extend(tokens(document.title.as_str()));
    let mut values: Vec<String> = document.attributes.values().map(catalog_api::AttributeValue::text).collect();
    for variant in &document.variants {
        all.extend(tokens(variant.sku.as_str()));
        all.extend(tokens(variant.title.as_str()));
        values.extend(variant.attributes.values().map(catalog_api::AttributeValue::text));
    }
    for value in values {
        if all.len() >= TOKENS_MAX {
            break;
        }
        all.extend(tokens(&value));
    }
    all.into_iter().take(TOKENS_MAX).collect()
}

/// The first text behind all that begin with `prefix`, in binary order.
#[must_use]
pub fn behind(prefix: &str) -> String {
    format!("{prefix}{}", char::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_cut_at_what_is_no_letter_or_digit() {
        let words = |text: &str| tokens(text).into_iter().collect::<Vec<_>>();
        assert_eq!(words("LAMP-RED_2, Große Lampe; große"), ["2", "große", "lamp", "lampe", "red"]);
        assert_eq!(words("đèn bàn 灯"), ["bàn", "đèn", "灯"]);
        assert!(words(" -- ").is_empty());
        assert_eq!(words(&"x".repeat(60)), ["x".repeat(40)]);
    }

    #[test]
    fn what_begins_with_a_prefix_lies_before_its_end() {
        assert!("lampe" >= "lamp" && "lampe" < behind("lamp").as_str());
        assert!("lan" > behind("lamp").as_str());
        assert!("lamp灯" < behind("lamp").as_str());
    }
}
