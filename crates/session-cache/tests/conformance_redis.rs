//! The conformance suite on a cache in front of Redis, with its feed. Other servers: `cargo xtask conformance --servers cached`.

use std::process::ExitCode;

fn main() -> ExitCode {
    session_conformance::main(session_testbed::Redis::Single.cached())
}
