//! What pages share.

use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use session_core::Timestamp;

use crate::args::Embedder;

const STYLE: &str = include_str!("style.css");
const ICON: &str = "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'><circle cx='8' cy='8' r='7' \
                    fill='#1f5fbf'/><path d='M5 8l2 2 4-4' stroke='#fff' stroke-width='2' fill='none'/></svg>";

/// A page; `user` is the user who is logged in.
pub(super) fn page(title: &str, user: Option<&str>, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " – session demo" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    p.home { a href="/" { "session demo" } }
                    @if let Some(user) = user {
                        p { "Signed in as " strong { (user) } }
                        a href="/devices" { "Your devices" }
                        form method="post" action="/logout" { button.quiet { "Log out" } }
                    }
                }
                main {
                    h1 { (title) }
                    (content)
                }
            }
        }
    }
}

/// Asks for the password again.
pub(super) fn password_form(problem: Option<&str>) -> Markup {
    html! {
        @if let Some(problem) = problem { p.notice role="alert" { (problem) } }
        section {
            p { "This page wants to be sure. Please type your password again." }
            form method="post" action="/reauthenticate" {
                label { "Password" input name="password" type="password" autocomplete="current-password" required; }
                button { "Continue" }
            }
            p { a href="/" { "Back to the start" } }
        }
    }
}

/// The distance to a moment in words; the moment itself is in the markup.
pub(super) fn moment(at: Timestamp, now: Timestamp) -> Markup {
    let (text, away) = (utc(at), if at > now { at.since(now) } else { now.since(at) });
    let words = match (away.as_secs(), at > now) {
        (0, _) => "just now".to_owned(),
        (seconds, true) => format!("in {}", duration(seconds)),
        (seconds, false) => format!("{} ago", duration(seconds)),
    };
    html! { time datetime=(text) title=(text) { (words) } }
}

/// The two largest units: what is smaller is noise.
fn duration(seconds: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let first = UNITS.iter().position(|(unit, _)| seconds >= *unit).unwrap_or(UNITS.len() - 1);
    let mut rest = seconds;
    let mut parts = Vec::new();
    for (unit, name) in UNITS.iter().skip(first).take(2) {
        if rest >= *unit {
            // Not torn apart at the end of a line.
            parts.push(format!("{}\u{a0}{name}", rest / unit));
        }
        rest %= unit;
    }
    parts.join(" ")
}

/// A moment as `2026-11-23T07:14:20Z`.
pub(super) fn utc(at: Timestamp) -> String {
    humantime::format_rfc3339_seconds(at.max(Timestamp::EPOCH).into()).to_string()
}

pub(crate) async fn favicon() -> impl IntoResponse {
    ([(CONTENT_TYPE, "image/svg+xml"), (CACHE_CONTROL, "public, max-age=86400")], ICON)
}

/// Keeps scripts from running in the pages, and other sites from framing them, unless they are named.
pub(crate) fn content_policy(embedded_by: &[Embedder]) -> HeaderValue {
    let embedders: Vec<&str> = embedded_by.iter().map(Embedder::as_str).collect();
    let ancestors = if embedders.is_empty() { "'none'".to_owned() } else { embedders.join(" ") };
    let policy = format!(
        "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; form-action 'self'; \
         frame-ancestors {ancestors}; base-uri 'none'"
    );
    HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"))
}

/// Adds this policy, and headers that keep other sites from reading the pages.
///
/// `Referrer-Policy: no-referrer` would make browsers send `Origin: null` with our own forms.
pub(crate) async fn protect(State(content_policy): State<HeaderValue>, mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, content_policy);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}

#[cfg(test)]
mod tests {
    use super::duration;

    #[test]
    fn durations_have_two_units_at_most() {
        const DAY: u64 = 86_400;
        for (seconds, words) in [
            (1, "1 s"),
            (59, "59 s"),
            (60, "1 min"),
            (1_799, "29 min 59 s"),
            (3_600, "1 h"),
            (3_601, "1 h"),
            (28_799, "7 h 59 min"),
            (DAY, "1 d"),
            (7 * DAY - 1, "6 d 23 h"),
            (400 * DAY + 59, "400 d"),
        ] {
            assert_eq!(duration(seconds).replace('\u{a0}', " "), words, "{seconds}");
        }
    }
}
