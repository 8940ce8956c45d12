//! Programs that tests run beside servers, installed in the same way.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::base::ServerError;
use super::install::{NODE, NPM, PYTHON, succeeds};

/// Python, with the modules that make virtual environments.
///
/// # Errors
/// [`ServerError`] if it is missing and could not be installed.
pub fn python() -> Result<PathBuf, ServerError> {
    // Debian has the modules in a package of their own.
    PYTHON.find_with(|python| succeeds(Command::new(python).args(["-c", "import ensurepip, venv"])))
}

/// Node.js.
///
/// # Errors
/// [`ServerError`] if it is missing and could not be installed.
pub fn node() -> Result<PathBuf, ServerError> {
    NODE.find_with(runs)
}

/// The package manager of Node.js.
///
/// # Errors
/// [`ServerError`] if it is missing and could not be installed.
pub fn npm() -> Result<PathBuf, ServerError> {
    NPM.find_with(runs)
}

fn runs(program: &Path) -> bool {
    succeeds(Command::new(program).arg("--version"))
}
