//! The cookie: written, read, refused.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use proptest::prelude::*;
use session_core::adapter::PresentedCookie;
use session_core::store::Credential;
use session_core::{CookiePolicy, CookiePolicyError, Kind, OsEntropy, SameSite, SessionId, SessionToken, Timestamp};

fn token() -> SessionToken {
    let id = SessionId::generate(None, &OsEntropy).unwrap();
    Credential::issue(Kind::Cookie, id, Timestamp::EPOCH, &OsEntropy).unwrap().1
}

fn read(policy: &CookiePolicy, headers: &[&[u8]]) -> &'static str {
    match policy.read(headers.iter().copied()) {
        PresentedCookie::Nothing => "nothing",
        PresentedCookie::Malformed => "malformed",
        PresentedCookie::Withheld => "withheld",
        PresentedCookie::Several { cookies, is_complete: false } => {
            ["more", "no more"][usize::from(cookies.len() != 8)]
        }
        PresentedCookie::Several { cookies, .. } => ["0", "1", "2", "3", "4", "5", "6", "7", "8"][cookies.len()],
        PresentedCookie::Token(_) => "token",
        PresentedCookie::Sealed(_) => "sealed",
    }
}

#[test]
fn the_default_cookie_is_the_one_asvs_asks_for() {
    let token = token().encode();
    let set = CookiePolicy::standard().set(&token, None);
    let expected = format!("__Host-id={}; HttpOnly; SameSite=Lax; Secure; Path=/", token.expose());
    assert_eq!(set.expose(), expected);
    let strict = CookiePolicy::strict().set(&token, Some(Duration::from_millis(90_999)));
    let expected = format!("__Host-id={}; HttpOnly; SameSite=Strict; Secure; Path=/; Max-Age=90", token.expose());
    assert_eq!(strict.expose(), expected);
}

#[test]
fn the_development_cookie_is_that_of_one_application() {
    let token = token().encode();
    let shop = CookiePolicy::local_development("shop").unwrap();
    let expected = format!("id-shop={}; HttpOnly; SameSite=Lax; Path=/", token.expose());
    assert_eq!(shop.set(&token, None).expose(), expected);
    let headers = format!("id-office={0}; id={0}; id-shop-2={0}", token.expose());
    assert_eq!(read(&shop, &[headers.as_bytes()]), "nothing", "cookies of other applications on localhost");
    for name in ["", "a b", "a;b", "a=b", &"x".repeat(4_033)] {
        assert_eq!(CookiePolicy::local_development(name).unwrap_err(), CookiePolicyError::Name, "{name:.10}");
    }
}

#[test]
fn the_removal_repeats_every_attribute() {
    let policy = CookiePolicy::builder("__Secure-id")
        .domain("example.org")
        .path("/app")
        .same_site(SameSite::Embedded)
        .build()
        .unwrap();
    let set = policy.set(&token().encode(), None).expose().to_owned();
    let removal = policy.remove().expose().to_owned();
    let attributes = |header: &str| -> Vec<String> {
        let mut all: Vec<String> = header.split("; ").skip(1).map(str::to_owned).collect();
        all.retain(|attribute| !attribute.starts_with("Max-Age") && !attribute.starts_with("Expires"));
        all
    };
    assert_eq!(attributes(&set), attributes(&removal));
    assert_eq!(
        attributes(&set),
        ["HttpOnly", "SameSite=None", "Partitioned", "Secure", "Path=/app", "Domain=example.org"]
    );
    assert!(removal.starts_with("__Secure-id=; "), "{removal}");
    assert!(removal.contains("Max-Age=0") && removal.contains("Expires=Thu, 01 Jan 1970 00:00:00 GMT"), "{removal}");
}

#[test]
fn prefixes_bind_whatever_their_case() {
    for name in ["__Host-id", "__HOST-id", "__host-Http-id", "__Host-Http-id"] {
        let cookie = || CookiePolicy::builder(name);
        assert!(cookie().build().is_ok(), "{name}");
        assert!(cookie().same_site(SameSite::Embedded).build().is_ok(), "{name}");
        assert_eq!(cookie().domain("example.org").build().unwrap_err(), CookiePolicyError::HostPrefix, "{name}");
        assert_eq!(cookie().path("/app").build().unwrap_err(), CookiePolicyError::HostPrefix, "{name}");
        let http = cookie().insecure_for_local_development().build();
        assert_eq!(http.unwrap_err(), CookiePolicyError::SecurePrefix, "{name}");
    }
    for name in ["__Secure-id", "__secure-id", "__Http-id"] {
        let cookie = || CookiePolicy::builder(name);
        assert!(cookie().domain("example.org").path("/app").build().is_ok(), "{name}");
        let http = cookie().insecure_for_local_development().build();
        assert_eq!(http.unwrap_err(), CookiePolicyError::SecurePrefix, "{name}");
    }
    let plain = || CookiePolicy::builder("id");
    assert!(plain().insecure_for_local_development().domain("example.org").path("/app").build().is_ok());
    let partitioned = plain().same_site(SameSite::Embedded).insecure_for_local_development().build();
    assert_eq!(partitioned.unwrap_err(), CookiePolicyError::Embedded);
}

#[test]
fn nonsense_is_refused() {
    for name in ["", "a b", "a=b", "a;b", "ä", "a\n", "(id)", &"x".repeat(4_033)] {
        assert_eq!(CookiePolicy::builder(name).build().unwrap_err(), CookiePolicyError::Name, "{name:.10}");
    }
    for path in ["", "app", "/a;b", "/a\r\nSet-Cookie: x"] {
        assert_eq!(CookiePolicy::builder("id").path(path).build().unwrap_err(), CookiePolicyError::Path);
    }
    let domain = |domain: &str| CookiePolicy::builder("id").domain(domain).build();
    for bad in [
        "",
        ".",
        "..",
        "a..b",
        "example.org.",
        "a;b",
        "a\nb",
        "a b",
        "https://example.org",
        "example.org:3000",
        "example.org/",
        "*.example.org",
        "user@example.org",
        "-a.example.org",
        "exämple.org",
        "127.0.0.1",
        "[::1]",
        "..example.org",
        &format!("{}.org", "x".repeat(64)),
        &"a.".repeat(130),
    ] {
        assert_eq!(domain(bad).unwrap_err(), CookiePolicyError::Domain, "{bad}");
    }
    for bad in ["com", "co.uk", "github.io", "vercel.app", "s3.amazonaws.com", "localhost", ".com", "COM", "intranet"] {
        assert_eq!(domain(bad).unwrap_err(), CookiePolicyError::PublicSuffix, "{bad}");
    }
    for (good, sent) in [
        ("example.org", "example.org"),
        (".Example.ORG", "example.org"),
        ("shop.example.co.uk", "shop.example.co.uk"),
        ("user.github.io", "user.github.io"),
        ("xn--exmple-cua.com", "xn--exmple-cua.com"),
        ("a.lan", "a.lan"),
        ("my_host.example.org", "my_host.example.org"),
    ] {
        let cookie = domain(good).unwrap().remove();
        assert!(cookie.expose().contains(&format!("Domain={sent};")), "{good}: {}", cookie.expose());
    }
}

#[test]
fn the_token_is_found_among_other_cookies() {
    let policy = CookiePolicy::standard();
    let token = token().encode();
    let ours = format!("__Host-id={}", token.expose());
    let found: [&[&str]; 6] = [
        &[&ours],
        &["a=1; b=2", &format!("c=3; {ours}; d=4")],
        &[&format!("garbage;;=; ;{ours}")],
        &[&format!("x__Host-id=A; {ours}; __Host-id2=B")],
        &[&format!("{ours}; {ours}")],
        &[&ours, &ours],
    ];
    for headers in found {
        let headers: Vec<&[u8]> = headers.iter().map(|header| header.as_bytes()).collect();
        assert_eq!(read(&policy, &headers), "token");
    }
    // A sibling that is not UTF-8 hides nothing.
    let mut sibling = b"bad=\xff\xfe; ".to_vec();
    sibling.extend_from_slice(ours.as_bytes());
    assert_eq!(read(&policy, &[&sibling]), "token");
}

#[test]
fn what_is_not_our_cookie_is_not_found() {
    let policy = CookiePolicy::standard();
    let token = token().encode();
    let token = token.expose();
    let others = ["", "__host-id=A", "__HOST-ID=A", "__Host-id", "id=A", "; ;"];
    for header in others {
        assert_eq!(read(&policy, &[header.as_bytes()]), "nothing", "{header}");
    }
    let malformed = [
        "__Host-id=".to_owned(),
        "__Host-id=A".to_owned(),
        format!("__Host-id=\"{token}\""),
        format!("__Host-id={token}A"),
        format!("__Host-id ={token}; __Host-id=%41"),
        format!("__Host-id={}", "A".repeat(65_536)),
    ];
    for header in malformed {
        assert_eq!(read(&policy, &[header.as_bytes()]), "malformed", "{header:.40}");
    }
    assert_eq!(read(&policy, &[b"__Host-id=\xff\xfe"]), "malformed");
}

#[test]
fn of_several_values_each_is_looked_at_once_and_garbage_counts_for_nothing() {
    let policy = CookiePolicy::standard();
    let [a, b, c, d, e] = [(); 5].map(|()| token().encode().expose().to_owned());
    let many: Vec<String> = (0..20).map(|_| token().encode().expose().to_owned()).collect();
    let garbage = (0..1000).map(|number| format!("garbage{number}"));
    let much_garbage: Vec<String> = garbage.chain([a.clone()]).collect();
    for (values, expected) in [
        (vec![&*a, &b], "2"),
        (vec![&a, &b, &a, &b], "2"),
        (vec![&a, "garbage"], "1"),
        (vec!["", &a], "1"),
        (vec!["garbage", "", &a, &b], "2"),
        (vec!["garbage", ""], "malformed"),
        (vec![&a, &b, &c, &d, &e], "5"),
        (many.iter().map(String::as_str).collect(), "more"),
        (many[..8].iter().map(String::as_str).collect(), "8"),
        (much_garbage.iter().map(String::as_str).collect(), "1"),
    ] {
        let pairs: Vec<String> = values.iter().map(|value| format!("__Host-id={value}")).collect();
        let headers: Vec<&[u8]> = pairs.iter().map(String::as_bytes).collect();
        assert_eq!(read(&policy, &headers), expected);
        assert_eq!(read(&policy, &[pairs.join("; x=1; ").as_bytes()]), expected);
    }
}

#[test]
fn a_former_cookie_is_removed_beside_the_present_one() {
    let former = CookiePolicy::builder("__Secure-id").domain("example.org").path("/app").build().unwrap();
    let cookie = || CookiePolicy::builder("__Secure-id");
    assert!(cookie().formerly(former.clone()).build().is_ok());
    assert_eq!(cookie().formerly(cookie().build().unwrap()).build().unwrap_err(), CookiePolicyError::Former);
    let strict = cookie().same_site(SameSite::Strict).build().unwrap();
    assert_eq!(cookie().formerly(strict).build().unwrap_err(), CookiePolicyError::Former, "one cookie to a browser");
    let partitioned = cookie().same_site(SameSite::Embedded).build().unwrap();
    assert!(cookie().formerly(former).formerly(partitioned).build().is_ok());
}

proptest! {
    #[test]
    fn any_header_is_read_without_panic(header in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        let _ = read(&CookiePolicy::standard(), &[&header]);
    }

    #[test]
    fn any_max_age_is_written_without_panic(seconds in any::<u64>(), nanos in 0u32..1_000_000_000) {
        let set = CookiePolicy::standard().set(&token().encode(), Some(Duration::new(seconds, nanos)));
        prop_assert!(!set.expose().contains("Max-Age=-"));
    }
}
