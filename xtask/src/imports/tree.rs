//! The modules of one target, and the file each is in.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use syn::{Attribute, Expr, ExprLit, Item, ItemMod, Lit, Meta};

use super::mention::{Import, Mention, attributes_and_name, imports, is_unit_test, mentions, text};

/// Reads a file; `None` if there is none.
pub(crate) type Read<'a> = &'a dyn Fn(&Path) -> Option<String>;

/// Modules without unit tests. The first is the root of the target, and so is the first file.
#[derive(Default)]
pub(crate) struct Tree {
    pub(crate) files: Vec<PathBuf>,
    pub(crate) modules: Vec<Module>,
}

#[derive(Default)]
pub(crate) struct Module {
    /// The root is its own parent.
    pub(crate) parent: usize,
    /// Index in [`Tree::files`]; a module with a body is in the file of its parent.
    pub(crate) file: usize,
    pub(crate) children: BTreeMap<String, usize>,
    /// What is defined in it.
    pub(crate) items: BTreeSet<String>,
    pub(crate) imports: Vec<Import>,
    pub(crate) mentions: Vec<Mention>,
}

impl Tree {
    /// # Errors
    /// If a file is missing or is not Rust.
    pub(crate) fn load(root: &Path, read: Read<'_>) -> Result<Self, String> {
        let mut tree = Self::default();
        tree.modules.push(Module::default());
        tree.add_file(0, &File { path: root.to_owned(), children: parent(root) }, read)?;
        Ok(tree)
    }

    fn add_file(&mut self, module: usize, file: &File, read: Read<'_>) -> Result<(), String> {
        let path = file.path.display();
        let text = read(&file.path).ok_or_else(|| format!("cannot read {path}"))?;
        let syntax =
            syn::parse_file(&text).map_err(|error| format!("{path}:{}: {error}", error.span().start().line))?;
        self.modules[module].file = self.files.len();
        self.files.push(file.path.clone());
        self.add_items(module, &syntax.items, file, read)
    }

    fn add_items(&mut self, module: usize, items: &[Item], file: &File, read: Read<'_>) -> Result<(), String> {
        for item in items {
            let (attributes, name) = attributes_and_name(item);
            if is_unit_test(attributes) {
                continue;
            }
            match (item, name.map(text)) {
                (Item::Mod(child), Some(name)) if name != "tests" => {
                    self.add_module(module, name, child, file, read)?
                }
                (Item::Mod(_), _) => {}
                (Item::Use(item), _) => self.modules[module].imports.extend(imports(item)),
                (_, Some(name)) => drop(self.modules[module].items.insert(name)),
                (_, None) => {}
            }
            self.modules[module].mentions.extend(mentions(item));
        }
        Ok(())
    }

    fn add_module(
        &mut self,
        parent_module: usize,
        name: String,
        module: &ItemMod,
        file: &File,
        read: Read<'_>,
    ) -> Result<(), String> {
        let child = self.modules.len();
        let children = file.children.join(&name);
        self.modules.push(Module {
            parent: parent_module,
            file: self.modules[parent_module].file,
            ..Module::default()
        });
        self.modules[parent_module].children.insert(name, child);
        if let Some((_, items)) = &module.content {
            return self.add_items(child, items, &File { path: file.path.clone(), children }, read);
        }
        let file = if let Some(named) = path_attribute(&module.attrs) {
            let path = parent(&file.path).join(named);
            File { children: parent(&path), path }
        } else {
            let own = children.with_extension("rs");
            let path = if read(&own).is_some() { own } else { children.join("mod.rs") };
            File { path, children }
        };
        self.add_file(child, &file, read)
    }
}

/// Where items are read from, and the folder in which files of modules declared there are.
struct File {
    path: PathBuf,
    children: PathBuf,
}

fn parent(path: &Path) -> PathBuf {
    path.parent().unwrap_or(path).to_owned()
}

/// The file that `#[path = "…"]` names.
fn path_attribute(attributes: &[Attribute]) -> Option<String> {
    attributes.iter().find_map(|attribute| {
        if let Meta::NameValue(pair) = &attribute.meta
            && pair.path.is_ident("path")
            && let Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) = &pair.value
        {
            return Some(text.value());
        }
        None
    })
}
