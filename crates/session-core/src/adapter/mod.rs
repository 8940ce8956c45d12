//! What adapters to HTTP frameworks need, on bytes and plain types.

mod request;

pub use request::{RequestSession, ResponseHeaders};

pub use crate::policy::cookie::{PresentedCookie, SetCookie};
