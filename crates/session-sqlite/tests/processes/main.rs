//! What happens when processes die, share a file, or may not write: this program starts itself.
//!
//! `cargo test -p session-sqlite --test processes`; `SESSION_SQLITE_CRASHES=50` for more rounds of the crash.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod child;
mod crash;
mod limits;
mod parent;
mod two;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, role, path] = arguments.as_slice()
        && flag == "--child"
    {
        child::run(role, path.as_ref());
        return ExitCode::SUCCESS;
    }
    let trials: [(&str, fn()); 7] = [
        ("crash::a_killed_process_loses_nothing_acknowledged", crash::a_killed_process_loses_nothing_acknowledged),
        ("two::the_session_limit_is_exact", two::the_session_limit_is_exact),
        ("two::a_logout_is_seen_at_once", two::a_logout_is_seen_at_once),
        ("two::a_lock_that_is_held_is_an_error_in_time", two::a_lock_that_is_held_is_an_error_in_time),
        ("two::a_login_given_up_never_comes_later", two::a_login_given_up_never_comes_later),
        ("limits::what_cannot_be_written_is_an_error", limits::what_cannot_be_written_is_an_error),
        ("limits::who_may_not_write_is_told", limits::who_may_not_write_is_told),
    ];
    let trials = trials.map(|(name, test)| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    });
    libtest_mimic::run(&Arguments::from_args(), trials.into()).exit_code()
}
