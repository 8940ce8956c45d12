//! Where a login may lead back to: no other site.

/// `next` if it is a page of this site, to which a login may redirect: a path from the root, with or without a query. Else
/// `None`: a parameter that a stranger wrote must not lead users to another site, right after they typed their password.
///
/// It must begin with one `/` and consist of visible ASCII characters. There is no backslash, which browsers read as a slash;
/// no tab or line break, which they remove; and in the path no empty segment, no percent-encoded slash, backslash, percent
/// sign or control character, and no broken encoding, because what decodes a path and redirects once more would bring about
/// any of these. A page whose path needs one of them is not led back to.
///
/// ```
/// use session_core::adapter::safe_next;
///
/// assert_eq!(safe_next("/orders?page=2"), Some("/orders?page=2"));
/// for elsewhere in ["https://evil.example", "//evil.example", "/\\evil.example", "/\t/evil.example", "/%2f/evil.example"] {
///     assert_eq!(safe_next(elsewhere), None);
/// }
/// ```
#[must_use]
pub fn safe_next(next: &str) -> Option<&str> {
    let is_plain = next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let path = next.split(['?', '#']).next().unwrap_or_default();
    let is_local = path.starts_with('/') && !path.contains("//");
    // What is encoded begins behind each percent sign.
    let is_unambiguous = path.split('%').skip(1).all(|encoded| decoded(encoded).is_some_and(is_harmless));
    (is_plain && is_local && is_unambiguous).then_some(next)
}

/// The byte whose two hexadecimal digits `encoded` begins with.
fn decoded(encoded: &str) -> Option<u8> {
    let digit = |digit: u8| char::from(digit).to_digit(16);
    let [high, low, ..] = encoded.as_bytes() else { return None };
    u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()
}

fn is_harmless(byte: u8) -> bool {
    !byte.is_ascii_control() && !matches!(byte, b'/' | b'\\' | b'%')
}
