//! The conformance suite on a cache in front of Redis. Other servers: `cargo xtask conformance --servers cached`.

use std::process::ExitCode;

fn main() -> ExitCode {
    session_conformance::main(session_testbed::cached(session_testbed::Redis::Single))
}
