//! What [`tracing`] is told of the work of a manager, beside its events: spans, by the names that OpenTelemetry has for such
//! things. Nothing in them is of a user or a session. At debug level: nobody pays for them who has not asked.

use tracing::Span;
use tracing::field::Empty;

use crate::error::Error;
use crate::measurement::Opened;

/// Around the work of opening the session of a request.
pub(super) fn open() -> Span {
    tracing::debug_span!(target: "session", "session.open", session.found = Empty, error.type = Empty)
}

/// What was found.
pub(super) fn opened(span: &Span, found: Opened) {
    span.record("session.found", found.as_str());
}

/// Around a commit, with all its repetitions.
pub(super) fn commit() -> Span {
    tracing::debug_span!(target: "session", "session.commit", error.type = Empty)
}

/// Around one operation of the store.
pub(super) fn store(store: &'static str, operation: &'static str) -> Span {
    tracing::debug_span!(
        target: "session",
        "session.store",
        otel.name = operation,
        otel.kind = "client",
        db.system.name = system(store),
        db.operation.name = operation,
        error.type = Empty,
    )
}

/// The work failed.
pub(super) fn failed(span: &Span, error: &Error) {
    span.record("error.type", error_type(error));
}

/// What OpenTelemetry calls the database behind the store that we call so.
pub(super) fn system(store: &'static str) -> &'static str {
    match store {
        "postgres" => "postgresql",
        other => other,
    }
}

/// Not the text of the error, of which there is no end.
fn error_type(error: &Error) -> &'static str {
    match error {
        Error::Store(error) => error.kind().as_str(),
        Error::Gone => "gone",
        Error::LimitReached => "limit_reached",
        Error::VisitorRefused => "visitor_refused",
        Error::Superseded => "superseded",
        Error::Conflict => "conflict",
        Error::NotAuthenticated => "not_authenticated",
        Error::WrongUser => "wrong_user",
        Error::TooLarge { .. } | Error::CookieTooLarge { .. } | Error::TooManyValues { .. } => "too_large",
        Error::NoDenyList => "no_deny_list",
        Error::Value(_) => "value",
        Error::ResponseSent => "response_sent",
        Error::InvalidCursor => "invalid_cursor",
        Error::Entropy(_) => "no_entropy",
    }
}
