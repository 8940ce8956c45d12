//! What the session adds to a response head.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, SET_COOKIE, VARY};
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use session_core::adapter::ResponseHeaders;

use crate::Rejection;

/// Headers that overrule `Cache-Control` in a shared cache (RFC 9213 and its predecessor).
const OVERRULING: [HeaderName; 2] =
    [HeaderName::from_static("cdn-cache-control"), HeaderName::from_static("surrogate-control")];

/// Writes what the session demands, whatever else the response holds.
///
/// # Errors
/// If the cookie cannot be a header value, which no checked cookie policy causes.
pub(crate) fn apply(wanted: &ResponseHeaders, headers: &mut HeaderMap) -> Result<(), Rejection> {
    if wanted.vary_cookie {
        add_vary(headers, HeaderValue::from_static("Cookie"));
    }
    if let Some(cookie) = &wanted.set_cookie {
        let mut value = HeaderValue::from_str(cookie.expose()).map_err(|_| Rejection::Internal)?;
        value.set_sensitive(true);
        headers.append(SET_COOKIE, value);
        // A cached copy of this response would hand the session to others.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        for name in OVERRULING {
            headers.remove(name);
        }
    }
    Ok(())
}

/// Appends `names` to `Vary`, unless it says so already.
pub(crate) fn add_vary(headers: &mut HeaderMap, names: HeaderValue) {
    let fields = headers.get_all(VARY).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let mut fields = fields.map(<[u8]>::trim_ascii);
    if !fields.any(|field| field == b"*" || field.eq_ignore_ascii_case(names.as_bytes())) {
        headers.append(VARY, names);
    }
}

/// Puts the application's version of a rejection in place of ours, and keeps the other headers: those of CORS, say.
pub(crate) fn restyle<B: From<Bytes>>(response: &mut Response<B>, styled: Response<Bytes>) {
    let (styled, body) = styled.into_parts();
    let headers = response.headers_mut();
    for name in [CONTENT_TYPE, CONTENT_LENGTH, CONTENT_ENCODING] {
        headers.remove(name);
    }
    headers.extend(styled.headers);
    *response.status_mut() = styled.status;
    *response.body_mut() = B::from(body);
}
