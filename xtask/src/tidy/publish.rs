//! What is published can be found, read and used by people who have only the package.

use cargo_metadata::Package;

use super::source::no;
use crate::command::root;
use crate::features::is_published;
use crate::workspace::{folder, packages, read};

const LICENCES: [&str; 2] = ["LICENSE-APACHE", "LICENSE-MIT"];

fn published() -> Vec<Package> {
    let published: Vec<Package> = packages().unwrap().into_iter().filter(is_published).collect();
    assert!(published.len() >= 10, "the packages that are published were not found");
    published
}

/// They are links to those of the repository, or, where there are no links, copies.
#[test]
fn packages_have_the_licences() {
    no(published().iter().flat_map(|package| {
        LICENCES.into_iter().filter_map(|file| {
            let own = std::fs::read_to_string(folder(package).join(file)).unwrap_or_default();
            let same = own == read(&root().join(file)).unwrap();
            (!same).then(|| format!("{}: {file} is not that of the repository: ln -s ../../{file}", package.name))
        })
    }));
}

#[test]
fn packages_say_what_they_are_and_where() {
    let repository = packages().unwrap().iter().find_map(|package| package.repository.clone());
    no(published().iter().flat_map(|package| {
        let name = package.name.as_str();
        let manifest = read(package.manifest_path.as_std_path()).unwrap();
        let documentation = format!("https://docs.rs/{name}");
        // As crates.io and docs.rs demand, or recommend.
        let rules = [
            (package.description.as_ref().is_some_and(|text| !text.is_empty()), "a description"),
            (package.license.as_deref() == Some("MIT OR Apache-2.0"), "the licence"),
            (package.repository.is_some() && package.repository == repository, "repository.workspace = true"),
            (package.documentation.as_ref() == Some(&documentation), "documentation at docs.rs"),
            (!package.categories.is_empty() && package.categories.len() <= 5, "one to five categories"),
            (!package.keywords.is_empty() && package.keywords.len() <= 5, "one to five keywords"),
            (package.rust_version.is_some(), "a rust-version"),
            (package.readme.is_some(), "a README"),
            (manifest.contains("[package.metadata.docs.rs]\nall-features = true"), "all features at docs.rs"),
            (manifest.contains("\ninclude = ["), "a list of what is included"),
        ];
        let missing = rules.into_iter().filter(|(holds, _)| !holds);
        missing.map(|(_, what)| format!("{name}: its manifest lacks {what}")).collect::<Vec<_>>()
    }));
}

/// Short, for people who do not know the project, with a way to the manual.
#[test]
fn readmes_lead_to_the_manual() {
    no(published().iter().filter_map(|package| {
        let text = std::fs::read_to_string(folder(package).join("README.md")).unwrap_or_default();
        let named = text.starts_with(&format!("# {}\n", package.name));
        let leads = text.contains(&format!("https://docs.rs/{}", package.name)) && text.contains("/manual/");
        (!named || !leads || text.lines().count() > 50)
            .then(|| format!("{}: README.md has no title, no link to the manual, or more than 50 lines", package.name))
    }));
}

#[test]
fn features_are_documented() {
    no(published().iter().filter_map(|package| {
        let features: Vec<&String> = package.features.keys().filter(|feature| *feature != "default").collect();
        let source = folder(package).join("src");
        // The documentation of session-core is a chapter of its manual.
        let pages =
            ["lib.rs", "manual/index.md"].map(|page| std::fs::read_to_string(source.join(page)).unwrap_or_default());
        let text = pages.concat();
        let section = text.split("# Features\n").nth(1).unwrap_or_default();
        let missing: Vec<_> =
            features.into_iter().filter(|feature| !section.contains(&format!("`{feature}`"))).collect();
        (!missing.is_empty()).then(|| format!("{}: no section \"Features\" describes {missing:?}", package.name))
    }));
}
