//! How a customer is forgotten: a durable job with one row for each service that knows the customer, this one included. A background
//! step takes the row that is due, has that service erase, and notes what came of it; a service that does not answer is asked again,
//! with growing pauses, for as long as it takes, because an erasure that was promised may not be dropped. The rows survive a crash, and
//! every service's erasure may be repeated without harm, so what was not noted is done again.
//!
//! Here at home it is one transaction: the person, the addresses, the segments and every stored answer that tells of them go, and the
//! event says so. It is noted as done only once the snapshot is gone too, and the bytes from the disk.

use std::time::Duration;

use order_api::client::Erased;
use platform::{
    Clock,
    client::{CallError, Client},
    db::{Db, Tx},
    lease::Leases,
    service::{Env, Progress},
};
use types::CustomerId;

use crate::{app::App, config::Config, error::CustomerError, store, store::erasure::Due};

/// The services that can be asked to erase a customer.
pub const HOLDERS: [&str; 2] = ["cart", "order"];

const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// When an instance looks again that found another one at work.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
const LEASE: &str = "customer/erasures";

#[derive(Clone, Debug)]
pub struct Eraser {
    app: App,
    db: Db,
    clock: Clock,
    leases: Leases,
    carts: Client,
    backoff_max: Duration,
}

/// What became of asking a service.
enum Outcome {
    /// It has erased; how many records, if it said so.
    Done(Option<u32>),
    /// It has not, for this reason.
    Failed(String),
}

impl Eraser {
    #[must_use]
    pub fn new(env: &Env, config: &Config, app: &App) -> Self {
        Self {
            app: app.clone(),
            db: env.db(),
            clock: env.clock,
            leases: env.leases.clone(),
            carts: env.client("cart"),
            backoff_max: Duration::from_secs(u64::from(config.erasure_backoff_max_seconds)),
        }
    }

    /// Has one service erase one customer: the one that has been due for the longest time.
    pub async fn step(&self) -> Result<Progress, CustomerError> {
        let Some(_lease) = self.leases.take(LEASE) else { return Ok(Progress::Until(self.clock.now().plus(LOOK_AGAIN))) };
        // And over all processes, where the store has several.
        let Some(lease) = self.db.lease(LEASE).await? else { return Ok(Progress::Until(self.clock.now().plus(LOOK_AGAIN))) };
        let progress = self.erase_next().await?;
        lease.end().await;
        Ok(progress)
    }

    async fn erase_next(&self) -> Result<Progress, CustomerError> {
        let next = self.db.read(async |tx: &mut Tx<'_>| store::erasure::next(tx).await).await?;
        let Some(due) = next else { return Ok(Progress::Idle) };
        if due.at > self.clock.now() {
            return Ok(Progress::Until(due.at));
        }
        let outcome = if due.service == crate::MANIFEST.name {
            Outcome::Done(Some(self.erase_here(due.customer).await?))
        } else {
            self.ask(&due).await
        };
        match outcome {
            Outcome::Done(records) => self.note_done(due, records).await?,
            Outcome::Failed(reason) => self.put_off(due, reason).await?,
        }
        Ok(Progress::More)
    }

    /// Forgets the customer here; says how many were forgotten by that: one, or none when it had been done before.
    async fn erase_here(&self, id: CustomerId) -> Result<u32, CustomerError> {
        let app = self.app.clone();
        let (version, records) = self
            .db
            .write(async move |tx: &mut Tx<'_>| {
                let mut customer = store::by_id(tx, id).await?.ok_or(CustomerError::Unknown(id))?;
                let Some(told) = customer.erase(app.clock.now()) else { return Ok((customer.version, 0)) };
                if !store::save(tx, &customer).await? {
                    return Err(CustomerError::Overtaken(id));
                }
                app.idempotency.forget_about(tx, id).await?;
                app.outbox.add(tx, &told).await?;
                Ok((customer.version, 1))
            })
            .await?;
        self.app.snapshots.rule_out(id, version).await;
        self.db.checkpoint().await?;
        Ok(records)
    }

    async fn ask(&self, due: &Due) -> Outcome {
        let customer = due.customer;
        let answer = match due.service.as_str() {
            "order" => self.app.orders.erase(customer).await.map(|erased| Some(erased.records)),
            "cart" => {
                let call = self.carts.post(format!("/carts/customers/{customer}/erasure")).idempotency_key(format!("erase-{customer}"));
                call.send().await.map(|reply| reply.json::<Erased>().ok().map(|erased| erased.records))
            }
            _ => return Outcome::Failed("this program does not know how to ask it".into()),
        };
        match answer {
            Ok(records) => Outcome::Done(records),
            // What the other one says is not kept word for word: nobody here knows what it may contain.
            Err(CallError::Refused { problem, .. }) => Outcome::Failed(format!("refused with {}", problem.status)),
            Err(CallError::Unavailable { .. }) => Outcome::Failed("is not there".into()),
            Err(CallError::Unknown { .. }) => Outcome::Failed("gave no answer that can be relied on".into()),
        }
    }

    async fn note_done(&self, due: Due, records: Option<u32>) -> Result<(), CustomerError> {
        let (job, customer, now) = (due.job, due.customer, self.clock.now());
        let finished = self.db.write(async move |tx: &mut Tx<'_>| store::erasure::note_done(tx, &due, records, now).await).await?;
        if finished {
            tracing::info!(job_id = %job, customer_id = %customer, "every service has erased the customer");
        }
        Ok(())
    }

    async fn put_off(&self, due: Due, reason: String) -> Result<(), CustomerError> {
        let pause = backoff(due.failures, self.backoff_max);
        tracing::warn!(
            job_id = %due.job, customer_id = %due.customer, holder = due.service, failures = due.failures + 1, reason,
            pause_seconds = pause.as_secs(), "a service has not erased a customer and will be asked again"
        );
        let again = self.clock.now().plus(pause);
        self.db.write(async move |tx: &mut Tx<'_>| store::erasure::put_off(tx, &due, &reason, again).await).await?;
        Ok(())
    }
}

/// The pause after one more failure: twice as long each time.
fn backoff(failures: u32, longest: Duration) -> Duration {
    FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(failures)).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let longest = Duration::from_secs(300);
        let pauses: Vec<_> = (0..11).map(|failures| backoff(failures, longest).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(backoff(u32::MAX, longest), longest);
    }
}
