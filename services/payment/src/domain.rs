//! What a payment is and may do. Pure: no I/O, no clock, no chance; a refusal is a value.
//!
//! The PSP decides what becomes of the money; we hear of it in any order and any number of times. So a payment changes by taking the PSP's
//! events ([`Payment::take`]), each once: in its turn it is a step; before its turn it waits until the PSP was asked for what is missing;
//! after the end it is booked all the same, and undone.

use payment_api::PaymentStatus as Status;
use psp_api::{PspEvent, PspEventType};
use types::{Currency, CustomerId, Money, OrderId, PaymentId, Timestamp, id::Uuid, states};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    pub id: PaymentId,
    pub order_id: OrderId,
    pub customer_id: Option<CustomerId>,
    pub currency: Currency,
    /// In minor units, as are `captured` and `refunded`.
    pub amount: i64,
    pub captured: i64,
    pub refunded: i64,
    /// What the PSP knows the card by.
    pub token: String,
    pub capture_at_once: bool,
    pub status: Status,
    pub failure_code: Option<String>,
    pub authorization_id: Option<Uuid>,
    /// When the PSP is asked next, while something is open.
    pub inquire_at: Option<Timestamp>,
    /// How often it was asked since that began.
    pub inquiries: u32,
    /// Grows by one with each change of status.
    pub version: i64,
    /// Grows by one with each save.
    pub revision: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// One change of status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// None for the first.
    pub previous: Option<Status>,
    pub status: Status,
    pub version: i64,
    pub at: Timestamp,
}

/// What became of an event of the PSP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// A step.
    Step(Transition),
    /// Not its turn: something came before it that was not heard of. Nothing was changed.
    TooEarly,
    /// It came after the end, or a second time under another id. The sums know of it; the status stays. What it left behind must be undone.
    TooLate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("a payment that is {from} cannot become {to}")]
    Forbidden { from: Status, to: Status },
    #[error("the PSP tells of {told}, which does not fit a payment in {currency}")]
    Amount { told: Money, currency: Currency },
}

/// What a refund may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refundable {
    Amount(i64),
    /// More than this is not left.
    TooMuch {
        left: i64,
    },
    Currency,
    /// Nothing was captured that could go back.
    Never,
}

impl Payment {
    #[must_use]
    pub const fn money(&self, amount: i64) -> Money {
        Money::new(amount, self.currency)
    }

    /// Whether the PSP has not said yet what became of it.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.status, Status::Processing | Status::Unknown)
    }

    /// The entry of a new payment in its history.
    #[must_use]
    pub const fn created(&self) -> Transition {
        Transition { previous: None, status: self.status, version: self.version, at: self.created_at }
    }

    /// Takes a step of its life, or refuses and changes nothing.
    pub fn become_(&mut self, to: Status, now: Timestamp) -> Result<Transition, Refused> {
        if !states::allows("payment", self.status, to) {
            return Err(Refused::Forbidden { from: self.status, to });
        }
        let previous = std::mem::replace(&mut self.status, to);
        self.version += 1;
        self.updated_at = now;
        Ok(Transition { previous: Some(previous), status: to, version: self.version, at: now })
    }

    /// Takes an event of the PSP that it has not taken before.
    pub fn take(&mut self, event: &PspEvent, now: Timestamp) -> Result<Taken, Refused> {
        let Money { amount, currency } = event.amount;
        let wrong = Refused::Amount { told: event.amount, currency: self.currency };
        if currency != self.currency || amount < 0 {
            return Err(wrong);
        }
        let captured = if event.kind == PspEventType::Captured { self.captured.checked_add(amount) } else { Some(self.captured) };
        let refunded = if event.kind == PspEventType::Refunded { self.refunded.checked_add(amount) } else { Some(self.refunded) };
        let (Some(captured), Some(refunded)) = (captured, refunded) else { return Err(wrong) };
        let to = match event.kind {
            PspEventType::Authorized => Status::Authorized,
            PspEventType::Declined => Status::Failed,
            PspEventType::Captured => Status::Captured,
            PspEventType::Voided => Status::Voided,
            PspEventType::Refunded if refunded >= captured => Status::Refunded,
            PspEventType::Refunded => Status::PartiallyRefunded,
        };
        let taken = if states::allows("payment", self.status, to) && self.status != Status::RequiresConfirmation {
            Taken::Step(self.become_(to, now)?)
        } else if self.is_before(event.kind) {
            return Ok(Taken::TooEarly);
        } else {
            self.updated_at = now;
            Taken::TooLate
        };
        (self.captured, self.refunded) = (captured, refunded);
        self.authorization_id = Some(event.authorization_id);
        if event.kind == PspEventType::Declined && self.status == Status::Failed {
            self.failure_code.clone_from(&event.decline_code);
        }
        Ok(taken)
    }

    /// Whether something must have happened before an event of this kind, of which we have not heard.
    const fn is_before(&self, kind: PspEventType) -> bool {
        match self.status {
            Status::RequiresConfirmation => true,
            Status::Processing | Status::Unknown => matches!(kind, PspEventType::Captured | PspEventType::Refunded),
            Status::Authorized => matches!(kind, PspEventType::Refunded),
            _ => false,
        }
    }

    /// What can go back when this is asked for (all that is left when nothing is said), while `pending` is on its way back already.
    #[must_use]
    pub fn refundable(&self, asked: Option<Money>, pending: i64) -> Refundable {
        if !matches!(self.status, Status::Captured | Status::PartiallyRefunded | Status::Refunded) {
            return Refundable::Never;
        }
        let left = self.left(pending);
        match asked {
            Some(money) if money.currency != self.currency => Refundable::Currency,
            Some(money) if money.amount > left => Refundable::TooMuch { left },
            Some(money) => Refundable::Amount(money.amount),
            None if left > 0 => Refundable::Amount(left),
            // An order that cost nothing is refunded by nothing, once.
            None if self.captured == 0 && self.status == Status::Captured => Refundable::Amount(0),
            None => Refundable::TooMuch { left },
        }
    }

    /// Of what was captured, what has neither gone back nor is on its way back.
    #[must_use]
    pub const fn left(&self, pending: i64) -> i64 {
        self.captured.saturating_sub(self.refunded).saturating_sub(pending)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub fn payment(status: Status) -> Payment {
        Payment {
            id: PaymentId(Uuid::from_u128(1)),
            order_id: OrderId(Uuid::from_u128(2)),
            customer_id: None,
            currency: Currency::Usd,
            amount: 1_000,
            captured: 0,
            refunded: 0,
            token: "tok_ok".into(),
            capture_at_once: false,
            status,
            failure_code: None,
            authorization_id: None,
            inquire_at: None,
            inquiries: 0,
            version: 5,
            revision: 9,
            created_at: Timestamp::from_seconds(1),
            updated_at: Timestamp::from_seconds(1),
        }
    }

    fn event(kind: PspEventType, amount: i64) -> PspEvent {
        PspEvent {
            event_id: Uuid::from_u128(7),
            payment_id: Uuid::from_u128(1).to_string(),
            authorization_id: Uuid::from_u128(8),
            kind,
            amount: Money::new(amount, Currency::Usd),
            decline_code: (kind == PspEventType::Declined).then(|| "lost_card".into()),
            request_key: None,
            at: Timestamp::from_seconds(2),
        }
    }

    const NOW: Timestamp = Timestamp::from_seconds(3);

    #[test]
    fn in_its_turn_an_event_is_a_step() {
        for (from, kind, to) in [
            (Status::Processing, PspEventType::Authorized, Status::Authorized),
            (Status::Unknown, PspEventType::Authorized, Status::Authorized),
            (Status::Processing, PspEventType::Declined, Status::Failed),
            (Status::Unknown, PspEventType::Voided, Status::Voided),
            (Status::Authorized, PspEventType::Voided, Status::Voided),
            (Status::Authorized, PspEventType::Captured, Status::Captured),
        ] {
            let mut payment = payment(from);
            let step = Transition { previous: Some(from), status: to, version: 6, at: NOW };
            assert_eq!(payment.take(&event(kind, 1_000), NOW), Ok(Taken::Step(step)), "{from} {kind}");
            assert_eq!(payment.authorization_id, Some(Uuid::from_u128(8)));
            assert_eq!(payment.failure_code.is_some(), to == Status::Failed);
        }
    }

    #[test]
    fn refunds_lead_step_by_step_to_refunded() {
        let mut payment = Payment { captured: 1_000, ..payment(Status::Captured) };
        for (amount, status, refunded) in
            [(300, Status::PartiallyRefunded, 300), (1, Status::PartiallyRefunded, 301), (699, Status::Refunded, 1_000)]
        {
            assert!(matches!(payment.take(&event(PspEventType::Refunded, amount), NOW), Ok(Taken::Step(_))));
            assert_eq!((payment.status, payment.refunded), (status, refunded));
        }
        assert_eq!(payment.version, 8);
    }

    #[test]
    fn before_its_turn_an_event_changes_nothing() {
        for (from, kind) in [
            (Status::RequiresConfirmation, PspEventType::Authorized),
            (Status::RequiresConfirmation, PspEventType::Voided),
            (Status::Processing, PspEventType::Captured),
            (Status::Unknown, PspEventType::Captured),
            (Status::Authorized, PspEventType::Refunded),
        ] {
            let mut taking = payment(from);
            assert_eq!(taking.take(&event(kind, 1_000), NOW), Ok(Taken::TooEarly), "{from} {kind}");
            assert_eq!(taking, payment(from));
        }
    }

    #[test]
    fn after_the_end_an_event_is_booked_and_the_status_stays() {
        for end in [Status::Voided, Status::Failed] {
            let mut payment = payment(end);
            assert_eq!(payment.take(&event(PspEventType::Authorized, 1_000), NOW), Ok(Taken::TooLate));
            assert_eq!(payment.take(&event(PspEventType::Captured, 1_000), NOW), Ok(Taken::TooLate));
            assert_eq!((payment.status, payment.version, payment.captured), (end, 5, 1_000));
            assert_eq!(payment.take(&event(PspEventType::Refunded, 1_000), NOW), Ok(Taken::TooLate));
            assert_eq!(payment.left(0), 0);
        }
        let mut captured = Payment { captured: 1_000, ..payment(Status::Captured) };
        assert_eq!(captured.take(&event(PspEventType::Declined, 1_000), NOW), Ok(Taken::TooLate));
        assert_eq!((captured.status, captured.failure_code), (Status::Captured, None));
    }

    #[test]
    fn an_amount_that_cannot_be_is_refused() {
        let mut payment = Payment { captured: i64::MAX, ..payment(Status::Authorized) };
        let before = payment.clone();
        let euros = PspEvent { amount: Money::new(1, Currency::Eur), ..event(PspEventType::Captured, 1) };
        for wrong in [event(PspEventType::Captured, 1), event(PspEventType::Captured, -1), euros] {
            assert!(matches!(payment.take(&wrong, NOW), Err(Refused::Amount { .. })), "{wrong:?}");
        }
        assert_eq!(payment, before);
    }

    #[test]
    fn what_is_on_its_way_back_cannot_go_back_again() {
        let usd = |amount| Some(Money::new(amount, Currency::Usd));
        let captured = Payment { captured: 1_000, refunded: 200, ..payment(Status::PartiallyRefunded) };
        assert_eq!(captured.refundable(usd(500), 300), Refundable::Amount(500));
        assert_eq!(captured.refundable(usd(501), 300), Refundable::TooMuch { left: 500 });
        assert_eq!(captured.refundable(None, 300), Refundable::Amount(500));
        assert_eq!(captured.refundable(None, 800), Refundable::TooMuch { left: 0 });
        assert_eq!(captured.refundable(Some(Money::new(1, Currency::Jpy)), 0), Refundable::Currency);
        assert_eq!(payment(Status::Authorized).refundable(None, 0), Refundable::Never);
        assert_eq!(Payment { amount: 0, ..payment(Status::Captured) }.refundable(None, 0), Refundable::Amount(0));
    }
}
