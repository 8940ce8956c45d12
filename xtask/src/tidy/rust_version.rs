//! A crate compiles with the Rust version that it states: none of its dependencies needs a later one. (Clippy's
//! `incompatible_msrv` checks the standard library.)

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::source::no;
use crate::command::Cargo;

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_members: Vec<String>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    rust_version: Option<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<Kind>,
}

#[derive(Deserialize)]
struct Kind {
    /// `None` for a normal dependency, else `dev` or `build`.
    kind: Option<String>,
}

#[test]
fn no_dependency_needs_a_later_rust_version() {
    let metadata = metadata();
    let packages: BTreeMap<&str, &Package> =
        metadata.packages.iter().map(|package| (package.id.as_str(), package)).collect();
    no(metadata.workspace_members.iter().flat_map(|member| {
        let Package { name, rust_version, .. } = packages[member.as_str()];
        let stated = rust_version.as_deref().unwrap_or_else(|| panic!("{name} states no rust-version"));
        let needed = dependencies(member, &metadata.resolve.nodes).into_iter().map(|id| packages[id]);
        let later = needed.filter_map(move |dependency| {
            let needs = dependency.rust_version.as_deref()?;
            (number(needs) > number(stated)).then(|| {
                let Package { name: dependency, version, .. } = dependency;
                format!("{name} states Rust {stated}, and {dependency} {version} needs {needs}")
            })
        });
        later.collect::<Vec<_>>()
    }));
}

/// What is compiled with `member`, for this platform.
fn dependencies<'a>(member: &'a str, nodes: &'a [Node]) -> BTreeSet<&'a str> {
    let nodes: BTreeMap<&str, &Node> = nodes.iter().map(|node| (node.id.as_str(), node)).collect();
    let mut found = BTreeSet::new();
    let mut next = vec![member];
    while let Some(id) = next.pop() {
        for dependency in &nodes[id].deps {
            let is_compiled = dependency.dep_kinds.iter().any(|kind| kind.kind.as_deref() != Some("dev"));
            if is_compiled && found.insert(dependency.pkg.as_str()) {
                next.push(&dependency.pkg);
            }
        }
    }
    found
}

/// Those of other platforms are not downloaded.
fn metadata() -> Metadata {
    let (_, version) = Cargo::new("version").args(["--verbose"]).read().unwrap();
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).expect("the platform of cargo");
    let metadata = Cargo::new("metadata").args(["--offline", "--format-version", "1", "--filter-platform", host]);
    let (succeeded, text) = metadata.read().unwrap();
    assert!(succeeded, "cargo metadata failed");
    serde_json::from_str(&text).unwrap()
}

/// `1.88` as `[1, 88, 0]`.
fn number(version: &str) -> [u32; 3] {
    let mut number = [0; 3];
    for (part, text) in number.iter_mut().zip(version.split('.')) {
        *part = text.parse().unwrap_or_else(|_| panic!("not a Rust version: {version}"));
    }
    number
}

#[test]
fn versions_are_compared_as_numbers() {
    assert!(number("1.100") > number("1.95"));
    assert!(number("1.88.1") > number("1.88"));
    assert_eq!(number("1.88"), number("1.88.0"));
}
