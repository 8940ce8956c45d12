//! What a layer shares with its services and their responses.

use std::sync::Arc;

use bytes::Bytes;
use http::{Extensions, HeaderValue, Response};
use session_core::SessionManager;
use session_core::adapter::{LoginPage, OriginGuard};

use crate::rejection::Rejection;
use crate::request_line::RequestLine;

/// How an application words a rejection.
type Render = dyn Fn(Rejection, &RequestLine) -> Response<Bytes> + Send + Sync;

#[derive(Clone)]
pub(crate) struct Config {
    pub(crate) manager: SessionManager,
    pub(crate) guard: OriginGuard,
    pub(crate) render: Option<Arc<Render>>,
    /// Where who is not logged in is led to.
    pub(crate) login: Option<LoginPage>,
    /// What a request without extensions begins with.
    pub(crate) extensions: Extensions,
}

impl Config {
    pub(crate) fn new(manager: SessionManager) -> Self {
        Self { manager, guard: OriginGuard::new(), render: None, login: None, extensions: preallocated_extensions() }
    }

    /// Whether the words of a rejection depend on its request.
    pub(crate) fn words_rejections(&self) -> bool {
        self.render.is_some() || self.login.is_some()
    }

    /// Where the response to a rejected request leads, if to a login.
    pub(crate) fn login(&self, rejection: Rejection, line: &RequestLine) -> Option<HeaderValue> {
        let page = self.login.as_ref()?;
        let location = page.location(rejection.kind(), line.uri().path(), line.return_to().as_deref())?;
        HeaderValue::try_from(location).ok()
    }
}

/// Empty extensions with room for four values: the session, and the three that axum adds. A new table has room for three;
/// each request would have to move them to a larger one. A clone is as large as its original.
fn preallocated_extensions() -> Extensions {
    let mut extensions = Extensions::new();
    extensions.insert(0_u8);
    extensions.insert(0_u16);
    extensions.insert(0_u32);
    extensions.insert(0_u64);
    extensions.clear();
    extensions
}
