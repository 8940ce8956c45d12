//! Sessions for [actix-web]: a middleware, extractors, and a guard against cross-site request forgery.
//!
//! ```
//! use actix_web::{App, web};
//! use session_actix::{Rejection, Session, SessionMiddleware};
//! use session_core::{Key, SessionManager};
//!
//! const VISITS: Key<u64> = Key::new("visits");
//!
//! async fn visit(session: Session) -> Result<String, Rejection> {
//!     session.update(VISITS, |visits| *visits += 1)?;
//!     Ok(format!("{:?}", session.get(VISITS)?))
//! }
//!
//! # fn demo(manager: SessionManager) {
//! let app = App::new().wrap(SessionMiddleware::new(manager)).route("/visit", web::post().to(visit));
//! # }
//! ```
//!
//! - [`SessionMiddleware`] reads the cookie. Before the response head is sent, it commits what handlers did to the session and
//!   sets the headers: `Set-Cookie`; `Cache-Control: private, no-store` beside it and in responses to logged-in users;
//!   `Vary: Cookie` if the session was asked for. If the commit fails, so does the request: nothing is lost silently.
//! - [`Session`] is the session of a request, anonymous or not; [`Authenticated`] that of a logged-in user; [`Fresh`] that
//!   of a user who authenticated recently. The session is loaded when the first of them is extracted; a request that asks
//!   for none costs no store call. As `Option<Authenticated>` and `Option<Fresh<300>>` they also let others in.
//! - [`Rejection`] is every answer given in place of the application's. Handlers return it, and get it from `?`; one
//!   that returns `actix_web::Error` from `.map_err(Rejection::from)?`.
//! - `session.login(…)` and `session.logout()` begin and end sessions; `session.manager()` lists and ends those of a user.
//! - With the feature `jwt`, [`Bearer`] and [`LiveBearer`] take access tokens from the `Authorization` header, and
//!   [`TokenRoutes`] are the routes that issue, refresh and revoke tokens. [`backchannel_logout`] is where an OpenID provider
//!   says that a user has logged out there.
//!
//! # A store that fails makes nobody a visitor
//! For actix-web, `Option<Authenticated>` is `None` after any error, also if the store did not answer. So what only says that
//! there is nothing to extract is an error (no user is logged in, say), which an `Option`, a `Result` or an `Either` turns into
//! whatever it likes; after all else an extractor does not return. The middleware drops the handler, commits nothing, and
//! answers with the rejection. What is outside the middleware sees a response like any other.
//!
//! # Operation
//! actix-web limits how long the head of the first request of a connection may take to arrive
//! (`HttpServer::client_request_timeout`, five seconds unless set), and how long a connection may be idle between two requests.
//! It does not limit how long the head of a later request may take once it has begun, nor any body. A proxy in front does. Without
//! one, `HttpServer::keep_alive(KeepAlive::Disabled)` makes each request the first of its connection, and a middleware that
//! reads bodies limits those: the example `site` has both.
//!
//! # Features
//! | feature | brings |
//! |---|---|
//! | `jwt` | bearer tokens, the routes that issue them, and logout by an OpenID provider |
//! | `experimental-dbsc` | sessions that are bound to a device, as a draft has them; it changes with the draft |
//!
//! [actix-web]: https://docs.rs/actix-web
#![cfg_attr(
    not(feature = "jwt"),
    allow(rustdoc::broken_intra_doc_links, reason = "what the feature brings is described too")
)]

mod config;
mod extract;
mod head;
#[cfg(feature = "jwt")]
mod jwt;
mod middleware;
mod refusal;
mod rejection;
mod request_line;
mod response;

use std::pin::Pin;

pub use extract::{Authenticated, Fresh, Session};
#[cfg(feature = "jwt")]
pub use jwt::{
    Authenticator, Bearer, BearerAuth, BearerAuthService, BearerRejection, ForeignBearer, LiveBearer, TokenRoutes,
    backchannel_logout,
};
#[cfg(feature = "experimental-dbsc")]
pub use jwt::{device_binding, require_device};
pub use middleware::{SessionMiddleware, SessionService};
pub use rejection::Rejection;
pub use request_line::RequestLine;
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

/// A future of one worker.
type LocalBoxFuture<T> = Pin<Box<dyn Future<Output = T>>>;
