//! Access tokens in the `Authorization` header, and the routes that issue them. Feature `jwt`.

mod bearer;
mod routes;

pub use bearer::{Bearer, BearerLayer, BearerRejection, BearerService, LiveBearer};
pub use routes::{Authenticator, TokenRoutes};
