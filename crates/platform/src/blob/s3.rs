//! Objects in a store that speaks S3. Here an object's bytes are the object and nothing else: a client that was given a URL sends them
//! straight to the store, so there can be no envelope around them. What the envelope holds on the other floors stands beside the bytes:
//! the media type as such, the digest as metadata (`sha256`).
//!
//! **The digest.** What this process puts has it as metadata, and the store checks it on arrival (`x-amz-checksum-sha256`). What a client
//! put has none, since only what was signed may be sent; so [`Bucket::head`] reads such an object and counts itself. Every get counts and
//! compares.
//!
//! **Time.** A try that fails for a reason that may pass is made again after a pause that grows (`object_store`'s own), and everything
//! together ends after the settings' `timeout_ms`: an error, not a caller that hangs.
//!
//! Left out: parts of objects, versions, and credentials that change while the process runs.

mod signature;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::TryStreamExt;
use http::StatusCode;
use object_store::{
    Attribute, AttributeValue, Attributes, BackoffConfig, Certificate, ClientOptions, GetOptions, GetResult, ObjectStore, ObjectStoreExt,
    PutOptions, PutPayload, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder, Checksum},
    path::Path,
};
use tokio::sync::OnceCell;
use types::Timestamp;

use self::signature::{Signer, Site};
use super::{BlobError, Listed, Method, OBJECT_MAX_BYTES, Object, ObjectInfo, Page, envelope, key};
use crate::{
    clock::Clock,
    engine::{EngineError, authority},
    settings::S3Settings,
};

const DIGEST: &str = "sha256";
/// What an object without a media type is.
const UNKNOWN_TYPE: &str = "application/octet-stream";
/// A store that does not take a connection in this time is not there.
const CONNECT_MAX: Duration = Duration::from_secs(1);

/// A bucket; clones share it.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    store: AmazonS3,
    /// For what is about the bucket and not about an object.
    client: reqwest::Client,
    signer: Arc<Signer>,
    site: Site,
    public_site: Site,
    name: String,
    limit: Duration,
    /// The machine's: the store compares it with its own.
    clock: Clock,
    there: Arc<OnceCell<()>>,
}

impl Bucket {
    pub(super) fn new(settings: &S3Settings) -> Result<Self, EngineError> {
        const SETTING: &str = "stores.blobs";
        let unset = |key| EngineError::Unset { setting: SETTING, engine: "s3", key };
        let refused = |key: &'static str, reason: String| EngineError::Refused { key, reason };
        if settings.endpoint.is_empty() {
            return Err(unset("engines.s3.endpoint"));
        }
        let access_key = settings.access_key.clone().ok_or(unset("engines.s3.access_key"))?;
        let secret_key = settings.secret_key.clone().ok_or(unset("engines.s3.secret_key"))?;
        let site = Site::read(&settings.endpoint).map_err(|reason| refused("engines.s3.endpoint", reason))?;
        let public_site = match settings.public_endpoint.as_str() {
            "" => site.clone(),
            text => Site::read(text).map_err(|reason| refused("engines.s3.public_endpoint", reason))?,
        };
        let authority = authority("engines.s3.ca_file", &settings.ca_file)?;
        let (limit, one_try) = (Duration::from_millis(settings.timeout_ms), Duration::from_millis(settings.try_timeout_ms));
        let connect = one_try.min(CONNECT_MAX);
        let mut options = ClientOptions::new()
            .with_timeout(one_try)
            .with_connect_timeout(connect)
            .with_allow_http(settings.endpoint.starts_with("http:"));
        let mut client = reqwest::Client::builder().timeout(one_try).connect_timeout(connect);
        if let Some(pem) = authority {
            let wrong = |error: &dyn std::fmt::Display| refused("engines.s3.ca_file", error.to_string());
            for certificate in Certificate::from_pem_bundle(&pem).map_err(|error| wrong(&error))? {
                options = options.with_root_certificate(certificate);
            }
            client = client.tls_certs_merge(reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| wrong(&error))?);
        }
        let backoff = BackoffConfig { init_backoff: Duration::from_millis(50), max_backoff: Duration::from_secs(1), base: 2.0 };
        let store = AmazonS3Builder::new()
            .with_endpoint(site.origin())
            .with_region(&settings.region)
            .with_bucket_name(&settings.bucket)
            .with_access_key_id(access_key.expose())
            .with_secret_access_key(secret_key.expose())
            .with_virtual_hosted_style_request(false)
            .with_checksum_algorithm(Checksum::SHA256)
            .with_retry(RetryConfig { backoff, max_retries: settings.retries, retry_timeout: limit })
            .with_client_options(options)
            .build()
            .map_err(|error| refused("engines.s3.endpoint", error.to_string()))?;
        Ok(Self {
            store,
            client: client.build().map_err(|error| refused("engines.s3.endpoint", error.to_string()))?,
            signer: Arc::new(Signer { access_key, secret_key, region: settings.region.clone() }),
            site,
            public_site,
            name: settings.bucket.clone(),
            limit,
            clock: Clock::real(),
            there: Arc::default(),
        })
    }

    /// Makes the bucket if it is not there; asks once, until it has been found.
    pub(super) async fn prepare(&self) -> Result<(), BlobError> {
        self.there.get_or_try_init(|| self.look()).await.map(drop)
    }

    /// Asks for the bucket, and makes it if it is not there.
    pub(super) async fn look(&self) -> Result<(), BlobError> {
        let refused = |reason: String| BlobError::Bucket { bucket: self.name.clone(), reason };
        match self.of_bucket(http::Method::HEAD, String::new()).await? {
            (status, _) if status.is_success() => return Ok(()),
            (StatusCode::NOT_FOUND, _) => {}
            (StatusCode::FORBIDDEN, _) => {
                return Err(refused("the store refuses; look at the keys, the region and the clock of this machine".into()));
            }
            (status, _) => return Err(self.failed(status)),
        }
        let body = match self.signer.region.as_str() {
            // There it must not be said.
            "us-east-1" => String::new(),
            region => format!("<CreateBucketConfiguration><LocationConstraint>{region}</LocationConstraint></CreateBucketConfiguration>"),
        };
        match self.of_bucket(http::Method::PUT, body).await? {
            (status, _) if status.is_success() => {
                tracing::info!(bucket = self.name, "the bucket was not there and has been made");
                Ok(())
            }
            // Another process was faster.
            (StatusCode::CONFLICT, text) if text.contains("BucketAlreadyOwnedByYou") => Ok(()),
            (status, _) if status.is_server_error() => Err(self.failed(status)),
            (status, text) => {
                let code = text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>")).map_or("", |(code, _)| code);
                Err(refused(format!("it is not there, and cannot be made: {status} {code}").trim_end().to_owned()))
            }
        }
    }

    async fn of_bucket(&self, method: http::Method, body: String) -> Result<(StatusCode, String), BlobError> {
        let path = format!("/{}", self.name);
        let url = self.signer.sign(&self.site, method.as_str(), &path, &[], &[], self.clock.now(), 60);
        let answer = async {
            let answer = self.client.request(method, url).body(body).send().await?;
            let status = answer.status();
            Ok::<_, reqwest::Error>((status, answer.text().await?))
        };
        // Without the URL: it is signed.
        answer.await.map_err(|error| BlobError::Unavailable { key: self.name.clone(), source: Some(error.without_url().into()) })
    }

    fn failed(&self, status: StatusCode) -> BlobError {
        BlobError::Unavailable { key: self.name.clone(), source: Some(format!("the store answered {status}").into()) }
    }

    pub(super) async fn put(&self, key: &str, info: &ObjectInfo, bytes: Bytes) -> Result<(), BlobError> {
        let attributes = Attributes::from_iter([
            (Attribute::ContentType, AttributeValue::from(info.content_type.clone())),
            (Attribute::Metadata(DIGEST.into()), AttributeValue::from(info.sha256.clone())),
        ]);
        let options = PutOptions { attributes, ..PutOptions::default() };
        self.within(key, async { self.store.put_opts(&Path::from(key::name(key)), PutPayload::from_bytes(bytes), options).await })
            .await
            .map(drop)
    }

    pub(super) async fn get(&self, key: &str) -> Result<Object, BlobError> {
        let (described, bytes) = self
            .within(key, async {
                let result = self.store.get(&Path::from(key::name(key))).await?;
                let described = Described::of(&result);
                // An object that fits nowhere is not read into memory to find that out.
                if described.size > OBJECT_MAX_BYTES { Ok((described, Bytes::new())) } else { Ok((described, result.bytes().await?)) }
            })
            .await?;
        described.open(key, bytes)
    }

    /// An object without a digest beside it is read for this.
    pub(super) async fn head(&self, key: &str) -> Result<ObjectInfo, BlobError> {
        let options = GetOptions { head: true, ..GetOptions::default() };
        let described = self
            .within(key, async { self.store.get_opts(&Path::from(key::name(key)), options).await.map(|result| Described::of(&result)) })
            .await?;
        match described.sha256 {
            Some(sha256) if described.size <= OBJECT_MAX_BYTES => Ok(envelope::info(described.size, sha256, &described.content_type)),
            Some(_) => Err(BlobError::TooLarge { size: described.size, limit: OBJECT_MAX_BYTES }),
            None => self.get(key).await.map(|object| object.info),
        }
    }

    pub(super) async fn delete(&self, key: &str) -> Result<(), BlobError> {
        match self.within(key, async { self.store.delete(&Path::from(key::name(key))).await }).await {
            Err(BlobError::NotFound(_)) => Ok(()),
            other => other,
        }
    }

    /// The store gives names in order and from any place on, so no more is read than is asked for.
    pub(super) async fn list(&self, folder: Option<Path>, limit: usize, cursor: Option<&str>) -> Result<Page, BlobError> {
        let prefix = folder.as_ref().map(ToString::to_string).unwrap_or_default();
        self.within(&prefix, async {
            let mut files = match cursor.filter(|cursor| key::path(cursor).is_ok()) {
                Some(cursor) => self.store.list_with_offset(folder.as_ref(), &Path::from(key::name(cursor))),
                None => self.store.list(folder.as_ref()),
            };
            let mut page = Page::default();
            while let Some(file) = files.try_next().await? {
                let Some(key) = key::of_name(file.location.as_ref()).filter(|key| cursor.is_none_or(|cursor| *key > cursor)) else {
                    continue;
                };
                if page.items.len() == limit {
                    page.next_cursor = page.items.last().map(|last: &Listed| last.key.clone());
                    break;
                }
                page.items.push(Listed { key: key.to_owned(), size: file.size });
            }
            Ok(page)
        })
        .await
    }

    /// A URL straight to the store, which checks what was signed: the method, the key, the end, the media type of an upload.
    pub(super) fn presign(&self, method: Method, key: &str, content_type: Option<&str>, now: Timestamp, seconds: u64) -> String {
        let path = format!("/{}/{}", self.name, key::name(key));
        let headers: Vec<_> = content_type.map(|content_type| ("content-type", content_type)).into_iter().collect();
        // What clients have uploaded is never shown as a page, and is saved under its own name.
        let attachment = format!("attachment; filename=\"{}\"", key.rsplit('/').next().unwrap_or(key));
        let query: &[_] = match method {
            Method::Put => &[],
            Method::Get => &[("response-cache-control", "private, no-cache"), ("response-content-disposition", &attachment)],
        };
        self.signer.sign(&self.public_site, method.name(), &path, query, &headers, now, seconds)
    }

    async fn within<T>(&self, key: &str, work: impl Future<Output = object_store::Result<T>>) -> Result<T, BlobError> {
        let answer = self.clock.timeout(self.limit, async {
            self.prepare().await?;
            work.await.map_err(|error| super::unavailable(key, error))
        });
        match answer.await {
            Ok(Err(BlobError::Unavailable { source, .. })) => Err(BlobError::Unavailable { key: key.to_owned(), source }),
            Ok(answer) => answer,
            Err(elapsed) => Err(BlobError::Unavailable { key: key.to_owned(), source: Some(elapsed.into()) }),
        }
    }
}

/// What the store says of an object.
struct Described {
    size: u64,
    content_type: String,
    /// Of the bytes as they were put, where that is known.
    sha256: Option<String>,
}

impl Described {
    fn of(result: &GetResult) -> Self {
        let text = |attribute: &Attribute| result.attributes.get(attribute).map(|value| value.as_ref().to_owned());
        let digest = text(&Attribute::Metadata(DIGEST.into()));
        Self {
            size: result.meta.size,
            content_type: text(&Attribute::ContentType).unwrap_or_default(),
            sha256: digest.filter(|text| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())),
        }
    }

    fn open(self, key: &str, bytes: Bytes) -> Result<Object, BlobError> {
        if self.size > OBJECT_MAX_BYTES {
            return Err(BlobError::TooLarge { size: self.size, limit: OBJECT_MAX_BYTES });
        }
        let info = envelope::describe(&bytes, &self.content_type).or_else(|| envelope::describe(&bytes, UNKNOWN_TYPE));
        info.filter(|info| info.size == self.size && self.sha256.as_ref().is_none_or(|sha256| *sha256 == info.sha256))
            .map(|info| Object { info, bytes })
            .ok_or_else(|| BlobError::Damaged(key.to_owned()))
    }
}
