//! Runs cargo, in the root of the repository.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

/// A command of the cargo that started this program.
pub(crate) struct Cargo {
    command: Command,
    shown: String,
    /// A warning that is an error here.
    refused: Option<&'static str>,
}

impl Cargo {
    /// `cargo <subcommand>`.
    pub(crate) fn new(subcommand: &str) -> Self {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.current_dir(root()).arg(subcommand);
        Self { command, shown: format!("cargo {subcommand}"), refused: None }
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

    /// Fails if a line of what it writes to stderr contains `warning`, although cargo goes on after it.
    pub(crate) fn refusing(mut self, warning: &'static str) -> Self {
        self.refused = Some(warning);
        self
    }

    /// The command line, as it would be typed.
    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    /// Runs it; its output goes where ours goes. `purpose` names it in the error.
    pub(crate) fn run(mut self, purpose: &str) -> Result<(), String> {
        let (status, refused) = match self.refused {
            Some(warning) => self.status_and_warnings(warning)?,
            None => (self.status()?, Vec::new()),
        };
        match (status.success(), &*refused) {
            (true, []) => Ok(()),
            (true, refused) => Err(format!("{purpose}: {}\n  {}", self.shown, refused.join("\n  "))),
            (false, _) => Err(format!("{purpose} failed ({status}): {}", self.shown)),
        }
    }

    /// Its exit code, and the lines with `warning` among those that it wrote to stderr, which are passed on.
    fn status_and_warnings(&mut self, warning: &str) -> Result<(ExitStatus, Vec<String>), String> {
        let mut child = self.command.stderr(Stdio::piped()).spawn().map_err(|error| self.not_started(&error))?;
        let mut found = Vec::new();
        for line in child.stderr.take().into_iter().flat_map(|stderr| BufReader::new(stderr).split(b'\n')) {
            let line = line.map_err(|error| format!("cannot read what `{}` says: {error}", self.shown))?;
            let line = String::from_utf8_lossy(&line);
            eprintln!("{line}");
            if line.contains(warning) {
                found.push(line.into_owned());
            }
        }
        let status = child.wait().map_err(|error| format!("cannot wait for `{}`: {error}", self.shown))?;
        Ok((status, found))
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_an_error_where_it_is_refused() {
        // It succeeds, with a warning: nothing is deleted.
        let clean = |refused| {
            let command = Cargo::new("clean").args(["--dry-run", "--offline", "--package", "xtask"]);
            command.refusing(refused).run("a clean-up")
        };
        assert_eq!(clean("is yanked in registry"), Ok(()));
        let refused = clean("no files deleted").unwrap_err();
        assert!(refused.contains("warning: no files deleted"), "{refused}");
    }
}
