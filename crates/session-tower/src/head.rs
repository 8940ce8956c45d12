//! Headers: those of a request as core reads them, and the edits that core wants in a response.

use http::header::{CACHE_CONTROL, COOKIE, HOST, InvalidHeaderValue, ORIGIN, SET_COOKIE, UPGRADE, VARY};
use http::request::Parts;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use session_core::RequestContext;
use session_core::adapter::{HeaderEdit, RequestHead, RequestInfo};

/// The head of a request.
pub(crate) struct Head<'r> {
    method: &'r Method,
    uri: &'r Uri,
    headers: &'r HeaderMap,
    extensions: &'r Extensions,
}

impl<'r, B> From<&'r Request<B>> for Head<'r> {
    fn from(request: &'r Request<B>) -> Self {
        Self {
            method: request.method(),
            uri: request.uri(),
            headers: request.headers(),
            extensions: request.extensions(),
        }
    }
}

impl<'r> From<&'r Parts> for Head<'r> {
    fn from(parts: &'r Parts) -> Self {
        Self { method: &parts.method, uri: &parts.uri, headers: &parts.headers, extensions: &parts.extensions }
    }
}

impl RequestHead for Head<'_> {
    fn method(&self) -> &str {
        self.method.as_str()
    }

    fn path(&self) -> &str {
        self.uri.path()
    }

    #[cfg(feature = "jwt")]
    fn target_path(&self) -> &str {
        let original = self.extensions.get::<axum::extract::OriginalUri>();
        original.map_or(self.uri, |original| &original.0).path()
    }

    fn authority(&self) -> Option<&[u8]> {
        self.uri.authority().map(|authority| authority.as_str().as_bytes())
    }

    fn values(&self, name: &'static str) -> impl Iterator<Item = &[u8]> {
        values(self.headers, name)
    }

    fn describe(&self, context: &mut RequestContext) {
        if let Some(info) = self.extensions.get::<RequestInfo>() {
            info.describe(context);
        }
    }
}

/// All values of a header.
pub(crate) fn values<'h>(headers: &'h HeaderMap, name: &'static str) -> impl Iterator<Item = &'h [u8]> {
    headers.get_all(named(name)).iter().map(HeaderValue::as_bytes)
}

/// The header of this name. What each request is asked for is not parsed each time.
fn named(name: &'static str) -> HeaderName {
    const CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("cdn-cache-control");
    const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
    const SURROGATE_CONTROL: HeaderName = HeaderName::from_static("surrogate-control");
    match name {
        "cookie" => COOKIE,
        "host" => HOST,
        "origin" => ORIGIN,
        "sec-fetch-site" => SEC_FETCH_SITE,
        "upgrade" => UPGRADE,
        "vary" => VARY,
        "cache-control" => CACHE_CONTROL,
        "cdn-cache-control" => CDN_CACHE_CONTROL,
        "surrogate-control" => SURROGATE_CONTROL,
        _ => HeaderName::from_static(name),
    }
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
                headers.append(named(name), HeaderValue::from_static(value));
            }
            HeaderEdit::Set(name, value) => {
                headers.insert(named(name), HeaderValue::from_static(value));
            }
            HeaderEdit::Remove(name) => {
                headers.remove(named(name));
            }
            HeaderEdit::AppendCookie(cookie) => {
                let mut value = HeaderValue::from_str(cookie.expose())?;
                value.set_sensitive(true);
                headers.append(SET_COOKIE, value);
            }
        }
    }
    Ok(())
}
