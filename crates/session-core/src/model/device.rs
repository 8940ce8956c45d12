//! Where a session was opened: [`Device`].

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// Where a session was opened. Shown to the user, decides nothing.
///
/// The texts come from the client: they are cut to [`Device::MAX_LEN`] bytes, and must be escaped where they are shown.
#[derive(Clone, Default)]
pub struct Device(Option<Arc<DeviceParts>>);

#[derive(Clone, Default)]
struct DeviceParts {
    label: Option<String>,
    user_agent: Option<String>,
    ip: Option<IpAddr>,
}

impl Device {
    /// The longest label or user agent, in bytes.
    pub const MAX_LEN: usize = 256;

    /// Nothing known.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A name for the device.
    #[must_use]
    pub fn with_label(self, label: impl Into<String>) -> Self {
        self.with(|parts| parts.label = Some(cut(label.into())))
    }

    /// The `User-Agent` header of the request that opened the session.
    #[must_use]
    pub fn with_user_agent(self, user_agent: impl Into<String>) -> Self {
        self.with(|parts| parts.user_agent = Some(cut(user_agent.into())))
    }

    /// The address the session was opened from.
    #[must_use]
    pub fn with_ip(self, ip: IpAddr) -> Self {
        self.with(|parts| parts.ip = Some(ip))
    }

    /// The name of the device, if one was given.
    #[must_use]
    pub fn label(&self) -> Option<&str> {
        self.0.as_ref()?.label.as_deref()
    }

    /// The `User-Agent` header, if it was recorded.
    #[must_use]
    pub fn user_agent(&self) -> Option<&str> {
        self.0.as_ref()?.user_agent.as_deref()
    }

    /// The address, if it was recorded.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        self.0.as_ref()?.ip
    }

    fn with(self, set: impl FnOnce(&mut DeviceParts)) -> Self {
        let mut parts = self.0.unwrap_or_default();
        set(Arc::make_mut(&mut parts));
        Self(Some(parts))
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Device(..)")
    }
}

/// `text` cut to [`Device::MAX_LEN`] bytes, at a character boundary.
fn cut(mut text: String) -> String {
    let boundary = |at: &usize| text.is_char_boundary(*at);
    let end = (0..=text.len().min(Device::MAX_LEN)).rev().find(boundary).unwrap_or_default();
    text.truncate(end);
    text
}
