//! Visitors are led to the login page of this site, with a way back.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use session_core::adapter::{LoginPage, LoginPageError, RejectionKind};

const NEXT: Option<&str> = Some("%2Forders");

#[test]
fn only_who_has_to_log_in_is_led_there() {
    let page = LoginPage::new("/login").unwrap();
    let led = |rejection| page.location(rejection, "/orders", NEXT);
    for missing in [RejectionKind::Unauthenticated, RejectionKind::Gone] {
        assert_eq!(led(missing).as_deref(), Some("/login?next=%2Forders"), "{missing:?}");
    }
    // To log in again would change nothing; or nobody knows who it is.
    for other in [
        RejectionKind::Forbidden,
        RejectionKind::ReauthenticationRequired,
        RejectionKind::WrongUser,
        RejectionKind::CrossOrigin,
        RejectionKind::StoreUnavailable,
        RejectionKind::Superseded,
        RejectionKind::LayerMissing,
    ] {
        assert_eq!(led(other), None, "{other:?}");
    }
}

#[test]
fn without_a_way_back_nobody_is_led_away() {
    let page = LoginPage::new("/login").unwrap();
    assert_eq!(page.location(RejectionKind::Unauthenticated, "/orders", None), None);
}

#[test]
fn the_login_page_does_not_lead_to_itself() {
    for page in ["/login", "/login?lang=en"] {
        let page = LoginPage::new(page).unwrap();
        assert_eq!(page.location(RejectionKind::Unauthenticated, "/login", Some("%2Flogin")), None);
        assert!(page.location(RejectionKind::Unauthenticated, "/login/", Some("%2Flogin%2F")).is_some());
    }
}

#[test]
fn a_page_with_a_query_keeps_it() {
    let page = LoginPage::new("/account/login?lang=en").unwrap();
    let location = page.location(RejectionKind::Unauthenticated, "/orders", NEXT);
    assert_eq!(location.as_deref(), Some("/account/login?lang=en&next=%2Forders"));
}

#[test]
fn what_is_no_page_of_this_site_is_refused() {
    for elsewhere in [
        "",
        "login",
        "https://evil.example/login",
        "//evil.example",
        "/\\evil.example",
        "/lo gin",
        "/login#top",
        "/\r\nx: y",
    ] {
        assert_eq!(LoginPage::new(elsewhere), Err(LoginPageError), "{elsewhere:?}");
    }
}
