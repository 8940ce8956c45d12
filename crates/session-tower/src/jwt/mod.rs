//! Access tokens in the `Authorization` header, and the routes that issue them; the back-channel logout of OpenID providers.
//! Feature `jwt`.

mod backchannel;
mod bearer;
#[cfg(feature = "experimental-dbsc")]
mod device;
mod layer;
mod rejection;
mod respond;
mod routes;

pub use backchannel::backchannel_logout;
pub use bearer::{Bearer, ForeignBearer, LiveBearer};
#[cfg(feature = "experimental-dbsc")]
pub use device::{device_binding, require_device};
pub use layer::{BearerFuture, BearerLayer, BearerService};
pub use rejection::BearerRejection;
pub use routes::{Authenticator, TokenRoutes};
