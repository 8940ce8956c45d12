//! The shared suite, on this store, behind Sentinel.

use std::process::ExitCode;

fn main() -> ExitCode {
    session_conformance::main(session_testbed::Redis::Sentinel)
}
