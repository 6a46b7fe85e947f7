//! The publisher of the change feed: the one place from which products are announced. It reads what has changed behind the place it
//! stored, and in one transaction adds the events to the outbox, notes what it told, and moves on. A crash before that repeats the
//! batch, one after it does not; nothing is lost either way. An event's id is made of document and revision, so that even a publisher
//! that begins anew from an older place tells nothing that a consumer would take for new.
//!
//! What it is told again it knows by the revision that it told last. The diff is between that and now: revisions that came and went
//! between two looks show in one diff.

use catalog_api::{
    MediaStatus,
    events::{ProductChange, ProductUpdated},
};
use platform::{db::Tx, service::Progress};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use std::time::Duration;
use types::{EventId, ProductId, id::Uuid};

use crate::{
    app::App,
    diff::diff,
    domain::{Document, MEDIA_MAX},
    error::CatalogError,
    store::{Change, Rev, feed, index, media, skus},
};

/// When the feed is looked at again while somebody else is at it.
const BUSY: Duration = Duration::from_millis(50);

/// What became of one change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Published,
    Quarantined,
    /// Told before, or nothing that anybody has heard of.
    Known,
}

impl App {
    /// Publishes up to one batch; one at a time over all instances.
    pub async fn publish_changes(&self) -> Result<Progress, CatalogError> {
        let Some(_lease) = self.leases.take("catalog/feed") else { return Ok(Progress::Until(self.clock.now().plus(BUSY))) };
        // And over all processes, where the store has several.
        let Some(lease) = self.db.lease("feed").await? else { return Ok(Progress::Until(self.clock.now().plus(BUSY))) };
        let progress = self.publish_batch().await?;
        lease.end().await;
        Ok(progress)
    }

    async fn publish_batch(&self) -> Result<Progress, CatalogError> {
        let config = self.config.get();
        let from = self.db.read(async |tx: &mut Tx<'_>| feed::progress(tx).await).await?;
        let changes = self.documents.changes(from.as_ref().map(|from| &from.seq), config.feed_batch).await?;
        if changes.entries.is_empty() {
            return Ok(Progress::Idle);
        }
        let (app, validate) = (self.clone(), config.validate_feed);
        let (outcomes, held) = self
            .db
            .write(async move |tx: &mut Tx<'_>| {
                let mut outcomes = Vec::with_capacity(changes.entries.len());
                for change in &changes.entries {
                    outcomes.push(app.publish(tx, change, validate).await?);
                }
                if !feed::advance(tx, from.as_ref(), &changes.last).await? {
                    return Err(CatalogError::FeedMoved);
                }
                Ok((outcomes, feed::count_quarantined(tx).await?))
            })
            .await?;
        let count = |wanted| outcomes.iter().filter(|outcome| **outcome == wanted).count() as u64;
        self.metrics.published.inc_by(count(Outcome::Published));
        self.metrics.quarantined.inc_by(count(Outcome::Quarantined));
        self.metrics.in_quarantine.set(held as f64);
        Ok(Progress::More)
    }

    async fn publish(&self, tx: &mut Tx<'_>, change: &Change, validate: bool) -> Result<Outcome, CatalogError> {
        self.make_good(tx, change).await?;
        let before = feed::published(tx, change.id).await?;
        if before.as_ref().is_some_and(|before| before.rev.generation() >= change.rev.generation()) {
            return Ok(Outcome::Known);
        }
        match &change.body {
            None => {
                feed::release(tx, change.id).await?;
                if before.is_none() {
                    return Ok(Outcome::Known);
                }
            }
            Some(body) => {
                if let Err(drift) = Document::check(body)
                    && validate
                {
                    // It has words of the document in it, and a server keeps no text with a zero in it.
                    let reason = drift.to_string().replace('\0', "\u{fffd}");
                    if !feed::quarantine(tx, change, body, &reason, self.clock.now()).await? {
                        return Ok(Outcome::Known);
                    }
                    tracing::warn!(product_id = %change.id, rev = %change.rev, reason, "a document has drifted and was kept apart");
                    return Ok(Outcome::Quarantined);
                }
                feed::release(tx, change.id).await?;
            }
        }
        let event = told(change, before.as_ref(), self.clock.now());
        self.outbox.add_as(tx, event_id(change.id, &change.rev), &event).await?;
        feed::note_published(tx, change).await?;
        Ok(Outcome::Published)
    }

    /// What is kept beside the document and might have missed a change: a crash came between, or it was written past this service.
    async fn make_good(&self, tx: &mut Tx<'_>, change: &Change) -> Result<(), CatalogError> {
        let document = change.body.as_ref().and_then(|body| Document::read(body).ok());
        index::write(tx, change.id, &change.rev, document.as_ref()).await?;
        match &document {
            Some(document) => {
                for sku in document.skus() {
                    skus::note(tx, sku, change.id, self.clock.now()).await?;
                }
            }
            None if change.body.is_none() => skus::release_all(tx, change.id).await?,
            // It cannot be read: what it has is not known.
            None => return Ok(()),
        }
        let has = |upload: &media::Upload| document.as_ref().is_some_and(|document| document.has_media(upload.id));
        for mut upload in media::available(tx, change.id, MEDIA_MAX as u32).await? {
            if !has(&upload) && upload.added_generation.is_some_and(|added| added < change.rev.generation()) {
                upload.status = MediaStatus::Removed;
                upload.next_at = Some(self.clock.now());
                upload.version += 1;
                media::save(tx, &upload).await?;
                tx.wake_after_commit(&self.media_bell);
            }
        }
        Ok(())
    }
}

fn told(change: &Change, before: Option<&feed::Published>, at: types::Timestamp) -> ProductUpdated {
    let nothing = Json::Null;
    let (old, new) = (before.map_or(&nothing, |before| &before.body), change.body.as_ref().unwrap_or(&nothing));
    let sku = if change.body.is_some() { &new["sku"] } else { &old["sku"] };
    ProductUpdated {
        product_id: change.id,
        // A document that drifted may have anything there.
        sku: sku.as_str().map_or_else(|| sku.to_string(), str::to_owned),
        rev: change.rev.to_string(),
        previous_rev: before.map(|before| before.rev.to_string()),
        change: match (before, &change.body) {
            (_, None) => ProductChange::Deleted,
            (None, Some(_)) => ProductChange::Created,
            (Some(_), Some(_)) => ProductChange::Updated,
        },
        changes: diff(old, new),
        at,
    }
}

/// The id of the event that tells this revision: a UUID of our own making (RFC 9562, version 8).
#[must_use]
pub fn event_id(product: ProductId, rev: &Rev) -> EventId {
    let digest = Sha256::new_with_prefix("crashcart product change\n").chain_update(product.uuid()).chain_update(rev.as_str()).finalize();
    let mut bytes = [0_u8; 16];
    bytes.copy_from_slice(&digest[..16]);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    EventId(Uuid::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_has_one_event_id() {
        let id = |product: u128, rev: &str| event_id(ProductId(Uuid::from_u128(product)), &rev.parse().expect("a revision"));
        assert_eq!(id(1, "1-a"), id(1, "1-a"));
        assert_ne!(id(1, "1-a"), id(1, "2-a"));
        assert_ne!(id(1, "1-a"), id(2, "1-a"));
        assert_eq!(id(1, "1-a").uuid().get_version_num(), 8);
    }
}
