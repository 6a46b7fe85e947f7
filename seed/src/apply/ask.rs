//! Requests, and what may be answered to each: anything else is an error that names the request and the problem's own words.

use serde_json::Value;

use super::Run;
use crate::{
    manifest::Kind,
    shop::{Answer, Call, Shop, Unreachable},
};

#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    #[error("{kind} ({row}): `{request}` was not answered; is the system running?")]
    Unreachable { kind: Kind, row: String, request: String, source: Unreachable },
    #[error("{kind} ({row}): `{request}` was refused: {status} {slug}: {detail}")]
    Refused { kind: Kind, row: String, request: String, status: u16, slug: String, detail: String },
    #[error("{kind} ({row}): the answer to `{request}` has no usable `{field}`; the system does not keep to the contract")]
    Unreadable { kind: Kind, row: String, request: String, field: &'static str },
}

/// Who asks, for the errors.
#[derive(Clone, Copy, Debug)]
pub struct For<'a> {
    pub kind: Kind,
    /// The natural key.
    pub row: &'a str,
}

/// An accepted answer, with what it answers.
pub(super) struct Told<'a> {
    asker: For<'a>,
    request: String,
    pub answer: Answer,
}

impl Told<'_> {
    /// A field of the answer, for example its id.
    pub fn field<T: std::str::FromStr>(&self, field: &'static str) -> Result<T, SeedError> {
        let text = self.answer.body[field].as_str();
        text.and_then(|text| text.parse().ok()).ok_or_else(|| self.unreadable(field))
    }

    /// The whole answer as a view; `field` is what is most likely missing where it is none.
    pub fn read<T: serde::de::DeserializeOwned>(&self, field: &'static str) -> Result<T, SeedError> {
        T::deserialize(&self.answer.body).map_err(|_| self.unreadable(field))
    }

    pub fn unreadable(&self, field: &'static str) -> SeedError {
        SeedError::Unreadable { kind: self.asker.kind, row: self.asker.row.to_owned(), request: self.request.clone(), field }
    }

    pub fn refused(self) -> SeedError {
        SeedError::Refused {
            kind: self.asker.kind,
            row: self.asker.row.to_owned(),
            request: self.request,
            status: self.answer.status.as_u16(),
            slug: self.answer.slug(),
            detail: self.answer.detail(),
        }
    }
}

impl<S: Shop> Run<'_, S> {
    /// The answer, if its status is 2xx or one of `expected`.
    pub(super) async fn ask<'a>(&self, asker: For<'a>, call: Call, expected: &[u16]) -> Result<Told<'a>, SeedError> {
        let request = call.to_string();
        match self.shop.send(call).await {
            Ok(answer) => {
                let is_fine = answer.status.is_success() || expected.contains(&answer.status.as_u16());
                let told = Told { asker, request, answer };
                if is_fine { Ok(told) } else { Err(told.refused()) }
            }
            Err(source) => Err(SeedError::Unreachable { kind: asker.kind, row: asker.row.to_owned(), request, source }),
        }
    }

    /// What is there; nothing on 404.
    pub(super) async fn find<'a>(&self, asker: For<'a>, path: String) -> Result<Option<Told<'a>>, SeedError> {
        let told = self.ask(asker, Call::get(path), &[404]).await?;
        Ok(told.answer.status.is_success().then_some(told))
    }

    /// Every item of a list, page by page.
    pub(super) async fn list(&self, asker: For<'_>, path: &str) -> Result<Vec<Value>, SeedError> {
        let mut items = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let page = match &cursor {
                None => Call::get(path),
                // A cursor is made of letters that a query takes as they are.
                Some(cursor) => Call::get(format!("{path}?cursor={cursor}")),
            };
            let told = self.ask(asker, page, &[]).await?;
            let Some(page) = told.answer.body["items"].as_array() else {
                return Err(told.unreadable("items"));
            };
            items.extend(page.iter().cloned());
            match told.answer.body["nextCursor"].as_str() {
                // A list that gives the same place twice would never end.
                Some(next) if cursor.as_deref() != Some(next) => cursor = Some(next.to_owned()),
                _ => return Ok(items),
            }
        }
    }
}
