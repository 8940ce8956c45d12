//! The three kinds of sessions, side by side.

use axum::Extension;
use axum::http::HeaderMap;
use axum::http::header::HOST;
use maud::{Markup, html};
use session_tower::Session;

use super::layout::page;
use crate::args::Mode;

/// What is compared, then [`Mode::Cookie`], [`Mode::Hybrid`] and [`Mode::Client`].
const ROWS: [[&str; 4]; 9] = [
    [
        "The client has",
        "a random token, in a cookie",
        "an access token, signed, for 5 minutes; and a random refresh token, new at each use",
        "the session itself, signed, in a cookie",
    ],
    [
        "The session is",
        "in the store",
        "in the store; it holds no values, only who is logged in",
        "in the cookie; its holder can read it",
    ],
    [
        "Round trips to the store for each request",
        "1 to read, 2 to write",
        "none with an access token, 1 where it must be known that the session is alive; 2 for a refresh",
        "none; 1 with a deny list",
    ],
    [
        "A session that was ended is noticed",
        "by the next request",
        "by the next request where the store is queried; elsewhere when the access token expires, after 5 minutes and 5 seconds",
        "never by a copy of the cookie, which works until its deadlines. With a deny list (--store), by the next request",
    ],
    ["List of devices, limit, logout everywhere", "yes", "yes: one list, with the sessions of browsers", "no"],
    [
        "Two requests at once",
        "lose no update",
        "have no values to lose",
        "overwrite each other: the later response wins",
    ],
    ["Sent with each request", "74 bytes", "about 600 bytes", "from 500 to 4096 bytes: all that it holds"],
    [
        "A stolen token is worth",
        "the session, until it is ended",
        "access token: at most 5 minutes. Refresh token: until the thief or the owner uses it second, which ends the session",
        "the session until its deadlines",
    ],
    ["Stolen keys are worth", "there are none", "access tokens of all users", "sessions of all users"],
];

/// The comparison, with the mode of this process marked.
pub(super) async fn show(Extension(mode): Extension<Mode>, session: Session) -> Markup {
    let user = session.user();
    let column = |of: Mode, title: &str| {
        html! {
            th scope="col" {
                (title) br; code { "--mode " (of.name()) }
                @if of == mode { br; strong { "This one" } }
            }
        }
    };
    let content = html! {
        div.table tabindex="0" role="region" aria-label="Three kinds of sessions" {
            table {
                thead {
                    tr {
                        td {}
                        (column(Mode::Cookie, "Cookie"))
                        (column(Mode::Hybrid, "Access and refresh token"))
                        (column(Mode::Client, "Everything in the cookie"))
                    }
                }
                tbody {
                    @for [what, cells @ ..] in ROWS {
                        tr { th scope="row" { (what) } @for cell in cells { td { (cell) } } }
                    }
                }
            }
        }
        p {
            "If in doubt: a cookie. Tokens are for clients that keep no cookies, and for services that cannot reach \
             the store. A session in the cookie is for little that matters, when there is to be no store at all."
        }
        p { a href="/" { "Back to the start" } }
    };
    page("Three kinds of sessions", user.as_ref().map(|user| user.as_str()), &content)
}

/// How a client without cookies uses this site.
pub(super) fn tokens(headers: &HeaderMap) -> Markup {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("127.0.0.1:3000");
    let commands = format!(
        "curl http://{host}/api/token -d '{{\"username\":\"alice\",\"password\":\"correct-horse\"}}'\n\
         curl http://{host}/api/devices -H 'Authorization: Bearer ACCESS_TOKEN'\n\
         curl http://{host}/api/token/refresh -d '{{\"refresh_token\":\"REFRESH_TOKEN\"}}'\n\
         curl http://{host}/api/token/revoke -d '{{\"token\":\"REFRESH_TOKEN\"}}'\n\
         curl http://{host}/.well-known/jwks.json"
    );
    html! {
        section {
            h2 { "Access tokens" }
            p { "For clients that keep no cookies. Their sessions are in your list of devices too." }
            pre { code { (commands) } }
            p.quiet {
                code { "/api/me" } " and " code { "/api/devices" } " look up the session in the store; "
                code { "/api/whoami" } " does not, and answers until the access token expires."
            }
        }
    }
}
