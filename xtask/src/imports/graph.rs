//! Which file imports which, and the cycles among them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use petgraph::algo::tarjan_scc;
use petgraph::graphmap::DiGraphMap;

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
    let graph: DiGraphMap<&Path, ()> = edges.iter().map(|edge| (edge.from.as_path(), edge.to.as_path())).collect();
    let groups = tarjan_scc(&graph).into_iter().filter(|group| group.len() > 1);
    let inside = |group: Vec<&Path>| {
        let edges =
            edges.iter().filter(|edge| [&edge.from, &edge.to].iter().all(|file| group.contains(&file.as_path())));
        edges.cloned().collect()
    };
    groups.map(inside).collect()
}
