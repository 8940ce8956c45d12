//! Whether a login comes from a device that its user has no session on.

use super::SessionManager;
use crate::decide::plan::{Change, Draft};
use crate::model::device::Device;

impl SessionManager {
    /// Whether `draft` is a login from a new device, if that is to be reported: one round trip then. If the store fails, no:
    /// the login itself will tell.
    pub(super) async fn is_new_device(&self, draft: &Draft) -> bool {
        let login = draft.authentication.as_ref().filter(|_| draft.change == Change::Login);
        let Some(login) = login.filter(|_| self.inner.reports_new_devices) else { return false };
        let Ok(live) = self.list(&login.user).await else { return false };
        !live.is_empty() && !live.iter().any(|session| is_same(&session.device, &draft.device))
    }
}

/// By the label, if the application gives devices one, else by the user agent.
fn is_same(one: &Device, other: &Device) -> bool {
    match (one.label(), other.label()) {
        (None, None) => one.user_agent().map(product) == other.user_agent().map(product),
        (one, other) => one == other,
    }
}

/// A user agent without its numbers: an update makes no new device.
fn product(user_agent: &str) -> String {
    user_agent.chars().filter(|char| !char.is_ascii_digit() && *char != '.').collect()
}
