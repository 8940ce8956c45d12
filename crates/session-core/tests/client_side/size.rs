//! How long a cookie may be.

use std::sync::Arc;
use std::time::Duration;

use session_conformance::ReferenceStore;
use session_core::adapter::RequestSession;
use session_core::store::SessionStore;
use session_core::{
    Clock as _, CookiePolicy, CookiePolicyError, Error, Key, Login, ManualClock, Policy, Session, SessionManager,
};

use crate::bed::{Browser, alice, manager};
use crate::plain::Plain;

const TEXT: Key<String> = Key::new("text");

#[tokio::test]
async fn a_cookie_that_is_too_long_is_refused_when_it_is_written() {
    let manager = manager(&ManualClock::default(), None);
    let mut browser = Browser::new(&manager);
    browser.request(|session| session.insert(TEXT, &"x".repeat(500)).unwrap()).await.unwrap();
    let before = browser.cookie.clone();
    let refused = browser.request(|session| session.insert(TEXT, &"x".repeat(3000))).await.unwrap().unwrap_err();
    let Error::CookieTooLarge { size, max } = refused else { panic!("{refused:?}") };
    assert!(max == 3000 && size > 6000, "{size} of {max}");
    assert!(refused.to_string().contains(&size.to_string()) && refused.to_string().contains("3000"));
    assert_eq!(browser.cookie, before, "nothing is lost");
    // To the last byte.
    let mut fits = 0;
    for length in 1000..2000 {
        let mut copy = browser.copy();
        match copy.request(|session| session.insert(TEXT, &"x".repeat(length))).await.unwrap() {
            Ok(()) => fits = "__Host-id".len() + copy.cookie.unwrap().len(),
            Err(error) => {
                assert!(matches!(error, Error::CookieTooLarge { size, .. } if size > 3000), "{error:?}");
                break;
            }
        }
    }
    assert!((2999..=3000).contains(&fits), "{fits}");
}

/// Bytes of the head of a response that nginx passes on by default: a page of memory.
const NGINX: usize = 4096;

/// What is usual beside the cookie: what servers, security guides and a proxy before nginx add.
const OTHER_HEADERS: &str = "HTTP/1.1 303 See Other\r\n\
    date: Tue, 07 Jul 2026 07:07:07 GMT\r\n\
    server: application/1.2.3\r\n\
    content-type: text/html; charset=utf-8\r\n\
    content-length: 123456\r\n\
    location: https://shop.example/account/orders/2026-07-07/1234567890\r\n\
    cache-control: private, no-store\r\n\
    vary: Cookie, Accept-Encoding, Origin\r\n\
    clear-site-data: \"cache\"\r\n\
    content-security-policy: default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    font-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'\r\n\
    strict-transport-security: max-age=63072000; includeSubDomains; preload\r\n\
    x-content-type-options: nosniff\r\n\
    x-frame-options: DENY\r\n\
    referrer-policy: strict-origin-when-cross-origin\r\n\
    permissions-policy: camera=(), geolocation=(), microphone=()\r\n\
    cross-origin-opener-policy: same-origin\r\n\
    x-request-id: 0c9b1f0e-5a52-4c5e-9d55-6a3f4f1f2b11\r\n";

#[tokio::test]
async fn the_longest_cookie_passes_a_proxy_with_its_default_settings() {
    let manager = manager(&ManualClock::default(), None);
    let mut longest = 0;
    for length in (0..2000).rev() {
        let request = RequestSession::new(manager.clone(), manager.read_cookie([]));
        let session = request.session().await.unwrap();
        session.login(Login::new(alice()).remember()).unwrap();
        if session.insert(TEXT, &"x".repeat(length)).is_ok() {
            let cookie = request.finish().await.1.set_cookie.unwrap();
            longest = OTHER_HEADERS.len() + format!("set-cookie: {}\r\n\r\n", cookie.expose()).len();
            break;
        }
    }
    assert!((NGINX - 200..=NGINX).contains(&longest), "{longest}");
}

#[tokio::test]
async fn the_size_limit_can_be_set_and_a_session_that_is_over_a_lowered_one_goes_on() {
    let clock = ManualClock::default();
    let list = Arc::new(ReferenceStore::new());
    let with = |limit: usize| {
        let cookie = CookiePolicy::builder("__Host-id").size_limit(limit).build().unwrap();
        let policy = Policy::standard().to_builder().cookie(cookie).build().unwrap();
        let list = Arc::clone(&list) as Arc<dyn SessionStore>;
        SessionManager::client_side(Plain, Some(list)).policy(policy).clock(clock.clone()).build()
    };
    let (wide, narrow) = (with(4096), with(1000));
    let mut browser = Browser::new(&wide);
    browser.request(|it| it.login(Login::new(alice()))).await.unwrap().unwrap();
    let text = |length: usize| move |it: &Session| it.insert(TEXT, &"x".repeat(length));
    browser.request(text(1500)).await.unwrap().unwrap();
    browser.manager = narrow;
    let before = browser.cookie.clone();
    clock.advance(Duration::from_secs(120));
    assert_eq!(browser.user().await, Some(alice()));
    assert_ne!(browser.cookie, before, "activity is recorded");
    browser.request(Session::regenerate).await.unwrap().unwrap();
    let refused = browser.request(text(1501)).await.unwrap().unwrap_err();
    assert!(matches!(refused, Error::CookieTooLarge { size, max: 1000 } if size > 3000), "{refused:?}");
    browser.request(text(1400)).await.unwrap().unwrap();
    browser.request(text(1450)).await.unwrap().unwrap_err();
    browser.request(text(10)).await.unwrap().unwrap();
    browser.request(text(500)).await.unwrap().unwrap_err();
    // Refused before anything is stored: the old cookie is not denied for the sake of one that does not fit.
    let ended = list.count(clock.now()).await.unwrap().sessions;
    let too_long = |it: &Session| it.regenerate().and_then(|()| text(500)(it));
    browser.request(too_long).await.unwrap().unwrap_err();
    assert_eq!(list.count(clock.now()).await.unwrap().sessions, ended + 1, "the regeneration alone");
    assert_eq!(browser.user().await, Some(alice()));
}

#[test]
fn a_limit_beyond_what_browsers_keep_is_refused() {
    for (limit, is_valid) in [(0, false), (127, false), (128, true), (4096, true), (4097, false), (usize::MAX, false)] {
        let built = CookiePolicy::builder("__Host-id").size_limit(limit).build().map(drop);
        assert_eq!(built, if is_valid { Ok(()) } else { Err(CookiePolicyError::SizeLimit) }, "{limit}");
    }
    // Of a cookie that holds a token it says nothing.
    assert!(CookiePolicy::builder("x".repeat(4032)).build().is_ok());
}
