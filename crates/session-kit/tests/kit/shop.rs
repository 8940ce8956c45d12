//! The application of the documentation, used as by a person with two browsers.

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use http_body_util::BodyExt as _;
use session_kit::store::moka::MokaStore;
use session_kit::{Policy, SessionManager};
use tower::ServiceExt as _;

#[path = "../../examples/shop.rs"]
#[allow(dead_code, reason = "its main")]
mod example;

/// Somebody who uses the site, and keeps its cookie.
struct Browser {
    site: Router,
    name: &'static str,
    cookie: Option<String>,
}

impl Browser {
    async fn send(&mut self, method: &str, path: &str, body: &'static str) -> (StatusCode, String) {
        let mut request = Request::builder().method(method).uri(path).header(header::USER_AGENT, self.name);
        if path == "/login" {
            request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        request = request.header("sec-fetch-site", "same-origin");
        if let Some(cookie) = &self.cookie {
            request = request.header(header::COOKIE, cookie);
        }
        let response = self.site.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        if let Some(cookie) = response.headers().get(header::SET_COOKIE) {
            self.cookie = cookie.to_str().unwrap().split(';').next().map(str::to_owned);
        }
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }
}

#[tokio::test]
async fn the_application_of_the_documentation_works() {
    let site = example::app(SessionManager::new(MokaStore::new(), Policy::standard()));
    let browser = |name| Browser { site: site.clone(), name, cookie: None };
    let (mut phone, mut laptop) = (browser("phone"), browser("laptop"));
    let credentials = "name=alice&password=correct-horse";

    // A visitor's cart, which the login keeps.
    assert_eq!(phone.send("GET", "/devices", "").await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(phone.send("POST", "/cart", "42").await.0, StatusCode::OK);
    assert_eq!(phone.send("POST", "/login", "name=alice&password=wrong").await.1, "wrong name or password");
    assert_eq!(phone.send("POST", "/login", credentials).await, (StatusCode::OK, "welcome".to_owned()));
    assert_eq!(phone.send("GET", "/cart", "").await.1, "[42]");

    // Two devices, and the end of both.
    laptop.send("POST", "/login", credentials).await;
    let (_, devices) = laptop.send("GET", "/devices", "").await;
    let mut devices: Vec<&str> = devices.lines().collect();
    devices.sort_unstable();
    assert_eq!(devices, ["laptop", "phone"]);
    assert_eq!(laptop.send("POST", "/logout-everywhere", "").await.0, StatusCode::OK);
    assert_eq!(phone.send("GET", "/devices", "").await.0, StatusCode::UNAUTHORIZED);
}
