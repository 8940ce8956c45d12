//! A user agent in words.

use woothee::parser::{Parser, WootheeResult};
use woothee::woothee::VALUE_UNKNOWN;

const UNKNOWN: &str = "Unknown device";
/// Longest name that a program gives itself, in characters.
const MAX_LEN: usize = 40;

/// "Chrome on Linux"; for a program that is no browser, what it calls itself. Without versions, which change every few weeks and
/// are made up half of the time.
pub(super) fn in_words(user_agent: Option<&str>) -> String {
    let Some(text) = user_agent else { return UNKNOWN.to_owned() };
    match Parser::new().parse(text) {
        Some(WootheeResult { name, category: "pc" | "smartphone", os, .. }) if name != VALUE_UNKNOWN => {
            match system(os) {
                Some(system) => format!("{name} on {system}"),
                None => name.to_owned(),
            }
        }
        Some(_) | None => product(text),
    }
}

/// What people call it. Browsers say "Windows 10" on every later one, too.
fn system(os: &str) -> Option<&str> {
    match os {
        VALUE_UNKNOWN => None,
        "Mac OSX" => Some("macOS"),
        os if os.starts_with("Windows") => Some("Windows"),
        os => Some(os),
    }
}

/// "curl" of `curl/8.14.1`.
fn product(text: &str) -> String {
    let name = text.split(['/', ' ']).next().unwrap_or_default();
    let name: String = name.chars().filter(|char| !char.is_control()).take(MAX_LEN).collect();
    // Every browser begins like this.
    if name.is_empty() || name == "-" || name == "Mozilla" { UNKNOWN.to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::in_words;

    #[test]
    fn browsers_and_programs() {
        let chrome = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/146.0.0.0";
        let iphone = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)";
        for (user_agent, words) in [
            (&*format!("Mozilla/5.0 (X11; Linux x86_64) {chrome} Safari/537.36"), "Chrome on Linux"),
            (&format!("Mozilla/5.0 (Windows NT 10.0; Win64; x64) {chrome} Safari/537.36 Edg/146.0"), "Edge on Windows"),
            (&format!("Mozilla/5.0 (Linux; Android 10; K) {chrome} Mobile Safari/537.36"), "Chrome on Android"),
            (&format!("Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {chrome} Safari/537.36"), "Chrome on ChromeOS"),
            ("Mozilla/5.0 (X11; Linux x86_64; rv:148.0) Gecko/20100101 Firefox/148.0", "Firefox on Linux"),
            ("Mozilla/5.0 (Android 15; Mobile; rv:148.0) Gecko/148.0 Firefox/148.0", "Firefox on Android"),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 \
                 Safari/605.1.15",
                "Safari on macOS",
            ),
            (&format!("{iphone} Version/26.0 Mobile/15E148 Safari/604.1"), "Safari on iPhone"),
            (&format!("{iphone} CriOS/146.0.0.0 Mobile/15E148 Safari/604.1"), "Chrome on iPhone"),
            ("curl/8.14.1", "curl"),
            ("Phone/2", "Phone"),
            ("Test/1.0 (<script>alert(1)</script>)", "Test"),
            ("Mozilla/5.0", "Unknown device"),
            ("-", "Unknown device"),
            ("", "Unknown device"),
            ("/", "Unknown device"),
            (&"x".repeat(9_999), &"x".repeat(40)),
        ] {
            assert_eq!(in_words(Some(user_agent)), words, "{user_agent:.60}");
        }
        assert_eq!(in_words(None), "Unknown device");
    }
}
