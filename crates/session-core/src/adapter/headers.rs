//! The headers of a response, as edits that an adapter applies one by one.

use std::array;
use std::iter::Flatten;

use super::request::ResponseHeaders;
use crate::policy::cookie::SetCookie;

/// One change to the headers of a response. Names are in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderEdit<'h> {
    /// Adds a value and keeps the others.
    Append(&'static str, &'static str),
    /// Replaces all values.
    Set(&'static str, &'static str),
    /// Removes all values.
    Remove(&'static str),
    /// Appends to `Set-Cookie`, beside the cookies of the application. A secret: mark it so where the framework can.
    AppendCookie(&'h SetCookie),
}

/// Edits in the order they are to be applied. Allocates nothing.
pub type HeaderEdits<'h> = Flatten<array::IntoIter<Option<HeaderEdit<'h>>, 5>>;

impl ResponseHeaders {
    /// What to change in a response whose `Vary` headers have the values `present`.
    ///
    /// A cookie comes with `Cache-Control: no-store`, and without the headers that overrule it in shared caches (RFC 9213
    /// and its predecessor): a cached copy of the response would hand the session to others.
    pub fn edits<'v>(&self, present: impl IntoIterator<Item = &'v [u8]>) -> HeaderEdits<'_> {
        let vary = if self.vary_cookie { vary(present, "Cookie") } else { None };
        let cookie = self.set_cookie.as_ref();
        let with_cookie = |edit| cookie.map(|_| edit);
        [
            vary,
            cookie.map(HeaderEdit::AppendCookie),
            with_cookie(HeaderEdit::Set("cache-control", "no-store")),
            with_cookie(HeaderEdit::Remove("cdn-cache-control")),
            with_cookie(HeaderEdit::Remove("surrogate-control")),
        ]
        .into_iter()
        .flatten()
    }
}

/// What to change in a response to a token request, successful or not (RFC 6749, section 5.1).
pub fn token_edits(cookie: Option<&SetCookie>) -> HeaderEdits<'_> {
    let no_store = HeaderEdit::Set("cache-control", "no-store");
    let no_cache = HeaderEdit::Set("pragma", "no-cache");
    [Some(no_store), Some(no_cache), cookie.map(HeaderEdit::AppendCookie), None, None].into_iter().flatten()
}

/// Adds `name` to `Vary`, unless the values `present` contain it, or `*`.
#[must_use]
pub fn vary<'v>(present: impl IntoIterator<Item = &'v [u8]>, name: &'static str) -> Option<HeaderEdit<'static>> {
    let mut fields = present.into_iter().flat_map(|value| value.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    let is_present = fields.any(|field| field == b"*" || field.eq_ignore_ascii_case(name.as_bytes()));
    (!is_present).then_some(HeaderEdit::Append("vary", name))
}
