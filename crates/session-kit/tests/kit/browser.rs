//! Somebody who uses a site.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

/// Keeps the cookie of the site, as a browser does.
#[derive(Clone)]
pub(crate) struct Browser {
    pub(crate) site: Router,
    pub(crate) name: &'static str,
    pub(crate) cookie: Option<String>,
}

impl Browser {
    pub(crate) fn new(site: &Router, name: &'static str) -> Self {
        Self { site: site.clone(), name, cookie: None }
    }

    /// With the cookie of a session.
    pub(crate) fn with_cookie(site: &Router, cookie: String) -> Self {
        Self { cookie: Some(cookie), ..Self::new(site, "browser") }
    }

    /// Status and body of the answer.
    pub(crate) async fn send(&mut self, method: &str, path: &str, body: &str) -> (StatusCode, String) {
        let answer = self.answer(method, path, body).await;
        (answer.status(), text(answer.body()))
    }

    pub(crate) async fn get(&mut self, path: &str) -> (StatusCode, String) {
        self.send("GET", path, "").await
    }

    pub(crate) async fn answer(&mut self, method: &str, path: &str, body: &str) -> Response<Bytes> {
        let request = Request::builder().method(method).uri(path).header("sec-fetch-site", "same-origin");
        self.exchange(request.body(Body::from(body.to_owned())).unwrap()).await
    }

    /// Sends it with the cookie, and as a form if it has a body of no other kind.
    pub(crate) async fn exchange(&mut self, mut request: Request<Body>) -> Response<Bytes> {
        let headers = request.headers_mut();
        headers.insert(header::USER_AGENT, self.name.parse().unwrap());
        headers.entry(header::CONTENT_TYPE).or_insert("application/x-www-form-urlencoded".parse().unwrap());
        if let Some(cookie) = &self.cookie {
            headers.insert(header::COOKIE, cookie.parse().unwrap());
        }
        let (head, body) = self.site.clone().oneshot(request).await.unwrap().into_parts();
        if let Some(cookie) = head.headers.get(header::SET_COOKIE) {
            self.cookie = cookie.to_str().unwrap().split(';').next().map(str::to_owned);
        }
        Response::from_parts(head, body.collect().await.unwrap().to_bytes())
    }
}

pub(crate) fn text(body: &[u8]) -> String {
    String::from_utf8(body.to_vec()).unwrap()
}

/// A header of the answer; empty if there is none.
pub(crate) fn header_of<'a>(answer: &'a Response<Bytes>, name: &str) -> &'a str {
    answer.headers().get(name).map_or("", |value| value.to_str().unwrap())
}
