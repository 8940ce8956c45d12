//! Pages for requests that are refused or fail; forms, which may be the reason.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::http::{HeaderValue, Response, StatusCode};
use axum::response::IntoResponse;
use maud::{Markup, html};
use serde::de::DeserializeOwned;
use session_core::UserId;
use session_tower::{Rejection, RejectionKind, RequestLine, Session};

use super::forms::{password_form, sign_in_form};
use super::layout::{Viewer, page};

/// Why a request was refused.
pub(super) enum PageError {
    /// A field of the form is missing.
    Form,
    /// The page is for administrators, and this user is none.
    NotAdministrator(UserId),
    /// Refused because of its session.
    Session(Rejection),
}

impl<E: Into<Rejection>> From<E> for PageError {
    fn from(error: E) -> Self {
        Self::Session(error.into())
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> axum::response::Response {
        match self {
            Self::Form => {
                let text = html! { p { "A field is missing in what your browser sent. " (back()) } };
                (StatusCode::BAD_REQUEST, page("Not understood", &Viewer::Unnamed, &text)).into_response()
            }
            Self::NotAdministrator(user) => {
                let text = html! {
                    p { "This page is for administrators. On this site that is " code { "alice" } ". " (back()) }
                };
                (StatusCode::FORBIDDEN, page("Not for you", &Viewer::User(user), &text)).into_response()
            }
            // The session layer renders it with `rejection`.
            Self::Session(rejection) => rejection.into_response(),
        }
    }
}

/// The fields of a form.
pub(super) struct Form<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Form<T> {
    type Rejection = PageError;

    async fn from_request(request: Request, state: &S) -> Result<Self, PageError> {
        let axum::Form(fields) = axum::Form::from_request(request, state).await.map_err(|_| PageError::Form)?;
        Ok(Self(fields))
    }
}

/// The page for a rejection of a handler or of the session layer. Who is not signed in is led to the form, and from there back
/// to the page.
pub(crate) fn rejection(rejection: Rejection, request: &RequestLine) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(words(rejection).into_string()));
    *response.status_mut() = rejection.status();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    if rejection.kind() == RejectionKind::Unauthenticated
        && let Some(page) = request.return_to()
        && let Ok(form) = HeaderValue::try_from(format!("/?next={page}"))
    {
        *response.status_mut() = StatusCode::SEE_OTHER;
        response.headers_mut().insert(LOCATION, form);
    }
    response
}

fn words(rejection: Rejection) -> Markup {
    let (title, text) = match rejection.kind() {
        RejectionKind::DeviceBindingRequired => (
            "Not from this device",
            html! {
                p {
                    "Your session is bound to the device it began on, and your browser does not show that this is the one. "
                    "If it has lost the key, sign in again."
                }
                // Here: the start page is refused like this one.
                (sign_in_form(None, None, None))
            },
        ),
        RejectionKind::Unauthenticated => ("Please sign in", html! { p { (back()) } }),
        RejectionKind::ReauthenticationRequired => ("Is it really you?", password_form(None)),
        RejectionKind::Gone => (
            "You are signed out",
            html! { p { "Your session ended while the page was loading; nothing was changed. " (back()) } },
        ),
        RejectionKind::LimitReached => (
            "Too many devices",
            html! { p { "You are signed in on as many devices as are allowed. Log out on one of them. " (back()) } },
        ),
        RejectionKind::Superseded | RejectionKind::Conflict => (
            "Please try again",
            html! { p { "Something else happened in your session just then; nothing was changed. " (back()) } },
        ),
        RejectionKind::CrossOrigin => (
            "Not from here",
            html! { p { "Another site made your browser send this. Nothing was changed. " (back()) } },
        ),
        RejectionKind::HostNotAllowed => ("Not here", html! { p { "This site does not answer for that address. " } }),
        RejectionKind::TooLarge => ("Too much", html! { p { "That is more than a session can hold. " (back()) } }),
        RejectionKind::StoreUnavailable | RejectionKind::EntropyUnavailable => (
            "Just a moment",
            html! { p { "Sessions are not available right now. You are still signed in; please try again soon." } },
        ),
        RejectionKind::Unsupported => ("No list in this mode", no_list()),
        // Bugs of this site; the client learns nothing about them.
        RejectionKind::WrongUser
        | RejectionKind::InvalidValue
        | RejectionKind::ResponseSent
        | RejectionKind::LayerMissing
        | RejectionKind::LayerNested
        | RejectionKind::Internal
        | _ => ("Something went wrong", html! { p { "This is our fault. " (back()) } }),
    };
    // Who sent it is not known here: the session may be what failed.
    page(title, &Viewer::Unnamed, &text)
}

/// Says who is signed in, as other pages do. If that cannot be found out, it says nothing about it.
pub(super) async fn not_found(session: Result<Session, Rejection>) -> impl IntoResponse {
    let viewer = session.map_or(Viewer::Unnamed, |session| Viewer::of(&session, "/"));
    (StatusCode::NOT_FOUND, page("Not found", &viewer, &html! { p { "There is no such page. " (back()) } }))
}

pub(super) async fn method_not_allowed(session: Result<Session, Rejection>) -> impl IntoResponse {
    let viewer = session.map_or(Viewer::Unnamed, |session| Viewer::of(&session, "/"));
    let text = html! { p { "This page cannot be used that way. " (back()) } };
    (StatusCode::METHOD_NOT_ALLOWED, page("Not like that", &viewer, &text))
}

/// For what needs a list of sessions, where there is none.
pub(super) async fn unsupported(session: Session) -> impl IntoResponse {
    let rejection = Rejection::from(RejectionKind::Unsupported);
    (rejection.status(), page("No list in this mode", &Viewer::of(&session, "/"), &no_list()))
}

fn no_list() -> Markup {
    html! {
        p {
            "With " code { "--mode client" } ", each session is in its own browser and nowhere else. So your devices cannot be \
             listed, nor their sessions ended from here, and without a store you are not asked for your password again: sign in \
             again instead. " a href="/kinds" { "The three kinds of sessions" } ". " (back())
        }
    }
}

fn back() -> Markup {
    html! { a href="/" { "Back to the start" } "." }
}
