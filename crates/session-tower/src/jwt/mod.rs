//! Access tokens in the `Authorization` header, and the routes that issue them. Feature `jwt`.

mod bearer;
mod layer;
mod rejection;
mod requirement;
mod routes;

pub use bearer::{Bearer, ForeignBearer, LiveBearer};
pub use layer::{BearerLayer, BearerService};
pub use rejection::BearerRejection;
pub use requirement::{AnyToken, TokenRequirement};
pub use routes::{Authenticator, TokenRoutes};
