//! `session-admin` as a process of its own, and what it takes.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::Command;
use tokio::time::timeout;

use super::place::Place;
use crate::op::Failure;
use crate::process::{computed, memory};

/// How often its memory is read: it is gone with the process.
const LOOK: Duration = Duration::from_millis(10);

/// What one run took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken {
    pub(crate) begin: Instant,
    pub(crate) end: Instant,
    /// Of its own processor time.
    pub(crate) own_seconds: f64,
    /// The largest resident set.
    pub(crate) peak_bytes: u64,
}

/// Beside this program, where xtask has it built.
fn program() -> Result<PathBuf, Failure> {
    let program = std::env::current_exe()?.with_file_name("session-admin");
    if program.exists() {
        return Ok(program);
    }
    Err(format!("{} is not there: `cargo xtask bench --admin` builds it", program.display()).into())
}

/// Runs the command on the sessions of `place`, with `new` as the other store. What it shows is thrown away.
///
/// # Errors
/// If it fails: what it said.
pub(crate) async fn run(place: &Place, new: Option<&Place>, args: &[&str]) -> Result<Taken, Failure> {
    let mut command = Command::new(program()?);
    command.env("SESSION_STORE_URL", &place.url).env("SESSION_NAMESPACE", place.namespace.as_str()).args(args);
    if let Some(new) = new {
        command.env("SESSION_NEW_STORE_URL", &new.url).args(["--to-namespace", new.namespace.as_str()]);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let begin = Instant::now();
    let child = command.spawn()?;
    let pid = child.id().ok_or("it has no process id")?;
    let (mut own_seconds, mut peak_bytes) = (0.0, 0);
    let mut ending = Box::pin(child.wait_with_output());
    let output = loop {
        match timeout(LOOK, &mut ending).await {
            Ok(output) => break output?,
            Err(_) => {
                peak_bytes = memory(pid, "VmHWM").unwrap_or(peak_bytes);
                own_seconds = computed(pid).map_or(own_seconds, |computed| computed.own);
            }
        }
    };
    let end = Instant::now();
    if !output.status.success() {
        return Err(format!("session-admin {args:?}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(Taken { begin, end, own_seconds, peak_bytes })
}
