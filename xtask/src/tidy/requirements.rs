//! docs/requirements.md: every requirement once, and only tests that exist.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::source::{no, sources};
use crate::command::root;

/// The requirements that the table answers.
fn expected() -> BTreeSet<String> {
    (1..=131).map(|number| format!("R{number:03}")).collect()
}

/// The rows of the table: id, requirement, evidence.
fn rows() -> Vec<[String; 3]> {
    let text = std::fs::read_to_string(root().join("docs/requirements.md")).unwrap();
    let cells = text.lines().filter(|line| line.starts_with("| R")).map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        <[&str; 3]>::try_from(cells).unwrap_or_else(|_| panic!("a row needs three cells: {line}")).map(str::to_owned)
    });
    cells.collect()
}

#[test]
fn every_requirement_has_one_row() {
    let ids: Vec<String> = rows().into_iter().map(|[id, ..]| id).collect();
    let distinct: BTreeSet<String> = ids.iter().cloned().collect();
    assert_eq!(distinct.len(), ids.len(), "a requirement has two rows");
    let wrong: Vec<String> = distinct.symmetric_difference(&expected()).cloned().collect();
    assert!(wrong.is_empty(), "without a row, or unknown: {}", wrong.join(", "));
}

#[test]
fn every_row_names_a_test_or_a_reason() {
    no(rows().into_iter().filter_map(|[id, _, evidence]| {
        let reason = ["not yet: ", "does not apply: "].iter().any(|reason| evidence.starts_with(reason));
        (!evidence.contains('`') && !reason).then(|| format!("{id}: neither a test nor a reason: {evidence}"))
    }));
}

#[test]
fn every_named_test_exists() {
    let cases: String =
        sources(&root().join("crates/session-conformance/src")).iter().map(|file| file.text()).collect();
    no(rows().into_iter().flat_map(|[id, _, evidence]| {
        let names: Vec<String> = evidence.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        let missing = names.into_iter().filter(|name| {
            if name.contains('/') { !cases.contains(&format!("\"{name}\"")) } else { !test_exists(name) }
        });
        missing.map(|name| format!("{id}: there is no test {name}")).collect::<Vec<_>>()
    }));
}

/// Whether `package::file::test` is a function in a test file or in the unit tests of a source file, or a file that must
/// not compile.
fn test_exists(name: &str) -> bool {
    let segments: Vec<&str> = name.split("::").collect();
    let [package, files @ .., test] = segments.as_slice() else { return false };
    let package = package.replace('_', "-");
    let folder = match package.as_str() {
        "session-testbed" => root().join("tests"),
        "xtask" => root().join("xtask"),
        _ => root().join("crates").join(package),
    };
    let file: PathBuf = files.iter().collect();
    if folder.join("tests").join(&file).join(test).with_extension("rs").is_file() {
        return true;
    }
    let candidates = ["tests", "src"].map(|place| folder.join(place).join(&file).with_extension("rs"));
    let nested = folder.join("src").join(&file).join("tests.rs");
    // A program of several files, which the name leaves out.
    let programs = std::fs::read_dir(folder.join("tests")).into_iter().flatten().flatten();
    let in_programs = programs.map(|program| program.path().join(&file).with_extension("rs"));
    candidates.into_iter().chain([nested]).chain(in_programs).any(|path| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.contains(&format!("fn {test}("))
    })
}
