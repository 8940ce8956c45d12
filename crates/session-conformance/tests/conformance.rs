//! The suite on the store it is written against.

use std::process::ExitCode;

fn main() -> ExitCode {
    session_conformance::main(session_conformance::ReferenceHarness::default())
}
