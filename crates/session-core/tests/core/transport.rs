//! How refresh tokens travel, whatever cookie an application chooses for them.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use session_core::adapter::{HeaderEdit, TokenTransport, token_edits};
use session_core::store::Credential;
use session_core::{
    CookiePolicy, CookiePolicyError, EncodedToken, Kind, OsEntropy, Persistence, SameSite, SessionId, SessionSummary,
    Timeouts, Timestamp,
};

/// Every shape of cookie that can be built.
fn cookies() -> Vec<CookiePolicy> {
    let mut cookies = vec![CookiePolicy::local_development("shop").unwrap()];
    let hosts = ["__Host-refresh", "__host-refresh", "__Host-Http-refresh"].map(|name| (name, None, "/"));
    let shapes = [("__Secure-refresh", None, "/api/token"), ("__Http-refresh", None, "/"), ("refresh", None, "/")];
    let shapes = hosts.into_iter().chain(shapes).chain([("refresh", Some("example.org"), "/api")]);
    for (name, domain, path) in shapes {
        for same_site in [SameSite::Lax, SameSite::Strict, SameSite::Embedded] {
            let cookie = CookiePolicy::builder(name).path(path).same_site(same_site);
            let cookie = domain.map_or(cookie.clone(), |domain| cookie.domain(domain));
            cookies.push(cookie.build().unwrap());
        }
    }
    for cookie in [CookiePolicy::standard(), CookiePolicy::strict()] {
        cookies.push(cookie);
    }
    let http = CookiePolicy::builder("refresh").insecure_for_local_development().build().unwrap();
    cookies.push(http);
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

/// Neither one that a sibling subdomain plants, nor one that another site makes a browser send.
#[test]
fn the_cookie_of_a_refresh_token_is_of_its_host_alone_secure_strict_and_not_for_scripts() {
    let id = SessionId::generate(None, &OsEntropy).unwrap();
    let mut accepted = 0;
    for policy in cookies() {
        let transport = TokenTransport::cookie(policy.clone());
        let text = policy.remove().expose().to_owned();
        let is_right = text.to_ascii_lowercase().starts_with("__host-") && text.contains("SameSite=Strict");
        let Ok(transport) = transport else {
            assert_eq!(transport.unwrap_err(), CookiePolicyError::Refresh);
            assert!(!is_right, "{policy:?}");
            continue;
        };
        assert!(is_right, "{policy:?}");
        accepted += 1;
        for persistence in [Persistence::Transient, Persistence::Persistent] {
            let set = transport.set(&token(id), &session(id, persistence), Timestamp::EPOCH).unwrap();
            let removed = transport.remove().unwrap();
            for cookie in [&set, &removed] {
                let attributes: Vec<&str> = cookie.expose().split("; ").skip(1).collect();
                for attribute in ["HttpOnly", "Secure", "SameSite=Strict", "Path=/"] {
                    assert!(attributes.contains(&attribute), "{policy:?}");
                }
                assert!(!cookie.expose().contains("Domain"), "{policy:?}");
            }
            let lasts = set.expose().contains("; Max-Age=3600");
            assert_eq!(lasts, persistence == Persistence::Persistent, "no longer than its session");
        }
    }
    assert_eq!(accepted, 4);
    assert!(TokenTransport::body().set(&token(id), &session(id, Persistence::Transient), Timestamp::EPOCH).is_none());
}

/// With and without a cookie: an error, too, may say something of a token.
#[test]
fn no_answer_about_tokens_is_stored() {
    let cookie = CookiePolicy::strict().remove();
    for cookie in [None, Some(&cookie)] {
        let edits: Vec<(&str, &str)> = token_edits(cookie, &[])
            .filter_map(|edit| match edit {
                HeaderEdit::Set(name, value) => Some((name, value)),
                HeaderEdit::Append(..) | HeaderEdit::Remove(_) | HeaderEdit::AppendCookie(_) => None,
            })
            .collect();
        assert_eq!(edits, [("cache-control", "no-store"), ("pragma", "no-cache")]);
        let cookies = token_edits(cookie, &[]).filter(|edit| matches!(edit, HeaderEdit::AppendCookie(_))).count();
        assert_eq!(cookies, usize::from(cookie.is_some()));
    }
}
