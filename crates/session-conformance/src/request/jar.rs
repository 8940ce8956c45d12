//! [`CookieJar`]: cookies as a browser keeps them by RFC 6265bis.

use std::time::Duration;

use cookie::Cookie;
use session_core::{Clock, ManualClock, Timestamp};

use super::support::HOST;

/// Longest name and value together, in bytes.
const MAX_PAIR: usize = 4096;
/// The longest a browser keeps a cookie.
const MAX_AGE: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// The cookies of a browser that is at [`HOST`], over https.
#[derive(Clone)]
pub(super) struct CookieJar {
    clock: ManualClock,
    /// Each with its expiry, unless it ends with the browser.
    cookies: Vec<(Cookie<'static>, Option<Timestamp>)>,
    /// Keeps expired and removed cookies.
    keep_all: bool,
}

impl CookieJar {
    pub(super) fn new(clock: ManualClock) -> Self {
        Self { clock, cookies: Vec::new(), keep_all: false }
    }

    /// A copy that never drops a cookie.
    pub(super) fn stolen(&self) -> Self {
        Self { keep_all: true, ..self.clone() }
    }

    /// Drops the cookies that end with the browser.
    pub(super) fn drop_transient(&mut self) {
        self.cookies.retain(|(_, expires)| expires.is_some());
    }

    /// The `Cookie` header of a request to `path`; empty if there is none.
    pub(super) fn header(&self, path: &str) -> String {
        let live = self.cookies.iter().filter(|(_, expires)| self.keep_all || self.is_live(*expires));
        let mut sent: Vec<&Cookie<'_>> = live.map(|(cookie, _)| cookie).filter(|it| is_for(it, path)).collect();
        // Longer paths first; among equal ones, in the order in which they came.
        sent.sort_by_key(|cookie| std::cmp::Reverse(path_of(cookie).len()));
        let pairs: Vec<String> = sent.iter().map(|cookie| cookie.stripped().to_string()).collect();
        pairs.join("; ")
    }

    /// Does with a `Set-Cookie` header what section 5.7 of RFC 6265bis says, and ignores what it must refuse. `Expires`
    /// counts without `Max-Age` only, and core never sends it alone.
    pub(super) fn store(&mut self, set_cookie: &str) {
        let Some(cookie) = Cookie::parse(set_cookie.to_owned()).ok().filter(is_acceptable) else { return };
        let age = cookie.max_age().map(|age| Duration::try_from(age).unwrap_or_default().min(MAX_AGE));
        let expires = age.map(|age| self.clock.now() + age);
        let is_live = self.is_live(expires);
        if is_live || !self.keep_all {
            self.cookies.retain(|(old, _)| key(old) != key(&cookie));
        }
        if is_live {
            self.cookies.push((cookie, expires));
        }
    }

    fn is_live(&self, expires: Option<Timestamp>) -> bool {
        expires.is_none_or(|expires| self.clock.now() < expires)
    }
}

/// What tells a cookie from others.
fn key<'c>(cookie: &'c Cookie<'_>) -> (&'c str, Option<String>, &'c str, bool) {
    (cookie.name(), domain_of(cookie), path_of(cookie), cookie.partitioned() == Some(true))
}

/// None if it is for its host alone.
fn domain_of(cookie: &Cookie<'_>) -> Option<String> {
    cookie.domain().map(str::to_ascii_lowercase)
}

fn path_of<'c>(cookie: &'c Cookie<'_>) -> &'c str {
    cookie.path().filter(|path| path.starts_with('/')).unwrap_or("/")
}

fn is_for(cookie: &Cookie<'_>, path: &str) -> bool {
    let rest = path.strip_prefix(path_of(cookie));
    rest.is_some_and(|rest| rest.is_empty() || path_of(cookie).ends_with('/') || rest.starts_with('/'))
}

fn is_acceptable(cookie: &Cookie<'_>) -> bool {
    let name = cookie.name().to_ascii_lowercase();
    let (is_host, is_secure) = (name.starts_with("__host-"), name.starts_with("__secure-"));
    let needs_secure = is_host || is_secure || cookie.partitioned() == Some(true);
    let rest = domain_of(cookie).map_or(Some(""), |domain| HOST.strip_suffix(domain.as_str()));
    cookie.name().len() + cookie.value().len() <= MAX_PAIR
        && rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        && (!needs_secure || cookie.secure() == Some(true))
        && (!is_host || (cookie.domain().is_none() && cookie.path() == Some("/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(4_102_444_800_000);

    fn header_after(set_cookie: &str) -> String {
        let mut jar = CookieJar::new(ManualClock::new(NOW));
        jar.store(set_cookie);
        jar.header("/app/cart")
    }

    #[test]
    fn refuses_what_a_browser_refuses() {
        for accepted in [
            "__Host-a=1; Secure; Path=/",
            "__Secure-a=1; secure; domain=.Shop.Example; path=/app",
            "a=1; Path=/app/",
            "a=1; Partitioned; Secure",
        ] {
            assert!(!header_after(accepted).is_empty(), "{accepted}");
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
            assert_eq!(header_after(refused), "", "{refused}");
        }
        assert_eq!(header_after(&format!("a={}", "x".repeat(MAX_PAIR))), "");
    }

    #[test]
    fn removes_only_what_has_the_same_key() {
        let clock = ManualClock::new(NOW);
        let mut jar = CookieJar::new(clock.clone());
        jar.store("__Host-a=1; Secure; Path=/");
        jar.store("__Host-a=; Max-Age=0");
        jar.store("b=2; Path=/app; Max-Age=60");
        assert_eq!(jar.header("/app/cart"), "b=2; __Host-a=1");
        jar.store("__Host-a=; Secure; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT");
        let copy = jar.stolen();
        clock.advance(Duration::from_secs(60));
        assert_eq!(jar.header("/app/cart"), "");
        assert_eq!(copy.header("/app/cart"), "b=2");
    }
}
