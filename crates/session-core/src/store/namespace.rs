//! [`Namespace`]: whose sessions a shared store holds.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The name of the application whose sessions are in a store that several applications may use.
///
/// Applications with different names share nothing there: no session, token, limit, list, count or revocation. Those that
/// are to share sessions say so by using the same name. There is no default, so that nobody shares them by accident.
///
/// 1 to 63 bytes of `a-z`, `0-9`, `-` and `_`, beginning with a letter or a digit; not `public`, not `information_schema`,
/// and not beginning with `pg_`. So it can be the name of a schema of PostgreSQL and part of a key of Redis as it is,
/// and no two names are spellings of one.
///
/// ```
/// use session_core::Namespace;
///
/// assert_eq!(Namespace::new("shop")?.as_str(), "shop");
/// assert!(Namespace::new("Shop").is_err());
/// # Ok::<_, session_core::NamespaceError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Namespace(Arc<str>);

/// The text cannot name an application: see [`Namespace`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a namespace has 1 to {} characters of a-z, 0-9, - and _, begins with a letter or a digit, and is not public, \
     information_schema or pg_…",
    Namespace::MAX_LEN
)]
#[non_exhaustive]
pub struct NamespaceError;

impl Namespace {
    /// The longest name, in bytes: PostgreSQL would cut a longer one, and take two names for one.
    pub const MAX_LEN: usize = 63;

    /// Checks and wraps a name.
    ///
    /// # Errors
    /// [`NamespaceError`] if it is not of the accepted form, or reserved by PostgreSQL.
    pub fn new(name: &str) -> Result<Self, NamespaceError> {
        let is_alphanumeric = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9');
        let starts_well = name.bytes().next().is_some_and(is_alphanumeric);
        let continues_well = name.bytes().all(|byte| is_alphanumeric(byte) || matches!(byte, b'-' | b'_'));
        // `public` has what others put there, and everybody may read it.
        let is_reserved = name.starts_with("pg_") || matches!(name, "public" | "information_schema");
        if !starts_well || !continues_well || name.len() > Self::MAX_LEN || is_reserved {
            return Err(NamespaceError);
        }
        Ok(Self(name.into()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Namespace {
    type Err = NamespaceError;

    fn from_str(name: &str) -> Result<Self, NamespaceError> {
        Self::new(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let (longest, too_long) = ("x".repeat(63), "x".repeat(64));
        for name in ["a", "7", "left", "user", "session-demo", "web_2", "a-", "a_", "0--_", "pg", "pga", &longest] {
            assert_eq!(Namespace::new(name).as_ref().map(Namespace::as_str), Ok(name));
            assert_eq!(name.parse(), Namespace::new(name));
        }
        for name in ["", "-a", "_a", &too_long, "pg_", "pg_catalog", "pg_temp_1", "public", "information_schema"] {
            assert_eq!(Namespace::new(name), Err(NamespaceError), "{name:?}");
        }
    }

    /// No two names are spellings of one, and none means more than itself: in a key, a pattern of keys, an SQL statement,
    /// a function body, a file, a host.
    #[test]
    fn names_mean_nothing_else() {
        for name in ["Shop", "SHOP", "shoP", "ѕhop", "shöp", "sho\u{308}p", "shop\u{200b}", "ｓhop"] {
            assert_eq!(Namespace::new(name), Err(NamespaceError), "{name:?}");
        }
        for c in (0..=127).map(char::from).filter(|c| !c.is_ascii_lowercase() && !c.is_ascii_digit()) {
            let refused =
                [format!("{c}shop"), format!("sh{c}op"), format!("shop{c}")].map(|name| Namespace::new(&name));
            let inside_only = matches!(c, '-' | '_');
            assert_eq!(refused.map(|name| name.is_err()), [true, !inside_only, !inside_only], "{c:?}");
        }
    }
}
