//! What a process takes, as `/proc` has it.

use std::fmt::Display;
use std::fs;

/// Of `/proc/PID/stat`, whatever the kernel counts in.
const TICKS_PER_SECOND: f64 = 100.0;

/// Seconds of processor time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Computed {
    /// The process that began it.
    pub(crate) parent: u64,
    pub(crate) own: f64,
    /// Of its children that have ended.
    pub(crate) of_ended: f64,
}

/// What `process` has computed so far. `None` if it has ended.
pub(crate) fn computed(process: u32) -> Option<Computed> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name, in parentheses, may have spaces.
    let (_, fields) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = fields.split(' ').collect();
    let field = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok()).unwrap_or_default();
    let seconds = |index: usize| (field(index) + field(index + 1)) as f64 / TICKS_PER_SECOND;
    Some(Computed { parent: field(1), own: seconds(11), of_ended: seconds(13) })
}

/// The memory of `process`, a number or `self`, that its status has under `name`, in bytes: `VmRSS`, `VmHWM`.
pub(crate) fn memory(process: impl Display, name: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(value.trim().trim_end_matches(" kB").parse::<u64>().ok()? * 1024)
}
