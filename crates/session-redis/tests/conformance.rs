//! The shared suite, on this store, on a single server.

use std::process::ExitCode;

fn main() -> ExitCode {
    session_conformance::main(session_testbed::Redis::Single)
}
