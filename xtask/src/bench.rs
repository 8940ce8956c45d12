//! `cargo xtask bench`: starts `compare` of session-benches, which has the options and prints the report.

use std::ffi::OsString;

use clap::Args;

use crate::command::Cargo;

#[derive(Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Options {
    /// See `cargo xtask bench --help`.
    #[arg(allow_hyphen_values = true, trailing_var_arg = true)]
    arguments: Vec<OsString>,
}

pub(crate) fn run(options: &Options) -> Result<(), String> {
    let compare = Cargo::new("run").args(["--release", "--package", "session-benches", "--bin", "compare", "--"]);
    let compare = compare.args(&options.arguments);
    eprintln!("{} (the first build takes some minutes)", compare.shown());
    compare.run("the comparison")
}
