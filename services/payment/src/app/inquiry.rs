//! What the PSP has not answered is asked for, at growing intervals, until it is known. This is also what goes on after a crash: an
//! operation notes when to ask before it calls the PSP.

use std::time::Duration;

use futures::future::join_all;
use platform::{
    client::CallError,
    db::Tx,
    service::Progress,
    telemetry::context::{CORRELATION_ATTRIBUTE, Context},
};
use psp_api::{Authorization, AuthorizationStatus};
use types::{PaymentId, Timestamp};

use super::{App, authorize_key, psp_key, request_for};
use crate::{
    domain::Payment,
    error::PaymentError,
    store::{
        self, Operation,
        refunds::{self, Refund},
    },
};

/// How many are asked for side by side.
const BATCH: u32 = 16;
/// When another instance or process is at it, look again this much later.
const ASIDE: Duration = Duration::from_secs(1);
/// A capture or a void of which the PSP knows nothing after this will not happen any more.
const LOST_AFTER: Duration = Duration::from_secs(3600);

impl App {
    /// One step: asks for what is due, and says when the next is.
    pub async fn inquire(&self) -> Result<Progress, PaymentError> {
        let now = self.clock.now();
        let Some(_lease) = self.leases.take("payment/inquiry") else { return Ok(Progress::Until(now.plus(ASIDE))) };
        // And over all processes, where the store has several.
        let Some(lease) = self.db.lease("inquiry").await? else { return Ok(Progress::Until(now.plus(ASIDE))) };
        let progress = self.inquire_alone(now).await?;
        lease.end().await;
        Ok(progress)
    }

    async fn inquire_alone(&self, now: Timestamp) -> Result<Progress, PaymentError> {
        let (payments, pending, next) = self
            .db
            .read(async |tx: &mut Tx<'_>| {
                let payments = store::to_inquire(tx, now, BATCH).await?;
                let pending = refunds::to_ask(tx, now, BATCH).await?;
                let next = [store::next_inquiry(tx).await?, refunds::next_to_ask(tx).await?].into_iter().flatten().min();
                Ok::<_, PaymentError>((payments, pending, next))
            })
            .await?;
        if payments.is_empty() && pending.is_empty() {
            return Ok(next.map_or(Progress::Idle, Progress::Until));
        }
        let asked = join_all(payments.iter().map(|payment| self.context(payment.id).scope(self.inquire_about(payment)))).await;
        let refunded = join_all(pending.iter().map(|refund| self.context(refund.payment_id).scope(self.ask_again(refund)))).await;
        asked.into_iter().chain(refunded).collect::<Result<(), PaymentError>>()?;
        Ok(Progress::More)
    }

    fn context(&self, id: PaymentId) -> Context {
        self.contexts.from_pairs([(CORRELATION_ATTRIBUTE, id.to_string().as_str())])
    }

    async fn inquire_about(&self, payment: &Payment) -> Result<(), PaymentError> {
        let (again, failed) = match self.ask_about(payment).await {
            Ok(left_behind) => (left_behind, None),
            Err(PaymentError::Store(error)) => return Err(error.into()),
            Err(PaymentError::Call(error)) => {
                tracing::info!(payment_id = %payment.id, %error, "the PSP did not say how a payment stands");
                (true, Some(error))
            }
            // One payment of which the PSP tells nonsense must not keep the others from being asked for.
            Err(error) => {
                tracing::error!(payment_id = %payment.id, %error, "what the PSP tells of a payment cannot be taken");
                (true, None)
            }
        };
        self.postpone(payment.id, again, failed).await
    }

    /// Takes what the PSP tells; says whether something was left behind there.
    async fn ask_about(&self, payment: &Payment) -> Result<bool, PaymentError> {
        let told = match self.psp.by_reference(&payment.id.to_string()).await? {
            Some(told) => told,
            None if payment.is_open() => match self.authorize_again(payment).await {
                Err(PaymentError::Call(error)) => {
                    self.heard_nothing(payment.id, &error, None).await?;
                    return Err(error.into());
                }
                other => other?,
            },
            None => return Ok(false),
        };
        self.learn(payment.id, &told, None, |_| false).await?;
        self.undo_what_was_left(payment.id, &told).await
    }

    /// The PSP never heard of it: the call was lost on its way. Under the same key it is the same call.
    async fn authorize_again(&self, payment: &Payment) -> Result<Authorization, PaymentError> {
        let (id, now) = (payment.id, self.clock.now());
        self.db
            .write(async move |tx: &mut Tx<'_>| store::begin_attempt(tx, id, Operation::Authorize, &authorize_key(id), now).await.map(drop))
            .await?;
        Ok(self.psp.authorize(&request_for(payment)?, &authorize_key(id), self.config.get().psp_timeout()).await?)
    }

    /// Voids or refunds what the PSP holds of a payment that has ended without it; says whether something was there.
    async fn undo_what_was_left(&self, id: PaymentId, told: &Authorization) -> Result<bool, PaymentError> {
        let payment = self.db.read(async |tx: &mut Tx<'_>| store::by_id(tx, id).await).await?.ok_or(PaymentError::Unknown(id))?;
        if !self.has_left_behind(&payment, told.status) {
            return Ok(false);
        }
        tracing::warn!(payment_id = %id, status = %payment.status, at_psp = %told.status, "a payment that has ended left money behind");
        if told.status == AuthorizationStatus::Authorized {
            match self.psp.void(told.id, &psp_key(id, Operation::Void)).await {
                Ok(told) => drop(self.learn(id, &told, None, |_| false).await?),
                Err(error) => tracing::warn!(payment_id = %id, %error, "it could not be voided yet"),
            }
        } else if let Err(error) = self.give_back(id).await {
            tracing::warn!(payment_id = %id, %error, "it could not be refunded yet");
        }
        Ok(true)
    }

    /// When to ask again; not at all when nothing is open any more.
    async fn postpone(&self, id: PaymentId, again: bool, failed: Option<CallError>) -> Result<(), PaymentError> {
        let this = self.clone();
        self.db
            .write(async move |tx: &mut Tx<'_>| {
                let mut payment = store::by_id(tx, id).await?.ok_or(PaymentError::Unknown(id))?;
                if payment.inquire_at.is_none() {
                    return Ok(());
                }
                let now = this.clock.now();
                let mut open = payment.is_open() || again;
                for attempt in store::open_attempts(tx, id).await? {
                    if attempt.operation == Operation::Refund {
                        continue;
                    }
                    if now.since(attempt.started_at) > LOST_AFTER && !payment.is_open() && !again {
                        store::end_attempt(tx, attempt.seq, "lost", now).await?;
                    } else {
                        open = true;
                    }
                }
                if open {
                    payment.inquiries = payment.inquiries.saturating_add(1);
                    let config = this.config.get();
                    let pause = match failed {
                        Some(CallError::Unavailable { .. }) => config.not_sent_pause(payment.inquiries),
                        _ => config.inquiry_pause(payment.inquiries),
                    };
                    payment.inquire_at = Some(now.plus(pause));
                } else {
                    payment.inquire_at = None;
                    payment.inquiries = 0;
                }
                store::save(tx, &mut payment).await?;
                Ok(())
            })
            .await
    }

    /// A refund that the PSP has not answered.
    async fn ask_again(&self, refund: &Refund) -> Result<(), PaymentError> {
        let id = refund.payment_id;
        let payment = self.db.read(async |tx: &mut Tx<'_>| store::by_id(tx, id).await).await?.ok_or(PaymentError::Unknown(id))?;
        match self.ask_to_refund(&payment, refund, None).await {
            Ok(_) | Err(PaymentError::RefundRefused(_)) => Ok(()),
            Err(PaymentError::Store(error)) => Err(error.into()),
            Err(error) => {
                tracing::error!(payment_id = %id, refund_id = %refund.id, %error, "what the PSP tells of a refund cannot be taken");
                self.postpone_refund(refund, true).await
            }
        }
    }
}
