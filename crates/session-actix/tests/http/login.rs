//! To the login and back; and a user whose login is not committed yet.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderValue, SET_COOKIE};
use actix_web::middleware::{Next, from_fn};
use actix_web::{App, Error, HttpResponse, ResponseError as _, web};
use session_actix::{
    Authenticated, LoginPageError, Rejection, RejectionKind, RequestLine, Session, SessionMiddleware, safe_next,
};
use session_core::{LimitPolicy, Login, Policy, UserId};

use crate::common::{Behaviour, COUNT, Served, Site, call, routes, serve, single};

fn to_login(site: &Site) -> SessionMiddleware {
    site.middleware().redirect_to_login("/login").unwrap()
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
    let app = App::new().wrap(to_login(&site)).default_service(web::to(async |_: Authenticated| ""));
    let app = serve(app).await;
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
    for (method, page) in [("POST", "/me"), ("DELETE", "/me"), ("GET", "/%2f/evil.example"), ("GET", "/login")] {
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
        let mut response = Rejection::from(RejectionKind::Unauthenticated).error_response();
        response.headers_mut().append(SET_COOKIE, HeaderValue::from_static("theme=dark"));
        response
    };
    let app = serve(App::new().wrap(to_login(&site)).configure(single(noted))).await;
    let answer = call(&app, "GET", "/", "").await;
    assert_eq!((answer.status.as_u16(), answer.all("location")), (303, vec!["/login?next=%2F"]));
    let cookies = answer.all("set-cookie");
    assert_eq!((cookies.len(), cookies[0]), (2, "theme=dark"));
    assert_eq!(answer.all("cache-control"), ["private, no-store"]);
    let cookie = cookies[1].split(';').next().unwrap();
    assert_eq!(call(&site.app().await, "GET", "/read", cookie).await.text(), "1");

    // A logout removes the cookie on the way to the login. An error, this time, not a response.
    let out = async |session: Session| {
        session.logout()?;
        Err::<HttpResponse, Rejection>(RejectionKind::Unauthenticated.into())
    };
    let app = serve(App::new().wrap(to_login(&site)).configure(single(out))).await;
    let answer = call(&app, "GET", "/", cookie).await;
    assert_eq!(answer.status.as_u16(), 303);
    assert!(answer.all("set-cookie")[0].starts_with("__Host-id=;"), "{:?}", answer.headers);
}

#[tokio::test]
async fn other_rejections_have_the_words_of_the_application() {
    let site = Site::standard();
    let words = |rejection: Rejection, _: &RequestLine| {
        HttpResponse::build(rejection.status_code()).body(format!("sorry: {}", rejection.code()))
    };
    let app = serve(App::new().wrap(to_login(&site).on_rejection(words)).configure(routes)).await;
    let cookie = call(&app, "POST", "/login/alice", "").await.cookie();
    assert_eq!(call(&app, "GET", "/me", "").await.status.as_u16(), 303);
    assert_eq!(call(&app, "POST", "/step-up/alice", "").await.text(), "sorry: unauthenticated");
    site.on_read(Behaviour::Fails);
    let answer = call(&app, "GET", "/me", &cookie).await;
    assert_eq!((answer.status.as_u16(), answer.text()), (503, "sorry: session_store_unavailable"));
    // Without words, they are the library's.
    let app = serve(App::new().wrap(to_login(&site)).configure(routes)).await;
    call(&app, "GET", "/me", &cookie).await.assert_rejected(503, "session_store_unavailable");
}

/// Handlers may say it, and mean it: to log in again would change nothing.
#[tokio::test]
async fn what_is_forbidden_is_no_reason_to_log_in() {
    let site = Site::standard();
    let admin = async |_: Authenticated| Err::<HttpResponse, Rejection>(RejectionKind::Forbidden.into());
    let app = App::new().wrap(to_login(&site)).configure(routes).route("/admin", web::get().to(admin));
    let app = serve(app).await;
    assert_eq!(call(&app, "GET", "/admin", "").await.status.as_u16(), 303);
    let cookie = call(&app, "POST", "/login/alice", "").await.cookie();
    call(&app, "GET", "/admin", &cookie).await.assert_rejected(403, "forbidden");
}

#[tokio::test]
async fn who_is_named_by_nothing_is_a_bad_request() {
    let site = Site::standard();
    let ban = async |_: Session| {
        let _ = UserId::new("")?;
        Ok::<_, Rejection>(HttpResponse::NoContent().finish())
    };
    let app = serve(App::new().wrap(site.middleware()).configure(single(ban))).await;
    call(&app, "POST", "/", "").await.assert_rejected(400, "invalid_user_id");
}

#[test]
fn a_login_at_another_site_is_refused() {
    let site = Site::standard();
    for elsewhere in ["https://evil.example/login", "//evil.example", "login", ""] {
        assert_eq!(site.middleware().redirect_to_login(elsewhere).err(), Some(LoginPageError), "{elsewhere:?}");
    }
}

/// Logs everybody in, as an application does that knows its users by a certificate.
async fn known(
    session: Session,
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    session.login(Login::new(UserId::new("alice").unwrap())).map_err(Rejection::from)?;
    next.call(request).await
}

async fn id_of(session: Authenticated) -> String {
    assert_eq!((session.user().as_str(), session.handle().id()), ("alice", session.id()));
    session.id().to_string()
}

async fn known_at(site: &Site) -> Served {
    serve(App::new().wrap(from_fn(known)).wrap(site.middleware()).route("/", web::get().to(id_of))).await
}

#[tokio::test]
async fn a_user_who_has_just_logged_in_has_a_session() {
    let site = Site::standard();
    let app = known_at(&site).await;
    let answer = call(&app, "GET", "/", "").await;
    assert_eq!(site.store.calls(), (0, 1), "one create");
    let listed = site.manager.list(&UserId::new("alice").unwrap()).await.unwrap();
    assert_eq!(answer.text(), listed[0].id.to_string());
    assert_eq!(call(&site.app().await, "GET", "/me", &answer.cookie()).await.text(), "alice");

    site.on_write(Behaviour::Fails);
    call(&app, "GET", "/", "").await.assert_rejected(503, "session_store_unavailable");
    let one = Policy::standard().to_builder().session_limit(1, LimitPolicy::Reject).build().unwrap();
    let site = Site::new(one);
    let app = known_at(&site).await;
    assert_eq!(call(&app, "GET", "/", "").await.status.as_u16(), 200);
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
        Ok::<_, Rejection>("again")
    };
    let app = App::new().wrap(site.middleware()).configure(routes).route("/again", web::post().to(again));
    let app = serve(app).await;
    let cookie = call(&app, "POST", "/login/alice", "").await.cookie();
    assert_eq!(call(&app, "POST", "/again", &cookie).await.status.as_u16(), 200);
    assert_eq!(site.manager.list(&alice).await.unwrap().len(), 0);
    assert_eq!(site.manager.list(&bob).await.unwrap().len(), 1);
}
