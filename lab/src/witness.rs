//! What clients saw: each call that the lab made for a user, and the answer that it had. This record is the truth outside of the system against
//! which a promise that was made to a client is held: what was acknowledged is kept (I8), what is said again is answered the same (I7), a
//! session never goes back (I15). It is made at the client's end, so nothing that lies between the client and a store can mend it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};
use types::Timestamp;

use crate::target::{ClockKind, Reply, Request, Target, TargetError};

/// One call of a client's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Exchange {
    /// A number that grows with each question and each answer: what was answered before another was asked has the smaller one.
    pub asked: u64,
    pub asked_at: Timestamp,
    /// Who asks: the correlation id of the call.
    pub session: String,
    pub method: String,
    /// With its query.
    pub path: String,
    /// The `Idempotency-Key`.
    pub key: Option<String>,
    /// Digest of the request's body.
    pub request: String,
    /// None when no answer came: it may have been done.
    pub answer: Option<Answered>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Answered {
    pub answered: u64,
    pub at: Timestamp,
    pub status: u16,
    pub location: Option<String>,
    pub etag: Option<String>,
    /// The system says that it is the first answer to this key, given again.
    pub is_replay: bool,
    pub body: Json,
    /// Digest of the body as it came.
    pub digest: String,
}

impl Exchange {
    /// The answer, if it says that it was done.
    #[must_use]
    pub fn done(&self) -> Option<&Answered> {
        self.answer.as_ref().filter(|answer| (200..300).contains(&answer.status))
    }

    /// The parts of the path, without its query.
    #[must_use]
    pub fn parts(&self) -> Vec<&str> {
        let path = self.path.split('?').next().unwrap_or_default();
        path.split('/').filter(|part| !part.is_empty()).collect()
    }
}

/// A target whose users' calls are written down.
#[derive(Debug)]
pub struct Recorded<'a, T: ?Sized> {
    target: &'a T,
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    turn: u64,
    /// Shared with whoever was given them: they are looked at again and again, and each is written twice.
    exchanges: Vec<Arc<Exchange>>,
}

impl Book {
    fn turn(&mut self) -> u64 {
        self.turn += 1;
        self.turn
    }
}

fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

impl<'a, T: Target + ?Sized> Recorded<'a, T> {
    #[must_use]
    pub fn new(target: &'a T) -> Self {
        Self { target, book: Mutex::default() }
    }

    fn book(&self) -> std::sync::MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a question down; its place in the book.
    fn asks(&self, request: &Request) -> usize {
        let header = |wanted: &str| request.headers.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value.clone());
        let mut book = self.book();
        let asked = book.turn();
        book.exchanges.push(Arc::new(Exchange {
            asked,
            asked_at: self.target.now(),
            session: header("x-correlation-id").unwrap_or_default(),
            method: request.method.to_string(),
            path: request.path.clone(),
            key: header("idempotency-key"),
            request: digest(request.body.as_ref().map(Json::to_string).unwrap_or_default().as_bytes()),
            answer: None,
        }));
        book.exchanges.len() - 1
    }

    fn is_told(&self, place: usize, reply: &Reply) {
        let header = |name: &str| reply.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let mut book = self.book();
        let answered = book.turn();
        if let Some(exchange) = book.exchanges.get_mut(place) {
            Arc::make_mut(exchange).answer = Some(Answered {
                answered,
                at: self.target.now(),
                status: reply.status.as_u16(),
                location: header("location"),
                etag: header("etag"),
                is_replay: header("idempotency-replayed").as_deref() == Some("true"),
                body: reply.json(),
                digest: digest(&reply.body),
            });
        }
    }
}

impl<T: Target + ?Sized> Target for Recorded<'_, T> {
    fn clock(&self) -> ClockKind {
        self.target.clock()
    }
    fn now(&self) -> Timestamp {
        self.target.now()
    }
    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        self.target.sleep(duration)
    }
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Reply, TargetError>> {
        Box::pin(async move {
            let place = self.asks(&request);
            let reply = self.target.call(request).await?;
            self.is_told(place, &reply);
            Ok(reply)
        })
    }
    fn admin(&self, request: Request) -> BoxFuture<'_, Result<Reply, TargetError>> {
        self.target.admin(request)
    }
    fn witnessed(&self) -> Option<Vec<Arc<Exchange>>> {
        Some(self.book().exchanges.clone())
    }
}
