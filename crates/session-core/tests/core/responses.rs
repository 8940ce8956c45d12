//! What adapters do to responses: the headers that sessions bring, and where a login leads back to.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use proptest::prelude::*;
use session_conformance::ReferenceStore;
use session_core::adapter::{
    HeaderEdit, PresentedCookie, RequestSession, ResponseHeaders, safe_next, token_edits, vary,
};
use session_core::{
    AuthenticatedCaching, ClearSiteData, CookiePolicy, Key, Login, Policy, Session, SessionManager, UserId,
};

/// What `Debug` shows of them, which hides a cookie.
fn shown<'h>(edits: impl IntoIterator<Item = HeaderEdit<'h>>) -> Vec<String> {
    edits.into_iter().map(|edit| format!("{edit:?}")).collect()
}

#[test]
fn an_untouched_response_is_not_edited() {
    assert_eq!(ResponseHeaders::default().edits(|_| [&b"Accept"[..]]).count(), 0);
}

#[test]
fn a_cookie_comes_with_no_store_and_without_what_overrules_it() {
    let cookie = CookiePolicy::standard().remove();
    let headers = ResponseHeaders {
        set_cookie: Some(CookiePolicy::standard().remove()),
        vary_cookie: true,
        ..ResponseHeaders::default()
    };
    let edits = shown([
        HeaderEdit::Append("vary", "Cookie"),
        HeaderEdit::AppendCookie(&cookie),
        HeaderEdit::Set("cache-control", "private, no-store"),
        HeaderEdit::Remove("cdn-cache-control"),
        HeaderEdit::Remove("surrogate-control"),
    ]);
    assert_eq!(shown(headers.edits(|_| [])), edits);
    let public = |name| if name == "cache-control" { Some(&b"public"[..]) } else { None };
    assert_eq!(shown(headers.edits(public)), edits, "whatever the application says");
    let uncached = [HeaderEdit::Set("cache-control", "no-store"), HeaderEdit::Set("pragma", "no-cache")];
    assert_eq!(shown(token_edits(None, &[])), shown(uncached));
    assert!(matches!(token_edits(Some(&cookie), &[]).last(), Some(HeaderEdit::AppendCookie(_))));
}

#[test]
fn without_a_cookie_the_application_decides_about_caches() {
    let headers = ResponseHeaders {
        cache_control: Some("private, no-store"),
        clear_site_data: Some("\"cache\""),
        ..ResponseHeaders::default()
    };
    let edits = |present: &'static str| {
        let present = move |name| if name == present { Some(&b"x"[..]) } else { None };
        shown(headers.edits(present))
    };
    let uncached = shown([
        HeaderEdit::Set("cache-control", "private, no-store"),
        HeaderEdit::Remove("cdn-cache-control"),
        HeaderEdit::Remove("surrogate-control"),
    ]);
    let cleared = shown([HeaderEdit::Set("clear-site-data", "\"cache\"")]);
    assert_eq!(edits("cache-control"), cleared);
    assert_eq!(edits("clear-site-data"), uncached);
    assert_eq!(edits("cdn-cache-control"), [&uncached[..], &cleared].concat(), "it speaks to some caches only");
}

/// A request of the user `before`, or of a visitor, and what its response says about caches.
async fn caching(policy: &Policy, before: Option<&str>, work: impl AsyncFnOnce(&Session)) -> ResponseHeaders {
    let manager = SessionManager::new(ReferenceStore::new(), policy.clone());
    let first = RequestSession::new(manager.clone(), PresentedCookie::Nothing);
    if let Some(user) = before {
        first.session().await.unwrap().login(Login::new(UserId::new(user).unwrap())).unwrap();
    }
    let cookie = first.finish().await.1.set_cookie;
    let header = cookie.as_ref().map(|cookie| cookie.expose().split(';').next().unwrap().as_bytes());
    let request = RequestSession::new(manager.clone(), manager.read_cookie(header));
    work(request.session().await.unwrap()).await;
    let (outcome, headers) = request.finish().await;
    outcome.unwrap();
    headers
}

#[tokio::test]
async fn whoever_was_logged_in_at_the_beginning_or_the_end_counts() {
    const UNCACHED: Option<&str> = Some("private, no-store");
    const NOTE: Key<u8> = Key::new("note");
    let standard = Policy::standard();
    let relaxed = standard.to_builder().authenticated_caching(AuthenticatedCaching::Revalidate).build().unwrap();
    let log_in = async |session: &Session| session.login(Login::new(UserId::new("bob").unwrap())).unwrap();
    let write = async |session: &Session| session.insert(NOTE, &1).unwrap();
    let read = async |_: &Session| {};
    let log_out = async |session: &Session| session.logout().unwrap();
    let change_of_mind = async |session: &Session| {
        log_in(session).await;
        session.logout().unwrap();
    };
    for (policy, default) in [(&standard, UNCACHED), (&relaxed, Some("private, no-cache"))] {
        assert_eq!(caching(policy, None, read).await.cache_control, None);
        assert_eq!(caching(policy, None, write).await.cache_control, None);
        assert_eq!(caching(policy, None, log_in).await.cache_control, default);
        assert_eq!(caching(policy, Some("alice"), read).await.cache_control, default);
        assert_eq!(caching(policy, Some("alice"), write).await.cache_control, default);
        for before in [None, Some("alice")] {
            assert_eq!(caching(policy, before, log_out).await.cache_control, UNCACHED, "{before:?}");
            assert_eq!(caching(policy, before, change_of_mind).await.cache_control, UNCACHED, "{before:?}");
        }
    }
}

#[tokio::test]
async fn data_of_the_site_is_cleared_at_a_logout_if_the_policy_says_so() {
    let standard = Policy::standard();
    let clearing = standard.to_builder().clear_site_data(ClearSiteData::AtLogout).build().unwrap();
    let log_out = async |session: &Session| session.logout().unwrap();
    let log_in_again = async |session: &Session| {
        session.logout().unwrap();
        session.login(Login::new(UserId::new("bob").unwrap())).unwrap();
    };
    let read = async |_: &Session| {};
    for before in [None, Some("alice")] {
        assert_eq!(caching(&standard, before, log_out).await.clear_site_data, None);
        assert_eq!(caching(&clearing, before, log_out).await.clear_site_data, Some("\"cache\", \"storage\""));
        assert_eq!(caching(&clearing, before, log_in_again).await.clear_site_data, None);
        assert_eq!(caching(&clearing, before, read).await.clear_site_data, None);
    }
}

#[test]
fn a_login_leads_back_to_this_site_only() {
    for page in [
        "/",
        "/orders",
        "/orders?page=2#last",
        "/orders/",
        "/a/../b",
        "/@evil.example",
        "/javascript:alert(1)",
        "/caf%C3%A9/%20",
        "/search?q=%2F%2Fevil.example&url=https://evil.example//x&p=100%",
        "/?next=//evil.example",
    ] {
        assert_eq!(safe_next(page), Some(page));
    }
    for elsewhere in [
        "",
        "orders",
        "?page=2",
        "#last",
        ".",
        "https://evil.example/",
        "https:evil.example",
        "javascript:alert(1)",
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "\\/evil.example",
        "/a\\b",
        "/a?\\",
        "/\t/evil.example",
        "/\n/evil.example",
        "/\r\n/evil.example",
        "/\0",
        "/\u{7f}",
        "\t//evil.example",
        " /orders",
        " //evil.example",
        "/orders ",
        "/or ders",
        "/caf\u{e9}",
        "/\u{2215}/evil.example",
        "/%2f/evil.example",
        "/%2Fevil.example",
        "/%5c%5cevil.example",
        "/%5C/evil.example",
        "/%09/evil.example",
        "/%0d%0aLocation:%20x",
        "/%00",
        "/%7f",
        "/%252fevil.example",
        "/%",
        "/%2",
        "/%zz",
        "/%u002fevil.example",
        "/%+2f",
        "/a//b",
        "/.//evil.example",
        "/..//evil.example",
    ] {
        assert_eq!(safe_next(elsewhere), None, "{elsewhere:?}");
    }
}

/// What a browser makes of a `Location` on a page of this site, as far as it decides about the host.
fn as_a_browser_reads_it(location: &str) -> String {
    let stripped = location.trim_matches(|char| char <= ' ').chars();
    stripped
        .filter(|char| !matches!(char, '\t' | '\n' | '\r'))
        .map(|char| if char == '\\' { '/' } else { char })
        .collect()
}

/// What a server that decodes a path would redirect to.
fn decoded(path: &str) -> String {
    let mut parts = path.split('%');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| match part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
        Some(byte) => text + &char::from(byte).to_string() + &part[2..],
        None => text + "%" + part,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    /// Whoever decodes it, and however often.
    #[test]
    fn no_spelling_of_what_passes_names_another_host(next in r"[/\\%.?#@:aeFf25cC09\t\n\x00 é]{0,12}|/[/\\%25fFcC0d]{0,8}") {
        let mut path = match safe_next(&next) {
            Some(next) => next.split(['?', '#']).next().unwrap().to_owned(),
            None => return Ok(()),
        };
        for _ in 0..4 {
            let read = as_a_browser_reads_it(&path);
            prop_assert!(read.starts_with('/') && !read.starts_with("//"), "{next:?}");
            path = decoded(&path);
        }
    }
}

#[test]
fn vary_is_added_once_and_to_what_is_there() {
    let added = |present: &[&'static str]| vary(present.iter().map(|value| value.as_bytes()), "Cookie");
    let cookie = shown([HeaderEdit::Append("vary", "Cookie")]);
    for missing in [&[][..], &["Accept"], &["Set-Cookie2"], &["Accept, X-Cookie"], &[""], &["\u{fc}"]] {
        assert_eq!(shown(added(missing)), cookie, "{missing:?}");
    }
    for present in [&["Cookie"][..], &["Accept ,\tcookie"], &["Accept", "COOKIE"], &["*"]] {
        assert!(added(present).is_none(), "{present:?}");
    }
}
