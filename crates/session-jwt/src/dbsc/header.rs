//! The headers of the draft: items and lists of RFC 9651, as far as they occur.

use session_core::adapter::RequestHead;

/// The one text in the one header of this name; `None` without it. As the draft has it, in quotes and without escapes, for neither a
/// JWT nor an identifier needs any; or as Chromium writes it, without quotes.
pub(super) fn text<'h>(head: &'h impl RequestHead, name: &'static str) -> Result<Option<&'h str>, Unreadable> {
    let mut values = head.values(name);
    let (value, others) = (values.next(), values.next());
    let Some(value) = value else { return Ok(None) };
    let text = std::str::from_utf8(value).map_err(|_| Unreadable)?.trim_matches(' ');
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
    // What JWTs and base64 consist of: nothing that could begin a second item, or a parameter.
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~+/=".contains(&byte);
    let (inner, is_text) = match text.strip_prefix('"') {
        Some(text) => {
            let inner = text.strip_suffix('"').ok_or(Unreadable)?;
            (inner, inner.bytes().all(is_plain))
        }
        None => (text, !text.is_empty() && text.bytes().all(is_bare)),
    };
    if others.is_some() || !is_text { Err(Unreadable) } else { Ok(Some(inner)) }
}

/// A header is repeated, or is no text.
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
