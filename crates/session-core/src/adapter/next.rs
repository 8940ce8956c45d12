//! To the login, and back: to no other site.

use super::rejection::RejectionKind;

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

/// The page where users log in. Visitors are led to it by a redirect, with the page that they wanted as the parameter `next`, which
/// [`safe_next`] checks when it comes back.
///
/// ```
/// use session_core::adapter::{LoginPage, RejectionKind};
///
/// let login = LoginPage::new("/login")?;
/// let location = login.location(RejectionKind::Unauthenticated, "/orders", Some("%2Forders"));
/// assert_eq!(location.as_deref(), Some("/login?next=%2Forders"));
/// # Ok::<_, session_core::adapter::LoginPageError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginPage(String);

impl LoginPage {
    /// The page at `path`, which may have a query: `/login`, `/login?lang=en`.
    ///
    /// # Errors
    /// [`LoginPageError`] if it is no page of this site, as [`safe_next`] has it, or if it has a fragment, behind which there are
    /// no parameters.
    pub fn new(path: &str) -> Result<Self, LoginPageError> {
        let page = safe_next(path).filter(|page| !page.contains('#')).ok_or(LoginPageError)?;
        Ok(Self(page.to_owned()))
    }

    /// Where the response to a rejected request leads (303, `Location`). `path` is that of the request, `return_to` the page
    /// that its login may lead back to, encoded as the value of a parameter.
    ///
    /// `None` unless a login is what is missing; for a request that nothing leads back to, such as a form that was sent, whose
    /// values would be lost; and for the login page itself, to which the redirect would lead again and again.
    #[must_use]
    pub fn location(&self, rejection: RejectionKind, path: &str, return_to: Option<&str>) -> Option<String> {
        let Self(page) = self;
        let (login, separator) = page.split_once('?').map_or((page.as_str(), '?'), |(path, _)| (path, '&'));
        let is_missing = matches!(rejection, RejectionKind::Unauthenticated | RejectionKind::Gone) && path != login;
        return_to.filter(|_| is_missing).map(|next| format!("{page}{separator}next={next}"))
    }
}

/// The text is not a page of this site to which visitors could be led.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a page of this site: a login page is a path that begins with one `/`, with or without a query, as in `/login`"
)]
pub struct LoginPageError;

/// The byte whose two hexadecimal digits `encoded` begins with.
fn decoded(encoded: &str) -> Option<u8> {
    let digit = |digit: u8| char::from(digit).to_digit(16);
    let [high, low, ..] = encoded.as_bytes() else { return None };
    u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()
}

fn is_harmless(byte: u8) -> bool {
    !byte.is_ascii_control() && !matches!(byte, b'/' | b'\\' | b'%')
}
