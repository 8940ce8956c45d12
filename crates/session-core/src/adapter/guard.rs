//! The guard against cross-site request forgery: a decision on the headers that browsers add to a request.

use std::net::Ipv6Addr;

use super::rejection::RejectionKind;
use super::request::{Field, RequestHead, RequestSession};
use crate::event::EventKind;
use crate::manager::SessionManager;
use crate::policy::cookie::PresentedCookie;

/// Refuses requests that another site made a browser send (CSRF).
///
/// Guarded are all methods but `GET`, `HEAD` and `OPTIONS`, and websocket handshakes that carry a session cookie.
/// Anonymous sessions and logins are covered too. A guarded request passes if
/// - `Sec-Fetch-Site`, which all current browsers send to https and loopback addresses, is `same-origin` or `none`;
/// - or that is absent, and `Origin` names the host the request was sent to;
/// - or `Origin` is [trusted](Self::trusted_origin);
/// - or both are absent, unless [`MissingOrigin::Refuse`] is set: current browsers send at least one of them.
///
/// A header that occurs twice is never believed. `SameSite` cookies alone do not protect: other subdomains are the same
/// site. A proxy in front must pass on `Host`, `Origin` and `Sec-Fetch-Site` unchanged; if it rewrites `Host`, make the
/// site's own origin a trusted one.
///
/// ```
/// use session_core::adapter::{MissingOrigin, OriginGuard};
///
/// let guard = OriginGuard::new().trusted_origin("https://accounts.example.org")?.missing_origin(MissingOrigin::Refuse);
/// # Ok::<_, session_core::adapter::OriginError>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct OriginGuard {
    trusted: Vec<String>,
    missing_origin: MissingOrigin,
    enforcement: Enforcement,
}

/// What happens to a guarded request with neither `Sec-Fetch-Site` nor `Origin`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissingOrigin {
    /// It passes: scripts and other servers need not send either header.
    #[default]
    Allow,
    /// It is refused: scripts must send one of them.
    Refuse,
}

/// What happens to a cross-origin request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Enforcement {
    /// It is refused and reported.
    #[default]
    Refuse,
    /// It is reported as [`EventKind::CrossOrigin`] and passes: to see what the guard would refuse before it is enforced.
    ReportOnly,
    /// It passes: for an application that has a guard of its own.
    Off,
}

impl OriginGuard {
    /// A guard that refuses cross-origin requests and trusts no other origin.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets requests from this origin pass: `https://host` or `https://host:port`.
    ///
    /// # Errors
    /// [`OriginError`] if it is not written as browsers send it, and so would never match.
    pub fn trusted_origin(mut self, origin: impl Into<String>) -> Result<Self, OriginError> {
        let origin = origin.into();
        if !is_origin(&origin) {
            return Err(OriginError);
        }
        self.trusted.push(origin);
        Ok(self)
    }

    /// Decides about requests that do not say where they come from.
    pub fn missing_origin(mut self, missing_origin: MissingOrigin) -> Self {
        self.missing_origin = missing_origin;
        self
    }

    /// Decides what happens to cross-origin requests.
    pub fn enforcement(mut self, enforcement: Enforcement) -> Self {
        self.enforcement = enforcement;
        self
    }

    /// Reads the session cookie, [checks](Self::check) where the request comes from, and prepares its session. No round
    /// trip: the session is loaded when it is first asked for.
    ///
    /// # Errors
    /// [`RejectionKind::CrossOrigin`]; the application must not see the request then.
    pub fn begin_request(
        &self,
        manager: &SessionManager,
        request: &impl RequestHead,
    ) -> Result<RequestSession, RejectionKind> {
        let presented = manager.read_cookie(request.values("cookie"));
        self.check(manager, request, &presented)?;
        Ok(RequestSession::new(manager.clone(), presented))
    }

    /// Enforces what [`allows`](Self::allows) says, and reports cross-origin requests to the observers of `manager`.
    ///
    /// # Errors
    /// [`RejectionKind::CrossOrigin`]
    pub fn check(
        &self,
        manager: &SessionManager,
        request: &impl RequestHead,
        presented: &PresentedCookie,
    ) -> Result<(), RejectionKind> {
        if self.enforcement == Enforcement::Off || self.allows(request, presented) {
            return Ok(());
        }
        manager.report(EventKind::CrossOrigin, None, None);
        match self.enforcement {
            Enforcement::Refuse => Err(RejectionKind::CrossOrigin),
            Enforcement::ReportOnly | Enforcement::Off => Ok(()),
        }
    }

    /// Whether the request may pass, whatever the [enforcement](Self::enforcement). `presented` is its session cookie.
    /// Pure.
    #[must_use]
    pub fn allows(&self, request: &impl RequestHead, presented: &PresentedCookie) -> bool {
        if !is_guarded(request, presented) {
            return true;
        }
        let origin = Field::of(request, "origin");
        match Field::of(request, "sec-fetch-site") {
            Field::One(b"same-origin" | b"none") => true,
            Field::One(b"same-site" | b"cross-site") => self.trusts(origin),
            Field::One(_) | Field::Repeated => false,
            Field::Absent => match origin {
                Field::Absent => self.missing_origin == MissingOrigin::Allow,
                Field::One(value) => is_own(value, request) || self.trusts(origin),
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

/// Whether the request can change something: by its method, or as a websocket that speaks for the session.
/// An `EventSource` needs no guard: without CORS, other origins cannot read its answer.
fn is_guarded(request: &impl RequestHead, presented: &PresentedCookie) -> bool {
    match request.method() {
        "GET" => !matches!(presented, PresentedCookie::Nothing) && is_websocket(request),
        "HEAD" | "OPTIONS" => false,
        _ => true,
    }
}

/// HTTP/1.1 only: over HTTP/2 a websocket is a `CONNECT`, which is guarded anyway.
fn is_websocket(request: &impl RequestHead) -> bool {
    let mut protocols = request.values("upgrade").flat_map(|value| value.split(|byte| *byte == b','));
    protocols.any(|protocol| protocol.trim_ascii().eq_ignore_ascii_case(b"websocket"))
}

/// Whether `origin` is the one the request was sent to. Its scheme is not compared: behind a proxy the real one is
/// unknown (a `Secure` cookie and HSTS keep http out).
fn is_own(origin: &[u8], request: &impl RequestHead) -> bool {
    let Some(host) = origin.strip_prefix(b"https://").or_else(|| origin.strip_prefix(b"http://")) else {
        return false;
    };
    let target = match (request.authority(), Field::of(request, "host")) {
        (Some(authority), _) => authority,
        (None, Field::One(value)) => value,
        (None, Field::Absent | Field::Repeated) => return false,
    };
    !host.is_empty() && host == target
}

/// Whether `text` is an origin as browsers send it; anything else could never match.
fn is_origin(text: &str) -> bool {
    let (authority, default_port) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
        (Some(rest), _) => (rest, "443"),
        (None, Some(rest)) => (rest, "80"),
        (None, None) => return false,
    };
    match authority.rsplit_once(':') {
        Some((host, port)) if !authority.ends_with(']') => is_host(host) && is_port(port) && port != default_port,
        Some(_) | None => is_host(authority),
    }
}

fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let is_canonical = address.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b':'));
        return is_canonical && address.parse::<Ipv6Addr>().is_ok();
    }
    !host.is_empty() && host.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_'))
}

/// Whether browsers write a port like this: without sign and leading zeros.
fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok_and(|port| port.to_string() == text)
}

/// The text is not an origin as browsers send it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a trusted origin must be written as browsers send it: https://host or https://host:port, in lower case, without the \
     default port, without anything after it, not even a slash"
)]
pub struct OriginError;
