//! Access tokens in the `Authorization` header, and the routes that issue them. Feature `jwt`.

mod bearer;
mod rejection;
mod routes;

pub use bearer::{Bearer, BearerLayer, BearerService, LiveBearer};
pub use rejection::BearerRejection;
pub use routes::{Authenticator, TokenRoutes};
