//! `cargo xtask`: the commands of this repository. Thin: it starts cargo and other programs.

mod bench;
mod checks;
mod command;
mod conformance;
mod imports;
mod mutants;
#[cfg(test)]
mod tidy;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::command::Cargo;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The commands of this repository.", arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Checks format, lints and documentation, and runs every test.
    Test,
    /// Runs the conformance suite on every backend and prints the table case × backend.
    Conformance(conformance::Options),
    /// Compares every backend with the least work that could do the same, and draws tables and a chart.
    Bench(bench::Options),
    /// Starts the demo: a site with login, a list of devices, revoke, and logout everywhere.
    Demo {
        /// Given to the demo, after `--`.
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Shows the circles among the files of each package: files that use each other.
    Imports(imports::Options),
    /// Changes session-core in hundreds of small ways, and checks that a test fails for each.
    Mutants(mutants::Options),
    /// `test`, then the licences and sources of dependencies, then conformance.
    Ci,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Test => checks::test(),
        Command::Conformance(options) => conformance::run(&options),
        Command::Bench(options) => bench::run(&options),
        Command::Demo { arguments } => {
            Cargo::new("run").args(["--package", "session-demo", "--"]).args(arguments).run("demo")
        }
        Command::Imports(options) => imports::run(&options),
        Command::Mutants(options) => mutants::run(&options),
        Command::Ci => checks::ci(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("\nerror: {failure}");
            ExitCode::FAILURE
        }
    }
}
