//! [`DeviceBinding`]: what an application says about devices, and what routes and guards do with it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use session_core::adapter::{RejectionKind, Remedy, RequestHead, report_refusal};
use session_core::{
    CookiePolicy, Entropy, EntropyError, Error, EventKind, OsEntropy, Session, SessionManager, Timestamp,
};

use super::header::{self, Unreadable};
use super::response::Response;
use super::state::{Fresh, Shown, State};
use crate::encoding;
use crate::oauth::answer::Answer;

/// What a request must show of the device of its session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BindingEnforcement {
    /// Nothing: what would be refused is an event, and a line in the log.
    ReportOnly,
    /// A session that is bound is good on its device alone. One that is not, because its browser cannot, is good as ever.
    #[default]
    WhereBound,
    /// The same; and one that is not bound a minute after its login is refused: for what matters, where all browsers are known
    /// to do it.
    Required,
}

/// Whether a session is bound to a device, and a request comes from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindingState {
    /// It is not bound: the browser has not registered a key, or cannot.
    Unbound,
    /// A key is registered, but no request has had its cookie yet: the browser may not have got the answer.
    Registered,
    /// It is bound, and the request comes from the device.
    Bound,
    /// It is bound, and the request does not show that it comes from the device: a copy of the cookie.
    Missing,
}

impl From<Shown> for BindingState {
    fn from(shown: Shown) -> Self {
        match shown {
            Shown::Unbound => Self::Unbound,
            Shown::Registered => Self::Registered,
            Shown::Bound { .. } => Self::Bound,
            Shown::Missing => Self::Missing,
        }
    }
}

/// What cannot be configured, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceBindingError {
    /// The origin is none.
    #[error("an origin is a scheme and a host, as in https://shop.example")]
    Origin,
    /// A path of a route cannot be one.
    #[error("a path begins with / and has no quotes, blanks and backslashes")]
    Path,
    /// The life of the bound cookie.
    #[error("the bound cookie lives between 3 minutes and 1 hour")]
    Lifetime,
}

/// Device-bound sessions (DBSC), as the W3C draft of 2026-02-17 has them. **Experimental.** A browser that knows the protocol
/// makes a key at the login, where malware cannot copy it, and from then on the session's cookie is good together with a second
/// one alone, which lives for ten minutes and is renewed by a signature. Who copies both cookies has them until then. Other
/// browsers see nothing of it, and have sessions as ever.
///
/// 1. A login calls [`offer`](Self::offer), and its answer has the header that comes of it.
/// 2. The browser sends its key to the route behind which [`register`](Self::register) is, and has a bound cookie.
/// 3. Requests are [required](Self::require) to have that cookie, from the first one on that had it.
/// 4. When the cookie has expired, the browser renews it at the route of [`renew`](Self::renew) before it sends anything else.
///
/// Not for client-side sessions: each copy of such a cookie has its own state.
#[derive(Clone)]
#[must_use]
pub struct DeviceBinding {
    config: Arc<Config>,
}

#[derive(Clone)]
struct Config {
    origin: String,
    registration: String,
    renewal: String,
    cookie: CookiePolicy,
    lifetime: Duration,
    enforcement: BindingEnforcement,
    entropy: Arc<dyn Entropy>,
}

impl DeviceBinding {
    /// How long the bound cookie lives.
    const DEFAULT_LIFETIME: Duration = Duration::from_secs(600);
    /// How long after a login a session may be unbound where it must not be.
    const GRACE: Duration = Duration::from_secs(60);

    /// For the site at `origin`, whose browsers register keys at the path `registration` and renew cookies at `renewal`. `cookie`
    /// is the bound one, beside that of the session: with another name, and the same attributes.
    ///
    /// ```
    /// use session_core::CookiePolicy;
    /// use session_jwt::DeviceBinding;
    ///
    /// let cookie = CookiePolicy::builder("__Host-bound").build()?;
    /// let binding = DeviceBinding::new("https://shop.example", "/session/bind", "/session/renew", cookie)?;
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`DeviceBindingError::Origin`], [`DeviceBindingError::Path`].
    pub fn new(
        origin: &str,
        registration: &str,
        renewal: &str,
        cookie: CookiePolicy,
    ) -> Result<Self, DeviceBindingError> {
        let (scheme, host) = origin.split_once("://").ok_or(DeviceBindingError::Origin)?;
        let is_host =
            !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte));
        if !["http", "https"].contains(&scheme) || !is_host {
            return Err(DeviceBindingError::Origin);
        }
        let is_path = |path: &str| {
            path.starts_with('/')
                && path.bytes().all(|byte| matches!(byte, b'!'..=b'~') && byte != b'"' && byte != b'\\')
        };
        if !is_path(registration) || !is_path(renewal) {
            return Err(DeviceBindingError::Path);
        }
        let config = Config {
            origin: origin.to_owned(),
            registration: registration.to_owned(),
            renewal: renewal.to_owned(),
            cookie,
            lifetime: Self::DEFAULT_LIFETIME,
            enforcement: BindingEnforcement::default(),
            entropy: Arc::new(OsEntropy),
        };
        Ok(Self { config: Arc::new(config) })
    }

    /// What requests must show.
    pub fn enforcement(self, enforcement: BindingEnforcement) -> Self {
        self.with(|config| config.enforcement = enforcement)
    }

    /// How long the bound cookie lives, and so a copy of it: 3 minutes to 1 hour. Default: 10 minutes. Each renewal is a request, and
    /// two round trips; and Chromium signs six times in nine minutes for all sessions of a site, logins among them, then sends
    /// requests without the cookie.
    ///
    /// # Errors
    /// [`DeviceBindingError::Lifetime`]
    pub fn lifetime(self, lifetime: Duration) -> Result<Self, DeviceBindingError> {
        if !(Duration::from_secs(180)..=Duration::from_secs(3600)).contains(&lifetime) {
            return Err(DeviceBindingError::Lifetime);
        }
        Ok(self.with(|config| config.lifetime = lifetime))
    }

    /// Draws challenges and cookies from `entropy` instead of the operating system: for tests.
    pub fn entropy(self, entropy: impl Entropy) -> Self {
        self.with(|config| config.entropy = Arc::new(entropy))
    }

    fn with(self, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::clone(&self.config);
        change(&mut config);
        Self { config: Arc::new(config) }
    }

    /// The paths of the routes: of the registration, and of the renewal.
    #[must_use]
    pub fn paths(&self) -> [&str; 2] {
        [&self.config.registration, &self.config.renewal]
    }

    /// Offers the browser to bind the session of the user who is logged in: the header of the answer. After
    /// [`Session::login`](session_core::Session::login) in the same request it costs no round trip of its own. A session that is
    /// bound stays so.
    ///
    /// # Errors
    /// [`Error::NotAuthenticated`] if no user is logged in, [`Error::Entropy`], [`Error::ResponseSent`].
    pub fn offer(&self, session: &Session) -> Result<(&'static str, String), Error> {
        let challenge = self.draw()?;
        let offered = challenge.clone();
        session.rebind(move |before| match before.map(State::decode) {
            // What this version cannot read stays as it is.
            Some(None) => before.map(Bytes::copy_from_slice),
            before => Some(State::offered(before.flatten().as_ref(), &offered).encode()),
        })?;
        Ok(("secure-session-registration", header::registration(&self.config.registration, &challenge)))
    }

    /// Whether the session is bound, as far as it was read, and the request comes from its device. No round trip.
    #[must_use]
    pub fn state(&self, manager: &SessionManager, session: &Session, head: &impl RequestHead) -> BindingState {
        self.shown(manager, session, head).into()
    }

    fn shown(&self, manager: &SessionManager, session: &Session, head: &impl RequestHead) -> Shown {
        let Some(binding) = session.binding() else { return Shown::Unbound };
        // What this version cannot read is bound in a way that it cannot check.
        let Some(state) = State::decode(&binding) else { return Shown::Missing };
        state.shown(self.config.cookie.values(head.values("cookie")), manager.now())
    }

    /// Lets a request pass that comes from the device of its session, or whose session need not be bound. No round trip; one before
    /// a request is refused, for what was read may be old, and one when the bound cookie is seen for the first time. Returns what
    /// [`state`](Self::state) says then.
    ///
    /// # Errors
    /// [`RejectionKind::DeviceBindingRequired`]; what a store that fails leads to.
    pub async fn require(
        &self,
        manager: &SessionManager,
        session: &Session,
        head: &impl RequestHead,
    ) -> Result<BindingState, RejectionKind> {
        let (mut shown, mut is_allowed) = self.judge(manager, session, head)?;
        if !is_allowed {
            Box::pin(manager.reload(session)).await?;
            (shown, is_allowed) = self.judge(manager, session, head)?;
        }
        if is_allowed {
            return Ok(shown.into());
        }
        report_refusal(manager, head, EventKind::DeviceNotProved);
        if self.config.enforcement == BindingEnforcement::ReportOnly {
            return Ok(shown.into());
        }
        // Whoever has a copy must not get the next token instead of the browser; which may believe in a cookie that is none here,
        // or was led here by a page of another site, and does not renew for that.
        let cookie = &self.config.cookie;
        let has_one = cookie.values(head.values("cookie")).next().is_some();
        session.refuse(Remedy { removes: has_one.then(|| cookie.remove()), reloads: is_led_here(head) });
        Err(RejectionKind::DeviceBindingRequired)
    }

    /// What the request shows, and whether that is enough.
    fn judge(
        &self,
        manager: &SessionManager,
        session: &Session,
        head: &impl RequestHead,
    ) -> Result<(Shown, bool), RejectionKind> {
        let shown = self.shown(manager, session, head);
        let is_allowed = match shown {
            Shown::Bound { news: None } => true,
            Shown::Bound { news: Some(ref digest) } => {
                let digest = digest.clone();
                step(session, move |state| state.confirmed(&digest))?;
                true
            }
            Shown::Missing => false,
            Shown::Unbound | Shown::Registered => {
                let begun = session.authentication().map(|authentication| authentication.strongest().at);
                let is_recent = begun.is_some_and(|begun| manager.now() < begun + Self::GRACE);
                self.config.enforcement != BindingEnforcement::Required || begun.is_none() || is_recent
            }
        };
        Ok((shown, is_allowed))
    }

    /// Rejections that pass, for another request has just changed the session: [`answer_to`](Self::answer_to).
    pub const PASSING: [RejectionKind; 2] = [RejectionKind::Superseded, RejectionKind::Conflict];

    /// The answer to a registration or a renewal whose session is refused for what [passes](Self::PASSING): 503, where 409 would
    /// end the session in the browser. `None` if the rejection is as good as any.
    #[must_use]
    pub fn answer_to(rejection: RejectionKind) -> Option<Answer> {
        Self::PASSING.contains(&rejection).then(Answer::later)
    }

    /// Answers a registration: a `POST` to its path, inside of the session layer. Two round trips.
    pub async fn register(&self, manager: &SessionManager, session: &Session, head: &impl RequestHead) -> Answer {
        let answer = async {
            let text = answered(head)?.ok_or(Refused::Request)?;
            self.prepare(manager, session).await?;
            let (response, jwk) = Response::of_registration(text).map_err(|_| Refused::Request)?;
            let (cookie, fresh) = self.fresh(manager.now())?;
            let wanted = fresh.clone();
            step(session, move |state| state.registered(&response.challenge, &jwk, &wanted))?;
            manager.commit(session).await?;
            self.hand_out(session, &cookie, &fresh)?.ok_or(Refused::Request)
        };
        answer.await.unwrap_or_else(|refused| self.refuse(manager, head, refused))
    }

    /// Answers a renewal: a `POST` to its path, inside of the session layer. One round trip without a signature, two with one.
    ///
    /// A signature of another challenge than the current one is no theft: another tab was faster, or an answer was lost. The browser
    /// is given the current one, and tries again. A session that has ended is told to end in the browser, too; whether it has, is
    /// asked of the store if the request came without its cookie, which browsers keep back from what another site began.
    pub async fn renew(&self, manager: &SessionManager, session: &Session, head: &impl RequestHead) -> Answer {
        let answer = async {
            let id = header::text(head, "sec-secure-session-id")?.ok_or(Refused::Request)?;
            let text = answered(head)?;
            match self.prepare(manager, session).await {
                Ok(()) => {}
                Err(Refused::Ended) => {
                    let is_sent = manager.policy().cookie().values(head.values("cookie")).next().is_some();
                    let named = id.parse().ok().filter(|_| !is_sent);
                    let is_live = match &named {
                        Some(named) => manager.is_live(named).await?,
                        None => false,
                    };
                    return if is_live { Err(Refused::Later) } else { Ok(ended(id)) };
                }
                Err(refused) => return Err(refused),
            }
            // That of a login before this one.
            let current = session.id().map(|id| id.to_string()).filter(|current| *current == id);
            let (Some(current), Some(binding)) = (current, session.binding()) else { return Ok(ended(id)) };
            // A newer version may read it.
            let state = State::decode(&binding).ok_or(Refused::Later)?;
            let Some(bound) = &state.bound else { return Ok(ended(id)) };
            let challenged = |state: &State| {
                session.refuse(Remedy::default());
                let challenge = header::challenge(&state.challenge, &current);
                Answer::json(403, json!({ "error": "challenge" })).with_device_challenge(challenge)
            };
            let Some(text) = text else { return Ok(challenged(&state)) };
            let Ok(response) = Response::of_renewal(text, &bound.jwk) else {
                report_refusal(manager, head, EventKind::DeviceNotProved);
                return Ok(challenged(&state));
            };
            let (cookie, fresh) = self.fresh(manager.now())?;
            let wanted = fresh.clone();
            step(session, move |state| state.renewed(&response.challenge, &wanted))?;
            match manager.commit(session).await {
                Ok(()) => {}
                Err(Error::Gone) => return Ok(ended(id)),
                Err(error) => return Err(error.into()),
            }
            match (self.hand_out(session, &cookie, &fresh)?, state_of(session)) {
                (Some(answer), _) => Ok(answer),
                (None, Some(state)) => Ok(challenged(&state)),
                (None, None) => Ok(ended(id)),
            }
        };
        answer.await.unwrap_or_else(|refused| self.refuse(manager, head, refused))
    }

    /// The session as the store has it now. It is no activity of the user.
    async fn prepare(&self, manager: &SessionManager, session: &Session) -> Result<(), Refused> {
        session.set_passive();
        if session.user().is_none() {
            return Err(Refused::Ended);
        }
        match manager.reload(session).await {
            Ok(()) if session.user().is_some() => Ok(()),
            Ok(()) | Err(Error::Gone) => Err(Refused::Ended),
            Err(error) => Err(error.into()),
        }
    }

    /// The answer that hands out the cookie, if it was this request whose cookie was stored.
    fn hand_out(&self, session: &Session, cookie: &str, fresh: &Fresh) -> Result<Option<Answer>, Refused> {
        let id = session.id().ok_or(Refused::Ended)?;
        if !state_of(session).is_some_and(|state| state.has_handed_out(&fresh.digest)) {
            return Ok(None);
        }
        let Config { origin, renewal, cookie: policy, lifetime, .. } = &*self.config;
        let set = policy.set_text(cookie, Some(*lifetime));
        // Without `Max-Age`: the browser compares what does not change.
        let attributes = policy.set_text("", None).expose().split_once("; ").map(|(_, rest)| rest.to_owned());
        let body = json!({
            "session_identifier": id.to_string(),
            "refresh_url": renewal,
            "scope": { "origin": origin, "include_site": false, "scope_specification": [] },
            "credentials": [{ "type": "cookie", "name": policy.name(), "attributes": attributes.unwrap_or_default() }],
        });
        let challenge = header::challenge(&fresh.challenge, &id.to_string());
        Ok(Some(Answer::json(200, body).with_device_challenge(challenge).with_cookie(Some(set), Vec::new())))
    }

    fn refuse(&self, manager: &SessionManager, head: &impl RequestHead, refused: Refused) -> Answer {
        match refused {
            Refused::Request => {
                report_refusal(manager, head, EventKind::DeviceNotProved);
                Answer::json(400, json!({ "error": "invalid_request" }))
            }
            Refused::Ended => Answer::json(401, json!({ "error": "unauthenticated" })),
            // The browser tries again.
            Refused::Later => Answer::later(),
        }
    }

    /// A cookie, and what is kept of it, with the challenge that comes next.
    fn fresh(&self, now: Timestamp) -> Result<(String, Fresh), Error> {
        let (cookie, challenge) = (self.draw()?, self.draw()?);
        let fresh = Fresh::new(&cookie, challenge, now, self.config.lifetime);
        Ok((cookie, fresh))
    }

    fn draw(&self) -> Result<String, EntropyError> {
        let mut bytes = [0; 16];
        self.config.entropy.fill(&mut bytes)?;
        Ok(encoding::encode(bytes))
    }
}

/// Why there is no cookie.
enum Refused {
    /// The request is not one of a browser that was offered this.
    Request,
    /// There is no session, or it has ended.
    Ended,
    /// The store, or the generator, failed.
    Later,
}

impl From<Unreadable> for Refused {
    fn from(_: Unreadable) -> Self {
        Self::Request
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        if matches!(error, Error::Gone | Error::NotAuthenticated) { Self::Ended } else { Self::Later }
    }
}

/// Whether a link or a form of another site, or of a sibling, led the browser to this page. Loaded again, it is the page's own doing.
fn is_led_here(head: &impl RequestHead) -> bool {
    let is = |name, values: &[&[u8]]| head.values(name).any(|value| values.contains(&value));
    head.method() == "GET"
        && is("sec-fetch-mode", &[b"navigate"])
        && is("sec-fetch-site", &[b"cross-site", b"same-site"])
}

/// The signature, if there is one.
fn answered(head: &impl RequestHead) -> Result<Option<&str>, Unreadable> {
    header::text(head, "secure-session-response")
}

fn state_of(session: &Session) -> Option<State> {
    State::decode(&session.binding()?)
}

/// The next state of the session. Without one, and where this version cannot read it, it stays as it is.
fn step(session: &Session, next: impl Fn(State) -> Option<State> + Send + Sync + 'static) -> Result<(), Error> {
    session.rebind(move |before| {
        let next = before.and_then(State::decode).and_then(&next);
        next.map(|next| next.encode()).or_else(|| before.map(Bytes::copy_from_slice))
    })
}

/// The session of the browser is over.
fn ended(id: &str) -> Answer {
    Answer::json(200, json!({ "session_identifier": id, "continue": false }))
}

impl fmt::Debug for DeviceBinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Config { origin, registration, renewal, cookie, lifetime, enforcement, entropy: _ } = &*self.config;
        f.debug_struct("DeviceBinding")
            .field("origin", origin)
            .field("registration", registration)
            .field("renewal", renewal)
            .field("cookie", cookie)
            .field("lifetime", lifetime)
            .field("enforcement", enforcement)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;

    #[test]
    fn what_browsers_would_not_take_cannot_be_configured() {
        let cookie = || CookiePolicy::builder("__Host-bound").build().unwrap();
        let new = |origin, bind, renew| DeviceBinding::new(origin, bind, renew, cookie()).map(drop);
        assert_eq!(new("https://shop.example:8443", "/bind", "/renew"), Ok(()));
        for origin in ["", "shop.example", "ftp://shop.example", "https://", "https://shop.example/", "https://a b"] {
            assert_eq!(new(origin, "/bind", "/renew"), Err(DeviceBindingError::Origin), "{origin}");
        }
        for path in ["", "bind", "/a\"b", "/a b", "/a\\b", "/ä"] {
            assert_eq!(new("https://shop.example", path, "/renew"), Err(DeviceBindingError::Path), "{path}");
            assert_eq!(new("https://shop.example", "/bind", path), Err(DeviceBindingError::Path), "{path}");
        }
        let binding = DeviceBinding::new("https://shop.example", "/bind", "/renew", cookie()).unwrap();
        for (seconds, is_allowed) in [(179, false), (180, true), (3600, true), (3601, false)] {
            let set = binding.clone().lifetime(Duration::from_secs(seconds));
            assert_eq!(set.is_ok(), is_allowed, "{seconds}");
        }
    }
}
