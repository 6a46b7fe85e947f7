//! Campaigns: made, looked at, announced when they begin, and used up by carts.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use platform::{db::Tx, http::Answer, idempotency::Key, service::Progress};
use pricing_api::{Promotion as View, PromotionRequest, events::PromotionActivated};
use types::{CartId, Sku, Timestamp, id};

use super::App;
use crate::{
    domain::{check, promotion::Promotion},
    error::PricingError,
    store::promotions as store,
};

/// How many promotions are announced in one transaction.
const BATCH: u32 = 100;

impl App {
    pub async fn create_promotion(&self, request: PromotionRequest, key: Option<Key>) -> Result<Answer, PricingError> {
        PricingError::of(check::promotion(&request))?;
        let promotion = Promotion {
            id: self.ids.make(),
            code: request.code,
            name: request.name.into(),
            when: request.when,
            effect: request.effect,
            starts_at: request.starts_at,
            ends_at: request.ends_at,
            usage_limit: request.usage_limit,
            used: 0,
        };
        let this = self.clone();
        self.db
            .write(async move |tx: &mut Tx<'_>| {
                let work = async |tx: &mut Tx<'_>| this.write_promotion(tx, promotion.clone()).await;
                this.idempotency.once::<PricingError>(tx, key.as_ref(), work).await
            })
            .await
    }

    async fn write_promotion(&self, tx: &mut Tx<'_>, promotion: Promotion) -> Result<Answer, PricingError> {
        let now = self.clock.now();
        if promotion.code.is_none() && promotion.ends_at > now && store::count_automatic(tx, now).await? >= store::MAX_AUTOMATIC {
            return Err(PricingError::TooMany { what: "the automatic promotions".to_owned(), limit: store::MAX_AUTOMATIC });
        }
        let activated_at = (promotion.starts_at <= now).then_some(now);
        if !store::insert(tx, &promotion, activated_at, now).await? {
            return Err(match promotion.code {
                Some(code) => PricingError::CodeTaken(code),
                None => PricingError::Raced,
            });
        }
        if promotion.is_active(now) {
            self.outbox.add(tx, &activated(&promotion, now)).await?;
        } else if activated_at.is_none() {
            tx.wake_after_commit(&self.promotion_bell);
        }
        tracing::info!(promotion_id = %promotion.id, "a promotion was made");
        let name = promotion.code.clone().map_or_else(|| promotion.id.to_string(), String::from);
        Ok(Answer::created(format!("/promotions/{name}"), &view(promotion))?)
    }

    /// Promotions in the order in which they were made, from behind `after` on, each with its place.
    pub async fn promotions(&self, after: i64, limit: u32) -> Result<Vec<(i64, View)>, PricingError> {
        let promotions = self.db.read(async |tx: &mut Tx<'_>| store::after(tx, after, limit).await).await?;
        Ok(promotions.into_iter().map(|(seq, promotion)| (seq, view(promotion))).collect())
    }

    /// A promotion by its code or its id.
    pub async fn promotion(&self, name: &Sku) -> Result<View, PricingError> {
        let promotion = self
            .db
            .read(async |tx: &mut Tx<'_>| match id::parse(name.as_str()) {
                Ok(id) => store::by_id(tx, id).await,
                Err(_) => store::by_code(tx, name).await,
            })
            .await?;
        promotion.map(view).ok_or_else(|| PricingError::UnknownPromotion(name.to_string()))
    }

    /// Uses a coupon up for a cart: once, however often it is said.
    pub async fn redeem(&self, code: Sku, cart: CartId, key: Option<Key>) -> Result<Answer, PricingError> {
        // Counted after the commit: the work may run twice.
        let is_counted = Arc::<AtomicBool>::default();
        let (this, counted) = (self.clone(), is_counted.clone());
        let answer = self
            .db
            .write(async move |tx: &mut Tx<'_>| {
                counted.store(false, Ordering::Relaxed);
                let work = async |tx: &mut Tx<'_>| this.write_redemption(tx, &code, cart, &counted).await;
                let answer = this.idempotency.once::<PricingError>(tx, key.as_ref(), work).await?;
                // An answer from before the use was given back says nothing of now; without this a key could use a coupon uncounted.
                if answer.replayed
                    && let Some(promotion) = store::by_code(tx, &code).await?
                    && !store::is_redeemed(tx, promotion.id, cart).await?
                {
                    return this.write_redemption(tx, &code, cart, &counted).await;
                }
                Ok(answer)
            })
            .await;
        match &answer {
            Ok(_) if is_counted.load(Ordering::Relaxed) => self.counters.redemptions.inc(),
            Err(PricingError::Exhausted { .. }) => self.counters.exhausted.inc(),
            _ => 0,
        };
        answer
    }

    async fn write_redemption(&self, tx: &mut Tx<'_>, code: &Sku, cart: CartId, is_counted: &AtomicBool) -> Result<Answer, PricingError> {
        let now = self.clock.now();
        let unknown = || PricingError::UnknownPromotion(code.to_string());
        let promotion = store::by_code(tx, code).await?.ok_or_else(unknown)?;
        // The cart's row comes first: of two at once for one cart, the second finds it and counts nothing.
        if store::insert_redemption(tx, self.ids.make(), promotion.id, code, cart, now).await? {
            if !promotion.is_active(now) {
                let (starts_at, ends_at) = (promotion.starts_at, promotion.ends_at);
                return Err(PricingError::NotActive { code: code.clone(), starts_at, ends_at });
            }
            if !store::count_use(tx, promotion.id).await? {
                return Err(PricingError::Exhausted { code: code.clone(), limit: promotion.usage_limit.unwrap_or(0) });
            }
            is_counted.store(true, Ordering::Relaxed);
        }
        let promotion = store::by_id(tx, promotion.id).await?.ok_or_else(unknown)?;
        Ok(Answer::ok(&view(promotion))?)
    }

    /// Gives a cart's use of a coupon back; nothing happens when there is none.
    pub async fn give_back(&self, code: Sku, cart: CartId) -> Result<Answer, PricingError> {
        self.db
            .write(async move |tx: &mut Tx<'_>| {
                let promotion = store::by_code(tx, &code).await?;
                let promotion = promotion.ok_or_else(|| PricingError::UnknownPromotion(code.to_string()))?;
                store::delete_redemption(tx, promotion.id, cart).await?;
                Ok(Answer::no_content())
            })
            .await
    }

    /// Announces promotions whose time has come; each once.
    pub async fn activate_promotions(&self) -> Result<Progress, PricingError> {
        let first = self.db.read(async |tx: &mut Tx<'_>| store::waiting(tx, 1).await).await?;
        match first.first() {
            None => return Ok(Progress::Idle),
            Some(first) if first.starts_at > self.clock.now() => return Ok(Progress::Until(first.starts_at)),
            Some(_) => {}
        }
        let this = self.clone();
        self.db
            .write(async move |tx: &mut Tx<'_>| {
                let now = this.clock.now();
                for promotion in store::waiting(tx, BATCH).await?.into_iter().filter(|promotion| promotion.starts_at <= now) {
                    // One that ended while nobody was here is over: there is nothing to announce.
                    if store::activate(tx, promotion.id, now).await? && promotion.is_active(now) {
                        this.outbox.add(tx, &activated(&promotion, now)).await?;
                    }
                }
                Ok::<_, PricingError>(Progress::More)
            })
            .await
    }
}

fn activated(promotion: &Promotion, now: Timestamp) -> PromotionActivated {
    PromotionActivated {
        promotion_id: promotion.id.to_string(),
        code: promotion.code.clone().map(String::from),
        starts_at: promotion.starts_at,
        ends_at: promotion.ends_at,
        at: now,
    }
}

fn view(promotion: Promotion) -> View {
    View {
        id: promotion.id,
        code: promotion.code,
        name: promotion.name,
        when: promotion.when,
        effect: promotion.effect,
        starts_at: promotion.starts_at,
        ends_at: promotion.ends_at,
        usage_limit: promotion.usage_limit,
        used: promotion.used,
    }
}
