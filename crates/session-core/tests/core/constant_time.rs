//! Secrets are compared by `subtle`, and every comparison is made before any of them decides: what takes a measurement to see,
//! the source tells.

const CREDENTIAL: &str = include_str!("../../src/model/credential.rs");
const TOKEN: &str = include_str!("../../src/model/token.rs");

/// The body of a function, without comments.
fn body<'s>(source: &'s str, head: &str) -> Vec<&'s str> {
    let Some((_, rest)) = source.split_once(head) else { panic!("no {head}") };
    let indent = source[..source.len() - rest.len() - head.len()].rsplit('\n').next().unwrap_or_default().len();
    let end = format!("\n{}}}", " ".repeat(indent));
    let Some((body, _)) = rest.split_once(&end) else { panic!("{head} has no end") };
    body.lines().map(str::trim).filter(|line| !line.starts_with("//")).collect()
}

#[test]
fn digests_are_compared_by_subtle_alone() {
    assert_eq!(body(CREDENTIAL, "fn matches(&self, other: &Self) -> Choice {"), ["", "self.0.ct_eq(&other.0)"]);
    // No derived comparison, of a digest or of the secret halves of a token.
    for (source, name) in [(CREDENTIAL, "pub struct TokenDigest"), (CREDENTIAL, "pub(crate) struct Lineage")] {
        assert!(!derives(source, name).contains("Eq"), "{name}");
    }
    for name in ["pub(crate) struct Parts", "pub struct SessionToken(", "pub struct PresentedToken("] {
        assert!(!derives(TOKEN, name).contains("Eq"), "{name}");
    }
}

/// The derived traits of an item.
fn derives(source: &str, name: &str) -> String {
    let Some((before, _)) = source.split_once(name) else { panic!("no {name}") };
    let item = before.rsplit("\n\n").next().unwrap_or_default();
    item.lines().filter(|line| line.contains("derive(")).collect()
}

#[test]
fn all_comparisons_are_made_before_one_decides() {
    let lines = body(CREDENTIAL, "pub fn check(&self, kind: Kind, token: &PresentedToken) -> TokenCheck {");
    let Some(first) = lines.iter().position(|line| line.starts_with("if ")) else { panic!("nothing is decided") };
    let (before, decision) = lines.split_at(first);
    for (line, is_decided) in before.iter().map(|line| (line, false)).chain(decision.iter().map(|line| (line, true))) {
        for short_cut in ["==", "!=", "&&", "||", "return", ".eq(", "matches!"] {
            assert!(!line.contains(short_cut), "{line}");
        }
        assert!(is_decided || !line.starts_with("if "), "{line}");
        assert!(!is_decided || !line.contains("matches("), "a comparison depends on another one: {line}");
    }
    assert_eq!(before.iter().filter(|line| line.contains("matches(")).count(), 3, "current, family, predecessor");
}
