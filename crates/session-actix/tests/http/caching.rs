//! What responses to users say about caches. What the policy says is tested in session-core.

use actix_web::{FromRequest as _, HttpRequest, web};
use session_actix::{Authenticated, Fresh, Rejection, Session};
use session_core::{AuthenticatedCaching, ClearSiteData, Policy};

use crate::common::{Answer, Behaviour, COUNT, Site, call, single, with_headers};

const UNCACHED: [&str; 1] = ["private, no-store"];

/// Whatever the answer is. A request that does not ask for its session answers everybody alike.
#[tokio::test]
async fn answers_to_a_user_are_private_and_those_to_visitors_and_everybody_are_not() {
    let site = Site::standard();
    let app = site.app().await;
    let anonymous = call(&app, "POST", "/count", "").await.cookie();
    let cookie = call(&app, "POST", "/login/alice", "").await.cookie();
    for path in ["/read", "/me", "/fresh"] {
        assert_eq!(call(&app, "GET", path, &cookie).await.all("cache-control"), UNCACHED, "{path}");
        for visitor in ["", &anonymous] {
            assert_eq!(call(&app, "GET", path, visitor).await.all("cache-control"), [""; 0], "{path}");
        }
    }
    assert_eq!(call(&app, "GET", "/plain", &cookie).await.all("cache-control"), [""; 0]);
    let refused = call(&app, "POST", "/step-up/bob", &cookie).await;
    refused.assert_rejected(403, "wrong_user");
    assert_eq!(refused.all("cache-control"), UNCACHED);
}

#[tokio::test]
async fn whoever_was_a_user_during_the_request_gets_a_private_answer() {
    let site = Site::standard();
    let manager = site.manager.clone();
    let revoked = move |session: Authenticated| {
        let manager = manager.clone();
        async move {
            manager.revoke_all(session.user()).await?;
            manager.reload(&session).await?;
            Ok::<_, Rejection>("never")
        }
    };
    let app = site.app_with(single(revoked)).await;
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
        let reads = async move |_: Session| with_headers(headers);
        let renews = async move |session: Session| {
            session.regenerate().unwrap();
            with_headers(headers)
        };
        let app = site.app_with(|config| {
            config.route("/", web::to(reads)).route("/renew", web::to(renews));
        });
        let app = app.await;
        let cookie = call(&app, "POST", "/login/alice", "").await.cookie();
        let count = |answer: &Answer| answer.all("cdn-cache-control").len() + answer.all("surrogate-control").len();
        let answer = call(&app, "GET", "/", &cookie).await;
        assert_eq!((&*answer.all("cache-control"), count(&answer)), (expected, others), "{headers:?}");
        let answer = call(&app, "POST", "/renew", &cookie).await;
        assert_eq!(answer.all("set-cookie").len(), 1);
        assert_eq!((&*answer.all("cache-control"), count(&answer)), (&UNCACHED[..], 0), "{headers:?}");
    }
}

#[tokio::test]
async fn a_logout_clears_what_the_browser_keeps_if_the_policy_says_so() {
    const CLEARED: [&str; 1] = ["\"cache\", \"storage\""];
    let clearing = Policy::standard().to_builder().clear_site_data(ClearSiteData::AtLogout).build().unwrap();
    for (policy, expected) in [(Policy::standard(), &[][..]), (clearing, &CLEARED)] {
        let site = Site::new(policy);
        let own = async |session: Session| {
            session.logout().unwrap();
            with_headers(&[("clear-site-data", "\"executionContexts\"")])
        };
        let app = site.app_with(single(own)).await;
        let login = call(&app, "POST", "/login/alice", "").await;
        assert_eq!(login.all("clear-site-data"), [""; 0]);
        site.on_write(Behaviour::Fails);
        assert_eq!(call(&app, "POST", "/logout", &login.cookie()).await.all("clear-site-data"), [""; 0], "it failed");
        site.on_write(Behaviour::Works);
        assert_eq!(call(&app, "POST", "/logout", &login.cookie()).await.all("clear-site-data"), expected);
        assert_eq!(call(&app, "POST", "/", "").await.all("clear-site-data"), ["\"executionContexts\""]);
    }
}

/// A session that was changed and given up does not say who it is of.
#[tokio::test]
async fn an_answer_in_place_of_one_that_was_given_up_is_as_private_as_the_policy_says() {
    for (caching, expected) in
        [(AuthenticatedCaching::NoStore, "private, no-store"), (AuthenticatedCaching::Revalidate, "private, no-cache")]
    {
        let site = Site::new(Policy::standard().to_builder().authenticated_caching(caching).build().unwrap());
        let reads = site.store.reads.clone();
        let changes = move |session: Session, request: HttpRequest| {
            session.update(COUNT, |count| *count += 1).unwrap();
            reads.set(Behaviour::Fails);
            async move { Fresh::<300>::extract(&request).await.map(|_| "never") }
        };
        let app = site.app_with(single(changes)).await;
        let cookie = call(&app, "POST", "/login/alice", "").await.cookie();
        let answer = call(&app, "GET", "/", &cookie).await;
        answer.assert_rejected(503, "session_store_unavailable");
        assert_eq!(answer.all("cache-control"), [expected]);
    }
}
