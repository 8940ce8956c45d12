//! `cargo xtask bench`: builds and starts the programs that measure.

use std::ffi::OsString;

use crate::command::Cargo;

/// Each backend beside its floor.
pub(crate) fn compare(arguments: Vec<OsString>) -> Result<(), String> {
    eprintln!("a release build; the first takes some minutes");
    let compare = ["--release", "--package", "session-benches", "--bin", "compare", "--"];
    Cargo::new("run").args(compare).args(arguments).run("the comparison")
}

/// Other libraries beside ours. They are in a workspace of their own; what starts the servers for them is in ours.
pub(crate) fn rivals(mut arguments: Vec<OsString>) -> Result<(), String> {
    eprintln!("a release build of other libraries; the first takes ten minutes");
    let manifest = ["--release", "--manifest-path", "benches/rivals/Cargo.toml", "--target-dir", "target/rivals"];
    Cargo::new("build").args(manifest).run("the build of benches/rivals")?;
    arguments.retain(|argument| argument != "--rivals");
    let servers = ["--package", "session-benches", "--bin", "rivals", "--"];
    Cargo::new("run").args(servers).args(arguments).run("the comparison")
}
