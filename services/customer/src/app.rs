//! The use cases: load, decide (domain), save and announce in one transaction.

use std::{collections::BTreeSet, sync::Arc};

use customer_api::{
    Customer as View, CustomerInput, Erasure, ErasureJobId, ErasureTaken, SetSegments,
    events::{CustomerSegmentRecalculated, CustomerUpdated, SegmentsBy},
};
use order_api::Orders;
use platform::{
    Clock, Ids,
    db::{Db, DbError, Tx},
    event::Outbox,
    http::{Answer, IfMatch},
    idempotency::{Idempotency, Key},
    service::{BuildError, Env},
    telemetry::metrics::{Counter, Histogram, LATENCY_BUCKETS},
};
use tokio::sync::Notify;
use types::{CustomerId, Email};

use crate::{
    config::Config,
    domain::{Customer, Person, SegmentRules, Wish},
    error::CustomerError,
    snapshots::Snapshots,
    store,
};

#[derive(Clone, Debug)]
pub struct App {
    pub db: Db,
    pub clock: Clock,
    pub outbox: Outbox,
    pub idempotency: Idempotency,
    pub snapshots: Snapshots,
    pub orders: Orders,
    /// Rung by the commit of a new erasure.
    pub erasures: Arc<Notify>,
    ids: Ids,
    rules: SegmentRules,
    /// The services that a new erasure asks, beside this one.
    holders: Vec<String>,
    created: Counter,
    update_seconds: Histogram,
}

impl App {
    pub fn new(env: &Env, config: &Config) -> Result<Self, BuildError> {
        let outbox = env.outbox();
        outbox.register::<CustomerUpdated>()?;
        outbox.register::<CustomerSegmentRecalculated>()?;
        let update_help = "How long it took to update a customer.";
        Ok(Self {
            db: env.db(),
            clock: env.clock,
            outbox,
            idempotency: env.idempotency(),
            snapshots: Snapshots::new(env.cache.clone(), config.cache_ttl()),
            orders: Orders(env.client("order")),
            erasures: Arc::new(Notify::new()),
            ids: env.ids.clone(),
            rules: config.segment_rules(),
            holders: config.erasure_services.clone(),
            created: env.metrics.counter("customer_create_total", "Customers made."),
            update_seconds: env.metrics.histogram("customer_update_latency_seconds", update_help, &LATENCY_BUCKETS),
        })
    }

    /// Makes a customer; with `own`, the one who asks and has this id.
    pub async fn create(&self, input: CustomerInput, key: Option<Key>, own: Option<CustomerId>) -> Result<Answer, CustomerError> {
        let region = input.region;
        let (customer, told) = Customer::new(own.unwrap_or_else(|| self.ids.make()), region, Person::of(input)?, self.clock.now());
        let key = key.map(|key| key.about(customer.id));
        let this = self.clone();
        let answer = self
            .db
            .write(async move |tx: &mut Tx<'_>| {
                this.idempotency
                    .once(tx, key.as_ref(), async |tx: &mut Tx<'_>| {
                        if own.is_some()
                            && let Some(known) = store::by_id(tx, customer.id).await?
                        {
                            known.person()?;
                            return Err(CustomerError::Exists(known.id));
                        }
                        if !store::insert(tx, &customer).await? {
                            return Err(CustomerError::EmailTaken);
                        }
                        this.outbox.add(tx, &told).await?;
                        let view = view(&customer)?;
                        Ok(Answer::created(format!("/customers/{}", view.id), &view)?.version(view.version))
                    })
                    .await
            })
            .await?;
        if !answer.replayed {
            self.created.inc();
        }
        Ok(answer)
    }

    /// A customer: the snapshot if there is one.
    pub async fn get(&self, id: CustomerId) -> Result<View, CustomerError> {
        if let Some(view) = self.snapshots.get(id).await {
            return Ok(view);
        }
        let view = self.db.read(async |tx: &mut Tx<'_>| view(&known(tx, id).await?)).await?;
        self.snapshots.put(&view).await;
        Ok(view)
    }

    /// Customers in the order in which they were made, from behind `after` on; with `email`, the one who has it.
    pub async fn list(&self, email: Option<Email>, after: i64, limit: u32) -> Result<Vec<(i64, View)>, CustomerError> {
        let rows = self.db.read(async |tx: &mut Tx<'_>| store::list(tx, email.as_ref(), after, limit).await).await?;
        rows.iter().map(|(seq, customer)| Ok((*seq, view(customer)?))).collect()
    }

    /// Replaces a customer, if it is still the version that the caller has seen.
    pub async fn update(&self, id: CustomerId, input: CustomerInput, seen: IfMatch) -> Result<View, CustomerError> {
        let began = self.clock.now();
        let region = input.region;
        let person = Person::of(input)?;
        let this = self.clone();
        let view = self
            .db
            .write(async move |tx: &mut Tx<'_>| {
                let mut customer = known(tx, id).await?;
                customer.person()?;
                seen.check(customer.version)?;
                if let Some(told) = customer.update(region, person.clone(), this.clock.now())? {
                    this.save(tx, &customer).await?;
                    this.outbox.add(tx, &told).await?;
                }
                view(&customer)
            })
            .await?;
        self.snapshots.rule_out(id, view.version).await;
        self.update_seconds.observe(self.clock.now().since(began).as_secs_f64());
        Ok(view)
    }

    /// Gives a customer the segments that somebody says, or those that follow from its orders.
    pub async fn set_segments(&self, id: CustomerId, request: SetSegments, key: Option<Key>) -> Result<Answer, CustomerError> {
        let wish = Wish::of(request)?;
        let key = key.map(|key| key.about(id));
        if let Some(key) = &key
            && let Some(answer) = self.idempotency.answered(&self.db, key).await?
        {
            return Ok(answer);
        }
        let (segments, by) = match wish {
            Wish::Assign(segments) => (segments, SegmentsBy::Assigned),
            Wish::Recalculate => (self.segments_of_orders(id).await?, SegmentsBy::Recalculated),
        };
        let this = self.clone();
        let (answer, version) = self
            .db
            .write(async move |tx: &mut Tx<'_>| {
                let mut customer = known(tx, id).await?;
                let answer = this
                    .idempotency
                    .once::<CustomerError>(tx, key.as_ref(), async |tx: &mut Tx<'_>| {
                        if let Some(told) = customer.classify(segments.clone(), by, this.clock.now())? {
                            this.save(tx, &customer).await?;
                            this.outbox.add(tx, &told).await?;
                        }
                        let view = view(&customer)?;
                        Ok(Answer::ok(&view)?.version(view.version))
                    })
                    .await?;
                Ok::<_, CustomerError>((answer, customer.version))
            })
            .await?;
        self.snapshots.rule_out(id, version).await;
        Ok(answer)
    }

    async fn segments_of_orders(&self, id: CustomerId) -> Result<BTreeSet<customer_api::Segment>, CustomerError> {
        // Nobody is asked about somebody who is not there.
        self.db.read(async |tx: &mut Tx<'_>| Ok::<_, CustomerError>(known(tx, id).await?.person().map(drop)?)).await?;
        let summary = self.orders.of_customer(id).await?;
        Ok(BTreeSet::from([self.rules.derive(summary.orders, &summary.spent).into()]))
    }

    /// Queues the erasure of a customer; there is one for each.
    pub async fn erase(&self, id: CustomerId, key: Option<Key>) -> Result<Answer, CustomerError> {
        let job: ErasureJobId = self.ids.make();
        let this = self.clone();
        self.db
            .write(async move |tx: &mut Tx<'_>| {
                this.idempotency
                    .once(tx, key.as_ref(), async |tx: &mut Tx<'_>| {
                        known(tx, id).await?;
                        let taken = match store::erasure::of_customer(tx, id).await? {
                            Some(queued) => queued,
                            None => {
                                let services = std::iter::once(crate::MANIFEST.name).chain(this.holders.iter().map(String::as_str));
                                tx.wake_after_commit(&this.erasures);
                                store::erasure::queue(tx, job, id, services, this.clock.now()).await?
                            }
                        };
                        accepted(id, &taken)
                    })
                    .await
            })
            .await
    }

    /// How far an erasure is.
    pub async fn erasure(&self, customer: CustomerId, job: ErasureJobId) -> Result<Erasure, CustomerError> {
        let found = self.db.read(async |tx: &mut Tx<'_>| store::erasure::by_id(tx, customer, job).await).await?;
        found.ok_or(CustomerError::UnknownErasure { customer, job })
    }

    /// Forgets answers that are older than a day.
    pub async fn purge(&self) -> Result<u64, CustomerError> {
        Ok(self.idempotency.purge(&self.db).await?)
    }

    async fn save(&self, tx: &mut Tx<'_>, customer: &Customer) -> Result<(), CustomerError> {
        match store::save(tx, customer).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(CustomerError::Overtaken(customer.id)),
            // The e-mail address is the one unique thing that a save can change.
            Err(DbError::Unique(_)) => Err(CustomerError::EmailTaken),
            Err(error) => Err(error.into()),
        }
    }
}

async fn known(tx: &mut Tx<'_>, id: CustomerId) -> Result<Customer, CustomerError> {
    store::by_id(tx, id).await?.ok_or(CustomerError::Unknown(id))
}

fn accepted(id: CustomerId, taken: &ErasureTaken) -> Result<Answer, CustomerError> {
    let location = format!("/customers/{id}/erasure/{}", taken.job_id);
    Ok(Answer { location: Some(location), ..Answer::accepted(taken)? })
}

/// The customer as others see it; one who was erased is not shown.
fn view(customer: &Customer) -> Result<View, CustomerError> {
    let person = customer.person().map_err(CustomerError::from)?.clone();
    Ok(View {
        id: customer.id,
        email: person.email,
        full_name: person.full_name,
        phone: person.phone,
        region: customer.region,
        locale: person.locale,
        segments: customer.segments.iter().cloned().collect(),
        addresses: person.addresses,
        status: customer.status(),
        version: customer.version,
        created_at: customer.created_at,
        updated_at: customer.updated_at,
    })
}
