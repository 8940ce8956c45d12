//! `cargo xtask release --dry-run`: everything that a release needs, but the upload.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use cargo_metadata::{Dependency, DependencyKind, Package};
use clap::Args;

use crate::checks::{Step, run as run_steps};
use crate::command::{Cargo, root};
use crate::workspace::packages;

/// What stands in the place of an address that nobody has decided on yet.
const PLACEHOLDER: &str = "PLACEHOLDER";

#[derive(Args)]
pub(crate) struct Options {
    /// Rehearses the release. There is no other way yet: the upload cannot be undone, and is done by hand
    #[arg(long, required = true)]
    dry_run: bool,
}

pub(crate) fn run(_: &Options) -> Result<(), String> {
    let packages = packages()?;
    let order = order(&packages)?;
    eprintln!("in the order of dependencies:");
    for (number, package) in (1..).zip(&order) {
        eprintln!("{number:>3}. {} {}", package.name, package.version);
    }
    check_tools()?;
    run_steps(steps(&order, last_release()?.as_deref()))?;
    if order.iter().any(|package| is_placeholder(package)) {
        eprintln!("\nbefore the upload: `repository` in Cargo.toml is a placeholder; set the public address");
    }
    let names: Vec<String> = order.iter().map(|package| format!("-p {}", package.name)).collect();
    eprintln!("\nthe upload, which cannot be undone:\n  cargo publish {}", names.join(" "));
    Ok(())
}

/// The packages that are published, each after those that it depends on.
///
/// # Errors
/// If they depend on each other in a circle, or on a package that is not published.
pub(crate) fn order(packages: &[Package]) -> Result<Vec<&Package>, String> {
    let (published, private): (Vec<&Package>, Vec<&Package>) =
        packages.iter().partition(|package| is_published(package));
    let private: BTreeSet<&str> = private.iter().map(|package| package.name.as_str()).collect();
    let needs = |package: &Package| -> Vec<String> {
        package.dependencies.iter().filter(|needed| is_kept(needed)).map(|needed| needed.name.clone()).collect()
    };
    for package in &published {
        if let Some(missing) = needs(package).iter().find(|needed| private.contains(needed.as_str())) {
            return Err(format!("{} is published, and needs {missing}, which is not", package.name));
        }
    }
    let graph = published.iter().map(|package| (package.name.to_string(), needs(package))).collect();
    let sorted = sorted(&graph)?;
    Ok(sorted.iter().filter_map(|name| published.iter().find(|package| package.name == *name).copied()).collect())
}

pub(crate) fn is_published(package: &Package) -> bool {
    package.publish.as_ref().is_none_or(|registries| !registries.is_empty())
}

/// Whether a manifest that is published has it: a development dependency without a version is left out.
fn is_kept(dependency: &Dependency) -> bool {
    dependency.kind != DependencyKind::Development || !dependency.req.comparators.is_empty()
}

pub(crate) fn is_placeholder(package: &Package) -> bool {
    package.repository.as_ref().is_some_and(|address| address.contains(PLACEHOLDER))
}

/// Names, each after those it needs; of those that could come next, the first by name. What is not a name of the graph is
/// on the registry already.
fn sorted(graph: &BTreeMap<String, Vec<String>>) -> Result<Vec<String>, String> {
    let mut sorted: Vec<String> = Vec::new();
    while sorted.len() < graph.len() {
        let is_ready = |needs: &[String]| needs.iter().all(|name| !graph.contains_key(name) || sorted.contains(name));
        let next = graph.iter().find(|(name, needs)| !sorted.contains(name) && is_ready(needs));
        let Some((next, _)) = next else {
            let left: Vec<&str> = graph.keys().filter(|name| !sorted.contains(name)).map(String::as_str).collect();
            return Err(format!("these cannot be published, because they need each other: {}", left.join(", ")));
        };
        sorted.push(next.clone());
    }
    Ok(sorted)
}

/// Without it, nobody knows under which licences the dependencies come.
fn check_tools() -> Result<(), String> {
    if is_installed("deny") {
        return Ok(());
    }
    Err("cargo-deny is not installed, so licences, sources and advisories cannot be checked. \
         Install it: cargo install --locked cargo-deny"
        .to_owned())
}

fn is_installed(tool: &str) -> bool {
    Cargo::new(tool).args(["--version"]).exists()
}

/// The tag of the release before this one, if there was one.
fn last_release() -> Result<Option<String>, String> {
    let describe = ["describe", "--tags", "--abbrev=0", "--match", "v[0-9]*"];
    let output = Command::new("git").current_dir(root()).args(describe).output();
    let output = output.map_err(|error| format!("cannot start git: {error}"))?;
    let tag = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    Ok((output.status.success() && !tag.is_empty()).then_some(tag))
}

fn steps(order: &[&Package], last_release: Option<&str>) -> Vec<Step> {
    let selected: Vec<&str> = order.iter().flat_map(|package| ["--package", &package.name]).collect();
    let mut steps = vec![
        Step {
            checks: "licences, sources and advisories",
            command: Cargo::new("deny").args(["check", "advisories", "bans", "licenses", "sources"]),
        },
        Step { checks: "documentation, all features", command: doc(&selected, &["--all-features"]) },
    ];
    // One by one: together, each would enable features of the others.
    let with_features = order.iter().filter(|package| !package.features.is_empty());
    steps.extend(with_features.map(|package| Step {
        checks: "documentation, no features",
        command: doc(&["--package", &package.name], &["--no-default-features"]),
    }));
    match last_release {
        None => eprintln!("no tag of a release: there is nothing to be compatible with"),
        Some(_) if !is_installed("semver-checks") => eprintln!(
            "cargo-semver-checks is not installed, so compatibility is not checked. \
             Install it: cargo install --locked cargo-semver-checks"
        ),
        Some(tag) => steps.push(Step {
            checks: "compatibility",
            command: Cargo::new("semver-checks").args(&selected).args(["--baseline-rev", tag]),
        }),
    }
    // Each is compiled as it would be downloaded, with those before it.
    steps.push(Step { checks: "packages", command: Cargo::new("publish").args(["--dry-run"]).args(&selected) });
    steps
}

fn doc(selected: &[&str], features: &[&str]) -> Cargo {
    Cargo::new("doc").args(selected).args(features).args(["--no-deps"]).env("RUSTDOCFLAGS", "-D warnings")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;

    fn graph(edges: &[(&str, &[&str])]) -> BTreeMap<String, Vec<String>> {
        let owned = |needs: &[&str]| needs.iter().map(|name| (*name).to_owned()).collect();
        edges.iter().map(|(name, needs)| ((*name).to_owned(), owned(needs))).collect()
    }

    #[test]
    fn what_is_needed_comes_first() {
        let graph = graph(&[("adapter", &["tokens", "core"]), ("core", &["serde"]), ("tokens", &["core"])]);
        assert_eq!(sorted(&graph).unwrap(), ["core", "tokens", "adapter"]);
    }

    #[test]
    fn a_circle_has_no_order() {
        let graph = graph(&[("a", &["b"]), ("b", &["a"]), ("c", &[])]);
        assert_eq!(sorted(&graph).unwrap_err(), "these cannot be published, because they need each other: a, b");
    }

    #[test]
    fn the_packages_have_an_order() {
        let packages = packages().unwrap();
        let order: Vec<&str> = order(&packages).unwrap().iter().map(|package| package.name.as_str()).collect();
        let place =
            |name| order.iter().position(|other| *other == name).unwrap_or_else(|| panic!("no {name}: {order:?}"));
        assert_eq!(place("session-core"), 0);
        // Its tests need the suite, with its version.
        assert!(place("session-conformance") < place("session-moka"), "{order:?}");
        assert!(place("session-jwt") < place("session-tower"), "{order:?}");
        assert_eq!(place("session-kit"), order.len() - 2);
        assert_eq!(place("session-admin"), order.len() - 1);
        for private in ["session-demo", "session-testbed", "session-benches", "xtask"] {
            assert!(!order.contains(&private), "{order:?}");
        }
    }
}
