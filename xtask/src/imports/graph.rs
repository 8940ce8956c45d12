//! Which file imports which, and the cycles among them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

use super::tree::Tree;

/// One file imports from another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Edge {
    pub(crate) from: PathBuf,
    pub(crate) to: PathBuf,
    /// Where `from` does so first.
    pub(crate) line: usize,
    /// The path as it is written there.
    pub(crate) path: String,
}

/// All imports, one for each pair of files. The root of the target is left out.
pub(crate) fn edges(tree: &Tree) -> Vec<Edge> {
    let mut first: BTreeMap<(usize, usize), (usize, String)> = BTreeMap::new();
    for (index, module) in tree.modules.iter().enumerate() {
        for mention in &module.mentions {
            for target in tree.targets(index, &mention.path) {
                let pair = (module.file, tree.modules[target].file);
                if pair.0 != pair.1 && pair.0 != 0 && pair.1 != 0 {
                    let place = (mention.line, mention.path.join("::"));
                    let known = first.entry(pair).or_insert_with(|| place.clone());
                    *known = place.min(known.clone());
                }
            }
        }
    }
    let edge = |((from, to), (line, path)): ((usize, usize), (usize, String))| Edge {
        from: tree.files[from].clone(),
        to: tree.files[to].clone(),
        line,
        path,
    };
    first.into_iter().map(edge).collect()
}

/// The strongly connected components: the edges of each group of files that import each other, directly or through
/// others.
pub(crate) fn cycles(edges: &[Edge]) -> Vec<Vec<Edge>> {
    let files: BTreeSet<&Path> = edges.iter().map(|edge| edge.from.as_path()).collect();
    let reached: BTreeMap<&Path, BTreeSet<&Path>> = files.iter().map(|file| (*file, reachable(file, edges))).collect();
    let reaches = |from: &Path, to: &Path| reached.get(from).is_some_and(|files| files.contains(to));
    let mut cycles = Vec::new();
    let mut done = BTreeSet::new();
    for file in files {
        let in_cycle = |other: &Path| reaches(file, other) && reaches(other, file);
        if !done.contains(file) && in_cycle(file) {
            let cycle: Vec<&Edge> = edges.iter().filter(|edge| in_cycle(&edge.from) && in_cycle(&edge.to)).collect();
            done.extend(cycle.iter().map(|edge| edge.from.as_path()));
            cycles.push(cycle.into_iter().cloned().collect());
        }
    }
    cycles
}

/// The files of a shortest way from a file through others back to it: where to begin with a large component.
pub(crate) fn shortest(cycle: &[Edge]) -> Vec<&Path> {
    let ways = cycle.iter().filter_map(|edge| way(&edge.to, &edge.from, cycle));
    ways.min_by_key(Vec::len).unwrap_or_default()
}

fn reachable<'a>(from: &Path, edges: &'a [Edge]) -> BTreeSet<&'a Path> {
    let mut found = BTreeSet::new();
    let mut next = vec![from];
    while let Some(file) = next.pop() {
        next.extend(
            edges
                .iter()
                .filter(|edge| edge.from == file && found.insert(edge.to.as_path()))
                .map(|edge| edge.to.as_path()),
        );
    }
    found
}

/// A shortest way along `edges`, with both ends.
fn way<'a>(from: &'a Path, to: &Path, edges: &'a [Edge]) -> Option<Vec<&'a Path>> {
    let mut seen = BTreeSet::from([from]);
    let mut ways = VecDeque::from([vec![from]]);
    while let Some(way) = ways.pop_front() {
        let last = *way.last()?;
        if last == to {
            return Some(way);
        }
        for edge in edges.iter().filter(|edge| edge.from == last) {
            if seen.insert(&edge.to) {
                ways.push_back(way.iter().copied().chain([edge.to.as_path()]).collect());
            }
        }
    }
    None
}
