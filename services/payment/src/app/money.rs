//! Capture and void. The PSP decides which of two that meet was first; whoever loses learns what the winner did.

use std::time::Duration;

use payment_api::PaymentStatus as Status;
use platform::{client::CallError, db::Tx, http::Answer, idempotency::Key};
use psp_api::{Amount, Authorization};
use types::{PaymentId, id::Uuid};

use super::{App, Begun, Start, authorize_key, psp_key, request_for};
use crate::{
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
        let payment = match self.begin(id, key.clone(), decide).await? {
            Begun::Done(answer) => return Ok(answer),
            Begun::Ask(payment) => payment,
        };
        // What is authorized has been told of by the PSP, and so has an id there.
        let authorization = payment.authorization_id.ok_or(PaymentError::Unsettled)?;
        let answer = self.psp.capture(authorization, &Amount::default(), &psp_key(id, Operation::Capture)).await;
        let told = self.told(id, authorization, Operation::Capture, answer).await?;
        self.learn(id, &told, key, |status| status == Status::Captured).await?.answer_or(PaymentError::NotCapturable)
    }

    /// Gives the authorization back, or keeps one that is on its way from ever taking effect; answers when the PSP has confirmed it.
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
        let payment = match self.begin(id, key.clone(), decide).await? {
            Begun::Done(answer) => return Ok(answer),
            Begun::Ask(payment) => payment,
        };
        let authorization = match payment.authorization_id {
            Some(authorization) => authorization,
            None => match self.find_or_make(&payment).await {
                Ok(authorization) => authorization,
                Err(PaymentError::Call(error)) => return Err(self.unanswered(id, Operation::Void, error).await?),
                Err(error) => return Err(error),
            },
        };
        let answer = self.psp.void(authorization, &psp_key(id, Operation::Void)).await;
        let told = self.told(id, authorization, Operation::Void, answer).await?;
        let is_over = |status| matches!(status, Status::Voided | Status::Failed);
        self.learn(id, &told, key, is_over).await?.answer_or(|status| match status {
            Status::Processing | Status::Unknown | Status::Authorized => PaymentError::Unsettled,
            other => PaymentError::NotVoidable(other),
        })
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

    /// What the PSP says now that it was asked to do something: its answer or, when it refused, how the authorization stands.
    async fn told(
        &self,
        id: PaymentId,
        authorization: Uuid,
        operation: Operation,
        answer: Result<Authorization, CallError>,
    ) -> Result<Authorization, PaymentError> {
        match answer {
            Ok(told) => Ok(told),
            Err(error) if error.refusal().is_some() => {
                tracing::info!(payment_id = %id, %operation, %error, "the PSP refused; it is asked how the payment stands");
                self.end_attempts_of(id, operation, "refused").await?;
                Ok(self.psp.get(authorization).await?)
            }
            Err(error) => Err(self.unanswered(id, operation, error).await?),
        }
    }

    /// The PSP did not answer. What certainly did not happen is over; what may have happened is asked for. The caller says it again.
    async fn unanswered(&self, id: PaymentId, operation: Operation, error: CallError) -> Result<PaymentError, PaymentError> {
        if matches!(error, CallError::Unavailable { .. }) {
            self.end_attempts_of(id, operation, "not-sent").await?;
        } else {
            self.bell.notify_one();
        }
        Ok(error.into())
    }

    /// Ends the open attempts of an operation; when nothing else is open, there is nothing to ask either.
    async fn end_attempts_of(&self, id: PaymentId, operation: Operation, outcome: &'static str) -> Result<(), PaymentError> {
        let this = self.clone();
        self.db
            .write(async move |tx: &mut Tx<'_>| {
                let mut payment = store::by_id(tx, id).await?.ok_or(PaymentError::Unknown(id))?;
                let mut others = false;
                for attempt in store::open_attempts(tx, id).await? {
                    if attempt.operation == operation {
                        store::end_attempt(tx, attempt.seq, outcome, this.clock.now()).await?;
                    } else {
                        others |= attempt.operation != Operation::Refund;
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
