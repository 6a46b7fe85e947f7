//! What came of a run: the counts, a digest of what was planned (two systems that were given the same data show the same digests), and the
//! directory that later work needs to act as these people.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use types::{Address, CartId, Currency, CustomerId, Region, Sku};

use crate::plan::DataSet;

/// The kinds of things, in the order in which they are made: each needs only those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Categories,
    Products,
    Prices,
    Rules,
    Promotions,
    Stock,
    Customers,
    Carts,
}

impl Kind {
    pub const ALL: [Self; 8] =
        [Self::Categories, Self::Products, Self::Prices, Self::Rules, Self::Promotions, Self::Stock, Self::Customers, Self::Carts];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Categories => "categories",
            Self::Products => "products",
            Self::Prices => "prices",
            Self::Rules => "rules",
            Self::Promotions => "promotions",
            Self::Stock => "stock",
            Self::Customers => "customers",
            Self::Carts => "carts",
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// Told after each row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is being made at the moment.
    pub kind: Kind,
    /// Rows of all kinds that are done, and that there are.
    pub done: u64,
    pub planned: u64,
}

/// What a run says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    pub seed: u64,
    pub scale: f64,
    pub kinds: Vec<Counts>,
}

impl Manifest {
    /// Rows of all kinds.
    #[must_use]
    pub fn planned(&self) -> u64 {
        self.kinds.iter().map(|counts| counts.planned).sum()
    }

    /// Rows that this run made or finished: 0 when everything was there.
    #[must_use]
    pub fn changed(&self) -> u64 {
        self.kinds.iter().map(|counts| counts.created + counts.completed).sum()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    pub kind: Kind,
    pub planned: u64,
    pub created: u64,
    /// Found half made (an earlier run was cut off) and finished.
    pub completed: u64,
    pub found: u64,
    /// SHA-256 over the natural content, in hex: no id, no time of the system.
    pub digest: String,
}

/// What a run leaves in the hand.
#[derive(Clone, Debug)]
pub struct Seeded {
    pub manifest: Manifest,
    pub directory: Directory,
}

/// The ids behind the natural keys, for those who act as these people.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    pub customers: Vec<Customer>,
    /// What is sold, the most popular first.
    pub skus: Vec<Sku>,
    pub sessions: Vec<Session>,
    /// Coupons that anybody may use, as often as they like.
    pub coupons: Vec<Sku>,
}

#[derive(Clone, Debug)]
pub struct Customer {
    pub id: CustomerId,
    pub region: Region,
    pub currency: Currency,
    /// IANA: `Asia/Ho_Chi_Minh`.
    pub time_zone: &'static str,
    pub address: Address,
}

#[derive(Clone, Debug)]
pub struct Session {
    pub token: Sku,
    pub cart_id: CartId,
}

/// The digest of each kind, in [`Kind::ALL`]'s order. It depends on the seed and the scale only.
#[must_use]
pub fn digests(data: &DataSet) -> Vec<(Kind, u64, String)> {
    let of = |kind| match kind {
        Kind::Categories => digest(&data.categories),
        Kind::Products => digest(&data.products),
        Kind::Prices => digest(&data.prices),
        Kind::Rules => digest(&data.rules),
        Kind::Promotions => digest(&data.promotions),
        Kind::Stock => digest(&data.stock),
        Kind::Customers => digest(&data.customers),
        Kind::Carts => digest(&data.carts),
    };
    Kind::ALL
        .into_iter()
        .map(|kind| {
            let (planned, digest) = of(kind);
            (kind, planned, digest)
        })
        .collect()
}

/// One line of JSON for each row, its fields in the order in which the type declares them.
fn digest(rows: &[impl Serialize]) -> (u64, String) {
    let mut hasher = Sha256::new();
    for row in rows {
        hasher.update(serde_json::to_vec(row).unwrap_or_default());
        hasher.update(b"\n");
    }
    (rows.len() as u64, hex::encode(hasher.finalize()))
}
