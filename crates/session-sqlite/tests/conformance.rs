//! The shared suite, on this store.

use std::process::ExitCode;

fn main() -> ExitCode {
    session_conformance::main(session_testbed::Sqlite::default())
}
