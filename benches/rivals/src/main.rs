//! Other session libraries beside ours, in one program: `cargo xtask bench --rivals`, which starts the servers.
//!
//! One thread sends the requests of 64 clients to an application in the same process. Subjects take turns in rounds; a number
//! is a ratio to the floor in the same round, because absolute ones move with the machine. To add a library: implement
//! [`site::Session`] for its extractor, and add it to [`case::Case::subjects`].

#![forbid(unsafe_code)]

mod actix;
mod app;
mod case;
mod client;
mod cpu;
mod floor;
mod measure;
mod ours;
mod report;
mod rival;
mod sample;
mod site;
mod stale;

use std::time::Instant;

use clap::Parser;
use tokio::runtime::Builder;
use tokio::task::LocalSet;

use crate::case::{Case, Selection, Servers, Side};
use crate::measure::{Measured, measure};
use crate::report::Report;
use crate::sample::Length;

/// Compares this project with other session libraries, and with the least work that could do the same.
#[derive(Parser)]
#[command(bin_name = "cargo xtask bench --rivals")]
struct Arguments {
    /// One short run instead of five.
    #[arg(long)]
    quick: bool,
    /// Only cases with this in their names, which are request/backend: untouched/moka, read/redis, write/valkey, read/cached, …
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    /// Ours and the floor, without rivals.
    #[arg(long)]
    ours: bool,
    /// The report as JSON: every sample of every subject.
    #[arg(long)]
    json: bool,
    /// A Redis server, whose data is deleted.
    #[arg(long, value_name = "URL")]
    redis: Option<String>,
    /// A Valkey server, whose data is deleted.
    #[arg(long, value_name = "URL")]
    valkey: Option<String>,
    /// A PostgreSQL server, where the database `rivals` is replaced.
    #[arg(long, value_name = "URL")]
    postgres: Option<String>,
}

fn main() {
    let Arguments { quick, only, ours, json, redis, valkey, postgres } = Arguments::parse();
    let servers = Servers { redis, valkey, postgres };
    let length = if quick { Length::QUICK } else { Length::FULL };
    let selection = if ours { Selection::Ours } else { Selection::All };
    let cases: Vec<Case> = Case::all().into_iter().filter(|case| case.name().contains(&only)).collect();
    let mut report = Report::new(length.runs);
    let start = Instant::now();
    for run in 1..=length.runs {
        for &case in &cases {
            eprint!("[run {run}/{}] {:18}", length.runs, case.name());
            // With the runtime, connections and background tasks of the case end.
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            let measured = LocalSet::new().block_on(&runtime, measure(case, &servers, selection, length));
            eprintln!("{}  ({:.1} min)", progress(&measured), start.elapsed().as_secs_f64() / 60.0);
            report.add(case, measured);
        }
    }
    if selection == Selection::All && "logout/cached".contains(&only) {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        report.stale = LocalSet::new().block_on(&runtime, stale::stale(&servers));
    }
    let report = report.finish();
    if json {
        println!("{}", serde_json::to_string_pretty(&report).unwrap());
    } else {
        print!("{}", report.text());
    }
}

/// The floor's requests per second, then ratios.
fn progress(measured: &[Measured]) -> String {
    let one = |Measured { subject, side, sample }: &Measured| match side {
        Side::Floor => format!("  {subject} {:.0}/s", sample.ops_per_s),
        Side::Ours | Side::Rival => format!("  {subject} {:.2}", sample.ratio_to_floor),
    };
    if measured.is_empty() { "  no server".to_owned() } else { measured.iter().map(one).collect() }
}
