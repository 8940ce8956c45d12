//! The modules of one target, and the file each is in.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use syn::{Attribute, Expr, ExprLit, Item, Lit, Meta};

use super::mention::{Import, Mention, attributes_and_name, imports, is_unit_test, mentions};

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
        tree.add_file(0, root, root.parent().unwrap_or(root), read)?;
        Ok(tree)
    }

    /// `folder` is where the files of its child modules are.
    fn add_file(&mut self, module: usize, path: &Path, folder: &Path, read: Read<'_>) -> Result<(), String> {
        let text = read(path).ok_or_else(|| format!("cannot read {}", path.display()))?;
        let file = syn::parse_file(&text).map_err(|error| {
            let line = error.span().start().line;
            format!("{}:{line}: {error}", path.display())
        })?;
        self.modules[module].file = self.files.len();
        self.files.push(path.to_owned());
        self.add_items(module, &file.items, path, folder, read)
    }

    fn add_items(
        &mut self,
        module: usize,
        items: &[Item],
        path: &Path,
        folder: &Path,
        read: Read<'_>,
    ) -> Result<(), String> {
        for item in items {
            let (attributes, name) = attributes_and_name(item);
            if is_unit_test(attributes) {
                continue;
            }
            let name = name.map(|name| name.to_string().trim_start_matches("r#").to_owned());
            match (item, name) {
                (Item::Mod(declaration), Some(name)) => {
                    if name != "tests" {
                        self.add_module(module, &name, declaration, path, folder, read)?;
                    }
                    continue;
                }
                (Item::Use(item), _) => self.modules[module].imports.extend(imports(item)),
                (_, Some(name)) => {
                    self.modules[module].items.insert(name);
                }
                (_, None) => {}
            }
            self.modules[module].mentions.extend(mentions(item));
        }
        Ok(())
    }

    fn add_module(
        &mut self,
        parent: usize,
        name: &str,
        declaration: &syn::ItemMod,
        path: &Path,
        folder: &Path,
        read: Read<'_>,
    ) -> Result<(), String> {
        let child = self.modules.len();
        self.modules.push(Module { parent, file: self.modules[parent].file, ..Module::default() });
        self.modules[parent].children.insert(name.to_owned(), child);
        let inside = folder.join(name);
        if let Some((_, items)) = &declaration.content {
            return self.add_items(child, items, path, &inside, read);
        }
        if let Some(named) = path_attribute(&declaration.attrs) {
            let file = path.parent().unwrap_or(path).join(named);
            let folder = file.parent().unwrap_or(&file).to_owned();
            return self.add_file(child, &file, &folder, read);
        }
        let own = inside.with_extension("rs");
        let file = if read(&own).is_some() { own } else { inside.join("mod.rs") };
        self.add_file(child, &file, &inside, read)
    }
}

/// The file that `#[path = "…"]` names.
fn path_attribute(attributes: &[Attribute]) -> Option<String> {
    attributes.iter().find_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("path") => match &pair.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        },
        Meta::NameValue(_) | Meta::List(_) | Meta::Path(_) => None,
    })
}
