//! Which route is inside which layer.

use axum::Router;
use axum::routing::get;
use session_core::SessionManager;
use session_tower::SessionLayer;

use crate::{api, pages};

/// The whole site, with the sessions of `manager`.
///
/// Pages and API have a session layer each, side by side, because their rejections look different. Both use the same
/// manager, so it is the same session.
pub fn build_router(manager: SessionManager) -> Router {
    let pages = pages::router().layer(SessionLayer::new(manager.clone()).on_rejection(pages::rejection));
    let api = api::router().layer(SessionLayer::new(manager));
    Router::new()
        .merge(pages)
        .nest("/api", api)
        .route("/favicon.ico", get(pages::favicon))
        .fallback(pages::not_found)
        .layer(axum::middleware::map_response(pages::protect))
}
