//! The command `session-admin`: see the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    session_admin::main(std::env::args_os())
}
