//! The whole-request cases of the shared suite, through [`SessionLayer`] and the extractor [`Session`].

use std::process::ExitCode;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::any;
use http_body_util::BodyExt as _;
use session_conformance::{AdapterHarness, Failure, Handler, HttpRequest, HttpResponse};
use session_core::SessionManager;
use session_tower::{Rejection, Session, SessionLayer};
use tower::ServiceExt as _;

#[derive(Debug)]
struct Tower;

#[async_trait]
impl AdapterHarness for Tower {
    fn adapter(&self) -> &'static str {
        "tower"
    }

    async fn send(
        &self,
        manager: SessionManager,
        request: HttpRequest,
        handler: Option<Handler>,
    ) -> Result<HttpResponse, Failure> {
        let route = match handler {
            Some(handler) => any(move |session: Session| async move {
                let session: &session_core::Session = &session;
                handler.run(session.clone()).await.map_err(Rejection::from)
            }),
            None => any(|| async {}),
        };
        let app = Router::new().route(request.path, route).layer(SessionLayer::new(manager));
        let Ok(response) = app.oneshot(to_http(request)?).await;
        from_http(response).await
    }
}

fn to_http(request: HttpRequest) -> Result<Request, Failure> {
    let mut built = Request::builder().method(request.method).uri(request.path);
    for (name, value) in request.headers {
        built = built.header(name, value.as_bytes());
    }
    built.body(Body::empty()).map_err(|error| Failure::new(error.to_string()))
}

async fn from_http(response: Response) -> Result<HttpResponse, Failure> {
    let (head, body) = response.into_parts();
    let body = body.collect().await.map_err(|error| Failure::new(error.to_string()))?;
    let headers = head.headers.iter();
    let headers =
        headers.map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
    Ok(HttpResponse { status: head.status.as_u16(), headers: headers.collect(), body: body.to_bytes().to_vec() })
}

fn main() -> ExitCode {
    session_conformance::adapter_main(Tower)
}
