//! Which route is inside which layer.

use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use session_tower::{BearerLayer, Challenge, SessionLayer, TokenRoutes};

use crate::accounts::Accounts;
use crate::args::Embedder;
use crate::bound::Bound;
use crate::history::History;
use crate::metrics::{self, Metrics};
use crate::sessions::Sessions;
use crate::store::Cache;
use crate::{api, live, pages, server};

/// The whole site at `address`, with these sessions; these others may show it in a frame.
///
/// Pages and API have a session layer each, because their rejections look different. The layers share a manager, and so
/// the session. What happened to a session is in `history`. In hybrid mode the API takes access tokens too, and has the routes that issue them. What a cache is good for, and
/// what is counted, it says to everybody.
pub fn build_router(
    sessions: &Sessions,
    address: &str,
    embedded_by: &[Embedder],
    cache: Option<Cache>,
    metrics: Metrics,
    history: History,
    bound: Option<&Bound>,
) -> Router {
    let (manager, mode) = (sessions.manager(), sessions.mode());
    let pages = Bound::around(bound, pages::router(sessions, history));
    let pages = pages.layer(SessionLayer::new(manager.clone()).on_rejection(pages::rejection));
    let mut api = Bound::around(bound, api::router(mode)).layer(SessionLayer::new(manager.clone()));
    let mut site = pages.merge(Bound::routes(bound).layer(SessionLayer::new(manager.clone())));
    if let Sessions::Hybrid(service) = sessions {
        let tokens = TokenRoutes::new(service.clone(), Accounts);
        let described = format!("{address}/.well-known/oauth-protected-resource");
        let challenge = Challenge::new().resource_metadata(described).unwrap_or_default();
        api = api
            .layer(BearerLayer::new(service.clone()).challenge(challenge))
            .layer(middleware::from_fn(uncached))
            .merge(tokens.router());
        let metadata = tokens.metadata(format!("{address}/api"), address);
        site = site.merge(tokens.jwks()).merge(metadata).merge(tokens.resource_metadata());
    }
    if let Some(cache) = cache {
        api = api.route("/cache", get(async move || Json(cache.describe())));
    }
    // With the wording of the API: a script opens it.
    let live = Bound::around(bound, Router::new().route("/ws", get(live::socket)));
    let live = live.layer(SessionLayer::new(manager.clone()));
    let metrics = async move || ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics.render().await);
    site.merge(live)
        .nest("/api", api)
        .route("/metrics", get(metrics))
        .route("/favicon.ico", get(pages::favicon))
        .layer(middleware::map_response_with_state(pages::content_policy(embedded_by), pages::protect))
        .layer(middleware::from_fn(server::read_body))
}

/// Keeps answers to access tokens out of caches, as the session layer does with answers to cookies.
async fn uncached(request: Request, next: Next) -> Response {
    let has_token = request.headers().contains_key(AUTHORIZATION);
    let mut response = next.run(request).await;
    if has_token {
        response.headers_mut().entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("private, no-store"));
    }
    response
}
