//! A crate compiles with the Rust version that it states: none of its dependencies needs a later one. (Clippy's
//! `incompatible_msrv` checks the standard library.)

use std::collections::BTreeSet;
use std::process::Command;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package, PackageId};

use super::source::no;
use crate::workspace::metadata;

#[test]
fn no_dependency_needs_a_later_rust_version() {
    // Packages for other platforms are not downloaded.
    let version = Command::new("rustc").arg("-vV").output().unwrap().stdout;
    let host = version.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"host: "));
    let host = String::from_utf8(host.expect("the platform of rustc").to_vec()).unwrap();
    let filter = ["--filter-platform".to_owned(), host];
    let metadata = metadata(MetadataCommand::new().other_options(filter)).unwrap();
    no(metadata.workspace_packages().into_iter().flat_map(|member| {
        let stated = member.rust_version.as_ref().unwrap_or_else(|| panic!("{} states no rust-version", member.name));
        let later = dependencies(&member.id, &metadata).into_iter().filter_map(move |dependency| {
            let Package { name, version, rust_version, .. } = dependency;
            let needed = rust_version.as_ref().filter(|needed| *needed > stated)?;
            Some(format!("{} states Rust {stated}, and {name} {version} needs {needed}", member.name))
        });
        later.collect::<Vec<_>>()
    }));
}

/// What is compiled with `member`, for this platform.
fn dependencies<'a>(member: &PackageId, metadata: &'a Metadata) -> Vec<&'a Package> {
    let nodes = &metadata.resolve.as_ref().expect("dependencies are resolved").nodes;
    let mut found = BTreeSet::new();
    let mut next = vec![member];
    while let Some(id) = next.pop() {
        let node = nodes.iter().find(|node| node.id == *id).expect("a node for each package");
        for dependency in &node.deps {
            let is_compiled = dependency.dep_kinds.iter().any(|kind| kind.kind != DependencyKind::Development);
            if is_compiled && found.insert(&dependency.pkg) {
                next.push(&dependency.pkg);
            }
        }
    }
    found.into_iter().map(|id| &metadata[id]).collect()
}
