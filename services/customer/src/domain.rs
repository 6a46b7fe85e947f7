//! What a customer is and may become. Pure: no I/O, no clock, no chance; a refusal is a value.
//!
//! Who a customer is, is one optional part of it: erased, the part is gone, and what is left (id, region, dates) says nothing of anybody.

use std::collections::{BTreeMap, BTreeSet};

use customer_api::{
    CustomerAddress, CustomerField, CustomerInput, CustomerStatus, DerivedSegment, Locale, Phone, Segment, SetSegments,
    events::{CustomerSegmentRecalculated, CustomerUpdated, SegmentsBy},
};
use types::{Currency, CustomerId, Email, Money, Region, ShortText, Timestamp};

#[derive(Clone, PartialEq, Eq)]
pub struct Customer {
    pub id: CustomerId,
    pub region: Region,
    pub segments: BTreeSet<Segment>,
    /// Gone once the customer was erased.
    pub person: Option<Person>,
    pub version: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// What is personal of a customer.
#[derive(Clone, PartialEq, Eq)]
pub struct Person {
    pub email: Email,
    pub full_name: ShortText,
    pub phone: Option<Phone>,
    pub locale: Locale,
    pub addresses: Vec<CustomerAddress>,
}

impl std::fmt::Debug for Customer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Customer({} version {} {})", self.id, self.version, self.status())
    }
}

impl std::fmt::Debug for Person {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Person")
    }
}

/// Why a customer does not become what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("the customer was erased")]
    Erased,
    #[error("must have at most {} addresses", CustomerInput::ADDRESSES_MAX)]
    TooManyAddresses,
    #[error("must have at most {} segments", SetSegments::SEGMENTS_MAX)]
    TooManySegments,
    #[error("give either `segments` or `recalculate: true`, not both")]
    BothWays,
    #[error("give `segments`, or `recalculate: true`")]
    NoWay,
}

impl Person {
    /// Who the request tells of.
    pub fn of(input: CustomerInput) -> Result<Self, Refused> {
        if input.addresses.len() > CustomerInput::ADDRESSES_MAX {
            return Err(Refused::TooManyAddresses);
        }
        let locale = input.locale.unwrap_or_else(|| Locale::of(input.region));
        Ok(Self { email: input.email, full_name: input.full_name, phone: input.phone, locale, addresses: input.addresses })
    }

    fn fields(&self) -> Vec<CustomerField> {
        let mut fields = vec![CustomerField::Email, CustomerField::FullName, CustomerField::Locale];
        fields.extend(self.phone.as_ref().map(|_| CustomerField::Phone));
        fields.extend((!self.addresses.is_empty()).then_some(CustomerField::Addresses));
        fields
    }

    fn differences(&self, other: &Self) -> Vec<CustomerField> {
        [
            (CustomerField::Email, self.email != other.email),
            (CustomerField::FullName, self.full_name != other.full_name),
            (CustomerField::Phone, self.phone != other.phone),
            (CustomerField::Locale, self.locale != other.locale),
            (CustomerField::Addresses, self.addresses != other.addresses),
        ]
        .into_iter()
        .filter_map(|(field, differs)| differs.then_some(field))
        .collect()
    }
}

impl Customer {
    /// A new customer, and the event that tells of it.
    #[must_use]
    pub fn new(id: CustomerId, region: Region, person: Person, now: Timestamp) -> (Self, CustomerUpdated) {
        let mut fields = person.fields();
        fields.push(CustomerField::Region);
        let customer = Self { id, region, segments: BTreeSet::new(), person: Some(person), version: 1, created_at: now, updated_at: now };
        let told = customer.told(fields);
        (customer, told)
    }

    #[must_use]
    pub const fn status(&self) -> CustomerStatus {
        if self.person.is_some() { CustomerStatus::Active } else { CustomerStatus::Erased }
    }

    /// Who it is, unless that is gone.
    pub fn person(&self) -> Result<&Person, Refused> {
        self.person.as_ref().ok_or(Refused::Erased)
    }

    /// Replaces what is known of the customer. Tells what changed; where nothing did, nothing happens.
    pub fn update(&mut self, region: Region, person: Person, now: Timestamp) -> Result<Option<CustomerUpdated>, Refused> {
        let mut changed = self.person()?.differences(&person);
        changed.extend((self.region != region).then_some(CustomerField::Region));
        if changed.is_empty() {
            return Ok(None);
        }
        (self.region, self.person) = (region, Some(person));
        self.step(now);
        Ok(Some(self.told(changed)))
    }

    /// Replaces the segments. Tells of it if they are others than before.
    pub fn classify(
        &mut self,
        segments: BTreeSet<Segment>,
        by: SegmentsBy,
        now: Timestamp,
    ) -> Result<Option<CustomerSegmentRecalculated>, Refused> {
        self.person()?;
        if self.segments == segments {
            return Ok(None);
        }
        let previous = std::mem::replace(&mut self.segments, segments);
        self.step(now);
        Ok(Some(CustomerSegmentRecalculated {
            customer_id: self.id,
            version: self.version,
            previous: previous.into_iter().collect(),
            segments: self.segments.iter().cloned().collect(),
            by,
            at: now,
        }))
    }

    /// Forgets who it is. Tells of it the first time.
    pub fn erase(&mut self, now: Timestamp) -> Option<CustomerUpdated> {
        let mut gone = self.person.take()?.fields();
        gone.extend((!self.segments.is_empty()).then_some(CustomerField::Segments));
        gone.push(CustomerField::Status);
        self.segments.clear();
        self.step(now);
        Some(self.told(gone))
    }

    fn step(&mut self, now: Timestamp) {
        self.version += 1;
        self.updated_at = now;
    }

    fn told(&self, changed: Vec<CustomerField>) -> CustomerUpdated {
        CustomerUpdated {
            customer_id: self.id,
            version: self.version,
            status: self.status(),
            region: self.region,
            changed,
            at: self.updated_at,
        }
    }
}

/// What a caller wants of the segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    Assign(BTreeSet<Segment>),
    Recalculate,
}

impl Wish {
    /// One of the two, not both, not none; `"recalculate": false` is as if it were left out.
    pub fn of(request: SetSegments) -> Result<Self, Refused> {
        match (request.segments, request.recalculate.unwrap_or(false)) {
            (Some(_), true) => Err(Refused::BothWays),
            (None, false) => Err(Refused::NoWay),
            (None, true) => Ok(Self::Recalculate),
            (Some(segments), false) if segments.len() > SetSegments::SEGMENTS_MAX => Err(Refused::TooManySegments),
            (Some(segments), false) => Ok(Self::Assign(segments.into_iter().collect())),
        }
    }
}

/// How a segment follows from orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentRules {
    /// From so many orders on a customer is a VIP.
    pub vip_orders: u32,
    /// Or from so much spent in one currency, in its minor unit. Sums of different currencies are not added: rates change, and with
    /// them the segment of somebody who did nothing.
    pub vip_spend_minor: BTreeMap<Currency, i64>,
}

impl SegmentRules {
    /// `VIP` by the rules; else `NEW` with no order, and `GENERAL` with some. Cancelled orders do not count.
    #[must_use]
    pub fn derive(&self, orders: u32, spent: &[Money]) -> DerivedSegment {
        let spent_enough = |sum: &Money| self.vip_spend_minor.get(&sum.currency).is_some_and(|enough| sum.amount >= *enough);
        if orders == 0 {
            DerivedSegment::New
        } else if orders >= self.vip_orders || spent.iter().any(spent_enough) {
            DerivedSegment::Vip
        } else {
            DerivedSegment::General
        }
    }
}

#[cfg(test)]
mod tests {
    use types::id::Uuid;

    use super::*;

    const BORN: Timestamp = Timestamp::from_seconds(1);
    const NOW: Timestamp = Timestamp::from_seconds(2);

    fn person(email: &str) -> Person {
        Person {
            email: Email::new(email).unwrap(),
            full_name: ShortText::new("Mai").unwrap(),
            phone: None,
            locale: Locale::of(Region::Us),
            addresses: Vec::new(),
        }
    }

    fn mai() -> Customer {
        Customer::new(CustomerId(Uuid::from_u128(1)), Region::Us, person("mai@example.com"), BORN).0
    }

    #[test]
    fn an_update_names_the_fields_that_differ_and_only_those() {
        let mut customer = mai();
        let told = customer.update(Region::Eu, person("ann@example.com"), NOW).unwrap().unwrap();
        assert_eq!(told.changed, [CustomerField::Email, CustomerField::Region]);
        assert_eq!((told.version, told.status, told.region, told.at), (2, CustomerStatus::Active, Region::Eu, NOW));
    }

    #[test]
    fn an_update_to_the_same_is_none() {
        let mut customer = mai();
        assert_eq!(customer.update(Region::Us, person("mai@example.com"), NOW), Ok(None));
        assert_eq!(customer, mai());
    }

    #[test]
    fn who_is_erased_is_gone_once_and_takes_nothing_new() {
        let mut customer = mai();
        customer.classify(BTreeSet::from([DerivedSegment::Vip.into()]), SegmentsBy::Assigned, NOW).unwrap();
        let told = customer.erase(NOW).unwrap();
        assert_eq!(told.status, CustomerStatus::Erased);
        assert_eq!(
            told.changed,
            [CustomerField::Email, CustomerField::FullName, CustomerField::Locale, CustomerField::Segments, CustomerField::Status]
        );
        assert_eq!((customer.person.clone(), customer.segments.len(), customer.version), (None, 0, 3));
        let erased = customer.clone();
        assert_eq!(customer.erase(NOW), None);
        assert_eq!(customer.update(Region::Eu, person("mai@example.com"), NOW), Err(Refused::Erased));
        assert_eq!(customer.classify(BTreeSet::new(), SegmentsBy::Assigned, NOW), Err(Refused::Erased));
        assert_eq!(customer, erased);
    }

    #[test]
    fn segments_follow_from_orders() {
        let rules = SegmentRules { vip_orders: 10, vip_spend_minor: BTreeMap::from([(Currency::Usd, 100_000)]) };
        let usd = |amount| Money::new(amount, Currency::Usd);
        for (orders, spent, segment) in [
            (0, vec![], DerivedSegment::New),
            (1, vec![usd(99_999)], DerivedSegment::General),
            (1, vec![usd(100_000)], DerivedSegment::Vip),
            (9, vec![Money::new(i64::MAX, Currency::Jpy)], DerivedSegment::General),
            (10, vec![usd(1)], DerivedSegment::Vip),
            (1, vec![Money::new(5, Currency::Eur), usd(i64::MAX)], DerivedSegment::Vip),
        ] {
            assert_eq!(rules.derive(orders, &spent), segment, "{orders} {spent:?}");
        }
    }

    #[test]
    fn a_wish_is_one_of_two() {
        let vip = || vec![Segment::from(DerivedSegment::Vip); 2];
        let wish = |segments, recalculate| Wish::of(SetSegments { segments, recalculate });
        assert_eq!(wish(Some(vip()), None), Ok(Wish::Assign(BTreeSet::from([DerivedSegment::Vip.into()]))));
        assert_eq!(wish(Some(vec![]), Some(false)), Ok(Wish::Assign(BTreeSet::new())));
        assert_eq!(wish(None, Some(true)), Ok(Wish::Recalculate));
        assert_eq!(wish(Some(vip()), Some(true)), Err(Refused::BothWays));
        assert_eq!(wish(None, None), Err(Refused::NoWay));
        assert_eq!(wish(None, Some(false)), Err(Refused::NoWay));
        assert_eq!(wish(Some(vec![DerivedSegment::Vip.into(); 21]), None), Err(Refused::TooManySegments));
    }
}
