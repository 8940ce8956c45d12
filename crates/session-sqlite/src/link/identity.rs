//! [`Identity`]: whether the file at the path is still the one that was opened.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use session_core::{StoreError, StoreErrorKind};

use super::error::refused_path;

/// The file that a store has opened. Connections come later, and open what is at the path then: if that is another
/// file, one reads what the other never wrote.
#[derive(Debug)]
pub(super) struct Identity {
    path: PathBuf,
    first: OnceLock<Number>,
    /// It was another one once. It stays an error: what is beside it may be of either.
    is_lost: AtomicBool,
}

/// Device and inode. A file that is open keeps its own.
type Number = (u64, u64);

impl Identity {
    pub(super) fn of(path: &Path) -> Self {
        Self { path: path.to_owned(), first: OnceLock::new(), is_lost: AtomicBool::new(false) }
    }

    /// Notes what is at the path. Returns how long that is.
    ///
    /// # Errors
    /// If it is no file, or one that has other names: each would have a log of its own.
    pub(super) fn note(&self) -> io::Result<Result<u64, StoreError>> {
        let found = std::fs::metadata(&self.path)?;
        if !found.is_file() {
            return Ok(Err(refused_path("the path is that of a folder or a device; a file is needed")));
        }
        if names(&found) > 1 {
            let detail =
                "the file has a second name (a hard link), under which others would not see its log; remove one";
            return Ok(Err(refused_path(detail)));
        }
        if let Some(number) = number(&found) {
            let _ = self.first.set(number);
        }
        Ok(Ok(found.len()))
    }

    /// # Errors
    /// If the file at the path is not the one that was noted, or was not once.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        let Some(first) = self.first.get() else { return Ok(()) };
        if self.is_lost.load(Ordering::Acquire) {
            return Err(lost());
        }
        match std::fs::metadata(&self.path) {
            Ok(found) if number(&found).as_ref() == Some(first) => Ok(()),
            Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                let detail = "the file cannot be looked at: may this user search its folder, and does the disk work?";
                Err(StoreError::new(StoreErrorKind::Unavailable, detail).with_source(error))
            }
            Ok(_) | Err(_) => {
                self.is_lost.store(true, Ordering::Release);
                Err(lost())
            }
        }
    }
}

fn lost() -> StoreError {
    let detail = "the file was moved, deleted or replaced: stop the application, put the file back, and start it again; started \
        without it, it begins without sessions";
    StoreError::new(StoreErrorKind::Unavailable, detail)
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere there is none")]
fn number(found: &std::fs::Metadata) -> Option<Number> {
    use std::os::unix::fs::MetadataExt as _;

    Some((found.dev(), found.ino()))
}

#[cfg(not(unix))]
fn number(_found: &std::fs::Metadata) -> Option<Number> {
    None
}

#[cfg(unix)]
fn names(found: &std::fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::nlink(found)
}

#[cfg(not(unix))]
fn names(_found: &std::fs::Metadata) -> u64 {
    1
}
