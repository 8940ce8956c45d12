//! What adapters share: the cross-origin guard, the codes of rejections, the tokens in requests.

#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};

use session_conformance::ReferenceStore;
use session_core::adapter::{
    BearerRejectionKind, Challenge, Enforcement, MissingOrigin, OriginError, OriginGuard, PresentedCookie,
    RejectionKind, RequestHead, Requirement, TokenTransport, bearer_token,
};
use session_core::{
    CookiePolicy, EntropyError, Error, Event, EventKind, OriginRefusal, RequestContext, SameSite, SessionManager,
    SessionObserver, StoreError, StoreErrorKind,
};

const OWN: &str = "https://shop.example";
const TRUSTED: &str = "https://pay.example:8443";

struct Head<'r> {
    method: &'r str,
    path: &'r str,
    authority: Option<&'r str>,
    headers: Vec<(&'r str, &'r [u8])>,
}

impl<'r> Head<'r> {
    fn new(method: &'r str, headers: &[(&'r str, &'r str)]) -> Self {
        let headers = headers.iter().map(|(name, value)| (*name, value.as_bytes()));
        Self { method, path: "/", authority: None, headers: headers.collect() }
    }

    /// A request with these values of one header.
    fn with(name: &'r str, values: &[&'r [u8]]) -> Self {
        Self { headers: values.iter().map(|value| (name, *value)).collect(), ..Self::new("POST", &[]) }
    }

    fn host(mut self, hosts: &[&'r str]) -> Self {
        self.headers.extend(hosts.iter().map(|host| ("host", host.as_bytes())));
        self
    }
}

impl RequestHead for Head<'_> {
    fn method(&self) -> &str {
        self.method
    }

    fn path(&self) -> &str {
        self.path
    }

    fn authority(&self) -> Option<&[u8]> {
        self.authority.map(str::as_bytes)
    }

    fn values(&self, name: &'static str) -> impl Iterator<Item = &[u8]> {
        self.headers.iter().filter(move |(header, _)| *header == name).map(|(_, value)| *value)
    }

    fn describe(&self, context: &mut RequestContext) {
        context.request_id = Some("request 1".to_owned());
    }
}

fn allows(guard: &OriginGuard, head: &Head<'_>) -> bool {
    guard.refusal(head, &PresentedCookie::Nothing).is_none()
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
        (&["shop.example:80"], "http://shop.example"),
        (&["shop.example:443"], "https://shop.example"),
        (&["shop.example"], "https://shop.example:443"),
        (&["Shop.Example"], "https://shop.example"),
        (&["SHOP.example:443"], "https://shop.Example"),
        (&["[0:0::1]"], "http://[::1]"),
        (&["shop.example:"], "https://shop.example"),
    ] {
        assert!(passes(None, hosts, origin), "{hosts:?} {origin}");
    }
    for (hosts, origin) in [
        (&["shop.example:8443"][..], "https://shop.example"),
        (&["shop.example:443"], "http://shop.example"),
        (&["shop.example:80"], "https://shop.example"),
        (&["shop.example"], "https://shop.example:8443"),
        (&["shop.example:x"], "https://shop.example"),
        (&["shop.example:99999"], "https://shop.example"),
        (&["shop.example"], "wss://shop.example"),
        (&["null"], "null"),
        (&["[::1"], "http://[::1]"),
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
        OriginGuard::new().refusal(&head.host(&["shop.example"]), presented).is_none()
    };
    for presented in [
        PresentedCookie::Malformed,
        PresentedCookie::Several { cookies: Vec::new(), is_complete: true },
        PresentedCookie::Sealed(Vec::new()),
    ] {
        for upgrade in ["websocket", "WebSocket", "h2c, websocket", "h2c ,websocket"] {
            assert!(!passes(upgrade, &presented), "{upgrade} {presented:?}");
        }
        assert!(passes("h2c", &presented), "an ordinary GET");
    }
    for nothing in [PresentedCookie::Nothing, PresentedCookie::Withheld] {
        assert!(passes("websocket", &nothing), "no session to abuse");
    }
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
        (Enforcement::Refuse, refused, &[EventKind::CrossOrigin(OriginRefusal::OtherSite)][..]),
        (Enforcement::ReportOnly, None, &[EventKind::CrossOrigin(OriginRefusal::OtherSite)]),
        (Enforcement::Off, None, &[]),
    ] {
        let seen = Events::default();
        let manager = SessionManager::builder(Arc::new(ReferenceStore::new())).observer(seen.clone()).build();
        let guard = OriginGuard::new().enforcement(enforcement);
        assert_eq!(guard.begin_request(&manager, &cross_site).err(), outcome, "{enforcement:?}");
        assert_eq!(*seen.0.lock().unwrap(), events, "{enforcement:?}");

        // Who is let in says nothing about which host is answered for.
        let guard = guard.allowed_host("shop.example").unwrap();
        let rebound = Head::new("GET", &[]).host(&["evil.example"]);
        let refused = (enforcement != Enforcement::ReportOnly).then_some(RejectionKind::HostNotAllowed);
        assert_eq!(guard.begin_request(&manager, &rebound).err(), refused, "{enforcement:?}");
        assert!(guard.begin_request(&manager, &Head::new("GET", &[]).host(&["shop.example"])).is_ok());
    }
}

fn trusting(origin: &str) -> Result<OriginGuard, OriginError> {
    OriginGuard::new().trusted_origin(origin)
}

fn is_trusted(trusted: &str, origin: &str) -> bool {
    let head = Head::new("POST", &[("sec-fetch-site", "cross-site"), ("origin", origin)]).host(&["shop.example"]);
    allows(&trusting(trusted).unwrap(), &head)
}

#[test]
fn an_origin_is_trusted_however_it_is_written() {
    for (trusted, origins) in [
        ("https://example.org", &["https://example.org", "https://example.org:443", "https://EXAMPLE.org"][..]),
        ("HTTPS://Example.org:443", &["https://example.org"]),
        ("http://example.org:443", &["http://example.org:443"]),
        (" https://xn--exmple-cua.com ", &["https://xn--exmple-cua.com"]),
        ("http://127.0.0.1:3000", &["http://127.0.0.1:3000"]),
        ("https://[2001:DB8:0::1]", &["https://[2001:db8::1]"]),
        ("http://localhost", &["http://localhost"]),
        ("capacitor://localhost", &["capacitor://localhost"]),
        ("tauri://localhost", &["tauri://localhost"]),
        ("ionic://localhost:8100", &["ionic://localhost:8100"]),
        (
            "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
            &["chrome-extension://abcdefghijklmnopabcdefghijklmnop"],
        ),
        (
            "moz-extension://2c127fa4-62c7-7e4f-90e5-472b45eecfdc",
            &["moz-extension://2c127fa4-62c7-7e4f-90e5-472b45eecfdc"],
        ),
        ("safari-web-extension://9B0A1C", &["safari-web-extension://9b0a1c"]),
        ("capacitor-electron://-", &["capacitor-electron://-"]),
        ("app://.", &["app://."]),
    ] {
        for origin in origins {
            assert!(is_trusted(trusted, origin), "{trusted} {origin}");
        }
        for other in ["https://example.org:8443", "http://example.org", "capacitor://evil", "null", "", "https://"] {
            assert!(!is_trusted(trusted, other), "{trusted} {other}");
        }
    }
}

#[test]
fn a_pattern_fits_one_label_of_a_registered_domain() {
    for (pattern, fits, fits_not) in [
        (
            "https://*.example.org",
            &["https://a.example.org", "https://A-1.example.org:443"][..],
            &[
                "https://example.org",
                "https://.example.org",
                "https://a.b.example.org",
                "https://aexample.org",
                "https://a.example.org.evil.com",
                "https://a.example.org:8443",
                "http://a.example.org",
                "https://evil.com/.example.org",
                "https://a@b.example.org",
            ][..],
        ),
        (
            "https://pr-*-shop.team.vercel.app",
            &["https://pr-17-shop.team.vercel.app"],
            &[
                "https://pr--shop.team.vercel.app.evil.com",
                "https://pr-shop.team.vercel.app",
                "https://pr-1.team.vercel.app",
            ],
        ),
        (
            "https://preview-*.shop.co.uk:8443",
            &["https://preview-x.shop.co.uk:8443"],
            &["https://preview-x.shop.co.uk"],
        ),
        ("https://*.intern.lan", &["https://a.intern.lan"], &["https://intern.lan"]),
        ("http://*.user.github.io", &["http://a.user.github.io"], &["http://a.other.github.io"]),
    ] {
        fits.iter().for_each(|origin| assert!(is_trusted(pattern, origin), "{pattern} {origin}"));
        fits_not.iter().for_each(|origin| assert!(!is_trusted(pattern, origin), "{pattern} {origin}"));
    }
}

#[test]
fn what_could_never_match_or_anybody_can_fit_is_refused() {
    use OriginError::{Excess, Form, NotAscii, Opaque, TooWide, Wildcard};
    for (bad, error) in [
        ("", Form),
        ("null", Opaque),
        ("*", Form),
        ("example.org", Form),
        ("//example.org", Form),
        ("://example.org", Form),
        ("1x://example.org", Form),
        ("https://", Form),
        ("https:///", Excess),
        ("https://:443", Form),
        ("https://example.org/", Excess),
        ("https://example.org/path", Excess),
        ("https://example.org?query", Excess),
        ("https://example.org#fragment", Excess),
        ("https://user@example.org", Excess),
        ("https://example.org:+8443", Form),
        ("https://example.org:65536", Form),
        ("https://example.org:8443:8443", Form),
        ("https://example..org", Form),
        ("https://example.org.", Form),
        ("https://exämple.org", NotAscii),
        ("https://example.org,https://example.com", Excess),
        ("file://", Opaque),
        ("data://x", Opaque),
        ("https://[::1", Form),
        ("https://::1", Form),
        ("https://[]", Form),
        ("https://[::1]x", Form),
        ("https://[example.org]", Form),
        ("https://*", TooWide),
        ("https://*.com", TooWide),
        ("https://*.co.uk", TooWide),
        ("https://*.vercel.app", TooWide),
        ("https://shop-*.vercel.app", TooWide),
        ("https://*.github.io", TooWide),
        ("https://*.s3.amazonaws.com", TooWide),
        ("https://*.localhost", TooWide),
        ("https://shop*", TooWide),
        ("chrome-extension://*", TooWide),
        ("https://a.*.example.org", Wildcard),
        ("https://*.*.example.org", Wildcard),
        ("https://**.example.org", Wildcard),
        ("https://*.168.1.1", TooWide),
    ] {
        assert_eq!(trusting(bad).err(), Some(error), "{bad}");
    }
    assert!(OriginError::Form.to_string().contains("scheme://host"));
}

#[test]
fn only_allowed_hosts_are_answered() {
    let guard = OriginGuard::new().allowed_host("shop.example").unwrap().allowed_host("[::1]").unwrap();
    let guard = guard.exempt("/healthz");
    for method in ["GET", "POST"] {
        for host in ["shop.example", "SHOP.example", "shop.example:8443", "[0::1]:3000"] {
            assert!(allows(&guard, &Head::new(method, &[]).host(&[host])), "{method} {host}");
        }
        for hosts in
            [&["evil.example"][..], &["shop.example.evil"], &["10.0.0.1"], &[], &["shop.example", "shop.example"]]
        {
            let head = Head::new(method, &[("sec-fetch-site", "same-origin")]).host(hosts);
            let refusal = guard.refusal(&head, &PresentedCookie::Nothing);
            assert_eq!(refusal, Some(OriginRefusal::HostNotAllowed), "{method} {hosts:?}");
            assert!(allows(&guard, &Head { path: "/healthz", ..head }), "{method} {hosts:?}");
        }
        let over_http2 = Head { authority: Some("evil.example"), ..Head::new(method, &[]).host(&["shop.example"]) };
        assert!(!allows(&guard, &over_http2));
    }
    for (bad, error) in [
        ("", OriginError::Host),
        ("shop.example:443", OriginError::Host),
        ("*.example", OriginError::Host),
        ("https://shop.example", OriginError::Excess),
        ("shop.example/", OriginError::Excess),
        ("läden.example", OriginError::NotAscii),
    ] {
        assert_eq!(OriginGuard::new().allowed_host(bad).err(), Some(error), "{bad}");
    }
}

#[test]
fn an_exempt_path_ends_at_a_segment() {
    let guard = OriginGuard::new().exempt("/webhooks").exempt("/pay/return/");
    let passes = |path| allows(&guard, &Head { path, ..Head::new("POST", &[("sec-fetch-site", "cross-site")]) });
    for path in ["/webhooks", "/webhooks/", "/webhooks/stripe", "/pay/return", "/pay/return/1"] {
        assert!(passes(path), "{path}");
    }
    for path in ["/", "/webhooks-2", "/Webhooks", "/api/webhooks", "/web%68ooks", "/pay", "/pay/returned", ""] {
        assert!(!passes(path), "{path}");
    }
}

/// Each refusal says which request it was, and why.
#[test]
fn a_refusal_names_its_request() {
    #[derive(Clone, Debug, Default)]
    struct Requests(Arc<Mutex<Vec<(EventKind, RequestContext)>>>);
    impl SessionObserver for Requests {
        fn on_event(&self, event: &Event) {
            let context = event.request.as_deref().cloned().unwrap_or_default();
            self.0.lock().unwrap().push((event.kind.clone(), context));
        }
    }
    let (seen, strict) = (Requests::default(), OriginGuard::new().missing_origin(MissingOrigin::Refuse));
    let manager = SessionManager::builder(Arc::new(ReferenceStore::new())).observer(seen.clone()).build();
    let strict = strict.allowed_host("shop.example").unwrap();
    let long = "x".repeat(10_000);
    for (headers, refusal) in [
        (&[("sec-fetch-site", "same-site"), ("host", "shop.example")][..], OriginRefusal::OtherSite),
        (&[("origin", "https://evil.example"), ("host", "shop.example")], OriginRefusal::OtherHost),
        (&[("origin", "null"), ("host", "shop.example")], OriginRefusal::Opaque),
        (&[("host", "shop.example")], OriginRefusal::Missing),
        (&[("sec-fetch-site", "odd"), ("host", "shop.example")], OriginRefusal::Unreadable),
        (&[("origin", "a\nb"), ("host", "evil.example"), ("user-agent", &long)], OriginRefusal::HostNotAllowed),
    ] {
        let head = Head { path: "/transfer", ..Head::new("POST", headers) };
        assert!(strict.begin_request(&manager, &head).is_err());
        let (kind, context) = seen.0.lock().unwrap().pop().unwrap();
        assert_eq!(kind, EventKind::CrossOrigin(refusal));
        assert_eq!((&*context.method, &*context.path), ("POST", "/transfer"));
        let sent =
            |name| headers.iter().find(|(header, _)| *header == name).map(|(_, value)| value.replace('\n', "\u{fffd}"));
        assert_eq!((context.host, context.origin), (sent("host"), sent("origin")));
        assert!(context.user_agent.is_none_or(|agent| agent.len() == 256));
        assert_eq!(context.request_id.as_deref(), Some("request 1"));
        assert!(refusal.to_string().len() > 20, "{refusal}");
    }
}

#[test]
fn every_rejection_has_its_own_code_and_an_error_status() {
    use RejectionKind::{
        Conflict, CrossOrigin, EntropyUnavailable, Forbidden, Gone, HostNotAllowed, Internal, InvalidCursor,
        InvalidUserId, InvalidValue, LayerMissing, LayerNested, LimitReached, ReauthenticationRequired, ResponseSent,
        StoreUnavailable, Superseded, TooLarge, Unauthenticated, Unsupported, VisitorRefused, WrongUser,
    };
    for (rejection, status, code) in [
        (StoreUnavailable, 503, "session_store_unavailable"),
        (EntropyUnavailable, 503, "session_entropy_unavailable"),
        (Gone, 401, "session_gone"),
        (Unauthenticated, 401, "unauthenticated"),
        (LimitReached, 409, "session_limit_reached"),
        (VisitorRefused, 429, "visitor_refused"),
        (Superseded, 409, "session_superseded"),
        (Conflict, 409, "session_conflict"),
        (ReauthenticationRequired, 403, "reauthentication_required"),
        (WrongUser, 403, "wrong_user"),
        (Forbidden, 403, "forbidden"),
        (CrossOrigin, 403, "cross_origin"),
        (HostNotAllowed, 421, "host_not_allowed"),
        (TooLarge, 413, "session_too_large"),
        (InvalidCursor, 400, "invalid_cursor"),
        (InvalidUserId, 400, "invalid_user_id"),
        (InvalidValue, 500, "session_value_invalid"),
        (ResponseSent, 500, "session_response_sent"),
        (LayerMissing, 500, "session_layer_missing"),
        (LayerNested, 500, "session_layer_nested"),
        (Unsupported, 501, "session_unsupported"),
        (Internal, 500, "session_error"),
    ] {
        assert_eq!((rejection.status(), rejection.code()), (status, code));
        assert_eq!(rejection.body(), format!(r#"{{"error":"{code}"}}"#));
        assert!(!rejection.to_string().is_empty());
        let varies_by = if rejection == CrossOrigin { Some("Sec-Fetch-Site, Origin") } else { None };
        assert_eq!(rejection.varies_by(), varies_by, "{code}");
    }
}

#[test]
fn every_error_has_its_rejection() {
    let store = |kind| Error::Store(StoreError::new(kind, "told to fail"));
    for (error, rejection) in [
        (store(StoreErrorKind::Unavailable), RejectionKind::StoreUnavailable),
        (store(StoreErrorKind::Corrupt), RejectionKind::StoreUnavailable),
        (store(StoreErrorKind::Unsupported), RejectionKind::Unsupported),
        (Error::Entropy(EntropyError), RejectionKind::EntropyUnavailable),
        (Error::Gone, RejectionKind::Gone),
        (Error::NotAuthenticated, RejectionKind::Unauthenticated),
        (Error::LimitReached, RejectionKind::LimitReached),
        (Error::VisitorRefused, RejectionKind::VisitorRefused),
        (Error::Superseded, RejectionKind::Superseded),
        (Error::Conflict, RejectionKind::Conflict),
        (Error::WrongUser, RejectionKind::WrongUser),
        (Error::TooLarge { size: 2, max: 1 }, RejectionKind::TooLarge),
        (Error::TooManyValues { count: 2, max: 1 }, RejectionKind::TooLarge),
        (Error::CookieTooLarge { size: 2, max: 1 }, RejectionKind::TooLarge),
        (Error::ResponseSent, RejectionKind::ResponseSent),
    ] {
        assert_eq!(RejectionKind::from(error), rejection);
    }
}

#[test]
fn bearer_rejections_are_those_of_rfc_6750() {
    // Which have a challenge, and whether it names the error: to a request without a token it does not.
    for (rejection, status, code, challenge) in [
        (BearerRejectionKind::Missing, 401, "unauthenticated", Some(false)),
        (BearerRejectionKind::Malformed, 400, "invalid_request", Some(true)),
        (BearerRejectionKind::Invalid, 401, "invalid_token", Some(true)),
        (BearerRejectionKind::InsufficientScope, 403, "insufficient_scope", Some(true)),
        (BearerRejectionKind::InsufficientAuthentication, 401, "insufficient_user_authentication", Some(true)),
        (BearerRejectionKind::StoreUnavailable, 503, "session_store_unavailable", None),
        (BearerRejectionKind::KeysUnavailable, 503, "issuer_keys_unavailable", None),
        (BearerRejectionKind::LayerMissing, 500, "bearer_layer_missing", None),
    ] {
        assert_eq!((rejection.status(), rejection.code()), (status, code));
        let value = Challenge::new().of(rejection, &Requirement::NONE);
        let named = format!("Bearer error=\"{code}\", error_description=\"{rejection}\"");
        assert_eq!(value, challenge.map(|is_named| if is_named { named } else { "Bearer".to_owned() }));
        assert_eq!(rejection.body(), format!(r#"{{"error":"{code}"}}"#));
        assert!(!rejection.to_string().is_empty());
    }
}

#[test]
fn the_bearer_token_in_every_shape() {
    let read = |values: &[&'static [u8]]| {
        let head = Head::with("authorization", values);
        bearer_token(&head).map(|token| token.map(str::to_owned))
    };
    let token = |text: &str| Ok(Some(text.to_owned()));
    for value in [&b"Bearer abc"[..], b"bearer abc", b"BEARER abc", b"bEaReR   abc"] {
        assert_eq!(read(&[value]), token("abc"));
    }
    assert_eq!(read(&[b"Bearer a b"]), token("a b"), "left to the verifier");
    assert_eq!(read(&[b"Bearer \tabc"]), token("\tabc"));
    assert_eq!(read(&[]), Ok(None));
    for other in [&b"Basic YWxpY2U6cHc="[..], b"Digest x", b"Bearers x", b"", b"abc", b" Bearer abc"] {
        assert_eq!(read(&[other]), Ok(None));
    }
    for value in
        [&b"Bearer"[..], b"Bearer ", b"Bearer    ", b"Bearer \xc3\xbc", b"\xff", b"Bearer \x00", b"Bearer \x7f"]
    {
        assert_eq!(read(&[value]), Err(BearerRejectionKind::Malformed), "{value:?}");
    }
    for values in [[&b"Bearer abc"[..], b"Bearer abc"], [b"Basic x", b"Bearer abc"], [b"Bearer abc", b""]] {
        assert_eq!(read(&values), Err(BearerRejectionKind::Malformed));
    }
}

/// Which of them counts is decided by the sessions that they name.
#[test]
fn refresh_tokens_are_read_like_session_tokens() {
    let cookie = CookiePolicy::builder("__Host-refresh").same_site(SameSite::Strict).build().unwrap();
    let transport = TokenTransport::cookie(cookie).unwrap();
    for (values, presented) in [
        (&[&b"a=b; __Host-refresh=x"[..]][..], "Malformed"),
        (&[b"__Host-refresh="], "Malformed"),
        (&[b"__Host-refresh=\xff"], "Malformed"),
        (&[b"__Host-refresh=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"], "Token(..)"),
        (&[b"refresh=x"], "Nothing"),
        (&[], "Nothing"),
    ] {
        let head = Head::with("cookie", values);
        assert_eq!(format!("{:?}", transport.presented(&head)), presented, "{values:?}");
        assert_eq!(format!("{:?}", TokenTransport::body().presented(&head)), "Nothing");
    }
}
