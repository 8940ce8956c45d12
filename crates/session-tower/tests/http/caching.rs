//! What responses to users say about caches.

use crate::common::{Site, call, routes, single};
use axum::response::{AppendHeaders, IntoResponse as _, Response};
use http::StatusCode;
use session_core::{AuthenticatedCaching, ClearSiteData, Login, Policy, UserId};
use session_tower::{Authenticated, Rejection, RejectionKind, Session};

const UNCACHED: [&str; 1] = ["private, no-store"];

/// Whatever the answer is. A request that does not ask for its session answers everybody alike.
#[tokio::test]
async fn answers_to_a_user_are_private_and_those_to_visitors_and_everybody_are_not() {
    let site = Site::standard();
    let app = site.app();
    let anonymous = call(&app, "POST", "/count", "").await.cookie();
    let cookie = call(&app, "POST", "/login/alice", "").await.cookie();
    for path in ["/read", "/me", "/fresh"] {
        assert_eq!(call(&app, "GET", path, &cookie).await.all("cache-control"), UNCACHED, "{path}");
        for visitor in ["", &anonymous] {
            assert_eq!(call(&app, "GET", path, visitor).await.all("cache-control"), [""; 0], "{path}");
        }
    }
    assert_eq!(call(&app, "POST", "/note", &cookie).await.all("cache-control"), UNCACHED);
    assert_eq!(call(&app, "GET", "/plain", &cookie).await.all("cache-control"), [""; 0]);

    let refused = call(&app, "POST", "/step-up/bob", &cookie).await;
    refused.assert_rejected(403, "wrong_user");
    assert_eq!(refused.all("cache-control"), UNCACHED);
}

#[tokio::test]
async fn whoever_was_a_user_during_the_request_gets_a_private_answer() {
    let site = Site::standard();
    let manager = site.manager.clone();
    let revoked = async move |session: Authenticated| {
        manager.revoke_all(session.user()).await?;
        manager.reload(&session).await?;
        Ok::<_, Rejection>("never")
    };
    let app = single(revoked).merge(routes()).layer(site.layer());
    let cookie = call(&app, "POST", "/login/alice", "").await.cookie();
    let answer = call(&app, "GET", "/", &cookie).await;
    answer.assert_rejected(401, "session_gone");
    assert_eq!(answer.all("cache-control"), UNCACHED);
}

/// Beside our cookie nobody may. Who leaves `Cache-Control` to us leaves it to us in every cache.
#[tokio::test]
async fn the_application_decides_about_its_answers_except_beside_our_cookie() {
    type Headers = &'static [(&'static str, &'static str)];
    const CDN: (&str, &str) = ("cdn-cache-control", "max-age=60");
    let rows: [(Headers, &[&str], usize); 6] = [
        (&[("cache-control", "public, max-age=60")], &["public, max-age=60"], 0),
        (&[("cache-control", "public"), CDN], &["public"], 1),
        (&[("cache-control", "private"), ("cache-control", "max-age=5")], &["private", "max-age=5"], 0),
        (&[("cache-control", "no-cache"), ("surrogate-control", "max-age=60")], &["no-cache"], 1),
        (&[CDN], &UNCACHED, 0),
        (&[("surrogate-control", "max-age=60")], &UNCACHED, 0),
    ];
    for (headers, expected, others) in rows {
        let site = Site::standard();
        let reads = async move |_: Session| AppendHeaders(headers.iter().copied());
        let renews = async move |session: Session| {
            session.regenerate().unwrap();
            AppendHeaders(headers.iter().copied())
        };
        let app = single(reads).route("/renew", axum::routing::post(renews)).merge(routes()).layer(site.layer());
        let cookie = call(&app, "POST", "/login/alice", "").await.cookie();
        let count = |answer: &crate::common::Answer| {
            answer.all("cdn-cache-control").len() + answer.all("surrogate-control").len()
        };
        let answer = call(&app, "GET", "/", &cookie).await;
        assert_eq!((&*answer.all("cache-control"), count(&answer)), (expected, others), "{headers:?}");
        let answer = call(&app, "POST", "/renew", &cookie).await;
        assert_eq!(answer.all("set-cookie").len(), 1);
        assert_eq!((&*answer.all("cache-control"), count(&answer)), (&UNCACHED[..], 0), "{headers:?}");
    }
}

#[tokio::test]
async fn a_policy_can_let_the_browser_keep_answers_but_not_that_to_a_logout() {
    let relaxed = Policy::standard().to_builder().authenticated_caching(AuthenticatedCaching::Revalidate);
    let site = Site::new(relaxed.build().unwrap());
    let app = site.app();
    let login = call(&app, "POST", "/login/alice", "").await;
    assert_eq!(login.all("cache-control"), UNCACHED);
    let cookie = login.cookie();
    assert_eq!(call(&app, "GET", "/me", &cookie).await.all("cache-control"), ["private, no-cache"]);
    for cookie in [&*cookie, &cookie, ""] {
        let logout = call(&app, "POST", "/logout", cookie).await;
        assert_eq!((logout.status, logout.all("cache-control")), (StatusCode::NO_CONTENT, UNCACHED.to_vec()));
    }
}

#[tokio::test]
async fn a_logout_clears_what_the_browser_keeps_if_the_policy_says_so() {
    const CLEARED: [&str; 1] = ["\"cache\", \"storage\""];
    let clearing = Policy::standard().to_builder().clear_site_data(ClearSiteData::AtLogout).build().unwrap();
    for (policy, expected) in [(Policy::standard(), &[][..]), (clearing, &CLEARED)] {
        let site = Site::new(policy);
        let own = async |session: Session| -> Response {
            session.logout().unwrap();
            [("clear-site-data", "\"executionContexts\"")].into_response()
        };
        let again = async |session: Session| {
            session.logout()?;
            session.login(Login::new(UserId::new("bob").unwrap()))?;
            Ok::<_, Rejection>(())
        };
        let app = single(own).route("/again", axum::routing::post(again)).merge(routes()).layer(site.layer());
        let login = call(&app, "POST", "/login/alice", "").await;
        assert_eq!(login.all("clear-site-data"), [""; 0]);
        assert_eq!(call(&app, "GET", "/me", &login.cookie()).await.all("clear-site-data"), [""; 0]);
        assert_eq!(call(&app, "POST", "/again", &login.cookie()).await.all("clear-site-data"), [""; 0]);
        assert_eq!(call(&app, "POST", "/logout", &login.cookie()).await.all("clear-site-data"), expected);
        assert_eq!(call(&app, "POST", "/logout", "").await.all("clear-site-data"), expected);
        assert_eq!(call(&app, "POST", "/", "").await.all("clear-site-data"), ["\"executionContexts\""]);
    }
}

/// A logout that failed has not happened.
#[tokio::test]
async fn a_logout_that_failed_clears_nothing() {
    let clearing = Policy::standard().to_builder().clear_site_data(ClearSiteData::AtLogout).build().unwrap();
    let site = Site::new(clearing);
    let app = site.app();
    let cookie = call(&app, "POST", "/login/alice", "").await.cookie();
    site.on_write(crate::common::Behaviour::Fails);
    let answer = call(&app, "POST", "/logout", &cookie).await;
    answer.assert_rejected(RejectionKind::StoreUnavailable.status(), "session_store_unavailable");
    assert_eq!(answer.all("clear-site-data"), [""; 0]);
    assert_eq!(answer.all("cache-control"), UNCACHED);
}
