//! What a handler is given. A wrong request never reaches it: 400 for what cannot be read, 415 for the wrong media type, 413 for too
//! much, 422 for readable JSON that is wrong, with a JSON pointer to the place.

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Request},
};
use http::{HeaderMap, header, request::Parts};
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;
use sha2::{Digest, Sha256};

use super::json::Json;
use crate::{
    auth::caller::Admitted,
    idempotency::Key,
    problem::{Problem, kinds},
};

/// A JSON body.
#[derive(Clone, Debug)]
pub struct Body<T>(pub T);

/// A JSON body and the `Idempotency-Key` it came with, bound to this very request. An empty body reads as `{}`.
#[derive(Clone, Debug)]
pub struct Command<T> {
    pub body: T,
    pub key: Option<Key>,
}

impl<T> Command<T> {
    /// The key, where the contract requires one.
    pub fn required_key(&self) -> Result<Key, Problem> {
        self.key.clone().ok_or_else(|| {
            Problem::new(&kinds::KEY_REQUIRED)
                .detail("Send a header `Idempotency-Key` with a new value for each new order, payment or refund.")
        })
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;
    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        Command::from_request(request, state).await.map(|command| Self(command.body))
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Command<T> {
    type Rejection = Problem;
    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let endpoint = endpoint(&request);
        let token = idempotency_token(request.headers())?.map(str::to_owned);
        let json_type = is_json(request.headers());
        let bytes = read(request, state).await?;
        if !json_type && !bytes.is_empty() {
            return Err(Problem::new(&kinds::MEDIA_TYPE).detail("Send `Content-Type: application/json`."));
        }
        let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        let body = parse(text)?;
        let key = token.map(|token| Key::new(&endpoint, &token, Sha256::digest(&bytes).into()));
        Ok(Self { body, key })
    }
}

/// Where a key is the same key. One customer's keys are not another's: nobody is given somebody else's answer by guessing one.
fn endpoint(request: &Request) -> String {
    // Decoded, as it is when it is read: another spelling of an address is the same address.
    let (method, path) = (request.method(), percent_encoding::percent_decode_str(request.uri().path()).decode_utf8_lossy());
    match request.extensions().get::<Admitted>().and_then(|admitted| admitted.customer()) {
        Some(customer) => format!("{method} {path} as {customer}"),
        None => format!("{method} {path}"),
    }
}

async fn read<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    Bytes::from_request(request, state).await.map_err(|rejection| match rejection {
        axum::extract::rejection::BytesRejection::FailedToBufferBody(axum::extract::rejection::FailedToBufferBody::LengthLimitError(_)) => {
            Problem::new(&kinds::TOO_LARGE).detail("The body is larger than this service takes.")
        }
        _ => Problem::new(&kinds::UNREADABLE).detail("The body ended before it was whole."),
    })
}

/// Reads JSON into a type: 400 when it is not JSON, 422 with a pointer when it is not what is asked for.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        Problem::new(&kinds::UNREADABLE).detail(format!("The body is not UTF-8: byte {} is wrong.", error.valid_up_to()))
    })?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let sent: Json = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let pointer = pointer(error.path());
        let inner = error.into_inner();
        // To serde_json one nesting too many is bad syntax. To the caller it is not.
        if inner.is_data() || serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() {
            Problem::invalid(pointer, sentence(&inner))
        } else {
            Problem::new(&kinds::UNREADABLE).detail(format!("The body is not JSON: {inner}."))
        }
    })?;
    reader.end().map_err(|error| Problem::new(&kinds::UNREADABLE).detail(format!("The body goes on after its JSON: {error}.")))?;
    serde_path_to_error::deserialize(sent).map_err(|error| Problem::invalid(pointer(error.path()), sentence(error.inner())))
}

/// What is wrong, without the line and column that the pointer makes superfluous.
fn sentence(error: &serde_json::Error) -> String {
    let text = error.to_string();
    without_value(text.rsplit_once(" at line ").map_or(text.as_str(), |(head, _)| head))
}

/// Serde repeats a value of the wrong type: `invalid type: string "12 Elm Street", expected a sequence`. The caller knows what it sent,
/// and a problem may end in a log: so the kind of value is named and the value is not.
fn without_value(text: &str) -> String {
    let told = ["invalid type: ", "invalid value: "].into_iter().find_map(|what| text.strip_prefix(what).map(|rest| (what, rest)));
    match told.and_then(|(what, rest)| Some((what, rest, rest.rfind(", expected ")?))) {
        Some((what, rest, expected)) => {
            let kind = rest[..expected].split(['"', '`']).next().unwrap_or_default().trim_end();
            format!("{what}{kind}{}", &rest[expected..])
        }
        None => text.to_owned(),
    }
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    let mut pointer = String::from("#");
    for segment in path {
        match segment {
            Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            Segment::Map { key } => pointer.push_str(&format!("/{}", key.replace('~', "~0").replace('/', "~1"))),
            // What is inside a variant stands under the key that names the variant.
            Segment::Enum { variant } => pointer.push_str(&format!("/{variant}")),
            Segment::Unknown => {}
        }
    }
    pointer
}

fn is_json(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(|value| {
        let essence = value.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
        essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
    })
}

/// The `Idempotency-Key` of the IETF draft, if one was sent: a quoted string or a bare token, 1 to 255 visible characters. For what is
/// no JSON; [`Command`] reads it itself.
pub fn idempotency_token(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut values = headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else { return Ok(None) };
    let wrong = |detail: &str| Err(Problem::new(&kinds::UNREADABLE).detail(format!("`Idempotency-Key` {detail}.")));
    if values.next().is_some() {
        return wrong("was sent more than once");
    }
    let Ok(text) = value.to_str() else { return wrong("has characters other than visible ASCII") };
    let text = text.trim();
    let token = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
    if token.is_empty() || token.len() > 255 || token.contains('"') {
        return wrong("must be a token or a quoted string of 1 to 255 characters");
    }
    Ok(Some(token))
}

/// A path's parameters; one that cannot be what it should be names nothing, so the answer is 404.
#[derive(Clone, Debug)]
pub struct Path<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        axum::extract::Path::<T>::from_request_parts(parts, state)
            .await
            .map(|axum::extract::Path(value)| Self(value))
            .map_err(|_| Problem::new(&kinds::NOT_FOUND).detail("The address does not name anything that could be here."))
    }
}

/// The query's parameters; unknown or wrong ones are 422.
#[derive(Clone, Debug)]
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or("");
        let pairs = form_pairs(query)?;
        let reader = serde::de::value::MapDeserializer::<_, serde::de::value::Error>::new(
            pairs.into_iter().map(|(name, value)| (name, Text(value))),
        );
        serde_path_to_error::deserialize(reader)
            .map(Self)
            .map_err(|error| Problem::invalid(pointer(error.path()), without_value(&error.into_inner().to_string())))
    }
}

/// `a=1&b=2` into pairs; the same name twice is an error, as a duplicate key in JSON is.
fn form_pairs(query: &str) -> Result<Vec<(String, String)>, Problem> {
    let decode = |text: &str| {
        percent_encoding::percent_decode_str(&text.replace('+', " "))
            .decode_utf8()
            .map(|text| text.into_owned())
            .map_err(|_| Problem::new(&kinds::UNREADABLE).detail("The query is not UTF-8."))
    };
    let mut pairs: Vec<(String, String)> = Vec::new();
    for part in query.split('&').filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let name = decode(name)?;
        if pairs.iter().any(|(known, _)| *known == name) {
            return Err(Problem::invalid(format!("#/{name}"), "is given twice"));
        }
        pairs.push((name, decode(value)?));
    }
    Ok(pairs)
}

/// A query's value: text that reads itself as a number or a yes or no where one is asked for.
struct Text(String);

impl<'de> serde::de::IntoDeserializer<'de, serde::de::value::Error> for Text {
    type Deserializer = Self;
    fn into_deserializer(self) -> Self {
        self
    }
}

macro_rules! parse_number {
    ($($method:ident, $visit:ident, $type:ty, $what:literal;)*) => {$(
        fn $method<V: serde::de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
            match self.0.parse::<$type>() {
                Ok(value) => visitor.$visit(value),
                Err(_) => Err(serde::de::Error::custom(concat!("must be ", $what))),
            }
        }
    )*};
}

impl<'de> serde::Deserializer<'de> for Text {
    type Error = serde::de::value::Error;

    fn deserialize_any<V: serde::de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_string(self.0)
    }
    fn deserialize_option<V: serde::de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        if self.0.is_empty() { visitor.visit_none() } else { visitor.visit_some(self) }
    }
    fn deserialize_newtype_struct<V: serde::de::Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_newtype_struct(self)
    }
    fn deserialize_enum<V: serde::de::Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        use serde::de::IntoDeserializer;
        let reader: serde::de::value::StringDeserializer<Self::Error> = self.0.into_deserializer();
        reader.deserialize_enum(name, variants, visitor)
    }
    parse_number! {
        deserialize_bool, visit_bool, bool, "true or false";
        deserialize_i8, visit_i8, i8, "a number";
        deserialize_i16, visit_i16, i16, "a number";
        deserialize_i32, visit_i32, i32, "a number";
        deserialize_i64, visit_i64, i64, "a number";
        deserialize_u8, visit_u8, u8, "a number that is not negative";
        deserialize_u16, visit_u16, u16, "a number that is not negative";
        deserialize_u32, visit_u32, u32, "a number that is not negative";
        deserialize_u64, visit_u64, u64, "a number that is not negative";
        deserialize_f64, visit_f64, f64, "a number";
    }
    serde::forward_to_deserialize_any! {
        i128 u128 f32 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// The `If-Match` header: which version the caller has seen. Left out or `*`, any will do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IfMatch(pub Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get(header::IF_MATCH) else { return Ok(Self(None)) };
        match value.to_str().map(str::trim) {
            Ok("*") => Ok(Self(None)),
            Ok(tag) if tag.len() >= 2 && tag.starts_with('"') && tag.ends_with('"') => Ok(Self(Some(tag.to_owned()))),
            _ => Err(Problem::new(&kinds::UNREADABLE).detail("`If-Match` must be a strong ETag such as \"3\", or *.")),
        }
    }
}

impl IfMatch {
    /// 412 unless the caller has seen this version (or did not say which).
    pub fn check(&self, version: i64) -> Result<(), Problem> {
        self.check_tag(&super::version_tag(version))
    }

    pub fn check_tag(&self, tag: &str) -> Result<(), Problem> {
        match &self.0 {
            Some(seen) if seen != tag => {
                Err(Problem::new(&kinds::STALE_VERSION).detail(format!("You have seen {seen}, it is {tag} now; read it again.")))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    struct Line {
        sku: types::Sku,
        quantity: types::Quantity,
    }
    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Lines {
        items: Vec<Line>,
    }

    fn refused(text: &str) -> (u16, String) {
        let problem = parse::<Lines>(text.as_bytes()).unwrap_err();
        (problem.status, problem.errors.first().map(|error| format!("{} {}", error.pointer, error.detail)).unwrap_or_default())
    }

    #[test]
    fn wrong_json_is_told_with_a_pointer() {
        assert_eq!(refused(r#"{"items": [{"sku": "A", "quantity": 0}]}"#), (422, "#/items/0/quantity must be from 1 to 10000".into()));
        assert_eq!(refused(r#"{"items": [{"sku": "a b", "quantity": 1}]}"#).1.split(' ').next(), Some("#/items/0/sku"));
        assert_eq!(refused(r#"{"items": [], "more": 1}"#).0, 422);
        assert_eq!(refused(r#"{"items": [], "items": []}"#).0, 422, "a duplicate key");
        assert_eq!(refused(r#"{"items": [{"sku": "A", "quantity": 99999999999999999999}]}"#).0, 422);
        assert_eq!(refused("[[]]"), (422, "# invalid type: sequence, expected an object".into()));
        assert_eq!(refused(r#"{"items": [["A", 1]]}"#), (422, "#/items/0 invalid type: sequence, expected an object".into()));
        assert_eq!(refused(r#"{"items": [{"sku": "A", "quantity": 1, "quantity": 2}]}"#).1, "#/items/0 the key `quantity` is given twice");
        assert_eq!(refused("[[]").0, 400);
        assert_eq!(refused(r#"{"items": "#).0, 400);
        assert_eq!(refused(r#"{"items": []} x"#).0, 400);
    }

    #[test]
    fn what_is_wrong_inside_a_variant_is_told_with_the_variants_key() {
        #[derive(Debug, Deserialize)]
        #[serde(rename_all = "lowercase")]
        enum Tree {
            All(Vec<Tree>),
            Leaf(u8),
        }
        let refused = |text: &str| {
            let problem = parse::<Tree>(text.as_bytes()).unwrap_err();
            (problem.status, problem.errors.first().map(|error| error.pointer.clone()).unwrap_or_default())
        };
        let read: Result<Tree, _> = parse(br#"{"all": [{"leaf": 1}]}"#);
        assert!(matches!(read, Ok(Tree::All(parts)) if matches!(parts[..], [Tree::Leaf(1)])));
        assert_eq!(refused(r#"{"all": [{"leaf": 1}, {"leaf": "x"}]}"#), (422, "#/all/1/leaf".into()));
        assert_eq!(refused(r#"{"all": [{"leaf": 1, "all": []}]}"#).0, 422, "two variants at once are readable JSON");
        let deep = format!("{}1{}", r#"{"all": ["#.repeat(200), "]}".repeat(200));
        assert_eq!(refused(&deep).0, 422, "too deep is readable JSON");
        assert_eq!(refused(r#"{"all": [{"leaf": 1"#).0, 400);
    }

    #[test]
    fn a_value_of_the_wrong_type_is_not_repeated() {
        assert_eq!(refused(r#"{"items": "12 Elm Street, expected"}"#).1, "#/items invalid type: string, expected a sequence");
        assert_eq!(refused(r#"{"items": 491701234567}"#).1, "#/items invalid type: integer, expected a sequence");
        assert_eq!(refused(r#"{"items": null}"#).1, "#/items invalid type: null, expected a sequence");
        assert!(
            refused(r#"{"items": [{"sku": 491701234567, "quantity": 1}]}"#).1.starts_with("#/items/0/sku invalid type: integer, expected")
        );
    }

    #[test]
    fn another_spelling_of_an_address_is_the_same_endpoint_and_another_customer_is_not() {
        let asked = |path: &str, subject: Option<&str>| {
            let mut request = Request::new(axum::body::Body::empty());
            *request.uri_mut() = path.parse().unwrap();
            if let Some(subject) = subject {
                let (roles, expires_at) = ([crate::auth::Role::Customer].into(), types::Timestamp::from_seconds(0));
                let claims = crate::auth::Claims { subject: subject.to_owned(), roles, issued_at: None, expires_at };
                request.extensions_mut().insert(Admitted::of(Some(&claims)));
            }
            endpoint(&request)
        };
        assert_eq!(asked("/carts/a%62c/items", None), "GET /carts/abc/items");
        assert_eq!(asked("/carts/abc/items", None), asked("/carts/%61bc/items?x=1", None));
        let (mai, ann) = ("0195f3a2-7c11-7d3e-8a11-3f2f0c9b1e22", "0195f3a2-7c11-7d3e-8a11-3f2f0c9b1e23");
        assert_ne!(asked("/carts", Some(mai)), asked("/carts", Some(ann)));
        assert_eq!(asked("/carts", Some(mai)), asked("/carts", Some(mai)));
        assert_eq!(asked("/carts", Some("me")), asked("/carts", None));
    }

    #[test]
    fn broken_utf8_is_unreadable() {
        assert_eq!(parse::<Lines>(b"{\"items\": \"\xff\"}").unwrap_err().status, 400);
    }
}
