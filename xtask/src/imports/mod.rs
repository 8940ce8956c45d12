//! `cargo xtask imports`: which file of a package imports from which, and the cycles among them.
//!
//! What counts: `use`, qualified paths in code and in macro invocations. `mod child;` alone does not, nor do the roots
//! of targets, nor unit tests. A method that is called without naming its type's module is not seen.

mod graph;
mod mention;
mod resolve;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use cargo_metadata::Package;
use clap::Args;

use self::graph::{Edge, cycles, edges};
use self::tree::Tree;
use crate::command::root;
use crate::workspace::{package, packages};

#[derive(Args)]
pub(crate) struct Options {
    /// Shows every import between the files of this package, instead of the cycles of all packages.
    #[arg(long, value_name = "PACKAGE")]
    of: Option<String>,
}

/// What the files of one package import from each other.
pub(crate) struct Imports {
    files: usize,
    edges: BTreeSet<Edge>,
    /// The edges of each cycle.
    pub(crate) cycles: BTreeSet<Vec<Edge>>,
}

pub(crate) fn run(options: &Options) -> Result<(), String> {
    if let Some(name) = &options.of {
        for edge in imports(&package(name)?)?.edges {
            println!("{}", line(&edge));
        }
        return Ok(());
    }
    let (mut files, mut count) = (0, 0);
    for package in packages()? {
        let found = imports(&package)?;
        files += found.files;
        count += found.cycles.len();
        for cycle in &found.cycles {
            println!("{}", describe(&package.name, cycle));
        }
    }
    if count > 0 {
        return Err(format!("{count} import cycles among {files} files"));
    }
    println!("no import cycles among {files} files");
    Ok(())
}

/// Over all targets of `package`: each has a module tree of its own.
pub(crate) fn imports(package: &Package) -> Result<Imports, String> {
    let read = |path: &Path| std::fs::read_to_string(path).ok();
    let mut files = BTreeSet::new();
    let mut found = Imports { files: 0, edges: BTreeSet::new(), cycles: BTreeSet::new() };
    for target in &package.targets {
        let tree = Tree::load(target.src_path.as_std_path(), &read)?;
        let edges = edges(&tree);
        files.extend(tree.files);
        found.cycles.extend(cycles(&edges));
        found.edges.extend(edges);
    }
    found.files = files.len();
    Ok(found)
}

/// A cycle: its size, and every import in it.
pub(crate) fn describe(package: &str, cycle: &[Edge]) -> String {
    let files: BTreeSet<&Path> = cycle.iter().map(|edge| edge.from.as_path()).collect();
    let mut text = format!("{package}: {} files import each other\n", files.len());
    for edge in cycle {
        let _ = writeln!(text, "  {}", line(edge));
    }
    text
}

fn line(Edge { from, to, line, path }: &Edge) -> String {
    format!("{}:{line}: {path} → {}", short(from), short(to))
}

/// The path from the root of the repository.
fn short(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}
