//! What the fields of one query ask of the stores, put together: a hundred products that each want their category are one statement. A
//! field that wants something leaves its wish and lets the others go first; the first to come back asks for all of them.
//!
//! A loader lives as long as one request, so it may keep what it has read.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    sync::{Mutex, PoisonError},
};

use catalog_api::{Category, Product};
use platform::{db::Tx, problem::Problem};
use types::CategoryId;

use crate::{
    app::App,
    error::CatalogError,
    store::{index::Question, taxonomy},
};

/// How many keys stand in one statement.
const KEYS_MAX: usize = 200;
/// How many children are read at once.
const CHILDREN_MAX: u32 = 5_000;

/// The wishes for one kind of thing, and what was found.
struct Batch<K, V> {
    state: Mutex<State<K, V>>,
    /// Held by whoever asks the store.
    turn: tokio::sync::Mutex<()>,
}

struct State<K, V> {
    wanted: BTreeSet<K>,
    found: BTreeMap<K, Result<V, Problem>>,
}

impl<K: Ord + Clone, V: Clone + Default> Batch<K, V> {
    fn new() -> Self {
        Self { state: Mutex::new(State { wanted: BTreeSet::new(), found: BTreeMap::new() }), turn: tokio::sync::Mutex::new(()) }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State<K, V>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What belongs to the key; the default when `fetch` finds nothing for it.
    async fn load<F>(&self, key: K, fetch: impl FnOnce(Vec<K>) -> F) -> Result<V, Problem>
    where
        F: Future<Output = Result<BTreeMap<K, V>, CatalogError>>,
    {
        {
            let mut state = self.state();
            if let Some(found) = state.found.get(&key) {
                return found.clone();
            }
            state.wanted.insert(key.clone());
        }
        tokio::task::yield_now().await;
        let _turn = self.turn.lock().await;
        let keys: Vec<K> = {
            let mut state = self.state();
            if let Some(found) = state.found.get(&key) {
                return found.clone();
            }
            std::mem::take(&mut state.wanted).into_iter().collect()
        };
        let fetched = fetch(keys.clone()).await.map_err(Problem::from);
        let mut state = self.state();
        for key in keys {
            let found = fetched.as_ref().map(|all| all.get(&key).cloned().unwrap_or_default()).map_err(Clone::clone);
            state.found.insert(key, found);
        }
        state.found.get(&key).cloned().unwrap_or_else(|| Ok(V::default()))
    }
}

/// Whatever one query reads.
pub struct Loader {
    app: App,
    categories: Batch<CategoryId, Option<Category>>,
    children: Batch<CategoryId, Vec<Category>>,
    lists: Batch<Question, Vec<(i64, Product)>>,
}

impl Loader {
    #[must_use]
    pub fn new(app: App) -> Self {
        Self { app, categories: Batch::new(), children: Batch::new(), lists: Batch::new() }
    }

    pub async fn category(&self, id: CategoryId) -> Result<Option<Category>, Problem> {
        let fetch = async |ids: Vec<CategoryId>| {
            let mut found = BTreeMap::new();
            for part in ids.chunks(KEYS_MAX) {
                let categories = self.app.db.read(async |tx: &mut Tx<'_>| taxonomy::by_ids(tx, part).await).await?;
                found.extend(categories.into_iter().map(|category| (category.id, Some(category))));
            }
            Ok(found)
        };
        self.categories.load(id, fetch).await
    }

    /// The categories directly below this one, the oldest first.
    pub async fn children(&self, id: CategoryId) -> Result<Vec<Category>, Problem> {
        let fetch = async |ids: Vec<CategoryId>| {
            let mut found: BTreeMap<CategoryId, Vec<Category>> = BTreeMap::new();
            for part in ids.chunks(KEYS_MAX) {
                let categories = self.app.db.read(async |tx: &mut Tx<'_>| taxonomy::children(tx, part, CHILDREN_MAX).await).await?;
                for category in categories {
                    if let Some(parent) = category.parent_id {
                        found.entry(parent).or_default().push(category);
                    }
                }
            }
            Ok(found)
        };
        self.children.load(id, fetch).await
    }

    /// The products that answer a question, each with its place.
    pub async fn products(&self, question: Question) -> Result<Vec<(i64, Product)>, Problem> {
        let fetch = async |questions: Vec<Question>| {
            let answers = self.app.find_all(questions.clone()).await?;
            Ok(questions.into_iter().zip(answers).collect())
        };
        self.lists.load(question, fetch).await
    }
}
