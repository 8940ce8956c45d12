//! A session middleware inside another one, with a cookie of its own.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::ErrorImATeapot;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::{Next, from_fn};
use actix_web::{App, Error, FromRequest as _, HttpResponse, ResponseError as _, web};
use session_actix::{Authenticated, Rejection, RequestLine, Session, SessionMiddleware};
use session_core::{CookiePolicy, Login, Policy, UserId};

use crate::common::{Answer, Behaviour, Served, Site, call, masked, routes, serve, single};

/// A shop, and its back office with a manager and a store of its own.
struct Shop {
    shop: Site,
    office: Site,
}

fn named(name: &str) -> Site {
    let cookie = CookiePolicy::builder(name).build().unwrap();
    Site::new(Policy::standard().to_builder().cookie(cookie).build().unwrap())
}

fn user(session: &session_core::Session) -> String {
    session.user().map_or("nobody".to_owned(), |user| user.as_str().to_owned())
}

fn log_in(session: &session_core::Session, name: &str) -> Result<(), Rejection> {
    Ok(session.login(Login::new(UserId::new(name).unwrap()))?)
}

async fn both(session: Session) -> Result<String, Rejection> {
    let outer = session.outer().await?;
    Ok(format!("{} {}", user(&session), outer.as_ref().map_or("-".to_owned(), |it| user(it))))
}

async fn log_in_to_both(session: Session) -> Result<&'static str, Rejection> {
    log_in(&session.outer().await?.unwrap(), "alice")?;
    log_in(&session, "clerk")?;
    Ok("welcome")
}

impl Shop {
    fn new() -> Self {
        Self { shop: Site::standard(), office: named("__Host-office") }
    }

    async fn app(&self) -> Served {
        self.app_in(self.shop.middleware()).await
    }

    async fn app_in(&self, shop: SessionMiddleware) -> Served {
        let admin = web::scope("/admin").wrap(self.office.middleware()).configure(routes);
        let admin = admin.route("/both", web::get().to(both)).route("/both", web::post().to(log_in_to_both));
        let app = App::new().wrap(shop).service(admin).route("/both", web::get().to(both));
        serve(app.configure(routes)).await
    }
}

/// The cookies of an answer, as a client sends them back.
fn cookies(answer: &Answer) -> String {
    let cookies = answer.all("set-cookie").into_iter().map(|cookie| cookie.split(';').next().unwrap());
    cookies.collect::<Vec<_>>().join("; ")
}

#[tokio::test]
async fn extractors_give_the_inner_session_and_the_outer_one_is_at_hand() {
    let app = Shop::new().app().await;
    let alice = call(&app, "POST", "/login/alice", "").await.cookie();
    let clerk = call(&app, "POST", "/admin/login/clerk", &alice).await.cookie();
    assert!(alice.starts_with("__Host-id=") && clerk.starts_with("__Host-office="));
    let jar = format!("{alice}; {clerk}");
    for (cookie, outside, inside) in [
        (&*jar, "alice -", "clerk alice"),
        (&*alice, "alice -", "nobody alice"),
        (&*clerk, "nobody -", "clerk nobody"),
        ("", "nobody -", "nobody nobody"),
    ] {
        assert_eq!(call(&app, "GET", "/both", cookie).await.text(), outside);
        assert_eq!(call(&app, "GET", "/admin/both", cookie).await.text(), inside);
    }
    call(&app, "GET", "/admin/me", &alice).await.assert_rejected(401, "unauthenticated");
    call(&app, "POST", "/admin/logout", &jar).await;
    assert_eq!(call(&app, "GET", "/admin/both", &jar).await.text(), "nobody alice");
}

#[tokio::test]
async fn a_session_that_is_not_asked_for_is_not_loaded() {
    let shop = Shop::new();
    let app = shop.app().await;
    let clerk = call(&app, "POST", "/admin/login/clerk", "").await.cookie();
    let alice = call(&app, "POST", "/login/alice", "").await.cookie();
    let before = (shop.shop.store.calls(), shop.office.store.calls());
    let answer = call(&app, "GET", "/admin/me", &format!("{alice}; {clerk}")).await;
    assert_eq!((answer.text(), answer.all("vary")), ("clerk", vec!["Cookie"]));
    assert_eq!(shop.shop.store.calls(), before.0);
    assert_eq!(shop.office.store.calls(), (before.1.0 + 1, before.1.1));
}

#[tokio::test]
async fn both_commit_and_both_set_their_cookie() {
    let app = Shop::new().app().await;
    let answer = call(&app, "POST", "/admin/both", "").await;
    assert_eq!(answer.status, 200);
    let set: Vec<_> = answer.all("set-cookie").into_iter().map(masked).collect();
    let attributes = "<token>; HttpOnly; SameSite=Lax; Secure; Path=/";
    assert_eq!(set, [format!("__Host-office={attributes}"), format!("__Host-id={attributes}")]);
    assert_eq!(answer.all("cache-control"), ["private, no-store"]);
    assert_eq!(answer.all("vary"), ["Cookie"]);
    assert_eq!(call(&app, "GET", "/admin/both", &cookies(&answer)).await.text(), "clerk alice");
}

/// Nobody else would get the cookie of the inner session, which is committed.
#[tokio::test]
async fn what_the_inner_session_committed_stands_if_the_outer_one_fails() {
    let shop = Shop::new();
    let render = |_: Rejection, _: &RequestLine| {
        HttpResponse::ServiceUnavailable().insert_header(("cache-control", "public")).body("sorry")
    };
    for middleware in [shop.shop.middleware(), shop.shop.middleware().on_rejection(render)] {
        let app = shop.app_in(middleware).await;
        shop.shop.on_write(Behaviour::Fails);
        let answer = call(&app, "POST", "/admin/both", "").await;
        assert_eq!(answer.status, 503);
        assert_eq!(answer.all("cache-control"), ["private, no-store"]);
        assert_eq!(call(&app, "GET", "/admin/both", &answer.cookie()).await.text(), "clerk nobody");
        shop.shop.on_write(Behaviour::Works);
    }
}

#[tokio::test]
async fn if_the_inner_one_fails_the_outer_one_is_committed_all_the_same() {
    let shop = Shop::new();
    let app = shop.app().await;
    shop.office.on_write(Behaviour::Fails);
    let answer = call(&app, "POST", "/admin/both", "").await;
    assert_eq!((answer.status.as_u16(), answer.text()), (503, "{\"error\":\"session_store_unavailable\"}"));
    let cookie = answer.cookie();
    assert_eq!(call(&app, "GET", "/both", &cookie).await.text(), "alice -");
}

/// An extractor that ends the request ends it inside its own middleware, whatever is around.
#[tokio::test]
async fn a_store_of_the_inner_sessions_that_fails_is_a_response_to_the_outer_ones() {
    let shop = Shop::new();
    let app = shop.app().await;
    let clerk = call(&app, "POST", "/admin/login/clerk", "").await.cookie();
    shop.office.on_read(Behaviour::Fails);
    for path in ["/admin/me", "/admin/both"] {
        call(&app, "GET", path, &clerk).await.assert_rejected(503, "session_store_unavailable");
    }
    shop.office.on_read(Behaviour::Works);
    let alice = call(&app, "POST", "/login/alice", "").await.cookie();
    shop.shop.on_read(Behaviour::Fails);
    let jar = format!("{alice}; {clerk}");
    assert_eq!(call(&app, "GET", "/admin/me", &jar).await.text(), "clerk");
    call(&app, "GET", "/admin/both", &jar).await.assert_rejected(503, "session_store_unavailable");
}

/// Each of the names around, not only the next one.
#[tokio::test]
async fn the_same_name_twice_is_an_error_at_any_depth() {
    let (a, b) = (Site::standard(), named("__Host-office"));
    let fine = async |_: Session| "fine";
    for (inner, middle, outer, is_fine) in [
        (&a, &named("__Host-other"), &b, true),
        (&a, &Site::standard(), &b, false),
        (&a, &b, &a, false),
        (&b, &a, &a, false),
    ] {
        let app = App::new().wrap(inner.middleware()).wrap(middle.middleware()).wrap(outer.middleware());
        let answer = call(&serve(app.configure(single(fine))).await, "GET", "/", "").await;
        if is_fine {
            assert_eq!(answer.text(), "fine");
        } else {
            answer.assert_rejected(500, "session_layer_nested");
        }
    }
    let side_by_side = App::new()
        .service(web::scope("/a").wrap(a.middleware()).configure(routes))
        .service(web::scope("/b").wrap(a.middleware()).configure(routes));
    let app = serve(side_by_side).await;
    let cookie = call(&app, "POST", "/a/login/alice", "").await.cookie();
    assert_eq!(call(&app, "GET", "/b/me", &cookie).await.text(), "alice");
}

#[tokio::test]
async fn the_innermost_middleware_that_words_rejections_words_them() {
    let shop = Shop::new();
    let words = |text: &'static str| {
        move |rejection: Rejection, request: &RequestLine| {
            let text = format!("{text} {} {}", rejection.code(), request.uri());
            HttpResponse::build(rejection.status_code()).body(text)
        }
    };
    let me = || single(async |_: Authenticated| "");
    let (inner, outer) = (shop.office.middleware(), shop.shop.middleware().on_rejection(words("shop")));
    let app = App::new().wrap(inner.clone().on_rejection(words("office"))).wrap(outer.clone());
    let answer = call(&serve(app.configure(me())).await, "GET", "/", "").await;
    assert_eq!(answer.text(), "office unauthenticated /");
    let app = App::new().wrap(inner).wrap(outer).configure(me());
    assert_eq!(call(&serve(app).await, "GET", "/", "").await.text(), "shop unauthenticated /");
}

/// The session that it has before and after is that of the middleware around it.
async fn between(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let before = Session::extract(request.request()).await?.user().is_some();
    let mut response = next.call(request).await?;
    let after = Session::extract(response.request()).await?.user().is_some();
    let value = HeaderValue::from_str(&format!("{before} {after}")).unwrap();
    response.headers_mut().insert(HeaderName::from_static("x-customer"), value);
    Ok(response)
}

#[tokio::test]
async fn what_is_between_two_middlewares_has_the_session_of_the_outer_one() {
    let shop = Shop::new();
    let app = App::new().wrap(shop.office.middleware()).wrap(from_fn(between)).wrap(shop.shop.middleware());
    let app = serve(app.configure(routes)).await;
    let clerk = call(&app, "POST", "/login/clerk", "").await.cookie();
    let answer = call(&app, "GET", "/me", &clerk).await;
    assert_eq!((answer.text(), answer.all("x-customer")), ("clerk", vec!["false false"]));
    let app = shop.app().await;
    let alice = call(&app, "POST", "/login/alice", "").await.cookie();
    let app = App::new().wrap(shop.office.middleware()).wrap(from_fn(between)).wrap(shop.shop.middleware());
    let app = serve(app.configure(routes)).await;
    assert_eq!(call(&app, "GET", "/plain", &alice).await.all("x-customer"), ["true true"]);
}

async fn errs(_: ServiceRequest, _: Next<impl MessageBody>) -> Result<ServiceResponse, Error> {
    Err(ErrorImATeapot("short and stout"))
}

/// Answers an error with the user of the session that it finds then.
async fn recovers(request: ServiceRequest, next: Next<BoxBody>) -> Result<ServiceResponse, Error> {
    let kept = request.request().clone();
    assert!(next.call(request).await.is_err());
    let session = Session::extract(&kept).await?;
    let response = HttpResponse::Ok().body(user(&session));
    Ok(ServiceResponse::new(kept, response))
}

#[tokio::test]
async fn after_an_error_of_the_inner_one_there_is_the_session_of_the_outer_one() {
    let shop = Shop::new();
    let alice = call(&shop.app().await, "POST", "/login/alice", "").await.cookie();
    let app = App::new().wrap(from_fn(errs)).wrap(shop.office.middleware()).wrap(from_fn(recovers));
    let app = serve(app.wrap(shop.shop.middleware()).configure(routes)).await;
    let answer = call(&app, "GET", "/plain", &alice).await;
    assert_eq!((answer.text(), answer.all("vary")), ("alice", vec!["Cookie"]));
}
