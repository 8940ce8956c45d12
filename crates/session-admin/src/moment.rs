//! Moments, as they are given and as they are shown.

use std::str::FromStr;
use std::time::{Duration, SystemTime};

use session_core::Timestamp;

/// The last millisecond that has a date of four digits for the year.
const LATEST: i64 = 253_402_300_799_999;

/// A moment of a command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// So long ago.
    Ago(Duration),
    /// Then.
    At(Timestamp),
}

impl Moment {
    pub(crate) fn resolve(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Ago(duration) => now - duration,
            Self::At(at) => at,
        }
    }
}

impl FromStr for Moment {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(duration) = humantime::parse_duration(text) {
            return Ok(Self::Ago(duration));
        }
        let date_only = text.len() == "2026-03-01".len();
        let text = if date_only { format!("{text}T00:00:00Z") } else { text.to_owned() };
        let expected = "expected how long ago (30d, 12h, 90m), or a date (2026-03-01, 2026-03-01T12:00:00Z)";
        humantime::parse_rfc3339_weak(&text).map(|at| Self::At(at.into())).map_err(|_| expected)
    }
}

/// As RFC 3339 has it, in UTC; a number of milliseconds where that has no name for it.
pub(crate) fn show(at: Timestamp) -> String {
    match date(at) {
        Some(_) => at.to_string(),
        None => format!("{} ms", at.as_millis()),
    }
}

/// The same for people: to the second.
pub(crate) fn show_short(at: Timestamp) -> String {
    match date(at) {
        Some(date) => humantime::format_rfc3339_seconds(date).to_string(),
        None => format!("{} ms", at.as_millis()),
    }
}

fn date(at: Timestamp) -> Option<SystemTime> {
    (0..=LATEST).contains(&at.as_millis()).then(|| at.into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;

    #[test]
    fn moments_are_an_age_or_a_date() {
        let now = Timestamp::from_millis(1_772_366_400_000);
        let resolve = |text: &str| show(text.parse::<Moment>().unwrap().resolve(now));
        assert_eq!(resolve("90m"), "2026-03-01T10:30:00.000Z");
        assert_eq!(resolve("1d 12h"), "2026-02-28T00:00:00.000Z");
        assert_eq!(resolve("2026-03-01"), "2026-03-01T00:00:00.000Z");
        assert_eq!(resolve("2026-03-01T10:30:00Z"), "2026-03-01T10:30:00.000Z");
        assert_eq!(resolve("2026-03-01 10:30:00"), "2026-03-01T10:30:00.000Z");
        for text in ["", "yesterday", "30", "2026-13-01", "1960-01-01", "ééééé"] {
            assert!(text.parse::<Moment>().is_err(), "{text}");
        }
    }

    #[test]
    fn every_time_can_be_shown() {
        for millis in [i64::MIN, -1, LATEST + 1, i64::MAX] {
            assert_eq!(show(Timestamp::from_millis(millis)), format!("{millis} ms"));
            assert_eq!(show_short(Timestamp::from_millis(millis)), format!("{millis} ms"));
        }
        assert_eq!(show(Timestamp::from_millis(LATEST)), "9999-12-31T23:59:59.999Z");
        assert_eq!(show_short(Timestamp::EPOCH), "1970-01-01T00:00:00Z");
    }
}
