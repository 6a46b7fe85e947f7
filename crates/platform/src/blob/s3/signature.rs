//! URLs that are signed as S3 wants it (Signature Version 4, in the query). `object_store` signs URLs too, but no headers, and a URL for an
//! upload must hold the client to a media type; so this is written here, from Amazon's description.
//!
//! What is signed: the method, the host, the path, the query, and the named headers. What cannot be: how many bytes an upload may have at
//! most (an exact number only), and what they are.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};
use types::Timestamp;

use crate::auth::Secret;

/// All that RFC 3986 does not leave as it is.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// Where a store is: a scheme and a host, without a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Site {
    scheme: &'static str,
    /// As the `Host` header has it: without the port that the scheme has anyway.
    host: String,
}

impl Site {
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let (scheme, usual, host) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(host), _) => ("https", ":443", host),
            (_, Some(host)) => ("http", ":80", host),
            _ => return Err("it must begin with https:// or http://".into()),
        };
        let host = host.strip_suffix('/').unwrap_or(host);
        let host = host.strip_suffix(usual).unwrap_or(host);
        if host.is_empty() || host.contains(['/', '@', '?', '#']) || !host.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("a host and, where it has one, a port are all that may stand behind the scheme".into());
        }
        Ok(Self { scheme, host: host.to_ascii_lowercase() })
    }

    pub(super) fn origin(&self) -> String {
        format!("{}://{}", self.scheme, self.host)
    }
}

/// Who signs.
#[derive(Debug)]
pub(super) struct Signer {
    pub(super) access_key: Secret,
    pub(super) secret_key: Secret,
    pub(super) region: String,
}

impl Signer {
    /// A URL that allows this for so many seconds from `now` on. Names of headers are in small letters.
    pub(super) fn sign(
        &self,
        site: &Site,
        method: &str,
        path: &str,
        query: &[(&str, &str)],
        headers: &[(&str, &str)],
        now: Timestamp,
        seconds: u64,
    ) -> String {
        let moment = moment(now);
        let day = moment.split('T').next().unwrap_or_default();
        let scope = format!("{day}/{}/s3/aws4_request", self.region);
        let mut headers: Vec<(&str, &str)> = headers.iter().copied().chain([("host", site.host.as_str())]).collect();
        headers.sort_unstable();
        let names = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
        let (credential, seconds) = (format!("{}/{scope}", self.access_key.expose()), seconds.to_string());
        let own = [
            ("X-Amz-Algorithm", ALGORITHM),
            ("X-Amz-Credential", &credential),
            ("X-Amz-Date", &moment),
            ("X-Amz-Expires", &seconds),
            ("X-Amz-SignedHeaders", &names),
        ];
        let mut parts: Vec<String> = own.iter().chain(query).map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
        parts.sort_unstable();
        let query = parts.join("&");
        let path = path.split('/').map(|part| encoded(part).to_string()).collect::<Vec<_>>().join("/");
        let lines: String = headers.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
        let request = format!("{method}\n{path}\n{query}\n{lines}\n{names}\nUNSIGNED-PAYLOAD");
        let text = format!("{ALGORITHM}\n{moment}\n{scope}\n{}", hex::encode(Sha256::digest(request.as_bytes())));
        let mut key = mac(format!("AWS4{}", self.secret_key.expose()).as_bytes(), day);
        for part in [self.region.as_str(), "s3", "aws4_request"] {
            key = mac(&key, part);
        }
        format!("{}{path}?{query}&X-Amz-Signature={}", site.origin(), hex::encode(mac(&key, &text)))
    }
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    // A key of any length will do, so there is always one.
    Hmac::<Sha256>::new_from_slice(key).map(|mac| mac.chain_update(text.as_bytes()).finalize().into_bytes().to_vec()).unwrap_or_default()
}

fn encoded(text: &str) -> impl fmt::Display + use<'_> {
    utf8_percent_encode(text, RESERVED)
}

/// `20260105T000000Z`.
fn moment(now: Timestamp) -> String {
    let text = now.to_string();
    let seconds = text.split('.').next().unwrap_or(&text);
    format!("{}Z", seconds.chars().filter(|letter| !matches!(letter, '-' | ':')).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example in Amazon's own description of presigned URLs (the API reference of S3, "Authenticating requests: using query parameters").
    #[test]
    fn the_example_of_the_description_is_signed_as_it_is_there() {
        let signer = Signer {
            access_key: Secret::new("AKIAIOSFODNN7EXAMPLE").unwrap(),
            secret_key: Secret::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY").unwrap(),
            region: "us-east-1".into(),
        };
        let site = Site::read("https://examplebucket.s3.amazonaws.com").unwrap();
        let now = "2013-05-24T00:00:00Z".parse().unwrap();
        let url = signer.sign(&site, "GET", "/test.txt", &[], &[], now, 86_400);
        assert!(url.ends_with("&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"), "{url}");
        assert!(url.starts_with(
            "https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524"
        ));
        assert!(!url.contains("wJalr") && !format!("{signer:?}").contains("wJalr"));
    }

    #[test]
    fn a_place_is_a_scheme_and_a_host_as_the_header_has_it() {
        for (text, host) in [
            ("https://S3.example.com:443/", "https://s3.example.com"),
            ("http://127.0.0.1:9000", "http://127.0.0.1:9000"),
            ("http://minio:80", "http://minio"),
        ] {
            assert_eq!(Site::read(text).unwrap().origin(), host);
        }
        for text in ["s3.example.com", "https://", "https://a/bucket", "https://ann:b@c", "http://a b"] {
            assert!(Site::read(text).is_err(), "{text}");
        }
    }
}
