//! `cargo xtask test` and `cargo xtask ci`: steps, run in order until one fails.

use std::time::Instant;

use cargo_metadata::Package;

use crate::command::Cargo;
use crate::features::{choices, is_published};
use crate::workspace::packages;

/// What is checked, and how.
pub(crate) struct Step {
    pub(crate) checks: &'static str,
    pub(crate) command: Cargo,
}

/// Format, lints, documentation, tests.
pub(crate) fn test() -> Result<(), String> {
    let workspace = ["--workspace", "--all-targets"];
    run(vec![
        Step { checks: "format", command: Cargo::new("fmt").args(["--all", "--check"]) },
        Step { checks: "lints", command: Cargo::new("clippy").args(workspace).args(["--", "-D", "warnings"]) },
        // In the workspace, other members enable its features.
        Step {
            checks: "adapters without features",
            command: Cargo::new("check").args(["--package", "session-tower", "--package", "session-actix"]),
        },
        Step {
            checks: "the kit without features",
            command: Cargo::new("check").args(["--package", "session-kit", "--no-default-features"]),
        },
        Step {
            checks: "documentation",
            command: Cargo::new("doc").args(["--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"),
        },
        // Last, so that the output ends with its summary.
        Step { checks: "tests", command: Cargo::new("test").args(["--workspace"]) },
    ])
}

/// Each package alone, with each choice of its features: in the workspace, other members enable features of it and of what it
/// depends on. From nothing this takes minutes, so it is no part of `test`, which has the choices that most often break.
pub(crate) fn alone<'p>(packages: impl IntoIterator<Item = &'p Package>) -> Vec<Step> {
    let of = |package: &'p Package| {
        choices(package).into_iter().map(|choice| Step {
            checks: "a package alone",
            command: Cargo::new("clippy")
                .args(["--package", &package.name])
                .args(choice)
                .args(["--", "-D", "warnings"]),
        })
    };
    packages.into_iter().flat_map(of).collect()
}

/// What a change must pass to be merged.
pub(crate) fn ci() -> Result<(), String> {
    test()?;
    run(alone(packages()?.iter().filter(|package| is_published(package))))?;
    if !Cargo::new("deny").args(["--version"]).exists() {
        return Err("cargo-deny is not installed, so licences and sources were not checked. \
                    Install it: cargo install --locked cargo-deny"
            .to_owned());
    }
    // Advisories change without a change here and need the network: `cargo deny check advisories`, on a schedule.
    run(vec![Step {
        checks: "dependencies",
        command: Cargo::new("deny").args(["check", "bans", "licenses", "sources"]),
    }])?;
    conformance().run("conformance")
}

/// The runner of session-testbed, which has the options and prints the report.
pub(crate) fn conformance() -> Cargo {
    Cargo::new("run").args(["--package", "session-testbed", "--bin", "conformance-runner", "--"])
}

/// Runs them in order, until one fails.
pub(crate) fn run(steps: Vec<Step>) -> Result<(), String> {
    let count = steps.len();
    let begin = Instant::now();
    for (number, Step { checks, command }) in (1..).zip(steps) {
        let shown = command.shown().to_owned();
        eprintln!("\n[{number}/{count}] {checks}: {shown}");
        let begin = Instant::now();
        command.run(checks)?;
        eprintln!("[{number}/{count}] {checks}: passed in {:.1} s", begin.elapsed().as_secs_f64());
    }
    eprintln!("\nall {count} steps passed in {:.1} s", begin.elapsed().as_secs_f64());
    Ok(())
}
