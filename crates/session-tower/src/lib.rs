//! Sessions for [tower] services and [axum]: a layer, extractors, and a guard against cross-site request forgery.
//!
//! ```
//! use axum::{Router, routing::post};
//! use session_core::{Key, SessionManager};
//! use session_tower::{Rejection, Session, SessionLayer};
//!
//! const VISITS: Key<u64> = Key::new("visits");
//!
//! async fn visit(session: Session) -> Result<String, Rejection> {
//!     session.update(VISITS, |visits| *visits += 1)?;
//!     Ok(format!("{:?}", session.get(VISITS)?))
//! }
//!
//! fn app(manager: SessionManager) -> Router {
//!     Router::new().route("/visit", post(visit)).layer(SessionLayer::new(manager))
//! }
//! ```
//!
//! - [`SessionLayer`] reads the cookie. Before the response head is sent, it commits what handlers did to the session and
//!   sets the headers: `Set-Cookie`; `Cache-Control: private, no-store` beside it and in responses to logged-in users;
//!   `Vary: Cookie` if the session was asked for. If the commit fails, so does the request: nothing is lost silently.
//! - [`Session`] is the session of a request, anonymous or not; [`Authenticated`] that of a logged-in user; [`Fresh`] that
//!   of a user who authenticated recently. The session is loaded when the first of them is extracted; a request that asks
//!   for none costs no store call. As `Option<Authenticated>` and `Option<Fresh<300>>` they also let others in.
//! - [`Rejection`] is every answer given in place of the application's. Handlers return it, and get it from `?`.
//! - With the feature `jwt`, [`Bearer`] and [`LiveBearer`] take access tokens from the `Authorization` header, and
//!   [`TokenRoutes`] are the routes that issue, refresh and revoke tokens. [`backchannel_logout`] is where an OpenID provider
//!   says that a user has logged out there.
//!
//! Works around any tower service, whatever the body of its responses; the extractors need `axum-core` only.
//!
//! # Features
//! | feature | brings |
//! |---|---|
//! | `jwt` | bearer tokens, the routes that issue them, and logout by an OpenID provider; needs axum, not only `axum-core` |
//! | `experimental-dbsc` | sessions that are bound to a device, as a draft has them; it changes with the draft |
//!
//! [tower]: https://docs.rs/tower
//! [axum]: https://docs.rs/axum
#![cfg_attr(
    not(feature = "jwt"),
    allow(rustdoc::broken_intra_doc_links, reason = "what the feature brings is described too")
)]

mod config;
mod extract;
mod head;
#[cfg(feature = "jwt")]
mod jwt;
mod layer;
mod rejection;
mod request_line;
mod response;

pub use extract::{Authenticated, Fresh, Session};
#[cfg(feature = "jwt")]
pub use jwt::{
    Authenticator, Bearer, BearerFuture, BearerLayer, BearerRejection, BearerService, ForeignBearer, LiveBearer,
    TokenRoutes, backchannel_logout,
};
#[cfg(feature = "experimental-dbsc")]
pub use jwt::{device_binding, require_device};
pub use layer::{SessionLayer, SessionService};
pub use rejection::Rejection;
pub use request_line::RequestLine;
pub use response::ResponseFuture;
#[cfg(feature = "jwt")]
pub use session_core::adapter::{BearerRejectionKind, Challenge, ChallengeError};
pub use session_core::adapter::{
    Enforcement, LoginPage, LoginPageError, MissingOrigin, OriginError, OriginGuard, RejectionKind, RequestInfo,
    safe_next,
};
#[cfg(feature = "jwt")]
pub use session_jwt::{AnyToken, Dpop, DpopError, DpopMode, TokenRequirement};
#[cfg(feature = "experimental-dbsc")]
pub use session_jwt::{BindingEnforcement, BindingState, DeviceBinding, DeviceBindingError};
