//! The headers of the draft: items and lists of RFC 9651, as far as they occur.

use session_core::adapter::RequestHead;

/// The one string in the one header of this name; `None` without it. As a browser writes it: `"text"`, without escapes, for
/// neither a JWT nor an identifier needs any.
pub(super) fn string<'h>(head: &'h impl RequestHead, name: &'static str) -> Result<Option<&'h str>, Unreadable> {
    let mut values = head.values(name);
    let (value, others) = (values.next(), values.next());
    let Some(value) = value else { return Ok(None) };
    let text = std::str::from_utf8(value).map_err(|_| Unreadable)?.trim_matches(' ');
    let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).ok_or(Unreadable)?;
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
    if others.is_some() || !inner.bytes().all(is_plain) { Err(Unreadable) } else { Ok(Some(inner)) }
}

/// A header is repeated, or is no string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unreadable;

/// `Secure-Session-Registration`: where a browser registers a key, and what it signs. `path` and `challenge` need no escapes.
pub(super) fn registration(path: &str, challenge: &str) -> String {
    format!("(ES256);path=\"{path}\";challenge=\"{challenge}\"")
}

/// `Secure-Session-Challenge`: what the browser signs next, for the session `id`.
pub(super) fn challenge(challenge: &str, id: &str) -> String {
    format!("\"{challenge}\";id=\"{id}\"")
}
