//! What must always be true, checked from outside over audit facts. Each check is a pure function from facts to the rows that break it, and
//! each has a test with facts that hold and with planted wrong ones: a check that cannot fail is a defect.
//!
//! [`stock`] (I1, I18), [`holds`] (I2, I3), [`double_entry`] (I4), [`three_agree`] (I5), [`bounded`] (I6), [`replays`] (I7), [`kept`] (I8),
//! [`sagas`] (I9), [`steps`] (I10), [`outbox`] (I11), [`effects`] (I12), [`schemas`] (I14), [`sessions`] (I15), [`prices`] (I19), [`unique`]
//! (I20).

pub mod bounded;
pub mod double_entry;
pub mod effects;
pub mod holds;
pub mod kept;
pub mod outbox;
pub mod prices;
pub mod replays;
pub mod sagas;
pub mod schemas;
pub mod sessions;
pub mod steps;
pub mod stock;
pub mod three_agree;
pub mod unique;

use std::{collections::BTreeSet, time::Duration};

use serde::{Serialize, Serializer};

use crate::facts::{CLIENT_RECORD, Facts};

/// An invariant by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    I1,
    I2,
    I3,
    I4,
    I5,
    I6,
    I7,
    I8,
    I9,
    I10,
    I11,
    I12,
    I14,
    I15,
    I18,
    I19,
    I20,
}

impl Invariant {
    pub const ALL: [Self; 17] = [
        Self::I1,
        Self::I2,
        Self::I3,
        Self::I4,
        Self::I5,
        Self::I6,
        Self::I7,
        Self::I8,
        Self::I9,
        Self::I10,
        Self::I11,
        Self::I12,
        Self::I14,
        Self::I15,
        Self::I18,
        Self::I19,
        Self::I20,
    ];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::I1 => "I1",
            Self::I2 => "I2",
            Self::I3 => "I3",
            Self::I4 => "I4",
            Self::I5 => "I5",
            Self::I6 => "I6",
            Self::I7 => "I7",
            Self::I8 => "I8",
            Self::I9 => "I9",
            Self::I10 => "I10",
            Self::I11 => "I11",
            Self::I12 => "I12",
            Self::I14 => "I14",
            Self::I15 => "I15",
            Self::I18 => "I18",
            Self::I19 => "I19",
            Self::I20 => "I20",
        }
    }

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::I1 => "the stock identity",
            Self::I2 => "a hold ends once",
            Self::I3 => "a claim is fenced",
            Self::I4 => "double entry",
            Self::I5 => "three agree",
            Self::I6 => "money is bounded",
            Self::I7 => "a replay is idempotent",
            Self::I8 => "acknowledged means kept",
            Self::I9 => "the saga is atomic",
            Self::I10 => "legal steps",
            Self::I11 => "the outbox is complete",
            Self::I12 => "effect once, in order",
            Self::I14 => "the schema contract",
            Self::I15 => "sessions",
            Self::I18 => "within supply",
            Self::I19 => "the price is the price",
            Self::I20 => "one of each",
        }
    }

    #[must_use]
    pub const fn statement(self) -> &'static str {
        match self {
            Self::I1 => "the counters are the fold of the journal; received + adjusted + returned = available + held + claimed + shipped",
            Self::I2 => "each reservation ends exactly once: claimed, released or expired, in time",
            Self::I3 => "stock is claimed only while the hold is live, with its token",
            Self::I4 => "debits = credits in each entry and currency; of each event of the provider one entry, which stays as it was made",
            Self::I5 => {
                "one capture per authorization; of each order captured − refunded is the same for the provider, the books, the payment and the order"
            }
            Self::I6 => "refunds ≤ captured ≤ authorized",
            Self::I7 => "the same request under the same key within a day has the same answer, and one effect",
            Self::I8 => "whatever a client was told is done is there afterwards, whatever crashed",
            Self::I9 => "each order ends confirmed with stock and money, or cancelled with neither, in time",
            Self::I10 => "every change of a state is in the table, versions grow by one, nothing follows an end",
            Self::I11 => "every event that was committed is published in time, and no other is",
            Self::I12 => "of each topic and key a service takes every event once, in the order of the log; parked keys apart",
            Self::I14 => "every record's schema is registered and every registered reader decodes it; what is not so lies in quarantine",
            Self::I15 => "a session reads what it has written and never goes back to an older state",
            Self::I18 => "of each SKU no more is claimed and shipped than was received, adjusted and returned",
            Self::I19 => "what is charged is the quoted lines − discounts + tax + shipping, by quotes that held at the checkout",
            Self::I20 => "one order per cart, one live or claimed reservation per order, a coupon within its limit, one refund per credit",
        }
    }

    /// The collections without which it cannot be checked.
    #[must_use]
    pub const fn needs(self) -> &'static [&'static str] {
        match self {
            Self::I1 => &["stock", "movements"],
            Self::I2 | Self::I3 => &["reservations", "movements"],
            Self::I4 => &["ledger", "psp-truth"],
            Self::I5 => &["payments", "refunds", "ledger", "psp-truth", "orders"],
            Self::I6 => &["payments", "psp-truth"],
            Self::I7 => &["idempotency"],
            Self::I8 => &["carts", "orders", "payments", "reservations", "idempotency"],
            Self::I9 => &["orders", "order-lines", "reservations", "payments", "psp-truth"],
            Self::I10 => &["orders", "order-transitions", "payments", "payment-transitions"],
            Self::I11 => &["outbox", "events"],
            Self::I12 => &["inbox", "events", "consumers", "parked"],
            Self::I14 => &["events", "schemas"],
            Self::I15 => &[CLIENT_RECORD],
            Self::I18 => &["movements"],
            Self::I19 => &["orders", "order-lines", "carts", "cart-lines", "cart-events", "payments", "psp-truth"],
            Self::I20 => &["orders", "reservations", "credits", "payments", "refunds"],
        }
    }

    /// What it needs and these facts do not have.
    #[must_use]
    pub fn lacks(self, facts: &Facts) -> Vec<&'static str> {
        self.needs().iter().copied().filter(|name| facts.missing.contains(name)).collect()
    }

    /// The rows that break it; none when it holds.
    #[must_use]
    pub fn check(self, facts: &Facts, grace: &Grace) -> Vec<Breach> {
        let rows = match self {
            Self::I1 => stock::identity(facts, grace),
            Self::I2 => holds::ends_once(facts, grace),
            Self::I3 => holds::is_fenced(facts),
            Self::I4 => double_entry::balances(facts, grace),
            Self::I5 => three_agree::agree(facts, grace),
            Self::I6 => bounded::are_bounded(facts),
            Self::I7 => replays::are_idempotent(facts),
            Self::I8 => kept::acknowledged(facts),
            Self::I9 => sagas::is_atomic(facts, grace),
            Self::I10 => steps::are_legal(facts),
            Self::I11 => outbox::is_complete(facts, grace),
            Self::I12 => effects::once_in_order(facts, grace),
            Self::I14 => schemas::are_kept(facts, grace),
            Self::I15 => sessions::go_forward(facts),
            Self::I18 => stock::within_supply(facts),
            Self::I19 => prices::as_quoted(facts),
            Self::I20 => unique::one_of_each(facts, grace),
        };
        rows.into_iter().map(|(id, detail)| Breach { invariant: self, id, detail }).collect()
    }
}

impl std::fmt::Display for Invariant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Invariant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// For how long what is legally false for a while may be so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grace {
    /// After a hold has run out, until its end is noted.
    pub hold_end: Duration,
    /// After an order was made, until its saga has ended.
    pub saga: Duration,
    /// After a saga has ended, until what follows from events has followed.
    pub effects: Duration,
    /// After an event of the provider, until the books have it.
    pub books: Duration,
}

/// The longest wait between two questions about what the provider has not answered (`payment.inquiry_max_seconds`).
const LONGEST_INQUIRY: Duration = Duration::from_secs(600);
/// How long the answer to a question is waited for (`payment.psp_timeout_ms`).
const PATIENCE: Duration = Duration::from_secs(10);

impl Default for Grace {
    /// For the default settings: a payment may take 480 s, and is given up for good within a minute after that. What the provider does and
    /// whose answer is lost, is heard of with the next question at the latest, since each operation notes when to ask before it is asked
    /// for; so the books have it after the longest wait between two questions and the wait for the answer, as soon as what follows from
    /// events has followed.
    fn default() -> Self {
        let effects = Duration::from_secs(10);
        Self { hold_end: Duration::from_secs(60), saga: Duration::from_secs(600), effects, books: LONGEST_INQUIRY + PATIENCE + effects }
    }
}

impl Grace {
    /// Short ones, for when everything has come to rest: no order may be older than `longest` and ten minutes and still go on.
    #[must_use]
    pub fn settled(longest: Duration) -> Self {
        let second = Duration::from_secs(1);
        Self { hold_end: 5 * second, saga: longest + 600 * second, effects: second, books: second }
    }
}

/// One row that breaks an invariant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Breach {
    pub invariant: Invariant,
    /// The damaged row: a reservation, an order, a payment, `SKU@WAREHOUSE`.
    pub id: String,
    pub detail: String,
}

/// A damaged row and what is wrong with it.
type Row = (String, String);

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Findings {
    pub breaches: Vec<Breach>,
    /// What could not be checked, with the collections that the system does not export.
    pub unchecked: Vec<(Invariant, Vec<&'static str>)>,
}

impl Findings {
    /// The invariants that are broken.
    #[must_use]
    pub fn broken(&self) -> BTreeSet<Invariant> {
        self.breaches.iter().map(|breach| breach.invariant).collect()
    }

    pub fn of(&self, invariant: Invariant) -> impl Iterator<Item = &Breach> {
        self.breaches.iter().filter(move |breach| breach.invariant == invariant)
    }
}

/// Every invariant over these facts.
#[must_use]
pub fn check(facts: &Facts, grace: &Grace) -> Findings {
    let mut findings = Findings { breaches: Vec::new(), unchecked: Vec::new() };
    for invariant in Invariant::ALL {
        let missing = invariant.lacks(facts);
        if missing.is_empty() {
            findings.breaches.extend(invariant.check(facts, grace));
        } else {
            findings.unchecked.push((invariant, missing));
        }
    }
    findings
}

#[cfg(test)]
pub(crate) mod plant;
#[cfg(test)]
mod tests;
