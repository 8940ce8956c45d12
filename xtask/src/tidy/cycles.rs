//! No file imports from a file that imports from it, directly or through others.

use super::source::no;
use crate::imports::{describe, imports};
use crate::workspace::packages;

/// Packages that still have cycles; each entry must have one.
const KNOWN_CYCLES: &[&str] = &["session-conformance"];

#[test]
fn files_do_not_import_each_other() {
    no(packages().unwrap().iter().flat_map(|package| {
        let cycles = imports(package).unwrap().cycles;
        match (KNOWN_CYCLES.contains(&package.name.as_str()), cycles.is_empty()) {
            (true, true) => vec![format!("{}: no cycles any more; remove it from KNOWN_CYCLES", package.name)],
            (true, false) => Vec::new(),
            (false, _) => cycles.iter().map(|cycle| describe(&package.name, cycle)).collect(),
        }
    }));
}
