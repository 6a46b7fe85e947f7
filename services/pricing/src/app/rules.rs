//! What prices are made of: the books' entries and the rules. Writing what is there already changes nothing and announces nothing, so
//! that whoever writes the same list again disturbs nobody.

use std::collections::BTreeSet;

use platform::{
    db::Tx,
    http::{Answer, IfMatch},
    idempotency::Key,
};
use pricing_api::{BookEntry, BookEntryRequest, Rule as View, RuleRequest, events::PricingUpdated};
use types::{
    Sku,
    id::{PlainId, Uuid},
};

use super::App;
use crate::{
    domain::{check, rule::Rule},
    error::PricingError,
    store,
};

impl App {
    /// Makes a rule, or replaces the one of the same id.
    pub async fn put_rule(&self, request: RuleRequest, key: Option<Key>) -> Result<Answer, PricingError> {
        PricingError::of(check::rule(&request))?;
        let (this, rule) = (self.clone(), self.rule_of(request));
        self.db
            .write(async move |tx: &mut Tx<'_>| {
                let work = async |tx: &mut Tx<'_>| this.write_rule(tx, rule.clone()).await;
                this.idempotency.once::<PricingError>(tx, key.as_ref(), work).await
            })
            .await
    }

    async fn write_rule(&self, tx: &mut Tx<'_>, mut rule: Rule) -> Result<Answer, PricingError> {
        let now = self.clock.now();
        let before = store::rule(tx, rule.id).await?;
        if let Some(before) = &before {
            rule.version = before.version;
            if rule == *before {
                return Ok(Answer::ok(&view(rule))?.version(before.version));
            }
            rule.version += 1;
        }
        if let Some(full) = store::crowded(tx, &rule, now).await? {
            let what = if rule.skus.is_empty() { "the rules for all SKUs".to_owned() } else { format!("the rules of {full}") };
            return Err(PricingError::TooMany { what, limit: store::MAX_RULES });
        }
        match &before {
            None => store::insert_rule(tx, &rule, now).await?,
            Some(_) => {
                if !store::replace_rule(tx, &rule, now).await? {
                    return Err(PricingError::Raced);
                }
            }
        }
        let reason = if before.is_some() { "rule-replaced" } else { "rule-created" };
        let skus = concerned(before.as_ref(), &rule);
        self.outbox.add(tx, &PricingUpdated { subject: rule.id.to_string(), skus, reason: reason.to_owned(), at: now }).await?;
        tracing::info!(rule_id = %rule.id, version = rule.version, reason, "a price rule was written");
        let (id, version) = (rule.id, rule.version);
        let answer = match before {
            None => Answer::created(format!("/pricing/rules/{id}"), &view(rule))?,
            Some(_) => Answer::ok(&view(rule))?,
        };
        Ok(answer.version(version))
    }

    /// A rule from what was written; of an id of its own when none was given.
    pub(super) fn rule_of(&self, request: RuleRequest) -> Rule {
        let skus: BTreeSet<Sku> = request.sku.into_iter().chain(request.skus).collect();
        Rule {
            id: request.id.map_or_else(|| self.ids.make(), PlainId::uuid),
            name: request.name.into(),
            skus: skus.into_iter().collect(),
            priority: request.priority,
            exclusive: request.exclusive,
            when: request.when,
            effect: request.effect,
            starts_at: request.starts_at,
            ends_at: request.ends_at,
            version: 1,
        }
    }

    pub async fn rule(&self, id: Uuid) -> Result<View, PricingError> {
        let rule = self.db.read(async |tx: &mut Tx<'_>| store::rule(tx, id).await).await?;
        rule.map(view).ok_or(PricingError::UnknownRule(id))
    }

    /// Rules in the order in which they were made, each with its place.
    pub async fn rules(&self, after: i64, limit: u32) -> Result<Vec<(i64, View)>, PricingError> {
        let rules = self.db.read(async |tx: &mut Tx<'_>| store::rules(tx, after, limit).await).await?;
        Ok(rules.into_iter().map(|(seq, rule)| (seq, view(rule))).collect())
    }

    /// Sets a price in a book.
    pub async fn put_entry(&self, book: String, sku: Sku, request: BookEntryRequest, seen: IfMatch) -> Result<Answer, PricingError> {
        let this = self.clone();
        self.db
            .write(async move |tx: &mut Tx<'_>| {
                let currency = store::book(tx, &book).await?.ok_or_else(|| PricingError::UnknownBook(book.clone()))?;
                PricingError::of(check::entry(&sku, &request, currency))?;
                let before = store::entry(tx, &book, currency, &sku).await?;
                // Who has seen a version of what is not there has seen something else.
                seen.check(before.as_ref().map_or(0, |entry| entry.version))?;
                if let Some(before) = before.as_ref().filter(|before| before.unit_price == request.unit_price) {
                    return Ok(Answer::ok(before)?.version(before.version));
                }
                let version = before.as_ref().map_or(1, |before| before.version + 1);
                let entry = BookEntry { book: book.clone(), sku: sku.clone(), unit_price: request.unit_price, version };
                let now = this.clock.now();
                let saved = match before {
                    None => store::insert_entry(tx, &entry, now).await?,
                    Some(_) => store::save_entry(tx, &entry, now).await?,
                };
                if !saved {
                    return Err(PricingError::Raced);
                }
                let reason = if before.is_some() { "entry-changed" } else { "entry-created" };
                let subject = format!("{book}/{sku}");
                this.outbox.add(tx, &PricingUpdated { subject, skus: vec![sku.clone()], reason: reason.to_owned(), at: now }).await?;
                let answer = match before {
                    None => Answer::created(format!("/pricing/books/{book}/entries/{sku}"), &entry),
                    Some(_) => Answer::ok(&entry),
                };
                Ok::<_, PricingError>(answer?.version(version))
            })
            .await
    }

    pub async fn entry(&self, book: &str, sku: &Sku) -> Result<BookEntry, PricingError> {
        self.db
            .read(async |tx: &mut Tx<'_>| {
                let currency = store::book(tx, book).await?.ok_or_else(|| PricingError::UnknownBook(book.to_owned()))?;
                let entry = store::entry(tx, book, currency, sku).await?;
                entry.ok_or_else(|| PricingError::UnknownEntry { book: book.to_owned(), sku: sku.clone() })
            })
            .await
    }

    /// A book's entries by SKU.
    pub async fn entries(&self, book: &str, after: &str, limit: u32) -> Result<Vec<BookEntry>, PricingError> {
        self.db
            .read(async |tx: &mut Tx<'_>| {
                let currency = store::book(tx, book).await?.ok_or_else(|| PricingError::UnknownBook(book.to_owned()))?;
                Ok::<_, PricingError>(store::entries(tx, book, currency, after, limit).await?)
            })
            .await
    }
}

/// The SKUs whose prices may have changed; none for all of them.
fn concerned(before: Option<&Rule>, after: &Rule) -> Vec<Sku> {
    let both = || before.into_iter().chain([after]);
    if both().any(|rule| rule.skus.is_empty()) {
        return Vec::new();
    }
    both().flat_map(|rule| rule.skus.iter().cloned()).collect::<BTreeSet<_>>().into_iter().collect()
}

fn view(rule: Rule) -> View {
    View {
        id: rule.id,
        name: rule.name,
        skus: rule.skus,
        priority: rule.priority,
        exclusive: rule.exclusive,
        when: rule.when,
        effect: rule.effect,
        starts_at: rule.starts_at,
        ends_at: rule.ends_at,
        version: rule.version,
    }
}
