//! Origins (RFC 6454), compared as browsers compare them: by scheme, host without regard to case, and port with its default.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::policy::cookie::is_address;

/// Whether `origin`, the value of an `Origin` header, is that of the server that was addressed as `host`. The scheme gives
/// the default of both ports, and is not compared otherwise: behind a proxy the one that the browser used is unknown (a
/// `Secure` cookie and HSTS keep http out).
pub(super) fn is_same_host(origin: &[u8], host: &[u8]) -> bool {
    let Some((scheme @ (b"https" | b"http"), authority)) = split_scheme(origin) else { return false };
    match (split_port(authority), split_port(host)) {
        (Some((a, a_port)), Some((b, b_port))) => {
            let default = default_port(scheme);
            is_same_name(a, b) && a_port.or(default) == b_port.or(default)
        }
        (None, _) | (_, None) => false,
    }
}

/// Whether `origin`, the value of an `Origin` header, is that of the server that was addressed as `host`, over plain http, and
/// browsers keep no `Secure` cookie from there. Most do from the machine itself, as the standard on secure contexts allows.
pub(super) fn is_dropping_origin(origin: &[u8], host: &[u8]) -> bool {
    let Some((b"http", authority)) = split_scheme(origin) else { return false };
    is_same_host(origin, host) && split_port(authority).is_some_and(|(name, _)| !is_loopback(name))
}

fn is_loopback(host: &[u8]) -> bool {
    let name = host.strip_suffix(b".").unwrap_or(host).to_ascii_lowercase();
    let address_v4 = || std::str::from_utf8(&name).ok().and_then(|name| name.parse::<Ipv4Addr>().ok());
    name == b"localhost"
        || name.ends_with(b".localhost")
        || address_v4().is_some_and(|address| address.is_loopback())
        || address(host).is_some_and(|address| address.is_loopback())
}

/// Whether `host`, the value of a `Host` header, names `name`, at any port.
pub(super) fn names(host: &[u8], name: &str) -> bool {
    split_port(host).is_some_and(|(host, _)| is_same_name(host, name.as_bytes()))
}

fn is_same_name(a: &[u8], b: &[u8]) -> bool {
    a.eq_ignore_ascii_case(b) || matches!((address(a), address(b)), (Some(a), Some(b)) if a == b)
}

/// The IPv6 address between brackets, which can be written in several ways.
fn address(host: &[u8]) -> Option<Ipv6Addr> {
    let address = host.strip_prefix(b"[")?.strip_suffix(b"]")?;
    std::str::from_utf8(address).ok()?.parse().ok()
}

fn split_scheme(origin: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = origin.windows(3).position(|window| window == b"://")?;
    Some((&origin[..end], &origin[end + 3..]))
}

/// Host and port; `None` if it is not an authority without user and path.
fn split_port(authority: &[u8]) -> Option<(&[u8], Option<u16>)> {
    let host_ends = match authority.first()? {
        b'[' => authority.iter().position(|byte| *byte == b']')? + 1,
        _ => authority.iter().position(|byte| *byte == b':').unwrap_or(authority.len()),
    };
    let (host, port) = authority.split_at(host_ends);
    let port = match port {
        b"" | b":" => None,
        [b':', digits @ ..] if digits.iter().all(u8::is_ascii_digit) => {
            Some(std::str::from_utf8(digits).ok()?.parse().ok()?)
        }
        _ => return None,
    };
    (!host.is_empty()).then_some((host, port))
}

fn default_port(scheme: &[u8]) -> Option<u16> {
    match scheme {
        b"https" | b"wss" => Some(443),
        b"http" | b"ws" => Some(80),
        _ => None,
    }
}

/// An origin that is trusted, or a pattern of such.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TrustedOrigin {
    scheme: String,
    host: Host,
    /// `None`: the default of the scheme, or none.
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    Exact(String),
    /// One label that begins and ends like this, with at least one character between, and the domain behind it.
    Pattern {
        begin: String,
        end: String,
        domain: String,
    },
}

impl TrustedOrigin {
    /// Reads `scheme://host` or `scheme://host:port`. In the first label of the host, a `*` stands for any characters of
    /// that label.
    pub(super) fn parse(text: &str) -> Result<Self, OriginError> {
        let text = text.trim().to_ascii_lowercase();
        if text == "null" {
            return Err(OriginError::Opaque);
        }
        let (scheme, authority) = text.split_once("://").ok_or(OriginError::Form)?;
        let is_scheme_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        if !scheme.starts_with(|first: char| first.is_ascii_lowercase()) || !scheme.bytes().all(is_scheme_byte) {
            return Err(OriginError::Form);
        }
        if matches!(scheme, "file" | "data" | "blob" | "about" | "javascript") {
            return Err(OriginError::Opaque);
        }
        if !authority.is_ascii() {
            return Err(OriginError::NotAscii);
        }
        if authority.contains(['/', '?', '#', '@', '\\']) {
            return Err(OriginError::Excess);
        }
        let (host, port) = split_port(authority.as_bytes()).ok_or(OriginError::Form)?;
        let host = std::str::from_utf8(host).map_err(|_| OriginError::Form)?;
        let is_web = default_port(scheme.as_bytes()).is_some();
        let host = match host.split_once('*') {
            None if is_host(host, is_web) => Host::Exact(host.to_owned()),
            None => return Err(OriginError::Form),
            Some((begin, rest)) => pattern(begin, rest)?,
        };
        Ok(Self { scheme: scheme.to_owned(), host, port: port.or(default_port(scheme.as_bytes())) })
    }

    /// Whether `origin`, the value of an `Origin` header, is this one or fits this pattern.
    pub(super) fn is(&self, origin: &[u8]) -> bool {
        let Some((scheme, authority)) = split_scheme(origin) else { return false };
        let Some((host, port)) = split_port(authority) else { return false };
        let is_host = match &self.host {
            Host::Exact(name) => is_same_name(host, name.as_bytes()),
            Host::Pattern { begin, end, domain } => fits(host, begin, end, domain).is_some(),
        };
        is_host && scheme.eq_ignore_ascii_case(self.scheme.as_bytes()) && port.or(default_port(scheme)) == self.port
    }
}

/// `None` unless it fits.
fn fits(host: &[u8], begin: &str, end: &str, domain: &str) -> Option<()> {
    let host = host.to_ascii_lowercase();
    let label = host.strip_suffix(domain.as_bytes())?.strip_suffix(b".")?;
    let middle = label.strip_prefix(begin.as_bytes())?.strip_suffix(end.as_bytes())?;
    (!middle.is_empty() && middle.iter().all(|byte| is_label_byte(*byte))).then_some(())
}

/// A pattern whose host has `begin` before the `*`, and `rest` after it. What is behind the first label must be a domain
/// that somebody registered: below a public suffix, anybody can have a label that fits.
fn pattern(begin: &str, rest: &str) -> Result<Host, OriginError> {
    let (end, domain) = rest.split_once('.').ok_or(OriginError::TooWide)?;
    if rest.contains('*') || !begin.bytes().chain(end.bytes()).all(is_label_byte) || !is_host(domain, true) {
        return Err(OriginError::Wildcard);
    }
    if is_address(domain) || psl::domain_str(domain).is_none() {
        return Err(OriginError::TooWide);
    }
    Ok(Host::Pattern { begin: begin.to_owned(), end: end.to_owned(), domain: domain.to_owned() })
}

fn is_label_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

/// Whether this can be the host of an origin, in lower case. The schemes of applications allow more than a name.
fn is_host(host: &str, is_web: bool) -> bool {
    if host.starts_with('[') {
        return address(host.as_bytes()).is_some();
    }
    let is_name = !host.is_empty() && host.bytes().all(|byte| is_label_byte(byte) || byte == b'.');
    is_name && (!is_web || host.split('.').all(|label| !label.is_empty()))
}

/// The name of a host, in lower case, as [`names`] compares it.
pub(super) fn host_name(text: &str) -> Result<String, OriginError> {
    let name = text.trim().to_ascii_lowercase();
    if !name.is_ascii() {
        return Err(OriginError::NotAscii);
    }
    if name.contains("://") || name.contains('/') {
        return Err(OriginError::Excess);
    }
    if is_host(&name, true) { Ok(name) } else { Err(OriginError::Host) }
}

/// Why a text is not an origin, a pattern of origins, or a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OriginError {
    /// It has no scheme, or no host.
    #[error(
        "a trusted origin is written as scheme://host or scheme://host:port, for example https://accounts.example.org"
    )]
    Form,
    /// There is something besides scheme, host and port.
    #[error("an origin has no user, path or query, and a host no scheme: nothing goes with them, not even a slash")]
    Excess,
    /// Browsers send such a host in its ASCII form.
    #[error("an internationalized host must be written in its ASCII form, xn--…, as browsers send it")]
    NotAscii,
    /// Every page without an origin of its own would be trusted.
    #[error("pages of file:, data: and sandboxed frames all have the origin `null`: it cannot be trusted")]
    Opaque,
    /// A `*` is in a place that it cannot have.
    #[error("a pattern has one `*`, in the first label of its host: https://preview-*.example.org")]
    Wildcard,
    /// Anybody can get a host that fits the pattern.
    #[error(
        "the pattern is too wide: what follows its first label must be a domain below a public suffix, because anybody can \
         register a name directly below one (com, github.io, vercel.app)"
    )]
    TooWide,
    /// It is not the name of a host.
    #[error("an allowed host is a name or an address without a port: shop.example.org, [::1]")]
    Host,
}
