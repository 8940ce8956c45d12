//! The report as tables: ratios at a glance, then every number.

use session_testbed::table::Table;

use crate::report::{Administration, Report, Row};

/// As aligned text.
#[must_use]
pub fn text(report: &Report) -> String {
    draw(report, |title, table| format!("{title}\n\n{}\n", table.text()))
}

/// As Markdown.
#[must_use]
pub fn markdown(report: &Report) -> String {
    draw(report, |title, table| format!("{title}\n\n{}\n", table.markdown()))
}

fn draw(report: &Report, section: impl Fn(&str, &Table) -> String) -> String {
    let mut text = report.environment.lines().join("\n") + "\n\n";
    if !report.rows.is_empty() {
        let title = "How often, as a ratio to the floor (more is better), by how many do it at once:";
        text += &section(title, &ratios(&report.rows));
        text += &section("Each operation, and its floor:", &details(&report.rows));
    }
    if !report.growth.is_empty() {
        let title =
            "One call at a time, by the number of sessions: in the store, or, where it is 1, 10 and 100, of the user:";
        text += &section(title, &growth(report));
    }
    if !report.memory.is_empty() {
        text += &section("Bytes per session:", &memory(report));
    }
    if !report.cost.is_empty() {
        text += &section("What a call costs the servers, 64 at once:", &cost(report));
    }
    if !report.followers.is_empty() {
        text += &section("Server µs for a write, 64 at once, by followers of the feed:", &followers(report));
    }
    if let Some(row) = report.administration.first() {
        let title = format!(
            "session-admin on {} sessions, and {} requests per second meanwhile (p99 µs, from when they were due):",
            row.sessions, row.requests_per_s
        );
        text += &section(&title, &administration(report));
    }
    if !report.moved.is_empty() {
        text += &section("Sessions that were copied while they were written:", &moved(report));
    }
    text
}

/// With these titles and rows.
fn table(titles: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Table {
    let mut table = Table::new(titles.iter().map(|title| (*title).to_owned()).collect());
    rows.for_each(|cells| table.row(cells));
    table
}

/// The distinct values of a column, in the order of their first rows.
fn distinct<T: PartialEq>(values: impl Iterator<Item = T>) -> Vec<T> {
    let mut seen = Vec::new();
    for value in values {
        if !seen.contains(&value) {
            seen.push(value);
        }
    }
    seen
}

/// Operation × backend.
fn ratios(rows: &[Row]) -> Table {
    let measured: Vec<&Row> = rows.iter().filter(|row| !row.is_floor()).collect();
    let backends = distinct(measured.iter().map(|row| row.backend.as_str()));
    let mut columns = vec!["op", "at once"];
    columns.extend(&backends);
    let pairs = distinct(measured.iter().map(|row| (row.op.as_str(), row.concurrency)));
    let rows = pairs.into_iter().map(|(op, concurrency)| {
        let ratio = |backend: &&str| {
            let mut rows = measured.iter().filter(|row| row.op == op && row.concurrency == concurrency);
            let row = rows.find(|row| row.backend == *backend);
            row.map_or_else(String::new, |row| format!("{:.2}", row.sample.ratio_to_floor))
        };
        [op.to_owned(), concurrency.to_string()].into_iter().chain(backends.iter().map(ratio)).collect()
    });
    table(&columns, rows)
}

fn details(rows: &[Row]) -> Table {
    let rows = rows.iter().map(|row| {
        vec![
            row.op.clone(),
            row.concurrency.to_string(),
            row.backend.clone(),
            format!("{:.0}", row.sample.ops_per_s),
            micros(row.sample.p50_us),
            micros(row.sample.p99_us),
            format!("{:.2}", row.sample.ratio_to_floor),
            format!("{:.1}", row.round_trips),
        ]
    });
    table(&["op", "at once", "backend", "ops/s", "p50 µs", "p99 µs", "ratio", "round trips"], rows)
}

fn growth(report: &Report) -> Table {
    let rows = report.growth.iter().map(|row| {
        let sessions = row.sessions.to_string();
        let [p50, p99, floor] = [row.p50_us, row.p99_us, row.floor_p50_us].map(micros);
        vec![row.op.clone(), row.backend.clone(), sessions, p50, p99, floor, format!("{:.2}", row.ratio_to_floor)]
    });
    table(&["op", "backend", "sessions", "p50 µs", "p99 µs", "floor p50 µs", "ratio"], rows)
}

fn memory(report: &Report) -> Table {
    let rows = report.memory.iter().map(|row| {
        let bytes = format!("{:.0}", row.bytes_per_session);
        vec![row.backend.clone(), row.what.clone(), row.sessions.to_string(), bytes]
    });
    table(&["backend", "measured", "sessions", "bytes per session"], rows)
}

fn cost(report: &Report) -> Table {
    let rows = report.cost.iter().map(|row| {
        let bytes = [row.sent_bytes, row.received_bytes, row.wal_bytes];
        let [sent, received, log] = bytes.map(|bytes| bytes.map_or_else(String::new, |bytes| format!("{bytes:.0}")));
        let time = row.server_us.map_or_else(String::new, micros);
        vec![row.op.clone(), row.backend.clone(), time, sent, received, log]
    });
    table(&["op", "backend", "server µs", "bytes sent", "bytes received", "bytes of WAL"], rows)
}

/// Backend × followers.
fn followers(report: &Report) -> Table {
    let counts = distinct(report.followers.iter().map(|row| row.followers));
    let title = |count: &Option<usize>| count.map_or_else(|| "nobody is told".to_owned(), |count| count.to_string());
    let titles: Vec<String> = std::iter::once("backend".to_owned()).chain(counts.iter().map(title)).collect();
    let backends = distinct(report.followers.iter().map(|row| row.backend.as_str()));
    let rows = backends.into_iter().map(|backend| {
        let time = |count: &Option<usize>| {
            let mut rows = report.followers.iter();
            let row = rows.find(|row| row.backend == backend && row.followers == *count);
            row.map_or_else(String::new, |row| micros(row.server_us))
        };
        std::iter::once(backend.to_owned()).chain(counts.iter().map(time)).collect()
    });
    table(&titles.iter().map(String::as_str).collect::<Vec<_>>(), rows)
}

fn administration(report: &Report) -> Table {
    let rows = report.administration.iter().map(|row| {
        let Administration { seconds, own_seconds, peak_mib, p99_ratio, .. } = row;
        let [before_p50, before, p50, p99] = [row.before_p50_us, row.before_p99_us, row.p50_us, row.p99_us].map(micros);
        vec![
            row.store.clone(),
            row.command.clone(),
            row.runs.to_string(),
            format!("{seconds:.2}"),
            format!("{own_seconds:.2}"),
            format!("{peak_mib:.0}"),
            before_p50,
            p50,
            before,
            p99,
            format!("{p99_ratio:.2}"),
        ]
    });
    let titles =
        ["store", "command", "runs", "s", "own s", "peak MiB", "p50 before", "p50", "p99 before", "p99", "p99 ratio"];
    table(&titles, rows)
}

fn moved(report: &Report) -> Table {
    let rows = report.moved.iter().map(|row| {
        let counts = [row.increments, row.ended, row.alive, row.lost, row.revived, row.left].map(|n| n.to_string());
        [row.from.clone(), row.to.clone(), row.writers.to_string()].into_iter().chain(counts).collect()
    });
    table(&["from", "to", "writers", "increments", "ended", "alive", "lost", "revived", "left"], rows)
}

/// Three significant digits, or all digits of a large number.
fn micros(micros: f64) -> String {
    if micros < 10.0 { format!("{micros:.2}") } else { format!("{micros:.0}") }
}

#[cfg(test)]
mod tests {
    use super::{markdown, text};
    use crate::report::example;

    #[test]
    fn every_number_is_shown_and_ratios_first() {
        let text = text(&example());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], "Redis 7, PostgreSQL 15 and SQLite 3 (fsync on), TCP on loopback");
        assert_eq!(lines[5], "op          at once  redis  moka", "{text}");
        assert_eq!(lines[6], "store-load  64       0.95   0.90", "{text}");
        for line in [
            "store-load  64       floor-redis  200000   250     400     1.00   1.0",
            "store-load  64       moka         3600000  0.15    2.10    0.90   0.0",
            "store-load  redis    1000      80      120     64            0.80",
            "redis    used_memory  200000    410",
            "store-load  redis    2.50       60          300",
            "backend  nobody is told  10",
            "redis    7.30            12",
            "redis  count    40    0.12  0.04   14        210         215  400         500  1.25",
            "redis  postgres  64       10000       500    999500  1     2        0",
        ] {
            assert!(lines.contains(&line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn markdown_has_the_same_tables() {
        let text = markdown(&example());
        assert!(text.contains("| store-load | 64      | 0.95  | 0.90 |"), "{text}");
    }
}
