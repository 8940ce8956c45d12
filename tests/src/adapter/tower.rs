//! [`Tower`]: `session-tower`, with an axum router.

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::response::Response;
use axum::routing::any;
use http_body_util::BodyExt as _;
use serde::de::IgnoredAny;
use session_conformance::{AdapterHarness, Failure, Handler, HttpRequest, HttpResponse, TokenRequest};
use session_core::SessionManager;
use session_jwt::{AccountsError, Attempt};
use session_tower::{Authenticator, Rejection, Session, SessionLayer, TokenRoutes};
use tower::ServiceExt as _;

use super::application::{Application, path_and_form, token_service};

/// The layer, the extractor [`Session`], and [`TokenRoutes`].
#[derive(Clone, Copy, Debug)]
pub struct Tower;

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

    fn has_token_routes(&self) -> bool {
        true
    }

    async fn send_token_request(
        &self,
        manager: SessionManager,
        request: TokenRequest,
    ) -> Result<HttpResponse, Failure> {
        send_token_request(manager, request).await
    }
}

async fn send_token_request(manager: SessionManager, request: TokenRequest) -> Result<HttpResponse, Failure> {
    let application = Application::of(&request);
    let service = token_service(manager, application.clone())?;
    let (path, form) = path_and_form(request);
    let app = TokenRoutes::new(service, application).router();
    let request = Request::post(path).header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(Body::from(form));
    let Ok(response) = app.oneshot(request.map_err(|error| Failure::new(error.to_string()))?).await;
    from_http(response).await
}

#[async_trait]
impl Authenticator for Application {
    type Credentials = IgnoredAny;

    async fn authenticate(&self, _credentials: IgnoredAny, _parts: &Parts) -> Result<Attempt, AccountsError> {
        Ok(self.attempt())
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
