//! Who may call what, where `auth = "jwt"`. The table is one file, `config/access.toml`, compiled in: every endpoint of every service stands
//! there once, and a test holds it against the API documents. What is not there is refused to everybody but operators and services.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use http::{HeaderMap, Method, header};
use serde::Deserialize;

use super::{Claims, Keys, Role};
use crate::problem::{Problem, kinds};

/// The table, as it is compiled in.
pub const TABLE: &str = include_str!("../../../../config/access.toml");

/// `GET /orders/{id}` → who may, besides operators and services.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct Access(Arc<BTreeMap<String, Allowed>>);

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
enum Allowed {
    These(BTreeSet<Who>),
    Word(Word),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(untagged)]
enum Who {
    Role(Role),
    Other(Other),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Other {
    /// Who shows no token. Who shows one is asked for its role all the same.
    Guest,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    /// Nobody needs a token: it is public, or signed in another way.
    Open,
    /// Whoever has a valid token.
    Any,
}

/// The endpoints that every service has; what operates a system must not need a token that the system issues.
const OPEN: &[&str] = &["/health", "/health/ready", "/metrics", "/openapi.json", "/docs", "/docs/{*rest}"];

impl Access {
    /// Reads a table.
    pub fn parse(table: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(table)
    }

    /// Whether this endpoint stands in the table.
    #[must_use]
    pub fn knows(&self, method: &str, route: &str) -> bool {
        self.0.contains_key(&format!("{method} {route}"))
    }

    /// Every endpoint of the table.
    pub fn endpoints(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Whether this may be called without a token.
    #[must_use]
    pub fn is_open(&self, method: &Method, route: &str) -> bool {
        match self.allowed(method, route) {
            Some(Allowed::Word(word)) => *word == Word::Open,
            Some(Allowed::These(allowed)) => allowed.contains(&Who::Other(Other::Guest)),
            None => false,
        }
    }

    /// Whether whoever has one of these roles may call this.
    #[must_use]
    pub fn admits(&self, method: &Method, route: &str, roles: &BTreeSet<Role>) -> bool {
        roles.contains(&Role::Operator)
            || roles.contains(&Role::Service)
            || match self.allowed(method, route) {
                Some(Allowed::Word(_)) => true,
                Some(Allowed::These(allowed)) => roles.iter().any(|role| allowed.contains(&Who::Role(*role))),
                None => false,
            }
    }

    fn allowed(&self, method: &Method, route: &str) -> Option<&Allowed> {
        self.0.get(&format!("{method} {route}"))
    }
}

/// Asks for a token and looks whether its roles suffice.
#[derive(Clone, Debug)]
pub struct Guard {
    pub keys: Keys,
    pub access: Access,
}

impl Guard {
    /// 401 without a valid token, 403 when it may not do this; the claims when it may. Where nobody needs a token there may be none, but
    /// one that is shown must be valid: who believes to be known is not taken for a guest.
    pub fn admit(&self, method: &Method, route: &str, headers: &HeaderMap) -> Result<Option<Claims>, Problem> {
        // What operates a system must not need a token.
        if OPEN.contains(&route) || route.starts_with("/docs") {
            return Ok(None);
        }
        let shown =
            headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| value.strip_prefix("Bearer "));
        let token = match shown {
            Some(token) => token,
            None if self.access.is_open(method, route) => return Ok(None),
            None => return Err(Problem::new(&kinds::UNAUTHENTICATED).detail("Send `Authorization: Bearer TOKEN`.")),
        };
        let claims = self.keys.verify(token).map_err(|error| Problem::new(&kinds::UNAUTHENTICATED).detail(error.to_string()))?;
        if self.access.admits(method, route, &claims.roles) {
            Ok(Some(claims))
        } else {
            Err(Problem::new(&kinds::FORBIDDEN).detail("None of the token's roles may do this."))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Clock, auth::Secret};

    fn guard() -> Guard {
        let keys = Keys::new(&Secret::new("a secret of thirty-two bytes or more").unwrap(), Clock::real()).unwrap();
        let table = r#"
            "GET /orders/{id}" = ["CUSTOMER", "AGENT"]
            "POST /carts" = ["GUEST", "CUSTOMER"]
            "POST /callback" = "open"
            "GET /products" = "any"
        "#;
        Guard { keys, access: Access::parse(table).unwrap() }
    }

    fn asked(guard: &Guard, method: &Method, route: &str, role: Option<Role>) -> u16 {
        let mut headers = HeaderMap::new();
        if let Some(role) = role {
            let token = guard.keys.issue("me", BTreeSet::from([role]), Duration::from_secs(60)).unwrap();
            headers.insert(header::AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
        }
        guard.admit(method, route, &headers).map_or_else(|problem| problem.status, |_| 200)
    }

    #[test]
    fn who_may_may_and_nobody_else() {
        let guard = guard();
        let get = &Method::GET;
        assert_eq!(asked(&guard, get, "/orders/{id}", Some(Role::Customer)), 200);
        assert_eq!(asked(&guard, get, "/orders/{id}", Some(Role::Analyst)), 403);
        assert_eq!(asked(&guard, get, "/orders/{id}", None), 401);
        assert_eq!(asked(&guard, get, "/products", Some(Role::Analyst)), 200);
        assert_eq!(asked(&guard, &Method::POST, "/callback", None), 200);
        assert_eq!(asked(&guard, &Method::POST, "/callback", Some(Role::Analyst)), 200);
        let post = &Method::POST;
        assert_eq!(asked(&guard, post, "/carts", None), 200);
        assert_eq!(asked(&guard, post, "/carts", Some(Role::Customer)), 200);
        assert_eq!(asked(&guard, post, "/carts", Some(Role::Analyst)), 403, "a guest may, and who shows a token is asked for its role");
        assert_eq!(asked(&guard, get, "/health", None), 200);
        assert_eq!(asked(&guard, get, "/new", Some(Role::Customer)), 403, "what is not in the table is refused");
        assert_eq!(asked(&guard, get, "/new", Some(Role::Operator)), 200);
    }

    #[test]
    fn a_token_that_is_shown_must_be_valid_where_none_is_needed_too() {
        let guard = guard();
        let shown = |value: &str| {
            let headers = [(header::AUTHORIZATION, value.parse().unwrap())].into_iter().collect();
            guard.admit(&Method::POST, "/callback", &headers)
        };
        let token = guard.keys.issue("me", BTreeSet::from([Role::Customer]), Duration::from_secs(60)).unwrap();
        assert_eq!(shown(&format!("Bearer {token}")).unwrap().unwrap().subject, "me");
        assert_eq!(shown(&format!("Bearer {token}x")).unwrap_err().status, 401);
        assert_eq!(shown("Basic bWU6").unwrap(), None);
    }

    #[test]
    fn the_compiled_table_can_be_read() {
        assert!(Access::parse(TABLE).unwrap().endpoints().count() > 0);
    }
}
