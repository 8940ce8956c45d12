//! What an event says of its request.

use std::net::IpAddr;

use super::request::{Field, RequestHead};
use crate::event::{EventKind, RequestContext};
use crate::manager::SessionManager;

/// What an application knows of a request and an adapter cannot: for the [context](RequestContext) of events, and for a
/// [`VisitorGate`](crate::VisitorGate). Adapters find it among the extensions of the request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestInfo {
    path: Option<String>,
    client: Option<IpAddr>,
    request_id: Option<String>,
}

impl RequestInfo {
    /// Nothing known.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The path as it was sent, where a router strips a prefix before the adapter gets the request.
    #[must_use]
    pub fn path(self, path: impl Into<String>) -> Self {
        Self { path: Some(path.into()), ..self }
    }

    /// The address of the client: the peer of the connection, or behind a proxy what that says (and nobody else may say).
    #[must_use]
    pub fn client(self, client: IpAddr) -> Self {
        Self { client: Some(client), ..self }
    }

    /// The id by which other logs know the request.
    #[must_use]
    pub fn request_id(self, id: impl Into<String>) -> Self {
        Self { request_id: Some(id.into()), ..self }
    }

    /// Adds it to `context`; for adapters.
    pub fn describe(&self, context: &mut RequestContext) {
        if let Some(path) = &self.path {
            context.path = readable(path.as_bytes());
        }
        context.client = self.client.map(|client| client.to_canonical());
        context.request_id = self.request_id.as_ref().map(|id| readable(id.as_bytes()));
    }
}

/// The longest text that is kept, in characters.
const MAX_LEN: usize = 256;

/// Tells the observers of `manager` that a request was refused for this reason, by an adapter.
pub fn report_refusal(manager: &SessionManager, request: &impl RequestHead, kind: EventKind) {
    manager.with_request(request_context(request)).report(kind, None, None);
}

/// What `request` says of itself, and what its adapter adds.
pub(super) fn request_context(request: &impl RequestHead) -> RequestContext {
    let field = |name| match Field::of(request, name) {
        Field::One(value) => Some(readable(value)),
        Field::Absent => None,
        Field::Repeated => Some("(repeated)".to_owned()),
    };
    let mut context = RequestContext {
        method: readable(request.method().as_bytes()),
        path: readable(request.path().as_bytes()),
        host: request.authority().map(readable).or_else(|| field("host")),
        origin: field("origin"),
        user_agent: field("user-agent"),
        ..RequestContext::default()
    };
    request.describe(&mut context);
    context
}

/// Shortened, and without characters that would break a log line.
fn readable(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(&text[..text.len().min(4 * MAX_LEN)]);
    text.chars().take(MAX_LEN).map(|char| if char.is_control() { '\u{fffd}' } else { char }).collect()
}
