//! Where a request comes from.

use std::net::SocketAddr;

use axum::extract::ConnectInfo;
use axum::http::header::USER_AGENT;
use axum::http::request::Parts;
use session_core::Device;

/// The other end of the connection, for the list of devices.
///
/// Behind a proxy that is the proxy. A real site then takes the address from a header that its own proxy sets, and from
/// no other: any client can send an `X-Forwarded-For`.
pub(crate) fn device(parts: &Parts) -> Device {
    let mut device = Device::new();
    if let Some(user_agent) = parts.headers.get(USER_AGENT).and_then(|value| value.to_str().ok()) {
        device = device.with_user_agent(user_agent);
    }
    if let Some(ConnectInfo(address)) = parts.extensions.get::<ConnectInfo<SocketAddr>>() {
        device = device.with_ip(address.ip().to_canonical());
    }
    device
}
