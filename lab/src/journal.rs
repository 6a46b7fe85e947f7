//! The stock's journal, folded: what became of each hold, and what the counters must be. The journal is the truth that the counters are held
//! against, so nothing here looks at a counter.

use std::collections::BTreeMap;

use types::Timestamp;

use crate::facts::Movement;

/// A hold on one SKU in one warehouse, as the journal tells it.
#[derive(Clone, Debug)]
pub struct Life<'a> {
    pub reservation: &'a str,
    pub order: Option<&'a str>,
    pub quantity: i64,
    pub token: Option<i64>,
    pub begin: Timestamp,
    /// When it was to run out as it was made; extensions do not count.
    pub first_expiry: Timestamp,
    /// When it runs out, extensions included.
    pub expiry: Timestamp,
    /// Every movement that ended it: claim, release, expire. More than one is one too many.
    pub ends: Vec<&'a Movement>,
    /// What gave a claim back, or shipped it.
    pub afterwards: Vec<&'a Movement>,
}

impl<'a> Life<'a> {
    /// When it stopped holding: the first movement that ended it, or the moment at which it ran out if that came before.
    #[must_use]
    pub fn end(&self) -> Timestamp {
        self.ends.first().map_or(self.expiry, |end| end.at.min(self.expiry))
    }

    #[must_use]
    pub fn claim(&self) -> Option<&'a Movement> {
        self.ends.iter().copied().find(|end| end.kind == "claim")
    }

    /// Claimed after it had run out.
    #[must_use]
    pub fn is_claimed_late(&self) -> bool {
        self.claim().is_some_and(|claim| claim.at >= self.expiry)
    }

    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.begin <= now && now < self.end()
    }

    fn is_claimed(&self) -> bool {
        self.claim().is_some() && self.afterwards.is_empty()
    }
}

/// A hold by reservation, SKU and warehouse.
pub type Key<'a> = (&'a str, &'a str, &'a str);

/// What the counters of one SKU in one warehouse must be, by the journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fold {
    /// Received, adjusted and returned.
    pub supply: i64,
    pub claimed: i64,
    pub shipped: i64,
}

/// The whole journal, folded.
#[derive(Clone, Debug, Default)]
pub struct Journal<'a> {
    pub lives: BTreeMap<Key<'a>, Life<'a>>,
    /// By SKU and warehouse.
    pub folds: BTreeMap<(&'a str, &'a str), Fold>,
    /// Claims of what was never held.
    pub without_hold: Vec<&'a Movement>,
}

impl<'a> Journal<'a> {
    /// Folds the movements, in the order in which they were written.
    #[must_use]
    pub fn of(movements: &'a [Movement]) -> Self {
        let mut ordered: Vec<&Movement> = movements.iter().collect();
        ordered.sort_by_key(|movement| movement.seq);
        let mut journal = Self::default();
        for movement in ordered {
            journal.take(movement);
        }
        journal
    }

    fn take(&mut self, movement: &'a Movement) {
        let (sku, warehouse, quantity) = (movement.sku.as_str(), movement.warehouse.as_str(), movement.quantity);
        let fold = self.folds.entry((sku, warehouse)).or_default();
        let key = movement.reservation_id.as_deref().map(|reservation| (reservation, sku, warehouse));
        let life = key.and_then(|key| self.lives.get_mut(&key));
        match (movement.kind.as_str(), life) {
            ("receipt" | "adjust", _) => fold.supply += quantity,
            ("hold", None) => {
                if let Some(key) = key {
                    let expiry = movement.expires_at.unwrap_or(movement.at);
                    self.lives.insert(
                        key,
                        Life {
                            reservation: key.0,
                            order: movement.order_id.as_deref(),
                            quantity,
                            token: movement.fencing_token,
                            begin: movement.at,
                            first_expiry: expiry,
                            expiry,
                            ends: Vec::new(),
                            afterwards: Vec::new(),
                        },
                    );
                }
            }
            ("extend", Some(life)) if life.ends.is_empty() => life.expiry = movement.expires_at.unwrap_or(life.expiry),
            ("claim", life) => {
                fold.claimed += quantity;
                match life {
                    Some(life) => life.ends.push(movement),
                    None => self.without_hold.push(movement),
                }
            }
            // What was claimed goes back to the stock: the order was cancelled after its claim.
            ("release" | "return", Some(life)) if life.is_claimed() => {
                fold.claimed -= quantity;
                life.afterwards.push(movement);
            }
            ("release" | "expire", Some(life)) => life.ends.push(movement),
            ("ship", life) => {
                fold.claimed -= quantity;
                fold.shipped += quantity;
                if let Some(life) = life {
                    life.afterwards.push(movement);
                }
            }
            // Goods that had left and came back.
            ("return", _) => fold.supply += quantity,
            _ => {}
        }
    }
}
