//! actix-web: the same handlers, and actix-session.

use std::rc::Rc;

use actix_session::storage::RedisSessionStore;
use actix_session::{Session, SessionMiddleware};
use actix_web::cookie::Key;
use actix_web::dev::{Service, ServiceResponse};
use actix_web::{FromRequest, HttpResponse, test, web};

use crate::app::{Answer, App, Profile, USER_ID};

/// As [`site::Session`](crate::site::Session), for actix-web.
pub trait LocalSession: FromRequest + 'static {
    /// A number.
    fn get(&self, key: &'static str) -> Option<u64>;
    /// Changes a number.
    fn set(&self, key: &'static str, value: u64);
    /// Sets `profile`.
    fn set_profile(&self);
    /// At least, the session has a new id.
    fn login(&self);
}

/// Without sessions.
pub async fn bare() -> App {
    app(test::init_service(actix_web::App::new().route("/untouched", web::get().to(untouched))).await)
}

/// actix-session. Changes the id at login; overwrites without comparing.
pub async fn session(url: &str) -> App {
    let store = RedisSessionStore::new(url).await.unwrap();
    let sessions = SessionMiddleware::new(store, Key::from(&[7; 64]));
    app(test::init_service(actix_web::App::new().wrap(sessions).configure(routes::<Session>)).await)
}

/// The routes of [`site::routes`](crate::site::routes).
pub fn routes<S: LocalSession>(config: &mut web::ServiceConfig) {
    config
        .route("/untouched", web::get().to(untouched))
        .route("/seed", web::get().to(seed::<S>))
        .route("/read", web::get().to(read::<S>))
        .route("/write", web::get().to(write::<S>))
        .route("/login", web::get().to(login::<S>));
}

/// The application of a service.
pub fn app<S, B>(service: S) -> App
where
    S: Service<actix_http::Request, Response = ServiceResponse<B>, Error = actix_web::Error> + 'static,
    B: actix_web::body::MessageBody + 'static,
{
    let service = Rc::new(service);
    Rc::new(move |path: &str, cookie: Option<&str>| {
        let mut request = test::TestRequest::get().uri(path);
        if let Some(cookie) = cookie {
            request = request.insert_header(("cookie", cookie));
        }
        let (service, request) = (Rc::clone(&service), request.to_request());
        Box::pin(async move {
            let response = service.call(request).await.unwrap();
            let cookies = response.headers().get_all("set-cookie").map(|value| value.to_str().unwrap().to_owned());
            let (cookies, status) = (cookies.collect(), response.status().as_u16());
            let body = test::read_body(response).await;
            Answer { status, cookies, body: String::from_utf8_lossy(&body).into_owned() }
        })
    })
}

impl LocalSession for Session {
    fn get(&self, key: &'static str) -> Option<u64> {
        Self::get(self, key).unwrap()
    }

    fn set(&self, key: &'static str, value: u64) {
        self.insert(key, value).unwrap();
    }

    fn set_profile(&self) {
        self.insert("profile", Profile::new()).unwrap();
    }

    fn login(&self) {
        self.renew();
    }
}

async fn untouched() -> HttpResponse {
    HttpResponse::Ok().body("ok")
}

async fn seed<S: LocalSession>(session: S) -> HttpResponse {
    session.set("user_id", USER_ID);
    session.set("counter", 17);
    session.set_profile();
    HttpResponse::Ok().body("ok")
}

async fn read<S: LocalSession>(session: S) -> HttpResponse {
    HttpResponse::Ok().body(session.get("user_id").map_or(String::new(), |user| user.to_string()))
}

async fn write<S: LocalSession>(session: S) -> HttpResponse {
    let counter = session.get("counter").unwrap_or(0);
    session.set("counter", counter + 1);
    HttpResponse::Ok().body("ok")
}

async fn login<S: LocalSession>(session: S) -> HttpResponse {
    session.login();
    let logins = session.get("login").unwrap_or(0);
    session.set("login", logins + 1);
    HttpResponse::Ok().body("ok")
}
