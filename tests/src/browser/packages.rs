//! [`package_file`]: other people's software that runs in a page.

use std::fs;
use std::path::Path;

use crate::servers::{ServerError, blocking, node_modules, target};

/// A file of a package from npm, as in `axe-core/axe.min.js`.
///
/// The packages are pinned in the folder `tests/browser`, in `package-lock.json`. They are installed through `npm` as it is configured,
/// the first time and when a pin changes, and kept in `target/browser-packages`.
///
/// # Errors
/// If npm is missing and cannot be installed, if the packages cannot be installed, or if there is no such file.
pub async fn package_file(path: &'static str) -> Result<Vec<u8>, ServerError> {
    blocking(move || {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser");
        let file = node_modules(&source, &target().join("browser-packages"))?.join("node_modules").join(path);
        fs::read(&file).map_err(ServerError::of(file.display()))
    })
    .await
}
