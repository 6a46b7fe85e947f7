//! What a buyer does: a cart, one to three things, perhaps a coupon, the checkout, and then looking at the order until it has settled.
//! Every call is timed. Nothing is tried twice: what a buyer is refused is what the load is there to count.

use std::{future::Future, time::Duration};

use cart_api::{ApplyCoupon, Checkout, CreateCart, MethodKind, PaymentMethod};
use order_api::{CancelReason, OrderStatus, TimelineEntry};
use platform::Clock;
use seed::{Answer, Call, Shop};
use serde::{Serialize, de::DeserializeOwned};
use types::{CartId, Money, OrderId, Region, Sku, Timestamp};

use crate::buyer::Buyer;

types::words! {
    /// One call of a journey.
    Step {
        CreateCart = "create-cart",
        AddItem = "add-item",
        ApplyCoupon = "apply-coupon",
        Checkout = "checkout",
        ReadOrder = "read-order",
    }
}

/// How long one call took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Timing {
    pub step: Step,
    /// After the journey's beginning.
    pub started_micros: u64,
    pub took_micros: u64,
    /// 0 when there was no answer.
    pub status: u16,
}

/// How a journey ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Ending {
    /// The cart was left standing, as it was meant to be.
    Abandoned,
    /// The order is ready, or cancelled (then with the reason).
    Settled {
        status: OrderStatus,
        reason: Option<String>,
    },
    /// The buyer's patience ended first.
    Unsettled {
        status: OrderStatus,
    },
    Refused {
        step: Step,
        status: u16,
        slug: String,
        detail: String,
    },
    Unreachable {
        step: Step,
        reason: String,
    },
    /// An answer that is not as the contract says.
    Unreadable {
        step: Step,
    },
}

impl Ending {
    /// One word to count by: the order's state, or what kept it from having one.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Abandoned => "ABANDONED",
            Self::Settled { status, .. } => status.as_str(),
            Self::Unsettled { .. } => "UNSETTLED",
            Self::Refused { .. } => "REFUSED",
            Self::Unreachable { .. } => "UNREACHABLE",
            Self::Unreadable { .. } => "UNREADABLE",
        }
    }
}

/// A journey that is over.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    pub buyer: u64,
    pub region: Region,
    pub order_id: Option<OrderId>,
    pub ending: Ending,
    pub timeline: Vec<TimelineEntry>,
    pub total: Option<Money>,
    /// The slug with which the coupon was refused; the journey went on without it.
    pub coupon_refused: Option<String>,
    /// From the beginning to the checkout's answer.
    pub answered_micros: Option<u64>,
    /// From the beginning to the look at which the order had settled.
    pub settled_micros: Option<u64>,
    pub calls: Vec<Timing>,
}

/// How a buyer reaches a shop.
#[derive(Debug)]
pub struct Journey<'a, S> {
    pub shop: &'a S,
    pub clock: Clock,
    /// How long an order that does not settle is looked at.
    pub patience: Duration,
}

/// How long a look at an order waits for it to settle: shorter than a client's patience with one answer.
const WAIT_SECONDS: u32 = 5;
/// The first pause between two looks at an order, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

impl<S: Shop> Journey<'_, S> {
    /// Walks the whole way; it always ends with an outcome, whatever the shop does.
    pub async fn checkout(&self, buyer: &Buyer) -> Outcome {
        let mut walk = self.walk(buyer);
        let ending = walk.go(buyer).await;
        walk.ended(ending)
    }

    /// The same with a cart that is filled beforehand: the journey begins when `open` is over, and what came before is neither timed nor told,
    /// unless it failed.
    pub async fn checkout_after(&self, buyer: &Buyer, open: impl Future<Output = ()>) -> Outcome {
        let mut walk = self.walk(buyer);
        let ending = match walk.fill_cart(buyer).await {
            Ok(cart) => {
                open.await;
                walk.began = self.clock.now();
                walk.outcome.calls.clear();
                walk.order(buyer, cart).await
            }
            Err(ending) => Err(ending),
        };
        walk.ended(ending)
    }

    fn walk(&self, buyer: &Buyer) -> Walk<'_, '_, S> {
        let outcome = Outcome {
            buyer: buyer.number,
            region: buyer.region,
            order_id: None,
            ending: Ending::Abandoned,
            timeline: Vec::new(),
            total: None,
            coupon_refused: None,
            answered_micros: None,
            settled_micros: None,
            calls: Vec::new(),
        };
        Walk { journey: self, began: self.clock.now(), outcome }
    }
}

/// A journey under way. An `Err` is an ending before the order.
struct Walk<'a, 'b, S> {
    journey: &'a Journey<'b, S>,
    began: Timestamp,
    outcome: Outcome,
}

impl<S: Shop> Walk<'_, '_, S> {
    async fn go(&mut self, buyer: &Buyer) -> Result<Ending, Ending> {
        let cart = self.fill_cart(buyer).await?;
        if buyer.abandons {
            return Ok(Ending::Abandoned);
        }
        self.order(buyer, cart).await
    }

    async fn order(&mut self, buyer: &Buyer, cart: CartId) -> Result<Ending, Ending> {
        let order = self.check_out(buyer, cart).await?;
        self.watch(order).await
    }

    fn ended(self, ending: Result<Ending, Ending>) -> Outcome {
        let (Ok(ending) | Err(ending)) = ending;
        Outcome { ending, ..self.outcome }
    }

    async fn fill_cart(&mut self, buyer: &Buyer) -> Result<CartId, Ending> {
        let cart =
            CreateCart { customer_id: buyer.customer_id, session_token: None, currency: Some(buyer.currency), region: Some(buyer.region) };
        let made = self.accepted(Step::CreateCart, Call::post("/carts", &cart)).await?;
        let id: CartId = field(&made, "id").ok_or(Ending::Unreadable { step: Step::CreateCart })?;
        for item in &buyer.items {
            self.accepted(Step::AddItem, Call::post(format!("/carts/{id}/items"), item)).await?;
        }
        if let Some(code) = &buyer.coupon {
            self.apply(id, code).await?;
        }
        Ok(id)
    }

    /// A coupon that is not taken keeps nobody from buying.
    async fn apply(&mut self, cart: CartId, code: &Sku) -> Result<(), Ending> {
        let call = Call::post(format!("/carts/{cart}/apply-coupon"), &ApplyCoupon { code: code.clone() });
        match self.accepted(Step::ApplyCoupon, call).await {
            Err(Ending::Refused { status: 400..500, slug, .. }) => self.outcome.coupon_refused = Some(slug),
            other => drop(other?),
        }
        Ok(())
    }

    async fn check_out(&mut self, buyer: &Buyer, cart: CartId) -> Result<OrderId, Ending> {
        let unreadable = Ending::Unreadable { step: Step::Checkout };
        let Ok(token) = Sku::new(buyer.payment_token.clone()) else { return Err(unreadable) };
        let checkout =
            Checkout { payment_method: PaymentMethod { kind: MethodKind::Card, token }, shipping_address: buyer.address.clone() };
        let call = Call::post(format!("/carts/{cart}/checkout"), &checkout).idempotency_key(format!("checkout-{cart}"));
        let answer = self.accepted(Step::Checkout, call).await?;
        self.outcome.answered_micros = Some(self.elapsed());
        let order = field(&answer, "orderId").ok_or(unreadable)?;
        self.outcome.order_id = Some(order);
        Ok(order)
    }

    async fn watch(&mut self, order: OrderId) -> Result<Ending, Ending> {
        let clock = self.journey.clock;
        let until = clock.now().plus(self.journey.patience);
        let mut pause = FIRST_PAUSE;
        loop {
            let answer = self.accepted(Step::ReadOrder, Call::get(format!("/orders/{order}?wait={WAIT_SECONDS}s"))).await?;
            let status: OrderStatus = field(&answer, "status").ok_or(Ending::Unreadable { step: Step::ReadOrder })?;
            self.outcome.timeline = field(&answer, "timeline").unwrap_or_default();
            self.outcome.total = field(&answer, "total");
            if status.is_settled() {
                self.outcome.settled_micros = Some(self.elapsed());
                let reason = self.outcome.timeline.iter().rev().find_map(|entry| entry.reason.clone());
                return Ok(Ending::Settled { status, reason: reason.filter(|_| status == OrderStatus::Cancelled) });
            }
            if clock.now() >= until {
                return Ok(Ending::Unsettled { status });
            }
            clock.sleep(pause).await;
            pause = (pause * 3 / 2).min(LONGEST_PAUSE);
        }
    }

    /// One call, timed. Anything but 2xx ends the journey.
    async fn accepted(&mut self, step: Step, call: Call) -> Result<Answer, Ending> {
        let started_micros = self.elapsed();
        let sent = self.journey.shop.send(call).await;
        let status = sent.as_ref().map_or(0, |answer| answer.status.as_u16());
        let took_micros = self.elapsed().saturating_sub(started_micros);
        self.outcome.calls.push(Timing { step, started_micros, took_micros, status });
        match sent {
            Ok(answer) if answer.status.is_success() => Ok(answer),
            Ok(answer) => Err(Ending::Refused { step, status, slug: answer.slug(), detail: answer.detail() }),
            Err(unreachable) => Err(Ending::Unreachable { step, reason: unreachable.0 }),
        }
    }

    fn elapsed(&self) -> u64 {
        micros(self.journey.clock.now().since(self.began))
    }
}

/// A duration that fits: half a million years do.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn field<T: DeserializeOwned>(answer: &Answer, name: &str) -> Option<T> {
    T::deserialize(&answer.body[name]).ok()
}

/// Whether an order was cancelled because its bank declined.
#[must_use]
pub fn is_declined(ending: &Ending) -> bool {
    matches!(ending, Ending::Settled { reason: Some(reason), .. } if reason == CancelReason::Declined.as_str())
}

#[cfg(test)]
mod tests;
