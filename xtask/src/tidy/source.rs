//! Rust files as lines of code.

use std::path::Path;

use crate::command::root;
use crate::workspace::{files, read};

/// One Rust file.
pub(super) struct Source {
    path: String,
    text: String,
}

impl Source {
    /// Its path from the root of the repository, with `/`.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Its lines of code: no blank lines, comments or unit tests. Those are a file `tests.rs`, or the end of a file.
    pub(super) fn code(&self) -> impl Iterator<Item = &str> {
        let is_test = self.path.ends_with("/tests.rs") || self.path.contains("/tests/");
        let code = if is_test { None } else { self.text.split("\nmod tests {").next() };
        code.unwrap_or_default().lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//"))
    }

    /// The lines of the whole file that contain one of `needles` outside a comment, as violations.
    pub(super) fn lines_with(&self, needles: &[&str]) -> Vec<String> {
        let found = (1..).zip(self.text.lines().map(str::trim)).filter(|(_, line)| {
            let code = line.split("//").next().unwrap_or_default();
            needles.iter().any(|needle| code.contains(needle))
        });
        found.map(|(number, line)| format!("{}:{number}: {line}", self.path)).collect()
    }
}

/// All Rust files under `folder`.
pub(super) fn sources(folder: &Path) -> Vec<Source> {
    let source = |path: &std::path::PathBuf| Source {
        text: read(path).unwrap(),
        path: path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/"),
    };
    files(folder, &["rs"]).unwrap().iter().map(source).collect()
}

/// Fails with all violations, not with the first.
#[track_caller]
pub(super) fn no(violations: impl IntoIterator<Item = String>) {
    let violations: Vec<String> = violations.into_iter().collect();
    assert!(violations.is_empty(), "\n{}", violations.join("\n"));
}
