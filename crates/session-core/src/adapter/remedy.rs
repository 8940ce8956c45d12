//! [`Remedy`]: what an honest browser is told whose request is refused.

use crate::policy::cookie::SetCookie;

/// What the response to a request that was [refused](crate::Session::refuse) says to an honest browser.
#[derive(Debug, Default)]
pub struct Remedy {
    /// A cookie that is worth nothing any more, and is removed: the browser asks for another.
    pub removes: Option<SetCookie>,
    /// Whether it is to load the page again (`Refresh: 0`).
    pub reloads: bool,
}
