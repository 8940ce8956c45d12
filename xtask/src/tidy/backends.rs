//! Every backend runs the suite, and its operations can be read in one sitting.

use cargo_metadata::Package;

use super::source::{Source, no, sources};
use crate::command::root;
use crate::workspace::{folder, package, packages};

/// What the operations of a backend may take, in lines of code without documentation and unit tests.
const LINES: usize = 420;

/// What is not counted: what only connects, repairs, pools, configures, installs or frees; and what stands in for the
/// server where there is none. Backend, file or folder (with `/`) under its `src`, what it does.
const APART: [(&str, &str, &str); 29] = [
    ("session-cache", "builder.rs", "configures the store"),
    ("session-cache", "cache.rs", "in place of a server: the copies and their locks"),
    ("session-cache", "clock.rs", "how old copies are"),
    ("session-cache", "follow.rs", "listens to what others write"),
    ("session-cache", "machine.rs", "when a copy may be given, which is all that a cache decides"),
    ("session-cache", "machine/", "its model and its simulation"),
    ("session-moka", "entry.rs", "in place of a server: the layout of a row"),
    ("session-moka", "expiry.rs", "frees the memory of expired sessions"),
    ("session-moka", "stripe.rs", "in place of a server: the rows under one lock, and the index by user"),
    ("session-moka", "table.rs", "in place of a server: all rows, their locks and their quota"),
    ("session-moka", "visitors.rs", "in place of a server: the index of visitors"),
    ("session-postgres", "notify.rs", "wakes those who follow what was committed"),
    ("session-postgres", "builder.rs", "configures the store"),
    ("session-postgres", "feed.rs", "tells what the server says of changes"),
    ("session-postgres", "inspect.rs", "tells an operator what the server says of itself"),
    ("session-postgres", "link/", "repairs and pools connections, and sends operations in batches"),
    ("session-postgres", "migrate.rs", "installs the schema"),
    ("session-postgres", "schema.rs", "fills the name of the schema into the SQL"),
    ("session-redis", "config/", "configures the store"),
    ("session-redis", "feed.rs", "tells what the server says of changes"),
    ("session-redis", "inspect.rs", "tells an operator what the servers say of themselves"),
    ("session-redis", "pages.rs", "in place of an index of all sessions: searches the servers"),
    ("session-redis", "replace.rs", "in place of the script: an update that moves no deadline"),
    ("session-redis", "room.rs", "in place of memory: ends visitors for a login"),
    ("session-redis", "link/", "repairs connections, and coalesces loads"),
    ("session-sqlite", "builder.rs", "configures the store"),
    ("session-sqlite", "inspect.rs", "tells an operator what there is to say of the file"),
    ("session-sqlite", "link/", "opens the file, installs the tables, and executes writes in batches"),
    ("session-sqlite", "schema.rs", "fills the names of the tables into the SQL"),
];

/// Libraries outside core and suite that implement the store trait.
fn backends() -> Vec<(Package, Vec<Source>)> {
    let crates = root().join("crates");
    let candidates = packages().unwrap().into_iter().filter(|package| {
        folder(package).starts_with(&crates)
            && !["session-core", "session-conformance"].contains(&package.name.as_str())
    });
    let with_sources = candidates.map(|package| {
        let sources = sources(&folder(&package).join("src"));
        (package, sources)
    });
    let backends: Vec<_> = with_sources
        .filter(|(_, sources)| sources.iter().any(|file| file.code().any(|line| line.contains("SessionStore for"))))
        .collect();
    assert!(!backends.is_empty(), "no backend was found");
    backends
}

#[test]
fn backends_run_the_suite() {
    let testbed = package("session-testbed").unwrap();
    no(backends().iter().flat_map(|(Package { name, targets, .. }, _)| {
        let suite = targets.iter().any(|target| target.name == "conformance" && target.is_test());
        let listed = testbed.dependencies.iter().any(|dependency| *name == dependency.name);
        [
            (!suite).then(|| format!("{name}: no test target `conformance`")),
            (!listed)
                .then(|| format!("{name}: session-testbed does not depend on it, so it is in no list of backends")),
        ]
        .into_iter()
        .flatten()
    }));
}

#[test]
fn the_operations_of_a_backend_are_small() {
    no(backends().iter().filter_map(|(Package { name, .. }, sources)| {
        let counted = sources.iter().filter(|file| !is_apart(name, file));
        let lines: usize = counted.map(|file| file.code().count()).sum();
        (lines > LINES).then(|| format!("{name}: {lines} lines of code; the limit is {LINES}"))
    }));
}

#[test]
fn what_stands_apart_exists() {
    let backends = backends();
    no(APART.iter().filter_map(|(backend, path, _)| {
        let sources = backends.iter().filter(|(package, _)| package.name == *backend).flat_map(|(_, sources)| sources);
        let exists = sources.into_iter().any(|file| is_under(backend, path, file));
        (!exists).then(|| format!("{backend} has no src/{path}"))
    }));
}

fn is_apart(backend: &str, file: &Source) -> bool {
    APART.iter().any(|(of, path, _)| *of == backend && is_under(backend, path, file))
}

/// Whether `file` is `path`, or in the folder `path`, which ends with `/`.
fn is_under(backend: &str, path: &str, file: &Source) -> bool {
    let from_src = file.path().strip_prefix(&format!("crates/{backend}/src/"));
    from_src.is_some_and(|file| file == path || path.ends_with('/') && file.starts_with(path))
}
