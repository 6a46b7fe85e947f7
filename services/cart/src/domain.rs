//! What a cart is and may do. Pure: no I/O, no clock, no chance; a refusal is a value.
//!
//! A change comes in two halves, because prices are somebody else's: [`Cart::after`] says what the cart would hold ([`Wanted`]), pricing
//! says what that costs, and [`Cart::repriced`] is the cart that comes of both.

use std::time::Duration;

use cart_api::{
    Cart as View, CartItem, CartStatus, QuoteSnapshot,
    events::{CartCheckedOut, CheckedOutLine},
};
use pricing_api::{CartLine, PricedCart};
use types::{CartId, Currency, CustomerId, Money, Quantity, Region, Sku, Timestamp, states};

/// How many different SKUs a cart holds at most.
pub const MAX_LINES: usize = 100;

#[derive(Clone, Debug, PartialEq)]
pub struct Cart {
    pub id: CartId,
    pub customer_id: Option<CustomerId>,
    pub session_token: String,
    pub status: CartStatus,
    pub region: Region,
    pub currency: Currency,
    pub coupon: Option<Sku>,
    /// In the order in which they were first added; each SKU once.
    pub items: Vec<CartItem>,
    /// In minor units of `currency`.
    pub totals: Totals,
    pub version: i64,
    pub expires_at: Timestamp,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// total = subtotal − discounts + tax + shipping
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub subtotal: i64,
    pub discounts: i64,
    pub tax: i64,
    pub shipping: i64,
    pub total: i64,
}

/// What somebody wants done to an open cart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Quantities of the same SKU add up.
    Add(CartLine),
    SetQuantity(CartLine),
    Remove(Sku),
    ApplyCoupon(Sku),
    RemoveCoupon,
}

/// What a cart should hold, before it is known what that costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub lines: Vec<CartLine>,
    pub coupon: Option<Sku>,
}

/// Why the cart does not do what it is asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the cart is checked out")]
    CheckedOut,
    #[error("the cart has expired")]
    Expired,
    #[error("the cart is empty")]
    Empty,
    #[error("there is no {0} in this cart")]
    NoSuchItem(Sku),
    #[error("there is no coupon on this cart")]
    NoCoupon,
    #[error("a line holds at most {max} units, and {present} are in the cart already", max = Quantity::MAX)]
    TooMany { present: u32 },
    #[error("a cart holds at most {MAX_LINES} different SKUs")]
    TooManyLines,
}

/// Pricing's answer is not to what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Misquoted(pub &'static str);

/// When something happens, and how long an open cart lives from then on.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    pub now: Timestamp,
    pub ttl: Duration,
}

types::words! {
    /// What happened to a cart, for its own log.
    Step {
        Created = "created",
        ItemAdded = "item-added",
        QuantitySet = "quantity-set",
        ItemRemoved = "item-removed",
        /// Pricing no longer knew it when something else was removed.
        ItemDropped = "item-dropped",
        CouponApplied = "coupon-applied",
        CouponRemoved = "coupon-removed",
        /// It was no longer valid when the cart was priced again.
        CouponDropped = "coupon-dropped",
        Repriced = "repriced",
        CheckedOut = "checked-out",
        Expired = "expired",
        Erased = "erased",
    }
}

/// One entry of the log, as far as it is not the cart's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    pub step: Step,
    pub sku: Option<Sku>,
    pub quantity: Option<Quantity>,
    pub coupon: Option<Sku>,
}

impl Note {
    #[must_use]
    pub const fn of(step: Step) -> Self {
        Self { step, sku: None, quantity: None, coupon: None }
    }

    #[must_use]
    pub fn item(step: Step, sku: &Sku, quantity: Option<Quantity>) -> Self {
        Self { sku: Some(sku.clone()), quantity, ..Self::of(step) }
    }

    #[must_use]
    pub fn coupon(step: Step, code: Option<&Sku>) -> Self {
        Self { coupon: code.cloned(), ..Self::of(step) }
    }
}

impl Change {
    /// The SKU that it is about.
    #[must_use]
    pub const fn sku(&self) -> Option<&Sku> {
        match self {
            Self::Add(line) | Self::SetQuantity(line) => Some(&line.sku),
            Self::Remove(sku) => Some(sku),
            Self::ApplyCoupon(_) | Self::RemoveCoupon => None,
        }
    }

    /// What the log says of it.
    #[must_use]
    pub fn note(&self, cart: &Cart) -> Note {
        match self {
            Self::Add(line) => Note::item(Step::ItemAdded, &line.sku, Some(line.quantity)),
            Self::SetQuantity(line) => Note::item(Step::QuantitySet, &line.sku, Some(line.quantity)),
            Self::Remove(sku) => Note::item(Step::ItemRemoved, sku, None),
            Self::ApplyCoupon(code) => Note::coupon(Step::CouponApplied, Some(code)),
            Self::RemoveCoupon => Note::coupon(Step::CouponRemoved, cart.coupon.as_ref()),
        }
    }
}

impl Cart {
    /// An empty cart.
    #[must_use]
    pub fn new(id: CartId, customer_id: Option<CustomerId>, session_token: String, place: (Region, Currency), at: Moment) -> Self {
        Self {
            id,
            customer_id,
            session_token,
            status: CartStatus::Open,
            region: place.0,
            currency: place.1,
            coupon: None,
            items: Vec::new(),
            totals: Totals::default(),
            version: 1,
            expires_at: at.now.plus(at.ttl),
            created_at: at.now,
            updated_at: at.now,
        }
    }

    /// Whether it is open on paper and its time is over.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.status == CartStatus::Open && self.expires_at <= now
    }

    /// A cart that is not open refuses whatever would change it. One whose time is over has expired, whether or not that was noted yet.
    pub fn check_open(&self, now: Timestamp) -> Result<(), Refusal> {
        match self.status {
            CartStatus::CheckedOut => Err(Refusal::CheckedOut),
            CartStatus::Expired => Err(Refusal::Expired),
            CartStatus::Open if self.is_due(now) => Err(Refusal::Expired),
            CartStatus::Open => Ok(()),
        }
    }

    /// What it holds.
    #[must_use]
    pub fn wanted(&self) -> Wanted {
        let lines = self.items.iter().map(|item| CartLine { sku: item.sku.clone(), quantity: item.quantity }).collect();
        Wanted { lines, coupon: self.coupon.clone() }
    }

    /// What it would hold after this change.
    pub fn after(&self, change: &Change, now: Timestamp) -> Result<Wanted, Refusal> {
        self.check_open(now)?;
        let mut wanted = self.wanted();
        let place = |sku: &Sku| self.items.iter().position(|item| item.sku == *sku);
        match change {
            Change::Add(line) => match place(&line.sku) {
                Some(at) => {
                    let present = wanted.lines[at].quantity.get();
                    let sum = present.checked_add(line.quantity.get()).and_then(|sum| Quantity::new(sum).ok());
                    wanted.lines[at].quantity = sum.ok_or(Refusal::TooMany { present })?;
                }
                None if wanted.lines.len() >= MAX_LINES => return Err(Refusal::TooManyLines),
                None => wanted.lines.push(line.clone()),
            },
            Change::SetQuantity(line) => {
                let at = place(&line.sku).ok_or_else(|| Refusal::NoSuchItem(line.sku.clone()))?;
                wanted.lines[at].quantity = line.quantity;
            }
            Change::Remove(sku) => {
                let at = place(sku).ok_or_else(|| Refusal::NoSuchItem(sku.clone()))?;
                wanted.lines.remove(at);
            }
            // What a coupon is worth, or whether it is anything at all, shows only on goods.
            Change::ApplyCoupon(_) if self.items.is_empty() => return Err(Refusal::Empty),
            Change::ApplyCoupon(code) => wanted.coupon = Some(code.clone()),
            Change::RemoveCoupon if self.coupon.is_none() => return Err(Refusal::NoCoupon),
            Change::RemoveCoupon => wanted.coupon = None,
        }
        Ok(wanted)
    }

    /// Its next version: what was wanted, at the prices that were quoted for it. An empty cart costs nothing and is not quoted.
    pub fn repriced(&self, wanted: Wanted, priced: Option<&PricedCart>, at: Moment) -> Result<Self, Misquoted> {
        let (items, totals) = match priced {
            None if wanted.lines.is_empty() => (Vec::new(), Totals::default()),
            None => return Err(Misquoted("there are goods without a quote")),
            Some(priced) => (quoted_items(&wanted, priced, self.currency)?, quoted_totals(priced, self.currency)?),
        };
        Ok(Self {
            coupon: wanted.coupon,
            items,
            totals,
            version: self.version + 1,
            expires_at: at.now.plus(at.ttl),
            updated_at: at.now,
            ..self.clone()
        })
    }

    /// Whether a price in it holds no longer.
    #[must_use]
    pub fn has_expired_quote(&self, now: Timestamp) -> bool {
        self.items.iter().any(|item| item.quote.valid_until <= now)
    }

    /// Whether it can be checked out, prices apart.
    pub fn check_closable(&self, now: Timestamp) -> Result<(), Refusal> {
        self.check_open(now)?;
        if self.items.is_empty() { Err(Refusal::Empty) } else { Ok(()) }
    }

    /// Its next version, checked out; `before` is the one that is stored, from which this one may differ by its prices.
    pub fn closed(&self, before: &Self, now: Timestamp) -> Result<Self, Refusal> {
        before.check_closable(now)?;
        if !states::allows("cart", before.status, CartStatus::CheckedOut) {
            return Err(Refusal::CheckedOut);
        }
        Ok(Self {
            status: CartStatus::CheckedOut,
            version: before.version + 1,
            // Nothing extends the life of a cart that is done with.
            expires_at: before.expires_at,
            updated_at: now,
            ..self.clone()
        })
    }

    /// The event that tells of its checkout.
    #[must_use]
    pub fn checked_out(&self) -> CartCheckedOut {
        let line = |item: &CartItem| CheckedOutLine { sku: item.sku.clone(), quantity: item.quantity, unit_price: item.unit_price };
        CartCheckedOut {
            cart_id: self.id,
            customer_id: self.customer_id,
            total: self.money(self.totals.total),
            lines: self.items.iter().map(line).collect(),
            version: self.version,
            at: self.updated_at,
        }
    }

    #[must_use]
    pub fn item(&self, sku: &Sku) -> Option<&CartItem> {
        self.items.iter().find(|item| item.sku == *sku)
    }

    #[must_use]
    pub const fn money(&self, amount: i64) -> Money {
        Money::new(amount, self.currency)
    }

    /// The cart as others see it.
    #[must_use]
    pub fn view(&self) -> View {
        View {
            id: self.id,
            customer_id: self.customer_id,
            session_token: self.session_token.clone(),
            status: self.status,
            region: self.region,
            currency: self.currency,
            coupon: self.coupon.clone(),
            items: self.items.clone(),
            subtotal: self.money(self.totals.subtotal),
            discounts: self.money(self.totals.discounts),
            tax: self.money(self.totals.tax),
            shipping: self.money(self.totals.shipping),
            total: self.money(self.totals.total),
            version: self.version,
            expires_at: self.expires_at,
        }
    }
}

fn quoted_items(wanted: &Wanted, priced: &PricedCart, currency: Currency) -> Result<Vec<CartItem>, Misquoted> {
    if priced.lines.len() != wanted.lines.len() {
        return Err(Misquoted("it quotes another number of lines than it was asked for"));
    }
    let mut items = Vec::with_capacity(wanted.lines.len());
    for (line, quoted) in wanted.lines.iter().zip(&priced.lines) {
        if (&quoted.sku, quoted.quantity) != (&line.sku, line.quantity) {
            return Err(Misquoted("it quotes another line than it was asked for"));
        }
        if [quoted.unit_price, quoted.list_price, quoted.discount, quoted.tax].iter().any(|money| money.currency != currency) {
            return Err(Misquoted("it quotes in another currency than it was asked for"));
        }
        items.push(CartItem {
            sku: line.sku.clone(),
            quantity: line.quantity,
            unit_price: quoted.unit_price,
            discount: quoted.discount,
            tax: quoted.tax,
            quote: QuoteSnapshot { list_price: quoted.list_price, quoted_at: priced.quoted_at, valid_until: priced.valid_until },
        });
    }
    Ok(items)
}

fn quoted_totals(priced: &PricedCart, currency: Currency) -> Result<Totals, Misquoted> {
    let sum = priced.subtotal.minus(priced.discounts).and_then(|sum| sum.plus(priced.tax)).and_then(|sum| sum.plus(priced.shipping));
    if sum != Ok(priced.total) || priced.total.currency != currency || priced.total.amount < 0 {
        return Err(Misquoted("its total is not the sum of its parts"));
    }
    Ok(Totals {
        subtotal: priced.subtotal.amount,
        discounts: priced.discounts.amount,
        tax: priced.tax.amount,
        shipping: priced.shipping.amount,
        total: priced.total.amount,
    })
}

#[cfg(test)]
mod tests;
