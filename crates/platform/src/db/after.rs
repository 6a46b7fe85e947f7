//! Reading one's own writes where reads may go to a replica, which follows its primary and is always a little behind.
//!
//! Every answer to a request that may have changed something names the place in the primary's log that it had reached: `X-Read-After: order=0-1-42`.
//! Whoever sends that back with a read is shown his change and all before it: by the replica once it has come so far, which is waited for a
//! moment; else by the primary. `any` asks for no place: whatever the replica has. Without the header a read is the primary's, so nobody
//! who knows nothing of replicas is shown less than there is. The same holds for whatever is not understood, such as another service's place.
//!
//! The place is a session's token to its client, and opaque. It travels within a request beside the work (a [`Visit`]), so that no service
//! passes it on by hand; work that no request waits for has none, and what it reads is the primary's.

use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderMap, HeaderName, HeaderValue, Method};

/// Comes with a read and goes with an answer.
pub const READ_AFTER: HeaderName = HeaderName::from_static("x-read-after");
/// As a client asks for whatever the replica has.
const ANY: &str = "any";
/// What leads every read to the primary: of an answer whose place is not known.
const PRIMARY: &str = "primary";
/// The longest place that is taken from outside; a log of many origins has one of each.
const MAX_PLACE: usize = 256;

tokio::task_local! {
    static CURRENT: Arc<Visit>;
}

/// How far a replica must have come for a read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum After {
    Anything,
    /// A place in the primary's log, in the engine's own words.
    Place(String),
}

/// One request at a service whose reads may go to a replica.
#[derive(Debug)]
pub struct Visit {
    service: &'static str,
    is_safe: bool,
    /// What the client sent, if it is for this service.
    asked: Option<After>,
    reached: Mutex<Option<String>>,
}

impl Visit {
    pub fn of(service: &'static str, method: &Method, headers: &HeaderMap) -> Arc<Self> {
        let is_safe = method.is_safe();
        let tokens = headers.get_all(READ_AFTER).iter().filter_map(|value| value.to_str().ok());
        let asked = tokens.flat_map(|value| value.split(',')).find_map(|token| after(service, token.trim()));
        Arc::new(Self { service, is_safe, asked: asked.filter(|_| is_safe), reached: Mutex::default() })
    }

    /// The work, as this request's.
    pub async fn scope<F: Future>(visit: Option<Arc<Self>>, work: F) -> F::Output {
        match visit {
            Some(visit) => CURRENT.scope(visit, work).await,
            None => work.await,
        }
    }

    /// What the client is to send with its next read.
    pub fn token(&self) -> Option<HeaderValue> {
        let service = self.service;
        let token = match (self.reached.lock().unwrap_or_else(PoisonError::into_inner).as_deref(), &self.asked) {
            (Some(place), _) => format!("{service}={place}"),
            // It may have found done what it was asked for, or does it later: no place is known to be behind that.
            (None, _) if !self.is_safe => format!("{service}={PRIMARY}"),
            (None, Some(After::Place(place))) => format!("{service}={place}"),
            (None, Some(After::Anything)) => ANY.to_owned(),
            (None, None) => return None,
        };
        HeaderValue::from_str(&token).ok()
    }

    /// How far a replica must have come for the read that is asked for now; none where only the primary will do.
    #[cfg(feature = "engines")]
    pub fn asked() -> Option<After> {
        CURRENT.try_with(|visit| visit.asked.clone()).ok().flatten()
    }

    /// Whether somebody will be told how far this work has come.
    #[cfg(feature = "engines")]
    pub fn is_told() -> bool {
        CURRENT.try_with(|visit| !visit.is_safe).unwrap_or(false)
    }

    /// Notes the place that a change of this request has reached; of several the last is the furthest.
    #[cfg(feature = "engines")]
    pub fn reached(place: Option<String>) {
        // Without one, every read is the primary's.
        let place = place.filter(|place| is_place(place)).unwrap_or_else(|| PRIMARY.to_owned());
        if let Ok(visit) = CURRENT.try_with(Arc::clone) {
            *visit.reached.lock().unwrap_or_else(PoisonError::into_inner) = Some(place);
        }
    }
}

/// What a token says, if it is this service's.
fn after(service: &str, token: &str) -> Option<After> {
    if token == ANY {
        return Some(After::Anything);
    }
    let place = token.strip_prefix(service)?.strip_prefix('=')?;
    is_place(place).then(|| After::Place(place.to_owned()))
}

/// Numbers with `-` between them; those of several origins with `+`, since a comma parts tokens.
fn is_place(place: &str) -> bool {
    !place.is_empty() && place.len() <= MAX_PLACE && place.chars().all(|letter| letter.is_ascii_digit() || letter == '-' || letter == '+')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visit(method: Method, tokens: &[&'static str]) -> Arc<Visit> {
        let mut headers = HeaderMap::new();
        for token in tokens {
            headers.append(READ_AFTER, HeaderValue::from_static(token));
        }
        Visit::of("order", &method, &headers)
    }

    #[test]
    fn a_read_asks_for_the_place_of_its_own_service() {
        let asked = |tokens: &[&'static str]| visit(Method::GET, tokens).asked.clone();
        let place = |place: &str| Some(After::Place(place.to_owned()));
        assert_eq!(asked(&[]), None);
        assert_eq!(asked(&["any"]), Some(After::Anything));
        assert_eq!(asked(&["order=0-1-42"]), place("0-1-42"));
        assert_eq!(asked(&["cart=0-1-7, order=0-1-42+1-9-3"]), place("0-1-42+1-9-3"));
        assert_eq!(asked(&["cart=0-1-7", "order=0-1-42"]), place("0-1-42"));
        for not_ours in ["order=primary", "order=", "order", "cart=0-1-42", "orders=1", "order=0-1-42') OR sleep(9"] {
            assert_eq!(asked(&[not_ours]), None, "{not_ours} leads to the primary");
        }
        assert_eq!(visit(Method::POST, &["order=0-1-42"]).asked, None, "who changes something asks the primary");
    }

    #[test]
    fn an_answer_names_no_place_that_may_be_too_early() {
        let token = |method: Method, tokens: &[&'static str]| visit(method, tokens).token().map(|token| token.to_str().unwrap().to_owned());
        assert_eq!(token(Method::GET, &[]), None);
        assert_eq!(token(Method::GET, &["order=0-1-42"]).as_deref(), Some("order=0-1-42"));
        assert_eq!(token(Method::GET, &["any"]).as_deref(), Some("any"));
        assert_eq!(token(Method::POST, &["order=0-1-42"]).as_deref(), Some("order=primary"));
        let changed = visit(Method::POST, &[]);
        *changed.reached.lock().unwrap() = Some("0-1-43".to_owned());
        assert_eq!(changed.token().unwrap(), "order=0-1-43");
    }
}
