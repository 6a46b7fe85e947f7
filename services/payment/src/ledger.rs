//! Double entry. A posting is a set of lines whose debits equal their credits; there is no other way to make one. What the PSP tells is
//! posted once, by the id of its event. Authorizations, declines and voids move no money: they are memo postings, without lines.
//!
//! Posted here: captures and refunds. At shipment the deposit becomes revenue and tax, a settlement moves the clearing account to the bank, and
//! a dispute moves it to the chargebacks; these come with the services that cause them.

use psp_api::PspEventType;

types::words! {
    /// The accounts of the shop (`domain.md`, "Money").
    Account {
        /// What the PSP owes us.
        PspClearing = "psp_clearing",
        /// What customers have paid for what was not shipped yet.
        CustomerDeposits = "customer_deposits",
        Revenue = "revenue",
        TaxPayable = "tax_payable",
        ShippingRevenue = "shipping_revenue",
        Refunds = "refunds",
        PspFees = "psp_fees",
        Bank = "bank",
        Chargebacks = "chargebacks",
    }
}

/// One side of a movement, in minor units: of debit and credit exactly one is positive, the other zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    pub account: Account,
    pub debit: i64,
    pub credit: i64,
}

impl Line {
    #[must_use]
    pub const fn debit(account: Account, amount: i64) -> Self {
        Self { account, debit: amount, credit: 0 }
    }

    #[must_use]
    pub const fn credit(account: Account, amount: i64) -> Self {
        Self { account, debit: 0, credit: amount }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    #[error("a posting must balance; its debits are {debits} and its credits {credits}")]
    Unbalanced { debits: i128, credits: i128 },
    #[error("a line has a positive amount on exactly one side; this one has {debit} and {credit}")]
    Line { debit: i64, credit: i64 },
    #[error("an amount of money that moves is not negative; this one is {0}")]
    Negative(i64),
}

/// Lines that balance; none for a memo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posting(Vec<Line>);

impl Posting {
    /// # Errors
    /// Unless every line has one positive side, and debits equal credits.
    pub fn new(lines: Vec<Line>) -> Result<Self, LedgerError> {
        if let Some(Line { debit, credit, .. }) =
            lines.iter().find(|line| line.debit.min(line.credit) != 0 || line.debit.max(line.credit) <= 0)
        {
            return Err(LedgerError::Line { debit: *debit, credit: *credit });
        }
        let sum = |side: fn(&Line) -> i64| lines.iter().map(|line| i128::from(side(line))).sum::<i128>();
        let (debits, credits) = (sum(|line| line.debit), sum(|line| line.credit));
        if debits == credits { Ok(Self(lines)) } else { Err(LedgerError::Unbalanced { debits, credits }) }
    }

    /// What an event of the PSP does to the books. An order that costs nothing moves nothing.
    pub fn of(kind: PspEventType, amount: i64) -> Result<Self, LedgerError> {
        if amount < 0 {
            return Err(LedgerError::Negative(amount));
        }
        let (debit, credit) = match kind {
            PspEventType::Authorized | PspEventType::Declined | PspEventType::Voided => return Ok(Self(Vec::new())),
            PspEventType::Captured => (Account::PspClearing, Account::CustomerDeposits),
            PspEventType::Refunded => (Account::Refunds, Account::PspClearing),
        };
        if amount == 0 {
            return Ok(Self(Vec::new()));
        }
        Self::new(vec![Line::debit(debit, amount), Line::credit(credit, amount)])
    }

    #[must_use]
    pub fn lines(&self) -> &[Line] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_capture_is_a_deposit_and_a_refund_comes_out_of_clearing() {
        use Account::{CustomerDeposits, PspClearing, Refunds};
        let lines = |kind| Posting::of(kind, 1_999).map(|posting| posting.lines().to_vec());
        assert_eq!(lines(PspEventType::Captured), Ok(vec![Line::debit(PspClearing, 1_999), Line::credit(CustomerDeposits, 1_999)]));
        assert_eq!(lines(PspEventType::Refunded), Ok(vec![Line::debit(Refunds, 1_999), Line::credit(PspClearing, 1_999)]));
        for memo in [PspEventType::Authorized, PspEventType::Declined, PspEventType::Voided] {
            assert_eq!(lines(memo), Ok(vec![]), "{memo}");
        }
        assert_eq!(Posting::of(PspEventType::Captured, -1), Err(LedgerError::Negative(-1)));
    }

    fn any_lines() -> impl Strategy<Value = Vec<Line>> {
        let side = prop_oneof![Just(0), Just(1), Just(i64::MAX), -5_i64..2_000];
        let line = (0..Account::ALL.len(), side.clone(), side).prop_map(|(account, debit, credit)| Line {
            account: Account::ALL[account],
            debit,
            credit,
        });
        prop::collection::vec(line, 0..6)
    }

    proptest! {
        #[test]
        fn whatever_an_event_is_its_posting_balances(kind in 0..PspEventType::ALL.len(), amount in any::<i64>()) {
            match Posting::of(PspEventType::ALL[kind], amount) {
                Ok(posting) => {
                    let debits: i128 = posting.lines().iter().map(|line| i128::from(line.debit)).sum();
                    let credits: i128 = posting.lines().iter().map(|line| i128::from(line.credit)).sum();
                    prop_assert_eq!(debits, credits);
                    prop_assert!(amount >= 0);
                }
                Err(error) => prop_assert_eq!(error, LedgerError::Negative(amount)),
            }
        }

        #[test]
        fn a_posting_exists_exactly_when_its_lines_are_right_and_balance(lines in any_lines()) {
            let right = lines.iter().all(|line| (line.debit > 0 && line.credit == 0) || (line.credit > 0 && line.debit == 0));
            let net: i128 = lines.iter().map(|line| i128::from(line.debit) - i128::from(line.credit)).sum();
            prop_assert_eq!(Posting::new(lines).is_ok(), right && net == 0);
        }

        #[test]
        fn one_minor_unit_too_much_is_refused(amount in 1..i64::MAX - 1) {
            let lines = vec![Line::debit(Account::PspClearing, amount + 1), Line::credit(Account::CustomerDeposits, amount)];
            let refused = LedgerError::Unbalanced { debits: i128::from(amount) + 1, credits: i128::from(amount) };
            prop_assert_eq!(Posting::new(lines), Err(refused));
        }
    }
}
