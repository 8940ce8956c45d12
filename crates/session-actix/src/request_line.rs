//! [`RequestLine`]: what the wording of a rejection may depend on.

use std::fmt;

use actix_web::HttpRequest;
use actix_web::http::{Method, Uri};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use session_core::adapter::safe_next;

/// Method and target of a request that was rejected, for
/// [`SessionMiddleware::on_rejection`](crate::SessionMiddleware::on_rejection).
///
/// Without the headers: a middleware keeps this for each request until it is answered.
#[derive(Clone)]
pub struct RequestLine {
    method: Method,
    uri: Uri,
}

impl RequestLine {
    pub(crate) fn of(request: &HttpRequest) -> Self {
        Self { method: request.method().clone(), uri: request.uri().clone() }
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The target.
    #[must_use]
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The page that a login may lead back to: path and query of the target, encoded as the value of a query parameter. `None`
    /// if the method is neither `GET` nor `HEAD`, because a form is not sent again by a redirect, or if the target is not one
    /// that [`safe_next`] would let pass afterwards.
    #[must_use]
    pub fn return_to(&self) -> Option<String> {
        if !matches!(self.method, Method::GET | Method::HEAD) {
            return None;
        }
        let page = safe_next(self.uri.path_and_query()?.as_str())?;
        Some(utf8_percent_encode(page, NON_ALPHANUMERIC).to_string())
    }
}

impl fmt::Debug for RequestLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A query may hold what belongs into no log.
        f.debug_struct("RequestLine").field("method", &self.method).finish_non_exhaustive()
    }
}
