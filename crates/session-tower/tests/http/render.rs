//! The application's wording of rejections.

use crate::common::{Answer, Behaviour, COUNT, Site, call, request, routes, send, single};
use axum::response::AppendHeaders;
use bytes::Bytes;
use http::Response;
use session_tower::{Rejection, RejectionKind, Session, SessionLayer};

fn page(rejection: Rejection) -> Response<Bytes> {
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
