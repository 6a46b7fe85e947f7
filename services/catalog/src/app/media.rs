//! The use cases of media. An upload is `PENDING` until its bytes have been looked at: are they there, small enough, of the announced
//! kind? Then they are copied to where the client's URL does not reach, so that what was checked is what is shown; the product's
//! document takes them in, in one write over its revision; and only after that the upload is `AVAILABLE`. So what the document names is
//! there, and the change feed announces nothing that is not.

mod inspection;

use std::time::Duration;

use bytes::Bytes;
use catalog_api::{Media, MediaRequest, MediaStatus};
use platform::{
    blob::{Constraints, Method, Presigned},
    db::Tx,
    http::Answer,
    idempotency::{Key, Taken},
    problem::Problem,
};
use types::{MediaId, ProductId};

use super::App;
use crate::{
    domain::{Document, MEDIA_MAX},
    error::CatalogError,
    image,
    store::media::{self, Upload},
};

/// A file that came with the request.
#[derive(Clone, Debug)]
pub struct File {
    pub name: String,
    pub kind: image::Kind,
    pub bytes: Bytes,
}

impl App {
    /// Announces an upload: where to send it, and what must be sent.
    pub async fn announce_media(
        &self,
        product: ProductId,
        request: MediaRequest,
        key: Option<Key>,
        base: &str,
    ) -> Result<Answer, CatalogError> {
        let kind = image::Kind::of_media_type(&request.content_type)
            .ok_or_else(|| Problem::invalid("#/contentType", format!("must be one of {}", image::media_types())))?;
        self.require_room(product).await?;
        let upload = self.upload(product, request.file_name.as_str(), kind);
        let answer = self.created(&upload, base)?;
        let idempotency = self.idempotency.clone();
        let bell = self.media_bell.clone();
        self.db
            .write(async move |tx: &mut Tx<'_>| {
                let insert = async |tx: &mut Tx<'_>| -> Result<Answer, CatalogError> {
                    media::insert(tx, &upload).await?;
                    tx.wake_after_commit(&bell);
                    Ok(answer.clone())
                };
                idempotency.once(tx, key.as_ref(), insert).await
            })
            .await
    }

    /// Takes a file that came with the request; it is looked at afterwards as any other.
    pub async fn receive_media(&self, product: ProductId, file: File, key: Option<Key>, base: &str) -> Result<Answer, CatalogError> {
        self.require_room(product).await?;
        if let Taken::Answered(answer) = self.idempotency.take(&self.db, key.as_ref()).await? {
            return Ok(answer);
        }
        let received = self.keep_file(product, file, key.clone(), base).await;
        if received.is_err() {
            self.idempotency.forget(&self.db, key.as_ref()).await?;
        }
        received
    }

    async fn keep_file(&self, product: ProductId, file: File, key: Option<Key>, base: &str) -> Result<Answer, CatalogError> {
        let mut upload = self.upload(product, &file.name, file.kind);
        let row = upload.clone();
        // The row first: an object that no row knows would stay for ever.
        self.db.write(async move |tx: &mut Tx<'_>| media::insert(tx, &row).await).await?;
        self.blobs.put(&upload.upload_key, file.bytes, file.kind.media_type()).await?;
        let answer = self.created(&upload, base)?;
        upload.next_at = Some(self.clock.now());
        upload.version += 1;
        let (idempotency, bell) = (self.idempotency.clone(), self.media_bell.clone());
        self.db
            .write(async move |tx: &mut Tx<'_>| {
                // Where this finds another version, somebody has looked already, which is all that it asks for.
                media::save(tx, &upload).await?;
                idempotency.finish(tx, key.as_ref(), &answer).await?;
                tx.wake_after_commit(&bell);
                Ok(answer.clone())
            })
            .await
    }

    pub async fn medium(&self, product: ProductId, id: MediaId, base: &str) -> Result<Media, CatalogError> {
        let found = self.db.read(async |tx: &mut Tx<'_>| media::by_id(tx, product, id).await).await?;
        self.media_view(&found.ok_or(CatalogError::UnknownMedia { product, media: id })?, base)
    }

    /// A product's uploads, the oldest first, behind a place; each with its place.
    pub async fn media_of(&self, product: ProductId, behind: i64, limit: u32, base: &str) -> Result<Vec<(i64, Media)>, CatalogError> {
        self.documents.get(product).await?.ok_or(CatalogError::UnknownProduct(product))?;
        let rows = self.db.read(async |tx: &mut Tx<'_>| media::of_product(tx, product, behind, limit).await).await?;
        rows.iter().map(|(seq, upload)| Ok((*seq, self.media_view(upload, base)?))).collect()
    }

    /// The client says that it has sent the bytes: they are looked at now and not at the next turn.
    pub async fn complete_media(&self, product: ProductId, id: MediaId, key: Option<Key>, base: &str) -> Result<Answer, CatalogError> {
        let (this, base) = (self.clone(), base.to_owned());
        self.db
            .write(async move |tx: &mut Tx<'_>| {
                let ring = async |tx: &mut Tx<'_>| -> Result<Answer, CatalogError> {
                    let mut upload = media::by_id(tx, product, id).await?.ok_or(CatalogError::UnknownMedia { product, media: id })?;
                    if upload.status == MediaStatus::Pending {
                        upload.next_at = Some(this.clock.now());
                        upload.version += 1;
                        media::save(tx, &upload).await?;
                        tx.wake_after_commit(&this.media_bell);
                    }
                    Ok(Answer::accepted(&this.media_view(&upload, &base)?)?)
                };
                this.idempotency.once(tx, key.as_ref(), ring).await
            })
            .await
    }

    fn upload(&self, product: ProductId, file_name: &str, kind: image::Kind) -> Upload {
        let (id, now) = (self.ids.make(), self.clock.now());
        Upload {
            id,
            product,
            status: MediaStatus::Pending,
            file_name: file_name.to_owned(),
            content_type: kind.media_type().to_owned(),
            upload_key: format!("{}/{}", folder(product, id), key_segment(file_name)),
            object_key: None,
            size: None,
            sha256: None,
            width: None,
            height: None,
            reason: None,
            added_generation: None,
            looks: 1,
            next_at: Some(now.plus(Duration::from_secs(1))),
            expires_at: now.plus(Duration::from_secs(self.config.get().upload_url_seconds)),
            version: 1,
            created_at: now,
        }
    }

    async fn require_room(&self, product: ProductId) -> Result<(), CatalogError> {
        let stored = self.documents.get(product).await?.ok_or(CatalogError::UnknownProduct(product))?;
        let media = Document::read(&stored.body).map_err(|drift| CatalogError::Drifted { product, drift })?.media.len();
        let pending = self.db.read(async |tx: &mut Tx<'_>| media::count_pending(tx, product).await).await?;
        let all = media.saturating_add(usize::try_from(pending).unwrap_or(usize::MAX));
        if all < MEDIA_MAX { Ok(()) } else { Err(CatalogError::MediaLimit(product)) }
    }

    fn created(&self, upload: &Upload, base: &str) -> Result<Answer, CatalogError> {
        let location = format!("/products/{}/media/{}", upload.product, upload.id);
        Ok(Answer::created(location, &self.media_view(upload, base)?)?)
    }

    /// An upload as others see it, with a signed call for what can be done with it now.
    fn media_view(&self, upload: &Upload, base: &str) -> Result<Media, CatalogError> {
        let config = self.config.get();
        let call = match (upload.status, &upload.object_key) {
            (MediaStatus::Pending, _) => {
                let left = upload.expires_at.since(self.clock.now());
                let constraints = Constraints { content_type: Some(upload.content_type.clone()), max_size: Some(config.media_max_bytes) };
                if left.is_zero() { None } else { Some(self.blobs.presign(base, Method::Put, &upload.upload_key, left, constraints)?) }
            }
            (MediaStatus::Available, Some(key)) => {
                let valid_for = Duration::from_secs(config.download_url_seconds);
                Some(self.blobs.presign(base, Method::Get, key, valid_for, Constraints::default())?)
            }
            _ => None,
        };
        let mut view = Media {
            media_id: upload.id,
            product_id: upload.product,
            status: upload.status,
            file_name: upload.file_name.clone(),
            content_type: upload.content_type.clone(),
            size: upload.size,
            sha256: upload.sha256.clone(),
            width: upload.width,
            height: upload.height,
            reason: upload.reason.clone(),
            upload_url: None,
            method: None,
            url: None,
            headers: None,
            expires_at: None,
            created_at: upload.created_at,
        };
        if let Some(Presigned { method, url, headers, expires_at }) = call {
            view.upload_url = (method == Method::Put).then(|| url.clone());
            view.method = Some(method);
            view.url = Some(url);
            view.headers = Some(headers);
            view.expires_at = Some(expires_at);
        }
        Ok(view)
    }
}

/// Where the checked bytes of an upload are.
fn checked_key(upload: &Upload) -> String {
    format!("{}/checked/{}", folder(upload.product, upload.id), key_segment(&upload.file_name))
}

fn folder(product: ProductId, id: MediaId) -> String {
    format!("catalog/products/{product}/{id}")
}

/// A file's name as a part of an object's key.
fn key_segment(file_name: &str) -> String {
    let legal = |letter: char| if letter.is_ascii_alphanumeric() || "-_.".contains(letter) { letter } else { '_' };
    let name: String = file_name.chars().map(legal).take(100).collect();
    // No leading dots, and not the ending that the object store keeps to itself.
    let name = name.trim_start_matches('.').trim_end_matches(".blob");
    if name.is_empty() { "file".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_file_name_makes_a_legal_part_of_a_key() {
        for (name, part) in [
            ("lamp.png", "lamp.png"),
            ("../../etc/passwd", "_.._etc_passwd"),
            ("đèn bàn.png", "__n_b_n.png"),
            ("..", "file"),
            ("a.blob", "a"),
        ] {
            assert_eq!(key_segment(name), part);
        }
        assert_eq!(key_segment(&"x".repeat(200)).len(), 100);
        assert_eq!(key_segment("a.blob.blob"), "a");
        assert_eq!(key_segment(".blob"), "blob");
    }
}
