//! Rust files as lines of code.

use std::path::{Path, PathBuf};

use crate::command::root;

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

    /// Its lines of code: no blank lines, no comments, no unit tests. Those are a file `tests.rs`, or the end of a file.
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
pub(super) fn under(folder: &Path) -> Vec<Source> {
    let read = |path: PathBuf| Source {
        text: std::fs::read_to_string(&path).unwrap(),
        path: path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/"),
    };
    files(folder, &["rs"]).into_iter().map(read).collect()
}

/// All files under `folder` with one of these extensions, without hidden folders and build output.
pub(super) fn files(folder: &Path, extensions: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let (name, path) = (entry.file_name(), entry.path());
        if name == "target" || name.to_string_lossy().starts_with('.') {
            continue;
        }
        if path.is_dir() {
            found.extend(files(&path, extensions));
        } else if path.extension().is_some_and(|extension| extensions.iter().any(|wanted| extension == *wanted)) {
            found.push(path);
        }
    }
    found
}
