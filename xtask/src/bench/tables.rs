//! The report as tables: ratios at a glance, then every number.

use super::report::{Report, Row};
use crate::table::Table;

pub(super) fn text(report: &Report) -> String {
    draw(report, |title, table| format!("{title}\n\n{}\n", table.text()))
}

pub(super) fn markdown(report: &Report) -> String {
    draw(report, |title, table| format!("{title}\n\n{}\n", table.markdown()))
}

fn draw(report: &Report, section: impl Fn(&str, &Table) -> String) -> String {
    let mut text = report.environment.lines().join("\n") + "\n\n";
    if !report.rows.is_empty() {
        text += &section(
            "How often, as a ratio to the floor (more is better), by how many do it at once:",
            &ratios(&report.rows),
        );
        text += &section("Each operation, and its floor:", &details(&report.rows));
    }
    if !report.growth.is_empty() {
        text += &section(
            "Latency by the number of sessions: in the store for store-load, of the user for the others:",
            &growth(report),
        );
    }
    if !report.memory.is_empty() {
        text += &section("Bytes per session:", &memory(report));
    }
    text
}

fn header(cells: &[&str]) -> Table {
    Table::new(cells.iter().map(|cell| (*cell).to_owned()).collect())
}

/// The different values of a column, in the order of their first row.
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
    let mut table = header(&columns);
    for (op, concurrency) in distinct(measured.iter().map(|row| (row.op.as_str(), row.concurrency))) {
        let mut cells = vec![op.to_owned(), concurrency.to_string()];
        cells.extend(backends.iter().map(|backend| {
            let row =
                measured.iter().find(|row| row.op == op && row.concurrency == concurrency && row.backend == *backend);
            row.map_or_else(String::new, |row| format!("{:.2}", row.ratio_to_floor))
        }));
        table.row(cells);
    }
    table
}

fn details(rows: &[Row]) -> Table {
    let mut table = header(&["op", "at once", "backend", "ops/s", "p50 µs", "p99 µs", "ratio", "round trips"]);
    for row in rows {
        table.row(vec![
            row.op.clone(),
            row.concurrency.to_string(),
            row.backend.clone(),
            format!("{:.0}", row.ops_per_s),
            micros(row.p50_us),
            micros(row.p99_us),
            format!("{:.2}", row.ratio_to_floor),
            format!("{:.1}", row.round_trips),
        ]);
    }
    table
}

fn growth(report: &Report) -> Table {
    let mut table = header(&["op", "backend", "sessions", "p50 µs", "p99 µs"]);
    for row in &report.growth {
        table.row(vec![
            row.op.clone(),
            row.backend.clone(),
            row.sessions.to_string(),
            micros(row.p50_us),
            micros(row.p99_us),
        ]);
    }
    table
}

fn memory(report: &Report) -> Table {
    let mut table = header(&["backend", "measured", "sessions", "bytes per session"]);
    for row in &report.memory {
        table.row(vec![
            row.backend.clone(),
            row.what.clone(),
            row.sessions.to_string(),
            format!("{:.0}", row.bytes_per_session),
        ]);
    }
    table
}

/// Three digits that count.
fn micros(micros: f64) -> String {
    if micros < 10.0 { format!("{micros:.2}") } else { format!("{micros:.0}") }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
pub(super) mod tests {
    use super::super::report::Report;
    use super::{markdown, text};

    pub(in crate::bench) const REPORT: &str = r#"{
        "environment": {"host": "a machine, 2 cores", "rustc": "rustc 1", "redis": "7", "postgres": "15",
            "transport": "TCP on loopback", "fsync": "on"},
        "rows": [
            {"op": "store-load", "backend": "floor-redis", "concurrency": 64, "ops_per_s": 200000.4, "p50_us": 250.2,
                "p99_us": 400.0, "ratio_to_floor": 1.0, "round_trips": 1.0},
            {"op": "store-load", "backend": "redis", "concurrency": 64, "ops_per_s": 190000.0, "p50_us": 260.0,
                "p99_us": 410.0, "ratio_to_floor": 0.95, "round_trips": 1.0},
            {"op": "store-load", "backend": "floor-moka", "concurrency": 64, "ops_per_s": 4000000.0, "p50_us": 0.12,
                "p99_us": 2.0, "ratio_to_floor": 1.0, "round_trips": 0.0},
            {"op": "store-load", "backend": "moka", "concurrency": 64, "ops_per_s": 3600000.0, "p50_us": 0.15,
                "p99_us": 2.1, "ratio_to_floor": 0.9, "round_trips": 0.0}
        ],
        "growth": [{"op": "store-load", "backend": "redis", "sessions": 1000, "p50_us": 80.0, "p99_us": 120.0}],
        "memory": [{"backend": "redis", "what": "used_memory", "sessions": 200000, "bytes_per_session": 410.3}]
    }"#;

    #[test]
    fn every_number_is_shown_and_ratios_first() {
        let report: Report = serde_json::from_str(REPORT).unwrap();
        let text = text(&report);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], "Redis 7, PostgreSQL 15 (fsync on), TCP on loopback");
        assert_eq!(lines[5], "op          at once  redis  moka", "{text}");
        assert_eq!(lines[6], "store-load  64       0.95   0.90", "{text}");
        for line in [
            "store-load  64       floor-redis  200000   250     400     1.00   1.0",
            "store-load  64       moka         3600000  0.15    2.10    0.90   0.0",
            "store-load  redis    1000      80      120",
            "redis    used_memory  200000    410",
        ] {
            assert!(lines.contains(&line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn markdown_has_the_same_tables() {
        let report: Report = serde_json::from_str(REPORT).unwrap();
        assert!(markdown(&report).contains("| store-load | 64      | 0.95  | 0.90 |"), "{}", markdown(&report));
    }
}
