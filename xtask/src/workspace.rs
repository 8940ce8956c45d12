//! The packages of this repository, and its files.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::command::Cargo;

#[derive(Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) manifest_path: PathBuf,
    pub(crate) targets: Vec<Target>,
    #[cfg(test)]
    pub(crate) dependencies: Vec<Dependency>,
}

/// A library, a program, an integration test, a benchmark, an example or a build script.
#[derive(Deserialize)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) kind: Vec<String>,
    /// The file at the root of its modules.
    pub(crate) src_path: PathBuf,
}

#[cfg(test)]
#[derive(Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// `None` for a normal dependency, else `dev` or `build`.
    pub(crate) kind: Option<String>,
}

impl Package {
    pub(crate) fn folder(&self) -> &Path {
        self.manifest_path.parent().unwrap_or(&self.manifest_path)
    }
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

/// The members of the workspace.
pub(crate) fn packages() -> Result<Vec<Package>, String> {
    let metadata = Cargo::new("metadata").args(["--no-deps", "--offline", "--format-version", "1"]);
    let (succeeded, text) = metadata.read()?;
    if !succeeded {
        return Err("cargo metadata failed".to_owned());
    }
    let metadata: Metadata =
        serde_json::from_str(&text).map_err(|error| format!("cannot read the output of cargo metadata: {error}"))?;
    Ok(metadata.packages)
}

/// The member called `name`.
pub(crate) fn package(name: &str) -> Result<Package, String> {
    let found = packages()?.into_iter().find(|package| package.name == name);
    found.ok_or_else(|| format!("the workspace has no package `{name}`"))
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
