//! Other middlewares inside and outside: those of actix-web.

use actix_web::dev::ServiceResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::{
    Compat, Compress, Condition, DefaultHeaders, ErrorHandlerResponse, ErrorHandlers, Logger, NormalizePath,
};
use actix_web::web::{self, Bytes};
use actix_web::{App, HttpResponse};
use futures::stream;
use session_actix::Session;

use crate::common::{Behaviour, Site, call, request, routes, send, serve, single};

const LONG: &str = "This text is long enough to be compressed. This text is long enough to be compressed.";

#[tokio::test]
async fn compress_works_inside_and_outside() {
    for is_inside in [true, false] {
        let site = Site::standard();
        let text = web::get().to(async |_: Session| LONG);
        let app = if is_inside {
            serve(App::new().wrap(Compress::default()).wrap(site.middleware()).route("/text", text).configure(routes))
                .await
        } else {
            serve(App::new().wrap(site.middleware()).wrap(Compress::default()).route("/text", text).configure(routes))
                .await
        };
        let answer = send(&app, request("GET", "/text", "").insert_header(("accept-encoding", "gzip"))).await;
        assert_eq!(answer.all("content-encoding"), ["gzip"]);
        let vary = answer.all("vary").join(", ").to_lowercase();
        assert!(vary.contains("cookie") && vary.contains("accept-encoding"), "{vary}");
        assert_eq!(answer.body[..2], [0x1f, 0x8b]);
        let cookie = call(&app, "POST", "/login/alice", "").await.cookie();
        assert_eq!(call(&app, "GET", "/me", &cookie).await.text(), "alice");
        site.on_write(Behaviour::Fails);
        call(&app, "POST", "/count", "").await.assert_rejected(503, "session_store_unavailable");
        // A rejection in place of a compressed response is not said to be compressed.
        let count = request("POST", "/count", "").insert_header(("accept-encoding", "gzip"));
        let answer = send(&app, count).await;
        let is_compressed = answer.body.starts_with(&[0x1f, 0x8b]);
        assert_eq!((answer.status, is_compressed), (StatusCode::SERVICE_UNAVAILABLE, !is_inside));
        assert_eq!(answer.all("content-encoding").len(), usize::from(is_compressed));
    }
}

/// Everything that only looks, in one stack; with a type of body each.
#[tokio::test]
async fn a_stack_of_middlewares_of_every_kind() {
    let site = Site::standard();
    let app = App::new()
        .wrap(Condition::new(true, Compat::new(site.middleware())))
        .wrap(NormalizePath::trim())
        .wrap(DefaultHeaders::new().add(("x-frame-options", "deny")))
        .wrap(Logger::default());
    let app = serve(app.configure(routes)).await;
    let cookie = call(&app, "POST", "/login/alice/", "").await.cookie();
    assert_eq!(call(&app, "GET", "//me/", &cookie).await.text(), "alice");
    // A rejection is a response to what is outside, also one of an extractor that failed, or of the guard.
    site.on_read(Behaviour::Fails);
    for (request, status) in [
        (request("GET", "/me", &cookie), 503),
        (request("GET", "/me", ""), 401),
        (request("POST", "/count", "").insert_header(("sec-fetch-site", "cross-site")), 403),
    ] {
        let answer = send(&app, request).await;
        assert_eq!((answer.status.as_u16(), answer.all("x-frame-options")), (status, vec!["deny"]));
    }
}

/// Marks the response, and gives it another body.
fn marked<B>(response: ServiceResponse<B>) -> actix_web::Result<ErrorHandlerResponse<B>> {
    let (request, response) = response.into_parts();
    let mut response = response.set_body("worded elsewhere".to_owned());
    response.headers_mut().insert(HeaderName::from_static("x-marked"), HeaderValue::from_static("yes"));
    let response = ServiceResponse::new(request, response).map_into_boxed_body().map_into_right_body();
    Ok(ErrorHandlerResponse::Response(response))
}

/// Outside, they word rejections of the session; inside, only what comes from the handler.
#[tokio::test]
async fn error_handlers_outside_word_every_rejection_and_inside_those_of_handlers() {
    let handlers = || {
        ErrorHandlers::new().handler(StatusCode::UNAUTHORIZED, marked).handler(StatusCode::SERVICE_UNAVAILABLE, marked)
    };
    let site = Site::standard();
    let outside = serve(App::new().wrap(site.middleware()).wrap(handlers()).configure(routes)).await;
    let inside = serve(App::new().wrap(handlers()).wrap(site.middleware()).configure(routes)).await;
    let cookie = call(&outside, "POST", "/login/alice", "").await.cookie();
    let text = async |app, cookie| call(app, "GET", "/me", cookie).await.text().to_owned();
    for app in [&outside, &inside] {
        let answer = call(app, "GET", "/me", "").await;
        assert_eq!((answer.text(), answer.all("x-marked")), ("worded elsewhere", vec!["yes"]));
        assert_eq!(answer.all("vary"), ["Cookie"]);
    }
    site.on_read(Behaviour::Fails);
    assert_eq!(text(&outside, &cookie).await, "worded elsewhere");
    assert_eq!(text(&inside, &cookie).await, "{\"error\":\"session_store_unavailable\"}");
}

/// A body that fails half way fails outside, too.
#[tokio::test]
async fn the_error_of_a_body_is_passed_on() {
    let site = Site::standard();
    let breaks = async || {
        let chunks = [Ok(Bytes::from("half")), Err(std::io::Error::other("the disk is gone"))];
        HttpResponse::Ok().streaming(stream::iter(chunks))
    };
    let app = site.app_with(single(breaks)).await;
    let response = app.begin(request("GET", "/", "")).await.unwrap();
    let error = actix_web::body::to_bytes(response.into_body()).await.unwrap_err();
    assert!(error.to_string().contains("the disk is gone"));
}
