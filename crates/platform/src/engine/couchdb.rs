//! A server that speaks CouchDB's protocol, and a service's database on it: documents with revisions, and the feed of what has changed.
//!
//! **A write and its answer.** A write names the revision that it goes over, so that sending it twice does no harm. But when the answer to the
//! first is lost, the second is refused as a conflict with itself. So each document carries a mark of the write that made it, and after such a
//! refusal the chain of its revisions is read for that mark. A tombstone carries none: over one revision there is one tombstone, whoever
//! puts it there.
//!
//! **Names.** CouchDB keeps names that begin with `_` at the top of a document to itself. They and those that begin with `~` get a `~` in front;
//! `~write` is the mark. Everything else stands there as it is, for whoever else reads the database.
//!
//! **Places** in the feed mean something in the database that gave them only, and a server may take one of another without a word. So a database gets an
//! identity of its own (in `_local`, which is not replicated), and it stands in front of each place.
//!
//! **The simulated world.** There the clock would run on while an answer is waited for, so its thread waits ([`Waiting`]).
//!
//! Its requests are written out here, over the HTTP client that is here anyway.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::{Method, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value as Json, json};
use types::id::Uuid;

use super::{EngineError, authority, beside::Waiting};
use crate::{
    auth::Secret,
    chance::Chance,
    clock::Clock,
    db::DbError,
    fault::{Effect, Faults, Passing},
    ids::Ids,
    settings::CouchdbSettings,
};

/// What a name in a path keeps as it is: PouchDB's server knows `_changes` and not `%5Fchanges`.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'_').remove(b'-').remove(b'.').remove(b'~');
/// The name under which a document carries the mark of the write that made it.
const MARK: &str = "~write";
/// The document that tells databases apart.
const IDENTITY: [&str; 2] = ["_local", "crashcart"];
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// How long a server is listened to in one request.
const LISTENING: Duration = Duration::from_secs(30);
/// How many revisions are searched for a mark.
const CHAIN_MAX: usize = 20;

/// Why there is no answer, or not the one that was wanted.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CouchError {
    #[error("CouchDB at {url} cannot answer now: {reason}")]
    Away { url: String, reason: String },
    /// A person has to mend that: a password, a database that is gone.
    #[error("CouchDB at {url} lets nobody in: {reason}")]
    Closed { url: String, reason: String },
    #[error("CouchDB at {url} has no room left")]
    Full { url: String },
    /// A request that it does not take: a mistake of ours.
    #[error("CouchDB at {url} refuses: {reason}")]
    Refused { url: String, reason: String },
}

impl From<CouchError> for DbError {
    fn from(error: CouchError) -> Self {
        match error {
            // A server without room is no full disk of ours, which `DbError::Full` is about.
            CouchError::Away { .. } | CouchError::Closed { .. } | CouchError::Full { .. } => Self::Unavailable(error.to_string()),
            CouchError::Refused { .. } => Self::Statement { statement: "a request to the document store".into(), source: error.into() },
        }
    }
}

/// The server. Nothing is asked until somebody needs something.
#[derive(Clone)]
pub struct Server(Arc<Inner>);

struct Inner {
    client: reqwest::Client,
    /// Without user and password.
    url: reqwest::Url,
    login: Option<(String, Secret)>,
    timeout: Duration,
    tries: u32,
    prefix: String,
    /// What the network is waited for by, in every world.
    clock: Clock,
    waiting: Waiting,
}

impl fmt::Debug for Server {
    /// Without what opens it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CouchDB({})", self.0.url)
    }
}

/// What the server said.
struct Answer {
    status: StatusCode,
    body: Json,
    /// Whether a try before this one ended without an answer: what it asked for may have been done.
    unsure: bool,
}

impl Server {
    /// The server that the settings name, for a world that goes by this clock.
    ///
    /// # Errors
    /// [`EngineError`] for an address or a file that cannot be used.
    pub fn new(settings: &CouchdbSettings, world: Clock) -> Result<Self, EngineError> {
        const KEY: &str = "engines.couchdb.url";
        let unset = EngineError::Unset { setting: "stores.documents", engine: "couchdb", key: KEY };
        let text = settings.url.as_ref().ok_or(unset)?;
        let refused = |reason: String| EngineError::Refused { key: KEY, reason };
        let mut url = reqwest::Url::parse(text.expose().trim_end_matches('/')).map_err(|error| refused(error.to_string()))?;
        let mut login = settings.password.clone().map(|password| (settings.user.clone(), password));
        if let Some(password) = url.password() {
            let decoded = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
            let password = Secret::new(decoded(password)).map_err(|error| refused(error.to_string()))?;
            login = login.or_else(|| Some((decoded(url.username()), password)));
        }
        // Neither fails for a URL with a host, which the settings ask for.
        let _ = (url.set_username(""), url.set_password(None));
        let mut client = reqwest::Client::builder();
        if let Some(pem) = authority("engines.couchdb.ca_file", &settings.ca_file)? {
            let wrong = |error: reqwest::Error| EngineError::Refused { key: "engines.couchdb.ca_file", reason: error.to_string() };
            client = client.tls_certs_merge(reqwest::Certificate::from_pem_bundle(&pem).map_err(wrong)?);
        }
        Ok(Self(Arc::new(Inner {
            client: client.build().map_err(|error| refused(error.to_string()))?,
            url,
            login,
            timeout: Duration::from_millis(settings.timeout_ms),
            tries: settings.retries.saturating_add(1),
            prefix: settings.prefix.clone(),
            clock: Clock::real(),
            waiting: Waiting::by(world),
        })))
    }

    /// The database of a service. Nothing is asked yet.
    #[must_use]
    pub fn database(&self, service: &'static str, chance: Chance, faults: Faults) -> Database {
        let name = format!("{}{service}", self.0.prefix);
        // Of this machine's time and chance, also in a simulated world: two databases must never have the same.
        let ids = Ids::new(self.0.clock, chance, "couchdb", 0);
        Database { server: self.clone(), name: name.into(), service, faults, ids, identity: Arc::default() }
    }

    /// Whether it answers, within this time.
    pub(super) async fn check(&self, limit: Duration) -> Result<(), CouchError> {
        let asked = self.0.clock.timeout(limit, self.once(&Method::GET, &[], &[], None, limit));
        match self.0.waiting.until(asked).await {
            Ok(Ok(answer)) if answer.0.is_success() => Ok(()),
            Ok(Ok((status, body))) => Err(self.failed(status, &body)),
            Ok(Err(error)) => Err(self.away(reason_of(error))),
            Err(elapsed) => Err(self.away(elapsed.to_string())),
        }
    }

    /// One request, with its tries. What is refused is an answer.
    async fn ask(&self, method: Method, path: &[&str], query: &[(&str, &str)], body: Option<&Json>) -> Result<Answer, CouchError> {
        self.0
            .waiting
            .until(async {
                let (mut pause, mut left, mut unsure) = (FIRST_PAUSE, self.0.tries, false);
                loop {
                    left = left.saturating_sub(1);
                    let failed = match self.once(&method, path, query, body, self.0.timeout).await {
                        Ok((status, body)) if is_for_now(status) => self.failed(status, &body),
                        Ok((status, body)) => return Ok(Answer { status, body, unsure }),
                        Err(error) => self.away(reason_of(error)),
                    };
                    if left == 0 || matches!(failed, CouchError::Full { .. }) {
                        return Err(failed);
                    }
                    unsure = true;
                    self.0.clock.sleep(pause).await;
                    pause *= 2;
                }
            })
            .await
    }

    async fn once(
        &self,
        method: &Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<&Json>,
        timeout: Duration,
    ) -> Result<(StatusCode, Json), reqwest::Error> {
        let mut url = self.0.url.clone();
        let path: Vec<String> = path.iter().map(|part| utf8_percent_encode(part, KEPT).to_string()).collect();
        url.set_path(&format!("{}/{}", url.path().trim_end_matches('/'), path.join("/")));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut request = self.0.client.request(method.clone(), url).timeout(timeout).header(http::header::ACCEPT, "application/json");
        if let Some((user, password)) = &self.0.login {
            request = request.basic_auth(user, Some(password.expose()));
        }
        if let Some(body) = body {
            request = request.header(http::header::CONTENT_TYPE, "application/json").body(body.to_string());
        }
        let answer = request.send().await?;
        let (status, bytes) = (answer.status(), answer.bytes().await?);
        // What is no JSON is no answer of CouchDB's: whoever looks for a member of it finds none.
        Ok((status, serde_json::from_slice(&bytes).unwrap_or_default()))
    }

    /// Why a request was not answered as it should have been.
    fn failed(&self, status: StatusCode, body: &Json) -> CouchError {
        let url = self.0.url.to_string();
        let (error, told) = (body["error"].as_str().unwrap_or_default(), body["reason"].as_str().unwrap_or("no reason"));
        let reason = format!("it answered {status}: {told}");
        if status == StatusCode::INSUFFICIENT_STORAGE || error == "enospc" || told.contains("enospc") {
            CouchError::Full { url }
        } else if is_for_now(status) {
            CouchError::Away { url, reason }
        } else if [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::NOT_FOUND].contains(&status) {
            CouchError::Closed { url, reason }
        } else {
            CouchError::Refused { url, reason }
        }
    }

    fn away(&self, reason: String) -> CouchError {
        CouchError::Away { url: self.0.url.to_string(), reason }
    }
}

/// A document, or its tombstone.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    pub id: String,
    pub rev: String,
    /// Nothing once it is deleted.
    pub body: Option<Map<String, Json>>,
}

/// What became of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// As this revision.
    As(String),
    /// Nothing: another revision stands there, or nothing does.
    Conflict { current: Option<String> },
}

/// A part of the feed.
#[derive(Clone, Debug)]
pub struct Feed {
    pub changes: Vec<Document>,
    /// Where to go on; for this database alone.
    pub last: String,
}

/// A service's database. It is made when it is first needed and not there, by whoever is first.
#[derive(Clone, Debug)]
pub struct Database {
    server: Server,
    name: Arc<str>,
    service: &'static str,
    faults: Faults,
    ids: Ids,
    /// Known once the database has been found or made.
    identity: Arc<Mutex<Option<String>>>,
}

impl Database {
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Finds the database or makes it.
    ///
    /// # Errors
    /// [`CouchError::Away`] when nobody answers, which passes; every other one wants a person.
    pub async fn prepare(&self) -> Result<(), CouchError> {
        self.identity().await.map(drop)
    }

    /// The document, unless it is not there or deleted.
    pub async fn get(&self, id: &str) -> Result<Option<Document>, CouchError> {
        let answer = self.ask(Method::GET, &[id], &[], None).await?;
        match answer.status {
            status if status.is_success() => self.document(&answer.body).map(Some),
            StatusCode::NOT_FOUND if is_missing(&answer.body) => Ok(None),
            status => Err(self.failed(status, &answer.body)),
        }
    }

    /// Those of these documents that are there, in any order.
    pub async fn get_many(&self, ids: &[String]) -> Result<Vec<Document>, CouchError> {
        let answer = self.ask(Method::POST, &["_all_docs"], &[("include_docs", "true")], Some(&json!({"keys": ids}))).await?;
        let rows = self.rows(&answer, "rows")?;
        rows.iter().map(|row| &row["doc"]).filter(|doc| doc.is_object()).map(|doc| self.document(doc)).collect()
    }

    /// Writes a document over a revision; without one, where there is none or a tombstone. `mark` is of this write and no other.
    pub async fn put(&self, id: &str, over: Option<&str>, body: &Map<String, Json>, mark: &str) -> Result<Written, CouchError> {
        self.let_write().await?;
        let mut fields = escaped(body);
        fields.insert(MARK.to_owned(), mark.into());
        if let Some(over) = over {
            fields.insert("_rev".to_owned(), over.into());
        }
        let answer = self.ask(Method::PUT, &[id], &[], Some(&Json::Object(fields))).await?;
        match answer.status {
            status if status.is_success() => self.revision(&answer.body),
            StatusCode::CONFLICT if answer.unsure => self.own_or_conflict(id, over, |_, doc| doc[MARK] == mark).await,
            StatusCode::CONFLICT => self.conflict(id).await,
            status => Err(self.failed(status, &answer.body)),
        }
    }

    /// Puts a tombstone over a revision that is none.
    pub async fn delete(&self, id: &str, over: &str) -> Result<Written, CouchError> {
        self.let_write().await?;
        // PouchDB puts a tombstone over a tombstone. What a revision is never changes, so there is no haste between this and the next.
        let standing = self.ask(Method::GET, &[id], &[("rev", over)], None).await?;
        if standing.status.is_success() && is_tombstone(&standing.body) {
            return self.conflict(id).await;
        }
        let answer = self.ask(Method::DELETE, &[id], &[("rev", over)], None).await?;
        // CouchDB says that it is missing when a tombstone stands there, whatever was named.
        let is_refused = answer.status == StatusCode::CONFLICT || answer.status == StatusCode::NOT_FOUND && is_missing(&answer.body);
        let next = generation(over).saturating_add(1);
        match answer.status {
            status if status.is_success() => self.revision(&answer.body),
            _ if is_refused && answer.unsure => {
                self.own_or_conflict(id, Some(over), |rev, doc| generation(rev) == next && is_tombstone(doc)).await
            }
            _ if is_refused => self.conflict(id).await,
            status => Err(self.failed(status, &answer.body)),
        }
    }

    /// Up to `limit` documents that have changed behind a place, each as it stands now; from the beginning without a place, or with one that
    /// this database has not given.
    pub async fn changes(&self, since: Option<&str>, limit: u32) -> Result<Feed, CouchError> {
        let (identity, limit) = (self.identity().await?, limit.to_string());
        let mut query = vec![("include_docs", "true"), ("limit", &limit)];
        match since.map(|since| since.split_once(':')) {
            Some(Some((of, place))) if of == identity => query.push(("since", place)),
            Some(_) => tracing::warn!(
                database = &*self.name,
                "the place up to which its changes were read is one of another database, so they are read from the beginning"
            ),
            None => {}
        }
        let answer = self.ask(Method::GET, &["_changes"], &query, None).await?;
        let mut changes = Vec::new();
        for row in self.rows(&answer, "results")? {
            changes.push(if row["doc"].is_object() { self.document(&row["doc"])? } else { self.gone(row)? });
        }
        let place = place_of(&answer.body["last_seq"]).ok_or_else(|| self.strange("its changes have no `last_seq`"))?;
        Ok(Feed { changes, last: format!("{identity}:{place}") })
    }

    /// Where the feed ends at the moment.
    pub async fn end(&self) -> Result<String, CouchError> {
        let identity = self.identity().await?;
        let answer = self.ask(Method::GET, &[], &[], None).await?;
        match place_of(&answer.body["update_seq"]) {
            Some(place) if answer.status.is_success() => Ok(format!("{identity}:{place}")),
            _ => Err(self.failed(answer.status, &answer.body)),
        }
    }

    /// Waits for a change behind a place: where the feed ends then, or nothing after half a minute. In a simulated world nothing comes from
    /// elsewhere, so there it waits for ever.
    pub async fn listen(&self, since: &str) -> Result<Option<String>, CouchError> {
        if self.server.0.waiting.is_simulated() {
            return std::future::pending().await;
        }
        let (identity, place) = since.split_once(':').unwrap_or_default();
        let millis = LISTENING.as_millis().to_string();
        let query = [("feed", "longpoll"), ("limit", "1000"), ("timeout", millis.as_str()), ("since", place)];
        // PouchDB's server does not look at `timeout`, so the end is ours.
        let (path, patience) = ([&*self.name, "_changes"], LISTENING.saturating_add(self.server.0.timeout));
        match self.server.once(&Method::GET, &path, &query, None, patience).await {
            Ok((status, body)) if status.is_success() => {
                let heard = body["results"].as_array().is_some_and(|results| !results.is_empty());
                Ok(place_of(&body["last_seq"]).filter(|_| heard).map(|place| format!("{identity}:{place}")))
            }
            Ok((status, body)) => Err(self.failed(status, &body)),
            Err(error) if error.is_timeout() && !error.is_connect() => Ok(None),
            Err(error) => Err(self.server.away(reason_of(error))),
        }
    }

    /// Takes the database away with all that is in it. In a simulated world it has done so when it is polled once.
    pub async fn drop_it(&self) -> Result<(), CouchError> {
        let answer = self.server.ask(Method::DELETE, &[&self.name], &[], None).await?;
        *self.known() = None;
        match answer.status {
            status if status.is_success() || status == StatusCode::NOT_FOUND => Ok(()),
            status => Err(self.failed(status, &answer.body)),
        }
    }

    /// What tells this database from every other, found or made together with it.
    async fn identity(&self) -> Result<String, CouchError> {
        if let Some(identity) = self.known().clone() {
            return Ok(identity);
        }
        let [local, document] = IDENTITY;
        let path = [&*self.name, local, document];
        let made = self.server.ask(Method::PUT, &[&self.name], &[], None).await?;
        // Somebody else may have made it: 412.
        if !made.status.is_success() && made.status != StatusCode::PRECONDITION_FAILED {
            return Err(self.failed(made.status, &made.body));
        }
        if made.status.is_success() {
            tracing::info!(database = &*self.name, "the database was not there and has been made");
        }
        let new = json!({"identity": self.ids.make::<Uuid>().simple().to_string()});
        let written = self.server.ask(Method::PUT, &path, &[], Some(&new)).await?;
        if !written.status.is_success() && written.status != StatusCode::CONFLICT {
            return Err(self.failed(written.status, &written.body));
        }
        let found = self.server.ask(Method::GET, &path, &[], None).await?;
        let Some(identity) = found.body["identity"].as_str() else { return Err(self.failed(found.status, &found.body)) };
        *self.known() = Some(identity.to_owned());
        Ok(identity.to_owned())
    }

    /// A request to the database, which is there then.
    async fn ask(&self, method: Method, path: &[&str], query: &[(&str, &str)], body: Option<&Json>) -> Result<Answer, CouchError> {
        self.prepare().await?;
        let path: Vec<&str> = std::iter::once(&*self.name).chain(path.iter().copied()).collect();
        self.server.0.waiting.let_others().await;
        let answer = self.server.ask(method, &path, query, body).await?;
        self.server.0.waiting.let_others().await;
        if answer.status == StatusCode::NOT_FOUND && !is_missing(&answer.body) {
            // Somebody took it away. What was in it is not there; the next look makes a new one, with another identity.
            *self.known() = None;
        }
        Ok(answer)
    }

    /// Faults that are meant for the stores of a service are meant for this one too.
    async fn let_write(&self) -> Result<(), CouchError> {
        match self.faults.pass("store.commit", Passing { service: self.service, ..Passing::default() }).await {
            Effect::Fail => Err(self.server.away("it is busy".into())),
            _ => Ok(()),
        }
    }

    async fn conflict(&self, id: &str) -> Result<Written, CouchError> {
        Ok(Written::Conflict { current: self.get(id).await?.map(|standing| standing.rev) })
    }

    /// After a conflict that may be one with ourselves: whether a revision above `over` is of our own write.
    async fn own_or_conflict(&self, id: &str, over: Option<&str>, is_own: impl Fn(&str, &Json) -> bool) -> Result<Written, CouchError> {
        let all = self.ask(Method::POST, &["_all_docs"], &[], Some(&json!({"keys": [id]}))).await?;
        let Some(current) = self.rows(&all, "rows")?.first().and_then(|row| row["value"]["rev"].as_str()) else {
            return Ok(Written::Conflict { current: None });
        };
        let standing = self.ask(Method::GET, &[id], &[("rev", current), ("revs", "true")], None).await?;
        let start = standing.body["_revisions"]["start"].as_i64().unwrap_or_default();
        let hashes: Vec<&str> =
            standing.body["_revisions"]["ids"].as_array().into_iter().flatten().filter_map(serde_json::Value::as_str).collect();
        let above = (0..).zip(hashes).map(|(below, hash)| format!("{}-{hash}", start - below));
        let lost = || self.server.away("what was written since is gone, so whether the write before was kept is not known".into());
        for (nth, rev) in above.take_while(|rev| over.is_none_or(|over| generation(rev) > generation(over))).enumerate() {
            let found = match nth {
                0 => standing.body.clone(),
                CHAIN_MAX.. => return Err(lost()),
                _ => self.ask(Method::GET, &[id], &[("rev", &rev)], None).await?.body,
            };
            if found["_rev"].as_str() != Some(rev.as_str()) {
                return Err(lost());
            }
            if is_own(&rev, &found) {
                return Ok(Written::As(rev));
            }
        }
        let current = Some(current.to_owned()).filter(|_| !is_tombstone(&standing.body));
        Ok(Written::Conflict { current })
    }

    fn document(&self, doc: &Json) -> Result<Document, CouchError> {
        let (Some(id), Some(rev), Some(fields)) = (doc["_id"].as_str(), doc["_rev"].as_str(), doc.as_object()) else {
            return Err(self.strange("a document has no `_id` or no `_rev`"));
        };
        Ok(Document { id: id.to_owned(), rev: rev.to_owned(), body: (!is_tombstone(doc)).then(|| unescaped(fields)) })
    }

    /// A row of the feed that has no document.
    fn gone(&self, row: &Json) -> Result<Document, CouchError> {
        match (row["id"].as_str(), row["changes"][0]["rev"].as_str()) {
            (Some(id), Some(rev)) => Ok(Document { id: id.to_owned(), rev: rev.to_owned(), body: None }),
            _ => Err(self.strange("a change has no `id` or no `rev`")),
        }
    }

    fn rows<'a>(&self, answer: &'a Answer, name: &str) -> Result<&'a Vec<Json>, CouchError> {
        match answer.body[name].as_array() {
            Some(rows) if answer.status.is_success() => Ok(rows),
            _ => Err(self.failed(answer.status, &answer.body)),
        }
    }

    fn revision(&self, body: &Json) -> Result<Written, CouchError> {
        let rev = body["rev"].as_str().ok_or_else(|| self.strange("a write has no `rev`"))?;
        Ok(Written::As(rev.to_owned()))
    }

    fn failed(&self, status: StatusCode, body: &Json) -> CouchError {
        if status.is_success() { self.strange("a member is missing") } else { self.server.failed(status, body) }
    }

    fn strange(&self, what: &str) -> CouchError {
        self.server.away(format!("its answer is not CouchDB's: {what}"))
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.identity.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the same request may have another answer in a moment.
fn is_for_now(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::REQUEST_TIMEOUT
}

/// Whether it is the document that is not there, and not the database.
fn is_missing(body: &Json) -> bool {
    matches!(body["reason"].as_str(), Some("missing" | "deleted"))
}

fn is_tombstone(doc: &Json) -> bool {
    doc["_deleted"] == true
}

/// The number in front of a revision; 0 of what is none.
fn generation(rev: &str) -> i64 {
    rev.split_once('-').and_then(|(number, _)| number.parse().ok()).unwrap_or(0)
}

/// A place of the feed: a text from CouchDB, a number from PouchDB.
fn place_of(seq: &Json) -> Option<String> {
    match seq {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// What a network says of itself, without the address.
fn reason_of(error: reqwest::Error) -> String {
    crate::with_causes(&error.without_url())
}

fn escaped(body: &Map<String, Json>) -> Map<String, Json> {
    let escape = |name: &String| if name.starts_with(['_', '~']) { format!("~{name}") } else { name.clone() };
    body.iter().map(|(name, value)| (escape(name), value.clone())).collect()
}

/// What [`escaped`] was given. What CouchDB adds, and our mark, are not of it.
fn unescaped(fields: &Map<String, Json>) -> Map<String, Json> {
    let name_of = |name: &str| match name.strip_prefix('~') {
        _ if name.starts_with('_') || name == MARK => None,
        Some(rest) if rest.starts_with(['_', '~']) => Some(rest.to_owned()),
        _ => Some(name.to_owned()),
    };
    fields.iter().filter_map(|(name, value)| Some((name_of(name)?, value.clone()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_couchdb_keeps_to_itself_come_back_as_they_were() {
        let names = ["a", "_id", "_rev", "_deleted", "~", "~write", "~~write", "~_id", "a_b", "a~b", "__", ""];
        let body: Map<String, Json> = names.iter().map(|name| ((*name).to_owned(), json!({"_id": 1}))).collect();
        let mut stored = escaped(&body);
        assert!(!stored.keys().any(|name| name.starts_with('_') || name == MARK), "{stored:?}");
        stored.extend([("_id".to_owned(), json!("x")), ("_rev".to_owned(), json!("1-a")), (MARK.to_owned(), json!("w"))]);
        assert_eq!(unescaped(&stored), body);
        let foreign: Map<String, Json> = [("~own".to_owned(), json!(1))].into_iter().collect();
        assert_eq!(unescaped(&foreign), foreign, "what somebody else wrote stays as it is");
    }

    #[test]
    fn a_place_is_a_text_there_and_a_number_here() {
        assert_eq!(place_of(&json!("4-g1AAA")).as_deref(), Some("4-g1AAA"));
        assert_eq!(place_of(&json!(4)).as_deref(), Some("4"));
        assert_eq!(place_of(&Json::Null), None);
    }
}
