//! `cargo xtask conformance`: starts the runner of session-testbed, which has the options and prints the report.

use std::ffi::OsString;

use clap::Args;

use crate::command::Cargo;

#[derive(Args, Default)]
#[command(disable_help_flag = true)]
pub(crate) struct Options {
    /// See `cargo xtask conformance --help`.
    #[arg(allow_hyphen_values = true, trailing_var_arg = true)]
    arguments: Vec<OsString>,
}

pub(crate) fn run(options: &Options) -> Result<(), String> {
    let runner = Cargo::new("run").args(["--package", "session-testbed", "--bin", "conformance-runner", "--"]);
    runner.args(&options.arguments).run("conformance")
}
