//! `cargo xtask release`: everything that a release needs, but the upload.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use cargo_metadata::{Dependency, DependencyKind, Package};
use clap::Args;

use crate::checks::{Step, alone, run as run_steps};
use crate::command::{Cargo, root};
use crate::features::{choices, is_published};
use crate::workspace::{packages, read};

/// What stands in the place of an address that nobody has decided on yet.
const PLACEHOLDER: &str = "PLACEHOLDER";

#[derive(Args)]
pub(crate) struct Options {
    /// Rehearses the release: what only the upload needs (the public address, a section of the change log, advisories) is told,
    /// and is no error
    #[arg(long)]
    dry_run: bool,
}

/// The upload itself cannot be undone, and is done by hand.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    let packages = packages()?;
    let order = order(&packages)?;
    eprintln!("in the order of dependencies:");
    for (number, package) in (1..).zip(&order) {
        eprintln!("{number:>3}. {} {}", package.name, package.version);
    }
    let mut missing = missing(&order, &read(&root().join("CHANGELOG.md"))?)?;
    let compatibility = compatibility(&order).unwrap_or_else(|why| {
        missing.push(why);
        None
    });
    let advisories = advisories();
    missing.extend(advisories.clone().err());
    if !options.dry_run && !missing.is_empty() {
        return Err(format!("this is no release yet (`--dry-run` rehearses one):{}", listed(&missing)));
    }
    check_tools()?;
    run_steps(steps(&order, advisories.is_ok(), compatibility))?;
    if !missing.is_empty() {
        eprintln!("\nbefore the upload:{}", listed(&missing));
    }
    let names: Vec<String> = order.iter().map(|package| format!("-p {}", package.name)).collect();
    eprintln!("\nthe upload, which cannot be undone:\n  cargo publish {}", names.join(" "));
    Ok(())
}

/// What keeps `order` from being uploaded that no check of the code finds.
///
/// # Errors
/// If the packages do not have one version.
fn missing(order: &[&Package], changelog: &str) -> Result<Vec<String>, String> {
    let versions: BTreeSet<String> = order.iter().map(|package| package.version.to_string()).collect();
    let Some(version) = versions.first().filter(|_| versions.len() == 1) else {
        return Err(format!("packages are released together, with one version; theirs are {versions:?}"));
    };
    let is_dated = changelog.lines().any(|line| line.starts_with(&format!("## [{version}] - ")));
    let rules = [
        (
            !order.iter().any(|package| is_placeholder(package)),
            "`repository` in Cargo.toml is a placeholder; set the public address".to_owned(),
        ),
        (is_dated, format!("CHANGELOG.md has no section `## [{version}] - <date>`; move \"Unreleased\" there")),
    ];
    Ok(rules.into_iter().filter(|(holds, _)| !holds).map(|(_, what)| what).collect())
}

fn listed(items: &[String]) -> String {
    items.iter().map(|item| format!("\n  - {item}")).collect()
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

/// The advisory database, downloaded; the step that reads it does not fetch it again.
///
/// # Errors
/// If it cannot be had: nothing is known of advisories then. That is not the same as that there are none.
fn advisories() -> Result<(), String> {
    check_tools()?;
    if Cargo::new("deny").args(["fetch", "db"]).status()?.success() {
        return Ok(());
    }
    Err("the advisory database (https://github.com/rustsec/advisory-db) cannot be fetched, so advisories are not checked; where \
         it can be, run `cargo deny check advisories`"
        .to_owned())
}

/// The comparison with the release before this one. `None` if this is the first.
///
/// # Errors
/// If the program that compares is not installed.
fn compatibility(order: &[&Package]) -> Result<Option<Step>, String> {
    let Some(tag) = last_release()? else {
        eprintln!("no tag of a release: there is nothing to be compatible with");
        return Ok(None);
    };
    if !is_installed("semver-checks") {
        return Err("cargo-semver-checks is not installed, so compatibility is not checked: \
                    cargo install --locked cargo-semver-checks"
            .to_owned());
    }
    let command = Cargo::new("semver-checks").args(selected(order)).args(["--baseline-rev", &tag]);
    Ok(Some(Step { checks: "compatibility", command }))
}

fn selected<'p>(order: &'p [&Package]) -> impl Iterator<Item = &'p str> {
    order.iter().flat_map(|package| ["--package", package.name.as_str()])
}

fn steps(order: &[&Package], has_advisories: bool, compatibility: Option<Step>) -> Vec<Step> {
    let mut steps = vec![Step {
        checks: "licences, sources and what is banned",
        command: Cargo::new("deny").args(["check", "bans", "licenses", "sources"]),
    }];
    if has_advisories {
        let deny = Cargo::new("deny").args(["check", "--disable-fetch", "advisories"]);
        steps.push(Step { checks: "advisories", command: deny });
    }
    steps.extend(alone(order.iter().copied()));
    for package in order {
        let doc = || Cargo::new("doc").args(["--package", &package.name, "--no-deps"]);
        steps.extend(choices(package).into_iter().map(|choice| Step {
            checks: "documentation",
            command: doc().args(choice).env("RUSTDOCFLAGS", "-D warnings"),
        }));
    }
    steps.extend(compatibility);
    // Each is compiled as it would be downloaded, with those before it. That a version of Cargo.lock was yanked is a mere warning.
    let publish = Cargo::new("publish").args(["--dry-run"]).args(selected(order)).refusing("is yanked in registry");
    steps.push(Step { checks: "packages", command: publish });
    steps
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
    fn a_release_has_an_address_a_section_and_one_version() {
        let of = |address: &str, version: &str| {
            let mut package = packages().unwrap().into_iter().find(|package| package.name == "session-core").unwrap();
            (package.repository, package.version) = (Some(address.to_owned()), version.parse().unwrap());
            package
        };
        let missing = |packages: &[Package], changelog: &str| missing(&packages.iter().collect::<Vec<_>>(), changelog);
        let (address, section) = ("https://example.org/sessions", "# Changelog\n\n## [1.2.3] - 2027-01-01\n");
        assert_eq!(missing(&[of(address, "1.2.3")], section).unwrap(), [""; 0]);
        let placeholder = missing(&[of("https://example.org/PLACEHOLDER", "1.2.3")], section).unwrap();
        assert!(placeholder.len() == 1 && placeholder[0].contains("placeholder"), "{placeholder:?}");
        for other in ["", "## [Unreleased]\n", "## [1.2.2] - 2027-01-01\n", "mentions [1.2.3] - 2027-01-01\n"] {
            let unnamed = missing(&[of(address, "1.2.3")], other).unwrap();
            assert!(unnamed.len() == 1 && unnamed[0].contains("[1.2.3]"), "{unnamed:?}");
        }
        assert!(missing(&[of(address, "1.2.3"), of(address, "1.2.4")], section).is_err());
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
