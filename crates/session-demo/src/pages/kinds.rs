//! The three kinds of sessions, side by side.

use axum::Extension;
use axum::http::HeaderMap;
use axum::http::header::HOST;
use maud::{Markup, PreEscaped, html};
use session_tower::Session;

use super::layout::{Viewer, page};
use crate::args::Mode;

const COMPARISON: &str = include_str!("kinds.html");

/// The comparison, with the mode of this process marked.
pub(super) async fn show(Extension(mode): Extension<Mode>, session: Session) -> Markup {
    let name = format!("<code>--mode {}</code>", mode.name());
    let marked = format!("{name}<br><strong>This one</strong>");
    let content = COMPARISON.lines().map(str::trim).collect::<String>().replace(&name, &marked);
    page("Three kinds of sessions", &Viewer::of(&session, "/kinds"), &PreEscaped(content))
}

/// How a client without cookies uses this site.
pub(super) fn tokens(headers: &HeaderMap) -> Markup {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("127.0.0.1:3000");
    let commands = [
        format!("curl http://{host}/api/token -d '{{\"username\":\"alice\",\"password\":\"correct-horse\"}}'"),
        format!("curl http://{host}/api/devices -H 'Authorization: Bearer ACCESS_TOKEN'"),
        format!("curl http://{host}/api/token/refresh -d '{{\"refresh_token\":\"REFRESH_TOKEN\"}}'"),
        format!("curl http://{host}/api/token/revoke -d '{{\"token\":\"REFRESH_TOKEN\"}}'"),
        format!("curl http://{host}/.well-known/jwks.json"),
    ];
    html! {
        section {
            h2 { "Access tokens" }
            p { "For clients that keep no cookies. Their sessions are in your list of devices too." }
            pre { @for command in commands { code { (command) } } }
            p.quiet { "A click on a command selects all of it, to be copied." }
            p.quiet {
                code { "/api/me" } " and " code { "/api/devices" } " look up the session in the store; "
                code { "/api/whoami" } " does not, and answers until the access token expires."
            }
        }
    }
}
