//! The use cases: products here, [`categories`] and [`media`] beside.
//!
//! A product is one document, and its write is shared with nothing. So what belongs with it is done in an order in which a crash at any
//! point is made good: claim the SKUs, write the document, then the index and the answer. What the last step missed comes from the
//! change feed; a claim without a document lapses.

pub mod categories;
pub mod media;

use std::{collections::BTreeSet, sync::Arc};

use catalog_api::{Product, ProductRequest, Quarantined};
use platform::{
    Clock, Ids,
    blob::Blobs,
    db::{Db, Tx},
    event::Outbox,
    http::Answer,
    idempotency::{self, Idempotency, Key, Taken},
    lease::Leases,
    problem::Problem,
    service::{BuildError, Env, Live},
    telemetry::metrics::{Counter, Family, Gauge},
};
use tokio::sync::Notify;
use types::{CategoryId, ProductId, Sku};

use crate::{
    config::Config,
    domain::Document,
    error::CatalogError,
    search,
    store::{Documents, Rev, StoreError, Stored, feed, index, skus, taxonomy},
};

/// How many words a search may have.
const WORDS_MAX: usize = 8;

#[derive(Clone, Debug)]
pub struct App {
    pub db: Db,
    pub clock: Clock,
    pub documents: Documents,
    pub config: Live<Config>,
    pub leases: Leases,
    pub outbox: Outbox,
    pub metrics: Metrics,
    /// Rung when there is something to do about an upload.
    pub media_bell: Arc<Notify>,
    ids: Ids,
    idempotency: Idempotency,
    blobs: Blobs,
}

/// What this service counts.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// By `change`: created, updated, deleted.
    pub writes: Family<Counter>,
    pub published: Counter,
    pub quarantined: Counter,
    pub in_quarantine: Gauge,
    /// By `status`.
    pub media: Family<Counter>,
}

/// Which revision a caller has seen.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// `If-Match`, quoted.
    pub tag: Option<String>,
    /// `If-Match: *`.
    pub any: bool,
    /// `rev` of the body or the query.
    pub rev: Option<String>,
}

impl Seen {
    /// 412 or 409 unless the caller has seen what stands there, 422 when it does not say.
    fn check(&self, current: &Rev) -> Result<(), CatalogError> {
        if self.tag.as_ref().is_some_and(|tag| *tag != current.etag()) {
            return Err(CatalogError::StaleTag { current: current.clone() });
        }
        match &self.rev {
            Some(rev) if rev != current.as_str() => Err(CatalogError::StaleRevision { current: current.clone() }),
            None if self.tag.is_none() && !self.any => {
                Err(Problem::invalid("#/rev", "is needed: the revision that you have seen, here or as `If-Match`").into())
            }
            _ => Ok(()),
        }
    }

    /// Somebody was faster: told in the words in which the caller asked.
    fn refused(&self, id: ProductId, error: StoreError) -> CatalogError {
        match error {
            StoreError::Conflict { current: None } => CatalogError::UnknownProduct(id),
            StoreError::Conflict { current: Some(current) } if self.tag.is_some() => CatalogError::StaleTag { current },
            StoreError::Conflict { current: Some(current) } => CatalogError::StaleRevision { current },
            error @ StoreError::Store(_) => error.into(),
        }
    }
}

/// What products are asked for.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// A category's slug or id.
    pub category: Option<String>,
    /// Words.
    pub q: Option<String>,
}

impl App {
    pub fn new(env: &Env, config: Live<Config>) -> Result<Self, BuildError> {
        let outbox = env.outbox();
        outbox.register::<catalog_api::events::ProductUpdated>()?;
        let counted = &env.metrics;
        let metrics = Metrics {
            writes: counted.counters("catalog_product_writes_total", "Products that were made, changed and deleted"),
            published: counted.counter("catalog_feed_published_total", "Changes of products that were announced"),
            quarantined: counted
                .counter("catalog_feed_quarantined_total", "Revisions that were kept apart because their shape had drifted"),
            in_quarantine: counted.gauge("catalog_feed_in_quarantine", "Documents that are kept apart at the moment"),
            media: counted.counters("catalog_media_total", "Uploads, by what became of them"),
        };
        Ok(Self {
            db: env.db(),
            clock: env.clock,
            documents: Documents::of(env)?,
            config,
            leases: env.leases.clone(),
            outbox,
            metrics,
            media_bell: Arc::new(Notify::new()),
            ids: env.ids.clone(),
            idempotency: env.idempotency(),
            blobs: env.blobs.of_service(env.service),
        })
    }

    /// Makes a product, once for this key.
    pub async fn create(&self, request: ProductRequest, key: Option<Key>) -> Result<Answer, CatalogError> {
        if request.rev.is_some() {
            return Err(Problem::invalid("#/rev", "a new product has no revision").into());
        }
        let document = Document::new(request, key.as_ref().map(|key| key.token().to_owned()), self.clock.now())?;
        if let Taken::Answered(answer) = self.idempotency.take(&self.db, key.as_ref()).await? {
            return Ok(answer);
        }
        let made = self.make(self.ids.make(), document, key.clone()).await;
        if made.is_err() {
            // Nothing was promised: whoever asks again with this key finds what was begun by it.
            self.idempotency.forget(&self.db, key.as_ref()).await?;
        }
        made
    }

    async fn make(&self, mut id: ProductId, document: Document, key: Option<Key>) -> Result<Answer, CatalogError> {
        self.require_category(document.category_id).await?;
        let mut is_begun = false;
        let stored = loop {
            match self.claim(id, &document, key.as_ref().map(Key::token)).await? {
                Claimed::Before(stored) => break stored,
                Claimed::Begun(holder) => (id, is_begun) = (holder, true),
                Claimed::Now => break self.write_new(id, &document, is_begun).await?,
            }
        };
        let (idempotency, product) = (self.idempotency.clone(), view(stored.clone())?);
        let answer = Answer::created(format!("/products/{}", stored.id), &product)?.etag(stored.rev.etag());
        self.db
            .write(async move |tx: &mut Tx<'_>| {
                index::write(tx, stored.id, &stored.rev, Document::read(&stored.body).ok().as_ref()).await?;
                idempotency.finish(tx, key.as_ref(), &answer).await?;
                Ok(answer.clone())
            })
            .await
    }

    /// Writes the document of a new product. What this request `is_begun` with may have arrived only now: then that is it.
    async fn write_new(&self, id: ProductId, document: &Document, is_begun: bool) -> Result<Stored, CatalogError> {
        let body = to_json(document)?;
        match self.documents.put(id, None, &body).await {
            Ok(rev) => {
                self.metrics.writes.with(&[("change", "created")]).inc();
                Ok(Stored { id, rev, body })
            }
            Err(StoreError::Conflict { .. }) if is_begun => self.documents.get(id).await?.ok_or(CatalogError::UnknownProduct(id)),
            Err(error) => Err(error.into()),
        }
    }

    /// Puts a product in the place of the revision that the caller has seen.
    pub async fn replace(&self, id: ProductId, mut request: ProductRequest, mut seen: Seen) -> Result<Answer, CatalogError> {
        seen.rev = request.rev.take();
        let standing = self.documents.get(id).await?.ok_or(CatalogError::UnknownProduct(id))?;
        seen.check(&standing.rev)?;
        let now = self.clock.now();
        // A document that drifted beyond reading is replaced by a whole one; only its media are lost.
        let document = match Document::read(&standing.body) {
            Ok(document) => document.replaced(request, now)?,
            Err(_) => Document::new(request, None, now)?,
        };
        self.require_category(document.category_id).await?;
        self.claim(id, &document, None).await?;
        let body = to_json(&document)?;
        let rev = self.documents.put(id, Some(&standing.rev), &body).await.map_err(|error| seen.refused(id, error))?;
        self.metrics.writes.with(&[("change", "updated")]).inc();
        let answer = Answer::ok(&document.clone().view(id, rev.to_string()))?.etag(rev.etag());
        self.db.write(async move |tx: &mut Tx<'_>| index::write(tx, id, &rev, Some(&document)).await).await?;
        Ok(answer)
    }

    pub async fn delete(&self, id: ProductId, seen: Seen) -> Result<(), CatalogError> {
        let standing = self.documents.get(id).await?.ok_or(CatalogError::UnknownProduct(id))?;
        seen.check(&standing.rev)?;
        let tombstone = self.documents.delete(id, &standing.rev).await.map_err(|error| seen.refused(id, error))?;
        self.metrics.writes.with(&[("change", "deleted")]).inc();
        self.db
            .write(async move |tx: &mut Tx<'_>| {
                skus::release_all(tx, id).await?;
                Ok(index::write(tx, id, &tombstone, None).await?)
            })
            .await
    }

    pub async fn get(&self, id: ProductId) -> Result<Product, CatalogError> {
        view(self.documents.get(id).await?.ok_or(CatalogError::UnknownProduct(id))?)
    }

    /// The product that has this SKU, its own or a variant's.
    pub async fn by_sku(&self, sku: &Sku) -> Result<Product, CatalogError> {
        let unknown = || CatalogError::UnknownSku(sku.clone());
        let holder = self.db.read(async |tx: &mut Tx<'_>| skus::holder(tx, sku).await).await?.ok_or_else(unknown)?;
        let product = view(self.documents.get(holder).await?.ok_or_else(unknown)?)?;
        let has = product.sku == *sku || product.variants.iter().any(|variant| variant.sku == *sku);
        if has { Ok(product) } else { Err(unknown()) }
    }

    /// Products that fit the filter, oldest first, behind a place; each with its place.
    pub async fn find(&self, filter: &Filter, behind: i64, limit: u32) -> Result<Vec<(i64, Product)>, CatalogError> {
        let question = self.question(filter, behind, limit).await?;
        Ok(self.find_all(vec![question]).await?.pop().unwrap_or_default())
    }

    /// A filter as a question to the index.
    pub async fn question(&self, filter: &Filter, behind: i64, limit: u32) -> Result<index::Question, CatalogError> {
        let words = filter.q.as_deref().map(search::tokens).unwrap_or_default();
        if words.len() > WORDS_MAX {
            return Err(Problem::invalid("#/q", format!("must have at most {WORDS_MAX} words")).into());
        }
        let category = match &filter.category {
            None => None,
            Some(name) => {
                let found = self.category_named(name).await?;
                Some(found.ok_or_else(|| Problem::invalid("#/category", "there is no such category"))?.id)
            }
        };
        Ok(index::Question { category, words, behind, limit })
    }

    /// The answers to several questions: two statements, however many they are.
    pub async fn find_all(&self, questions: Vec<index::Question>) -> Result<Vec<Vec<(i64, Product)>>, CatalogError> {
        let found = self.db.read(async |tx: &mut Tx<'_>| index::find(tx, &questions).await).await?;
        let ids: BTreeSet<ProductId> = found.iter().flatten().map(|entry| entry.product).collect();
        let ids: Vec<ProductId> = ids.into_iter().collect();
        // What has drifted beyond reading does not show here; `/products/quarantine` has it.
        let mut products: Vec<Product> = Vec::with_capacity(ids.len());
        for part in ids.chunks(200) {
            products.extend(self.documents.get_many(part).await?.into_iter().filter_map(|stored| view(stored).ok()));
        }
        let product = |entry: index::Entry| {
            let place = products.binary_search_by_key(&entry.product, |product| product.id).ok()?;
            Some((entry.seq, products.get(place)?.clone()))
        };
        Ok(found.into_iter().map(|entries| entries.into_iter().filter_map(product).collect()).collect())
    }

    /// What the feed keeps apart, the oldest first, each with its place.
    pub async fn quarantined(&self, behind: i64, limit: u32) -> Result<Vec<(i64, Quarantined)>, CatalogError> {
        Ok(self.db.read(async |tx: &mut Tx<'_>| feed::quarantined(tx, behind, limit).await).await?)
    }

    /// Forgets answers that are older than a day.
    pub async fn purge(&self) -> Result<u64, CatalogError> {
        Ok(self.idempotency.purge(&self.db).await?)
    }

    async fn require_category(&self, id: Option<CategoryId>) -> Result<(), CatalogError> {
        let Some(id) = id else { return Ok(()) };
        match self.db.read(async |tx: &mut Tx<'_>| taxonomy::by_id(tx, id).await).await? {
            Some(_) => Ok(()),
            None => Err(Problem::invalid("#/categoryId", format!("there is no category {id}")).into()),
        }
    }

    /// Claims every SKU of a product, all or none, unless the request of this key has made it before, or begun to.
    async fn claim(&self, id: ProductId, document: &Document, key: Option<&str>) -> Result<Claimed, CatalogError> {
        let mut lapsed: Vec<skus::Claim> = Vec::new();
        loop {
            let claimant = skus::Claimant { product: id, request_key: key.map(str::to_owned), now: self.clock.now() };
            let (wanted, known) = (document.skus().cloned().collect::<Vec<_>>(), lapsed.clone());
            let claimed = self.db.write(async move |tx: &mut Tx<'_>| claim_all(tx, &wanted, &claimant, &known).await).await;
            let in_the_way = match claimed {
                Ok(()) => return Ok(Claimed::Now),
                Err(Unclaimed::Store(error)) => return Err(error.into()),
                Err(Unclaimed::Claimed(claims)) => claims,
            };
            for claim in in_the_way {
                let holder = self.documents.get(claim.holder).await?;
                // Its write may be on its way still, and must not make a second product when it arrives.
                if holder.is_none() && claim.sku == document.sku && claim.is_of(key) && self.documents.are_on_server() {
                    return Ok(Claimed::Begun(claim.holder));
                }
                let held = holder.and_then(|stored| Some((Document::read(&stored.body).ok()?, stored)));
                match held {
                    Some((other, stored)) if other.skus().any(|sku| *sku == claim.sku) => {
                        // This very request, sent again when its answer was lost.
                        let is_recent = other.created_at.plus(idempotency::KEPT) > self.clock.now();
                        if key.is_some() && other.request_key.as_deref() == key && other.sku == document.sku && is_recent {
                            return Ok(Claimed::Before(stored));
                        }
                        return Err(taken(document, claim));
                    }
                    _ if claim.may_lapse(key, self.clock.now()) && !lapsed.iter().any(|known| known.is(&claim)) => lapsed.push(claim),
                    _ => return Err(taken(document, claim)),
                }
            }
        }
    }
}

/// What became of claiming the SKUs of a product.
enum Claimed {
    Now,
    /// The same request has made this product.
    Before(Stored),
    /// The same request has claimed them for a product of this id, and it is not known to have come further.
    Begun(ProductId),
}

/// Why SKUs were not claimed.
enum Unclaimed {
    Claimed(Vec<skus::Claim>),
    Store(platform::db::DbError),
}

impl From<platform::db::DbError> for Unclaimed {
    fn from(error: platform::db::DbError) -> Self {
        Self::Store(error)
    }
}

async fn claim_all(tx: &mut Tx<'_>, wanted: &[Sku], claimant: &skus::Claimant, lapsed: &[skus::Claim]) -> Result<(), Unclaimed> {
    let mut in_the_way = Vec::new();
    for sku in wanted {
        in_the_way.extend(skus::claim(tx, sku, claimant, lapsed).await?);
    }
    if in_the_way.is_empty() { Ok(()) } else { Err(Unclaimed::Claimed(in_the_way)) }
}

fn taken(document: &Document, claim: skus::Claim) -> CatalogError {
    let variant = document.variants.iter().position(|variant| variant.sku == claim.sku);
    let pointer = variant.map_or_else(|| "#/sku".to_owned(), |index| format!("#/variants/{index}/sku"));
    CatalogError::SkuTaken { sku: claim.sku, pointer, holder: claim.holder }
}

/// The product as others see it.
pub fn view(stored: Stored) -> Result<Product, CatalogError> {
    let product = stored.id;
    let document = Document::read(&stored.body).map_err(|drift| CatalogError::Drifted { product, drift })?;
    Ok(document.view(product, stored.rev.to_string()))
}

fn to_json(document: &Document) -> Result<serde_json::Value, CatalogError> {
    Ok(serde_json::to_value(document).map_err(|error| Problem::internal(&error))?)
}
