//! Lists: `?limit=&cursor=` → `{"items": [], "nextCursor": null}`. A cursor is opaque to the caller and names the last item that was
//! shown, so that a list stays whole while rows come and go.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use utoipa::{IntoParams, ToSchema};

use crate::problem::Problem;

/// One page of a list.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Hand it back as `cursor` for what follows; null at the end.
    pub next_cursor: Option<String>,
}

/// What a list can be asked.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// How many at most: 1 to 200, 50 when left out.
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<u32>,
    /// The `nextCursor` of the page before.
    pub cursor: Option<String>,
}

/// A place in a list.
#[derive(Debug)]
pub struct Cursor;

impl Cursor {
    /// A cursor for a place: whatever the list is ordered by.
    #[must_use]
    pub fn write(place: &impl Serialize) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(place).unwrap_or_default())
    }

    /// The place that a cursor of ours names; a cursor that is not ours is 422.
    pub fn read<T: DeserializeOwned>(cursor: &str) -> Result<T, Problem> {
        let wrong = || Problem::invalid("#/cursor", "is no cursor of this list; take it from `nextCursor`");
        URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|json| serde_json::from_slice(&json).ok()).ok_or_else(wrong)
    }
}

impl PageQuery {
    /// The number of items to show; out of range is 422.
    pub fn limit(&self) -> Result<u32, Problem> {
        match self.limit {
            None => Ok(50),
            Some(limit @ 1..=200) => Ok(limit),
            Some(_) => Err(Problem::invalid("#/limit", "must be from 1 to 200")),
        }
    }

    /// Where to go on, if a cursor was given.
    pub fn place<T: DeserializeOwned>(&self) -> Result<Option<T>, Problem> {
        self.cursor.as_deref().map(Cursor::read).transpose()
    }
}

impl<T> Page<T> {
    /// A page of `limit` from rows that were asked for with a limit of one more; `place` names the last one shown.
    #[must_use]
    pub fn cut<P: Serialize>(mut rows: Vec<T>, limit: u32, place: impl Fn(&T) -> P) -> Self {
        let more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        let next_cursor = if more { rows.last().map(|last| Cursor::write(&place(last))) } else { None };
        Self { items: rows, next_cursor }
    }
}
