//! What no compiler checks: the rules of this repository, as tests. CONTRIBUTING.md gives the reasons.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

mod backends;
mod cycles;
mod publish;
mod requirements;
mod rust_version;
mod source;

use cargo_metadata::DependencyKind;

use self::source::{no, sources};
use crate::command::root;
use crate::workspace::{files, folder, package, packages, read};

/// The only places that may read a clock.
const CLOCKS: [&str; 12] = [
    "crates/session-core/src/clock.rs",
    // How long something may take, or took. Decide nothing about sessions.
    "crates/session-core/src/manager/patience.rs",
    "crates/session-admin/src/commands/check.rs",
    "crates/session-admin/src/pace.rs",
    "crates/session-redis/src/link/coalescer.rs",
    "crates/session-redis/src/link/connection.rs",
    "crates/session-redis/src/link/sentinel.rs",
    // How old copies are.
    "crates/session-cache/src/clock.rs",
    "crates/session-conformance/src/history/linearize.rs",
    // When a server was asked whether all was told, as `Feed` has it.
    "crates/session-postgres/src/feed.rs",
    "crates/session-redis/src/link/follower.rs",
    // Frees the memory of sessions some seconds after their deadline; decides nothing.
    "crates/session-moka/src/expiry.rs",
];

/// What session-core must not depend on.
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

/// The longest file.
const FILE_LINES: usize = 600;

#[test]
fn members_inherit_lints_and_edition() {
    let packages = packages().unwrap();
    assert!(packages.len() >= 7, "the members of the workspace were not found");
    no(packages.iter().flat_map(|package| {
        let manifest = read(package.manifest_path.as_std_path()).unwrap();
        // A crate that needs less than the workspace may state its own version.
        let required: [&[&str]; 3] = [
            &["[lints]\nworkspace = true"],
            &["edition.workspace = true"],
            &["rust-version.workspace = true", "\nrust-version = \""],
        ];
        let missing = required.into_iter().filter(move |ways| !ways.iter().any(|way| manifest.contains(way)));
        missing.map(|ways| format!("{}: its manifest lacks `{}`", package.name, ways[0].replace('\n', " ")))
    }));
}

#[test]
fn core_knows_no_backend_and_no_server() {
    let core = package("session-core").unwrap();
    let normal = core.dependencies.iter().filter(|dependency| dependency.kind != DependencyKind::Development);
    no(normal
        .filter(|dependency| FOREIGN.contains(&dependency.name.as_str()))
        .map(|dependency| format!("session-core depends on {}", dependency.name)));
}

#[test]
fn only_the_clock_reads_the_time() {
    let crates = root().join("crates");
    no(packages().unwrap().iter().filter(|package| folder(package).starts_with(&crates)).flat_map(|package| {
        let others = sources(&folder(package).join("src")).into_iter().filter(|file| !CLOCKS.contains(&file.path()));
        others.flat_map(|file| file.lines_with(&["SystemTime::now", "Instant::now", "Utc::now"])).collect::<Vec<_>>()
    }));
}

#[test]
fn nothing_is_left_for_later() {
    // In two parts, so that this file does not contain what it looks for.
    let forbidden = [concat!("todo", "!("), concat!("unimplemented", "!("), concat!("#[ig", "nore")];
    no(sources(root()).iter().flat_map(|file| file.lines_with(&forbidden)));
}

#[test]
fn no_file_is_too_long() {
    let files = files(root(), &["rs", "md", "toml", "sql", "lua"]).unwrap();
    assert!(files.len() > 40, "the files of the repository were not found");
    no(files.iter().filter_map(|path| {
        let lines = read(path).unwrap().lines().count();
        let path = path.strip_prefix(root()).unwrap().display();
        (lines > FILE_LINES).then(|| format!("{path}: {lines} lines; the limit is {FILE_LINES}"))
    }));
}
