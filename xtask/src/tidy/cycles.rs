//! No file imports from a file that imports from it, directly or through others.

use super::source::no;
use crate::imports::{describe, imports};
use crate::workspace::packages;

#[test]
fn files_do_not_import_each_other() {
    no(packages().unwrap().iter().flat_map(|package| {
        let cycles = imports(package).unwrap().cycles;
        cycles.iter().map(|cycle| describe(&package.name, cycle)).collect::<Vec<_>>()
    }));
}
