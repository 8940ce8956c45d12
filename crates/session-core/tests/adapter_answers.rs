//! What adapters answer: the codes of rejections, the headers of responses, the tokens in requests.

#![allow(clippy::unwrap_used)]

use session_core::adapter::{
    BearerRejectionKind, HeaderEdit, RejectionKind, RequestHead, ResponseHeaders, TokenTransport, bearer_token,
    token_edits, vary,
};
use session_core::{CookiePolicy, EntropyError, Error, StoreError, StoreErrorKind};

/// A request with these values of one header.
struct Head<'r>(&'static str, Vec<&'r [u8]>);

impl RequestHead for Head<'_> {
    fn method(&self) -> &str {
        "POST"
    }

    fn authority(&self) -> Option<&[u8]> {
        None
    }

    fn values(&self, name: &'static str) -> impl Iterator<Item = &[u8]> {
        self.1.iter().filter(move |_| name == self.0).copied()
    }
}

#[test]
fn every_rejection_has_its_own_code_and_an_error_status() {
    use RejectionKind::{
        Conflict, CrossOrigin, EntropyUnavailable, Gone, Internal, InvalidValue, LayerMissing, LayerNested,
        LimitReached, ReauthenticationRequired, ResponseSent, StoreUnavailable, Superseded, TooLarge, Unauthenticated,
        Unsupported, WrongUser,
    };
    for (rejection, status, code) in [
        (StoreUnavailable, 503, "session_store_unavailable"),
        (EntropyUnavailable, 503, "session_entropy_unavailable"),
        (Gone, 401, "session_gone"),
        (Unauthenticated, 401, "unauthenticated"),
        (LimitReached, 409, "session_limit_reached"),
        (Superseded, 409, "session_superseded"),
        (Conflict, 409, "session_conflict"),
        (ReauthenticationRequired, 403, "reauthentication_required"),
        (WrongUser, 403, "wrong_user"),
        (CrossOrigin, 403, "cross_origin"),
        (TooLarge, 413, "session_too_large"),
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
    for (rejection, status, code, challenge) in [
        (BearerRejectionKind::Missing, 401, "unauthenticated", Some("Bearer")),
        (BearerRejectionKind::Malformed, 400, "invalid_request", Some("Bearer error=\"invalid_request\"")),
        (BearerRejectionKind::Invalid, 401, "invalid_token", Some("Bearer error=\"invalid_token\"")),
        (BearerRejectionKind::StoreUnavailable, 503, "session_store_unavailable", None),
        (BearerRejectionKind::LayerMissing, 500, "bearer_layer_missing", None),
    ] {
        assert_eq!((rejection.status(), rejection.code(), rejection.challenge()), (status, code, challenge));
        assert_eq!(rejection.body(), format!(r#"{{"error":"{code}"}}"#));
        assert!(!rejection.to_string().is_empty());
    }
}

#[test]
fn an_untouched_response_is_not_edited() {
    assert_eq!(ResponseHeaders::default().edits([&b"Accept"[..]]).count(), 0);
}

#[test]
fn a_cookie_comes_with_no_store_and_without_what_overrules_it() {
    let cookie = CookiePolicy::standard().remove();
    let headers = ResponseHeaders { set_cookie: Some(cookie.clone()), vary_cookie: true };
    assert_eq!(
        headers.edits([]).collect::<Vec<_>>(),
        [
            HeaderEdit::Append("vary", "Cookie"),
            HeaderEdit::AppendCookie(&cookie),
            HeaderEdit::Set("cache-control", "no-store"),
            HeaderEdit::Remove("cdn-cache-control"),
            HeaderEdit::Remove("surrogate-control"),
        ]
    );
    let uncached = [HeaderEdit::Set("cache-control", "no-store"), HeaderEdit::Set("pragma", "no-cache")];
    assert_eq!(token_edits(None).collect::<Vec<_>>(), uncached);
    assert_eq!(token_edits(Some(&cookie)).last(), Some(HeaderEdit::AppendCookie(&cookie)));
}

#[test]
fn vary_is_added_once_and_to_what_is_there() {
    let added = |present: &[&'static str]| vary(present.iter().map(|value| value.as_bytes()), "Cookie");
    let cookie = Some(HeaderEdit::Append("vary", "Cookie"));
    for missing in [&[][..], &["Accept"], &["Set-Cookie2"], &["Accept, X-Cookie"], &[""], &["\u{fc}"]] {
        assert_eq!(added(missing), cookie, "{missing:?}");
    }
    for present in [&["Cookie"][..], &["Accept ,\tcookie"], &["Accept", "COOKIE"], &["*"]] {
        assert_eq!(added(present), None, "{present:?}");
    }
}

#[test]
fn the_bearer_token_in_every_shape() {
    let read = |values: &[&'static [u8]]| {
        let head = Head("authorization", values.to_vec());
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

#[test]
fn of_two_different_refresh_tokens_neither_counts() {
    let transport = TokenTransport::Cookie(CookiePolicy::builder("__Secure-refresh").build().unwrap());
    for (values, presented) in [
        (&[&b"a=b; __Secure-refresh=x"[..]][..], Some("x")),
        (&[b"__Secure-refresh=x", b"__Secure-refresh=x"], Some("x")),
        (&[b"__Secure-refresh=x; __secure-refresh=y"], Some("x")),
        (&[b"__Secure-refresh="], Some("")),
        (&[b"__Secure-refresh=x; __Secure-refresh=y"], None),
        (&[b"__Secure-refresh=x", b"__Secure-refresh=y"], None),
        (&[b"__Secure-refresh=\xff"], None),
        (&[b"refresh=x"], None),
        (&[], None),
    ] {
        let head = Head("cookie", values.to_vec());
        assert_eq!(transport.presented(&head), presented, "{values:?}");
        assert_eq!(TokenTransport::Body.presented(&head), None);
    }
}
