//! The session cookie: its attributes, how it is read, how it is written.

use std::fmt::{self, Write as _};
use std::time::Duration;

use cookie::time::Duration as CookieDuration;
use cookie::{Cookie, CookieBuilder, Expiration, time::OffsetDateTime};

use zeroize::ZeroizeOnDrop;

use crate::error::Error;
use crate::model::token::{EncodedToken, PresentedToken};

/// `SameSite` of a cookie: with which requests of other sites it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SameSite {
    /// Sent with top-level navigation from other sites: links to the site work when logged in.
    Lax,
    /// Sent with requests from the same site only.
    Strict,
    /// For an application that other sites embed in a frame: `SameSite=None; Partitioned` (CHIPS).
    ///
    /// Sent with every request of a frame in another site, and a session of its own for each site that embeds it: a user who is
    /// logged in at the application's own pages is not in a frame. The browser no longer keeps forged requests away, only
    /// the [guard](crate::adapter::OriginGuard) does. Say in `Content-Security-Policy: frame-ancestors` who may embed it.
    Embedded,
}

/// Attributes of the session cookie. Always `HttpOnly`.
///
/// A combination that a browser would refuse is refused when it is built.
///
/// ```
/// use session_core::{CookiePolicy, CookiePolicyError, SameSite};
///
/// let cookie = CookiePolicy::builder("__Host-app").same_site(SameSite::Strict).build()?;
/// assert_eq!(cookie.name(), "__Host-app");
///
/// let refused = CookiePolicy::builder("__Host-app").domain("example.org").build();
/// assert_eq!(refused.unwrap_err(), CookiePolicyError::HostPrefix);
/// # Ok::<_, CookiePolicyError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookiePolicy {
    name: String,
    domain: Option<String>,
    path: String,
    same_site: SameSite,
    secure: bool,
    /// Longest name and value of a client-side session together, in bytes.
    size_limit: usize,
    /// What was used before, by attributes that make another cookie of it.
    former: Vec<Self>,
}

/// How many cookies of one name are looked at: the first, and as many of the last. A subdomain that plants many puts them in
/// front, with longer paths.
const MAX_PRESENTED: usize = 4;
/// Browsers match prefixes without regard to case.
const HOST_PREFIX: &str = "__Host-";

/// Longest name and value together, in bytes; longer ones are dropped by browsers (RFC 6265bis).
const MAX_PAIR: usize = 4096;

/// nginx reads the head of a response into one buffer of a memory page, often 4096 bytes, and answers 502 if it does not fit:
/// this leaves 1096 bytes to the attributes of the cookie and to all other headers.
const SIZE_LIMIT: usize = 3000;
const MIN_SIZE_LIMIT: usize = 128;

impl CookiePolicy {
    /// `__Host-id`, `Secure`, `HttpOnly`, `SameSite=Lax`, `Path=/`.
    #[must_use]
    pub fn standard() -> Self {
        Self {
            name: "__Host-id".to_owned(),
            domain: None,
            path: "/".to_owned(),
            same_site: SameSite::Lax,
            secure: true,
            size_limit: SIZE_LIMIT,
            former: Vec::new(),
        }
    }

    /// As [`standard`](Self::standard), with `SameSite=Strict`: a link from another site opens the page logged out.
    #[must_use]
    pub fn strict() -> Self {
        Self { same_site: SameSite::Strict, ..Self::standard() }
    }

    /// For local development over plain http, and nothing else: `id-<application>`, without `Secure` and prefix.
    ///
    /// Cookies know no ports: with one name, all applications on `localhost` would log each other out. So each has the name of
    /// its application, such as that of its [`Namespace`](crate::Namespace). Anyone on the network path can read and set such a
    /// cookie.
    ///
    /// ```
    /// use session_core::{CookiePolicy, CookiePolicyError};
    ///
    /// assert_eq!(CookiePolicy::local_development("shop")?.name(), "id-shop");
    /// assert_eq!(CookiePolicy::local_development("").unwrap_err(), CookiePolicyError::Name);
    /// # Ok::<_, CookiePolicyError>(())
    /// ```
    ///
    /// # Errors
    /// [`CookiePolicyError::Name`] if `application` is empty, or cannot be part of a cookie's name.
    pub fn local_development(application: &str) -> Result<Self, CookiePolicyError> {
        if application.is_empty() {
            return Err(CookiePolicyError::Name);
        }
        Self::builder(format!("id-{application}")).insecure_for_local_development().build()
    }

    /// A cookie of another name, with the standard attributes.
    pub fn builder(name: impl Into<String>) -> CookiePolicyBuilder {
        CookiePolicyBuilder { cookie: Self { name: name.into(), ..Self::standard() } }
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the cookie is sent over https only.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// Finds the session cookie in the `Cookie` headers of a request, without allocating. Adapters call
    /// [`SessionManager::read_cookie`](crate::SessionManager::read_cookie), which knows client-side sessions too.
    ///
    /// Names are matched case-sensitively.
    pub fn read<'h>(&self, headers: impl IntoIterator<Item = &'h [u8]>) -> PresentedCookie {
        self.collect(headers, |value| {
            PresentedToken::parse(value).map_or(PresentedCookie::Malformed, PresentedCookie::Token)
        })
    }

    /// What the cookies of the name are, each value once.
    pub(crate) fn collect<'h>(
        &self,
        headers: impl IntoIterator<Item = &'h [u8]>,
        presented: impl Fn(&'h [u8]) -> PresentedCookie,
    ) -> PresentedCookie {
        let mut values = self.values(headers);
        let Some(first) = values.next() else { return PresentedCookie::Nothing };
        let mut others = values.filter(|value| *value != first).peekable();
        if others.peek().is_none() {
            return presented(first);
        }
        // Not the usual case: from here on it may allocate.
        let (mut seen, mut cookies, mut is_complete) = (Vec::new(), Vec::new(), true);
        for value in [first].into_iter().chain(others) {
            if seen.contains(&value) {
                continue;
            }
            let one = presented(value);
            if !matches!(one, PresentedCookie::Malformed) {
                if cookies.len() == 2 * MAX_PRESENTED {
                    is_complete = false;
                    seen.remove(MAX_PRESENTED);
                    let _ = cookies.remove(MAX_PRESENTED);
                }
                seen.push(value);
                cookies.push(one);
            }
        }
        if cookies.is_empty() { PresentedCookie::Malformed } else { PresentedCookie::Several { cookies, is_complete } }
    }

    /// The values of all cookies of this name in the `Cookie` headers of a request, in their order: for what is no session.
    pub fn values<'h>(&self, headers: impl IntoIterator<Item = &'h [u8]>) -> impl Iterator<Item = &'h [u8]> {
        let pairs = headers.into_iter().flat_map(|header| header.split(|byte| *byte == b';'));
        pairs.filter_map(|pair| pair.trim_ascii().strip_prefix(self.name.as_bytes())?.strip_prefix(b"="))
    }

    /// Whether nobody but the host itself can set such a cookie: its subdomains cannot plant one.
    pub(crate) fn is_host_only(&self) -> bool {
        let prefix = self.name.get(..HOST_PREFIX.len());
        prefix.is_some_and(|prefix| prefix.eq_ignore_ascii_case(HOST_PREFIX))
    }

    /// With which requests of other sites the browser sends it.
    pub(crate) fn same_site(&self) -> SameSite {
        self.same_site
    }

    /// The headers that remove the cookies that were [used before](CookiePolicyBuilder::formerly).
    pub(crate) fn remove_former(&self) -> Vec<SetCookie> {
        self.former.iter().map(Self::remove).collect()
    }

    /// The value of a `Set-Cookie` header that hands out `token`. `max_age` makes it persistent; whole seconds count.
    pub fn set(&self, token: &EncodedToken, max_age: Option<Duration>) -> SetCookie {
        self.set_text(token.expose(), max_age)
    }

    /// Whether a client-side session of `len` bytes is within the limit.
    pub(crate) fn fits(&self, len: usize) -> Result<(), Error> {
        let (size, max) = (self.name.len() + len, self.size_limit);
        if size > max { Err(Error::CookieTooLarge { size, max }) } else { Ok(()) }
    }

    /// Whether browsers keep a cookie whose value has `len` bytes.
    pub(crate) fn is_kept(&self, len: usize) -> bool {
        self.name.len() + len <= MAX_PAIR
    }

    /// As [`set`](Self::set), with another value than a token: characters of base64url, which need no escapes.
    pub fn set_text(&self, value: &str, max_age: Option<Duration>) -> SetCookie {
        let mut cookie = self.template(value);
        if let Some(max_age) = max_age {
            let seconds = i64::try_from(max_age.as_secs()).unwrap_or(i64::MAX);
            cookie = cookie.max_age(CookieDuration::seconds(seconds));
        }
        SetCookie::of(&cookie.build())
    }

    /// The value of a `Set-Cookie` header that removes the cookie: same name and attributes, or the browser keeps it.
    pub fn remove(&self) -> SetCookie {
        let cookie =
            self.template("").max_age(CookieDuration::ZERO).expires(Expiration::DateTime(OffsetDateTime::UNIX_EPOCH));
        SetCookie::of(&cookie.build())
    }

    fn template<'c>(&'c self, value: &'c str) -> CookieBuilder<'c> {
        let mut cookie = Cookie::build((self.name.as_str(), value))
            .http_only(true)
            .secure(self.secure)
            .path(self.path.as_str())
            .same_site(match self.same_site {
                SameSite::Lax => cookie::SameSite::Lax,
                SameSite::Strict => cookie::SameSite::Strict,
                SameSite::Embedded => cookie::SameSite::None,
            });
        if let Some(domain) = &self.domain {
            cookie = cookie.domain(domain.as_str());
        }
        if self.same_site == SameSite::Embedded {
            cookie = cookie.partitioned(true);
        }
        cookie
    }
}

/// What the carrier of a request held.
#[must_use]
pub enum PresentedCookie {
    /// No session cookie.
    Nothing,
    /// Something that is not a token. Costs no store call.
    Malformed,
    /// Nothing, in a cross-site request with which the browser does not send the cookie it may have (`SameSite`). What a
    /// visitor writes then lives in this request only, because a new cookie would replace the one that was withheld. A login
    /// is stored.
    Withheld,
    /// Several cookies of the name with different values: after an attribute of the cookie was changed, or because a subdomain
    /// planted one. What names no live session counts for nothing. Of several live sessions the later login counts, if they are
    /// of one user or the name begins with `__Host-`, which no other host can plant; otherwise none. The next login or logout
    /// ends them all.
    Several {
        /// The first four and the last four that have the form of what we issue.
        cookies: Vec<Self>,
        /// Whether these are all. If not, and the name can be planted, none counts.
        is_complete: bool,
    },
    /// A token.
    Token(PresentedToken),
    /// What may be a [client-side session](crate::store::Seal), not looked at yet.
    Sealed(Vec<u8>),
}

impl PresentedCookie {
    /// The token, if it is one.
    #[must_use]
    pub fn token(&self) -> Option<&PresentedToken> {
        match self {
            Self::Token(token) => Some(token),
            Self::Nothing | Self::Malformed | Self::Withheld | Self::Several { .. } | Self::Sealed(_) => None,
        }
    }

    /// All tokens among what was presented.
    pub fn tokens(&self) -> impl Iterator<Item = &PresentedToken> {
        let several = if let Self::Several { cookies, .. } = self { cookies.as_slice() } else { &[] };
        self.token().into_iter().chain(several.iter().filter_map(Self::token))
    }
}

impl fmt::Debug for PresentedCookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "Nothing",
            Self::Malformed => "Malformed",
            Self::Withheld => "Withheld",
            Self::Several { .. } => "Several(..)",
            Self::Token(_) => "Token(..)",
            Self::Sealed(_) => "Sealed(..)",
        })
    }
}

/// The value of a `Set-Cookie` header. `Debug` hides it; it is wiped when dropped.
#[derive(ZeroizeOnDrop)]
pub struct SetCookie(String);

impl SetCookie {
    /// Room for a token and the usual attributes: the text is written in small pieces.
    const USUAL_LEN: usize = 192;

    fn of(cookie: &Cookie<'_>) -> Self {
        let mut text = String::with_capacity(Self::USUAL_LEN);
        // Writing to a string cannot fail.
        let _ = write!(text, "{cookie}");
        Self(text)
    }

    /// The header value, for the response and nothing else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SetCookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SetCookie(..)")
    }
}

/// Builds a [`CookiePolicy`].
#[derive(Clone, Debug)]
#[must_use]
pub struct CookiePolicyBuilder {
    cookie: CookiePolicy,
}

impl CookiePolicyBuilder {
    /// `SameSite`.
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.cookie.same_site = same_site;
        self
    }

    /// Sends the cookie to all subdomains of `domain` as well: a host name, such as `example.org`. Each of them can then read
    /// and set it.
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.cookie.domain = Some(domain.into());
        self
    }

    /// Restricts the cookie to a path. No protection: pages on other paths of the site can still use it.
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.cookie.path = path.into();
        self
    }

    /// Removes the cookie that was used before, whenever a new one is set or removed: one of another name, domain, path or
    /// partition is another cookie to a browser, and would stay beside this one.
    ///
    /// ```
    /// use session_core::CookiePolicy;
    ///
    /// let former = CookiePolicy::builder("__Secure-app").domain("example.org").build()?;
    /// let cookie = CookiePolicy::builder("__Secure-app").formerly(former).build()?;
    /// # Ok::<_, session_core::CookiePolicyError>(())
    /// ```
    pub fn formerly(mut self, former: CookiePolicy) -> Self {
        self.cookie.former.push(former);
        self
    }

    /// How long the cookie of a client-side session may be, in bytes: name and value together. At most 4096, which is what
    /// browsers keep. A session that would be longer is [refused](Error::CookieTooLarge) before anything is stored; one that is
    /// longer already, because the limit was lowered, goes on, and may shrink.
    ///
    /// Without it, 3000. Proxies have a buffer for all headers of a response: nginx one of 4 or 8 KiB (`proxy_buffer_size`), and
    /// it answers 502 if they do not fit. With this default, there are 4096 bytes at most if the other headers and the
    /// attributes of the cookie have 1096. Raise it together with the buffers of every proxy; lower it if the application sends
    /// long headers, a content security policy say, or cookies of its own.
    ///
    /// A cookie that holds a token is short, and has no limit.
    pub fn size_limit(mut self, bytes: usize) -> Self {
        self.cookie.size_limit = bytes;
        self
    }

    /// Allows the cookie over plain http. For local development; the name must have no prefix then, and should be no other
    /// application's: see [`CookiePolicy::local_development`].
    pub fn insecure_for_local_development(mut self) -> Self {
        self.cookie.secure = false;
        self
    }

    /// Checks the cookie.
    ///
    /// # Errors
    /// [`CookiePolicyError`] for a combination that browsers refuse.
    pub fn build(self) -> Result<CookiePolicy, CookiePolicyError> {
        let mut cookie = self.cookie;
        let is_token = |name: &str| !name.is_empty() && name.bytes().all(is_token_byte);
        let is_attribute = |text: &str| text.bytes().all(|byte| (0x20..0x7f).contains(&byte) && byte != b';');
        if !is_token(&cookie.name) || cookie.name.len() + crate::SessionToken::TEXT_LEN > MAX_PAIR {
            return Err(CookiePolicyError::Name);
        }
        if !(MIN_SIZE_LIMIT..=MAX_PAIR).contains(&cookie.size_limit) {
            return Err(CookiePolicyError::SizeLimit);
        }
        if !cookie.path.starts_with('/') || !is_attribute(&cookie.path) {
            return Err(CookiePolicyError::Path);
        }
        if let Some(domain) = &cookie.domain {
            cookie.domain = Some(checked_domain(domain)?);
        }
        let name = cookie.name.to_ascii_lowercase();
        // Browsers match prefixes without regard to case.
        let host = name.starts_with("__host-");
        let secure = host || name.starts_with("__secure-") || name.starts_with("__http-");
        if secure && !cookie.secure {
            return Err(CookiePolicyError::SecurePrefix);
        }
        if host && (cookie.domain.is_some() || cookie.path != "/") {
            return Err(CookiePolicyError::HostPrefix);
        }
        if cookie.same_site == SameSite::Embedded && !cookie.secure {
            return Err(CookiePolicyError::Embedded);
        }
        let identity = |cookie: &CookiePolicy| {
            let is_partitioned = cookie.same_site == SameSite::Embedded;
            (cookie.name.clone(), cookie.domain.clone(), cookie.path.clone(), is_partitioned)
        };
        if cookie.former.iter().any(|former| identity(former) == identity(&cookie)) {
            return Err(CookiePolicyError::Former);
        }
        Ok(cookie)
    }
}

/// The domain in the form that browsers compare, without the dot that they ignore.
fn checked_domain(domain: &str) -> Result<String, CookiePolicyError> {
    let domain = domain.strip_prefix('.').unwrap_or(domain).to_ascii_lowercase();
    let is_label = |label: &str| {
        let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (1..=63).contains(&label.len())
            && label.bytes().all(is_inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if domain.len() > 253 || !domain.split('.').all(is_label) || is_address(&domain) {
        Err(CookiePolicyError::Domain)
    } else if psl::domain_str(&domain).is_none() {
        Err(CookiePolicyError::PublicSuffix)
    } else {
        Ok(domain)
    }
}

/// Whether the host is no name: the last label of a name is no number, that of an IPv4 address is.
pub(crate) fn is_address(host: &str) -> bool {
    host.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()))
}

/// `token` of RFC 9110: what a cookie may be called.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Which part of a [`CookiePolicy`] a browser would refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CookiePolicyError {
    /// The name has characters that a cookie's name cannot have, or too many.
    #[error("a cookie name must be 1 to 4032 letters, digits or one of !#$%&'*+-.^_`|~")]
    Name,
    /// Browsers keep no cookie that long, or no session is that short.
    #[error("the size limit of a cookie must be between 128 and 4096 bytes")]
    SizeLimit,
    /// The path is not one.
    #[error("the path of a cookie must begin with / and have no control characters and no semicolon")]
    Path,
    /// The domain is not one.
    #[error(
        "the domain of a cookie must be a host name such as example.org: no scheme, port, path, address or `*`, and an \
         internationalized name in its ASCII form, xn--…"
    )]
    Domain,
    /// Browsers refuse a cookie for everybody's domain.
    #[error(
        "the domain of a cookie must not be a public suffix (com, co.uk, github.io), nor a single label (localhost)"
    )]
    PublicSuffix,
    /// A prefix that demands `Secure`.
    #[error(
        "a cookie named __Secure-, __Host-, __Http- or __Host-Http- must be Secure; use a name without prefix for http"
    )]
    SecurePrefix,
    /// A prefix that demands `Path=/` and no `Domain`.
    #[error("a cookie named __Host- or __Host-Http- must have the path / and no domain")]
    HostPrefix,
    /// A former cookie is the present one.
    #[error(
        "a cookie that was used before must differ in name, domain, path or partition, or it would remove the present one"
    )]
    Former,
    /// The cookie of a refresh token: see [`TokenTransport::cookie`](crate::adapter::TokenTransport::cookie).
    #[error(
        "the cookie of a refresh token must be named __Host-… or __Host-Http-…, so that no other host can plant it, and be \
         SameSite=Strict"
    )]
    Refresh,
    /// `SameSite=None` and `Partitioned` demand `Secure`.
    #[error("the cookie of an embedded application must be Secure; browsers drop it otherwise")]
    Embedded,
}
