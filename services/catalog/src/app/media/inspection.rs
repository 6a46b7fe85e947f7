//! What becomes of an upload once it has been announced: it is looked for, looked at, and taken in or refused; and what nobody needs any
//! more is removed. Each step can be taken again: a crash anywhere between the object, the document and the row repeats it.

use std::time::Duration;

use catalog_api::{MediaStatus, ProductMedia};
use platform::{
    blob::{BlobError, Object},
    db::Tx,
    service::Progress,
};
use serde_json::json;
use types::{ProductId, Timestamp};

use super::{App, checked_key};
use crate::{
    domain::{Document, MEDIA_MAX},
    error::CatalogError,
    image,
    store::{
        StoreError, index,
        media::{self, Upload},
    },
};

/// How long after its end an upload URL is still reckoned with: what was begun in time may end then.
const GRACE: Duration = Duration::from_secs(60);
/// The longest pause between two looks for an upload.
const LOOK_MAX: Duration = Duration::from_secs(60);
/// When the next one looks again while somebody else is at it.
const BUSY: Duration = Duration::from_millis(50);
/// How often a write over the product's revision is tried when others write it too.
const WRITES: u32 = 5;

impl App {
    /// Does what is due about one upload; one at a time over all instances.
    pub async fn tend_media(&self) -> Result<Progress, CatalogError> {
        let now = self.clock.now();
        let Some(_lease) = self.leases.take("catalog/media") else { return Ok(Progress::Until(now.plus(BUSY))) };
        // And over all processes, where the store has several.
        let Some(lease) = self.db.lease("media").await? else { return Ok(Progress::Until(now.plus(BUSY))) };
        let progress = self.tend_next(now).await?;
        lease.end().await;
        Ok(progress)
    }

    async fn tend_next(&self, now: Timestamp) -> Result<Progress, CatalogError> {
        let Some(upload) = self.db.read(async |tx: &mut Tx<'_>| media::next_due(tx).await).await? else { return Ok(Progress::Idle) };
        match upload.next_at {
            Some(due) if due > now => return Ok(Progress::Until(due)),
            _ => {}
        }
        let before = upload.status;
        let next = match before {
            MediaStatus::Pending => self.inspect(upload.clone()).await,
            MediaStatus::Available | MediaStatus::Rejected | MediaStatus::Removed => self.clean(upload.clone()).await,
        };
        let next = match next {
            // One object that cannot be reached must not stop the others.
            Err(CatalogError::Blob(error)) => {
                tracing::warn!(media_id = %upload.id, %error, "an object could not be reached; it is tried again");
                self.later(upload)
            }
            other => other?,
        };
        if next.status != before {
            self.metrics.media.with(&[("status", next.status.as_str())]).inc();
        }
        let next = Upload { version: next.version + 1, ..next };
        self.db.write(async move |tx: &mut Tx<'_>| media::save(tx, &next).await).await?;
        Ok(Progress::More)
    }

    /// Looks at the bytes of a pending upload, and takes them into the product or refuses them.
    async fn inspect(&self, upload: Upload) -> Result<Upload, CatalogError> {
        let max = self.config.get().media_max_bytes;
        let object_key = checked_key(&upload);
        let Some(standing) = self.documents.get(upload.product).await? else { return Ok(self.reject(upload, "its product is gone")) };
        if let Ok(document) = Document::read(&standing.body)
            && let Some(medium) = document.media.into_iter().find(|medium| medium.media_id == upload.id)
        {
            // It was taken in before, and the note of that was lost.
            return Ok(self.available(upload, medium, object_key, standing.rev.generation()));
        }
        match self.blobs.head(&upload.upload_key).await {
            Err(BlobError::NotFound(_)) if self.clock.now() >= upload.expires_at.plus(GRACE) => {
                return Ok(self.reject(upload, "nothing was uploaded in time"));
            }
            Err(BlobError::NotFound(_)) => return Ok(self.later(upload)),
            Err(BlobError::Damaged(_)) => return Ok(self.reject(upload, "the bytes are damaged")),
            // Who uploads to S3 is not stopped by a size: this is where it is looked at.
            Err(BlobError::TooLarge { .. }) => return Ok(self.reject(upload, &format!("it has more than {max} bytes"))),
            Err(error) => return Err(error.into()),
            Ok(info) if info.size > max => return Ok(self.reject(upload, &format!("it has more than {max} bytes"))),
            Ok(_) => {}
        }
        let object = match self.blobs.get(&upload.upload_key).await {
            Err(BlobError::Damaged(_)) => return Ok(self.reject(upload, "the bytes are damaged")),
            other => other?,
        };
        let image = match judge(&upload, &object, max) {
            Ok(image) => image,
            Err(reason) => return Ok(self.reject(upload, &reason)),
        };
        let info = self.blobs.put_expecting(&object_key, object.bytes, &upload.content_type, Some(&object.info.sha256)).await?;
        // Whoever stores objects may say so before they are there.
        match self.blobs.head(&object_key).await {
            Ok(there) if there == info => {}
            Ok(_) | Err(BlobError::NotFound(_)) => return Ok(self.later(upload)),
            Err(error) => return Err(error.into()),
        }
        let medium = ProductMedia {
            media_id: upload.id,
            file_name: upload.file_name.clone(),
            content_type: upload.content_type.clone(),
            size: info.size,
            sha256: info.sha256,
            width: image.width,
            height: image.height,
        };
        match self.take_in(upload.product, &medium).await? {
            TakenIn::At(generation) => Ok(self.available(upload, medium, object_key, generation)),
            TakenIn::NotNow => Ok(self.later(upload)),
            TakenIn::Never(reason) => {
                self.blobs.delete(&object_key).await?;
                Ok(self.reject(upload, reason))
            }
        }
    }

    fn available(&self, upload: Upload, medium: ProductMedia, object_key: String, generation: i64) -> Upload {
        Upload {
            status: MediaStatus::Available,
            object_key: Some(object_key),
            size: Some(medium.size),
            sha256: Some(medium.sha256),
            width: Some(medium.width),
            height: Some(medium.height),
            added_generation: Some(generation),
            next_at: Some(self.clock.now()),
            ..upload
        }
    }

    fn reject(&self, upload: Upload, reason: &str) -> Upload {
        Upload { status: MediaStatus::Rejected, reason: Some(reason.to_owned()), next_at: Some(self.clock.now()), ..upload }
    }

    /// Writes a medium into its product's document, over the revision that stands there. What else the document has stays as it is.
    async fn take_in(&self, product: ProductId, medium: &ProductMedia) -> Result<TakenIn, CatalogError> {
        for _ in 0..WRITES {
            let Some(mut standing) = self.documents.get(product).await? else { return Ok(TakenIn::Never("its product is gone")) };
            // A document that drifted beyond reading waits until somebody has mended it.
            let Ok(document) = Document::read(&standing.body) else { return Ok(TakenIn::NotNow) };
            if document.has_media(medium.media_id) {
                return Ok(TakenIn::At(standing.rev.generation()));
            }
            if document.media.len() >= MEDIA_MAX {
                return Ok(TakenIn::Never("its product has as many media as it may have"));
            }
            let media: Vec<&ProductMedia> = document.media.iter().chain([medium]).collect();
            standing.body["media"] = json!(media);
            standing.body["updatedAt"] = json!(self.clock.now());
            match self.documents.put(product, Some(&standing.rev), &standing.body).await {
                Ok(rev) => {
                    let generation = rev.generation();
                    self.db.write(async move |tx: &mut Tx<'_>| index::write(tx, product, &rev, Some(&document)).await).await?;
                    return Ok(TakenIn::At(generation));
                }
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(TakenIn::NotNow)
    }

    /// Removes what nobody needs any more: what was sent after the upload had been decided, and the object of a medium that was removed.
    async fn clean(&self, upload: Upload) -> Result<Upload, CatalogError> {
        self.blobs.delete(&upload.upload_key).await?;
        if let (MediaStatus::Removed, Some(key)) = (upload.status, &upload.object_key) {
            self.blobs.delete(key).await?;
        }
        // Until then the client's URL may bring it back.
        let after = upload.expires_at.plus(GRACE);
        Ok(Upload { next_at: (after > self.clock.now()).then_some(after), ..upload })
    }

    /// The same, to be looked at after a pause that doubles each time; a pending one also when its time is up.
    fn later(&self, upload: Upload) -> Upload {
        let pause = Duration::from_secs(1_u64.checked_shl(upload.looks).unwrap_or(u64::MAX)).min(LOOK_MAX);
        Upload { looks: upload.looks.saturating_add(1), next_at: Some(self.clock.now().plus(pause)), ..upload }
    }
}

/// Whether a product has taken a medium in.
enum TakenIn {
    /// The document of this generation has it.
    At(i64),
    NotNow,
    Never(&'static str),
}

/// Whether the bytes are what was announced; else why not.
fn judge(upload: &Upload, object: &Object, max: u64) -> Result<image::Image, String> {
    if object.info.size > max {
        return Err(format!("it has more than {max} bytes"));
    }
    let announced = &upload.content_type;
    let image = image::sniff(&object.bytes).ok_or_else(|| format!("the bytes are no image; {announced} was announced"))?;
    if image.kind.media_type() != announced {
        return Err(format!("the bytes are {}; {announced} was announced", image.kind.media_type()));
    }
    Ok(image)
}
