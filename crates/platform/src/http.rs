//! The furniture of an HTTP handler, the same in every service: [`Command`] and [`Body`] read a JSON body and refuse a wrong one with a
//! pointer to what is wrong, [`Path`] and [`Query`] do so for the address, [`Answer`] is what a handler gives back, [`IfMatch`] and
//! [`version_tag`] are optimistic locking. The layer around every service stands in [`layer`].

pub mod answer;
pub mod extract;
mod json;
pub mod layer;
pub mod page;

pub use answer::Answer;
pub use extract::{Body, Command, IfMatch, Path, Query};
pub use page::{Cursor, Page, PageQuery};

/// The strong, quoted ETag of a version.
#[must_use]
pub fn version_tag(version: i64) -> String {
    format!("\"{version}\"")
}
