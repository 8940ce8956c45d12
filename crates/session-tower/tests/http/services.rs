//! Other layers inside and outside, with bodies of their own.

use std::convert::Infallible;

use crate::common::{Answer, Behaviour, Site, call, request, routes, send};
use axum::Router;
use axum::body::Body;
use axum_core::extract::FromRequestParts;
use bytes::Bytes;
use futures::stream;
use http::{Request, Response, header};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, StreamBody};
use session_tower::{Authenticated, Session, SessionService};
use tower::{Layer as _, Service, ServiceBuilder, ServiceExt as _, service_fn};
use tower_http::compression::CompressionLayer;
use tower_http::trace::TraceLayer;

const LONG: &str = "This text is long enough to be compressed. This text is long enough to be compressed.";

fn accepting_gzip<B>(mut request: Request<B>) -> Request<B> {
    request.headers_mut().insert(header::ACCEPT_ENCODING, header::HeaderValue::from_static("gzip"));
    request
}

#[tokio::test]
async fn layers_of_tower_http_work_inside_in_an_axum_router() {
    let site = Site::standard();
    let layers =
        ServiceBuilder::new().layer(site.layer()).layer(TraceLayer::new_for_http()).layer(CompressionLayer::new());
    let text = async |_: Session| LONG;
    let app = routes().route("/text", axum::routing::get(text)).layer(layers);
    let answer = send(&app, accepting_gzip(request("GET", "/text", ""))).await;
    assert_eq!(answer.all("content-encoding"), ["gzip"]);
    assert_eq!(answer.all("vary"), ["accept-encoding", "Cookie"]);
    assert_eq!(answer.body[..2], [0x1f, 0x8b]);
    let cookie = call(&app, "POST", "/login/alice", "").await.cookie();
    assert_eq!(call(&app, "GET", "/me", &cookie).await.text(), "alice");
    site.on_write(Behaviour::Fails);
    call(&app, "POST", "/count", "").await.assert_rejected(503, "session_store_unavailable");
}

/// Without axum: each layer of the stack has a body type of its own.
#[tokio::test]
async fn layers_of_tower_http_work_inside_and_outside_of_a_plain_service() {
    let site = Site::standard();
    let handler = async |request: Request<Body>| {
        let (mut parts, _) = request.into_parts();
        let user = <Option<Authenticated> as FromRequestParts<()>>::from_request_parts(&mut parts, &()).await.unwrap();
        let text = if user.is_some() { "user" } else { "visitor" };
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(format!("{text} {LONG}")))))
    };
    let service = ServiceBuilder::new()
        .layer(TraceLayer::new_for_http())
        .layer(site.layer())
        .layer(TraceLayer::new_for_http())
        .layer(CompressionLayer::new())
        .service(service_fn(handler));
    let answer = Answer::of(service.clone().oneshot(Request::new(Body::empty())).await.unwrap()).await;
    assert_eq!(answer.text(), format!("visitor {LONG}"));
    let answer = Answer::of(service.oneshot(accepting_gzip(Request::new(Body::empty()))).await.unwrap()).await;
    assert_eq!(answer.all("content-encoding"), ["gzip"]);
}

/// A body that fails half way fails outside, too.
#[tokio::test]
async fn the_error_of_a_body_is_passed_on() {
    let site = Site::standard();
    let service = site.layer().layer(service_fn(|_: Request<()>| {
        let frames = [Ok(Frame::data(Bytes::from("half"))), Err(std::io::Error::other("the disk is gone"))];
        std::future::ready(Ok::<_, Infallible>(Response::new(StreamBody::new(stream::iter(frames)))))
    }));
    let mut body = service.oneshot(Request::new(())).await.unwrap().into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "half");
    assert!(body.frame().await.unwrap().unwrap_err().to_string().contains("the disk is gone"));
}

/// What `axum::serve` takes: around a whole router, where the layer costs least.
#[test]
fn a_layer_around_a_router_can_be_served() {
    fn servable<S>(_: S)
    where
        S: Service<axum::extract::Request, Response = axum::response::Response, Error = Infallible>
            + Clone
            + Send
            + 'static,
        S::Future: Send,
    {
    }
    servable::<SessionService<Router>>(Site::standard().layer().layer(routes()));
}
