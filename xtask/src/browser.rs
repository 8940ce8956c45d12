//! `cargo xtask browser`: the tests that drive the demo with Chromium.

use std::ffi::OsString;

use crate::command::Cargo;

/// With these arguments of the test program; or `--accept`, which is ours.
pub(crate) fn run(arguments: Vec<OsString>) -> Result<(), String> {
    command(arguments).run("the browser")
}

fn command(mut arguments: Vec<OsString>) -> Cargo {
    let given = arguments.len();
    arguments.retain(|argument| argument != "--accept");
    let accepts = arguments.len() < given;
    if accepts && arguments.is_empty() {
        // Those that have pictures.
        arguments.push("looks".into());
    }
    // Of the workspace, so that what `test` has built is used.
    let browser = Cargo::new("test").args(["--workspace", "--test", "browser", "--"]).args(arguments);
    if accepts { browser.env("ACCEPT_LOOKS", "1") } else { browser }
}

#[cfg(test)]
mod tests {
    use super::command;

    #[test]
    fn looks_are_accepted_only_if_that_is_asked_for() {
        let shown = |arguments: &[&str]| command(arguments.iter().map(Into::into).collect()).shown().to_owned();
        let test = "cargo test --workspace --test browser --";
        assert_eq!(shown(&[]), format!("{test}"));
        assert_eq!(shown(&["two_tabs"]), format!("{test} two_tabs"));
        assert_eq!(shown(&["--accept"]), format!("ACCEPT_LOOKS='1' {test} looks"));
        assert_eq!(shown(&["timeline", "--accept"]), format!("ACCEPT_LOOKS='1' {test} timeline"));
    }
}
