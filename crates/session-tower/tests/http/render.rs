//! The application's wording of rejections.

use crate::common::{Answer, Behaviour, COUNT, Site, call, request, routes, send, single};
use axum::response::AppendHeaders;
use bytes::Bytes;
use http::{HeaderValue, Response};
use session_tower::{Rejection, RejectionKind, RequestLine, Session, SessionLayer};

fn page(rejection: Rejection, _: &RequestLine) -> Response<Bytes> {
    Response::builder()
        .status(if rejection.kind() == RejectionKind::Unauthenticated { 303 } else { rejection.status().as_u16() })
        .header("content-type", "text/html")
        .header("location", "/sign-in")
        .body(Bytes::from(format!("<h1>{}</h1>", rejection.code())))
        .unwrap()
}

fn rendering(site: &Site) -> SessionLayer {
    site.layer().on_rejection(page)
}

#[track_caller]
fn assert_rendered(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status.as_u16(), answer.text()), (status, &*format!("<h1>{code}</h1>")));
    assert_eq!(answer.all("content-type"), ["text/html"]);
    assert_eq!(answer.all("location"), ["/sign-in"]);
    assert_eq!(answer.all("content-length"), [answer.body.len().to_string()]);
}

#[tokio::test]
async fn rejections_of_every_source_are_rendered() {
    let site = Site::standard();
    let app = routes().layer(rendering(&site));

    let mut from_elsewhere = request("POST", "/plain", "");
    from_elsewhere.headers_mut().insert("sec-fetch-site", "cross-site".parse().unwrap());
    let answer = send(&app, from_elsewhere).await;
    assert_rendered(&answer, 403, "cross_origin");
    assert_eq!(answer.all("vary"), ["Sec-Fetch-Site, Origin"]);

    let answer = call(&app, "GET", "/me", "").await;
    assert_rendered(&answer, 303, "unauthenticated");
    assert_eq!(answer.all("vary"), ["Cookie"], "what the session demands comes last");

    let returned = call(&app, "POST", "/step-up/alice", "").await;
    assert_rendered(&returned, 303, "unauthenticated");

    site.on_write(Behaviour::Fails);
    assert_rendered(&call(&app, "POST", "/count", "").await, 503, "session_store_unavailable");

    let nested = site.app().layer(rendering(&site));
    assert_rendered(&call(&nested, "GET", "/plain", "").await, 500, "session_layer_nested");
}

#[tokio::test]
async fn other_responses_are_left_alone() {
    let site = Site::standard();
    let own = async |_session: Session| (http::StatusCode::UNAUTHORIZED, "my own words");
    let answer = call(&single(own).layer(rendering(&site)), "GET", "/", "").await;
    assert_eq!((answer.status.as_u16(), answer.text()), (401, "my own words"));
}

/// Headers that others added to our rejection, and the session's own, survive.
#[tokio::test]
async fn a_rendered_rejection_keeps_the_other_headers() {
    let site = Site::standard();
    let handler = async |session: Session| {
        session.update(COUNT, |count| *count += 1).unwrap();
        let headers = [
            ("access-control-allow-origin", "https://app.example"),
            ("set-cookie", "theme=dark"),
            ("content-encoding", "br"),
            ("cache-control", "public"),
        ];
        (AppendHeaders(headers), Rejection::from(RejectionKind::WrongUser))
    };
    let answer = call(&single(handler).layer(rendering(&site)), "GET", "/", "").await;
    assert_rendered(&answer, 403, "wrong_user");
    assert_eq!(answer.all("access-control-allow-origin"), ["https://app.example"]);
    assert_eq!(answer.all("content-encoding"), [""; 0]);
    assert_eq!(answer.all("cache-control"), ["private, no-store"]);
    let cookies = answer.all("set-cookie");
    assert_eq!((cookies.len(), cookies[0]), (2, "theme=dark"));
    assert!(cookies[1].starts_with("__Host-id="));
}

/// As the documentation shows it.
fn to_login(rejection: Rejection, request: &RequestLine) -> Response<Bytes> {
    let mut response = Response::new(format!("{} {}", request.method(), request.uri()).into());
    *response.status_mut() = rejection.status();
    if rejection.kind() == RejectionKind::Unauthenticated
        && let Some(page) = request.return_to()
        && let Ok(login) = HeaderValue::try_from(format!("/login?next={page}"))
    {
        *response.status_mut() = http::StatusCode::SEE_OTHER;
        response.headers_mut().insert("location", login);
    }
    response
}

#[tokio::test]
async fn a_visitor_is_led_to_the_login_and_back() {
    let site = Site::standard();
    let anything = async |_: session_tower::Authenticated| ();
    let app = axum::Router::new().fallback(anything).layer(site.layer().on_rejection(to_login));
    for (method, path, location) in [
        ("GET", "/me", Some("/login?next=%2Fme")),
        ("HEAD", "/me", Some("/login?next=%2Fme")),
        ("GET", "/orders?page=2&q=a%20b", Some("/login?next=%2Forders%3Fpage%3D2%26q%3Da%2520b")),
        ("GET", "/", Some("/login?next=%2F")),
        ("POST", "/me", None),
        ("DELETE", "/me", None),
        ("GET", "//evil.example", None),
        ("GET", "/%2f/evil.example", None),
        ("GET", "/a//b", None),
    ] {
        let answer = call(&app, method, path, "").await;
        let expected = if location.is_some() { 303 } else { 401 };
        assert_eq!(answer.status, expected, "{method} {path}");
        assert_eq!(answer.all("location"), Vec::from_iter(location), "{method} {path}");
        if method != "HEAD" {
            assert_eq!(answer.text(), format!("{method} {path}"));
        }
    }
}

/// A query may hold secrets of the application.
#[tokio::test]
async fn debug_of_a_request_line_hides_its_target() {
    let site = Site::standard();
    let show = |_: Rejection, request: &RequestLine| Response::new(format!("{request:?}").into());
    let app = routes().layer(site.layer().on_rejection(show));
    let answer = call(&app, "GET", "/me?reset=secret", "").await;
    assert_eq!(answer.text(), "RequestLine { method: GET, .. }");
}

/// Middleware outside the layer can recognise a rejection too.
#[tokio::test]
async fn the_rejection_is_in_the_extensions_of_the_response() {
    let site = Site::standard();
    let note = async |response: axum::response::Response| {
        let rejection = response.extensions().get::<Rejection>().copied();
        ([("x-rejection", rejection.map_or("none", Rejection::code))], response)
    };
    for layer in [site.layer(), rendering(&site)] {
        let app = routes().layer(layer).layer(axum::middleware::map_response(note));
        assert_eq!(call(&app, "GET", "/me", "").await.all("x-rejection"), ["unauthenticated"]);
        assert_eq!(call(&app, "GET", "/plain", "").await.all("x-rejection"), ["none"]);
    }
}
