//! The command `session-admin`, for who operates an application with sessions: how many there are, whose, since when; what one of
//! them holds, by name and size; ending those of a user, of a device, of everybody; deleting what has expired; moving all to another
//! store; and whether the store is as it should be.
//!
//! ```sh
//! export SESSION_STORE_URL=redis://app:PASSWORD@sessions.internal SESSION_NAMESPACE=shop
//! session-admin check
//! session-admin list --user alice
//! session-admin revoke --idle-since 30d --visitors --dry-run
//! ```
//!
//! The manual's chapter [*Operating*](session_core::manual::operating) says what each command does and costs.
//!
//! It never shows a value, a token or the password of a store, and makes no file, table or schema: a namespace that was mistyped is
//! an error, or has no sessions. Memory does not grow with the number of sessions.
//!
//! This library is the command, so that it can be tested; it is no interface for applications. Those have
//! [`SessionManager::list_all`](session_core::SessionManager::list_all) and its siblings.

mod args;
mod commands;
mod error;
mod filter;
mod moment;
mod output;
mod pace;
mod pages;
mod target;
mod view;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, FromArgMatches as _};

use crate::args::{Args, Command};
use crate::error::Error;
use crate::output::Output;
use crate::target::Target;

/// The process: reads the command line (the name of the program first), does what it says, and returns how that ended: 0, done; 1,
/// failed; 2, not understood, and nothing was done.
#[must_use]
pub fn main(command_line: impl IntoIterator<Item = OsString>) -> ExitCode {
    let command_line: Vec<OsString> = command_line.into_iter().collect();
    let args = match parse(&command_line) {
        Ok(args) => args,
        Err(code) => return code,
    };
    match start(&args) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read the output has seen enough.
        Err(Error::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("session-admin: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn parse(command_line: &[OsString]) -> Result<Args, ExitCode> {
    let matches = Args::command().try_get_matches_from(command_line);
    let error = match matches.and_then(|matches| Args::from_arg_matches(&matches)) {
        Ok(args) => return Ok(args),
        Err(error) => error,
    };
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    ) {
        // What there is to read is out, or nobody reads it.
        let _ = error.print();
    } else {
        // It quotes what was not understood: a URL in the wrong place, with its password.
        eprint!("{}", target::without_secrets(&error.render().to_string(), command_line));
    }
    Err(ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2)))
}

fn start(args: &Args) -> Result<(), Error> {
    let target = Target::new(args)?;
    // For TLS to the store. Fails if a provider is installed already, which is as good.
    let _ = session_kit::rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(Error::Runtime)?;
    let result = runtime.block_on(run(args, &target));
    // Does not wait for name resolution that is still running.
    runtime.shutdown_background();
    result
}

async fn run(args: &Args, target: &Target) -> Result<(), Error> {
    let mut output = Output::new(args.json);
    let done = match &args.command {
        Command::Count(count) => commands::count::run(count, target, &mut output).await,
        Command::List(list) => commands::list::run(list, target, &mut output).await,
        Command::Show(show) => commands::show::run(show, target, &mut output).await,
        Command::Revoke(revoke) => commands::revoke::run(revoke, target, &mut output).await,
        Command::Copy(copy) => commands::copy::run(copy, target, &mut output).await,
        Command::Sweep(sweep) => commands::sweep::run(sweep, target, &mut output).await,
        Command::Check => commands::check::run(target, &mut output).await,
    };
    // What was found before something failed is shown, too.
    let flushed = output.flush();
    done.and(flushed)
}

/// The README of this crate, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub mod readme {}
