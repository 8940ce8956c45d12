//! To the login and back; and a user whose login is not committed yet.

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse as _;
use axum::routing::{get, post};
use http::{HeaderValue, Response};
use session_core::{LimitPolicy, Login, Policy, UserId};
use session_tower::{Authenticated, LoginPageError, Rejection, RejectionKind, Session, safe_next};

use crate::common::{Behaviour, COUNT, Site, call, routes, single};

fn to_login(site: &Site) -> session_tower::SessionLayer {
    site.layer().redirect_to_login("/login").unwrap()
}

/// The value of a parameter of an address, as an application gets it.
fn parameter(address: &str, name: &str) -> String {
    let query = address.split_once('?').unwrap().1;
    let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')).unwrap();
    percent_encoding::percent_decode_str(value).decode_utf8().unwrap().into_owned()
}

#[tokio::test]
async fn a_visitor_is_led_to_the_login_with_a_way_back() {
    let site = Site::standard();
    let app = Router::new().fallback(async |_: Authenticated| ()).layer(to_login(&site));
    for page in ["/", "/me", "/orders?page=2&q=a%20b", "/?next=//evil.example"] {
        for method in ["GET", "HEAD"] {
            let answer = call(&app, method, page, "").await;
            assert_eq!((answer.status.as_u16(), answer.text()), (303, ""), "{method} {page}");
            let [location] = answer.all("location")[..] else { panic!("{:?}", answer.headers) };
            assert!(location.starts_with("/login?next=%2F"), "{location}");
            assert_eq!(safe_next(&parameter(location, "next")), Some(page));
            assert_eq!(answer.all("vary"), ["Cookie"]);
            for absent in ["www-authenticate", "content-type", "set-cookie"] {
                assert_eq!(answer.all(absent), [""; 0], "{absent}");
            }
        }
    }
    for (method, page) in [("POST", "/me"), ("DELETE", "/me"), ("GET", "//evil.example"), ("GET", "/login")] {
        let answer = call(&app, method, page, "").await;
        answer.assert_rejected(401, "unauthenticated");
        assert_eq!((answer.all("location"), answer.all("www-authenticate")), (vec![], vec!["Cookie"]), "{page}");
    }
}

/// What the request did to its session is committed, and its cookie goes with the redirect.
#[tokio::test]
async fn the_redirect_keeps_cookies_and_headers() {
    let site = Site::standard();
    let noted = async |session: Session| {
        session.update(COUNT, |count| *count += 1).unwrap();
        let mut response = Rejection::from(RejectionKind::Unauthenticated).into_response();
        response.headers_mut().append("set-cookie", HeaderValue::from_static("theme=dark"));
        response
    };
    let app = single(noted).layer(to_login(&site));
    let answer = call(&app, "GET", "/", "").await;
    assert_eq!((answer.status, answer.all("location")), (http::StatusCode::SEE_OTHER, vec!["/login?next=%2F"]));
    let cookies = answer.all("set-cookie");
    assert_eq!((cookies.len(), cookies[0]), (2, "theme=dark"));
    assert_eq!(answer.all("cache-control"), ["private, no-store"]);
    let cookie = cookies[1].split(';').next().unwrap();
    assert_eq!(call(&site.app(), "GET", "/read", cookie).await.text(), "1");

    // A logout removes the cookie on the way to the login.
    let out = async |session: Session| {
        session.logout()?;
        Err::<(), Rejection>(RejectionKind::Unauthenticated.into())
    };
    let answer = call(&single(out).layer(to_login(&site)), "GET", "/", cookie).await;
    assert_eq!(answer.status, 303);
    assert!(answer.all("set-cookie")[0].starts_with("__Host-id=;"), "{:?}", answer.headers);
}

#[tokio::test]
async fn other_rejections_have_the_words_of_the_application() {
    let site = Site::standard();
    let words = |rejection: Rejection, _: &session_tower::RequestLine| {
        Response::builder().status(rejection.status()).body(format!("sorry: {}", rejection.code()).into()).unwrap()
    };
    let app = routes().layer(to_login(&site).on_rejection(words));
    let cookie = call(&app, "POST", "/login/alice", "").await.cookie();
    assert_eq!(call(&app, "GET", "/me", "").await.status, 303);
    assert_eq!(call(&app, "POST", "/step-up/alice", "").await.text(), "sorry: unauthenticated");
    site.on_read(Behaviour::Fails);
    let answer = call(&app, "GET", "/me", &cookie).await;
    assert_eq!((answer.status.as_u16(), answer.text()), (503, "sorry: session_store_unavailable"));
    // Without words, they are the library's.
    let answer = call(&routes().layer(to_login(&site)), "GET", "/me", &cookie).await;
    answer.assert_rejected(503, "session_store_unavailable");
}

/// Handlers may say it, and mean it: to log in again would change nothing.
#[tokio::test]
async fn what_is_forbidden_is_no_reason_to_log_in() {
    let site = Site::standard();
    let admin = async |_: Authenticated| Err::<(), Rejection>(RejectionKind::Forbidden.into());
    let app = routes().route("/admin", get(admin)).layer(to_login(&site));
    assert_eq!(call(&app, "GET", "/admin", "").await.status, 303);
    let cookie = call(&app, "POST", "/login/alice", "").await.cookie();
    call(&app, "GET", "/admin", &cookie).await.assert_rejected(403, "forbidden");
}

#[tokio::test]
async fn who_is_named_by_nothing_is_a_bad_request() {
    let site = Site::standard();
    let ban = async |_: Session| {
        let _ = UserId::new("")?;
        Ok::<_, Rejection>(())
    };
    call(&single(ban).layer(site.layer()), "POST", "/", "").await.assert_rejected(400, "invalid_user_id");
}

#[test]
fn a_login_at_another_site_is_refused() {
    let site = Site::standard();
    for elsewhere in ["https://evil.example/login", "//evil.example", "login", ""] {
        assert_eq!(site.layer().redirect_to_login(elsewhere).err(), Some(LoginPageError), "{elsewhere:?}");
    }
}

/// Logs everybody in, as an application does that knows its users by a certificate.
async fn known(session: Session, request: Request, next: Next) -> axum::response::Response {
    match session.login(Login::new(UserId::new("alice").unwrap())) {
        Ok(()) => next.run(request).await,
        Err(error) => Rejection::from(error).into_response(),
    }
}

async fn id_of(session: Authenticated) -> String {
    assert_eq!((session.user().as_str(), session.handle().id()), ("alice", session.id()));
    session.id().to_string()
}

#[tokio::test]
async fn a_user_who_has_just_logged_in_has_a_session() {
    let site = Site::standard();
    let app = Router::new().route("/", get(id_of)).layer(from_fn(known)).layer(site.layer());
    let answer = call(&app, "GET", "/", "").await;
    assert_eq!(site.store.calls(), (0, 1), "one create");
    let listed = site.manager.list(&UserId::new("alice").unwrap()).await.unwrap();
    assert_eq!(answer.text(), listed[0].id.to_string());
    assert_eq!(call(&site.app(), "GET", "/me", &answer.cookie()).await.text(), "alice");

    site.on_write(Behaviour::Fails);
    call(&app, "GET", "/", "").await.assert_rejected(503, "session_store_unavailable");
    site.on_write(Behaviour::Works);
    let one = Policy::standard().to_builder().session_limit(1, LimitPolicy::Reject).build().unwrap();
    let site = Site::new(one);
    let app = Router::new().route("/", get(id_of)).layer(from_fn(known)).layer(site.layer());
    assert_eq!(call(&app, "GET", "/", "").await.status, 200);
    call(&app, "GET", "/", "").await.assert_rejected(409, "session_limit_reached");
}

#[tokio::test]
async fn the_id_of_a_user_follows_a_login_and_outlives_a_logout() {
    let site = Site::standard();
    let (alice, bob) = (UserId::new("alice").unwrap(), UserId::new("bob").unwrap());
    let again = async |session: Authenticated| {
        let first = session.id();
        session.login(Login::new(session.user().clone()))?;
        session.commit().await?;
        let second = session.id();
        assert!(first != second && session.handle().is_live().await?, "the new session");
        session.logout()?;
        session.commit().await?;
        assert!(session.id() == first && !session.handle().is_live().await?, "the one that has ended");
        session.login(Login::new(UserId::new("bob")?))?;
        session.commit().await?;
        assert!(session.id() == first && session.user().as_str() == "alice", "that of somebody else is not hers");
        Ok::<_, Rejection>(())
    };
    let app = routes().route("/again", post(again)).layer(site.layer());
    let cookie = call(&app, "POST", "/login/alice", "").await.cookie();
    assert_eq!(call(&app, "POST", "/again", &cookie).await.status, 200);
    assert_eq!(site.manager.list(&alice).await.unwrap().len(), 0);
    assert_eq!(site.manager.list(&bob).await.unwrap().len(), 1);
}
