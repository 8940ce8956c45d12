//! [`Target`]: the URIs of requests, as proofs name them (`htu`).

use std::borrow::Cow;

use fluent_uri::Uri;
use fluent_uri::normalize::Normalizer;
use percent_encoding::{AsciiSet, utf8_percent_encode};

/// The longest `htu`, in bytes.
const MAX_LEN: usize = 2048;

/// Where a server is reached: scheme, host and port, and a path in front of those that it sees, if a proxy cuts one off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target(String);

impl Target {
    /// Reads a base: an http or https URI without query and fragment.
    pub(super) fn parse(base: &str) -> Option<Self> {
        let uri = Uri::parse(base).ok()?;
        if uri.query().is_some() || uri.fragment().is_some() {
            return None;
        }
        let normal = normal(base)?;
        Some(Self(normal.trim_end_matches('/').to_owned()))
    }

    /// Whether `htu` names `path` here: both normalised (RFC 3986, sections 6.2.2 and 6.2.3), without query and fragment.
    pub(super) fn is_named_by(&self, htu: &str, path: &str) -> bool {
        // No router removes dots: what it would serve is not what is named.
        if !path.starts_with('/') || path.split('/').any(is_dots) {
            return false;
        }
        let authority = htu.find("://").map_or(0, |index| index + 3);
        let end = htu[authority..].find('/').map_or(htu.len(), |index| authority + index);
        let claimed = normal(&format!("{}{}", &htu[..end], encoded(&htu[end..])));
        claimed.is_some() && claimed == normal(&format!("{}{}", self.0, encoded(path)))
    }
}

fn is_dots(segment: &str) -> bool {
    matches!(segment.replace("%2e", ".").replace("%2E", ".").as_str(), "." | "..")
}

/// What browsers (URL Standard) and others send in paths and queries as it is, and RFC 3986 does not have.
const SENT_AS_IT_IS: AsciiSet =
    AsciiSet::EMPTY.add(b'"').add(b'<').add(b'>').add(b'[').add(b']').add(b'^').add(b'`').add(b'{').add(b'|').add(b'}');

/// As RFC 3986 has it. What is not ASCII stays, and is refused.
fn encoded(path: &str) -> Cow<'_, str> {
    if path.is_ascii() { utf8_percent_encode(path, &SENT_AS_IT_IS).into() } else { path.into() }
}

/// An http or https URI in its normal form, without query and fragment.
fn normal(uri: &str) -> Option<String> {
    if uri.len() > MAX_LEN {
        return None;
    }
    let end = uri.find(['?', '#']).unwrap_or(uri.len());
    // What is cut off must be well-formed too.
    Uri::parse(uri).ok()?;
    let uri = Uri::parse(&uri[..end]).ok()?;
    let authority = uri.authority()?;
    let is_http = ["http", "https"].iter().any(|scheme| uri.scheme().as_str().eq_ignore_ascii_case(scheme));
    if !is_http || authority.userinfo().is_some() || authority.host().is_empty() {
        return None;
    }
    let mut normal = Normalizer::new().normalize(&uri).ok()?.into_string();
    if uri.path().is_empty() {
        normal.push('/');
    }
    Some(normal)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn equivalent_uris_are_equal_and_others_are_not() {
        let target = Target::parse("https://Example.com:443").unwrap();
        for htu in [
            "https://example.com/a/b",
            "HTTPS://EXAMPLE.COM/a/b",
            "https://example.com:443/a/b",
            "https://example.com:/a/b",
            "https://example.com/a/b?x=1#y",
            "https://example.com/a/./c/../b",
            "https://example.com/%61/b",
            "https://example.com/a%2Fb/../b",
        ] {
            let is_named = target.is_named_by(htu, "/a/b");
            // `%2F` is no separator: its segment goes as a whole.
            assert_eq!(is_named, !htu.contains("%2F"), "{htu}");
        }
        for htu in [
            "",
            "/a/b",
            "//example.com/a/b",
            "https:/a/b",
            "https:a/b",
            "http://example.com/a/b",
            "http://example.com:443/a/b",
            "https://example.com:8443/a/b",
            "https://example.com/a/b/",
            "https://example.com/A/b",
            "https://example.com/a%2Fb",
            "https://example.com/a/b%00",
            "https://example.com/a/b;x",
            "https://user@example.com/a/b",
            "https://example.com.evil.com/a/b",
            "https://example.com@evil.com/a/b",
            "https://evil.com/a/b",
            "https://example.com\\a/b",
            "https:\\\\example.com/a/b",
            " https://example.com/a/b",
            "https://example.com/a/b ",
            "https://example.com/a/b\n",
            "https://exämple.com/a/b",
            "wss://example.com/a/b",
            "https://example.com/a/b?%zz",
        ] {
            assert!(!target.is_named_by(htu, "/a/b"), "{htu:?}");
        }
        assert!(target.is_named_by("https://example.com", "/"));
        assert!(target.is_named_by("https://example.com/?a", "/"));
        assert!(!target.is_named_by(&format!("https://example.com/{}", "a".repeat(MAX_LEN)), "/a"));
    }

    #[test]
    fn a_base_may_have_a_path_of_its_own() {
        let target = Target::parse("https://example.com/v1/").unwrap();
        assert!(target.is_named_by("https://example.com/v1/me", "/me"));
        assert!(!target.is_named_by("https://example.com/me", "/me"));
        let [six, port] = ["http://[::1]:3000", "http://127.0.0.1:80"].map(|base| Target::parse(base).unwrap());
        assert!(six.is_named_by("http://[::1]:3000/me", "/me"));
        assert!(port.is_named_by("http://127.0.0.1/me", "/me"));
        for base in [
            "",
            "example.com",
            "ftp://example.com",
            "https://",
            "https://a?b",
            "https://a#b",
            "https://u@a",
            "https://a b",
        ] {
            assert_eq!(Target::parse(base), None, "{base}");
        }
    }
}
