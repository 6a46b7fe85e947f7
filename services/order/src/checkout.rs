//! The checkout saga: hold the stock, authorize the payment, claim the stock, take the money, confirm. What fails walks back.
//!
//! 1. `reserve`: inventory holds every line or none. Undo: the hold is released; a claim goes back to the stock.
//! 2. `authorize`: the payment is made and confirmed with the PSP; before that the hold is made to last as long as the settings say.
//!    The answer may take minutes: then the saga waits for the event, and looks by itself now and then. Undo: the payment is voided and
//!    the void confirmed (what was captured meanwhile is refunded); only then does the walk back go on to the hold.
//! 3. `claim`: the hold becomes a claim, with the hold's fencing token. Undo: nothing of its own, `reserve`'s undo gives a claim back.
//! 4. `capture`: the money is taken. Undo: it is refunded.
//!
//! Each order has one saga, and the saga has the order's id.

use std::time::Duration;

use futures::future::{BoxFuture, LocalBoxFuture};
use inventory_api::{Claim, Extend, Inventory, Release, Reserve, ReserveItem};
use order_api::{CancelReason, OrderStatus};
use payment_api::{CreatePayment, Payment, PaymentMethod, PaymentStatus, Payments, RefundRequest};
use platform::{
    Clock,
    client::CallError,
    db::{DbError, Tx},
    service::Live,
};
use saga::{Definition, Outcome, Run, Undone};
use serde::{Deserialize, Serialize};
use types::{CustomerId, Money, OrderId, PaymentId, Region, ReservationId, Timestamp, id::Uuid};

use crate::{
    config::{Capture, ClaimBy, Config},
    domain::Heard,
    store,
    telling::{Teller, Told},
    waiting::Bells,
};

// ── parameters ──

pub const TABLE: &str = "order_sagas";

/// How often the saga looks at a payment by itself while it waits for the event.
const LOOK: Duration = Duration::from_secs(15);

/// What the saga knows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Data {
    pub lines: Vec<ReserveItem>,
    pub region: Region,
    pub total: Money,
    pub method: PaymentMethod,
    /// Whose the payment is to be; unknown to sagas that an older version began.
    #[serde(default)]
    pub customer: Option<CustomerId>,
    pub hold: Option<Hold>,
    /// The hold was made to last as long as the settings say.
    pub secured: bool,
    pub payment: Option<PaymentId>,
    pub payment_status: Option<PaymentStatus>,
    /// What had gone back of it by then, in minor units, and its version; unknown to sagas that an older version began.
    #[serde(default)]
    pub payment_refunded: i64,
    #[serde(default)]
    pub payment_version: i64,
    /// When the payment began: its deadline counts from here.
    pub payment_began_at: Option<Timestamp>,
    /// When the payment was seen to have come. Noted with the step, because what is claimed by it is claimed again in the same words.
    #[serde(default)]
    pub paid_at: Option<Timestamp>,
}

impl Data {
    /// The same, knowing this of the payment.
    fn knowing(self, payment: &Payment) -> Self {
        Self {
            payment: Some(payment.id),
            payment_status: Some(payment.status),
            payment_refunded: payment.refunded.amount,
            payment_version: payment.version,
            ..self
        }
    }

    fn heard(&self) -> Option<Heard> {
        let (payment, status) = (self.payment?, self.payment_status?);
        Some(Heard { payment, status, refunded: self.payment_refunded, version: self.payment_version })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    pub reservation: ReservationId,
    pub token: i64,
}

pub struct Checkout {
    pub clock: Clock,
    pub config: Live<Config>,
    pub inventory: Inventory,
    pub payments: Payments,
    pub teller: Teller,
    pub bells: Bells,
}

// ── steps ──

const RESERVE: &str = "reserve";
const AUTHORIZE: &str = "authorize";
const CLAIM: &str = "claim";
const CAPTURE: &str = "capture";

// ── definition ──

impl Definition for Checkout {
    type Data = Data;

    fn steps(&self) -> &'static [&'static str] {
        &[RESERVE, AUTHORIZE, CLAIM, CAPTURE]
    }

    fn act<'a>(&'a self, step: &'static str, run: &'a Run<Data>) -> BoxFuture<'a, Outcome<Data>> {
        Box::pin(async move {
            match step {
                RESERVE => self.reserve(run).await,
                AUTHORIZE => self.authorize(run).await,
                CLAIM => self.claim(run).await,
                _ => self.capture(run).await,
            }
        })
    }

    fn undo<'a>(&'a self, step: &'static str, run: &'a Run<Data>) -> BoxFuture<'a, Undone<Data>> {
        Box::pin(async move {
            match step {
                RESERVE => self.undo_reserve(run).await,
                AUTHORIZE => self.undo_authorize(run).await,
                CAPTURE => self.undo_capture(run).await,
                _ => Undone::Done(run.data.clone()),
            }
        })
    }

    fn record<'a>(&'a self, tx: &'a mut Tx<'_>, step: &'static str, run: &'a Run<Data>) -> LocalBoxFuture<'a, Result<(), DbError>> {
        Box::pin(async move {
            match step {
                RESERVE => self.become_(tx, run, &[OrderStatus::Reserved], None).await,
                AUTHORIZE => self.become_(tx, run, &[OrderStatus::Paid], None).await,
                CAPTURE => self.become_(tx, run, &[OrderStatus::Confirmed, OrderStatus::FulfilledReady], None).await,
                _ => Ok(()),
            }
        })
    }

    fn unwound<'a>(&'a self, tx: &'a mut Tx<'_>, reason: &'a str, run: &'a Run<Data>) -> LocalBoxFuture<'a, Result<(), DbError>> {
        Box::pin(self.become_(tx, run, &[OrderStatus::Cancelled], Some(reason)))
    }
}

// ── reserve ──

impl Checkout {
    async fn reserve(&self, run: &Run<Data>) -> Outcome<Data> {
        match self.hold(run, &run.key()).await {
            Ok(hold) => Outcome::Done(Data { hold: Some(hold), ..run.data.clone() }),
            Err(error) if error.is("insufficient-stock") => refused(CancelReason::NoStock, false),
            // A SKU that inventory never heard of is not in stock.
            Err(error) if error.is_status(422) || error.is_status(404) => refused(CancelReason::NoStock, false),
            Err(error) => Outcome::Retry(error.to_string()),
        }
    }

    async fn hold(&self, run: &Run<Data>, key: &str) -> Result<Hold, CallError> {
        let request = Reserve {
            order_id: OrderId(run.id),
            items: run.data.lines.clone(),
            warehouse: None,
            region: Some(run.data.region),
            ttl_seconds: None,
        };
        let reservation = self.inventory.reserve(&request, key).await?;
        Ok(Hold { reservation: reservation.reservation_id, token: reservation.fencing_token })
    }

    async fn undo_reserve(&self, run: &Run<Data>) -> Undone<Data> {
        let Some(hold) = run.data.hold else { return Undone::Done(run.data.clone()) };
        let request = Release { reservation_id: hold.reservation, fencing_token: Some(hold.token) };
        match self.inventory.release(&request, &run.key()).await {
            Ok(_) => Undone::Done(run.data.clone()),
            // It has ended by itself: nothing is held.
            Err(error) if error.refusal().is_some() => Undone::Done(run.data.clone()),
            Err(error) => Undone::Retry(error.to_string()),
        }
    }
}

// ── authorize ──

impl Checkout {
    async fn authorize(&self, run: &Run<Data>) -> Outcome<Data> {
        let config = self.config.get();
        let mut data = run.data.clone();
        if let (false, Some(seconds), Some(hold)) = (data.secured, config.extension_seconds(), data.hold) {
            let request = Extend { reservation_id: hold.reservation, fencing_token: hold.token, ttl_seconds: seconds };
            match self.inventory.extend(&request, &format!("{}-extend", run.key())).await {
                Ok(_) => data.secured = true,
                Err(error) if error.refusal().is_some() => return refused(CancelReason::HoldExpired, false),
                Err(error) => return Outcome::Retry(error.to_string()),
            }
        }
        let began = *data.payment_began_at.get_or_insert(self.clock.now());
        let deadline = began.plus(Duration::from_secs(config.payment_deadline_seconds.into()));
        let answer = match data.payment {
            Some(payment) => self.look_at_payment(run, payment, deadline, &config).await,
            None => self.begin_payment(run, &mut data, &config).await,
        };
        let payment = match answer {
            Ok(payment) => payment,
            Err(error) => match data.payment {
                // It may have been confirmed: from here on it is asked for, never made again.
                Some(_) => return Outcome::Wait(data, self.clock.now().plus(Duration::from_secs(1))),
                None => return Outcome::Retry(error.to_string()),
            },
        };
        data = data.knowing(&payment);
        match payment.status {
            PaymentStatus::Authorized | PaymentStatus::Captured => Outcome::Done(Data { paid_at: Some(self.clock.now()), ..data }),
            PaymentStatus::Failed => refused(CancelReason::Declined, false),
            PaymentStatus::RequiresConfirmation | PaymentStatus::Processing | PaymentStatus::Unknown => {
                let now = self.clock.now();
                if deadline <= now { refused(CancelReason::Timeout, true) } else { Outcome::Wait(data, deadline.min(now.plus(LOOK))) }
            }
            PaymentStatus::Voided | PaymentStatus::Refunded | PaymentStatus::PartiallyRefunded => refused(CancelReason::Timeout, true),
        }
    }

    /// Makes the payment and has it confirmed; `data` keeps its id even if the confirmation has no answer.
    async fn begin_payment(&self, run: &Run<Data>, data: &mut Data, config: &Config) -> Result<Payment, CallError> {
        let request = CreatePayment {
            order_id: OrderId(run.id),
            customer_id: data.customer,
            amount: data.total,
            method: data.method.clone(),
            capture_at_once: config.capture == Capture::Authorize,
        };
        let payment = self.payments.create(&request, &run.key()).await?;
        data.payment = Some(payment.id);
        if payment.status != PaymentStatus::RequiresConfirmation {
            return Ok(payment);
        }
        self.confirm(run, payment.id, config).await
    }

    /// How a payment is that was made before. Where its confirmation has never arrived, that is said again, in the same words.
    async fn look_at_payment(
        &self,
        run: &Run<Data>,
        payment: PaymentId,
        deadline: Timestamp,
        config: &Config,
    ) -> Result<Payment, CallError> {
        let payment = self.payments.get(payment).await?;
        if payment.status == PaymentStatus::RequiresConfirmation && self.clock.now() < deadline {
            return self.confirm(run, payment.id, config).await;
        }
        Ok(payment)
    }

    async fn confirm(&self, run: &Run<Data>, payment: PaymentId, config: &Config) -> Result<Payment, CallError> {
        self.payments.confirm(payment, &format!("{}-confirm", run.key()), Duration::from_millis(config.confirm_wait_ms)).await
    }

    async fn undo_authorize(&self, run: &Run<Data>) -> Undone<Data> {
        let payment = match run.data.payment {
            Some(payment) => payment,
            // A crash may have come between making the payment and noting it: who keeps the payments knows.
            None => match self.payments.of_order(OrderId(run.id)).await {
                Ok(Some(payment)) => payment.id,
                Ok(None) => return Undone::Done(run.data.clone()),
                Err(error) => return Undone::Retry(error.to_string()),
            },
        };
        let known = Data { payment: Some(payment), ..run.data.clone() };
        match self.payments.void(payment, &run.key()).await {
            Ok(voided) => match voided.status {
                PaymentStatus::Voided | PaymentStatus::Failed | PaymentStatus::Refunded => Undone::Done(known.knowing(&voided)),
                // The PSP cannot void it yet: the hold stays until it has, and an event tells.
                _ => Undone::Wait(known.knowing(&voided), self.clock.now().plus(LOOK)),
            },
            // It was captured meanwhile: it goes back as a refund.
            Err(error) if error.refusal().is_some() => self.give_back(run.id, known).await,
            Err(error) => Undone::Retry(error.to_string()),
        }
    }
}

// ── claim ──

impl Checkout {
    async fn claim(&self, run: &Run<Data>) -> Outcome<Data> {
        let by = self.config.get().claim_by;
        let data = run.data.clone();
        let (Some(hold), ClaimBy::Saga | ClaimBy::SagaOrHoldAgain) = (data.hold, by) else { return Outcome::Done(data) };
        let request = Claim { reservation_id: hold.reservation, fencing_token: hold.token, at: data.paid_at };
        match self.inventory.claim(&request, &run.key()).await {
            Ok(_) => Outcome::Done(data),
            Err(error) if error.refusal().is_some() => match by {
                ClaimBy::SagaOrHoldAgain => self.claim_anew(run).await,
                _ => refused(CancelReason::HoldExpired, false),
            },
            Err(error) => Outcome::Retry(error.to_string()),
        }
    }

    /// The hold has ended before the payment came: hold again if stock is free, and claim that at once.
    async fn claim_anew(&self, run: &Run<Data>) -> Outcome<Data> {
        let key = run.key();
        let hold = match self.hold(run, &format!("{key}-again")).await {
            Ok(hold) => hold,
            Err(error) if error.refusal().is_some() => return refused(CancelReason::HoldExpired, false),
            Err(error) => return Outcome::Retry(error.to_string()),
        };
        let request = Claim { reservation_id: hold.reservation, fencing_token: hold.token, at: run.data.paid_at };
        match self.inventory.claim(&request, &format!("{key}-claim-again")).await {
            Ok(_) => Outcome::Done(Data { hold: Some(hold), ..run.data.clone() }),
            Err(error) if error.refusal().is_some() => refused(CancelReason::HoldExpired, false),
            Err(error) => Outcome::Retry(error.to_string()),
        }
    }
}

// ── capture ──

impl Checkout {
    async fn capture(&self, run: &Run<Data>) -> Outcome<Data> {
        let data = run.data.clone();
        let (Some(payment), Capture::Claim) = (data.payment, self.config.get().capture) else { return Outcome::Done(data) };
        match self.payments.capture(payment, &run.key()).await {
            Ok(payment) if payment.status == PaymentStatus::Captured => Outcome::Done(data.knowing(&payment)),
            Ok(payment) => Outcome::Retry(format!("the payment is {} after its capture", payment.status)),
            // The authorization has run out or was voided: there is no money to take.
            Err(error) if error.refusal().is_some() => refused(CancelReason::Timeout, false),
            Err(error) => Outcome::Retry(error.to_string()),
        }
    }

    async fn undo_capture(&self, run: &Run<Data>) -> Undone<Data> {
        self.give_back(run.id, run.data.clone()).await
    }

    /// Refunds what was captured of the payment.
    async fn give_back(&self, saga: Uuid, data: Data) -> Undone<Data> {
        let Some(payment) = data.payment else { return Undone::Done(data) };
        let current = match self.payments.get(payment).await {
            Ok(payment) => payment,
            Err(error) => return Undone::Retry(error.to_string()),
        };
        if !matches!(current.status, PaymentStatus::Captured | PaymentStatus::PartiallyRefunded) {
            return Undone::Done(data.knowing(&current));
        }
        match self.payments.refund(payment, &RefundRequest::default(), &format!("{saga}-refund")).await {
            Ok(payment) if payment.status == PaymentStatus::Refunded => Undone::Done(data.knowing(&payment)),
            Ok(_) => Undone::Wait(data, self.clock.now().plus(Duration::from_secs(1))),
            Err(error) => Undone::Retry(error.to_string()),
        }
    }
}

// ── what all steps share ──

impl Checkout {
    /// The order's own steps, each with its event, in the transaction that notes the saga's.
    async fn become_(&self, tx: &mut Tx<'_>, run: &Run<Data>, steps: &[OrderStatus], reason: Option<&str>) -> Result<(), DbError> {
        let id = OrderId(run.id);
        let told = |what: String| DbError::Column { column: "status".into(), reason: what };
        let mut order = store::head(tx, id).await?.ok_or_else(|| told(format!("order {id} is gone")))?;
        order.payment_id = run.data.payment.or(order.payment_id);
        if let Some(heard) = run.data.heard() {
            order.hear(&heard);
        }
        let before = order.version;
        let (mut taken, mut events) = (Vec::with_capacity(steps.len()), Told::default());
        for step in steps {
            // Said again after a crash: it stands already.
            if order.status == *step {
                continue;
            }
            let event = order.become_(*step, reason, self.clock.now()).map_err(|forbidden| told(forbidden.to_string()))?;
            self.teller.add(&mut events, &event)?;
            taken.push(event);
        }
        if !taken.is_empty() && !store::save(tx, &order, before, &taken).await? {
            return Err(DbError::Unavailable(format!("order {id} was changed at the same time")));
        }
        self.teller.done(tx, events).await?;
        if order.status.is_settled() {
            self.bells.ring_after(tx, id);
        }
        Ok(())
    }
}

fn refused(reason: CancelReason, and_this: bool) -> Outcome<Data> {
    Outcome::Refused { reason: reason.to_string(), and_this }
}
