//! Objects: labels, images, attachments; bytes under a key, too big for a row. Three floors, all of the crate `object_store`: a folder
//! on disk, memory for the simulation, which answers inline, and a store that speaks S3 (`s3`). The first two keep an object as one file
//! (`envelope`), so its bytes, digest and media type appear and change together; S3 has a place for each. A client sends and fetches bytes
//! itself, with a URL that was signed for one act (`presign`): served by [`router`], or by the store where that is S3.
//!
//! Left out: parts of objects, and objects that do not fit into memory; [`OBJECT_MAX_BYTES`] bounds them.

mod envelope;
mod key;
mod presign;
mod router;
#[cfg(feature = "engines")]
mod s3;

use std::{
    error::Error,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use futures::TryStreamExt;
pub use key::KeyError;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutPayload, local::LocalFileSystem, memory::InMemory};
pub use presign::{Constraints, Method, PRESIGN_MAX, Presigned, Refusal};
pub use router::router;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    auth::Secret,
    clock::Clock,
    fault::{Effect, Faults, Passing},
};

/// The largest object.
pub const OBJECT_MAX_BYTES: u64 = 64 * 1024 * 1024;

/// The longest page of a list.
pub const PAGE_MAX: usize = 1_000;

/// What is known of an object without reading it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObjectInfo {
    /// In bytes.
    pub size: u64,
    /// Of the bytes, in hexadecimal digits.
    pub sha256: String,
    /// Strong, with its quotes, as HTTP wants it.
    pub etag: String,
    pub content_type: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    pub info: ObjectInfo,
    pub bytes: Bytes,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub key: String,
    /// In bytes.
    pub size: u64,
}

/// A part of a list, in the order of the keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    pub items: Vec<Listed>,
    /// What to give as `cursor` for the next page; nothing when there is none.
    pub next_cursor: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    #[error("the folder for objects {path} cannot be used: {source}; give the process a folder that it may write to")]
    Folder { path: PathBuf, source: Box<dyn Error + Send + Sync> },
    #[error("`{key}` is no key of an object: {source}")]
    Key { key: String, source: KeyError },
    #[error("a media type such as `image/png` is needed, in at most {} printable ASCII characters", envelope::CONTENT_TYPE_MAX_BYTES)]
    ContentType,
    #[error("an object has at most {limit} bytes; this one has {size}")]
    TooLarge { size: u64, limit: u64 },
    #[error("the bytes have the digest {actual}, not {expected}; nothing was stored")]
    Digest { expected: String, actual: String },
    #[error("there is no object `{0}`")]
    NotFound(String),
    #[error("the object `{0}` is not what was stored: its file was cut or changed")]
    Damaged(String),
    #[error("object storage does not answer for `{key}`; try again")]
    Unavailable { key: String, source: Option<Box<dyn Error + Send + Sync>> },
    #[error("the bucket `{bucket}` cannot be used: {reason}")]
    Bucket { bucket: String, reason: String },
    #[error(transparent)]
    Presign(#[from] presign::PresignError),
}

pub use presign::PresignError;

/// Object storage; clones share it.
#[derive(Clone, Debug)]
pub struct Blobs(Arc<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    floor: Floor,
    clock: Clock,
    faults: Faults,
    /// What URLs to [`router`] are signed with; none where the store has keys of its own for that.
    signing_key: Option<Secret>,
    /// Whose objects pass, for faults that are meant for one service.
    service: &'static str,
}

#[derive(Clone, Debug)]
enum Floor {
    Memory(Arc<InMemory>),
    Disk {
        store: LocalFileSystem,
        survives_power_cut: bool,
    },
    #[cfg(feature = "engines")]
    S3(s3::Bucket),
}

/// How an object is kept: as a file with its envelope, or as S3 has it.
enum At<'a> {
    Files(&'a dyn ObjectStore),
    #[cfg(feature = "engines")]
    S3(&'a s3::Bucket),
}

#[cfg_attr(not(feature = "engines"), expect(clippy::infallible_destructuring_match, reason = "there are other ways with S3"))]
impl Blobs {
    /// Objects in memory, gone with the last clone. No thread stands behind it.
    #[must_use]
    pub fn in_memory(clock: Clock, faults: Faults, signing_key: Secret) -> Self {
        Self::over(Floor::Memory(Arc::new(InMemory::new())), clock, faults, Some(signing_key))
    }

    /// Objects in a folder, which is made where it is missing. With `survives_power_cut` a put or delete answers when the file and its
    /// folders are on the medium; without, they survive the end of the process, but not of the machine.
    ///
    /// # Errors
    /// [`BlobError::Folder`] when the folder cannot be made or read.
    pub fn on_disk(root: &Path, survives_power_cut: bool, clock: Clock, faults: Faults, signing_key: Secret) -> Result<Self, BlobError> {
        let folder = |source: Box<dyn Error + Send + Sync>| BlobError::Folder { path: root.to_owned(), source };
        make_folder(root, survives_power_cut).map_err(|error| folder(error.into()))?;
        let store = LocalFileSystem::new_with_prefix(root).map_err(|error| folder(error.into()))?.with_fsync(survives_power_cut);
        Ok(Self::over(Floor::Disk { store, survives_power_cut }, clock, faults, Some(signing_key)))
    }

    /// Objects in a bucket of a store that speaks S3. Nothing is asked of the store yet: [`Blobs::prepare`] does.
    ///
    /// # Errors
    /// [`EngineError`](crate::engine::EngineError) for settings that are not enough to reach it.
    #[cfg(feature = "engines")]
    pub fn on_s3(settings: &crate::settings::S3Settings, clock: Clock, faults: Faults) -> Result<Self, crate::engine::EngineError> {
        Ok(Self::over(Floor::S3(s3::Bucket::new(settings)?), clock, faults, None))
    }

    /// Makes the bucket if it is not there; on the other floors there is nothing to do. Every call does this where it was not done.
    ///
    /// # Errors
    /// [`BlobError::Bucket`] when the store refuses, which a person has to mend; [`BlobError::Unavailable`] when it does not answer.
    pub async fn prepare(&self) -> Result<(), BlobError> {
        match &self.0.floor {
            Floor::Memory(_) | Floor::Disk { .. } => Ok(()),
            #[cfg(feature = "engines")]
            Floor::S3(bucket) => bucket.prepare().await,
        }
    }

    /// Whether the store answers now, for readiness.
    pub(crate) async fn check(&self) -> Result<(), BlobError> {
        match &self.0.floor {
            Floor::Memory(_) | Floor::Disk { .. } => Ok(()),
            #[cfg(feature = "engines")]
            Floor::S3(bucket) => bucket.look().await,
        }
    }

    fn over(floor: Floor, clock: Clock, faults: Faults, signing_key: Option<Secret>) -> Self {
        Self(Arc::new(Inner { floor, clock, faults, signing_key, service: "" }))
    }

    /// The same objects, as this service sees them: faults that are set for it apply.
    #[must_use]
    pub fn of_service(&self, service: &'static str) -> Self {
        Self(Arc::new(Inner { service, ..Inner::clone(&self.0) }))
    }

    /// Stores the bytes under the key, in place of what is there.
    pub async fn put(&self, key: &str, bytes: Bytes, content_type: &str) -> Result<ObjectInfo, BlobError> {
        self.put_expecting(key, bytes, content_type, None).await
    }

    /// [`Blobs::put`], if the bytes have this SHA-256 (in hexadecimal digits).
    ///
    /// # Errors
    /// [`BlobError::Digest`] when they have not; nothing is stored then.
    pub async fn put_expecting(&self, key: &str, bytes: Bytes, content_type: &str, sha256: Option<&str>) -> Result<ObjectInfo, BlobError> {
        let path = key::path(key)?;
        let size = bytes.len() as u64;
        if size > OBJECT_MAX_BYTES {
            return Err(BlobError::TooLarge { size, limit: OBJECT_MAX_BYTES });
        }
        let info = envelope::describe(&bytes, content_type).ok_or(BlobError::ContentType)?;
        if let Some(expected) = sha256.filter(|expected| !expected.eq_ignore_ascii_case(&info.sha256)) {
            return Err(BlobError::Digest { expected: expected.to_owned(), actual: info.sha256 });
        }
        if matches!(self.pass("blob.put", key).await?, Effect::Drop) {
            return Ok(info);
        }
        match self.at() {
            At::Files(store) => {
                let file = PutPayload::from_iter([bytes, envelope::trailer(&info)]);
                store.put(&path, file).await.map_err(|error| unavailable(key, error))?;
            }
            #[cfg(feature = "engines")]
            At::S3(bucket) => bucket.put(key, &info, bytes).await?,
        }
        Ok(info)
    }

    /// The object, as it was stored: its digest is checked.
    pub async fn get(&self, key: &str) -> Result<Object, BlobError> {
        let path = key::path(key)?;
        self.pass_get(key).await?;
        let store = match self.at() {
            At::Files(store) => store,
            #[cfg(feature = "engines")]
            At::S3(bucket) => return bucket.get(key).await,
        };
        let file = async { store.get(&path).await?.bytes().await }.await.map_err(|error| unavailable(key, error))?;
        envelope::open(&file).ok_or_else(|| BlobError::Damaged(key.to_owned()))
    }

    /// What is known of the object. Its bytes are not read, so damage to them does not show; but for those that a client has put into S3,
    /// where nobody else has counted their digest.
    pub async fn head(&self, key: &str) -> Result<ObjectInfo, BlobError> {
        let path = key::path(key)?;
        self.pass_get(key).await?;
        let store = match self.at() {
            At::Files(store) => store,
            #[cfg(feature = "engines")]
            At::S3(bucket) => return bucket.head(key).await,
        };
        let options = GetOptions { range: Some(GetRange::Suffix(envelope::TRAILER_BYTES)), ..GetOptions::default() };
        let (size, end) = async {
            let result = store.get_opts(&path, options).await?;
            let size = result.meta.size;
            result.bytes().await.map(|end| (size, end))
        }
        .await
        .map_err(|error| unavailable(key, error))?;
        envelope::read_trailer(size, &end).ok_or_else(|| BlobError::Damaged(key.to_owned()))
    }

    /// Deletes the object; that it is not there is no error.
    pub async fn delete(&self, key: &str) -> Result<(), BlobError> {
        let path = key::path(key)?;
        let store = match self.at() {
            At::Files(store) => store,
            #[cfg(feature = "engines")]
            At::S3(bucket) => return bucket.delete(key).await,
        };
        match store.delete(&path).await {
            Err(error) if !matches!(error, object_store::Error::NotFound { .. }) => return Err(unavailable(key, error)),
            _ => {}
        }
        if let Floor::Disk { store, survives_power_cut: true } = &self.0.floor
            && let Some(folder) = store.path_to_filesystem(&path).map_err(|error| unavailable(key, error))?.parent()
        {
            sync_folder(folder).await.map_err(|error| BlobError::Unavailable { key: key.to_owned(), source: Some(error.into()) })?;
        }
        Ok(())
    }

    /// The objects below `prefix` (whole segments: `support/cases`; all for an empty one), in the order of their keys, from the one
    /// behind `cursor` on. Each page reads the names of all objects below the prefix (but in S3), so a prefix should be narrow.
    pub async fn list(&self, prefix: &str, limit: usize, cursor: Option<&str>) -> Result<Page, BlobError> {
        let limit = limit.clamp(1, PAGE_MAX);
        let folder = key::folder(prefix)?;
        let store = match self.at() {
            At::Files(store) => store,
            #[cfg(feature = "engines")]
            At::S3(bucket) => return bucket.list(folder, limit, cursor).await,
        };
        let mut found = std::collections::BTreeMap::new();
        let mut files = store.list(folder.as_ref());
        while let Some(file) = files.try_next().await.map_err(|error| unavailable(prefix, error))? {
            let Some(key) = key::of_file(&file.location).filter(|key| cursor.is_none_or(|cursor| *key > cursor)) else { continue };
            found.insert(key.to_owned(), file.size.saturating_sub(envelope::TRAILER_BYTES));
            if found.len() > limit + 1 {
                found.pop_last();
            }
        }
        let more = found.len() > limit;
        let items: Vec<_> = found.into_iter().take(limit).map(|(key, size)| Listed { key, size }).collect();
        let next_cursor = items.last().filter(|_| more).map(|last| last.key.clone());
        Ok(Page { items, next_cursor })
    }

    fn at(&self) -> At<'_> {
        match &self.0.floor {
            Floor::Memory(store) => At::Files(store.as_ref()),
            Floor::Disk { store, .. } => At::Files(store),
            #[cfg(feature = "engines")]
            Floor::S3(bucket) => At::S3(bucket),
        }
    }

    async fn pass(&self, point: &str, key: &str) -> Result<Effect, BlobError> {
        match self.0.faults.pass(point, Passing { service: self.0.service, key, ..Passing::default() }).await {
            Effect::Fail => Err(BlobError::Unavailable { key: key.to_owned(), source: None }),
            effect => Ok(effect),
        }
    }

    /// A get that is dropped sees no object, like one that comes before the object can be seen everywhere.
    async fn pass_get(&self, key: &str) -> Result<(), BlobError> {
        match self.pass("blob.get", key).await? {
            Effect::Drop => Err(BlobError::NotFound(key.to_owned())),
            _ => Ok(()),
        }
    }
}

fn unavailable(key: &str, error: object_store::Error) -> BlobError {
    match error {
        // A bucket that somebody has removed is no object that is not there.
        object_store::Error::NotFound { source, .. } if !source.to_string().contains("NoSuchBucket") => BlobError::NotFound(key.to_owned()),
        error => BlobError::Unavailable { key: key.to_owned(), source: Some(error.into()) },
    }
}

/// Makes the folder and those above it that are missing; with `sync` the entry of each is on the medium then.
fn make_folder(root: &Path, sync: bool) -> std::io::Result<()> {
    let missing: Vec<_> = root.ancestors().take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists()).collect();
    std::fs::create_dir_all(root)?;
    for folder in missing.into_iter().filter(|_| cfg!(unix) && sync) {
        let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::File::open(parent)?.sync_all()?;
    }
    Ok(())
}

/// `object_store` syncs what it writes, but not what it deletes: after a power cut an erased object would be back.
async fn sync_folder(folder: &Path) -> std::io::Result<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    match tokio::fs::File::open(folder).await {
        Ok(folder) => folder.sync_all().await,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
