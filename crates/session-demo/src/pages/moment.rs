//! Moments and durations in words.

use std::time::Duration;

use maud::{Markup, html};
use session_core::Timestamp;
use timeago::Formatter;

/// The distance to a moment in words; the moment itself is in the markup.
pub(super) fn moment(at: Timestamp, now: Timestamp) -> Markup {
    let text = utc(at);
    html! { time datetime=(text) title=(text) { (distance(at, now)) } }
}

/// The distance to a moment in words, and the moment.
pub(super) fn dated_moment(at: Timestamp, now: Timestamp) -> Markup {
    html! { (moment(at, now)) " " span.utc { "(" (date(at)) ")" } }
}

/// "3 minutes ago", "in 7 hours 59 minutes", or "just now".
pub(super) fn distance(at: Timestamp, now: Timestamp) -> String {
    let away = if at > now { at.since(now) } else { now.since(at) };
    match (duration(away), at > now) {
        (None, _) => "just now".to_owned(),
        (Some(words), true) => format!("in {words}"),
        (Some(words), false) => format!("{words} ago"),
    }
}

/// The two largest units: what is smaller is noise. `None` for less than a second.
pub(super) fn duration(duration: Duration) -> Option<String> {
    if duration < Duration::from_secs(1) {
        return None;
    }
    Some(Formatter::new().num_items(2).ago("").convert(duration).trim_end().to_owned())
}

/// A moment as `2026-11-23 07:14:20 UTC`. The server does not know the time zone of who reads it.
pub(super) fn date(at: Timestamp) -> String {
    utc(at).replace('T', " ").replace('Z', " UTC")
}

/// A moment as `2026-11-23 07:14`, in UTC: for a picture, beside which it is in full.
pub(super) fn minute(at: Timestamp) -> String {
    date(at).chars().take("2026-11-23 07:14".len()).collect()
}

/// A moment as `2026-11-23T07:14:20Z`.
fn utc(at: Timestamp) -> String {
    humantime::format_rfc3339_seconds(at.max(Timestamp::EPOCH).into()).to_string()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use session_core::Timestamp;

    use super::{date, distance, duration, minute};

    #[test]
    fn durations_have_two_units_at_most() {
        const DAY: u64 = 86_400;
        for (seconds, words) in [
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "1 minute"),
            (1_799, "29 minutes 59 seconds"),
            (3_600, "1 hour"),
            (3_601, "1 hour 1 second"),
            (28_799, "7 hours 59 minutes"),
            (DAY, "1 day"),
            (7 * DAY - 1, "6 days 23 hours"),
            (30 * DAY - 60, "4 weeks 1 day"),
            (400 * DAY + 59, "1 year 1 month"),
        ] {
            assert_eq!(duration(Duration::from_secs(seconds)).as_deref(), Some(words), "{seconds}");
        }
        assert_eq!(duration(Duration::from_millis(999)), None);
    }

    #[test]
    fn moments_are_before_now_or_after_it() {
        let now = Timestamp::from_millis(1_795_418_060_000);
        let away = Duration::from_secs(60);
        assert_eq!(distance(now, now), "just now");
        assert_eq!(distance(now + Duration::from_millis(999), now), "just now");
        assert_eq!(distance(now + away, now), "in 1 minute");
        assert_eq!(distance(now - away, now), "1 minute ago");
        assert_eq!(date(now), "2026-11-23 07:14:20 UTC");
        assert_eq!(minute(now), "2026-11-23 07:14");
        assert_eq!(date(Timestamp::from_millis(-1)), "1970-01-01 00:00:00 UTC");
    }
}
