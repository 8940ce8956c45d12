//! The application's wording of rejections.

use actix_web::dev::ServiceResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue, LOCATION};
use actix_web::{App, HttpResponse, HttpResponseBuilder, ResponseError as _, web};
use session_actix::{Authenticated, Rejection, RejectionKind, RequestLine, Session, SessionMiddleware};

use crate::common::{Answer, Behaviour, COUNT, Site, call, request, routes, send, serve, single, with_headers};

fn page(rejection: Rejection, _: &RequestLine) -> HttpResponse {
    let is_visitor = rejection.kind() == RejectionKind::Unauthenticated;
    let status = if is_visitor { StatusCode::SEE_OTHER } else { rejection.status_code() };
    let mut response = HttpResponseBuilder::new(status);
    response.content_type("text/html").insert_header((LOCATION, "/sign-in"));
    response.body(format!("<h1>{}</h1>", rejection.code()))
}

fn rendering(site: &Site) -> SessionMiddleware {
    site.middleware().on_rejection(page)
}

#[track_caller]
fn assert_rendered(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status.as_u16(), answer.text()), (status, &*format!("<h1>{code}</h1>")));
    assert_eq!(answer.all("content-type"), ["text/html"]);
    assert_eq!(answer.all("location"), ["/sign-in"]);
}

#[tokio::test]
async fn rejections_of_every_source_are_rendered() {
    let site = Site::standard();
    let app = serve(App::new().wrap(rendering(&site)).configure(routes)).await;

    let answer = send(&app, request("POST", "/plain", "").insert_header(("sec-fetch-site", "cross-site"))).await;
    assert_rendered(&answer, 403, "cross_origin");
    assert_eq!(answer.all("vary"), ["Sec-Fetch-Site, Origin"]);

    let answer = call(&app, "GET", "/me", "").await;
    assert_rendered(&answer, 303, "unauthenticated");
    assert_eq!(answer.all("vary"), ["Cookie"], "what the session demands comes last");

    let returned = call(&app, "POST", "/step-up/alice", "").await;
    assert_rendered(&returned, 303, "unauthenticated");

    let cookie = call(&app, "POST", "/login/alice", "").await.cookie();
    site.on_read(Behaviour::Fails);
    let answer = call(&app, "GET", "/me", &cookie).await;
    assert_rendered(&answer, 503, "session_store_unavailable");
    assert_eq!(answer.all("vary"), ["Cookie"]);

    site.on_write(Behaviour::Fails);
    assert_rendered(&call(&app, "POST", "/count", "").await, 503, "session_store_unavailable");

    let twice = App::new().wrap(site.middleware()).wrap(rendering(&site)).configure(routes);
    let answer = call(&serve(twice).await, "GET", "/plain", "").await;
    assert_rendered(&answer, 500, "session_layer_nested");
}

#[tokio::test]
async fn other_responses_are_left_alone() {
    let site = Site::standard();
    let own = async |_: Session| HttpResponse::Unauthorized().body("my own words");
    let app = serve(App::new().wrap(rendering(&site)).configure(single(own))).await;
    let answer = call(&app, "GET", "/", "").await;
    assert_eq!((answer.status.as_u16(), answer.text()), (401, "my own words"));
}

/// Headers that others added to our rejection, and the session's own, survive.
#[tokio::test]
async fn a_rendered_rejection_keeps_the_other_headers() {
    let site = Site::standard();
    let handler = async |session: Session| {
        session.update(COUNT, |count| *count += 1).unwrap();
        let mut response = Rejection::from(RejectionKind::WrongUser).error_response();
        let theirs = with_headers(&[
            ("access-control-allow-origin", "https://app.example"),
            ("set-cookie", "theme=dark"),
            ("content-encoding", "br"),
            ("cache-control", "public"),
        ]);
        for (name, value) in theirs.headers() {
            response.headers_mut().append(name.clone(), value.clone());
        }
        response
    };
    let app = serve(App::new().wrap(rendering(&site)).configure(single(handler))).await;
    let answer = call(&app, "GET", "/", "").await;
    assert_rendered(&answer, 403, "wrong_user");
    assert_eq!(answer.all("access-control-allow-origin"), ["https://app.example"]);
    assert_eq!(answer.all("content-encoding"), [""; 0]);
    assert_eq!(answer.all("cache-control"), ["private, no-store"]);
    let cookies = answer.all("set-cookie");
    assert_eq!((cookies.len(), cookies[0]), (2, "theme=dark"));
    assert!(cookies[1].starts_with("__Host-id="));
}

/// As the documentation shows it.
fn to_login(rejection: Rejection, request: &RequestLine) -> HttpResponse {
    match (rejection.kind(), request.return_to()) {
        (RejectionKind::Unauthenticated, Some(page)) => {
            HttpResponse::SeeOther().insert_header((LOCATION, format!("/login?next={page}"))).finish()
        }
        _ => HttpResponse::build(rejection.status_code()).body(format!("{} {}", request.method(), request.uri())),
    }
}

#[tokio::test]
async fn a_visitor_is_led_to_the_login_and_back() {
    let site = Site::standard();
    let app = App::new().wrap(site.middleware().on_rejection(to_login));
    let app = serve(app.default_service(web::to(async |_: Authenticated| ""))).await;
    for (method, path, location) in [
        ("GET", "/me", Some("/login?next=%2Fme")),
        ("HEAD", "/me", Some("/login?next=%2Fme")),
        ("GET", "/orders?page=2&q=a%20b", Some("/login?next=%2Forders%3Fpage%3D2%26q%3Da%2520b")),
        ("GET", "/", Some("/login?next=%2F")),
        ("POST", "/me", None),
        ("DELETE", "/me", None),
        ("GET", "/%2f/evil.example", None),
        ("GET", "/a//b", None),
    ] {
        let answer = call(&app, method, path, "").await;
        let expected = if location.is_some() { 303 } else { 401 };
        assert_eq!(answer.status, expected, "{method} {path}");
        assert_eq!(answer.all("location"), Vec::from_iter(location), "{method} {path}");
        if location.is_none() {
            assert_eq!(answer.text(), format!("{method} {path}"));
        }
    }
}

/// A query may hold secrets of the application.
#[tokio::test]
async fn debug_of_a_request_line_hides_its_target() {
    let site = Site::standard();
    let show = |_: Rejection, request: &RequestLine| HttpResponse::Ok().body(format!("{request:?}"));
    let app = serve(App::new().wrap(site.middleware().on_rejection(show)).configure(routes)).await;
    assert_eq!(call(&app, "GET", "/me?reset=secret", "").await.text(), "RequestLine { method: GET, .. }");
}

/// Middleware outside can recognise a rejection too.
#[tokio::test]
async fn the_rejection_is_in_the_extensions_of_the_response() {
    fn note(mut response: ServiceResponse) -> ServiceResponse {
        let rejection = response.response().extensions().get::<Rejection>().copied();
        let code = HeaderValue::from_static(rejection.map_or("none", Rejection::code));
        response.headers_mut().insert(HeaderName::from_static("x-rejection"), code);
        response
    }
    let site = Site::standard();
    for middleware in [site.middleware(), rendering(&site)] {
        let app = App::new().wrap(middleware).wrap_fn(|request, service| {
            let answered = actix_web::dev::Service::call(service, request);
            async move { Ok(note(answered.await?)) }
        });
        let app = serve(app.configure(routes)).await;
        assert_eq!(call(&app, "GET", "/me", "").await.all("x-rejection"), ["unauthenticated"]);
        assert_eq!(call(&app, "GET", "/plain", "").await.all("x-rejection"), ["none"]);
    }
}
