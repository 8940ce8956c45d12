//! Where the keys are, and files of sessions.

use std::fs;
use std::path::{Path, PathBuf};

use session_testbed::servers::namespace;

/// A folder for files, until it is dropped.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        Self::within(Path::new(env!("CARGO_TARGET_TMPDIR")))
    }

    /// Elsewhere.
    pub(crate) fn within(parent: &Path) -> Self {
        let path = parent.join(namespace().as_str());
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.0.join("keys.json")
    }

    /// The path of the file, which is not there yet.
    pub(crate) fn keys(&self) -> String {
        self.file().display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
