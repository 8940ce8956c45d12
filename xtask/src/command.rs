//! Runs cargo, in the root of the repository.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

/// A command of the cargo that started this program.
pub(crate) struct Cargo {
    command: Command,
    shown: String,
}

impl Cargo {
    /// `cargo <subcommand>`.
    pub(crate) fn new(subcommand: &str) -> Self {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.current_dir(root()).arg(subcommand);
        Self { command, shown: format!("cargo {subcommand}") }
    }

    pub(crate) fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        for argument in arguments {
            self.shown.push(' ');
            self.shown.push_str(&argument.as_ref().to_string_lossy());
            self.command.arg(argument);
        }
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.shown.insert_str(0, &format!("{name}='{value}' "));
        self.command.env(name, value);
        self
    }

    /// The command line, as it would be typed.
    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    /// Runs it; its output goes where ours goes. `purpose` names it in the error.
    pub(crate) fn run(mut self, purpose: &str) -> Result<(), String> {
        let status = self.status()?;
        if status.success() { Ok(()) } else { Err(format!("{purpose} failed ({status}): {}", self.shown)) }
    }

    /// Runs it, and leaves it to the caller to judge the exit code.
    pub(crate) fn status(&mut self) -> Result<ExitStatus, String> {
        self.command.status().map_err(|error| self.not_started(&error))
    }

    /// Whether it runs successfully; its output is discarded.
    pub(crate) fn exists(mut self) -> bool {
        let status = self.command.stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    }

    fn not_started(&self, error: &std::io::Error) -> String {
        format!("cannot start `{}`: {error}", self.shown)
    }
}

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}
