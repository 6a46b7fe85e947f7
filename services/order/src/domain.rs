//! What an order is and may do. Pure: no I/O, no clock, no chance; a refusal is a value.

use order_api::{
    OrderItem, OrderStatus,
    events::{OrderCreated, OrderLine, OrderStatusChanged},
};
use payment_api::PaymentStatus;
use types::{Address, CartId, Currency, CustomerId, Money, OrderId, PaymentId, Region, Timestamp, states};

#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    pub id: OrderId,
    pub cart_id: CartId,
    pub customer_id: Option<CustomerId>,
    /// Of an order without a customer: the digest of the token of the shopping session that it came from.
    pub guest_session: Option<String>,
    pub region: Region,
    pub currency: Currency,
    pub status: OrderStatus,
    pub items: Vec<OrderItem>,
    /// In minor units, all in `currency`: total = subtotal − discounts + tax + shipping.
    pub totals: Totals,
    pub payment_id: Option<PaymentId>,
    pub payment_status: Option<String>,
    /// What has gone back of the payment, as far as was heard; in minor units.
    pub payment_refunded: i64,
    /// The version of the payment of which these are.
    pub payment_version: i64,
    /// Gone once the customer was erased.
    pub shipping_address: Option<Address>,
    pub cancel_note: Option<String>,
    /// The `Idempotency-Key` that made it.
    pub request_token: String,
    pub version: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Totals {
    pub subtotal: i64,
    pub discounts: i64,
    pub tax: i64,
    pub shipping: i64,
    pub total: i64,
}

/// What is heard of an order's payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    pub payment: PaymentId,
    pub status: PaymentStatus,
    /// In minor units.
    pub refunded: i64,
    pub version: i64,
}

/// A step that the table does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an order that is {from} cannot become {to}")]
pub struct Forbidden {
    pub from: OrderStatus,
    pub to: OrderStatus,
}

impl Order {
    /// The events that tell of a new order.
    #[must_use]
    pub fn created(&self) -> (OrderCreated, OrderStatusChanged) {
        let lines = self
            .items
            .iter()
            .map(|item| OrderLine { sku: item.sku.clone(), quantity: item.quantity, unit_price: item.unit_price })
            .collect();
        let created = OrderCreated {
            order_id: self.id,
            cart_id: self.cart_id,
            customer_id: self.customer_id,
            region: self.region,
            lines,
            total: self.money(self.totals.total),
            at: self.created_at,
        };
        (created, self.told(None, None))
    }

    /// Takes a step of its life, or refuses and changes nothing.
    pub fn become_(&mut self, to: OrderStatus, reason: Option<&str>, now: Timestamp) -> Result<OrderStatusChanged, Forbidden> {
        if !states::allows("order", self.status, to) {
            return Err(Forbidden { from: self.status, to });
        }
        let previous = std::mem::replace(&mut self.status, to);
        self.version += 1;
        self.updated_at = now;
        Ok(self.told(Some(previous), reason))
    }

    /// Takes what is heard of its payment, unless something newer was heard before.
    pub fn hear(&mut self, heard: &Heard) {
        if heard.version > self.payment_version {
            self.payment_id = Some(heard.payment);
            self.payment_status = Some(heard.status.to_string());
            (self.payment_refunded, self.payment_version) = (heard.refunded, heard.version);
        }
    }

    /// Whether something may be given back of what was paid for it: it was paid, and goes on.
    #[must_use]
    pub fn can_be_credited(&self) -> bool {
        use OrderStatus::{Closed, Confirmed, Delivered, FulfilledReady, Shipped};
        matches!(self.status, Confirmed | FulfilledReady | Shipped | Delivered | Closed)
            && self.payment_status.as_deref().is_some_and(|status| ["CAPTURED", "PARTIALLY_REFUNDED"].contains(&status))
    }

    /// Whether a customer may still cancel it.
    #[must_use]
    pub fn can_be_cancelled(&self) -> bool {
        states::allows("order", self.status, OrderStatus::Cancelled)
    }

    #[must_use]
    pub const fn money(&self, amount: i64) -> Money {
        Money::new(amount, self.currency)
    }

    fn told(&self, previous: Option<OrderStatus>, reason: Option<&str>) -> OrderStatusChanged {
        OrderStatusChanged {
            order_id: self.id,
            customer_id: self.customer_id,
            previous,
            status: self.status,
            reason: reason.map(str::to_owned),
            version: self.version,
            at: self.updated_at,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use types::{Quantity, Sku, id::Uuid};

    use super::*;

    pub fn order() -> Order {
        Order {
            id: OrderId(Uuid::from_u128(1)),
            cart_id: CartId(Uuid::from_u128(2)),
            customer_id: None,
            guest_session: None,
            region: Region::Us,
            currency: Currency::Usd,
            status: OrderStatus::Pending,
            items: vec![OrderItem { sku: Sku::new("LAMP").unwrap(), quantity: Quantity::ONE, unit_price: Money::new(1999, Currency::Usd) }],
            totals: Totals { subtotal: 1999, discounts: 0, tax: 0, shipping: 0, total: 1999 },
            payment_id: None,
            payment_status: None,
            payment_refunded: 0,
            payment_version: 0,
            shipping_address: None,
            cancel_note: None,
            request_token: "k".into(),
            version: 1,
            created_at: Timestamp::from_seconds(1),
            updated_at: Timestamp::from_seconds(1),
        }
    }

    #[test]
    fn a_step_raises_the_version_and_tells_both_ends() {
        let mut order = order();
        let told = order.become_(OrderStatus::Reserved, None, Timestamp::from_seconds(2)).unwrap();
        assert_eq!((told.previous, told.status, told.version), (Some(OrderStatus::Pending), OrderStatus::Reserved, 2));
        assert_eq!(order.updated_at, Timestamp::from_seconds(2));
    }

    #[test]
    fn a_forbidden_step_changes_nothing() {
        let mut order = order();
        let before = order.clone();
        let refused = order.become_(OrderStatus::Confirmed, None, Timestamp::from_seconds(2));
        assert_eq!(refused, Err(Forbidden { from: OrderStatus::Pending, to: OrderStatus::Confirmed }));
        assert_eq!(order, before);
    }

    #[test]
    fn what_has_left_cannot_be_cancelled() {
        for (status, may) in [(OrderStatus::FulfilledReady, true), (OrderStatus::Shipped, false), (OrderStatus::Cancelled, false)] {
            assert_eq!(Order { status, ..order() }.can_be_cancelled(), may, "{status}");
        }
    }
}
