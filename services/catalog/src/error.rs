//! What can go wrong here, and the one place that says how the caller is told.

use platform::{
    blob::BlobError,
    db::DbError,
    problem::{Kind, Problem, kinds},
};
use types::{CategoryId, MediaId, ProductId, Sku};

use crate::{
    domain::{Drift, MEDIA_MAX},
    store::{Rev, StoreError},
};

const SKU_TAKEN: Kind = Kind::new(409, "sku-taken", "Another product or variant has this SKU");
const SLUG_TAKEN: Kind = Kind::new(409, "slug-taken", "Another category has this slug");
const STALE_REVISION: Kind = Kind::new(409, "stale-revision", "The product has changed since this revision");
const PRODUCT_DRIFTED: Kind = Kind::new(409, "product-drifted", "The stored document is no product as this service knows them");
const MEDIA_LIMIT: Kind = Kind::new(409, "media-limit", "The product has as many media as it may have");

pub const KINDS: &[&Kind] = &[&SKU_TAKEN, &SLUG_TAKEN, &STALE_REVISION, &PRODUCT_DRIFTED, &MEDIA_LIMIT];

#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    #[error("there is no product {0}")]
    UnknownProduct(ProductId),
    #[error("no product or variant has the SKU {0}")]
    UnknownSku(Sku),
    #[error("there is no category {0}")]
    UnknownCategory(String),
    #[error("product {product} has no medium {media}")]
    UnknownMedia { product: ProductId, media: MediaId },
    #[error("product {holder} has the SKU {sku}")]
    SkuTaken { sku: Sku, pointer: String, holder: ProductId },
    #[error("another category has the slug {0}")]
    SlugTaken(String),
    #[error("a category's parent must be there: {0}")]
    NoParent(CategoryId),
    /// What was told with `rev` in the body or in the query.
    #[error("the product is {current} now")]
    StaleRevision { current: Rev },
    /// What was told with `If-Match`.
    #[error("the product is {current} now")]
    StaleTag { current: Rev },
    #[error("the document of product {product} has drifted: {drift}")]
    Drifted { product: ProductId, drift: Drift },
    #[error("product {0} has too many media")]
    MediaLimit(ProductId),
    #[error("somebody else has published on; it will be looked at again")]
    FeedMoved,
    #[error(transparent)]
    Documents(#[from] StoreError),
    #[error(transparent)]
    Store(#[from] DbError),
    #[error(transparent)]
    Blob(#[from] BlobError),
    #[error(transparent)]
    Told(#[from] Problem),
}

impl From<CatalogError> for Problem {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::UnknownProduct(id) => Self::not_found(format!("product {id}")),
            CatalogError::UnknownSku(sku) => Self::not_found(format!("product or variant with the SKU {sku}")),
            CatalogError::UnknownCategory(name) => Self::not_found(format!("category {name}")),
            CatalogError::UnknownMedia { media, .. } => Self::not_found(format!("medium {media} of this product")),
            CatalogError::SkuTaken { sku, pointer, holder } => Self::new(&SKU_TAKEN)
                .detail(format!("Product {holder} has the SKU {sku}."))
                .at(pointer, "is taken")
                .with("sku", sku)
                .with("productId", holder),
            CatalogError::SlugTaken(slug) => {
                Self::new(&SLUG_TAKEN).detail(format!("Another category has the slug {slug}.")).at("#/slug", "is taken")
            }
            CatalogError::NoParent(id) => Self::invalid("#/parentId", format!("there is no category {id}")),
            CatalogError::StaleRevision { current } => Self::new(&STALE_REVISION)
                .detail(format!("It is {current} now; read it again."))
                .at("#/rev", "is not the revision that stands there")
                .with("rev", current.as_str()),
            CatalogError::StaleTag { current } => {
                Self::new(&kinds::STALE_VERSION).detail(format!("It is {} now; read it again.", current.etag()))
            }
            CatalogError::Drifted { drift, .. } => {
                Self::new(&PRODUCT_DRIFTED).detail(format!("{drift}. Put a whole product over it with its revision, or delete it."))
            }
            CatalogError::MediaLimit(_) => Self::new(&MEDIA_LIMIT).detail(format!("A product has at most {MEDIA_MAX} media.")),
            CatalogError::FeedMoved => Self::internal(&error),
            CatalogError::Documents(StoreError::Store(error)) | CatalogError::Store(error) => error.into(),
            CatalogError::Documents(StoreError::Conflict { current }) => match current {
                Some(current) => CatalogError::StaleRevision { current }.into(),
                None => Self::not_found("such product any more"),
            },
            CatalogError::Blob(BlobError::Unavailable { .. } | BlobError::Folder { .. } | BlobError::Bucket { .. }) => {
                tracing::warn!(%error, "object storage did not answer");
                Self::new(&kinds::UNAVAILABLE).detail("Object storage does not answer at the moment.")
            }
            CatalogError::Blob(_) => Self::internal(&error),
            CatalogError::Told(problem) => problem,
        }
    }
}
