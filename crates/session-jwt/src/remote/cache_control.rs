//! How long a response may be kept, as its `Cache-Control` says (RFC 9111).

use std::time::Duration;

/// The shortest time that `header` allows; zero if it forbids to keep the response unasked. `None` if it says nothing.
pub(super) fn max_age(header: &str) -> Option<Duration> {
    header.split(',').filter_map(directive).min()
}

fn directive(text: &str) -> Option<Duration> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name.trim(), value.trim()),
        None => (text.trim(), ""),
    };
    if name.eq_ignore_ascii_case("no-store") || name.eq_ignore_ascii_case("no-cache") {
        return Some(Duration::ZERO);
    }
    if !name.eq_ignore_ascii_case("max-age") {
        return None;
    }
    let digits = value.trim_matches('"');
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        // Stale, as RFC 9111 advises for what is invalid.
        return Some(Duration::ZERO);
    }
    // Too large for a number: longer than any limit.
    Some(digits.parse().map_or(Duration::MAX, Duration::from_secs))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_in_every_shape() {
        let seconds = |number| Some(Duration::from_secs(number));
        let table = [
            ("", None),
            ("public, must-revalidate", None),
            ("max-age=300", seconds(300)),
            ("public, max-age=300, must-revalidate", seconds(300)),
            (" Max-Age = \"300\" ", seconds(300)),
            ("s-maxage=9, max-age=300", seconds(300)),
            ("max-age=300,max-age=60", seconds(60)),
            ("max-age=300, no-cache", seconds(0)),
            ("no-store", seconds(0)),
            ("max-age=0", seconds(0)),
            ("max-age=-1", seconds(0)),
            ("max-age=1.5", seconds(0)),
            ("max-age=", seconds(0)),
            ("max-age", seconds(0)),
            ("max-age=99999999999999999999999", Some(Duration::MAX)),
            ("stale-while-revalidate=60", None),
            ("ext=\"a, max-age=5\", max-age=9", seconds(5)), // a comma in quotes: shorter than meant, never longer
        ];
        for (header, expected) in table {
            assert_eq!(max_age(header), expected, "{header}");
        }
    }
}
