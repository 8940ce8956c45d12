//! Access tokens in the `Authorization` header, and the routes that issue them; the back-channel logout of OpenID providers.
//! Feature `jwt`.

mod auth;
mod backchannel;
mod bearer;
#[cfg(feature = "experimental-dbsc")]
mod device;
mod rejection;
mod respond;
mod routes;

pub use auth::{BearerAuth, BearerAuthService};
pub use backchannel::backchannel_logout;
pub use bearer::{Bearer, ForeignBearer, LiveBearer};
#[cfg(feature = "experimental-dbsc")]
pub use device::{device_binding, require_device};
pub use rejection::BearerRejection;
pub use routes::{Authenticator, TokenRoutes};
