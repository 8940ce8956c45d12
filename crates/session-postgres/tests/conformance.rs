//! The shared suite.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::process::ExitCode;

fn main() -> ExitCode {
    support::harness::main(session_postgres::Pooler::Transparent)
}
