//! Where a path leads: to the module it names, and to the one that defines the item.

use super::tree::{Module, Tree};

#[derive(Clone, Copy)]
enum Place {
    Module(usize),
    /// An item in this module.
    Item(usize),
}

/// How many imports may re-export each other. `use serde;` would re-export itself for ever.
const MAX_DEPTH: usize = 16;

impl Tree {
    /// The module that `path` names, seen from `module`, and the module that defines the item if that is another one,
    /// which the former re-exports. Empty for other crates and local names.
    pub(crate) fn targets(&self, module: usize, path: &[String]) -> Vec<usize> {
        let Some(Place::Module(definition) | Place::Item(definition)) = self.follow(module, path, MAX_DEPTH) else {
            return Vec::new();
        };
        vec![self.named(module, path), definition]
    }

    /// As deep as declared modules go, without re-exports.
    fn named(&self, module: usize, path: &[String]) -> usize {
        let mut named = module;
        for name in path {
            named = match name.as_str() {
                "crate" => 0,
                "self" => named,
                "super" => self.modules[named].parent,
                name => match self.modules[named].children.get(name) {
                    Some(child) => *child,
                    None => break,
                },
            };
        }
        named
    }

    fn follow(&self, module: usize, path: &[String], depth: usize) -> Option<Place> {
        let depth = depth.checked_sub(1)?;
        let (first, rest) = path.split_first()?;
        let mut place = match first.as_str() {
            "crate" => Place::Module(0),
            "self" => Place::Module(module),
            "super" => Place::Module(self.modules[module].parent),
            name => self.member(module, name, depth)?,
        };
        for name in rest {
            place = match place {
                Place::Module(at) if name == "super" => Place::Module(self.modules[at].parent),
                // An unknown name was made by a macro that is invoked here.
                Place::Module(at) => self.member(at, name, depth).unwrap_or(Place::Item(at)),
                // A variant or an associated item.
                Place::Item(at) => Place::Item(at),
            };
        }
        Some(place)
    }

    /// What `name` is in `module`: declared there, or imported.
    fn member(&self, module: usize, name: &str, depth: usize) -> Option<Place> {
        let Module { children, items, imports, .. } = &self.modules[module];
        if let Some(child) = children.get(name) {
            return Some(Place::Module(*child));
        }
        if items.contains(name) {
            return Some(Place::Item(module));
        }
        if let Some(import) = imports.iter().find(|import| import.name.as_deref() == Some(name)) {
            return self.follow(module, &import.path, depth);
        }
        let globs = imports.iter().filter(|import| import.name.is_none());
        globs.filter_map(|import| self.follow(module, &import.path, depth)).find_map(|place| match place {
            Place::Module(source) => self.member(source, name, depth.checked_sub(1)?),
            Place::Item(_) => None,
        })
    }
}
