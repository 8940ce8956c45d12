//! How refresh tokens travel, whatever cookie an application chooses for them.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use session_core::adapter::{HeaderEdit, TokenTransport, token_edits};
use session_core::store::Credential;
use session_core::{
    CookiePolicy, EncodedToken, Kind, OsEntropy, Persistence, SameSite, SessionId, SessionSummary, Timeouts, Timestamp,
};

/// Every shape of cookie that can be built, and whether it is for https.
fn cookies() -> Vec<(CookiePolicy, bool)> {
    let mut cookies = vec![(CookiePolicy::local_development("shop").unwrap(), false)];
    let shapes = [("__Host-refresh", None, "/"), ("__Secure-refresh", None, "/api/token"), ("refresh", None, "/")];
    let shapes = shapes.into_iter().chain([("refresh", Some("example.org"), "/api")]);
    for (name, domain, path) in shapes {
        for same_site in [SameSite::Lax, SameSite::Strict, SameSite::Embedded] {
            let cookie = CookiePolicy::builder(name).path(path).same_site(same_site);
            let cookie = domain.map_or(cookie.clone(), |domain| cookie.domain(domain));
            cookies.push((cookie.build().unwrap(), true));
        }
    }
    for cookie in [CookiePolicy::standard(), CookiePolicy::strict()] {
        cookies.push((cookie, true));
    }
    let http = CookiePolicy::builder("refresh").insecure_for_local_development().build().unwrap();
    cookies.push((http, false));
    cookies
}

fn token(id: SessionId) -> EncodedToken {
    Credential::issue(Kind::Refresh, id, Timestamp::EPOCH, &OsEntropy).unwrap().1.encode()
}

fn session(id: SessionId, persistence: Persistence) -> SessionSummary {
    let hour = std::time::Duration::from_secs(3600);
    let timeouts = Timeouts { idle: hour, absolute: hour };
    let mut session = SessionSummary::new(id, Kind::Refresh, Timestamp::EPOCH, timeouts);
    session.persistence = persistence;
    session
}

#[test]
fn no_cookie_of_a_refresh_token_is_for_scripts_and_none_but_that_of_a_developer_for_http() {
    let id = SessionId::generate(None, &OsEntropy).unwrap();
    for (policy, is_secure) in cookies() {
        let transport = TokenTransport::Cookie(policy.clone());
        for persistence in [Persistence::Transient, Persistence::Persistent] {
            let set = transport.set(&token(id), &session(id, persistence), Timestamp::EPOCH).unwrap();
            let removed = transport.remove().unwrap();
            for cookie in [&set, &removed] {
                let attributes: Vec<&str> = cookie.expose().split("; ").skip(1).collect();
                assert!(attributes.contains(&"HttpOnly"), "{policy:?}");
                assert_eq!(attributes.contains(&"Secure"), is_secure, "{policy:?}");
                assert_eq!(attributes.iter().filter(|it| it.starts_with("SameSite=")).count(), 1, "{policy:?}");
            }
            let lasts = set.expose().contains("; Max-Age=3600");
            assert_eq!(lasts, persistence == Persistence::Persistent, "no longer than its session");
        }
    }
    assert!(TokenTransport::Body.set(&token(id), &session(id, Persistence::Transient), Timestamp::EPOCH).is_none());
}

/// With and without a cookie: an error, too, may say something of a token.
#[test]
fn no_answer_about_tokens_is_stored() {
    let cookie = CookiePolicy::strict().remove();
    for cookie in [None, Some(&cookie)] {
        let edits: Vec<(&str, &str)> = token_edits(cookie)
            .filter_map(|edit| match edit {
                HeaderEdit::Set(name, value) => Some((name, value)),
                HeaderEdit::Append(..) | HeaderEdit::Remove(_) | HeaderEdit::AppendCookie(_) => None,
            })
            .collect();
        assert_eq!(edits, [("cache-control", "no-store"), ("pragma", "no-cache")]);
        let cookies = token_edits(cookie).filter(|edit| matches!(edit, HeaderEdit::AppendCookie(_))).count();
        assert_eq!(cookies, usize::from(cookie.is_some()));
    }
}
