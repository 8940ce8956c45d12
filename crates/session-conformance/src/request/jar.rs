//! [`CookieJar`]: cookies as a browser keeps them by RFC 6265bis.

use std::time::Duration;

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
    cookies: Vec<Cookie>,
    /// Keeps expired and removed cookies.
    keep_all: bool,
}

/// One cookie of the jar. The first five fields are its key.
#[derive(Clone)]
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
        self.cookies.retain(|cookie| cookie.expires.is_some());
    }

    /// The `Cookie` header of a request to `path`; empty if there is none.
    pub(super) fn header(&self, path: &str) -> String {
        let mut sent: Vec<&Cookie> = self.cookies.iter().filter(|cookie| self.sends(cookie, path)).collect();
        // Longer paths first; among equal ones, in the order in which they came.
        sent.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let pairs: Vec<String> = sent.iter().map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect();
        pairs.join("; ")
    }

    fn sends(&self, cookie: &Cookie, path: &str) -> bool {
        let rest = path.strip_prefix(cookie.path.as_str());
        self.keeps(cookie)
            && rest.is_some_and(|rest| rest.is_empty() || cookie.path.ends_with('/') || rest.starts_with('/'))
    }

    fn keeps(&self, cookie: &Cookie) -> bool {
        self.keep_all || cookie.expires.is_none_or(|expires| self.clock.now() < expires)
    }

    /// Does with a `Set-Cookie` header what section 5.7 of RFC 6265bis says, and ignores what it must refuse.
    pub(super) fn store(&mut self, set_cookie: &str) {
        let Some(cookie) = self.parse(set_cookie) else { return };
        let is_removal = cookie.expires.is_some_and(|expires| expires <= self.clock.now());
        if self.keep_all && is_removal {
            return;
        }
        match self.cookies.iter().position(|old| cookie.replaces(old)) {
            Some(at) => self.cookies[at] = cookie,
            None => self.cookies.push(cookie),
        }
        let now = self.clock.now();
        self.cookies.retain(|cookie| self.keep_all || cookie.expires.is_none_or(|expires| now < expires));
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
                // `Expires` counts without `Max-Age` only, and core never sends it alone.
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
