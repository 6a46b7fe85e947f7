//! Taking what the PSP tells: in an answer, in a callback, or when asked. One transaction holds the status, its history, the books, the
//! refund, the attempt and the event; each event of the PSP has its effect once, by its id.

use payment_api::{PaymentStatus as Status, RefundStatus};
use platform::{client::CallError, db::Tx, http::Answer, idempotency::Key, problem::kinds};
use psp_api::{Authorization, AuthorizationStatus, PspEvent, PspEventType};
use types::{PaymentId, Timestamp, id::Uuid};

use super::App;
use crate::{
    config::{LateEvents, NoAnswer},
    domain::{Payment, Taken},
    error::PaymentError,
    ledger::Posting,
    metrics::Note,
    store::{self, Operation, refunds::Refund},
};

/// Where a payment stands after something was learned of it.
#[derive(Clone, Debug)]
pub(crate) struct Learned {
    pub status: Status,
    /// Kept for the key, if the payment is where the operation wanted it.
    answer: Option<Answer>,
}

impl Learned {
    /// The answer, where any state is one.
    pub fn answer(self) -> Result<Answer, PaymentError> {
        self.answer.ok_or(PaymentError::Unsettled)
    }

    /// The answer, or what it means that the payment is not where it was wanted.
    pub fn answer_or(self, otherwise: impl FnOnce(Status) -> PaymentError) -> Result<Answer, PaymentError> {
        self.answer.ok_or_else(|| otherwise(self.status))
    }
}

/// What taking some events did.
struct Took {
    payment: Payment,
    changed: bool,
    /// An event waits for one that came before it.
    too_early: bool,
    notes: Vec<Note>,
}

impl App {
    /// Takes everything that the PSP says of an authorization. Where the payment is then as `wanted`, the answer is kept for the key.
    pub(crate) async fn learn(
        &self,
        id: PaymentId,
        told: &Authorization,
        key: Option<Key>,
        wanted: fn(Status) -> bool,
    ) -> Result<Learned, PaymentError> {
        let (this, told) = (self.clone(), told.clone());
        let (learned, notes) = self
            .db
            .write(async move |tx: &mut Tx<'_>| {
                let mut took = this.take(tx, id, &told.events).await?;
                let payment = &mut took.payment;
                if payment.authorization_id.is_none() {
                    payment.authorization_id = Some(told.id);
                    took.changed = true;
                }
                let left_behind = this.has_left_behind(payment, told.status);
                if payment.is_open() || left_behind {
                    tx.wake_after_commit(&this.bell);
                }
                if left_behind && payment.inquire_at.is_none() {
                    payment.inquire_at = Some(this.clock.now());
                    took.changed = true;
                }
                if took.changed {
                    store::save(tx, payment).await?;
                }
                let answer = if wanted(payment.status) { Some(this.answer(tx, payment, key.as_ref()).await?) } else { None };
                Ok::<_, PaymentError>((Learned { status: payment.status, answer }, took.notes))
            })
            .await?;
        self.metrics.note(&notes);
        Ok(learned)
    }

    /// Takes one event that came by itself; says whether the PSP must be asked what came before it.
    pub(crate) async fn hear(&self, id: PaymentId, event: &PspEvent) -> Result<bool, PaymentError> {
        let (this, event) = (self.clone(), event.clone());
        let (too_early, notes) = self
            .db
            .write(async move |tx: &mut Tx<'_>| {
                let mut took = this.take(tx, id, std::slice::from_ref(&event)).await?;
                if took.changed {
                    if this.has_left_behind(&took.payment, status_of(event.kind)) {
                        took.payment.inquire_at = Some(this.clock.now());
                        tx.wake_after_commit(&this.bell);
                    }
                    store::save(tx, &mut took.payment).await?;
                }
                Ok::<_, PaymentError>((took.too_early, took.notes))
            })
            .await?;
        self.metrics.note(&notes);
        Ok(too_early)
    }

    /// The call to authorize had no answer: what became of it is not known, and is asked for. On the lower rungs it counts as a failure.
    pub(crate) async fn heard_nothing(&self, id: PaymentId, error: &CallError, key: Option<Key>) -> Result<Answer, PaymentError> {
        // Readable and wrong: the PSP will never take it. A key that it knows with another content is another matter.
        let never = error.is_status(422) && !error.is(kinds::KEY_REUSED.slug);
        let sent = !matches!(error, CallError::Unavailable { .. });
        tracing::warn!(payment_id = %id, %error, "the PSP did not answer an authorization");
        let config = self.config.get();
        let end = match config.no_answer {
            _ if never => Some(("refused_by_provider", "refused")),
            NoAnswer::Failed => Some(("no_answer", "given-up")),
            NoAnswer::Unknown => None,
        };
        let this = self.clone();
        let (answer, failed) = self
            .db
            .write(async move |tx: &mut Tx<'_>| {
                let mut payment = store::by_id(tx, id).await?.ok_or(PaymentError::Unknown(id))?;
                let now = this.clock.now();
                let failed = end.is_some() && payment.is_open();
                if payment.is_open() {
                    if let Some((code, outcome)) = end {
                        payment.inquire_at = None;
                        end_all_attempts(tx, id, outcome, now).await?;
                        this.fail(tx, &mut payment, code, now).await?;
                    } else if payment.status != Status::Unknown {
                        let step = payment.become_(Status::Unknown, now)?;
                        store::append_transition(tx, &payment, &step, None).await?;
                    }
                    if end.is_none() && !sent {
                        payment.inquire_at = Some(now.plus(config.not_sent_pause(payment.inquiries)));
                    }
                    store::save(tx, &mut payment).await?;
                    tx.wake_after_commit(&this.bell);
                }
                Ok::<_, PaymentError>((this.answer(tx, &payment, key.as_ref()).await?, failed))
            })
            .await?;
        if failed {
            self.metrics.note(&[Note::Outcome { failed }]);
        }
        Ok(answer)
    }

    /// Ends a payment that the PSP cannot void yet: whatever comes of it finds that it has ended, and is given back. Says how it stands.
    pub(crate) async fn close(&self, id: PaymentId, key: Option<Key>) -> Result<Learned, PaymentError> {
        let this = self.clone();
        let (learned, failed) = self
            .db
            .write(async move |tx: &mut Tx<'_>| {
                let mut payment = store::by_id(tx, id).await?.ok_or(PaymentError::Unknown(id))?;
                let failed = payment.is_open();
                if failed {
                    let now = this.clock.now();
                    this.fail(tx, &mut payment, "closed_while_open", now).await?;
                    // It goes on at the PSP, so that is asked until it is known.
                    payment.inquire_at = Some(now.plus(this.config.get().inquiry_pause(0)));
                    store::save(tx, &mut payment).await?;
                    tx.wake_after_commit(&this.bell);
                }
                let answer = if is_over(payment.status) { Some(this.answer(tx, &payment, key.as_ref()).await?) } else { None };
                Ok::<_, PaymentError>((Learned { status: payment.status, answer }, failed))
            })
            .await?;
        if failed {
            self.metrics.note(&[Note::Outcome { failed }]);
        }
        Ok(learned)
    }

    /// The step to FAILED of a payment that is open, with its event. The caller saves it.
    async fn fail(&self, tx: &mut Tx<'_>, payment: &mut Payment, code: &str, now: Timestamp) -> Result<(), PaymentError> {
        let step = payment.become_(Status::Failed, now)?;
        payment.failure_code = Some(code.to_owned());
        store::append_transition(tx, payment, &step, None).await?;
        Ok(self.announce(tx, payment, &step, payment.money(payment.amount), payment.failure_code.clone()).await?)
    }

    /// Takes the events that were not taken before, in their order.
    async fn take(&self, tx: &mut Tx<'_>, id: PaymentId, events: &[PspEvent]) -> Result<Took, PaymentError> {
        let payment = store::by_id(tx, id).await?.ok_or(PaymentError::Unknown(id))?;
        let mut took = Took { payment, changed: false, too_early: false, notes: Vec::new() };
        for event in events {
            if store::is_posted(tx, event.event_id).await? {
                continue;
            }
            let now = self.clock.now();
            let mut payment = took.payment.clone();
            let taken = payment.take(event, now)?;
            if taken == Taken::TooEarly {
                took.too_early = true;
                break;
            }
            if taken == Taken::TooLate && self.config.get().late_events == LateEvents::Ignored {
                tracing::warn!(payment_id = %id, event_id = %event.event_id, kind = %event.kind, "the PSP's event came too late");
                continue;
            }
            took.payment = payment;
            took.changed = true;
            let posting = Posting::of(event.kind, event.amount.amount)?;
            store::post(tx, self.ids.make(), &took.payment, event, &posting, now).await?;
            let reason = match event.kind {
                PspEventType::Declined => event.decline_code.clone(),
                PspEventType::Refunded => self.settle_refund(tx, &took.payment, event, now).await?,
                _ => None,
            };
            match taken {
                Taken::Step(step) => {
                    store::append_transition(tx, &took.payment, &step, Some(event.event_id)).await?;
                    self.announce(tx, &took.payment, &step, event.amount, reason).await?;
                    if matches!(step.status, Status::Authorized | Status::Failed) {
                        took.notes.push(Note::Outcome { failed: step.status == Status::Failed });
                    }
                }
                _ => tracing::warn!(payment_id = %id, event_id = %event.event_id, kind = %event.kind, "the PSP's event came too late"),
            }
            self.end_attempts(tx, &mut took, event, now).await?;
        }
        Ok(took)
    }

    /// The refund that this event is the end of; one that we did not ask for is noted as it is. Gives its reason.
    async fn settle_refund(
        &self,
        tx: &mut Tx<'_>,
        payment: &Payment,
        event: &PspEvent,
        now: Timestamp,
    ) -> Result<Option<String>, PaymentError> {
        let ours: Option<Uuid> = event.request_key.as_deref().and_then(|key| types::id::parse(key).ok());
        if let Some(id) = ours
            && let Some(refund) = store::refunds::by_id(tx, id).await?
            && store::refunds::end(tx, id, RefundStatus::Succeeded, Some(event.event_id), now).await?
        {
            return Ok(refund.reason);
        }
        let refund = Refund {
            id: self.ids.make(),
            payment_id: payment.id,
            amount: event.amount.amount,
            asked_amount: Some(event.amount.amount),
            reason: Some("made by the payment provider".to_owned()),
            status: RefundStatus::Succeeded,
            request_token: None,
            psp_event_id: Some(event.event_id),
            credit_id: None,
            ask_at: None,
            asked: 0,
            created_at: now,
        };
        store::refunds::insert(tx, &refund).await?;
        Ok(refund.reason)
    }

    /// Whether the PSP holds or has money of a payment that has ended without: it must be given back, where what comes late is undone.
    pub(super) fn has_left_behind(&self, payment: &Payment, at_psp: AuthorizationStatus) -> bool {
        is_over(payment.status)
            && self.config.get().late_events == LateEvents::Undone
            && match at_psp {
                AuthorizationStatus::Authorized => true,
                AuthorizationStatus::Captured => payment.left(0) > 0,
                AuthorizationStatus::Processing | AuthorizationStatus::Declined | AuthorizationStatus::Voided => false,
            }
    }

    /// Ends the attempts that this event answers. When none is open and the PSP has spoken, there is nothing more to ask.
    async fn end_attempts(&self, tx: &mut Tx<'_>, took: &mut Took, event: &PspEvent, now: Timestamp) -> Result<(), PaymentError> {
        let mut still_open = false;
        for attempt in store::open_attempts(tx, took.payment.id).await? {
            let is_answered = match attempt.operation {
                Operation::Refund => event.request_key.as_deref() == Some(&attempt.psp_key),
                operation => is_answer_to(event.kind, operation, &took.payment),
            };
            if is_answered {
                store::end_attempt(tx, attempt.seq, event.kind.as_str(), now).await?;
                took.notes.push(Note::Latency(attempt.operation, now.since(attempt.started_at)));
            } else {
                // A refund has its own row, which says when it is asked for again.
                still_open |= attempt.operation != Operation::Refund;
            }
        }
        if !still_open && !took.payment.is_open() {
            took.payment.inquire_at = None;
            took.payment.inquiries = 0;
        }
        Ok(())
    }
}

/// Whether nothing more is to come of a payment.
pub(super) const fn is_over(status: Status) -> bool {
    matches!(status, Status::Voided | Status::Failed)
}

/// Every open attempt of a payment but its refunds.
pub(super) async fn end_all_attempts(tx: &mut Tx<'_>, id: PaymentId, outcome: &str, now: Timestamp) -> Result<(), PaymentError> {
    for attempt in store::open_attempts(tx, id).await? {
        if attempt.operation != Operation::Refund {
            store::end_attempt(tx, attempt.seq, outcome, now).await?;
        }
    }
    Ok(())
}

/// Whether what is asked for by an open attempt (not of a refund) is known with this event. A decline, a capture and a void leave nothing to
/// come of any of them; an authorization is the whole answer only where the PSP was not asked to take the money with it.
const fn is_answer_to(kind: PspEventType, operation: Operation, payment: &Payment) -> bool {
    match kind {
        PspEventType::Declined | PspEventType::Captured | PspEventType::Voided => true,
        PspEventType::Authorized | PspEventType::Refunded if is_over(payment.status) => true,
        PspEventType::Authorized => matches!(operation, Operation::Authorize) && !payment.capture_at_once,
        PspEventType::Refunded => false,
    }
}

/// Where an authorization stands after an event.
const fn status_of(kind: PspEventType) -> AuthorizationStatus {
    match kind {
        PspEventType::Authorized => AuthorizationStatus::Authorized,
        PspEventType::Declined => AuthorizationStatus::Declined,
        PspEventType::Captured | PspEventType::Refunded => AuthorizationStatus::Captured,
        PspEventType::Voided => AuthorizationStatus::Voided,
    }
}
