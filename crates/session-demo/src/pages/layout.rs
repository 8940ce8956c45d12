//! What pages share.

use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use session_core::UserId;
use session_tower::Session;

use crate::accounts::is_administrator;
use crate::args::Embedder;

const STYLE: &str = include_str!("style.css");
const ICON: &str = "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'><circle cx='8' cy='8' r='7' \
                    fill='#1f5fbf'/><path d='M5 8l2 2 4-4' stroke='#fff' stroke-width='2' fill='none'/></svg>";

/// For whom a page is: it says so at its top.
#[derive(Debug)]
pub(super) enum Viewer {
    /// A user who is logged in.
    User(UserId),
    /// A visitor, and the page that signing in leads back to.
    Visitor(&'static str),
    /// A visitor at the form for signing in; or it is not known who sent the request, which failed.
    Unnamed,
}

impl Viewer {
    /// Who looks at `page` in this session.
    pub(super) fn of(session: &Session, page: &'static str) -> Self {
        session.user().map_or(Self::Visitor(page), Self::User)
    }

    pub(super) fn is_user(&self) -> bool {
        matches!(self, Self::User(_))
    }
}

/// A page.
pub(super) fn page(title: &str, viewer: &Viewer, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " – session demo" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    p.home { a href="/" { "session demo" } }
                    @match viewer {
                        Viewer::User(user) => (account(user)),
                        Viewer::Visitor(page) => a href={ "/?next=" (page) } { "Sign in" },
                        Viewer::Unnamed => {}
                    }
                }
                main {
                    h1 { (title) }
                    (content)
                }
            }
        }
    }
}

/// Who is signed in, and the pages that users have.
fn account(user: &UserId) -> Markup {
    html! {
        p { "Signed in as " strong { (user.as_str()) } }
        form method="post" action="/logout" { button.quiet { "Log out" } }
        nav aria-label="Pages" {
            a href="/devices" { "Your devices" }
            a href="/timeline" { "Timeline" }
            @if is_administrator(user) { a href="/admin" { "All sessions" } }
        }
    }
}

pub(crate) async fn favicon() -> impl IntoResponse {
    ([(CONTENT_TYPE, "image/svg+xml"), (CACHE_CONTROL, "public, max-age=86400")], ICON)
}

/// Keeps scripts from running in the pages, and other sites from framing them, unless they are named.
pub(crate) fn content_policy(embedded_by: &[Embedder]) -> HeaderValue {
    let embedders: Vec<&str> = embedded_by.iter().map(Embedder::as_str).collect();
    let ancestors = if embedders.is_empty() { "'none'".to_owned() } else { embedders.join(" ") };
    let policy = format!(
        "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; form-action 'self'; \
         frame-ancestors {ancestors}; base-uri 'none'"
    );
    HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"))
}

/// Adds this policy, and headers that keep other sites from reading the pages.
///
/// `Referrer-Policy: no-referrer` would make browsers send `Origin: null` with our own forms.
pub(crate) async fn protect(State(content_policy): State<HeaderValue>, mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, content_policy);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}
