//! The shared suite, on this store, on Valkey, which compares whole values by a command.

use std::process::ExitCode;

use session_testbed::servers::VALKEY;
use session_testbed::{Redis, RedisOn};

fn main() -> ExitCode {
    session_conformance::main(RedisOn::new(Redis::Single, VALKEY))
}
