//! `cargo xtask`: the commands of this repository. Thin: it starts cargo and other programs.

mod bench;
mod browser;
mod checks;
mod coherence;
mod command;
mod features;
mod imports;
mod mutants;
mod release;
#[cfg(test)]
mod tidy;
mod workspace;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

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
    Conformance(Forwarded),
    /// Lets everything go wrong that can, and checks that what was acknowledged holds.
    Chaos(Forwarded),
    /// Shows, with processes of the demo, how soon a node obeys what another one did, and how late at most, whatever goes wrong.
    Coherence(Forwarded),
    /// Compares every backend with the least work that could do the same, and draws tables and a chart; or, with `--rivals`,
    /// with other libraries; or, with `--admin`, requests beside the commands of session-admin with requests alone.
    Bench(Forwarded),
    /// Starts the demo: a site with login, a list of devices, revoke, and logout everywhere.
    Demo(Forwarded),
    /// Drives the demo with a real browser, as `test` does too; the pictures are in target/browser. With `--accept`, what the pages look
    /// like now is what they are to look like from now on.
    Browser(Forwarded),
    /// Shows the import cycles among the files of each package.
    Imports(imports::Options),
    /// Changes session-core in hundreds of small ways, and checks that a test fails for each.
    Mutants(mutants::Options),
    /// Checks what a release needs: each package alone and as it would be downloaded, documentation, licences, advisories,
    /// compatibility, and that there is a public address. With `--dry-run`, a rehearsal.
    Release(release::Options),
    /// `test`, each package alone, the licences and sources of dependencies, conformance.
    Ci,
}

/// Options of the program that is started, which describes them: `--help`.
#[derive(Args)]
#[command(disable_help_flag = true)]
struct Forwarded {
    /// See `--help`.
    #[arg(allow_hyphen_values = true, trailing_var_arg = true)]
    arguments: Vec<OsString>,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Test => checks::test(),
        Command::Conformance(Forwarded { arguments }) => checks::conformance().args(arguments).run("conformance"),
        Command::Chaos(Forwarded { arguments }) => {
            let chaos = ["--package", "session-testbed", "--bin", "chaos", "--"];
            Cargo::new("run").args(chaos).args(arguments).run("chaos")
        }
        Command::Coherence(Forwarded { arguments }) => coherence::run(arguments),
        Command::Bench(Forwarded { arguments }) if arguments.iter().any(|argument| argument == "--rivals") => {
            bench::rivals(arguments)
        }
        Command::Bench(Forwarded { arguments }) if arguments.iter().any(|argument| argument == "--admin") => {
            bench::admin(arguments)
        }
        Command::Bench(Forwarded { arguments }) => bench::compare(arguments),
        Command::Demo(Forwarded { arguments }) => {
            Cargo::new("run").args(["--package", "session-demo", "--"]).args(arguments).run("demo")
        }
        Command::Browser(Forwarded { arguments }) => browser::run(arguments),
        Command::Imports(options) => imports::run(&options),
        Command::Mutants(options) => mutants::run(options),
        Command::Release(options) => release::run(&options),
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
