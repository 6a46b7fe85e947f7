//! The end that every shop hopes for. A buyer's checkout and order-service's freeze close a cart in the same way: its prices are looked
//! at once more, its coupon is used up, and one transaction closes it and says so.
//!
//! A checkout then asks for the order. Whatever goes wrong from there on, the cart is closed and knows how it is paid and where it goes:
//! the event leads order-service to the same order, and the buyer's retry with the same key finds it. Once the order is there, the cart
//! forgets address and card ([`crate::consumers`]).

use cart_api::{CartStatus, CheckedOut, Checkout, FrozenCart};
use order_api::{CreateOrder, Order};
use platform::{
    client::CallError,
    db::Tx,
    http::{Answer, IfMatch},
    idempotency::Key,
    problem::{Problem, kinds},
};
use types::{CartId, OrderId, Sku};

use crate::{
    app::{App, TRIES, about},
    config::EndedQuote,
    domain::{Cart, Note, Refusal, Step},
    error::CartError,
    quoting::reprice,
    store::{self, Closing},
};

/// Order-service's word for a cart of which somebody else has made the order.
const ORDERED: &str = "cart-already-ordered";

/// What became of closing a cart.
enum Closed {
    Now(Cart),
    Before(Cart, Closing),
}

impl App {
    /// Closes the cart and has its order made. Answers when that is there.
    pub async fn check_out(&self, id: CartId, checkout: Checkout, seen: IfMatch, key: Option<Key>) -> Result<Answer, CartError> {
        let outcome = self.try_check_out(id, checkout, seen, key).await;
        let label = match &outcome {
            Ok(_) => "ordered",
            Err(CartError::OrderUnanswered { .. }) => "unanswered",
            Err(CartError::PriceChanged { .. }) => "price-changed",
            Err(_) => "refused",
        };
        self.checkouts.with(&[("outcome", label)]).inc();
        outcome
    }

    async fn try_check_out(&self, id: CartId, checkout: Checkout, seen: IfMatch, key: Option<Key>) -> Result<Answer, CartError> {
        if let Some(answer) = self.answered(key.as_ref()).await? {
            return Ok(answer);
        }
        let closing = Closing {
            checkout: Some(checkout.clone()),
            token: key.as_ref().map(|key| key.token().to_owned()),
            fingerprint: key.as_ref().map(|key| key.fingerprint().to_vec()),
            order_id: None,
            is_erased: false,
        };
        let cart = match self.close(id, &closing, &seen).await? {
            Closed::Now(cart) => cart,
            Closed::Before(cart, stored) => {
                same_request(&stored, &closing)?;
                cart
            }
        };
        let order = self.order(id, checkout).await?;
        let view = CheckedOut { cart_id: id, order_id: order.id, status: order.status.to_string() };
        let answer = Answer { location: Some(format!("/orders/{}", order.id)), ..Answer::accepted(&view)? };
        if key.is_none() {
            return Ok(answer);
        }
        // Kept so that a repeat is told the same, however far the order has come by then.
        let (idempotency, key) = (self.idempotency.clone(), about(key, cart.customer_id));
        self.db.write(async move |tx: &mut Tx<'_>| idempotency.keep(tx, key.as_ref(), answer.clone()).await).await
    }

    /// Closes the cart for its order, or gives the one that was closed: the same however often it is asked.
    pub async fn freeze(&self, id: CartId) -> Result<FrozenCart, CartError> {
        Ok(match self.close(id, &Closing::default(), &IfMatch(None)).await? {
            Closed::Now(cart) => FrozenCart { cart: cart.view(), checkout: None, erased: false },
            Closed::Before(cart, closing) => FrozenCart { cart: cart.view(), checkout: closing.checkout, erased: closing.is_erased },
        })
    }

    async fn close(&self, id: CartId, closing: &Closing, seen: &IfMatch) -> Result<Closed, CartError> {
        let _turn = self.turns.take(id).await;
        let mut redeemed = Vec::new();
        let outcome = self.try_close(id, closing, seen, &mut redeemed).await;
        for code in redeemed {
            if !matches!(&outcome, Ok(Closed::Now(cart)) if cart.coupon.as_ref() == Some(&code)) {
                self.give_back_unless_kept(&code, id).await;
            }
        }
        outcome
    }

    /// `redeemed` are the coupons that were, or may have been, used up on the way.
    async fn try_close(&self, id: CartId, closing: &Closing, seen: &IfMatch, redeemed: &mut Vec<Sku>) -> Result<Closed, CartError> {
        let mut owner = None;
        for _ in 0..TRIES {
            let found = self.db.read(async |tx: &mut Tx<'_>| store::by_id_with_closing(tx, id).await).await?;
            let (cart, stored) = found.ok_or(CartError::Unknown(id))?;
            // Erased while this was under way: what the customer asked for is not done in a guest's name.
            if *owner.get_or_insert(cart.customer_id) != cart.customer_id {
                return Err(CartError::Unknown(id));
            }
            let now = self.clock.now();
            match cart.check_closable(now) {
                Err(Refusal::CheckedOut) => return Ok(Closed::Before(cart, stored)),
                refusal => {
                    seen.check(cart.version)?;
                    refusal?;
                }
            }
            let ended_quote = self.config.get().ended_quote;
            let (priced, mut notes) = self.at_good_prices(&cart, ended_quote).await?;
            let is_priced_anew = priced.version != cart.version;
            if priced.totals.total > cart.totals.total || (is_priced_anew && ended_quote == EndedQuote::Refused) {
                if self.save_prices(&priced, notes).await? {
                    return Err(CartError::PriceChanged { old: cart.money(cart.totals.total), new: priced.money(priced.totals.total) });
                }
                continue;
            }
            if let Some(code) = &priced.coupon {
                self.redeem(code, id, redeemed).await?;
            }
            let closed = priced.closed(&cart, self.clock.now())?;
            notes.push(Note::of(Step::CheckedOut));
            if self.save_closed(&closed, closing, is_priced_anew, notes).await? {
                return Ok(Closed::Now(closed));
            }
        }
        Err(CartError::Raced)
    }

    /// The cart with prices that hold: as it is while they do, priced anew otherwise.
    async fn at_good_prices(&self, cart: &Cart, ended_quote: EndedQuote) -> Result<(Cart, Vec<Note>), CartError> {
        let at = self.moment();
        if ended_quote != EndedQuote::Kept && cart.has_expired_quote(at.now) {
            let (priced, mut notes) = reprice(&self.pricing, cart, cart.wanted(), None, at).await?;
            notes.push(Note::of(Step::Repriced));
            Ok((priced, notes))
        } else {
            Ok((cart.clone(), Vec::new()))
        }
    }

    /// So that the buyer, who is refused, sees the new prices.
    async fn save_prices(&self, priced: &Cart, notes: Vec<Note>) -> Result<bool, CartError> {
        self.snapshots.supersede(priced.id, priced.version).await;
        let saved = priced.clone();
        let is_saved = self.db.write(async move |tx: &mut Tx<'_>| store::save(tx, &saved, &notes).await).await?;
        if is_saved {
            self.snapshots.keep(priced).await;
        }
        Ok(is_saved)
    }

    async fn save_closed(&self, closed: &Cart, closing: &Closing, is_repriced: bool, notes: Vec<Note>) -> Result<bool, CartError> {
        self.snapshots.supersede(closed.id, closed.version).await;
        let (saved, closing, outbox, event) = (closed.clone(), closing.clone(), self.outbox.clone(), closed.checked_out());
        let is_saved = self
            .db
            .write(async move |tx: &mut Tx<'_>| {
                let is_saved = store::close(tx, &saved, &closing, is_repriced, &notes).await?;
                if is_saved {
                    outbox.add(tx, &event).await?;
                }
                Ok::<_, CartError>(is_saved)
            })
            .await?;
        if is_saved {
            self.snapshots.keep(closed).await;
        }
        Ok(is_saved)
    }

    /// Uses the coupon up for this cart, once however often it is said.
    async fn redeem(&self, code: &Sku, id: CartId, redeemed: &mut Vec<Sku>) -> Result<(), CartError> {
        let outcome = self.pricing.redeem(code, id).await;
        if !matches!(outcome, Err(CallError::Refused { .. })) && !redeemed.contains(code) {
            redeemed.push(code.clone());
        }
        match outcome {
            Ok(_) => Ok(()),
            Err(CallError::Refused { problem, .. }) if matches!(problem.status, 404 | 409 | 422) => Err(CartError::CouponRefused(*problem)),
            Err(error) => Err(error.into()),
        }
    }

    /// A coupon that was used up for a checkout that did not come about is free again. What is stored decides: another instance may have
    /// closed the cart with it, before this or meanwhile. What cannot be given back now stays with the cart, whose next checkout finds it.
    async fn give_back_unless_kept(&self, code: &Sku, id: CartId) {
        let is_kept = async || {
            let cart = self.load(id).await?;
            Ok::<_, CartError>(cart.status == CartStatus::CheckedOut && cart.coupon.as_ref() == Some(code))
        };
        let outcome = async {
            if is_kept().await? {
                return Ok(());
            }
            self.pricing.give_back(code, id).await?;
            if is_kept().await? {
                self.pricing.redeem(code, id).await?;
            }
            Ok::<_, CartError>(())
        };
        if let Err(error) = outcome.await {
            tracing::warn!(cart_id = %id, %error, "a coupon that was not used in the end could not be given back");
        }
    }

    async fn order(&self, id: CartId, checkout: Checkout) -> Result<Order, CartError> {
        let request = CreateOrder { cart_id: id, payment_method: checkout.payment_method, shipping_address: checkout.shipping_address };
        match self.orders.create(&request).await {
            Ok(order) => Ok(order),
            // Somebody asked order-service for it at the same time, in their own name.
            Err(error) if error.is(ORDERED) => Err(CartError::CheckedOut { order: error.refusal().and_then(order_of) }),
            Err(source @ CallError::Refused { .. }) => Err(source.into()),
            Err(source) => Err(CartError::OrderUnanswered { cart: id, source }),
        }
    }
}

fn order_of(problem: &Problem) -> Option<OrderId> {
    problem.more.get("orderId")?.as_str()?.parse().ok()
}

/// Whether a closed cart was closed by this very request, which is then only said again.
fn same_request(stored: &Closing, said: &Closing) -> Result<(), CartError> {
    if said.token.is_none() || said.token != stored.token {
        return Err(CartError::CheckedOut { order: stored.order_id });
    }
    // Erased with the customer, there is nothing left to compare with.
    if stored.fingerprint.is_some() && stored.fingerprint != said.fingerprint {
        return Err(Problem::new(&kinds::KEY_REUSED).detail("Use a new `Idempotency-Key` for a new request.").into());
    }
    Ok(())
}
