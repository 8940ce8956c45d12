//! The [`Report`]: each row of the table of goals, and everything that was measured.

use serde::Serialize;

use crate::case::{Backend, Case, Request, Side};
use crate::measure::Measured;
use crate::sample::{Sample, median};
use crate::stale::Stale;

/// What a row compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Metric {
    /// Requests per second, divided by those of the floor: the more, the better.
    Ratio,
    /// Microseconds of this process for a request: the fewer, the better.
    Client,
    /// Microseconds of the server for a request: the fewer, the better.
    Server,
}

/// A row of the table: title, request, backend, metric, goal.
type Goal = (&'static str, Request, Backend, Metric, Option<f64>);

const GOALS: [Goal; 20] = {
    use Backend::{Cached, Moka, Postgres, Redis, Valkey};
    use Metric::{Client, Ratio, Server};
    use Request::{Login, Read, Untouched, Write};
    [
        ("no session use", Untouched, Moka, Ratio, Some(0.92)),
        ("read moka", Read, Moka, Ratio, Some(0.90)),
        ("read Redis", Read, Redis, Ratio, Some(0.92)),
        ("read Valkey", Read, Valkey, Ratio, None),
        ("read PostgreSQL", Read, Postgres, Ratio, Some(3.5)),
        ("write moka", Write, Moka, Ratio, Some(0.95)),
        ("write Redis", Write, Redis, Ratio, Some(0.65)),
        ("write Valkey", Write, Valkey, Ratio, Some(0.85)),
        ("write PostgreSQL", Write, Postgres, Ratio, Some(2.5)),
        ("login moka", Login, Moka, Ratio, Some(0.85)),
        ("login Redis", Login, Redis, Ratio, Some(0.75)),
        ("login Valkey", Login, Valkey, Ratio, None),
        ("login PostgreSQL", Login, Postgres, Ratio, Some(0.90)),
        ("read, cached", Read, Cached, Ratio, Some(0.90)),
        ("write, cached", Write, Cached, Ratio, None),
        ("client µs, read Redis", Read, Redis, Client, Some(12.0)),
        ("client µs, write Redis", Write, Redis, Client, Some(22.0)),
        ("client µs, login Redis", Login, Redis, Client, Some(30.0)),
        ("server µs, write Redis", Write, Redis, Server, Some(12.0)),
        ("server µs, login Redis", Login, Redis, Server, Some(20.0)),
    ]
};

/// Everything. Names of fields are stable.
#[derive(Debug, Serialize)]
pub struct Report {
    /// How many runs.
    runs: usize,
    /// The rows of the table.
    rows: Vec<Row>,
    /// Every subject of every case.
    subjects: Vec<SubjectRuns>,
    /// What is served after a logout on another node.
    pub stale: Vec<Stale>,
}

/// A row of the table.
#[derive(Debug, Serialize)]
struct Row {
    row: &'static str,
    /// Of the floor: 1 for ratios, as that is what they are relative to.
    floor: f64,
    best_rival: Option<Value>,
    ours: Value,
    goal: Option<f64>,
    met: Option<bool>,
}

/// A value over all runs.
#[derive(Clone, Debug, Serialize)]
struct Value {
    subject: &'static str,
    median: f64,
    min: f64,
    max: f64,
}

/// All samples of a subject.
#[derive(Debug, Serialize)]
pub struct SubjectRuns {
    #[serde(skip)]
    case: Case,
    /// The name of the case.
    name: String,
    subject: &'static str,
    side: Side,
    /// One sample for each run.
    samples: Vec<Sample>,
}

impl Report {
    /// Of nothing yet.
    pub fn new(runs: usize) -> Self {
        Self { runs, rows: Vec::new(), subjects: Vec::new(), stale: Vec::new() }
    }

    /// Adds a run of a case.
    pub fn add(&mut self, case: Case, measured: Vec<Measured>) {
        for Measured { subject, side, sample } in measured {
            let known = self.subjects.iter_mut().find(|known| known.case == case && known.subject == subject);
            match known {
                Some(known) => known.samples.push(sample),
                None => {
                    self.subjects.push(SubjectRuns { case, name: case.name(), subject, side, samples: vec![sample] });
                }
            }
        }
    }

    /// Computes the rows.
    pub fn finish(mut self) -> Self {
        self.rows = GOALS.iter().filter_map(|goal| self.row(goal)).collect();
        self
    }

    fn row(&self, &(row, request, backend, metric, goal): &Goal) -> Option<Row> {
        let values = |side: Side| {
            let of = move |runs: &&SubjectRuns| runs.case == Case { request, backend } && runs.side == side;
            self.subjects.iter().filter(of).map(move |runs| metric.value(runs))
        };
        // The first of each list: axum and tower.
        let (floor, ours) = (values(Side::Floor).next()?.median, values(Side::Ours).next()?);
        let best_rival = values(Side::Rival).max_by(|a, b| metric.order(a.median).total_cmp(&metric.order(b.median)));
        let met = goal.map(|goal| metric.order(ours.median) >= metric.order(goal));
        Some(Row { row, floor, best_rival, ours, goal, met })
    }

    /// The table of rows.
    pub fn text(&self) -> String {
        let header = ["", "floor", "best rival: median (min–max)", "ours: median (min–max)", "goal", "met"];
        let mut lines = vec![header.map(str::to_owned)];
        lines.extend(self.rows.iter().map(Row::cells));
        let widths = [0, 1, 2, 3, 4, 5].map(|at| lines.iter().map(|line| line[at].chars().count()).max().unwrap_or(0));
        let line = |cells: &[String; 6]| {
            let cells = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
        };
        let note = format!(
            "Medians of {} runs. Ratios to the floor of the same round unless it says µs; 64 clients in one thread.\n\n",
            self.runs
        );
        let stale: String = self.stale.iter().map(|stale| format!("{}\n", stale.text())).collect();
        let gap = if stale.is_empty() { "" } else { "\n" };
        note + &lines.iter().map(line).collect::<String>() + gap + &stale
    }
}

impl Row {
    fn cells(&self) -> [String; 6] {
        let rival = self.best_rival.as_ref();
        [
            self.row.to_owned(),
            number(self.floor),
            rival.map_or("–".to_owned(), |rival| format!("{} {}", rival.cell(), rival.subject)),
            self.ours.cell(),
            self.goal.map_or("–".to_owned(), number),
            self.met.map_or("–", |met| if met { "yes" } else { "no" }).to_owned(),
        ]
    }
}

impl Value {
    fn cell(&self) -> String {
        format!("{} ({}–{})", number(self.median), number(self.min), number(self.max))
    }
}

impl Metric {
    fn value(self, runs: &SubjectRuns) -> Value {
        let field = |sample: &Sample| match self {
            Self::Ratio => sample.ratio_to_floor,
            Self::Client => sample.client_us,
            Self::Server => sample.server_us,
        };
        let values: Vec<f64> = runs.samples.iter().map(field).collect();
        let (min, max) = (values.iter().copied().fold(f64::MAX, f64::min), values.iter().copied().fold(0.0, f64::max));
        Value { subject: runs.subject, median: median(values), min, max }
    }

    /// Higher is better.
    fn order(self, value: f64) -> f64 {
        if self == Self::Ratio { value } else { -value }
    }
}

fn number(value: f64) -> String {
    if value < 10.0 { format!("{value:.2}") } else { format!("{value:.1}") }
}
