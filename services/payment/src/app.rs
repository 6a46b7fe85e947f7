//! The use cases: what is asked of a payment, and by whom the PSP is asked.
//!
//! An operation that needs the PSP has three parts: a transaction that says what is intended ([`App::begin`]), the call, and a transaction
//! that takes what the PSP told ([`learn`]). After a crash in between, the inquiry ([`inquiry`]) asks the PSP and takes the rest.
//! Every call has a key made of the payment, so that a repeat is the same call.

pub mod inquiry;
pub mod learn;
pub mod money;
pub mod refund;

use std::sync::Arc;

use payment_api::{CreatePayment, Payment as View, PaymentStatus as Status, events};
use platform::{
    Clock, Ids,
    db::{Db, DbError, Tx},
    event::Outbox,
    http::Answer,
    idempotency::{Idempotency, Key},
    lease::Leases,
    service::{BuildError, Env, Live},
    telemetry::context::Contexts,
};
use psp_api::{Authorize, Psp};
use tokio::sync::Notify;
use types::{Money, OrderId, PaymentId, ShortText, Sku};

use crate::{
    config::{Config, RETRY_PAUSE, RetryKey},
    domain::{Payment, Transition},
    error::PaymentError,
    metrics::{Metrics, OUTCOMES},
    store::{self, Operation},
};

#[derive(Clone, Debug)]
pub struct App {
    pub db: Db,
    pub clock: Clock,
    /// Rung when the PSP has to be asked sooner than was thought.
    pub bell: Arc<Notify>,
    config: Live<Config>,
    contexts: Contexts,
    ids: Ids,
    idempotency: Idempotency,
    leases: Leases,
    metrics: Metrics,
    outbox: Outbox,
    psp: Psp,
}

/// What an operation finds when it begins.
enum Start {
    /// Nothing is to be done: the payment as it is is the answer.
    AsItIs,
    /// A step for which nobody has to be asked.
    Step(Status),
    /// The PSP has to be asked.
    Ask(Operation),
}

enum Begun {
    Done(Answer),
    /// The PSP is to be asked, and this is the attempt that says so.
    Ask(Payment, Attempt),
}

/// One attempt of an operation: the call that is about to be made, and no other of the same kind.
#[derive(Clone, Copy, Debug)]
struct Attempt {
    seq: i64,
    operation: Operation,
}

impl App {
    pub async fn new(env: &Env, config: Live<Config>) -> Result<Self, BuildError> {
        let outbox = env.outbox();
        outbox.register::<events::PaymentAuthorized>()?;
        outbox.register::<events::PaymentCaptured>()?;
        outbox.register::<events::PaymentFailed>()?;
        outbox.register::<events::PaymentVoided>()?;
        outbox.register::<events::PaymentRefunded>()?;
        let db = env.db();
        let last: Vec<bool> = db.read(async |tx: &mut Tx<'_>| store::last_outcomes(tx, OUTCOMES).await).await?;
        Ok(Self {
            clock: env.clock,
            bell: Arc::default(),
            config,
            contexts: env.contexts.clone(),
            ids: env.ids.clone(),
            idempotency: env.idempotency(),
            leases: env.leases.clone(),
            metrics: Metrics::new(&env.metrics, env.instance, last),
            outbox,
            psp: Psp(env.client("psp")),
            db,
        })
    }

    /// Makes the payment of an order. There is one for each; the same request again gives the same payment.
    pub async fn create(&self, request: CreatePayment, key: Key) -> Result<Answer, PaymentError> {
        if request.amount.amount < 0 {
            return Err(PaymentError::Negative(request.amount.amount));
        }
        let new = self.new_payment(self.ids.make(), &request);
        self.idempotency
            .do_once(&self.db, Some(key), async move |tx: &mut Tx<'_>| {
                if store::insert(tx, &new).await? {
                    return Ok(Answer::created(location(new.id), &view(tx, &new).await?)?.version(new.revision));
                }
                let gone = || DbError::NoRow(format!("the payment of order {}", new.order_id));
                let known = store::by_order(tx, new.order_id).await?.ok_or_else(gone)?;
                if !is_same(&known, &request) {
                    return Err(PaymentError::Exists { order: known.order_id, payment: known.id });
                }
                let answer = Answer::ok(&view(tx, &known).await?)?.version(known.revision);
                Ok(Answer { location: Some(location(known.id)), ..answer })
            })
            .await
    }

    fn new_payment(&self, id: PaymentId, request: &CreatePayment) -> Payment {
        let now = self.clock.now();
        Payment {
            id,
            order_id: request.order_id,
            customer_id: request.customer_id,
            currency: request.amount.currency,
            amount: request.amount.amount,
            captured: 0,
            refunded: 0,
            token: request.method.token.as_str().to_owned(),
            capture_at_once: request.capture_at_once,
            status: Status::RequiresConfirmation,
            failure_code: None,
            authorization_id: None,
            inquire_at: None,
            inquiries: 0,
            version: 1,
            revision: 1,
            created_at: now,
            updated_at: now,
        }
    }

    /// The payment, and the revision that its ETag names.
    pub async fn get(&self, id: PaymentId) -> Result<(View, i64), PaymentError> {
        self.db
            .read(async |tx: &mut Tx<'_>| {
                let payment = store::by_id(tx, id).await?.ok_or(PaymentError::Unknown(id))?;
                Ok((view(tx, &payment).await?, payment.revision))
            })
            .await
    }

    pub async fn of_order(&self, order: OrderId) -> Result<Option<View>, PaymentError> {
        self.db
            .read(async |tx: &mut Tx<'_>| match store::by_order(tx, order).await? {
                Some(payment) => Ok(Some(view(tx, &payment).await?)),
                None => Ok(None),
            })
            .await
    }

    /// Has the PSP authorize the payment; answers with the outcome, or with the payment as it stands when there is none yet. A repeat
    /// does not ask again.
    pub async fn confirm(&self, id: PaymentId, key: Option<Key>) -> Result<Answer, PaymentError> {
        if let Some(answer) = self.answered(key.as_ref()).await? {
            return Ok(answer);
        }
        let decide = |status| match status {
            Status::RequiresConfirmation => Ok(Start::Ask(Operation::Authorize)),
            Status::Voided => Err(PaymentError::NotConfirmable(status)),
            _ => Ok(Start::AsItIs),
        };
        match self.begin(id, key.clone(), decide).await? {
            Begun::Done(answer) => Ok(answer),
            Begun::Ask(payment, _) => self.ask_to_authorize(&payment, key).await,
        }
    }

    /// The call, as often as the settings say, and what came of it. With one key it is always the same call: the PSP authorizes a payment once.
    async fn ask_to_authorize(&self, payment: &Payment, key: Option<Key>) -> Result<Answer, PaymentError> {
        let (config, request) = (self.config.get(), request_for(payment)?);
        let mut tried = 0;
        loop {
            let psp_key = match config.retry_key {
                RetryKey::PerTry if tried > 0 => format!("{}-{tried}", authorize_key(payment.id)),
                RetryKey::One | RetryKey::PerTry => authorize_key(payment.id),
            };
            tried += 1;
            match self.psp.authorize(&request, &psp_key, config.psp_timeout()).await {
                Ok(told) => return self.learn(payment.id, &told, key, |_| true).await?.answer(),
                Err(error) if tried < config.authorize_tries && error.refusal().is_none() => self.clock.sleep(RETRY_PAUSE).await,
                Err(error) => return self.heard_nothing(payment.id, &error, key).await,
            }
        }
    }

    /// The first answer to this key, if there was one.
    async fn answered(&self, key: Option<&Key>) -> Result<Option<Answer>, PaymentError> {
        match key {
            Some(key) => Ok(self.idempotency.answered(&self.db, key).await?),
            None => Ok(None),
        }
    }

    /// The first part of an operation: finds out what is to be done, and notes what is intended before the PSP is asked.
    async fn begin(
        &self,
        id: PaymentId,
        key: Option<Key>,
        decide: impl Fn(Status) -> Result<Start, PaymentError> + Send + 'static,
    ) -> Result<Begun, PaymentError> {
        let this = self.clone();
        self.db
            .write(async move |tx: &mut Tx<'_>| {
                let mut payment = store::by_id(tx, id).await?.ok_or(PaymentError::Unknown(id))?;
                let now = this.clock.now();
                match decide(payment.status)? {
                    Start::AsItIs => {}
                    Start::Step(to) => {
                        let step = payment.become_(to, now)?;
                        store::append_transition(tx, &payment, &step, None).await?;
                        this.announce(tx, &payment, &step, payment.money(payment.amount), None).await?;
                        store::save(tx, &mut payment).await?;
                    }
                    Start::Ask(operation) => {
                        if payment.status == Status::RequiresConfirmation {
                            let step = payment.become_(Status::Processing, now)?;
                            store::append_transition(tx, &payment, &step, None).await?;
                        }
                        let seq = store::begin_attempt(tx, id, operation, &psp_key(id, operation), now).await?;
                        payment.inquiries = 0;
                        payment.inquire_at = Some(now.plus(this.config.get().inquiry_pause(0)));
                        store::save(tx, &mut payment).await?;
                        return Ok(Begun::Ask(payment, Attempt { seq, operation }));
                    }
                }
                this.answer(tx, &payment, key.as_ref()).await.map(Begun::Done)
            })
            .await
    }

    /// The answer to an operation, kept for its key: 202 while the PSP has not said what becomes of the payment.
    async fn answer(&self, tx: &mut Tx<'_>, payment: &Payment, key: Option<&Key>) -> Result<Answer, PaymentError> {
        let view = view(tx, payment).await?;
        let answer = if payment.is_open() { Answer::accepted(&view)? } else { Answer::ok(&view)? };
        self.idempotency.keep(tx, key, answer.version(payment.revision)).await
    }

    /// The event that tells of a step; none of those on the way.
    async fn announce(
        &self,
        tx: &mut Tx<'_>,
        payment: &Payment,
        step: &Transition,
        amount: Money,
        reason: Option<String>,
    ) -> Result<(), DbError> {
        macro_rules! tell {
            ($event:ident) => {{
                let (payment_id, order_id) = (payment.id, payment.order_id);
                let (refunded, kept) = (Some(payment.money(payment.refunded)), Some(payment.money(payment.left(0))));
                let event = events::$event { payment_id, order_id, amount, version: step.version, reason, refunded, kept, at: step.at };
                self.outbox.add(tx, &event).await.map(|_| ())
            }};
        }
        match step.status {
            Status::Authorized => tell!(PaymentAuthorized),
            Status::Captured => tell!(PaymentCaptured),
            Status::Failed => tell!(PaymentFailed),
            Status::Voided => tell!(PaymentVoided),
            Status::PartiallyRefunded | Status::Refunded => tell!(PaymentRefunded),
            Status::RequiresConfirmation | Status::Processing | Status::Unknown => Ok(()),
        }
    }

    pub(crate) const fn psp(&self) -> &Psp {
        &self.psp
    }

    /// Forgets answers that are older than a day.
    pub async fn purge(&self) -> Result<u64, PaymentError> {
        Ok(self.idempotency.purge(&self.db).await?)
    }
}

/// The key of an operation that a payment has at most once.
fn psp_key(id: PaymentId, operation: Operation) -> String {
    format!("{id}-{operation}")
}

fn authorize_key(id: PaymentId) -> String {
    psp_key(id, Operation::Authorize)
}

fn request_for(payment: &Payment) -> Result<Authorize, PaymentError> {
    let odd = |column: &str, reason: String| DbError::Column { column: column.to_owned(), reason };
    Ok(Authorize {
        merchant_reference: ShortText::new(payment.id.to_string()).map_err(|error| odd("id", error.to_string()))?,
        amount: payment.money(payment.amount),
        token: Sku::new(payment.token.clone()).map_err(|error| odd("token", error.to_string()))?,
        capture: payment.capture_at_once,
    })
}

fn is_same(known: &Payment, request: &CreatePayment) -> bool {
    known.money(known.amount) == request.amount
        && known.token == request.method.token.as_str()
        && known.capture_at_once == request.capture_at_once
}

fn location(id: PaymentId) -> String {
    format!("/payments/{id}")
}

/// The payment as others see it.
async fn view(tx: &mut Tx<'_>, payment: &Payment) -> Result<View, DbError> {
    // There is none before the capture, which is most of a payment's life.
    let refunds = if payment.captured > 0 || payment.status == Status::Captured || payment.status == Status::Refunded {
        store::refunds::of(tx, payment.id).await?
    } else {
        Vec::new()
    };
    Ok(View {
        id: payment.id,
        order_id: payment.order_id,
        customer_id: payment.customer_id,
        amount: payment.money(payment.amount),
        captured: payment.money(payment.captured),
        refunded: payment.money(payment.refunded),
        status: payment.status,
        failure_code: payment.failure_code.clone(),
        refunds: refunds.iter().map(|refund| refund.view(payment.currency)).collect(),
        version: payment.version,
        created_at: payment.created_at,
        updated_at: payment.updated_at,
    })
}
