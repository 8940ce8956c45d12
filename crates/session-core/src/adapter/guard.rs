//! The guard against cross-site request forgery: a decision on the headers that browsers add to a request.

use super::context::request_context;
use super::origin::{OriginError, TrustedOrigin, host_name, is_dropping_origin, is_same_host, names};
use super::plain_http::PlainHttp;
use super::rejection::RejectionKind;
use super::request::{Field, RequestHead, RequestSession};
use crate::event::{EventKind, OriginRefusal};
use crate::manager::SessionManager;
use crate::policy::cookie::{PresentedCookie, SameSite};

/// Refuses requests that another site made a browser send (CSRF).
///
/// Guarded are all methods but `GET`, `HEAD` and `OPTIONS`, and websocket handshakes that carry a session cookie.
/// Anonymous sessions and logins are covered too. A guarded request passes if
/// - `Sec-Fetch-Site`, which all current browsers send to https and loopback addresses, is `same-origin` or `none`;
/// - or that is absent, as in the handshake of a websocket, and `Origin` is that of the host the request was sent to;
/// - or `Origin` is [trusted](Self::trusted_origin);
/// - or both are absent, unless [`MissingOrigin::Refuse`] is set: current browsers send at least one of them.
///
/// Origins are compared as browsers compare them: host without regard to case, ports with their default. A header that
/// occurs twice is never believed. `SameSite` cookies alone do not protect: other subdomains are the same site.
///
/// A proxy in front must pass on `Origin`, `Sec-Fetch-Site`, and the `Host` that the browser sent (nginx: `proxy_set_header
/// Host $http_host;`; Caddy and Traefik do it on their own). If it does not, make the site's own origin a trusted one. Each
/// refusal is logged with the reason, and what to set.
///
/// ```
/// use session_core::adapter::{MissingOrigin, OriginGuard};
///
/// let guard = OriginGuard::new()
///     .trusted_origin("https://accounts.example.org")?
///     .trusted_origin("https://preview-*.example.org")?
///     .trusted_origin("capacitor://localhost")?
///     .allowed_host("shop.example.org")?
///     .exempt("/webhooks")
///     .missing_origin(MissingOrigin::Refuse);
/// # Ok::<_, session_core::adapter::OriginError>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct OriginGuard {
    trusted: Vec<TrustedOrigin>,
    /// Empty: any.
    allowed_hosts: Vec<String>,
    exempt: Vec<String>,
    missing_origin: MissingOrigin,
    enforcement: Enforcement,
    plain_http: PlainHttp,
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
    /// It is reported as [`EventKind::CrossOrigin`], and passes: to see what the guard would refuse before it is enforced.
    ReportOnly,
    /// It passes: for an application that has a guard of its own. [Hosts](OriginGuard::allowed_host) are checked all the same.
    Off,
}

impl OriginGuard {
    /// A guard that refuses cross-origin requests and trusts no other origin.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets requests from this origin pass: `https://host`, `https://host:port`, or that of an application or a browser
    /// extension, such as `capacitor://localhost` or `moz-extension://…`.
    ///
    /// In the first label of the host, one `*` stands for any characters of that label: `https://*.example.org`,
    /// `https://preview-*.team.vercel.app`. What follows must be a domain that somebody registered, not a public suffix.
    ///
    /// # Errors
    /// [`OriginError`] if it is not an origin, or a pattern that anybody can fit.
    pub fn trusted_origin(mut self, origin: impl AsRef<str>) -> Result<Self, OriginError> {
        self.trusted.push(TrustedOrigin::parse(origin.as_ref())?);
        Ok(self)
    }

    /// Answers only requests to this host, at any port, and to others that are named like this. Without one, to every host:
    /// then a page whose name was made to point to this server is of its origin (DNS rebinding).
    ///
    /// # Errors
    /// [`OriginError`] if it is not the name or the address of a host.
    pub fn allowed_host(mut self, host: impl AsRef<str>) -> Result<Self, OriginError> {
        self.allowed_hosts.push(host_name(host.as_ref())?);
        Ok(self)
    }

    /// Leaves requests to this path, and to those below it, to the application: a webhook, which authenticates its sender
    /// by a signature, or a health check. The session works there all the same: it must not be used to change anything.
    ///
    /// Compared with the path as it was sent, segment by segment: `/webhooks` is for `/webhooks/pay`, not `/webhooks-2`. Where a
    /// router strips a prefix before the guard, the path is what is left.
    pub fn exempt(mut self, path: impl Into<String>) -> Self {
        self.exempt.push(path.into());
        self
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
    /// If a `Secure` cookie is then set over plain http, where browsers drop it, the log says so: once for each guard, whatever
    /// its clones. Behind a proxy with TLS, browsers say that they use https.
    ///
    /// # Errors
    /// [`RejectionKind::CrossOrigin`], [`RejectionKind::HostNotAllowed`]; the application must not see the request then.
    pub fn begin_request(
        &self,
        manager: &SessionManager,
        request: &impl RequestHead,
    ) -> Result<RequestSession, RejectionKind> {
        let mut presented = manager.read_cookie(request.values("cookie"));
        self.check(manager, request, &presented)?;
        if matches!(presented, PresentedCookie::Nothing) && is_withheld(request, manager.policy().cookie().same_site())
        {
            presented = PresentedCookie::Withheld;
        }
        let is_secure = manager.policy().cookie().is_secure();
        let dropped = if is_secure && self.plain_http.is_silent() { dropping_host(request) } else { None };
        let dropped = dropped.map(|host| self.plain_http.dropped_cookie(host));
        let manager = match manager.wants_request() {
            true => manager.with_request(request_context(request)),
            false => manager.clone(),
        };
        Ok(RequestSession::expecting(manager, presented, dropped))
    }

    /// Enforces what [`refusal`](Self::refusal) says, and reports refusals to the log and the observers of `manager`.
    ///
    /// # Errors
    /// [`RejectionKind::CrossOrigin`], [`RejectionKind::HostNotAllowed`]
    pub fn check(
        &self,
        manager: &SessionManager,
        request: &impl RequestHead,
        presented: &PresentedCookie,
    ) -> Result<(), RejectionKind> {
        let refusal = match self.enforcement {
            Enforcement::Refuse | Enforcement::ReportOnly => self.refusal(request, presented),
            Enforcement::Off => self.host_refusal(request),
        };
        let Some(refusal) = refusal else { return Ok(()) };
        let context = request_context(request);
        tracing::warn!(
            target: "session",
            method = context.method, path = context.path, origin = context.origin, host = context.host,
            enforced = self.enforcement != Enforcement::ReportOnly,
            "cross-origin request: {refusal}"
        );
        manager.with_request(context).report(EventKind::CrossOrigin(refusal), None, None);
        match (self.enforcement, refusal) {
            (Enforcement::ReportOnly, _) => Ok(()),
            (Enforcement::Refuse | Enforcement::Off, OriginRefusal::HostNotAllowed) => {
                Err(RejectionKind::HostNotAllowed)
            }
            (Enforcement::Refuse | Enforcement::Off, _) => Err(RejectionKind::CrossOrigin),
        }
    }

    /// Why the request is to be refused, if it is, whatever the [enforcement](Self::enforcement). `presented` is its session
    /// cookie. Pure.
    #[must_use]
    pub fn refusal(&self, request: &impl RequestHead, presented: &PresentedCookie) -> Option<OriginRefusal> {
        if self.is_exempt(request.path()) {
            return None;
        }
        if let Some(refusal) = self.host_refusal(request) {
            return Some(refusal);
        }
        if !is_guarded(request, presented) {
            return None;
        }
        let origin = Field::of(request, "origin");
        let site = Field::of(request, "sec-fetch-site");
        match (site, origin) {
            (Field::Repeated, _) => Some(OriginRefusal::Unreadable),
            (Field::One(b"same-origin" | b"none"), _) => None,
            (Field::One(site), _) if site != b"same-site" && site != b"cross-site" => Some(OriginRefusal::Unreadable),
            (_, Field::Repeated) => Some(OriginRefusal::Unreadable),
            (_, Field::One(origin)) if self.trusted.iter().any(|trusted| trusted.is(origin)) => None,
            (Field::One(_), _) => Some(OriginRefusal::OtherSite),
            (Field::Absent, Field::Absent) => match self.missing_origin {
                MissingOrigin::Allow => None,
                MissingOrigin::Refuse => Some(OriginRefusal::Missing),
            },
            (Field::Absent, Field::One(b"null")) => Some(OriginRefusal::Opaque),
            (Field::Absent, Field::One(origin)) => match addressed_host(request) {
                Some(host) if is_same_host(origin, host) => None,
                Some(_) | None => Some(OriginRefusal::OtherHost),
            },
        }
    }

    /// Whether the request is refused for its host, which is not a matter of origins.
    fn host_refusal(&self, request: &impl RequestHead) -> Option<OriginRefusal> {
        let is_any = self.allowed_hosts.is_empty() || self.is_exempt(request.path());
        let is_allowed = |host| self.allowed_hosts.iter().any(|allowed| names(host, allowed));
        (!is_any && !addressed_host(request).is_some_and(is_allowed)).then_some(OriginRefusal::HostNotAllowed)
    }

    fn is_exempt(&self, path: &str) -> bool {
        self.exempt.iter().any(|exempt| {
            let rest = path.strip_prefix(exempt.trim_end_matches('/'));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }
}

/// The host that the request was sent to.
fn addressed_host(request: &impl RequestHead) -> Option<&[u8]> {
    match (request.authority(), Field::of(request, "host")) {
        (Some(authority), _) => Some(authority),
        (None, Field::One(value)) => Some(value),
        (None, Field::Absent | Field::Repeated) => None,
    }
}

/// Whether the request can change something: by its method, or as a websocket that speaks for the session.
/// An `EventSource` needs no guard: without CORS, other origins cannot read its answer.
fn is_guarded(request: &impl RequestHead, presented: &PresentedCookie) -> bool {
    match request.method() {
        "GET" => !matches!(presented, PresentedCookie::Nothing | PresentedCookie::Withheld) && is_websocket(request),
        "HEAD" | "OPTIONS" => false,
        _ => true,
    }
}

/// Whether the browser has sent the request without a cookie that it may have (RFC 6265bis, section 5.6.7.1).
fn is_withheld(request: &impl RequestHead, same_site: SameSite) -> bool {
    let is = |name, expected: &[u8]| matches!(Field::of(request, name), Field::One(value) if value == expected);
    // Over plain http nothing says so reliably.
    let is_cross_site = is("sec-fetch-site", b"cross-site");
    let is_link = || {
        matches!(request.method(), "GET" | "HEAD")
            && is("sec-fetch-mode", b"navigate")
            && is("sec-fetch-dest", b"document")
    };
    match same_site {
        SameSite::Strict => is_cross_site,
        SameSite::Lax => is_cross_site && !is_link(),
        SameSite::Embedded => false,
    }
}

/// The host that the request was sent to, if its browser will drop a `Secure` cookie. Browsers say in `Origin` which scheme they
/// use, whatever proxies are between, with all methods but these; they send `Sec-Fetch-Site` only where they keep such cookies.
fn dropping_host(request: &impl RequestHead) -> Option<&[u8]> {
    if matches!(request.method(), "GET" | "HEAD") {
        return None;
    }
    match (Field::of(request, "origin"), Field::of(request, "sec-fetch-site")) {
        (Field::One(origin), Field::Absent) => addressed_host(request).filter(|host| is_dropping_origin(origin, host)),
        (_, _) => None,
    }
}

/// HTTP/1.1 only: over HTTP/2 a websocket is a `CONNECT`, which is guarded anyway.
fn is_websocket(request: &impl RequestHead) -> bool {
    let mut protocols = request.values("upgrade").flat_map(|value| value.split(|byte| *byte == b','));
    protocols.any(|protocol| protocol.trim_ascii().eq_ignore_ascii_case(b"websocket"))
}
