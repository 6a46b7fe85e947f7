//! Every query of customer-service. A save is a compare-and-set on the version: who has read an older one saves nothing.

pub mod erasure;

use std::collections::BTreeMap;

use customer_api::{CustomerAddress, CustomerStatus, Segment};
use platform::{
    db::{DbError, FromRow, Row, Tx},
    values,
};
use types::{CustomerId, Email, place::Country};

use crate::domain::{Customer, Person};

const COLUMNS: &str = "seq, id, email, full_name, phone, locale, region, version, created_at, updated_at";

/// A customer without addresses and segments.
struct Head(i64, Customer);

impl FromRow for Head {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        // An erased customer has no address of any kind, and only an erased one.
        let person = match row.get::<Option<String>>("email")? {
            None => None,
            Some(_) => Some(Person {
                email: row.parse("email")?,
                full_name: row.parse("full_name")?,
                phone: match row.get::<Option<String>>("phone")? {
                    None => None,
                    Some(_) => Some(row.parse("phone")?),
                },
                locale: row.parse("locale")?,
                addresses: Vec::new(),
            }),
        };
        let region: String = row.get("region")?;
        let told = || DbError::Column { column: "region".into(), reason: "is no region".into() };
        Ok(Self(
            row.get("seq")?,
            Customer {
                id: row.id("id")?,
                region: types::Region::from_code(&region).ok_or_else(told)?,
                segments: std::collections::BTreeSet::new(),
                person,
                version: row.get("version")?,
                created_at: row.get("created_at")?,
                updated_at: row.get("updated_at")?,
            },
        ))
    }
}

struct AddressRow(CustomerId, CustomerAddress);

impl FromRow for AddressRow {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        let wrong = |reason: &str| DbError::Column { column: "country".into(), reason: reason.into() };
        let line2: Option<String> = row.get("line2")?;
        Ok(Self(
            row.id("customer_id")?,
            CustomerAddress {
                label: row.parse("label")?,
                line1: row.parse("line1")?,
                line2: line2.is_some().then(|| row.parse("line2")).transpose()?,
                city: row.parse("city")?,
                postal_code: row.parse("postal_code")?,
                country: Country::try_from(row.get::<String>("country")?).map_err(wrong)?,
            },
        ))
    }
}

struct SegmentRow(CustomerId, Segment);

impl FromRow for SegmentRow {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        Ok(Self(row.id("customer_id")?, row.parse("segment")?))
    }
}

/// A new customer. Says whether its e-mail address was free.
pub async fn insert(tx: &mut Tx<'_>, customer: &Customer) -> Result<bool, DbError> {
    let person = customer.person.as_ref();
    let inserted = tx
        .insert_new(
            "INSERT INTO customer_profiles (id, email, full_name, phone, locale, region, status, version, created_at, updated_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            values![
                customer.id,
                person.map(|person| person.email.clone()),
                person.map(|person| person.full_name.clone()),
                phone(person),
                locale(person),
                customer.region,
                customer.status().as_str(),
                customer.version,
                customer.created_at,
                customer.updated_at
            ],
        )
        .await?;
    if inserted {
        write_parts(tx, customer).await?;
    }
    Ok(inserted)
}

/// Saves a customer as a whole. Says whether the version was still the one before; an e-mail address that is another's is
/// [`DbError::Unique`].
pub async fn save(tx: &mut Tx<'_>, customer: &Customer) -> Result<bool, DbError> {
    let person = customer.person.as_ref();
    let changed = tx
        .execute(
            "UPDATE customer_profiles SET email = ?, full_name = ?, phone = ?, locale = ?, region = ?, status = ?, version = ?, updated_at = ?
             WHERE id = ? AND version = ?",
            values![
                person.map(|person| person.email.clone()),
                person.map(|person| person.full_name.clone()),
                phone(person),
                locale(person),
                customer.region,
                customer.status().as_str(),
                customer.version,
                customer.updated_at,
                customer.id,
                customer.version - 1
            ],
        )
        .await?;
    if changed == 1 {
        tx.execute("DELETE FROM customer_addresses WHERE customer_id = ?", values![customer.id]).await?;
        tx.execute("DELETE FROM customer_segments WHERE customer_id = ?", values![customer.id]).await?;
        write_parts(tx, customer).await?;
    }
    Ok(changed == 1)
}

async fn write_parts(tx: &mut Tx<'_>, customer: &Customer) -> Result<(), DbError> {
    let addresses = customer.person.iter().flat_map(|person| &person.addresses);
    for (position, address) in (0_i64..).zip(addresses) {
        tx.execute(
            "INSERT INTO customer_addresses (customer_id, position, label, line1, line2, city, postal_code, country)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            values![
                customer.id,
                position,
                &address.label,
                &address.line1,
                address.line2.clone(),
                &address.city,
                &address.postal_code,
                address.country.as_str()
            ],
        )
        .await?;
    }
    for segment in &customer.segments {
        let insert = "INSERT INTO customer_segments (customer_id, segment) VALUES (?, ?)";
        tx.execute(insert, values![customer.id, segment.as_str()]).await?;
    }
    Ok(())
}

pub async fn by_id(tx: &mut Tx<'_>, id: CustomerId) -> Result<Option<Customer>, DbError> {
    let query = format!("SELECT {COLUMNS} FROM customer_profiles WHERE id = ?");
    let Some(Head(_, mut customer)) = tx.fetch_optional::<Head>(&query, values![id]).await? else { return Ok(None) };
    let query = "SELECT customer_id, label, line1, line2, city, postal_code, country FROM customer_addresses
                 WHERE customer_id = ? ORDER BY position";
    let addresses = tx.fetch_all::<AddressRow>(query, values![id]).await?;
    if let Some(person) = &mut customer.person {
        person.addresses = addresses.into_iter().map(|AddressRow(_, address)| address).collect();
    }
    let query = "SELECT customer_id, segment FROM customer_segments WHERE customer_id = ?";
    customer.segments = tx.fetch_all::<SegmentRow>(query, values![id]).await?.into_iter().map(|SegmentRow(_, segment)| segment).collect();
    Ok(Some(customer))
}

/// Customers who are not erased, from behind `after` on, in the order in which they were made; with `email`, the one who has it.
pub async fn list(tx: &mut Tx<'_>, email: Option<&Email>, after: i64, limit: u32) -> Result<Vec<(i64, Customer)>, DbError> {
    let mut heads: Vec<Head> = match email {
        Some(email) => {
            let query = format!("SELECT {COLUMNS} FROM customer_profiles WHERE email = ? AND seq > ? LIMIT ?");
            tx.fetch_all(&query, values![email, after, limit]).await?
        }
        None => {
            let query = format!("SELECT {COLUMNS} FROM customer_profiles WHERE status = ? AND seq > ? ORDER BY seq LIMIT ?");
            tx.fetch_all(&query, values![CustomerStatus::Active.as_str(), after, limit]).await?
        }
    };
    let (Some(first), Some(last)) = (heads.first().map(|head| head.0), heads.last().map(|head| head.0)) else { return Ok(Vec::new()) };
    let mut addresses: BTreeMap<CustomerId, Vec<CustomerAddress>> = BTreeMap::new();
    // As many as the page has customers, times what one may have.
    let query = "SELECT a.customer_id, a.label, a.line1, a.line2, a.city, a.postal_code, a.country
                 FROM customer_profiles p JOIN customer_addresses a ON a.customer_id = p.id
                 WHERE p.seq BETWEEN ? AND ? ORDER BY p.seq, a.position";
    for AddressRow(id, address) in tx.fetch_all(query, values![first, last]).await? {
        addresses.entry(id).or_default().push(address);
    }
    let mut segments = segments_between(tx, first, last).await?;
    for Head(_, customer) in &mut heads {
        if let Some(person) = &mut customer.person {
            person.addresses = addresses.remove(&customer.id).unwrap_or_default();
        }
        customer.segments = segments.remove(&customer.id).unwrap_or_default().into_iter().collect();
    }
    Ok(heads.into_iter().map(|Head(seq, customer)| (seq, customer)).collect())
}

/// The segments of the customers between two places in their order, both included.
pub async fn segments_between(tx: &mut Tx<'_>, first: i64, last: i64) -> Result<BTreeMap<CustomerId, Vec<Segment>>, DbError> {
    let query = "SELECT s.customer_id, s.segment FROM customer_profiles p JOIN customer_segments s ON s.customer_id = p.id
                 WHERE p.seq BETWEEN ? AND ? ORDER BY p.seq, s.segment";
    let mut all: BTreeMap<CustomerId, Vec<Segment>> = BTreeMap::new();
    for SegmentRow(id, segment) in tx.fetch_all(query, values![first, last]).await? {
        all.entry(id).or_default().push(segment);
    }
    Ok(all)
}

fn phone(person: Option<&Person>) -> Option<String> {
    person.and_then(|person| person.phone.clone()).map(String::from)
}

fn locale(person: Option<&Person>) -> Option<String> {
    person.map(|person| person.locale.as_str().to_owned())
}
