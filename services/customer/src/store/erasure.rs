//! The queries of the erasures: a job for each customer, and a row for each service that has its part in it.

use std::collections::BTreeMap;

use customer_api::{Erasure, ErasureJobId, ErasureStatus, ErasureTaken, ServiceErasure};
use platform::{
    db::{DbError, FromRow, Row, Tx},
    values,
};
use types::{CustomerId, Timestamp};

/// A service that is to erase a customer.
#[derive(Clone, Debug)]
pub struct Due {
    pub job: ErasureJobId,
    pub customer: CustomerId,
    pub service: String,
    /// How often it has failed so far.
    pub failures: u32,
    pub at: Timestamp,
}

impl FromRow for Due {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        Ok(Self {
            job: row.id("job_id")?,
            customer: row.id("customer_id")?,
            service: row.get("service")?,
            failures: row.get("attempts")?,
            at: row.get("due_at")?,
        })
    }
}

struct Taken(ErasureTaken);

impl FromRow for Taken {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        Ok(Self(ErasureTaken { job_id: row.id("id")?, status: row.parse("status")? }))
    }
}

/// A job without its services.
struct Job(Erasure);

impl FromRow for Job {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        Ok(Self(Erasure {
            job_id: row.id("id")?,
            status: row.parse("status")?,
            services: BTreeMap::new(),
            requested_at: row.get("requested_at")?,
            finished_at: row.get("finished_at")?,
        }))
    }
}

struct Part(String, ServiceErasure);

impl FromRow for Part {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        Ok(Self(row.get("service")?, row.parse("status")?))
    }
}

/// A new job; its services are due at once, in this order.
pub async fn queue(
    tx: &mut Tx<'_>,
    job: ErasureJobId,
    customer: CustomerId,
    services: impl Iterator<Item = &str>,
    now: Timestamp,
) -> Result<ErasureTaken, DbError> {
    let status = ErasureStatus::Queued;
    let insert = "INSERT INTO erasure_jobs (id, customer_id, status, requested_at) VALUES (?, ?, ?, ?)";
    tx.execute(insert, values![job.uuid(), customer, status.as_str(), now]).await?;
    for service in services {
        let insert = "INSERT INTO erasure_services (job_id, service, status, attempts, due_at) VALUES (?, ?, ?, 0, ?)";
        tx.execute(insert, values![job.uuid(), service, ServiceErasure::Pending.as_str(), now]).await?;
    }
    Ok(ErasureTaken { job_id: job, status })
}

/// The job of a customer, if there ever was one.
pub async fn of_customer(tx: &mut Tx<'_>, customer: CustomerId) -> Result<Option<ErasureTaken>, DbError> {
    let query = "SELECT id, status FROM erasure_jobs WHERE customer_id = ?";
    Ok(tx.fetch_optional::<Taken>(query, values![customer]).await?.map(|Taken(taken)| taken))
}

/// A customer's job with what became of each service.
pub async fn by_id(tx: &mut Tx<'_>, customer: CustomerId, job: ErasureJobId) -> Result<Option<Erasure>, DbError> {
    let query = "SELECT id, status, requested_at, finished_at FROM erasure_jobs WHERE id = ? AND customer_id = ?";
    let Some(Job(mut erasure)) = tx.fetch_optional::<Job>(query, values![job.uuid(), customer]).await? else { return Ok(None) };
    let query = "SELECT service, status FROM erasure_services WHERE job_id = ? ORDER BY service";
    let parts = tx.fetch_all::<Part>(query, values![job.uuid()]).await?;
    erasure.services = parts.into_iter().map(|Part(service, status)| (service, status)).collect();
    Ok(Some(erasure))
}

/// What has been due for the longest time, or will be first.
pub async fn next(tx: &mut Tx<'_>) -> Result<Option<Due>, DbError> {
    let query = "SELECT s.job_id, j.customer_id, s.service, s.attempts, s.due_at
                 FROM erasure_services s JOIN erasure_jobs j ON j.id = s.job_id
                 WHERE s.status = 'PENDING' ORDER BY s.due_at, s.seq LIMIT 1";
    tx.fetch_optional(query, vec![]).await
}

/// Notes that a service has erased; says whether it was the last of its job.
pub async fn note_done(tx: &mut Tx<'_>, due: &Due, records: Option<u32>, now: Timestamp) -> Result<bool, DbError> {
    let update = "UPDATE erasure_services SET status = ?, records = ?, failure = NULL, done_at = ?
                  WHERE job_id = ? AND service = ? AND status = 'PENDING'";
    let noted = tx.execute(update, values![ServiceErasure::Done.as_str(), records, now, due.job.uuid(), &due.service]).await?;
    let pending = "SELECT count(*) FROM erasure_services WHERE job_id = ? AND status = 'PENDING'";
    let left: i64 = tx.fetch_one(pending, values![due.job.uuid()]).await?;
    let (status, finished_at) = match left {
        0 => (ErasureStatus::Completed, Some(now)),
        _ => (ErasureStatus::Running, None),
    };
    let update = "UPDATE erasure_jobs SET status = ?, finished_at = ? WHERE id = ? AND status <> 'COMPLETED'";
    tx.execute(update, values![status.as_str(), finished_at, due.job.uuid()]).await?;
    Ok(noted == 1 && left == 0)
}

/// Notes that a service has not erased, and when it is asked again.
pub async fn put_off(tx: &mut Tx<'_>, due: &Due, reason: &str, again: Timestamp) -> Result<(), DbError> {
    let update = "UPDATE erasure_services SET attempts = attempts + 1, due_at = ?, failure = ?
                  WHERE job_id = ? AND service = ? AND status = 'PENDING'";
    tx.execute(update, values![again, reason, due.job.uuid(), &due.service]).await?;
    let update = "UPDATE erasure_jobs SET status = ? WHERE id = ? AND status = ?";
    tx.execute(update, values![ErasureStatus::Running.as_str(), due.job.uuid(), ErasureStatus::Queued.as_str()]).await.map(|_| ())
}
