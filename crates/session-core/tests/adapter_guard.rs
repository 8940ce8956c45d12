//! The cross-origin guard: which requests pass, and which origins can be trusted.

#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};

use session_conformance::ReferenceStore;
use session_core::adapter::{
    Enforcement, MissingOrigin, OriginError, OriginGuard, PresentedCookie, RejectionKind, RequestHead,
};
use session_core::{Event, EventKind, SessionManager, SessionObserver};

const OWN: &str = "https://shop.example";
const TRUSTED: &str = "https://pay.example:8443";

struct Head<'r> {
    method: &'r str,
    authority: Option<&'r str>,
    headers: Vec<(&'r str, &'r str)>,
}

impl<'r> Head<'r> {
    fn new(method: &'r str, headers: &[(&'r str, &'r str)]) -> Self {
        Self { method, authority: None, headers: headers.to_vec() }
    }

    fn host(mut self, hosts: &[&'r str]) -> Self {
        self.headers.extend(hosts.iter().map(|host| ("host", *host)));
        self
    }
}

impl RequestHead for Head<'_> {
    fn method(&self) -> &str {
        self.method
    }

    fn authority(&self) -> Option<&[u8]> {
        self.authority.map(str::as_bytes)
    }

    fn values(&self, name: &'static str) -> impl Iterator<Item = &[u8]> {
        self.headers.iter().filter(move |(header, _)| *header == name).map(|(_, value)| value.as_bytes())
    }
}

fn allows(guard: &OriginGuard, head: &Head<'_>) -> bool {
    guard.allows(head, &PresentedCookie::Nothing)
}

#[test]
fn truth_table() {
    let origins: [&[&str]; 7] =
        [&[], &[OWN], &[TRUSTED], &["https://evil.example"], &["null"], &[OWN, OWN], &[TRUSTED, TRUSTED]];
    // One row per `Sec-Fetch-Site`, one column per `Origin`; y: an unsafe request may pass.
    let table: [(&[&str], &str); 8] = [
        (&[], "yyynnnn"),
        (&["same-origin"], "yyyyyyy"),
        (&["none"], "yyyyyyy"),
        (&["same-site"], "nnynnnn"),
        (&["cross-site"], "nnynnnn"),
        (&["Same-Origin"], "nnnnnnn"),
        (&[""], "nnnnnnn"),
        (&["same-origin", "same-origin"], "nnnnnnn"),
    ];
    let lenient = OriginGuard::new().trusted_origin(TRUSTED).unwrap();
    let strict = lenient.clone().missing_origin(MissingOrigin::Refuse);
    for method in ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "PURGE", "get"] {
        let is_safe = ["GET", "HEAD", "OPTIONS"].contains(&method);
        for (sites, row) in table {
            for (origin, expected) in origins.iter().zip(row.chars()) {
                let sites = sites.iter().map(|value| ("sec-fetch-site", *value));
                let headers: Vec<_> = sites.chain(origin.iter().map(|value| ("origin", *value))).collect();
                let head = Head::new(method, &headers).host(&["shop.example"]);
                assert_eq!(allows(&lenient, &head), is_safe || expected == 'y', "{method} {headers:?}");
                let expected = expected == 'y' && !headers.is_empty();
                assert_eq!(allows(&strict, &head), is_safe || expected, "strict: {method} {headers:?}");
            }
        }
    }
}

#[test]
fn the_own_origin_is_the_host_the_request_was_sent_to() {
    let passes = |authority: Option<&str>, hosts: &[&str], origin: &str| {
        let head = Head { authority, ..Head::new("POST", &[("origin", origin)]).host(hosts) };
        allows(&OriginGuard::new(), &head)
    };
    for (hosts, origin) in [
        (&["shop.example"][..], "https://shop.example"),
        (&["shop.example"], "http://shop.example"),
        (&["shop.example:8443"], "https://shop.example:8443"),
        (&["[::1]:3000"], "http://[::1]:3000"),
    ] {
        assert!(passes(None, hosts, origin), "{hosts:?} {origin}");
    }
    for (hosts, origin) in [
        (&["shop.example:8443"][..], "https://shop.example"),
        (&["shop.example"], "https://www.shop.example"),
        (&["shop.example"], "https://shop.example.evil.example"),
        (&["shop.example"], "https://evil.example/shop.example"),
        (&["shop.example"], "https://user@shop.example"),
        (&["shop.example"], "https://shop.example/"),
        (&["shop.example"], "shop.example"),
        (&["shop.example"], "chrome-extension://shop.example"),
        (&[""], "https://"),
        (&[], "https://shop.example"),
        (&["shop.example", "shop.example"], "https://shop.example"),
    ] {
        assert!(!passes(None, hosts, origin), "{hosts:?} {origin}");
    }
    assert!(passes(Some("shop.example"), &["evil.example"], "https://shop.example"), "the target decides over Host");
    assert!(!passes(Some("shop.example"), &["evil.example"], "https://evil.example"));
}

#[test]
fn websocket_handshakes_with_a_session_cookie_are_guarded() {
    let passes = |upgrade: &str, presented: &PresentedCookie| {
        let head = Head::new("GET", &[("upgrade", upgrade), ("origin", "https://evil.example")]);
        OriginGuard::new().allows(&head.host(&["shop.example"]), presented)
    };
    for presented in [PresentedCookie::Malformed, PresentedCookie::Ambiguous, PresentedCookie::Sealed(Vec::new())] {
        for upgrade in ["websocket", "WebSocket", "h2c, websocket", "h2c ,websocket"] {
            assert!(!passes(upgrade, &presented), "{upgrade} {presented:?}");
        }
        assert!(passes("h2c", &presented), "an ordinary GET");
    }
    assert!(passes("websocket", &PresentedCookie::Nothing), "no session to abuse");
}

#[derive(Clone, Debug, Default)]
struct Events(Arc<Mutex<Vec<EventKind>>>);

impl SessionObserver for Events {
    fn on_event(&self, event: &Event) {
        self.0.lock().unwrap().push(event.kind.clone());
    }
}

#[test]
fn enforcement_decides_what_is_refused_and_what_is_reported() {
    let cross_site = Head::new("POST", &[("sec-fetch-site", "cross-site"), ("cookie", "__Host-id=x")]);
    let refused = Some(RejectionKind::CrossOrigin);
    for (enforcement, outcome, events) in [
        (Enforcement::Refuse, refused, &[EventKind::CrossOrigin][..]),
        (Enforcement::ReportOnly, None, &[EventKind::CrossOrigin]),
        (Enforcement::Off, None, &[]),
    ] {
        let seen = Events::default();
        let manager = SessionManager::builder(Arc::new(ReferenceStore::new())).observer(seen.clone()).build();
        let guard = OriginGuard::new().enforcement(enforcement);
        assert_eq!(guard.begin_request(&manager, &cross_site).err(), outcome, "{enforcement:?}");
        assert_eq!(*seen.0.lock().unwrap(), events, "{enforcement:?}");
    }
}

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
        "https://[2001:db8::1]",
        "http://localhost",
    ] {
        assert!(OriginGuard::new().trusted_origin(good).is_ok(), "{good}");
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
        "https://:8443",
        "https://example.org/",
        "https://example.org/path",
        "https://example.org?query",
        "https://example.org#fragment",
        "https://example.org:443",
        "http://example.org:80",
        "https://example.org:",
        "https://example.org:0443",
        "https://example.org:+8443",
        "https://example.org:65536",
        "https://example.org:8443:8443",
        "https://Example.org",
        "HTTPS://example.org",
        "https://user@example.org",
        "https://user:password@example.org",
        "https://*.example.org",
        "https://exämple.org",
        "https://example.org ",
        " https://example.org",
        "https://example.org,https://example.com",
        "ftp://example.org",
        "file://",
        "https://[::1",
        "https://::1",
        "https://[]",
        "https://[::1]:443",
        "https://[::1]]",
        "https://[::1]x",
        "https://[::A]",
        "https://[::1%eth0]",
        "https://[example.org]",
    ] {
        assert_eq!(OriginGuard::new().trusted_origin(bad).err(), Some(OriginError), "{bad}");
    }
}
