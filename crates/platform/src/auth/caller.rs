//! Whose things a request may touch. The access table says what a role may do; this says whose: staff and services act for everybody, a
//! customer's token acts for the customer whose id is its subject, and who has no token is a guest, who has no more than the token of a
//! shopping session. What belongs to somebody else is answered as what is not there (404): that it exists is nobody else's business.
//!
//! Every service asks in its `http.rs`, in the same way: [`Caller`] is an argument of the handler, [`Caller::must_own`] its first line.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use http::{HeaderMap, request::Parts};
use sha2::{Digest, Sha256};
use types::CustomerId;

use super::{Claims, Role};

/// The header in which a guest shows the token of a shopping session.
pub const SESSION_HEADER: &str = "x-session-token";

/// Who is asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    reach: Reach,
    session_token: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    Everything,
    /// What belongs to this customer; nothing for a guest, or for a subject that is no customer's id.
    Own(Option<CustomerId>),
}

/// What the layer found out about the caller, where requests need a token; kept with the request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Admitted(Reach);

impl Admitted {
    /// Any role beside the customer's is one that works for the shop.
    pub(crate) fn of(claims: Option<&Claims>) -> Self {
        Self(match claims {
            Some(claims) if claims.roles.iter().any(|role| *role != Role::Customer) => Reach::Everything,
            Some(claims) => Reach::Own(claims.subject.parse().ok()),
            None => Reach::Own(None),
        })
    }

    /// The customer in whose name alone the caller acts.
    pub(crate) const fn customer(self) -> Option<CustomerId> {
        match self.0 {
            Reach::Own(customer) => customer,
            Reach::Everything => None,
        }
    }
}

impl Caller {
    fn new(admitted: Option<&Admitted>, headers: &HeaderMap) -> Self {
        let session_token = headers.get(SESSION_HEADER).and_then(|value| value.to_str().ok()).map(str::to_owned);
        // Without authentication everybody may do everything.
        Self { reach: admitted.map_or(Reach::Everything, |admitted| admitted.0), session_token }
    }

    /// Whether the caller is shown only what is its own.
    #[must_use]
    pub const fn is_bounded(&self) -> bool {
        matches!(self.reach, Reach::Own(_))
    }

    /// The customer in whose name alone the caller acts; none for guests, and for whoever works for the shop.
    #[must_use]
    pub const fn customer(&self) -> Option<CustomerId> {
        match self.reach {
            Reach::Own(customer) => customer,
            Reach::Everything => None,
        }
    }

    /// Whether the caller may touch what belongs to `owner`; what belongs to no customer is not a customer's.
    #[must_use]
    pub fn owns(&self, owner: Option<CustomerId>) -> bool {
        match self.reach {
            Reach::Everything => true,
            Reach::Own(customer) => customer.is_some() && customer == owner,
        }
    }

    /// `unknown`, the error for what is not there, unless the caller may touch what belongs to `owner`.
    pub fn must_own<E>(&self, owner: Option<CustomerId>, unknown: impl FnOnce() -> E) -> Result<(), E> {
        if self.owns(owner) { Ok(()) } else { Err(unknown()) }
    }

    /// Whether the caller has shown this session's token.
    #[must_use]
    pub fn shows_session(&self, token: &str) -> bool {
        self.session_token.as_deref() == Some(token)
    }

    /// Whether the caller has shown the token of which this is the [`session_digest`].
    #[must_use]
    pub fn shows_session_of(&self, digest: &str) -> bool {
        self.session_token.as_deref().is_some_and(|token| session_digest(token) == digest)
    }
}

/// What is kept of a session's token wherever it only has to be known again: whoever reads that store cannot act in the session's name.
#[must_use]
pub fn session_digest(token: &str) -> String {
    hex::encode(Sha256::digest(token))
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::new(parts.extensions.get::<Admitted>(), &parts.headers))
    }
}

#[cfg(test)]
mod tests {
    use types::{Timestamp, id::Uuid};

    use super::*;

    fn caller(subject: &str, roles: &[Role]) -> Caller {
        let claims = Claims {
            subject: subject.to_owned(),
            roles: roles.iter().copied().collect(),
            issued_at: None,
            expires_at: Timestamp::from_seconds(0),
        };
        Caller::new(Some(&Admitted::of(Some(&claims))), &HeaderMap::new())
    }

    #[test]
    fn a_customer_owns_what_bears_the_subject_and_nothing_else() {
        let (mai, ann) = (CustomerId(Uuid::from_u128(1)), CustomerId(Uuid::from_u128(2)));
        let caller = caller(&mai.to_string(), &[Role::Customer]);
        assert!(caller.is_bounded() && caller.customer() == Some(mai));
        assert!(caller.owns(Some(mai)) && !caller.owns(Some(ann)) && !caller.owns(None));
        assert_eq!(caller.must_own(Some(ann), || "unknown"), Err("unknown"));
    }

    #[test]
    fn who_has_no_customers_id_owns_nothing() {
        let mai = CustomerId(Uuid::from_u128(1));
        let guest = Caller::new(Some(&Admitted::of(None)), &HeaderMap::new());
        let spelled = mai.to_string().replace('-', "");
        for caller in [guest, caller("me", &[Role::Customer]), caller(&spelled, &[Role::Customer]), caller("me", &[])] {
            assert!(caller.is_bounded() && caller.customer().is_none());
            assert!(!caller.owns(Some(mai)) && !caller.owns(None), "{caller:?}");
        }
    }

    #[test]
    fn whoever_works_for_the_shop_and_everybody_where_nobody_is_asked_owns_everything() {
        let nobody_is_asked = Caller::new(None, &HeaderMap::new());
        let staff = [Role::Agent, Role::Supervisor, Role::Analyst, Role::Operator, Role::Service];
        for caller in staff.map(|role| caller("me", &[Role::Customer, role])).into_iter().chain([nobody_is_asked]) {
            assert!(!caller.is_bounded() && caller.owns(None) && caller.owns(Some(CustomerId(Uuid::from_u128(1)))));
            assert_eq!(caller.customer(), None);
        }
    }

    #[test]
    fn a_session_is_shown_by_its_very_token() {
        let headers = [(SESSION_HEADER, "browser-1")].map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        let caller = Caller::new(Some(&Admitted::of(None)), &headers.into_iter().collect());
        assert!(caller.shows_session("browser-1") && !caller.shows_session("browser-2") && !caller.shows_session(""));
        assert!(caller.shows_session_of(&session_digest("browser-1")));
        assert!(!caller.shows_session_of(&session_digest("browser-2")) && !caller.shows_session_of("browser-1"));
    }
}
