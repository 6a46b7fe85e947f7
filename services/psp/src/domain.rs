//! What an authorization may do. Pure: no I/O, no clock, no chance; a refusal is a value and changes nothing.

use psp_api::{Amount, AuthorizationStatus as Status, PspEventType};
use types::{Currency, Money, Timestamp, id::Uuid};

use crate::plan::{Outcome, Plan};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorization {
    pub id: Uuid,
    /// The `Idempotency-Key` of the request.
    pub request_key: String,
    pub merchant_reference: String,
    pub token: String,
    pub capture_at_once: bool,
    pub currency: Currency,
    /// In minor units, as are `captured` and `refunded`.
    pub amount: i64,
    pub captured: i64,
    pub refunded: i64,
    pub status: Status,
    pub decline_code: Option<String>,
    /// When the outcome is decided, while it is not; then, while it is authorized, when it expires.
    pub due_at: Option<Timestamp>,
    pub correlation_id: Option<String>,
    pub version: i64,
    pub created_at: Timestamp,
}

/// A change of state, to be written into the truth log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub kind: PspEventType,
    pub amount: i64,
    pub decline_code: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("an authorization that is {0} cannot be captured")]
    NotCapturable(Status),
    #[error("an authorization that is {0} cannot be voided")]
    NotVoidable(Status),
    #[error("an authorization that is {0} has nothing to refund")]
    NotRefundable(Status),
    #[error("must be in {0}")]
    Currency(Currency),
    #[error("must be from 0 to {0}")]
    Range(i64),
}

impl Authorization {
    #[must_use]
    pub fn plan(&self) -> Plan {
        Plan::of(&self.token)
    }

    /// Decides the outcome, if it is still open: one event, or two when the money is taken at once. What is authorized then is so until
    /// `expires_at`.
    pub fn decide(&mut self, expires_at: Timestamp) -> Vec<Told> {
        if self.status != Status::Processing {
            return Vec::new();
        }
        match self.plan().outcome {
            Outcome::Never => Vec::new(),
            Outcome::Declined(code) => {
                self.decline_code = Some(code.to_owned());
                let told = self.become_(Status::Declined, PspEventType::Declined, self.amount);
                vec![Told { decline_code: Some(code.to_owned()), ..told }]
            }
            Outcome::Approved => {
                let mut told = vec![self.become_(Status::Authorized, PspEventType::Authorized, self.amount)];
                if self.capture_at_once {
                    self.captured = self.amount;
                    told.push(self.become_(Status::Captured, PspEventType::Captured, self.amount));
                } else {
                    self.due_at = Some(expires_at);
                }
                told
            }
        }
    }

    /// Gives back what nobody has taken in time.
    pub fn expire(&mut self) -> Option<Told> {
        (self.status == Status::Authorized).then(|| self.become_(Status::Voided, PspEventType::Voided, self.amount))
    }

    /// Takes the money, or a part of it; what is not taken is given back.
    pub fn capture(&mut self, amount: &Amount) -> Result<Told, Refused> {
        if self.status != Status::Authorized {
            return Err(Refused::NotCapturable(self.status));
        }
        let amount = self.part(amount, self.amount)?;
        self.captured = amount;
        Ok(self.become_(Status::Captured, PspEventType::Captured, amount))
    }

    /// Gives it back; what is still on its way will never take effect, unless the buyer's bank is past stopping. Nothing to tell when it was
    /// given back before.
    pub fn void(&mut self) -> Result<Option<Told>, Refused> {
        match self.status {
            Status::Processing if self.plan().is_firm => Err(Refused::NotVoidable(self.status)),
            Status::Processing | Status::Authorized => Ok(Some(self.become_(Status::Voided, PspEventType::Voided, self.amount))),
            Status::Voided => Ok(None),
            Status::Declined | Status::Captured => Err(Refused::NotVoidable(self.status)),
        }
    }

    /// Gives back what was taken, or a part of it.
    pub fn refund(&mut self, amount: &Amount) -> Result<Told, Refused> {
        if self.status != Status::Captured {
            return Err(Refused::NotRefundable(self.status));
        }
        let amount = self.part(amount, self.captured - self.refunded)?;
        self.refunded += amount;
        Ok(self.become_(Status::Captured, PspEventType::Refunded, amount))
    }

    /// The amount that a request means, which may not be more than `most`.
    fn part(&self, asked: &Amount, most: i64) -> Result<i64, Refused> {
        let Some(Money { amount, currency }) = asked.amount else { return Ok(most) };
        if currency != self.currency {
            return Err(Refused::Currency(self.currency));
        }
        if (0..=most).contains(&amount) { Ok(amount) } else { Err(Refused::Range(most)) }
    }

    fn become_(&mut self, status: Status, kind: PspEventType, amount: i64) -> Told {
        self.status = status;
        self.due_at = None;
        self.version += 1;
        Told { kind, amount, decline_code: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPIRES: Timestamp = Timestamp::from_seconds(1_000);

    fn authorization(token: &str, capture_at_once: bool) -> Authorization {
        Authorization {
            id: Uuid::from_u128(1),
            request_key: "k".into(),
            merchant_reference: "pay-1".into(),
            token: token.into(),
            capture_at_once,
            currency: Currency::Usd,
            amount: 1_000,
            captured: 0,
            refunded: 0,
            status: Status::Processing,
            decline_code: None,
            due_at: Some(Timestamp::from_seconds(1)),
            correlation_id: None,
            version: 1,
            created_at: Timestamp::from_seconds(1),
        }
    }

    fn some(amount: i64) -> Amount {
        Amount { amount: Some(Money::new(amount, Currency::Usd)) }
    }

    fn kinds(told: &[Told]) -> Vec<PspEventType> {
        told.iter().map(|told| told.kind).collect()
    }

    #[test]
    fn the_outcome_is_decided_once() {
        let mut ok = authorization("tok_ok", false);
        assert_eq!(kinds(&ok.decide(EXPIRES)), [PspEventType::Authorized]);
        assert!(ok.decide(EXPIRES).is_empty());
        let mut at_once = authorization("tok_ok", true);
        assert_eq!(kinds(&at_once.decide(EXPIRES)), [PspEventType::Authorized, PspEventType::Captured]);
        assert_eq!((at_once.status, at_once.captured), (Status::Captured, 1_000));
        let mut lost = authorization("tok_decline_lost", true);
        assert_eq!(lost.decide(EXPIRES)[0].decline_code.as_deref(), Some("lost_card"));
        assert_eq!((lost.status, lost.captured), (Status::Declined, 0));
        assert!(authorization("tok_never", false).decide(EXPIRES).is_empty());
    }

    #[test]
    fn what_was_voided_on_its_way_never_succeeds() {
        let mut slow = authorization("tok_slow_9", true);
        assert_eq!(slow.void().map(|told| told.map(|told| told.kind)), Ok(Some(PspEventType::Voided)));
        assert!(slow.decide(EXPIRES).is_empty());
        assert_eq!((slow.status, slow.captured, slow.due_at), (Status::Voided, 0, None));
        assert_eq!(slow.void(), Ok(None), "a second void changes nothing");
    }

    #[test]
    fn what_is_firm_is_voided_only_once_it_is_decided() {
        let mut firm = authorization("tok_firm_9", false);
        let before = firm.clone();
        assert_eq!(firm.void(), Err(Refused::NotVoidable(Status::Processing)));
        assert_eq!(firm, before);
        firm.decide(EXPIRES);
        assert_eq!(firm.void().map(|told| told.map(|told| told.kind)), Ok(Some(PspEventType::Voided)));
    }

    #[test]
    fn what_is_authorized_expires_once_unless_it_was_taken() {
        let mut ok = authorization("tok_ok", false);
        ok.decide(EXPIRES);
        assert_eq!(ok.due_at, Some(EXPIRES));
        assert_eq!(ok.expire().map(|told| (told.kind, told.amount)), Some((PspEventType::Voided, 1_000)));
        assert_eq!((ok.status, ok.due_at, ok.expire()), (Status::Voided, None, None));
        let mut taken = authorization("tok_ok", false);
        taken.decide(EXPIRES);
        assert!(taken.capture(&Amount::default()).is_ok());
        assert_eq!((taken.due_at, taken.expire()), (None, None));
    }

    #[test]
    fn captures_and_refunds_stay_within_their_bounds() {
        let mut ok = authorization("tok_ok", false);
        assert_eq!(ok.capture(&Amount::default()), Err(Refused::NotCapturable(Status::Processing)));
        ok.decide(EXPIRES);
        assert_eq!(ok.refund(&Amount::default()), Err(Refused::NotRefundable(Status::Authorized)));
        assert_eq!(ok.capture(&some(1_001)), Err(Refused::Range(1_000)));
        assert_eq!(ok.capture(&some(-1)), Err(Refused::Range(1_000)));
        let euros = Amount { amount: Some(Money::new(1, Currency::Eur)) };
        assert_eq!(ok.capture(&euros), Err(Refused::Currency(Currency::Usd)));
        assert_eq!(ok.capture(&some(800)).map(|told| told.amount), Ok(800));
        assert_eq!(ok.capture(&some(800)), Err(Refused::NotCapturable(Status::Captured)));
        assert_eq!(ok.void(), Err(Refused::NotVoidable(Status::Captured)));
        assert_eq!(ok.refund(&some(300)).map(|told| told.amount), Ok(300));
        assert_eq!(ok.refund(&some(501)), Err(Refused::Range(500)));
        assert_eq!(ok.refund(&Amount::default()).map(|told| told.amount), Ok(500));
        assert_eq!(ok.refund(&some(1)), Err(Refused::Range(0)));
    }
}
