//! The packages of this repository, and its files.

use std::path::{Path, PathBuf};

use cargo_metadata::{Metadata, MetadataCommand, Package};

use crate::command::root;

/// The members of the workspace.
pub(crate) fn packages() -> Result<Vec<Package>, String> {
    Ok(metadata(MetadataCommand::new().no_deps())?.packages)
}

/// The member called `name`.
pub(crate) fn package(name: &str) -> Result<Package, String> {
    let found = packages()?.into_iter().find(|package| package.name == name);
    found.ok_or_else(|| format!("the workspace has no package `{name}`"))
}

/// What `command` says about the workspace; never from the network.
pub(crate) fn metadata(command: &mut MetadataCommand) -> Result<Metadata, String> {
    let command = command.manifest_path(root().join("Cargo.toml")).env("CARGO_NET_OFFLINE", "true");
    command.exec().map_err(|error| format!("cargo metadata failed: {error}"))
}

/// The folder of a package.
pub(crate) fn folder(package: &Package) -> &Path {
    let manifest = package.manifest_path.as_std_path();
    manifest.parent().unwrap_or(manifest)
}

/// All files under `folder` with one of these extensions, sorted, without hidden folders and build output.
pub(crate) fn files(folder: &Path, extensions: &[&str]) -> Result<Vec<PathBuf>, String> {
    let failed = |error| format!("cannot read {}: {error}", folder.display());
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let (name, path) = (entry.file_name(), entry.path());
        if name == "target" || name.to_string_lossy().starts_with('.') {
            continue;
        }
        if path.is_dir() {
            found.extend(files(&path, extensions)?);
        } else if path.extension().is_some_and(|extension| extensions.iter().any(|wanted| extension == *wanted)) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

pub(crate) fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}
