//! The guard against cross-site request forgery: a pure decision on the headers that browsers add to a request.
//!
//! Written here rather than taken from `tower_http::csrf`, which decides almost the same but cannot be made to: refuse
//! repeated and empty headers (it reads the first), refuse trusted origins that no browser sends, refuse requests with
//! neither header, guard websocket handshakes, or only report. What would be left of it is one comparison.

use http::header::{HOST, ORIGIN, UPGRADE};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, Method, Uri};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What the response to a refused request depends on.
pub(crate) const VARY: &str = "Sec-Fetch-Site, Origin";

/// Whom the guard lets through, and what it does with the others.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    trusted: Vec<String>,
    pub(crate) unstated: Unstated,
    pub(crate) enforcement: Enforcement,
}

/// What happens to a request with neither `Sec-Fetch-Site` nor `Origin`: not from a browser of this decade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unstated {
    Allow,
    Refuse,
}

/// What happens to a cross-origin request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Enforcement {
    Refuse,
    ReportOnly,
    Off,
}

/// A header that must occur at most once.
#[derive(Clone, Copy)]
enum Field<'h> {
    Absent,
    One(&'h [u8]),
    Repeated,
}

impl<'h> Field<'h> {
    fn of(headers: &'h HeaderMap, name: HeaderName) -> Self {
        let mut values = headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (None, _) => Self::Absent,
            (Some(value), None) => Self::One(value.as_bytes()),
            (Some(_), Some(_)) => Self::Repeated,
        }
    }
}

impl Guard {
    pub(crate) fn new() -> Self {
        Self { trusted: Vec::new(), unstated: Unstated::Allow, enforcement: Enforcement::Refuse }
    }

    pub(crate) fn trust(&mut self, origin: &str) -> Result<(), OriginError> {
        if !is_origin(origin) {
            return Err(OriginError);
        }
        self.trusted.push(origin.to_owned());
        Ok(())
    }

    /// Whether the request may pass. `with_session`: whether it carries our cookie.
    pub(crate) fn allows(&self, method: &Method, uri: &Uri, headers: &HeaderMap, with_session: bool) -> bool {
        if !is_guarded(method, headers, with_session) {
            return true;
        }
        let origin = Field::of(headers, ORIGIN);
        match Field::of(headers, SEC_FETCH_SITE) {
            Field::One(b"same-origin" | b"none") => true,
            Field::One(b"same-site" | b"cross-site") => self.trusts(origin),
            Field::One(_) | Field::Repeated => false,
            Field::Absent => match origin {
                Field::Absent => self.unstated == Unstated::Allow,
                Field::One(value) => is_own(value, uri, headers) || self.trusts(origin),
                Field::Repeated => false,
            },
        }
    }

    fn trusts(&self, origin: Field<'_>) -> bool {
        match origin {
            Field::One(value) => self.trusted.iter().any(|trusted| trusted.as_bytes() == value),
            Field::Absent | Field::Repeated => false,
        }
    }
}

/// Whether the request can change something: by its method, or as a websocket over which our session would speak.
/// An `EventSource` needs no guard: without CORS, its answer cannot be read from another origin.
fn is_guarded(method: &Method, headers: &HeaderMap, with_session: bool) -> bool {
    match *method {
        Method::GET => with_session && is_websocket(headers),
        Method::HEAD | Method::OPTIONS => false,
        _ => true,
    }
}

/// HTTP/1.1 only: over HTTP/2 a websocket is a `CONNECT`, which is guarded anyway.
fn is_websocket(headers: &HeaderMap) -> bool {
    let protocols = headers.get_all(UPGRADE).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    protocols.map(<[u8]>::trim_ascii).any(|protocol| protocol.eq_ignore_ascii_case(b"websocket"))
}

/// Whether `origin` is the one the request was sent to. Its scheme is not compared: behind a proxy nobody here knows
/// the real one (a `Secure` cookie and HSTS keep http out).
fn is_own(origin: &[u8], uri: &Uri, headers: &HeaderMap) -> bool {
    let Some(host) = origin.strip_prefix(b"https://").or_else(|| origin.strip_prefix(b"http://")) else {
        return false;
    };
    let target = match (uri.authority(), Field::of(headers, HOST)) {
        (Some(authority), _) => authority.as_str().as_bytes(),
        (None, Field::One(value)) => value,
        (None, Field::Absent | Field::Repeated) => return false,
    };
    !host.is_empty() && host == target
}

/// Whether `text` is an origin as browsers send it; anything else could never match.
fn is_origin(text: &str) -> bool {
    let (authority, default_port) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
        (Some(rest), _) => (rest, 443),
        (None, Some(rest)) => (rest, 80),
        (None, None) => return false,
    };
    let Ok(parsed) = authority.parse::<Authority>() else { return false };
    let host = parsed.host();
    let is_address = host.starts_with('[') && host.ends_with(']');
    let allowed = |byte: u8| {
        byte.is_ascii_lowercase()
            || byte.is_ascii_digit()
            || b"-._".contains(&byte)
            || (is_address && b"[:]".contains(&byte))
    };
    let canonical = match parsed.port_u16() {
        Some(port) if port == default_port => return false,
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    !host.is_empty() && host.bytes().all(allowed) && canonical == authority
}

/// The text is not an origin as browsers send it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OriginError;

impl std::fmt::Display for OriginError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(
            "a trusted origin must be written as browsers send it: https://host or https://host:port, in lower case, \
             without the default port, without anything after it, not even a slash",
        )
    }
}

impl std::error::Error for OriginError {}

#[cfg(test)]
mod tests {
    use super::is_origin;

    #[test]
    fn origins_are_taken_only_as_browsers_send_them() {
        for good in [
            "https://example.org",
            "http://example.org",
            "https://example.org:8443",
            "http://example.org:443",
            "https://xn--exmple-cua.com",
            "http://127.0.0.1:3000",
            "http://[::1]:3000",
            "http://localhost",
        ] {
            assert!(is_origin(good), "{good}");
        }
        for bad in [
            "",
            "null",
            "*",
            "example.org",
            "//example.org",
            "https://",
            "https:///",
            "https://:443",
            "https://example.org/",
            "https://example.org/path",
            "https://example.org?query",
            "https://example.org#fragment",
            "https://example.org:443",
            "http://example.org:80",
            "https://example.org:",
            "https://example.org:0443",
            "https://example.org:65536",
            "https://Example.org",
            "HTTPS://example.org",
            "https://user@example.org",
            "https://*.example.org",
            "https://exämple.org",
            "https://example.org ",
            " https://example.org",
            "https://example.org,https://example.com",
            "ftp://example.org",
            "file://",
            "https://[::1",
        ] {
            assert!(!is_origin(bad), "{bad}");
        }
    }
}
