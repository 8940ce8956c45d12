//! The paths in an item: in `use`, in code, and among the tokens of macros.

use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemMod, ItemUse, Meta, UseTree, Visibility};

/// A path in the source, for example `super::store::Record`, without generic arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mention {
    pub(crate) path: Vec<String>,
    /// Counted from 1.
    pub(crate) line: usize,
}

/// What `use` makes available: a name, or with `*` all names of a module.
#[derive(Debug)]
pub(crate) struct Import {
    /// `None` for `*`.
    pub(crate) name: Option<String>,
    pub(crate) path: Vec<String>,
    line: usize,
}

/// All paths in an item, except those in modules and unit tests inside it.
pub(crate) fn mentions(item: &Item) -> Vec<Mention> {
    let mut visitor = Mentions::default();
    visitor.visit_item(item);
    visitor.found
}

/// One import for each name.
pub(crate) fn imports(item: &ItemUse) -> Vec<Import> {
    let mut found = Vec::new();
    if item.leading_colon.is_none() {
        flatten(&item.tree, &mut Vec::new(), &mut found);
    }
    found
}

/// Whether an item is compiled for unit tests alone.
pub(crate) fn is_unit_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("cfg") => {
            let mut tokens = list.tokens.clone().into_iter();
            match (tokens.next(), tokens.next()) {
                (Some(TokenTree::Ident(name)), None) => name == "test",
                (Some(TokenTree::Ident(all)), Some(TokenTree::Group(of))) if all == "all" => {
                    of.stream().into_iter().any(|token| matches!(token, TokenTree::Ident(name) if name == "test"))
                }
                _ => false,
            }
        }
        Meta::List(_) | Meta::Path(_) | Meta::NameValue(_) => false,
    })
}

/// The attributes of an item, and its name if it has one.
pub(crate) fn attributes_and_name(item: &Item) -> (&[Attribute], Option<&Ident>) {
    match item {
        Item::Const(item) => (&item.attrs, Some(&item.ident)),
        Item::Enum(item) => (&item.attrs, Some(&item.ident)),
        Item::ExternCrate(item) => (&item.attrs, None),
        Item::Fn(item) => (&item.attrs, Some(&item.sig.ident)),
        Item::ForeignMod(item) => (&item.attrs, None),
        Item::Impl(item) => (&item.attrs, None),
        Item::Macro(item) => (&item.attrs, item.ident.as_ref()),
        Item::Mod(item) => (&item.attrs, Some(&item.ident)),
        Item::Static(item) => (&item.attrs, Some(&item.ident)),
        Item::Struct(item) => (&item.attrs, Some(&item.ident)),
        Item::Trait(item) => (&item.attrs, Some(&item.ident)),
        Item::TraitAlias(item) => (&item.attrs, Some(&item.ident)),
        Item::Type(item) => (&item.attrs, Some(&item.ident)),
        Item::Union(item) => (&item.attrs, Some(&item.ident)),
        Item::Use(item) => (&item.attrs, None),
        Item::Verbatim(_) | _ => (&[], None),
    }
}

#[derive(Default)]
struct Mentions {
    found: Vec<Mention>,
}

impl<'ast> Visit<'ast> for Mentions {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_unit_test(attributes_and_name(item).0) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, _: &'ast ItemMod) {}

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.found.extend(imports(item).into_iter().map(|import| Mention { path: import.path, line: import.line }));
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if let (None, Some(first)) = (&path.leading_colon, path.segments.first()) {
            self.add(path.segments.iter().map(|segment| text(&segment.ident)).collect(), &first.ident);
        }
        // Generic arguments have paths too.
        visit::visit_path(self, path);
    }

    /// `pub(in path)` uses nothing.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    fn visit_token_stream(&mut self, tokens: &'ast TokenStream) {
        self.scan(tokens.clone());
    }
}

impl Mentions {
    /// A single name is local, or was imported, which was counted there.
    fn add(&mut self, path: Vec<String>, first: &Ident) {
        if path.len() > 1 {
            self.found.push(Mention { path, line: first.span().start().line });
        }
    }

    /// Adds every `name::name…` among the tokens of a macro.
    fn scan(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let punct = |at: usize, character: char| matches!(tokens.get(at), Some(TokenTree::Punct(punct)) if punct.as_char() == character);
        let colons = |at: usize| punct(at, ':') && punct(at + 1, ':');
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            match token {
                TokenTree::Group(group) => self.scan(group.stream()),
                TokenTree::Ident(first) => {
                    let begin = at;
                    let mut path = vec![text(first)];
                    while let (true, Some(TokenTree::Ident(next))) = (colons(at + 1), tokens.get(at + 3)) {
                        path.push(text(next));
                        at += 3;
                    }
                    // After `::` or `.`, but not `..`, this is the end of another path or a method.
                    let continues = begin >= 2 && colons(begin - 2)
                        || begin >= 1 && punct(begin - 1, '.') && !(begin >= 2 && punct(begin - 2, '.'));
                    if !continues {
                        self.add(path, first);
                    }
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
            at += 1;
        }
    }
}

fn flatten(tree: &UseTree, path: &mut Vec<String>, found: &mut Vec<Import>) {
    let mut add = |name: Option<&Ident>, last: Option<&Ident>, line: usize| {
        let path = path.iter().cloned().chain(last.map(text)).collect();
        found.push(Import { name: name.map(text), path, line });
    };
    match tree {
        UseTree::Path(inner) => {
            path.push(text(&inner.ident));
            flatten(&inner.tree, path, found);
            path.pop();
        }
        UseTree::Group(group) => {
            for tree in &group.items {
                flatten(tree, path, found);
            }
        }
        UseTree::Glob(glob) => add(None, None, glob.star_token.spans[0].start().line),
        UseTree::Name(name) => {
            let line = name.ident.span().start().line;
            if name.ident == "self" {
                // `use a::b::{self}`: the module itself.
                let name = path.last().cloned();
                found.push(Import { name, path: path.clone(), line });
            } else {
                add(Some(&name.ident), Some(&name.ident), line);
            }
        }
        UseTree::Rename(rename) => {
            let line = rename.ident.span().start().line;
            let last = (rename.ident != "self").then_some(&rename.ident);
            add(Some(&rename.rename), last, line);
        }
    }
}

/// Without `r#`.
pub(crate) fn text(name: &Ident) -> String {
    name.to_string().trim_start_matches("r#").to_owned()
}
