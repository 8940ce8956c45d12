//! `cargo xtask bench`: builds and starts the programs that measure.

use std::ffi::OsString;
use std::process::Command;

use cargo_metadata::MetadataCommand;

use crate::command::{Cargo, root};
use crate::workspace::metadata;

/// Each backend beside its floor.
pub(crate) fn compare(arguments: Vec<OsString>) -> Result<(), String> {
    eprintln!("a release build; the first takes some minutes");
    let compare = ["--release", "--package", "session-benches", "--bin", "compare", "--"];
    Cargo::new("run").args(compare).args(arguments).run("the comparison")
}

/// What `session-admin` costs: the command itself is built beside the program that measures it.
pub(crate) fn admin(arguments: Vec<OsString>) -> Result<(), String> {
    eprintln!("a release build; the first takes some minutes");
    // Both at once, so that what they share is compiled once.
    let packages = ["--package", "session-admin", "--package", "session-benches"];
    let programs = ["--release", "--bin", "session-admin", "--bin", "compare"];
    Cargo::new("build").args(packages).args(programs).run("the build of session-admin")?;
    let target = metadata(MetadataCommand::new().no_deps())?.target_directory;
    let compare = target.join("release/compare");
    // Not by `cargo run`, which would compile one of them again, with fewer features.
    let status = Command::new(&compare).current_dir(root()).args(arguments).status();
    let status = status.map_err(|error| format!("cannot start {compare}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("the comparison failed ({status})")) }
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
