//! The shared suite, on this store, in a Cluster.

use std::process::ExitCode;

fn main() -> ExitCode {
    session_conformance::main(session_testbed::Redis::Cluster)
}
