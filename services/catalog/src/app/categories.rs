//! The use cases of the taxonomy: a tree of categories, in one transaction each.

use catalog_api::{Category, CategoryRequest, Slug};
use platform::{
    db::{DbError, Tx},
    http::{Answer, IfMatch},
    idempotency::Key,
    problem::Problem,
};
use types::CategoryId;

use super::App;
use crate::{error::CatalogError, store::taxonomy};

/// How many levels the tree may have.
pub const DEPTH_MAX: usize = 8;

impl App {
    pub async fn create_category(&self, request: CategoryRequest, key: Option<Key>) -> Result<Answer, CatalogError> {
        let (id, now, idempotency) = (self.ids.make::<CategoryId>(), self.clock.now(), self.idempotency.clone());
        self.db
            .write(async move |tx: &mut Tx<'_>| {
                let request = request.clone();
                let category = Category {
                    id,
                    slug: request.slug,
                    name: request.name,
                    parent_id: request.parent_id,
                    version: 1,
                    created_at: now,
                    updated_at: now,
                };
                idempotency
                    .once::<CatalogError>(tx, key.as_ref(), async |tx: &mut Tx<'_>| {
                        check_place(tx, None, category.parent_id).await?;
                        if !taxonomy::insert(tx, &category).await? {
                            return Err(CatalogError::SlugTaken(category.slug.to_string()));
                        }
                        Ok(Answer::created(format!("/categories/{id}"), &category)?.version(1))
                    })
                    .await
            })
            .await
    }

    /// Changes a category; its place in the tree too, with all that is below it.
    pub async fn replace_category(&self, id: CategoryId, request: CategoryRequest, if_match: IfMatch) -> Result<Answer, CatalogError> {
        let now = self.clock.now();
        self.db
            .write(async move |tx: &mut Tx<'_>| {
                let request = request.clone();
                let standing = taxonomy::by_id(tx, id).await?.ok_or_else(|| CatalogError::UnknownCategory(id.to_string()))?;
                if_match.check(standing.version)?;
                if standing.parent_id != request.parent_id {
                    check_place(tx, Some(id), request.parent_id).await?;
                }
                if taxonomy::by_slug(tx, &request.slug).await?.is_some_and(|other| other.id != id) {
                    return Err(CatalogError::SlugTaken(request.slug.to_string()));
                }
                let category = Category {
                    slug: request.slug,
                    name: request.name,
                    parent_id: request.parent_id,
                    version: standing.version + 1,
                    updated_at: now,
                    ..standing
                };
                if !taxonomy::save(tx, &category).await? {
                    return Err(DbError::Unavailable("the category has just changed".into()).into());
                }
                Ok(Answer::ok(&category)?.version(category.version))
            })
            .await
    }

    pub async fn category(&self, id: CategoryId) -> Result<Category, CatalogError> {
        let found = self.db.read(async |tx: &mut Tx<'_>| taxonomy::by_id(tx, id).await).await?;
        found.ok_or_else(|| CatalogError::UnknownCategory(id.to_string()))
    }

    pub async fn category_by_slug(&self, slug: &Slug) -> Result<Option<Category>, CatalogError> {
        Ok(self.db.read(async |tx: &mut Tx<'_>| taxonomy::by_slug(tx, slug).await).await?)
    }

    /// The category of this slug or id. A slug may look like an id; then the id wins.
    pub async fn category_named(&self, name: &str) -> Result<Option<Category>, CatalogError> {
        let (id, slug) = (name.parse::<CategoryId>().ok(), name.parse::<Slug>().ok());
        let found = self.db.read(async |tx: &mut Tx<'_>| {
            let by_id = match id {
                Some(id) => taxonomy::by_id(tx, id).await?,
                None => None,
            };
            match (by_id, &slug) {
                (None, Some(slug)) => taxonomy::by_slug(tx, slug).await,
                (found, _) => Ok(found),
            }
        });
        Ok(found.await?)
    }

    /// The categories at the top, the oldest first.
    pub async fn top_categories(&self, limit: u32) -> Result<Vec<Category>, CatalogError> {
        Ok(self.db.read(async |tx: &mut Tx<'_>| taxonomy::top(tx, limit).await).await?)
    }

    /// All categories, the oldest first, behind a place; each with its place.
    pub async fn categories(&self, behind: i64, limit: u32) -> Result<Vec<(i64, Category)>, CatalogError> {
        Ok(self.db.read(async |tx: &mut Tx<'_>| taxonomy::page(tx, behind, limit).await).await?)
    }
}

/// Whether a category (a new one without an id) may stand below `parent`: that is there, is not below it, and the tree stays flat enough.
async fn check_place(tx: &mut Tx<'_>, category: Option<CategoryId>, parent: Option<CategoryId>) -> Result<(), CatalogError> {
    let Some(parent) = parent else { return Ok(()) };
    if taxonomy::by_id(tx, parent).await?.is_none() {
        return Err(CatalogError::NoParent(parent));
    }
    let above = taxonomy::line(tx, parent, DEPTH_MAX + 1).await?;
    let mut levels = 1;
    if let Some(category) = category {
        if above.contains(&category) {
            return Err(Problem::invalid("#/parentId", "is the category itself or below it").into());
        }
        levels = usize::try_from(taxonomy::height(tx, category, DEPTH_MAX as i64 + 1).await?).unwrap_or(1);
    }
    if above.len() + levels > DEPTH_MAX {
        return Err(Problem::invalid("#/parentId", format!("would make the tree deeper than {DEPTH_MAX} levels")).into());
    }
    Ok(())
}
