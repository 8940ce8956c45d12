//! Where a path leads: to the module it names, and to the one that defines the item.

use std::collections::HashMap;

use super::tree::{Module, Tree};

#[derive(Clone, Copy)]
enum Place {
    Module(usize),
    /// An item in this module.
    Item(usize),
}

/// What names in modules were found to be, while one path is followed. A name that is being looked up is none: imports
/// may import each other, as `use serde;` does itself.
type Known<'a> = HashMap<(usize, &'a str), Option<Place>>;

impl Tree {
    /// The module that `path` names, seen from `module`, and the module that defines the item if that is another one,
    /// which the former re-exports. Empty for other crates and local names.
    pub(crate) fn targets(&self, module: usize, path: &[String]) -> Vec<usize> {
        let Some(Place::Module(definition) | Place::Item(definition)) = self.follow(module, path, &mut Known::new())
        else {
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

    fn follow<'a>(&'a self, module: usize, path: &'a [String], known: &mut Known<'a>) -> Option<Place> {
        let (first, rest) = path.split_first()?;
        let mut place = match first.as_str() {
            "crate" => Place::Module(0),
            "self" => Place::Module(module),
            "super" => Place::Module(self.modules[module].parent),
            name => self.member(module, name, known)?,
        };
        for name in rest {
            place = match place {
                Place::Module(at) if name == "super" => Place::Module(self.modules[at].parent),
                // An unknown name was made by a macro that is invoked here.
                Place::Module(at) => self.member(at, name, known).unwrap_or(Place::Item(at)),
                // A variant or an associated item.
                Place::Item(at) => Place::Item(at),
            };
        }
        Some(place)
    }

    /// What `name` is in `module`: declared there, or imported.
    fn member<'a>(&'a self, module: usize, name: &'a str, known: &mut Known<'a>) -> Option<Place> {
        if let Some(place) = known.get(&(module, name)) {
            return *place;
        }
        known.insert((module, name), None);
        let place = self.find(module, name, known);
        known.insert((module, name), place);
        place
    }

    fn find<'a>(&'a self, module: usize, name: &'a str, known: &mut Known<'a>) -> Option<Place> {
        let Module { children, items, imports, .. } = &self.modules[module];
        if let Some(child) = children.get(name) {
            return Some(Place::Module(*child));
        }
        if items.contains(name) {
            return Some(Place::Item(module));
        }
        if let Some(import) = imports.iter().find(|import| import.name.as_deref() == Some(name)) {
            return self.follow(module, &import.path, known);
        }
        let mut globs = imports.iter().filter(|import| import.name.is_none());
        globs.find_map(|import| match self.follow(module, &import.path, known)? {
            Place::Module(source) => self.member(source, name, known),
            Place::Item(_) => None,
        })
    }
}
