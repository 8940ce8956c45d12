//! The packages that are published, and the features with which each of them must compile alone.

use cargo_metadata::Package;

pub(crate) fn is_published(package: &Package) -> bool {
    package.publish.as_ref().is_none_or(|registries| !registries.is_empty())
}

/// Arguments of cargo for each choice of features that a package has to compile with: its default, none, each alone, all.
pub(crate) fn choices(package: &Package) -> Vec<Vec<String>> {
    choices_of(package.features.keys().map(String::as_str))
}

fn choices_of<'f>(features: impl Iterator<Item = &'f str>) -> Vec<Vec<String>> {
    let features: Vec<&str> = features.collect();
    let none = || "--no-default-features".to_owned();
    let mut choices = vec![Vec::new()];
    if features.contains(&"default") {
        choices.push(vec![none()]);
    }
    let named: Vec<&str> = features.into_iter().filter(|feature| *feature != "default").collect();
    choices.extend(named.iter().map(|feature| vec![none(), "--features".to_owned(), (*feature).to_owned()]));
    if named.len() > 1 {
        choices.push(vec!["--all-features".to_owned()]);
    }
    choices
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;
    use crate::workspace::package;

    fn choices_as_typed(features: &[&str]) -> Vec<String> {
        choices_of(features.iter().copied()).iter().map(|choice| choice.join(" ")).collect()
    }

    #[test]
    fn each_choice_is_made_once() {
        assert_eq!(choices_as_typed(&[]), [""]);
        assert_eq!(choices_as_typed(&["jwt"]), ["", "--no-default-features --features jwt"]);
        let two = ["", "--no-default-features --features a", "--no-default-features --features b", "--all-features"];
        assert_eq!(choices_as_typed(&["a", "b"]), two);
        let with_default = ["", "--no-default-features", "--no-default-features --features a"];
        assert_eq!(choices_as_typed(&["a", "default"]), with_default);
    }

    #[test]
    fn the_features_of_the_manifests_are_found() {
        let kit = choices(&package("session-kit").unwrap());
        for feature in ["postgres", "axum", "metrics"] {
            assert!(kit.iter().any(|choice| choice.last().is_some_and(|last| last == feature)), "{feature}: {kit:?}");
        }
    }
}
