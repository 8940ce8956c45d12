#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::path::Path;

use super::graph::{cycles, edges};
use super::tree::Tree;

fn tree(files: &[(&str, &str)]) -> Tree {
    let read = |path: &Path| {
        let found = files.iter().find(|(name, _)| Path::new(name) == path);
        found.map(|(_, text)| (*text).to_owned())
    };
    Tree::load(Path::new(files[0].0), &read).unwrap()
}

/// The imports as `from → to`, without extension.
fn arrows(files: &[(&str, &str)]) -> Vec<String> {
    let name = |path: &Path| path.with_extension("").display().to_string();
    edges(&tree(files)).iter().map(|edge| format!("{} → {}", name(&edge.from), name(&edge.to))).collect()
}

/// How many files are in each cycle.
fn sizes(files: &[(&str, &str)]) -> Vec<usize> {
    let edges = edges(&tree(files));
    let size =
        |cycle: &Vec<super::Edge>| cycle.iter().map(|edge| &edge.from).collect::<std::collections::BTreeSet<_>>().len();
    cycles(&edges).iter().map(size).collect()
}

#[test]
fn files_that_import_each_other_are_a_cycle() {
    let files = [
        ("lib.rs", "mod a; mod b; mod c; mod d;"),
        ("a.rs", "use crate::b::B; pub struct A;"),
        ("b.rs", "use crate::c; pub struct B; fn f(_: c::C) {}"),
        ("c.rs", "pub struct C; fn f() -> crate::a::A { loop {} }"),
        ("d.rs", "use crate::{a::A, b::{self, B}};"),
    ];
    assert_eq!(arrows(&files), ["a → b", "b → c", "c → a", "d → a", "d → b"]);
    assert_eq!(sizes(&files), [3]);
}

#[test]
fn without_a_way_back_there_is_no_cycle() {
    let files = [
        ("lib.rs", "mod a; mod b; mod c;"),
        ("a.rs", "use crate::b::B; use crate::c::C;"),
        ("b.rs", "use crate::c::C; pub struct B;"),
        ("c.rs", "pub struct C;"),
    ];
    assert_eq!(arrows(&files), ["a → b", "a → c", "b → c"]);
    assert!(sizes(&files).is_empty());
}

#[test]
fn each_component_is_reported_once() {
    let files = [
        ("lib.rs", "mod a; mod b; mod c; mod x; mod y;"),
        ("a.rs", "use crate::b::B; pub struct A;"),
        ("b.rs", "use crate::c::C; pub struct B;"),
        ("c.rs", "use crate::{a::A, b::B}; pub struct C;"),
        ("x.rs", "use crate::y::Y; use crate::a::A; pub struct X;"),
        ("y.rs", "use crate::x::X; pub struct Y;"),
    ];
    assert_eq!(sizes(&files), [3, 2]);
}

#[test]
fn a_child_that_imports_from_the_parent_that_uses_it_counts() {
    let parent = |text| [("lib.rs", "mod p;"), ("p.rs", text), ("p/c.rs", "use super::P; pub struct C;")];
    assert_eq!(sizes(&parent("mod c; pub struct P(c::C);")), [2]);
    assert_eq!(sizes(&parent("mod c; pub use self::c::C; pub struct P;")), [2]);
    // The declaration alone is no import.
    assert_eq!(arrows(&parent("mod c; pub struct P;")), ["p/c → p"]);
}

#[test]
fn the_root_of_a_target_does_not_count() {
    let files = [("main.rs", "mod a; use a::A; struct Root;"), ("a.rs", "use crate::Root; pub struct A;")];
    assert!(arrows(&files).is_empty());
}

#[test]
fn a_re_export_leads_to_the_definition_too() {
    // The root is no file in between that hides what is imported.
    let files = [
        ("lib.rs", "mod a; mod b; pub use a::A; pub use b::*;"),
        ("a.rs", "use crate::B; pub struct A;"),
        ("b.rs", "use crate::A; pub struct B;"),
    ];
    assert_eq!(arrows(&files), ["a → b", "b → a"]);
    // Both the file that is named and the one that defines the item.
    let files = [
        ("lib.rs", "mod user; mod folder;"),
        ("user.rs", "use crate::folder::Thing;"),
        ("folder/mod.rs", "mod thing; pub use thing::Thing;"),
        ("folder/thing.rs", "pub struct Thing;"),
    ];
    assert_eq!(arrows(&files), ["user → folder/mod", "user → folder/thing", "folder/mod → folder/thing"]);
}

#[test]
fn imports_that_import_each_other_end() {
    // Each lookup of an unknown name would visit every glob of every module, and theirs in turn.
    let modules: Vec<String> = (0..12).map(|index| format!("m{index}")).collect();
    let root: String = modules.iter().map(|name| format!("mod {name}; pub use {name}::*;")).collect();
    let globs: String = modules.iter().map(|name| format!("use crate::{name}::*;")).collect();
    let code = format!("{globs} use serde; fn f() {{ serde::g(); unknown::g(); crate::missing::g() }}");
    let paths: Vec<String> = modules.iter().map(|name| format!("{name}.rs")).collect();
    let files: Vec<(&str, &str)> = std::iter::once(("lib.rs", root.as_str()))
        .chain(paths.iter().map(|path| (path.as_str(), code.as_str())))
        .collect();
    assert_eq!(sizes(&files), [12]);
}

#[test]
fn paths_in_code_count() {
    let file = |text| [("lib.rs", "mod a; mod b; mod c;"), ("a.rs", text), ("b.rs", "pub mod inner {}"), ("c.rs", "")];
    for text in [
        "fn f() { crate::b::g::<u8>(); }",
        "fn f() { let _ = Vec::<super::b::B>::new(); }",
        "impl Iterator for X { type Item = <super::b::B as Clone>::Out; }",
        "fn f(x: u8) { match x { crate::b::LIMIT => {} _ => {} } }",
        "fn f() { use crate::b::inner; inner::g(); }",
        "use crate::b as other; fn f() { other::g() }",
        "use super::*; fn f() { b::g() }",
        "mod inline { use super::super::b::B; }",
        "#[derive(with(crate::b::B))] struct X;",
    ] {
        assert_eq!(arrows(&file(text)), ["a → b"], "{text}");
    }
    for text in [
        // Visibility, other crates, local names, methods, comments.
        "pub(in crate::b) struct X; pub(super) fn f() {}",
        "use std::b::B; use ::b::B; enum E { B } fn f() { E::B; x.b(); }",
        "/// [`crate::b::B`]\nfn f() {}",
    ] {
        assert!(arrows(&file(text)).is_empty(), "{text}");
    }
}

#[test]
fn paths_in_macros_count() {
    let file = |text| [("lib.rs", "mod a; mod b;"), ("a.rs", text), ("b.rs", "")];
    for text in [
        "fn f() { vec![1, crate::b::LIMIT]; }",
        "fn f() { matches!(x, Some(super::b::B { .. } if y)); }",
        "cases! { (\"id\", [crate::b::run]) }",
        "use crate::b; fn f() { assert!(x == b::LIMIT); }",
        "fn f() { x![0..super::b::LIMIT, field: crate::b::B] }",
        "macro_rules! m { () => { $crate::b::g() } }",
    ] {
        assert_eq!(arrows(&file(text)), ["a → b"], "{text}");
    }
    for text in ["fn f() { vec![std::b::B, x.crate_b::<u8>(), pub(super) b]; }", "fn f() { x!(y.b::<B>()) }"] {
        assert!(arrows(&file(text)).is_empty(), "{text}");
    }
}

#[test]
fn unit_tests_do_not_count() {
    let files = [
        ("lib.rs", "mod a; mod b;"),
        ("a.rs", "#[cfg(test)] mod tests { use crate::b::B; } #[cfg(test)] use crate::b; #[cfg(test)] mod model;"),
        ("b.rs", "use crate::a::A; mod tests; #[cfg(all(test, unix))] fn f() {}"),
        ("b/tests.rs", "this is not read"),
    ];
    assert_eq!(arrows(&files), ["b → a"]);
}

#[test]
fn files_are_found_where_the_compiler_finds_them() {
    let files = [
        ("t/main.rs", "mod a; mod inline { mod b; } #[path = \"../shared/c.rs\"] mod c;"),
        ("t/a/mod.rs", "mod deep; fn f() { deep::g(); crate::inline::b::g(); crate::c::g() }"),
        ("t/a/deep.rs", ""),
        ("t/inline/b.rs", ""),
        ("t/../shared/c.rs", "mod d; use d::D;"),
        ("t/../shared/d.rs", ""),
    ];
    assert_eq!(
        arrows(&files),
        ["t/a/mod → t/a/deep", "t/a/mod → t/inline/b", "t/a/mod → t/../shared/c", "t/../shared/c → t/../shared/d"]
    );
}

#[test]
fn a_file_that_cannot_be_read_is_an_error() {
    let load = |text: &str| {
        let read = |path: &Path| (path == Path::new("lib.rs")).then(|| text.to_owned());
        Tree::load(Path::new("lib.rs"), &read).err().unwrap()
    };
    assert_eq!(load("mod a;"), "cannot read a/mod.rs");
    assert!(load("\nfn {").starts_with("lib.rs:2: "));
}
