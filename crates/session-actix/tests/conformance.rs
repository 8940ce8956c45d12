//! The request cases of the shared suite, through this adapter.

use std::process::ExitCode;

fn main() -> ExitCode {
    session_conformance::adapter_main(session_testbed::Actix)
}
