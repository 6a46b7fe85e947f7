//! Money is an integer of the currency's minor unit and the currency (ISO 4217); never a float, never a decimal column.
//! Arithmetic is checked: an overflow is an answer that the caller must handle, not a wrap. Rounding is half-even, and a sum that
//! is shared out is shared by largest remainder, so that the parts always add up to the whole.
#![expect(clippy::disallowed_types, reason = "the derive of AvroSchema names HashSet in a signature; nothing here looks at its order")]

use std::fmt;

use apache_avro::AvroSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The currencies of the shop's three regions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE", into = "&'static str", try_from = "String")]
pub enum Currency {
    Usd,
    Eur,
    Jpy,
    Vnd,
}

impl Currency {
    pub const ALL: [Self; 4] = [Self::Usd, Self::Eur, Self::Jpy, Self::Vnd];

    /// ISO 4217's letters.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Usd => "USD",
            Self::Eur => "EUR",
            Self::Jpy => "JPY",
            Self::Vnd => "VND",
        }
    }

    /// ISO 4217's exponent: how many decimal digits the minor unit stands behind the point.
    #[must_use]
    pub const fn exponent(self) -> u32 {
        match self {
            Self::Usd | Self::Eur => 2,
            Self::Jpy | Self::Vnd => 0,
        }
    }

    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|currency| currency.code() == code)
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.code())
    }
}

impl std::str::FromStr for Currency {
    type Err = MoneyError;
    fn from_str(code: &str) -> Result<Self, MoneyError> {
        Self::from_code(code).ok_or(MoneyError::UnknownCurrency)
    }
}

// Serde sees text in both directions, because Avro's serializer takes no enum for a string.
impl From<Currency> for &'static str {
    fn from(currency: Currency) -> Self {
        currency.code()
    }
}

impl TryFrom<String> for Currency {
    type Error = MoneyError;
    fn try_from(code: String) -> Result<Self, MoneyError> {
        code.parse()
    }
}

crate::avro_primitive!(Currency, apache_avro::Schema::String);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    #[error("the amount is larger than any that can be kept (64 bits of minor units)")]
    Overflow,
    #[error("{0} and {1} cannot be added: they are different currencies")]
    Mixed(Currency, Currency),
    #[error("the currency is not one of USD, EUR, JPY, VND")]
    UnknownCurrency,
}

/// An amount in minor units: `{"amount": 1999, "currency": "USD"}` is 19.99 dollars, `{"amount": 1999, "currency": "JPY"}` 1,999 yen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema, AvroSchema)]
#[avro(namespace = "crashcart")]
#[serde(deny_unknown_fields)]
pub struct Money {
    /// In the currency's minor unit.
    pub amount: i64,
    pub currency: Currency,
}

impl Money {
    #[must_use]
    pub const fn new(amount: i64, currency: Currency) -> Self {
        Self { amount, currency }
    }

    #[must_use]
    pub const fn zero(currency: Currency) -> Self {
        Self::new(0, currency)
    }

    pub fn plus(self, other: Self) -> Result<Self, MoneyError> {
        self.same_currency(other)?;
        self.amount.checked_add(other.amount).map(|amount| Self::new(amount, self.currency)).ok_or(MoneyError::Overflow)
    }

    pub fn minus(self, other: Self) -> Result<Self, MoneyError> {
        self.same_currency(other)?;
        self.amount.checked_sub(other.amount).map(|amount| Self::new(amount, self.currency)).ok_or(MoneyError::Overflow)
    }

    pub fn times(self, count: i64) -> Result<Self, MoneyError> {
        self.amount.checked_mul(count).map(|amount| Self::new(amount, self.currency)).ok_or(MoneyError::Overflow)
    }

    /// The sum; zero of `currency` for none.
    pub fn sum(currency: Currency, parts: impl IntoIterator<Item = Self>) -> Result<Self, MoneyError> {
        parts.into_iter().try_fold(Self::zero(currency), Self::plus)
    }

    /// This share of the amount, rounded half-even to the minor unit.
    pub fn share(self, share: BasisPoints) -> Result<Self, MoneyError> {
        let product = i128::from(self.amount) * i128::from(share.0);
        i64::try_from(divide_half_even(product, 10_000)).map(|amount| Self::new(amount, self.currency)).map_err(|_| MoneyError::Overflow)
    }

    /// Shares the amount out in proportion to `weights` (none negative) by largest remainder: the parts add up to the whole, each is
    /// within one minor unit of its exact share, and ties go to the earlier one. With no weight at all the first takes everything.
    #[must_use]
    pub fn allocate(self, weights: &[i64]) -> Vec<Self> {
        let total: i128 = weights.iter().map(|weight| i128::from(*weight)).sum();
        if weights.is_empty() {
            return Vec::new();
        }
        if total <= 0 {
            let mut parts = vec![Self::zero(self.currency); weights.len()];
            parts[0] = self;
            return parts;
        }
        let exact = |weight: &i64| i128::from(self.amount) * i128::from(*weight);
        let mut parts: Vec<i128> = weights.iter().map(|weight| exact(weight).div_euclid(total)).collect();
        let mut order: Vec<usize> = (0..weights.len()).collect();
        order.sort_by_key(|&index| (std::cmp::Reverse(exact(&weights[index]).rem_euclid(total)), index));
        let left = i128::from(self.amount) - parts.iter().sum::<i128>();
        for &index in order.iter().take(usize::try_from(left).unwrap_or(0)) {
            parts[index] += 1;
        }
        // A part never exceeds the whole in size, and the whole fits.
        parts.into_iter().map(|part| Self::new(i64::try_from(part).unwrap_or(0), self.currency)).collect()
    }

    fn same_currency(self, other: Self) -> Result<(), MoneyError> {
        if self.currency == other.currency { Ok(()) } else { Err(MoneyError::Mixed(self.currency, other.currency)) }
    }
}

/// `12.30 USD`, `1230 JPY`.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = 10_u64.pow(self.currency.exponent());
        let sign = if self.amount < 0 { "-" } else { "" };
        let size = self.amount.unsigned_abs();
        if unit == 1 {
            f.pad(&format!("{sign}{size} {}", self.currency))
        } else {
            f.pad(&format!("{sign}{}.{:02} {}", size / unit, size % unit, self.currency))
        }
    }
}

/// A share in hundredths of a percent: 10,000 is the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct BasisPoints(pub u32);

/// Quotient rounded to the nearest, ties to the even one. `divisor` must be positive.
#[must_use]
pub fn divide_half_even(dividend: i128, divisor: i128) -> i128 {
    let (quotient, remainder) = (dividend.div_euclid(divisor), dividend.rem_euclid(divisor));
    match (remainder * 2).cmp(&divisor) {
        std::cmp::Ordering::Less => quotient,
        std::cmp::Ordering::Greater => quotient + 1,
        std::cmp::Ordering::Equal => quotient + quotient.rem_euclid(2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn usd(amount: i64) -> Money {
        Money::new(amount, Currency::Usd)
    }

    #[test]
    fn rounds_half_to_even() {
        assert_eq!(usd(5).share(BasisPoints(1_000)), Ok(usd(0))); // 0.5 → 0
        assert_eq!(usd(15).share(BasisPoints(1_000)), Ok(usd(2))); // 1.5 → 2
        assert_eq!(usd(25).share(BasisPoints(1_000)), Ok(usd(2))); // 2.5 → 2
        assert_eq!(usd(-15).share(BasisPoints(1_000)), Ok(usd(-2)));
        assert_eq!(usd(26).share(BasisPoints(1_000)), Ok(usd(3)));
    }

    #[test]
    fn refuses_what_does_not_fit() {
        assert_eq!(usd(i64::MAX).plus(usd(1)), Err(MoneyError::Overflow));
        assert_eq!(usd(i64::MAX).times(2), Err(MoneyError::Overflow));
        assert_eq!(usd(1).plus(Money::new(1, Currency::Eur)), Err(MoneyError::Mixed(Currency::Usd, Currency::Eur)));
    }

    #[test]
    fn parts_add_up() {
        assert_eq!(usd(100).allocate(&[1, 1, 1]), [usd(34), usd(33), usd(33)]);
        assert_eq!(usd(-100).allocate(&[1, 1, 1]).iter().map(|part| part.amount).sum::<i64>(), -100);
        assert_eq!(usd(7).allocate(&[0, 0]), [usd(7), usd(0)]);
        assert!(usd(7).allocate(&[]).is_empty());
    }

    #[test]
    fn a_currency_is_its_code_in_json_and_in_the_contract() {
        use crate::Region;
        use utoipa::PartialSchema;
        let json = |value| serde_json::to_value(value).expect("JSON");
        assert_eq!(serde_json::to_value(Currency::ALL).ok(), Some(serde_json::json!(["USD", "EUR", "JPY", "VND"])));
        assert_eq!(serde_json::from_str::<Currency>("\"VND\"").ok(), Some(Currency::Vnd));
        assert!(serde_json::from_str::<Currency>("\"vnd\"").is_err());
        assert_eq!(json(Currency::schema())["enum"], serde_json::json!(["USD", "EUR", "JPY", "VND"]));
        assert_eq!(serde_json::from_str::<Region>("\"APAC\"").ok(), Some(Region::Apac));
        assert_eq!(json(Region::schema())["enum"], serde_json::json!(["US", "EU", "APAC"]));
    }

    #[test]
    fn reads_like_money() {
        assert_eq!(usd(1999).to_string(), "19.99 USD");
        assert_eq!(usd(-5).to_string(), "-0.05 USD");
        assert_eq!(Money::new(1999, Currency::Jpy).to_string(), "1999 JPY");
    }
}
