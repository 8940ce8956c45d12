//! `cargo xtask coherence`: builds the demo, and the program that watches two of its processes.

use std::ffi::OsString;

use crate::command::Cargo;

/// Of the release build, for what it measures; of the other with `--debug`, which is built sooner.
pub(crate) fn run(mut arguments: Vec<OsString>) -> Result<(), String> {
    let before = arguments.len();
    arguments.retain(|argument| argument != "--debug");
    let profile: &[&str] = if arguments.len() < before {
        &[]
    } else {
        eprintln!("a release build; the first takes some minutes");
        &["--release"]
    };
    let demo = ["--package", "session-demo", "--bin", "session-demo"];
    Cargo::new("build").args(profile).args(demo).run("the build of the demo")?;
    let watcher = ["--package", "session-testbed", "--bin", "coherence", "--"];
    Cargo::new("run").args(profile).args(watcher).args(arguments).run("coherence")
}
