//! [`App`]: an application of any framework, as the client sees it; and its payload.

use std::rc::Rc;

use axum::Router;
use axum::body::Body;
use futures::future::LocalBoxFuture;
use http::Request;
use http::header::{COOKIE, SET_COOKIE};
use serde::{Deserialize, Serialize};
use tower::ServiceExt as _;

/// Answers a `GET` of a path, with the value of `Cookie`.
pub type App = Rc<dyn Fn(&str, Option<&str>) -> LocalBoxFuture<'static, Answer>>;

/// What the client keeps of a response.
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The values of `Set-Cookie`.
    pub cookies: Vec<String>,
    /// The body.
    pub body: String,
}

/// How long sessions last, in seconds.
pub const TTL: u32 = 1_209_600;

/// Connections to PostgreSQL, of each library.
pub const POSTGRES_CONNECTIONS: u32 = 16;

/// The number that `/read` answers with.
pub const USER_ID: u64 = 4711;

/// [`USER_ID`] as text.
pub const USER_TEXT: &str = "4711";

/// The value that is only carried along; with the others, 300 bytes of JSON.
#[derive(Clone, Serialize, Deserialize)]
pub struct Profile {
    name: String,
    email: String,
    roles: Vec<String>,
    csrf: String,
    theme: String,
    locale: String,
    last_seen: u64,
}

impl Profile {
    /// The same for everyone.
    pub fn new() -> Self {
        Self {
            name: "Ada Lovelace".to_owned(),
            email: "ada.lovelace@example.com".to_owned(),
            roles: vec!["user".to_owned(), "editor".to_owned()],
            csrf: "3q2-7wJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9Xy1aQmN".to_owned(),
            theme: "dark".to_owned(),
            locale: "en-GB".to_owned(),
            last_seen: 1_763_869_348,
        }
    }
}

/// The application of a router.
pub fn of_router(router: Router) -> App {
    Rc::new(move |path: &str, cookie: Option<&str>| {
        let mut request = Request::builder().uri(path);
        if let Some(cookie) = cookie {
            request = request.header(COOKIE, cookie);
        }
        let request = request.body(Body::empty()).unwrap();
        let router = router.clone();
        Box::pin(async move {
            let response = router.oneshot(request).await.unwrap();
            let cookies = response.headers().get_all(SET_COOKIE).iter().map(|value| value.to_str().unwrap().to_owned());
            let (cookies, status) = (cookies.collect(), response.status().as_u16());
            let body = axum::body::to_bytes(response.into_body(), 1 << 16).await.unwrap();
            Answer { status, cookies, body: String::from_utf8_lossy(&body).into_owned() }
        })
    })
}
