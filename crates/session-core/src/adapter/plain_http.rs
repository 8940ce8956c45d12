//! The hint to a developer or operator whose site is used over plain http with a `Secure` cookie: every login succeeds, and
//! the next request is a visitor's, because the browser has dropped the cookie.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether there was a hint: one is enough, because every login would give another. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct PlainHttp {
    is_reported: Arc<AtomicBool>,
}

/// A request whose browser will drop a `Secure` cookie.
pub(super) struct DroppedCookie {
    host: String,
    is_reported: Arc<AtomicBool>,
}

impl PlainHttp {
    /// Whether there was none yet.
    pub(super) fn is_silent(&self) -> bool {
        !self.is_reported.load(Ordering::Relaxed)
    }

    pub(super) fn dropped_cookie(&self, host: &[u8]) -> DroppedCookie {
        let host = String::from_utf8_lossy(host).into_owned();
        DroppedCookie { host, is_reported: Arc::clone(&self.is_reported) }
    }
}

impl DroppedCookie {
    /// The response sets the cookie.
    pub(super) fn report(&self) {
        if !self.is_reported.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                target: "session",
                host = self.host,
                "the session cookie is Secure and was set over plain http: the browser drops it, and its next request is that \
                 of a visitor. Serve the site over https, or develop with CookiePolicy::local_development, or at localhost"
            );
        }
    }
}
