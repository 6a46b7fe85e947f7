//! Uploads and what became of them: every query. A save is a compare-and-set on the version.

use catalog_api::MediaStatus;
use platform::{
    db::{DbError, FromRow, Row, Tx},
    values,
};
use types::{MediaId, ProductId, Timestamp};

/// One file on its way to a product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    pub id: MediaId,
    pub product: ProductId,
    pub status: MediaStatus,
    pub file_name: String,
    pub content_type: String,
    /// Where the client writes.
    pub upload_key: String,
    /// Where the checked bytes are, out of the client's reach.
    pub object_key: Option<String>,
    pub size: Option<u64>,
    pub sha256: Option<String>,
    pub width: Option<u32>,
    pub height: Option<u32>,
    pub reason: Option<String>,
    /// The generation of the product's document that has it first.
    pub added_generation: Option<i64>,
    /// How often it was looked for.
    pub looks: u32,
    /// When there is something to do about it.
    pub next_at: Option<Timestamp>,
    /// Until when it may be uploaded.
    pub expires_at: Timestamp,
    pub version: i64,
    pub created_at: Timestamp,
}

const COLUMNS: &str = "id, product_id, status, file_name, content_type, upload_key, object_key, size, sha256, width, height, reason, \
                       added_generation, looks, next_at, expires_at, version, created_at";

impl FromRow for Upload {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        Ok(Self {
            id: row.id("id")?,
            product: row.id("product_id")?,
            status: row.parse("status")?,
            file_name: row.get("file_name")?,
            content_type: row.get("content_type")?,
            upload_key: row.get("upload_key")?,
            object_key: row.get("object_key")?,
            size: row.get("size")?,
            sha256: row.get("sha256")?,
            width: row.get("width")?,
            height: row.get("height")?,
            reason: row.get("reason")?,
            added_generation: row.get("added_generation")?,
            looks: row.get("looks")?,
            next_at: row.get("next_at")?,
            expires_at: row.get("expires_at")?,
            version: row.get("version")?,
            created_at: row.get("created_at")?,
        })
    }
}

pub async fn insert(tx: &mut Tx<'_>, upload: &Upload) -> Result<(), DbError> {
    let insert =
        "INSERT INTO media (id, product_id, status, file_name, content_type, upload_key, looks, next_at, expires_at, version, created_at)
                  VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let row = values![
        upload.id,
        upload.product,
        upload.status.as_str(),
        &upload.file_name,
        &upload.content_type,
        &upload.upload_key,
        upload.looks,
        upload.next_at,
        upload.expires_at,
        upload.version,
        upload.created_at
    ];
    tx.execute(insert, row).await.map(|_| ())
}

/// Saves what became of it over the version before. Says whether that still stood there.
pub async fn save(tx: &mut Tx<'_>, upload: &Upload) -> Result<bool, DbError> {
    let update =
        "UPDATE media SET status = ?, object_key = ?, size = ?, sha256 = ?, width = ?, height = ?, reason = ?, added_generation = ?,
                  looks = ?, next_at = ?, version = ? WHERE id = ? AND version = ?";
    let size = upload.size.map(|size| i64::try_from(size).unwrap_or(i64::MAX));
    let row = values![
        upload.status.as_str(),
        upload.object_key.clone(),
        size,
        upload.sha256.clone(),
        upload.width,
        upload.height,
        upload.reason.clone(),
        upload.added_generation,
        upload.looks,
        upload.next_at,
        upload.version,
        upload.id,
        upload.version - 1
    ];
    Ok(tx.execute(update, row).await? == 1)
}

pub async fn by_id(tx: &mut Tx<'_>, product: ProductId, id: MediaId) -> Result<Option<Upload>, DbError> {
    let query = format!("SELECT {COLUMNS} FROM media WHERE id = ? AND product_id = ?");
    tx.fetch_optional(&query, values![id, product]).await
}

/// A product's uploads, the oldest first, each with its place.
pub async fn of_product(tx: &mut Tx<'_>, product: ProductId, behind: i64, limit: u32) -> Result<Vec<(i64, Upload)>, DbError> {
    struct Placed(i64, Upload);
    impl FromRow for Placed {
        fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
            Ok(Self(row.get("seq")?, Upload::from_row(row)?))
        }
    }
    let query = format!("SELECT seq, {COLUMNS} FROM media WHERE product_id = ? AND seq > ? ORDER BY seq LIMIT ?");
    let rows = tx.fetch_all::<Placed>(&query, values![product, behind, limit]).await?;
    Ok(rows.into_iter().map(|Placed(seq, upload)| (seq, upload)).collect())
}

/// How many uploads of a product are not decided yet.
pub async fn count_pending(tx: &mut Tx<'_>, product: ProductId) -> Result<i64, DbError> {
    tx.fetch_one("SELECT count(*) FROM media WHERE product_id = ? AND status = 'PENDING'", values![product]).await
}

/// The upload that has waited longest for something to be done about it, whether its time has come or not.
pub async fn next_due(tx: &mut Tx<'_>) -> Result<Option<Upload>, DbError> {
    let query = format!("SELECT {COLUMNS} FROM media WHERE next_at IS NOT NULL ORDER BY next_at, seq LIMIT 1");
    tx.fetch_optional(&query, values![]).await
}

/// A product's available media, at most as many as it may have.
pub async fn available(tx: &mut Tx<'_>, product: ProductId, limit: u32) -> Result<Vec<Upload>, DbError> {
    let query = format!("SELECT {COLUMNS} FROM media WHERE product_id = ? AND status = 'AVAILABLE' ORDER BY seq LIMIT ?");
    tx.fetch_all(&query, values![product, limit]).await
}
