//! What no compiler checks: rules of this repository, as tests. CONTRIBUTING.md gives the reasons.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

mod requirements;
mod source;

use std::path::{Path, PathBuf};

use serde::Deserialize;

use self::source::Source;
use crate::command::{Cargo, root};

/// The only places that may read a clock.
const CLOCKS: [&str; 2] = [
    "crates/session-core/src/clock.rs",
    // Frees the memory of sessions some seconds after their deadline; decides nothing.
    "crates/session-moka/src/expiry.rs",
];

/// What a backend may have, in lines of code without documentation and unit tests.
const BACKEND_LINES: usize = 400;

/// Backends that may have more, and how much; DESIGN.md says why. session-moka has no server behind it, and brings the
/// table, the index and the expiry itself. session-redis speaks to three kinds of servers, and repairs its connections.
/// session-postgres keeps connections, and executes what meets in batches.
const LARGER_BACKENDS: [(&str, usize); 3] = [("session-moka", 550), ("session-redis", 1130), ("session-postgres", 950)];

/// The longest file.
const FILE_LINES: usize = 600;

#[derive(Deserialize)]
struct Workspace {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// `None` for a normal dependency, else `dev` or `build`.
    kind: Option<String>,
}

impl Package {
    fn folder(&self) -> &Path {
        self.manifest_path.parent().unwrap()
    }

    fn sources(&self) -> Vec<Source> {
        source::under(&self.folder().join("src"))
    }
}

fn packages() -> Vec<Package> {
    let metadata = Cargo::new("metadata").args(["--no-deps", "--offline", "--format-version", "1"]);
    let (found, text) = metadata.read().unwrap();
    assert!(found, "cargo metadata failed");
    let workspace: Workspace = serde_json::from_str(&text).unwrap();
    assert!(workspace.packages.len() >= 7, "the members of the workspace were not found");
    workspace.packages
}

/// Fails with all violations at once, not with the first.
#[track_caller]
fn none(violations: impl IntoIterator<Item = String>) {
    let violations: Vec<String> = violations.into_iter().collect();
    assert!(violations.is_empty(), "\n{}", violations.join("\n"));
}

#[test]
fn members_inherit_lints_and_edition() {
    none(packages().iter().flat_map(|package| {
        let manifest = std::fs::read_to_string(&package.manifest_path).unwrap();
        ["[lints]\nworkspace = true", "edition.workspace = true", "rust-version.workspace = true"]
            .into_iter()
            .filter(move |line| !manifest.contains(line))
            .map(|line| format!("{}: its manifest lacks `{}`", package.name, line.replace('\n', " ")))
    }));
}

#[test]
fn core_knows_no_backend_and_no_server() {
    let packages = packages();
    let core = packages.iter().find(|package| package.name == "session-core").expect("session-core");
    const FOREIGN: [&str; 12] = [
        "redis",
        "sqlx",
        "moka",
        "axum",
        "axum-core",
        "tower",
        "tower-layer",
        "tower-service",
        "http",
        "hyper",
        "actix-web",
        "jsonwebtoken",
    ];
    let normal = core.dependencies.iter().filter(|dependency| dependency.kind.as_deref() != Some("dev"));
    none(
        normal
            .filter(|dependency| FOREIGN.contains(&dependency.name.as_str()))
            .map(|dependency| format!("session-core depends on {}", dependency.name)),
    );
}

/// A backend is a library outside core and suite that implements the store trait.
#[test]
fn backends_are_small_and_run_the_suite() {
    let mut backends = 0;
    let mut violations = Vec::new();
    let packages = packages();
    let testbed = packages.iter().find(|package| package.name == "session-testbed").expect("session-testbed");
    for package in &packages {
        let in_crates = package.folder().starts_with(root().join("crates"));
        if !in_crates || ["session-core", "session-conformance"].contains(&package.name.as_str()) {
            continue;
        }
        let sources = package.sources();
        if !sources.iter().any(|source| source.code().any(|line| line.contains("SessionStore for"))) {
            continue;
        }
        backends += 1;
        if !package.folder().join("tests/conformance.rs").is_file() {
            violations.push(format!("{}: no tests/conformance.rs", package.name));
        }
        if !testbed.dependencies.iter().any(|dependency| dependency.name == package.name) {
            violations.push(format!("{}: not in the list of backends, tests/src/backend.rs", package.name));
        }
        let lines: usize = sources.iter().map(|source| source.code().count()).sum();
        let larger = LARGER_BACKENDS.iter().find(|(name, _)| *name == package.name);
        let most = larger.map_or(BACKEND_LINES, |(_, most)| *most);
        if lines > most {
            violations.push(format!("{}: {lines} lines of code; it may have {most}", package.name));
        }
    }
    assert_ne!(backends, 0, "no backend was found");
    none(violations);
}

#[test]
fn only_the_clock_reads_the_time() {
    none(packages().iter().filter(|package| package.folder().starts_with(root().join("crates"))).flat_map(|package| {
        let sources = package.sources().into_iter().filter(|source| !CLOCKS.contains(&source.path()));
        sources
            .flat_map(|source| source.lines_with(&["SystemTime::now", "Instant::now", "Utc::now"]))
            .collect::<Vec<_>>()
    }));
}

#[test]
fn nothing_is_left_for_later() {
    // Written in two parts, so that this file does not contain what it looks for.
    let forbidden = [concat!("todo", "!("), concat!("unimplemented", "!("), concat!("#[ig", "nore")];
    none(source::under(root()).iter().flat_map(|source| source.lines_with(&forbidden)));
}

#[test]
fn every_file_can_be_read_in_one_sitting() {
    let files = source::files(root(), &["rs", "md", "toml", "sql", "lua"]);
    assert!(files.len() > 40, "the files of the repository were not found");
    none(files.iter().filter_map(|path| {
        let lines = std::fs::read_to_string(path).unwrap().lines().count();
        let shown = path.strip_prefix(root()).unwrap().display();
        (lines > FILE_LINES).then(|| format!("{shown}: {lines} lines; split it, {FILE_LINES} is the most"))
    }));
}
