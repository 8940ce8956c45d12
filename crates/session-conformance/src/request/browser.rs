//! [`Browser`]: a cookie jar that obeys RFC 6265bis, and nothing else of a browser.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use session_core::{Clock, Error, ManualClock, Session, SessionId, Timestamp, UserId};

use super::node::{Exchange, Method, Node, Reply};
use crate::env::Env;
use crate::outcome::Failure;

/// Where every browser is: at this host, over https.
const HOST: &str = "www.shop.example";
/// Longest name and value together, in bytes.
const MAX_PAIR: usize = 4096;
/// The longest a browser keeps a cookie.
const MAX_AGE: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// A user agent. Clones share one jar: they are tabs of one browser.
#[derive(Clone)]
pub(super) struct Browser {
    clock: ManualClock,
    path: &'static str,
    jar: Arc<Mutex<Vec<Cookie>>>,
    /// Keeps what it should drop, as a thief does.
    hoards: bool,
}

/// One cookie of the jar. The first five fields are its key.
#[derive(Clone, PartialEq, Eq)]
struct Cookie {
    name: String,
    domain: String,
    host_only: bool,
    path: String,
    partitioned: bool,
    value: String,
    expires: Option<Timestamp>,
}

impl Cookie {
    fn replaces(&self, other: &Self) -> bool {
        (&self.name, &self.domain, self.host_only, &self.path, self.partitioned)
            == (&other.name, &other.domain, other.host_only, &other.path, other.partitioned)
    }
}

impl Browser {
    /// With an empty jar, at the root of the site.
    pub(super) fn new(env: &Env) -> Self {
        Self { clock: env.clock().clone(), path: "/", jar: Arc::default(), hoards: false }
    }

    /// At this path of the site.
    pub(super) fn at(mut self, path: &'static str) -> Self {
        self.path = path;
        self
    }

    /// Another browser, with a copy of this one's cookies, that never lets go of a cookie: what a thief has.
    pub(super) fn stolen(&self) -> Self {
        Self { jar: Arc::new(Mutex::new(self.jar().clone())), hoards: true, ..self.clone() }
    }

    /// Closes the browser and opens it again: what is left are the persistent cookies.
    pub(super) fn restart(&self) {
        self.jar().retain(|cookie| cookie.expires.is_some());
    }

    /// The `Cookie` header it would send now; empty if there is none.
    pub(super) fn header(&self) -> String {
        let now = self.clock.now();
        let mut matching: Vec<Cookie> = self.jar().iter().filter(|cookie| self.sends(cookie, now)).cloned().collect();
        // Longer paths first; among equal ones, in the order in which they came.
        matching.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let pairs: Vec<String> = matching.iter().map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect();
        pairs.join("; ")
    }

    /// The value of the cookie `name` that it would send now.
    pub(super) fn cookie(&self, name: &str) -> Option<String> {
        let now = self.clock.now();
        self.jar().iter().find(|cookie| cookie.name == name && self.sends(cookie, now)).map(|it| it.value.clone())
    }

    fn sends(&self, cookie: &Cookie, now: Timestamp) -> bool {
        let fresh = self.hoards || cookie.expires.is_none_or(|expires| now < expires);
        let rest = self.path.strip_prefix(cookie.path.as_str());
        fresh && rest.is_some_and(|rest| rest.is_empty() || cookie.path.ends_with('/') || rest.starts_with('/'))
    }

    /// Does with a `Set-Cookie` header what section 5.7 of RFC 6265bis says. What it refuses, it ignores in silence.
    pub(super) fn store(&self, set_cookie: &str) {
        let Some(cookie) = self.parse(set_cookie) else { return };
        let dead = cookie.expires.is_some_and(|expires| expires <= self.clock.now());
        if self.hoards && dead {
            return;
        }
        let mut jar = self.jar();
        match jar.iter_mut().find(|old| cookie.replaces(old)) {
            Some(old) => *old = cookie,
            None => jar.push(cookie),
        }
        jar.retain(|cookie| self.hoards || cookie.expires.is_none_or(|expires| self.clock.now() < expires));
    }

    fn parse(&self, set_cookie: &str) -> Option<Cookie> {
        let mut parts = set_cookie.split(';').map(str::trim);
        let (name, value) = parts.next()?.split_once('=')?;
        let mut cookie = Cookie {
            name: name.trim().to_owned(),
            domain: HOST.to_owned(),
            host_only: true,
            path: "/".to_owned(),
            partitioned: false,
            value: value.trim().to_owned(),
            expires: None,
        };
        let (mut secure, mut root_path) = (false, false);
        for part in parts {
            let (attribute, value) = part.split_once('=').unwrap_or((part, ""));
            match (attribute.trim().to_ascii_lowercase().as_str(), value.trim()) {
                // `Expires` counts without `Max-Age` only, and a server of this suite never sends it alone.
                ("max-age", seconds) => cookie.expires = Some(self.expiry(seconds.parse().ok()?)),
                ("domain", domain) if !domain.is_empty() => {
                    cookie.domain = domain.trim_start_matches('.').to_ascii_lowercase();
                    cookie.host_only = false;
                }
                ("path", path) => {
                    root_path = path == "/";
                    cookie.path = if path.starts_with('/') { path.to_owned() } else { "/".to_owned() };
                }
                ("secure", _) => secure = true,
                ("partitioned", _) => cookie.partitioned = true,
                (_, _) => {}
            }
        }
        let lower = cookie.name.to_ascii_lowercase();
        let in_host = HOST.strip_suffix(&cookie.domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        let host_prefix = lower.starts_with("__host-");
        let acceptable = cookie.name.len() + cookie.value.len() <= MAX_PAIR
            && in_host
            && (secure || !(host_prefix || lower.starts_with("__secure-") || cookie.partitioned))
            && (!host_prefix || (cookie.host_only && root_path));
        acceptable.then_some(cookie)
    }

    fn expiry(&self, seconds: i64) -> Timestamp {
        match u64::try_from(seconds) {
            Ok(seconds) if seconds > 0 => self.clock.now() + Duration::from_secs(seconds).min(MAX_AGE),
            Ok(_) | Err(_) => Timestamp::EPOCH,
        }
    }

    fn jar(&self) -> MutexGuard<'_, Vec<Cookie>> {
        self.jar.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Requests.
impl Browser {
    /// Sends a request with an unsafe method and the cookies of now. It then waits in its handler until it is told to
    /// respond.
    pub(super) fn begin(&self, node: &Node) -> Exchange {
        node.receive(Method::Post, &[&self.header()])
    }

    /// Takes a response in, and returns what the handler or else the commit led to.
    pub(super) fn take<T>(&self, reply: Reply<T>) -> Result<T, Error> {
        if let Some(set_cookie) = &reply.set_cookie {
            self.store(set_cookie);
        }
        reply.result
    }

    /// A whole request whose handler asks for the session and does `work` with it. The response is taken in.
    pub(super) async fn post<T>(
        &self,
        node: &Node,
        work: impl FnOnce(&Session) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.take(self.begin(node).handle(work).await)
    }

    /// As [`post`](Self::post), with a safe method.
    pub(super) async fn get<T>(
        &self,
        node: &Node,
        work: impl FnOnce(&Session) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.take(node.receive(Method::Get, &[&self.header()]).handle(work).await)
    }

    /// Logs `user` in and returns the id of the new session.
    pub(super) async fn log_in(&self, node: &Node, user: &UserId) -> Result<SessionId, Failure> {
        self.log_in_with(node, session_core::Login::new(user.clone())).await
    }

    /// Logs in with these particulars and returns the id of the new session.
    pub(super) async fn log_in_with(&self, node: &Node, login: session_core::Login) -> Result<SessionId, Failure> {
        let session = self.post(node, |session| session.login(login).map(|()| session.clone())).await?;
        session.id().ok_or_else(|| Failure::new("a login that succeeded left no session"))
    }

    /// Who a node takes this browser for.
    pub(super) async fn user(&self, node: &Node) -> Result<Option<UserId>, Failure> {
        Ok(self.post(node, |session| Ok(session.user())).await?)
    }

    /// Whether a node finds a stored session for this browser.
    pub(super) async fn has_session(&self, node: &Node) -> Result<bool, Failure> {
        Ok(self.post(node, |session| Ok(session.id().is_some())).await?)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::reference_harness::ReferenceHarness;

    fn browser() -> Result<(Env, Browser), Failure> {
        let env = Env::new(Arc::new(ReferenceHarness::default()), "browser", None)?;
        let browser = Browser::new(&env).at("/app/cart");
        Ok((env, browser))
    }

    /// What a browser with an empty jar sends after it was given `set_cookie`.
    fn keeps(set_cookie: &str) -> Result<String, Failure> {
        let (_, browser) = browser()?;
        browser.store(set_cookie);
        Ok(browser.header())
    }

    #[test]
    fn refuses_what_a_browser_refuses() -> Result<(), Failure> {
        for accepted in [
            "__Host-a=1; Secure; Path=/",
            "__Secure-a=1; secure; domain=.Shop.Example; path=/app",
            "a=1; Path=/app/",
            "a=1; Partitioned; Secure",
        ] {
            assert!(!keeps(accepted)?.is_empty(), "{accepted}");
        }
        for refused in [
            "__Host-a=1; Path=/",
            "__Host-a=1; Secure",
            "__host-a=1; Secure; Path=/app",
            "__Host-a=1; Secure; Path=/; Domain=shop.example",
            "__Secure-a=1; Path=/",
            "a=1; Partitioned",
            "a=1; Domain=example.org",
            "a=1; Domain=op.example",
            "a=1; Path=/other",
            "a=1; Path=/ap",
            "a=1; Max-Age=0",
            "a",
        ] {
            assert_eq!(keeps(refused)?, "", "{refused}");
        }
        assert_eq!(keeps(&format!("a={}", "x".repeat(MAX_PAIR)))?, "");
        Ok(())
    }

    #[test]
    fn removes_only_what_has_the_same_key() -> Result<(), Failure> {
        let (env, browser) = browser()?;
        browser.store("__Host-a=1; Secure; Path=/");
        browser.store("__Host-a=; Max-Age=0");
        browser.store("b=2; Path=/app; Max-Age=60");
        assert_eq!(browser.header(), "b=2; __Host-a=1");
        browser.store("__Host-a=; Secure; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT");
        let copy = browser.stolen();
        env.clock().advance(Duration::from_secs(60));
        assert_eq!(browser.header(), "");
        assert_eq!(copy.header(), "b=2");
        Ok(())
    }
}
