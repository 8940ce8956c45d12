//! The forms that several pages have.

use maud::{Markup, html};

/// The form to sign in, with the `problem` that it had, the `name` that was typed, and where it leads to.
pub(super) fn sign_in_form(problem: Option<&str>, name: Option<&str>, next: Option<&str>) -> Markup {
    // Where there is something to mend, the keyboard is there already.
    let (invalid, described) = (problem.map(|_| "true"), problem.map(|_| "problem"));
    let focus_name = problem.is_some() && name.is_none();
    let focus_password = problem.is_some() && name.is_some();
    html! {
        section {
            form method="post" action="/login" {
                label {
                    "Name"
                    input name="username" autocomplete="username" autocapitalize="none" required value=[name]
                        autofocus[focus_name] aria-invalid=[invalid] aria-describedby=[described];
                }
                label {
                    "Password"
                    input name="password" type="password" autocomplete="current-password" required
                        autofocus[focus_password] aria-invalid=[invalid] aria-describedby=[described];
                }
                label.check { input name="remember" type="checkbox" value="true"; "Stay signed in on this device" }
                @if let Some(next) = next { input type="hidden" name="next" value=(next); }
                button { "Sign in" }
            }
            p.quiet {
                "There are " code { "alice" } ", who is the administrator, " code { "bob" } " and " code { "carol" }
                ", and their password is " code { "correct-horse" } "."
            }
        }
    }
}

/// Asks for the password again.
pub(super) fn password_form(problem: Option<&str>) -> Markup {
    html! {
        @if let Some(problem) = problem { p.notice #problem role="alert" { (problem) } }
        section {
            p { "This page wants to be sure. Please type your password again." }
            form method="post" action="/reauthenticate" {
                label {
                    "Password"
                    input name="password" type="password" autocomplete="current-password" required autofocus
                        aria-invalid=[problem.map(|_| "true")] aria-describedby=[problem.map(|_| "problem")];
                }
                button { "Continue" }
            }
            p { a href="/" { "Back to the start" } }
        }
    }
}
