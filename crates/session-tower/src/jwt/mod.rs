//! Access tokens in the `Authorization` header, and the routes that issue them; the back-channel logout of OpenID providers.
//! Feature `jwt`.

mod backchannel;
mod bearer;
mod layer;
mod rejection;
mod respond;
mod routes;

pub use backchannel::backchannel_logout;
pub use bearer::{Bearer, ForeignBearer, LiveBearer};
pub use layer::{BearerFuture, BearerLayer, BearerService};
pub use rejection::BearerRejection;
pub use routes::{Authenticator, TokenRoutes};
