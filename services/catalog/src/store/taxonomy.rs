//! The tree of categories: every query.

use catalog_api::{Category, Slug};
use platform::{
    db::{DbError, FromRow, Row, Tx},
    values,
};
use types::{CategoryId, ShortText};

use super::places;

const COLUMNS: &str = "id, slug, name, parent_id, version, created_at, updated_at";

struct Head(Category);

impl FromRow for Head {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        Ok(Self(Category {
            id: row.id("id")?,
            slug: row.parse("slug")?,
            name: row.parse::<ShortText>("name")?,
            parent_id: row.optional_id("parent_id")?,
            version: row.get("version")?,
            created_at: row.get("created_at")?,
            updated_at: row.get("updated_at")?,
        }))
    }
}

/// A new category. Says whether its slug was free.
pub async fn insert(tx: &mut Tx<'_>, category: &Category) -> Result<bool, DbError> {
    let insert = "INSERT INTO categories (id, slug, name, parent_id, version, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?)";
    let Category { id, slug, name, parent_id, version, created_at, updated_at } = category;
    tx.insert_new(insert, values![*id, slug.as_str(), name, *parent_id, *version, *created_at, *updated_at]).await
}

/// Saves a category over the version before its own. Says whether that still stood there.
pub async fn save(tx: &mut Tx<'_>, category: &Category) -> Result<bool, DbError> {
    let update = "UPDATE categories SET slug = ?, name = ?, parent_id = ?, version = ?, updated_at = ? WHERE id = ? AND version = ?";
    let Category { id, slug, name, parent_id, version, updated_at, .. } = category;
    let row = values![slug.as_str(), name, *parent_id, *version, *updated_at, *id, version - 1];
    Ok(tx.execute(update, row).await? == 1)
}

pub async fn by_id(tx: &mut Tx<'_>, id: CategoryId) -> Result<Option<Category>, DbError> {
    let query = format!("SELECT {COLUMNS} FROM categories WHERE id = ?");
    Ok(tx.fetch_optional::<Head>(&query, values![id]).await?.map(|head| head.0))
}

pub async fn by_slug(tx: &mut Tx<'_>, slug: &Slug) -> Result<Option<Category>, DbError> {
    let query = format!("SELECT {COLUMNS} FROM categories WHERE slug = ?");
    Ok(tx.fetch_optional::<Head>(&query, values![slug.as_str()]).await?.map(|head| head.0))
}

/// Those of these categories that there are, in one statement.
pub async fn by_ids(tx: &mut Tx<'_>, ids: &[CategoryId]) -> Result<Vec<Category>, DbError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let (places, values) = places(ids);
    let query = format!("SELECT {COLUMNS} FROM categories WHERE id IN ({places}) ORDER BY seq");
    Ok(tx.fetch_all::<Head>(&query, values).await?.into_iter().map(|head| head.0).collect())
}

/// The children of all these categories, in one statement; at most `limit` in all.
pub async fn children(tx: &mut Tx<'_>, parents: &[CategoryId], limit: u32) -> Result<Vec<Category>, DbError> {
    if parents.is_empty() {
        return Ok(Vec::new());
    }
    let (places, mut values) = places(parents);
    let query = format!("SELECT {COLUMNS} FROM categories WHERE parent_id IN ({places}) ORDER BY seq LIMIT ?");
    values.extend(values![limit]);
    Ok(tx.fetch_all::<Head>(&query, values).await?.into_iter().map(|head| head.0).collect())
}

/// The categories at the top, the oldest first.
pub async fn top(tx: &mut Tx<'_>, limit: u32) -> Result<Vec<Category>, DbError> {
    let query = format!("SELECT {COLUMNS} FROM categories WHERE parent_id IS NULL ORDER BY seq LIMIT ?");
    Ok(tx.fetch_all::<Head>(&query, values![limit]).await?.into_iter().map(|head| head.0).collect())
}

/// All categories, the oldest first, each with its place; those behind `behind`.
pub async fn page(tx: &mut Tx<'_>, behind: i64, limit: u32) -> Result<Vec<(i64, Category)>, DbError> {
    struct Placed(i64, Category);
    impl FromRow for Placed {
        fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
            Ok(Self(row.get("seq")?, Head::from_row(row)?.0))
        }
    }
    let query = format!("SELECT seq, {COLUMNS} FROM categories WHERE seq > ? ORDER BY seq LIMIT ?");
    let rows = tx.fetch_all::<Placed>(&query, values![behind, limit]).await?;
    Ok(rows.into_iter().map(|Placed(seq, category)| (seq, category)).collect())
}

/// A category and those above it, itself first; at most `limit`.
pub async fn line(tx: &mut Tx<'_>, id: CategoryId, limit: usize) -> Result<Vec<CategoryId>, DbError> {
    let mut line = vec![id];
    while line.len() < limit {
        let Some(last) = line.last() else { break };
        let query = "SELECT parent_id FROM categories WHERE id = ? AND parent_id IS NOT NULL";
        let Some(parent) = tx.fetch_optional::<types::id::Uuid>(query, values![*last]).await? else { break };
        line.push(CategoryId(parent));
    }
    Ok(line)
}

/// How many levels the tree under a category has, its own being 1; looks no deeper than `limit`.
pub async fn height(tx: &mut Tx<'_>, id: CategoryId, limit: i64) -> Result<i64, DbError> {
    let query = "WITH RECURSIVE below (id, level) AS (SELECT id, 1 FROM categories WHERE id = ?
                 UNION ALL SELECT c.id, b.level + 1 FROM categories c JOIN below b ON c.parent_id = b.id WHERE b.level < ?)
                 SELECT coalesce(max(level), 0) AS height FROM below";
    tx.fetch_one(query, values![id, limit]).await
}
