//! Headers: those of a request as core reads them, and the edits that core wants in a response.

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue, InvalidHeaderValue, SET_COOKIE};
use actix_web::{HttpMessage as _, HttpRequest};
use session_core::RequestContext;
use session_core::adapter::{HeaderEdit, RequestHead, RequestInfo};

/// The head of a request.
pub(crate) struct Head<'r>(pub(crate) &'r HttpRequest);

impl RequestHead for Head<'_> {
    fn method(&self) -> &str {
        self.0.method().as_str()
    }

    fn path(&self) -> &str {
        self.0.path()
    }

    fn authority(&self) -> Option<&[u8]> {
        self.0.uri().authority().map(|authority| authority.as_str().as_bytes())
    }

    fn values(&self, name: &'static str) -> impl Iterator<Item = &[u8]> {
        values(self.0.headers(), name)
    }

    fn describe(&self, context: &mut RequestContext) {
        if let Some(info) = self.0.extensions().get::<RequestInfo>() {
            info.describe(context);
        }
    }
}

/// All values of a header.
pub(crate) fn values<'h>(headers: &'h HeaderMap, name: &'static str) -> impl Iterator<Item = &'h [u8]> {
    headers.get_all(name).map(HeaderValue::as_bytes)
}

/// Applies edits to the headers of a response.
///
/// # Errors
/// If a cookie cannot be a header value, which no checked cookie policy causes.
pub(crate) fn apply<'h>(
    edits: impl IntoIterator<Item = HeaderEdit<'h>>,
    headers: &mut HeaderMap,
) -> Result<(), InvalidHeaderValue> {
    for edit in edits {
        match edit {
            HeaderEdit::Append(name, value) => {
                headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
            HeaderEdit::Set(name, value) => {
                headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
            HeaderEdit::Remove(name) => drop(headers.remove(name)),
            HeaderEdit::AppendCookie(cookie) => {
                let mut value = HeaderValue::from_str(cookie.expose())?;
                value.set_sensitive(true);
                headers.append(SET_COOKIE, value);
            }
        }
    }
    Ok(())
}
