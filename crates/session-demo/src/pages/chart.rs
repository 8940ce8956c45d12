//! How many sessions there were over time, as a picture.

use std::time::Duration;

use maud::{Markup, html};
use session_core::Timestamp;

use super::moment::{duration, minute};
use crate::counts::{INTERVAL, Kinds, Sample};

/// The picture without its labels is so wide and high, in units of its own: it is stretched.
const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 200.0;
/// How much time the picture shows at least.
const MIN_SPAN: Duration = Duration::from_secs(300);
/// How wide the first count of a run is at least, so that it can be seen.
const MIN_WIDTH: u64 = 10;

/// From a count to the next one.
struct Column {
    left: u64,
    right: u64,
    total: u64,
    kinds: Option<Kinds>,
}

/// The counts, and of which kinds they were. The same numbers are in the text beside it.
pub(super) fn chart(samples: &[Sample], now: Timestamp) -> Markup {
    let Some(first) = samples.first() else { return html! {} };
    let begin = first.at.min(now - MIN_SPAN);
    let peak = peak(samples);
    let top = ceiling(peak);
    let runs = columns(samples, begin, now);
    let span = duration(now.since(begin)).unwrap_or_default();
    html! {
        svg.chart role="img" width="100%" height="252"
            aria-label={ "Live sessions over the last " (span) ": " (peak) " at most, and " (latest(samples)) " now" } {
            text x="0%" y="14" { (top) }
            svg x="0%" y="24" width="100%" height="200" viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" {
                rect.ground width=(WIDTH) height=(HEIGHT) {}
                @for run in &runs {
                    path.visitors d=(area(run, top, |_| 0, |kinds| kinds.visitors)) {}
                    path.cookies d=(area(run, top, |kinds| kinds.visitors, |kinds| kinds.visitors + kinds.cookies)) {}
                    path.refresh d=(area(run, top, |kinds| kinds.visitors + kinds.cookies, Kinds::total)) {}
                    path.total d=(line(run, top)) {}
                }
            }
            text.utc x="0%" y="244" { (minute(begin)) }
            text x="100%" y="244" text-anchor="end" { "now" }
        }
    }
}

/// The highest count.
pub(super) fn peak(samples: &[Sample]) -> u64 {
    samples.iter().map(|sample| sample.total.sessions).max().unwrap_or(0)
}

fn latest(samples: &[Sample]) -> u64 {
    samples.last().map_or(0, |sample| sample.total.sessions)
}

/// A round number that is at least `peak`: 1, 2, 3 or 5 with zeros.
fn ceiling(peak: u64) -> u64 {
    let mut unit = 1u64;
    loop {
        if let Some(top) = [1, 2, 3, 5].map(|digit| unit.saturating_mul(digit)).into_iter().find(|top| *top >= peak) {
            return top;
        }
        unit = unit.saturating_mul(10);
    }
}

/// Runs of counts without a gap between them: while nobody looked, nothing was counted.
fn columns(samples: &[Sample], begin: Timestamp, now: Timestamp) -> Vec<Vec<Column>> {
    let span = now.since(begin).max(Duration::from_millis(1));
    let place = |at: Timestamp| to_unit(at.since(begin).div_duration_f64(span).min(1.0) * WIDTH);
    let mut runs: Vec<Vec<Column>> = Vec::new();
    let mut is_gap = true;
    for (index, sample) in samples.iter().enumerate() {
        let next = samples.get(index + 1).map_or(now, |next| next.at);
        let began = is_gap;
        if began {
            runs.push(Vec::new());
        }
        is_gap = next.since(sample.at) > 3 * INTERVAL;
        let until = if is_gap { sample.at + INTERVAL } else { next };
        let (mut left, mut right) = (place(sample.at), place(until));
        if began {
            left = left.min(to_unit(WIDTH) - MIN_WIDTH);
            right = right.max(left + MIN_WIDTH);
        }
        let column = Column { left, right, total: sample.total.sessions, kinds: sample.kinds };
        if let Some(run) = runs.last_mut() {
            run.push(column);
        }
    }
    runs
}

/// Between two lines, where the kinds are known.
fn area(run: &[Column], top: u64, lower: impl Fn(&Kinds) -> u64, upper: impl Fn(&Kinds) -> u64) -> String {
    let mut path = String::new();
    for Column { left, right, kinds, .. } in run {
        let Some(kinds) = kinds else { continue };
        let [low, high] = [lower(kinds), upper(kinds)].map(|sessions| height(sessions, top));
        if low != high {
            path += &format!("M{left} {low}V{high}H{right}V{low}Z");
        }
    }
    path
}

fn line(run: &[Column], top: u64) -> String {
    let mut path = String::new();
    for Column { left, right, total, .. } in run {
        let y = height(*total, top);
        path += &if path.is_empty() { format!("M{left} {y}H{right}") } else { format!("V{y}H{right}") };
    }
    path
}

/// Where so many sessions are, from above. Kinds that were known before the total are not drawn beyond the picture.
fn height(sessions: u64, top: u64) -> u64 {
    #[allow(clippy::cast_precision_loss, reason = "a picture")]
    let part = (sessions as f64 / top as f64).min(1.0);
    to_unit((1.0 - part) * HEIGHT)
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between zero and a thousand")]
fn to_unit(value: f64) -> u64 {
    value.round() as u64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use session_core::Timestamp;
    use session_core::store::Count;

    use super::{ceiling, chart, columns};
    use crate::counts::{Kinds, Sample};

    fn at(second: u64) -> Timestamp {
        Timestamp::from_millis(1_795_418_060_000) + Duration::from_secs(second)
    }

    fn sample(second: u64, sessions: u64, kinds: Option<[u64; 3]>) -> Sample {
        let kinds = kinds.map(|[visitors, cookies, refresh]| Kinds { visitors, cookies, refresh });
        Sample { at: at(second), total: Count::exact(sessions), kinds }
    }

    #[test]
    fn the_axis_ends_at_a_round_number() {
        for (peak, top) in
            [(0, 1), (1, 1), (2, 2), (3, 3), (6, 10), (11, 20), (1_000_000, 1_000_000), (2_000_001, 3_000_000)]
        {
            assert_eq!(ceiling(peak), top);
        }
        assert_eq!(ceiling(u64::MAX), u64::MAX);
    }

    #[test]
    fn counts_are_steps_and_kinds_lie_on_each_other() {
        let samples = [sample(0, 4, None), sample(10, 8, Some([2, 4, 2])), sample(20, 10, Some([2, 4, 4]))];
        let drawn = chart(&samples, at(600)).into_string();
        // 600 s are 1000 wide, ten sessions 200 high. The last count is old: then nothing was counted.
        for part in [
            "class=\"total\" d=\"M0 120H17V40H33V0H50\"",
            "class=\"visitors\" d=\"M17 200V160H33V200ZM33 200V160H50V200Z\"",
            "class=\"cookies\" d=\"M17 160V80H33V160ZM33 160V80H50V160Z\"",
            "class=\"refresh\" d=\"M17 80V40H33V80ZM33 80V0H50V80Z\"",
            "over the last 10 minutes: 10 at most, and 10 now",
        ] {
            assert!(drawn.contains(part), "{part}: {drawn}");
        }
    }

    #[test]
    fn while_nobody_looked_there_is_a_gap() {
        let samples = [sample(0, 1, None), sample(10, 1, None), sample(300, 2, None), sample(600, 3, None)];
        let runs = columns(&samples, at(0), at(600));
        let ends: Vec<_> = runs.iter().map(|run| (run.len(), run[0].left, run[run.len() - 1].right)).collect();
        assert_eq!(ends, [(2, 0, 33), (1, 500, 517), (1, 990, 1000)]);
    }
}
