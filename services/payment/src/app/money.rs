//! Capture and void. The PSP decides which of two that meet was first; whoever loses learns what the winner did.

use std::time::Duration;

use payment_api::PaymentStatus as Status;
use platform::{client::CallError, db::Tx, http::Answer, idempotency::Key};
use psp_api::{Amount, Authorization, AuthorizationStatus};
use types::{PaymentId, id::Uuid};

use super::{App, Attempt, Begun, Start, authorize_key, learn::is_over, psp_key, request_for};
use crate::{
    config::LateEvents,
    domain::Payment,
    error::PaymentError,
    store::{self, Operation},
};

/// How long a void waits for an authorization that it has to make first.
const PATIENCE: Duration = Duration::from_secs(2);

impl App {
    /// Takes the authorized amount.
    pub async fn capture(&self, id: PaymentId, key: Option<Key>) -> Result<Answer, PaymentError> {
        if let Some(answer) = self.answered(key.as_ref()).await? {
            return Ok(answer);
        }
        let decide = |status| match status {
            Status::Authorized => Ok(Start::Ask(Operation::Capture)),
            Status::Captured => Ok(Start::AsItIs),
            other => Err(PaymentError::NotCapturable(other)),
        };
        let (payment, attempt) = match self.begin(id, key.clone(), decide).await? {
            Begun::Done(answer) => return Ok(answer),
            Begun::Ask(payment, attempt) => (payment, attempt),
        };
        // What is authorized has been told of by the PSP, and so has an id there.
        let authorization = payment.authorization_id.ok_or(PaymentError::Unsettled)?;
        let answer = self.psp.capture(authorization, &Amount::default(), &psp_key(id, Operation::Capture)).await;
        let told = self.told(id, authorization, attempt, answer).await?;
        self.learn(id, &told, key, |status| status == Status::Captured).await?.answer_or(PaymentError::NotCapturable)
    }

    /// Gives the authorization back, or keeps one that is on its way from ever taking effect. 202 with the payment as it stands while the PSP
    /// cannot void it: that is an answer and no failure, and is not kept for the key.
    pub async fn void(&self, id: PaymentId, key: Option<Key>) -> Result<Answer, PaymentError> {
        if let Some(answer) = self.answered(key.as_ref()).await? {
            return Ok(answer);
        }
        let decide = |status| match status {
            Status::RequiresConfirmation => Ok(Start::Step(Status::Voided)),
            Status::Processing | Status::Unknown | Status::Authorized => Ok(Start::Ask(Operation::Void)),
            Status::Voided | Status::Failed => Ok(Start::AsItIs),
            other => Err(PaymentError::NotVoidable(other)),
        };
        let (payment, attempt) = match self.begin(id, key.clone(), decide).await? {
            Begun::Done(answer) => return Ok(answer),
            Begun::Ask(payment, attempt) => (payment, attempt),
        };
        let authorization = match payment.authorization_id {
            Some(authorization) => authorization,
            None => match self.find_or_make(&payment).await {
                Ok(authorization) => authorization,
                Err(PaymentError::Call(error)) => return Err(self.unanswered(id, attempt, error).await?),
                Err(error) => return Err(error),
            },
        };
        let answer = self.psp.void(authorization, &psp_key(id, Operation::Void)).await;
        let told = self.told(id, authorization, attempt, answer).await?;
        let mut learned = self.learn(id, &told, key.clone(), is_over).await?;
        // It cannot be stopped any more. Where what comes late is undone nobody has to wait for it.
        if told.status == AuthorizationStatus::Processing && self.config.get().late_events == LateEvents::Undone {
            learned = self.close(id, key).await?;
        }
        if matches!(learned.status, Status::Processing | Status::Unknown | Status::Authorized) {
            let (payment, revision) = self.get(id).await?;
            return Ok(Answer::accepted(&payment)?.version(revision));
        }
        learned.answer_or(PaymentError::NotVoidable)
    }

    /// The PSP's id of a payment's authorization. When the PSP never heard of it, our call may still be on its way: then it is made again
    /// under its key, so that there is something to void, and the one that comes late is a repeat that does nothing.
    async fn find_or_make(&self, payment: &Payment) -> Result<Uuid, PaymentError> {
        let reference = payment.id.to_string();
        let told = match self.psp.by_reference(&reference).await? {
            Some(told) => told,
            None => match self.psp.authorize(&request_for(payment)?, &authorize_key(payment.id), PATIENCE).await {
                Ok(told) => told,
                Err(error) => self.psp.by_reference(&reference).await?.ok_or(error)?,
            },
        };
        self.learn(payment.id, &told, None, |_| false).await?;
        Ok(told.id)
    }

    /// What the PSP says now that it was asked to do something: its answer or, when it refused, how the authorization stands. That is taken
    /// before the attempt is over: who cannot learn why he was refused has it asked for.
    async fn told(
        &self,
        id: PaymentId,
        authorization: Uuid,
        attempt: Attempt,
        answer: Result<Authorization, CallError>,
    ) -> Result<Authorization, PaymentError> {
        let error = match answer {
            Ok(told) => return Ok(told),
            Err(error) => error,
        };
        if error.refusal().is_none() {
            return Err(self.unanswered(id, attempt, error).await?);
        }
        tracing::info!(payment_id = %id, operation = %attempt.operation, %error, "the PSP refused; it is asked how the payment stands");
        match self.psp.get(authorization).await {
            Ok(told) => {
                self.learn(id, &told, None, |_| false).await?;
                self.end_attempt(id, attempt, "refused").await?;
                Ok(told)
            }
            Err(error) => {
                self.bell.notify_one();
                Err(error.into())
            }
        }
    }

    /// The PSP did not answer. What certainly did not happen is over; what may have happened is asked for. The caller says it again.
    async fn unanswered(&self, id: PaymentId, attempt: Attempt, error: CallError) -> Result<PaymentError, PaymentError> {
        if matches!(error, CallError::Unavailable { .. }) {
            self.end_attempt(id, attempt, "not-sent").await?;
        } else {
            self.bell.notify_one();
        }
        Ok(error.into())
    }

    /// Ends this attempt and no other: of an earlier one of the same kind the answer may have been lost, and only the PSP knows what came of
    /// it. When nothing else is open, there is nothing to ask either.
    async fn end_attempt(&self, id: PaymentId, attempt: Attempt, outcome: &'static str) -> Result<(), PaymentError> {
        let this = self.clone();
        self.db
            .write(async move |tx: &mut Tx<'_>| {
                let mut payment = store::by_id(tx, id).await?.ok_or(PaymentError::Unknown(id))?;
                let mut others = false;
                for open in store::open_attempts(tx, id).await? {
                    if open.seq == attempt.seq {
                        store::end_attempt(tx, open.seq, outcome, this.clock.now()).await?;
                    } else {
                        others |= open.operation != Operation::Refund;
                    }
                }
                if !others && !payment.is_open() && payment.inquire_at.is_some() {
                    payment.inquire_at = None;
                    store::save(tx, &mut payment).await?;
                }
                Ok(())
            })
            .await
    }
}
