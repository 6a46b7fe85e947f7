//! Credits: what a shop gives back of an order to make up for something, a late parcel or a scratch. Granting one is this service's; the money goes
//! back by the event, which payment-service takes.

use order_api::{Credit, GrantCredit, events::OrderCreditGranted};
use platform::{
    db::{DbError, FromRow, Row, Tx},
    http::Answer,
    idempotency::Key,
    values,
};
use types::{CreditId, Currency, Money, OrderId, Timestamp};

use crate::{app::App, error::OrderError, store, telling::Told};

/// An order has no more credits than this.
const MOST: usize = 100;

impl App {
    /// Grants a credit. All of an order's together are at most what it cost.
    pub async fn grant_credit(&self, id: OrderId, request: GrantCredit, key: Option<Key>) -> Result<Answer, OrderError> {
        let (this, credit_id) = (self.clone(), self.ids.make::<CreditId>());
        self.db
            .write(async move |tx: &mut Tx<'_>| {
                let work = async |tx: &mut Tx<'_>| -> Result<Answer, OrderError> {
                    let order = store::head(tx, id).await?.ok_or(OrderError::Unknown(id))?;
                    let granted = of(tx, id, order.currency).await?;
                    let left = granted.iter().fold(order.totals.total, |left, credit| left.saturating_sub(credit.amount.amount));
                    match request.amount {
                        _ if !order.can_be_credited() || granted.len() >= MOST => Err(OrderError::NotCreditable(order.status)),
                        Money { currency, .. } if currency != order.currency => Err(OrderError::CreditCurrency),
                        Money { amount, .. } if amount < 1 => Err(OrderError::EmptyCredit),
                        Money { amount, .. } if amount > left => Err(OrderError::CreditTooMuch { left }),
                        amount => {
                            let (reason, granted_at) = (request.reason.clone().map(String::from), this.clock.now());
                            let credit = Credit { id: credit_id, order_id: id, amount, reason, granted_at };
                            this.save_credit(tx, &credit).await?;
                            Ok(Answer::created(format!("/orders/{id}/credits/{credit_id}"), &credit)?)
                        }
                    }
                };
                this.idempotency.once(tx, key.as_ref(), work).await
            })
            .await
    }

    /// What is said of an erased customer's order is not kept.
    async fn save_credit(&self, tx: &mut Tx<'_>, credit: &Credit) -> Result<(), DbError> {
        tx.execute(
            "INSERT INTO order_credits (id, order_id, amount, reason, granted_at) VALUES (?, ?, ?,
             CASE WHEN EXISTS (SELECT 1 FROM erased_customers e JOIN orders o ON o.customer_id = e.customer_id WHERE o.id = ?)
             THEN NULL ELSE ? END, ?)",
            values![credit.id, credit.order_id, credit.amount.amount, credit.order_id, credit.reason.clone(), credit.granted_at],
        )
        .await?;
        let mut events = Told::default();
        let event = OrderCreditGranted { credit_id: credit.id, order_id: credit.order_id, amount: credit.amount, at: credit.granted_at };
        self.teller.add(&mut events, &event)?;
        self.teller.done(tx, events).await
    }

    /// The credits of an order, the oldest first.
    pub async fn credits(&self, id: OrderId) -> Result<Vec<Credit>, OrderError> {
        self.db
            .look(async |tx: &mut Tx<'_>| {
                let order = store::head(tx, id).await?.ok_or(OrderError::Unknown(id))?;
                Ok(of(tx, id, order.currency).await?)
            })
            .await
    }

    pub async fn credit(&self, id: OrderId, credit: CreditId) -> Result<Credit, OrderError> {
        self.credits(id).await?.into_iter().find(|one| one.id == credit).ok_or(OrderError::UnknownCredit(credit))
    }
}

async fn of(tx: &mut Tx<'_>, id: OrderId, currency: Currency) -> Result<Vec<Credit>, DbError> {
    struct Stored(CreditId, i64, Option<String>, Timestamp);
    impl FromRow for Stored {
        fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
            Ok(Self(row.id("id")?, row.get("amount")?, row.get("reason")?, row.get("granted_at")?))
        }
    }
    let query = "SELECT id, amount, reason, granted_at FROM order_credits WHERE order_id = ? ORDER BY seq LIMIT 1000";
    let stored = tx.fetch_all::<Stored>(query, values![id]).await?;
    let shown = |Stored(credit, amount, reason, granted_at)| Credit {
        id: credit,
        order_id: id,
        amount: Money::new(amount, currency),
        reason,
        granted_at,
    };
    Ok(stored.into_iter().map(shown).collect())
}
