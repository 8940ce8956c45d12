//! The application of the documentation, used as by a person with two browsers: with axum, and with actix-web.

use actix_web::App;
use actix_web::http::header::{COOKIE, SET_COOKIE, USER_AGENT};
use axum::http::StatusCode;
use session_kit::actix::SessionMiddleware;
use session_kit::store::moka::MokaStore;
use session_kit::{Policy, SessionManager};

use crate::browser::{Browser, text};

#[path = "../../examples/shop.rs"]
#[allow(dead_code, reason = "its main")]
mod example;

#[path = "../../examples/shop_actix.rs"]
#[allow(dead_code, reason = "its main")]
mod example_actix;

#[tokio::test]
async fn the_application_of_the_documentation_works() {
    let site = example::app(SessionManager::new(MokaStore::new(), Policy::standard()));
    let (mut phone, mut laptop) = (Browser::new(&site, "phone"), Browser::new(&site, "laptop"));
    let credentials = "name=alice&password=correct-horse";

    // A visitor's cart, which the login keeps.
    assert_eq!(phone.get("/devices").await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(phone.send("POST", "/cart", "42").await.0, StatusCode::OK);
    assert_eq!(phone.send("POST", "/login", "name=alice&password=wrong").await.1, "wrong name or password");
    assert_eq!(phone.send("POST", "/login", credentials).await, (StatusCode::OK, "welcome".to_owned()));
    assert_eq!(phone.get("/cart").await.1, "[42]");

    // Two devices, and the end of both.
    laptop.send("POST", "/login", credentials).await;
    let (_, devices) = laptop.get("/devices").await;
    let mut devices: Vec<&str> = devices.lines().collect();
    devices.sort_unstable();
    assert_eq!(devices, ["laptop", "phone"]);
    assert_eq!(laptop.send("POST", "/logout-everywhere", "").await.0, StatusCode::OK);
    assert_eq!(phone.get("/devices").await.0, StatusCode::UNAUTHORIZED);
}

#[actix_web::test]
async fn the_application_of_the_documentation_works_with_actix() {
    let sessions = SessionMiddleware::new(SessionManager::new(MokaStore::new(), Policy::standard()));
    let app = actix_web::test::init_service(App::new().configure(example_actix::routes).wrap(sessions)).await;
    // Status, body, and the cookie from then on.
    let send = async |cookie: &mut Option<String>, agent: &str, method: &str, path: &str, body: &str| {
        let mut request = actix_web::test::TestRequest::with_uri(path).method(method.parse().unwrap());
        request = request.insert_header((USER_AGENT, agent)).insert_header(("sec-fetch-site", "same-origin"));
        request = request.insert_header(("content-type", "application/x-www-form-urlencoded"));
        if let Some(cookie) = cookie {
            request = request.insert_header((COOKIE, cookie.as_str()));
        }
        let request = request.set_payload(body.to_owned()).to_request();
        let answer = actix_web::test::call_service(&app, request).await;
        if let Some(set) = answer.headers().get(SET_COOKIE) {
            *cookie = set.to_str().unwrap().split(';').next().map(str::to_owned);
        }
        let status = answer.status().as_u16();
        (status, text(&actix_web::test::read_body(answer).await))
    };
    let (mut phone, mut laptop) = (None, None);
    let credentials = "name=alice&password=correct-horse";

    assert_eq!(send(&mut phone, "phone", "GET", "/devices", "").await.0, 401);
    assert_eq!(send(&mut phone, "phone", "POST", "/cart", "42").await.0, 200);
    assert_eq!(send(&mut phone, "phone", "POST", "/login", credentials).await.1, "welcome");
    assert_eq!(send(&mut phone, "phone", "GET", "/cart", "").await.1, "[42]");

    send(&mut laptop, "laptop", "POST", "/login", credentials).await;
    let (_, devices) = send(&mut laptop, "laptop", "GET", "/devices", "").await;
    let mut devices: Vec<&str> = devices.lines().collect();
    devices.sort_unstable();
    assert_eq!(devices, ["laptop", "phone"]);
    assert_eq!(send(&mut laptop, "laptop", "POST", "/logout-everywhere", "").await.0, 200);
    assert_eq!(send(&mut phone, "phone", "GET", "/devices", "").await.0, 401);
}
