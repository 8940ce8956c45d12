//! A session layer inside another one, with a cookie of its own.

use crate::common::{Answer, Behaviour, Site, call, masked, routes, single};
use axum::Router;
use axum::routing::{get, post};
use bytes::Bytes;
use http::Response;
use session_core::{CookiePolicy, Login, Policy, UserId};
use session_tower::{Authenticated, Rejection, RequestLine, Session, SessionLayer};

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

impl Shop {
    fn new() -> Self {
        Self { shop: Site::standard(), office: named("__Host-office") }
    }

    fn app(&self) -> Router {
        self.app_in(self.shop.layer())
    }

    fn app_in(&self, shop: SessionLayer) -> Router {
        let both = async |session: Session| {
            let outer = session.outer().await?;
            Ok::<_, Rejection>(format!("{} {}", user(&session), outer.as_ref().map_or("-".to_owned(), |it| user(it))))
        };
        let log_in_to_both = async |session: Session| {
            log_in(&session.outer().await?.unwrap(), "alice")?;
            log_in(&session, "clerk")
        };
        let admin = routes().route("/both", get(both)).route("/both", post(log_in_to_both));
        routes().route("/both", get(both)).nest("/admin", admin.layer(self.office.layer())).layer(shop)
    }
}

/// The cookies of an answer, as a client sends them back.
fn cookies(answer: &Answer) -> String {
    let cookies = answer.all("set-cookie").into_iter().map(|cookie| cookie.split(';').next().unwrap());
    cookies.collect::<Vec<_>>().join("; ")
}

#[tokio::test]
async fn extractors_give_the_inner_session_and_the_outer_one_is_at_hand() {
    let shop = Shop::new();
    let app = shop.app();
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
    let app = shop.app();
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
    let shop = Shop::new();
    let app = shop.app();
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
        Response::builder().status(503).header("cache-control", "public").body(Bytes::from("sorry")).unwrap()
    };
    for app in [shop.app(), shop.app_in(shop.shop.layer().on_rejection(render))] {
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
    let app = shop.app();
    shop.office.on_write(Behaviour::Fails);
    let answer = call(&app, "POST", "/admin/both", "").await;
    assert_eq!((answer.status.as_u16(), answer.text()), (503, "{\"error\":\"session_store_unavailable\"}"));
    let cookie = answer.cookie();
    assert_eq!(call(&app, "GET", "/both", &cookie).await.text(), "alice -");
}

/// Each of the names around, not only the next one.
#[tokio::test]
async fn the_same_name_twice_is_an_error_at_any_depth() {
    let (a, b) = (Site::standard(), named("__Host-office"));
    let inside =
        |layers: &[&Site]| layers.iter().fold(single(async |_: Session| "fine"), |app, site| app.layer(site.layer()));
    for (app, is_fine) in [
        (inside(&[&b, &a]), true),
        (inside(&[&a, &named("__Host-other"), &b]), true),
        (inside(&[&a, &Site::standard()]), false),
        (inside(&[&a, &b, &a]), false),
        (inside(&[&b, &a, &a]), false),
    ] {
        let answer = call(&app, "GET", "/", "").await;
        if is_fine {
            assert_eq!(answer.text(), "fine");
        } else {
            answer.assert_rejected(500, "session_layer_nested");
        }
    }
}

#[tokio::test]
async fn the_innermost_layer_that_words_rejections_words_them() {
    let shop = Shop::new();
    let words = |text: &'static str| {
        move |rejection: Rejection, request: &RequestLine| {
            let mut response = Response::new(Bytes::from(format!("{text} {} {}", rejection.code(), request.uri())));
            *response.status_mut() = rejection.status();
            response
        }
    };
    let me = || single(async |_: Authenticated| ());
    let (inner, outer) = (shop.office.layer(), shop.shop.layer());
    let both = me().layer(inner.clone().on_rejection(words("office"))).layer(outer.clone().on_rejection(words("shop")));
    assert_eq!(call(&both, "GET", "/", "").await.text(), "office unauthenticated /");
    let only_outer = me().layer(inner).layer(outer.on_rejection(words("shop")));
    assert_eq!(call(&only_outer, "GET", "/", "").await.text(), "shop unauthenticated /");
}
