//! `cargo xtask bench --rivals`: starts servers, runs the program of `benches/rivals` on them, and ends them. That program is of a
//! workspace of its own, so it cannot use the testbed.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, ExitCode, ExitStatus};

use session_benches::Failure;
use session_testbed::servers::{Postgres, Redis, Release, VALKEY};

/// Where xtask has it built.
const PROGRAM: &str = "../target/rivals/release/session-rivals";

#[tokio::main]
async fn main() -> ExitCode {
    match run(std::env::args_os().skip(1).collect()).await {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(status) => {
            eprintln!("error: {PROGRAM}: {status}");
            ExitCode::FAILURE
        }
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Vec<OsString>) -> Result<ExitStatus, Failure> {
    let mut program = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join(PROGRAM));
    program.args(arguments);
    eprintln!("starting the servers …");
    // Without a file to append to: it measures the server's own work.
    let in_memory = [("appendonly", "no")];
    // A checkpoint in the middle of a round would distort it.
    let postgres = Postgres::launch(&[("max_wal_size", "8GB"), ("checkpoint_timeout", "1h")]);
    let (redis, postgres) = tokio::try_join!(Redis::launch(&in_memory), postgres)?;
    program.args(["--redis", &redis.url(), "--postgres", &postgres.url()]);
    let valkey = Redis::launch_release(Release::Pinned(VALKEY), &in_memory).await;
    match &valkey {
        Ok(valkey) => {
            program.args(["--valkey", &valkey.url()]);
        }
        Err(error) => eprintln!("without Valkey: {error}"),
    }
    // Waits on this thread: the servers need none of it, and live until the end of this function.
    Ok(program.status()?)
}
