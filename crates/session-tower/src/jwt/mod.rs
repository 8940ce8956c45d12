//! Access tokens in the `Authorization` header, and the routes that hand them out. Feature `jwt`.

mod bearer;
mod cookie;
mod rejection;
mod routes;

pub use bearer::{Bearer, BearerLayer, BearerService, LiveBearer};
pub use rejection::BearerRejection;
pub use routes::{Authenticator, TokenRoutes};
