//! Where a request comes from.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::header::USER_AGENT;
use axum::http::request::Parts;
use session_core::Device;

/// The other end of the connection, for the list of devices.
///
/// Behind a proxy that is the proxy. A real site then takes the address from a header that its own proxy sets, and only
/// from there: everybody can send an `X-Forwarded-For`.
pub(crate) struct Client {
    user_agent: Option<String>,
    ip: Option<IpAddr>,
}

impl Client {
    pub(crate) fn of(parts: &Parts) -> Self {
        let user_agent = parts.headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let ip = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|address| address.0.ip().to_canonical());
        Self { user_agent, ip }
    }

    pub(crate) fn device(self) -> Device {
        let mut device = Device::new();
        if let Some(user_agent) = self.user_agent {
            device = device.with_user_agent(user_agent);
        }
        if let Some(ip) = self.ip {
            device = device.with_ip(ip);
        }
        device
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Client {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self::of(parts))
    }
}
