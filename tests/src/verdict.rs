//! [`exit_code`]: how a program ends that checks whether something holds.

use std::process::ExitCode;

/// Success if it held. What kept the program from finding out is printed.
#[must_use]
pub fn exit_code(held: Result<bool, String>) -> ExitCode {
    match held {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}
