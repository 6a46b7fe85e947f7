//! Refunds. A refund is a row before the PSP is asked, with a key of its own; it counts as long as it is pending, and the PSP is asked
//! until it has answered.

use order_api::events::OrderCreditGranted;
use payment_api::{RefundRequest, RefundStatus};
use platform::{client::CallError, db::Tx, http::Answer, idempotency::Key, problem::kinds};
use psp_api::Amount;
use types::{CreditId, Money, PaymentId, id::Uuid};

use super::{App, view};
use crate::{
    config::CreditRefund,
    domain::{Payment, Refundable},
    error::PaymentError,
    store::{
        self, Operation,
        refunds::{self, Refund},
    },
};

/// What is known of a refund that is to be made, beside its amount.
#[derive(Clone, Debug, Default)]
struct Asked {
    /// What was asked for; none: all that is left.
    amount: Option<i64>,
    reason: Option<String>,
    /// By which the same request is known again; none when nobody asked.
    token: Option<String>,
    /// The credit that it is for.
    credit: Option<CreditId>,
}

impl App {
    /// Gives back what was captured, or a part of it. 202 with a pending refund when the PSP does not answer; it is asked again then.
    pub async fn refund(&self, id: PaymentId, request: RefundRequest, key: Key) -> Result<Answer, PaymentError> {
        if let Some(answer) = self.answered(Some(&key)).await? {
            return Ok(answer);
        }
        let (this, token) = (self.clone(), key.token().to_owned());
        let (payment, refund) = self
            .db
            .write(async move |tx: &mut Tx<'_>| {
                let mut payment = store::by_id(tx, id).await?.ok_or(PaymentError::Unknown(id))?;
                let all = refunds::of(tx, id).await?;
                let reason = request.reason.clone().map(String::from);
                let asked_amount = request.amount.map(|money| money.amount);
                // The same request: its first try was cut short, or is as old as keys are not kept.
                if let Some(known) = all.iter().find(|refund| refund.request_token.as_deref() == Some(&token)) {
                    let same = known.asked_amount == asked_amount && known.reason == reason;
                    return if same { Ok((payment, known.clone())) } else { Err(PaymentError::KeyReused) };
                }
                let amount = match payment.refundable(request.amount, pending(&all)) {
                    Refundable::Never => return Err(PaymentError::NotRefundable(payment.status)),
                    Refundable::Currency => return Err(PaymentError::Currency),
                    Refundable::TooMuch { left } => return Err(PaymentError::TooMuch { left }),
                    Refundable::Amount(amount) if amount < 1 && request.amount.is_some() => return Err(PaymentError::EmptyRefund),
                    Refundable::Amount(amount) => amount,
                };
                if all.len() >= refunds::MOST {
                    return Err(PaymentError::TooManyRefunds(all.len()));
                }
                let asked = Asked { amount: asked_amount, reason, token: Some(token.clone()), credit: None };
                let refund = this.add_refund(tx, &mut payment, amount, asked).await?;
                Ok((payment, refund))
            })
            .await?;
        match refund.status {
            RefundStatus::Pending => self.ask_to_refund(&payment, &refund, Some(key)).await,
            RefundStatus::Succeeded => self.show(&refund, Some(key)).await,
            RefundStatus::Failed => Err(PaymentError::RefundRefused("It was refused before.".to_owned())),
        }
    }

    /// A new pending refund; the payment is saved with it, so that of two at the same time one sees the other.
    async fn add_refund(&self, tx: &mut Tx<'_>, payment: &mut Payment, amount: i64, asked: Asked) -> Result<Refund, PaymentError> {
        let now = self.clock.now();
        let refund = Refund {
            id: self.ids.make(),
            payment_id: payment.id,
            amount,
            asked_amount: asked.amount,
            reason: asked.reason,
            status: RefundStatus::Pending,
            request_token: asked.token,
            psp_event_id: None,
            credit_id: asked.credit,
            ask_at: Some(now.plus(self.config.get().inquiry_pause(0))),
            asked: 0,
            created_at: now,
        };
        refunds::insert(tx, &refund).await?;
        store::begin_attempt(tx, payment.id, Operation::Refund, &refund.id.to_string(), now).await?;
        store::save(tx, payment).await?;
        Ok(refund)
    }

    /// The call, and what came of it. Always the same key: the PSP gives a refund once.
    pub(super) async fn ask_to_refund(&self, payment: &Payment, refund: &Refund, key: Option<Key>) -> Result<Answer, PaymentError> {
        let authorization = payment.authorization_id.ok_or(PaymentError::Unsettled)?;
        let amount = Amount { amount: Some(Money::new(refund.amount, payment.currency)) };
        match self.psp.refund(authorization, &amount, &refund.id.to_string()).await {
            Ok(told) => {
                self.learn(payment.id, &told, None, |_| false).await?;
                self.show(refund, key).await
            }
            Err(error) if is_final(&error) => {
                self.fail_refund(payment.id, refund.id).await?;
                let why = error.refusal().and_then(|problem| problem.detail.clone()).unwrap_or_default();
                tracing::warn!(payment_id = %payment.id, refund_id = %refund.id, %error, "the PSP refused a refund");
                Err(PaymentError::RefundRefused(why))
            }
            Err(error) => {
                tracing::warn!(payment_id = %payment.id, refund_id = %refund.id, %error, "the PSP did not answer a refund");
                self.postpone_refund(refund, !matches!(error, CallError::Unavailable { .. })).await?;
                self.show(refund, key).await
            }
        }
    }

    /// Gives back what an order is credited, once for each credit; no more than is left of the payment.
    pub async fn credit(&self, told: &OrderCreditGranted) -> Result<(), PaymentError> {
        let token = match self.config.get().credit_refund {
            CreditRefund::PerCredit => format!("credit-{}", told.credit_id),
            CreditRefund::PerDelivery => format!("delivery-{}", self.ids.make::<Uuid>()),
        };
        let (this, told) = (self.clone(), told.clone());
        let made = self
            .db
            .write(async move |tx: &mut Tx<'_>| {
                let mut payment = store::by_order(tx, told.order_id).await?.ok_or(PaymentError::NoneOfOrder(told.order_id))?;
                let all = refunds::of(tx, payment.id).await?;
                if let Some(known) = all.iter().find(|refund| refund.request_token.as_deref() == Some(&token)) {
                    return Ok(Some((payment, known.clone())));
                }
                let amount = told.amount.amount.min(payment.left(pending(&all)));
                if amount < 1 {
                    return Ok::<_, PaymentError>(None);
                }
                if all.len() >= refunds::MOST {
                    return Err(PaymentError::TooManyRefunds(all.len()));
                }
                let (reason, credit) = (Some("credit".to_owned()), Some(told.credit_id));
                let asked = Asked { amount: Some(told.amount.amount), reason, token: Some(token.clone()), credit };
                let refund = this.add_refund(tx, &mut payment, amount, asked).await?;
                Ok(Some((payment, refund)))
            })
            .await?;
        match made {
            Some((payment, refund)) if refund.status == RefundStatus::Pending => {
                self.ask_to_refund(&payment, &refund, None).await.map(|_| ())
            }
            _ => Ok(()),
        }
    }

    /// What we owe of a payment that has ended without: refunded without anybody having asked.
    pub(super) async fn give_back(&self, id: PaymentId) -> Result<(), PaymentError> {
        let this = self.clone();
        let made = self
            .db
            .write(async move |tx: &mut Tx<'_>| {
                let mut payment = store::by_id(tx, id).await?.ok_or(PaymentError::Unknown(id))?;
                let left = payment.left(pending(&refunds::of(tx, id).await?));
                if left <= 0 {
                    return Ok::<_, PaymentError>(None);
                }
                let reason = Some("captured after the payment had ended".to_owned());
                let refund = this.add_refund(tx, &mut payment, left, Asked { reason, ..Asked::default() }).await?;
                Ok(Some((payment, refund)))
            })
            .await?;
        match made {
            Some((payment, refund)) => self.ask_to_refund(&payment, &refund, None).await.map(|_| ()),
            None => Ok(()),
        }
    }

    /// The payment as it is now, as the answer to a refund: 202 while that is pending.
    async fn show(&self, refund: &Refund, key: Option<Key>) -> Result<Answer, PaymentError> {
        let (this, id, asked) = (self.clone(), refund.payment_id, refund.id);
        self.db
            .write(async move |tx: &mut Tx<'_>| {
                let payment = store::by_id(tx, id).await?.ok_or(PaymentError::Unknown(id))?;
                let work = async |tx: &mut Tx<'_>| -> Result<Answer, PaymentError> {
                    let view = view(tx, &payment).await?;
                    let pending = view.refunds.iter().any(|refund| refund.id == asked && refund.status == RefundStatus::Pending);
                    let answer = if pending { Answer::accepted(&view)? } else { Answer::ok(&view)? };
                    Ok(answer.version(payment.revision))
                };
                this.idempotency.once(tx, key.as_ref(), work).await
            })
            .await
    }

    async fn fail_refund(&self, payment: PaymentId, id: Uuid) -> Result<(), PaymentError> {
        let this = self.clone();
        self.db
            .write(async move |tx: &mut Tx<'_>| {
                let now = this.clock.now();
                refunds::end(tx, id, RefundStatus::Failed, None, now).await?;
                for attempt in store::open_attempts(tx, payment).await? {
                    if attempt.psp_key == id.to_string() {
                        store::end_attempt(tx, attempt.seq, "refused", now).await?;
                    }
                }
                Ok(())
            })
            .await
    }

    pub(super) async fn postpone_refund(&self, refund: &Refund, sent: bool) -> Result<(), PaymentError> {
        let config = self.config.get();
        let pause = if sent { config.inquiry_pause(refund.asked) } else { config.not_sent_pause(refund.asked) };
        let (id, ask_at, bell) = (refund.id, self.clock.now().plus(pause), self.bell.clone());
        self.db
            .write(async move |tx: &mut Tx<'_>| {
                refunds::postpone(tx, id, ask_at).await?;
                tx.wake_after_commit(&bell);
                Ok(())
            })
            .await
    }
}

/// Whether the PSP will never give this refund.
fn is_final(error: &CallError) -> bool {
    error.is("authorization-not-refundable") || (error.is_status(422) && !error.is(kinds::KEY_REUSED.slug))
}

/// What is on its way back.
fn pending(all: &[Refund]) -> i64 {
    all.iter().filter(|refund| refund.status == RefundStatus::Pending).fold(0, |sum, refund| sum.saturating_add(refund.amount))
}
