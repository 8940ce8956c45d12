//! [`CoreAdapter`]: the least that an HTTP adapter does.

use async_trait::async_trait;
use session_core::SessionManager;
use session_core::adapter::{HeaderEdit, RejectionKind, RequestSession};

use crate::adapter::{AdapterHarness, Handler, HttpRequest, HttpResponse};
use crate::outcome::Failure;

/// [`RequestSession`] and the few steps that an adapter adds to it, without a framework: what request cases go through
/// when a store is tested.
#[derive(Clone, Copy, Debug, Default)]
pub struct CoreAdapter;

#[async_trait]
impl AdapterHarness for CoreAdapter {
    fn adapter(&self) -> &'static str {
        "core"
    }

    async fn send(
        &self,
        manager: SessionManager,
        request: HttpRequest,
        handler: Option<Handler>,
    ) -> Result<HttpResponse, Failure> {
        let cookies = request.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("cookie"));
        let presented = manager.read_cookie(cookies.map(|(_, value)| value.as_bytes()));
        let request = RequestSession::new(manager, presented);
        let handled = match handler {
            None => Ok(()),
            Some(handler) => match request.session().await {
                Ok(session) => handler.run(session.clone()).await,
                Err(error) => Err(error),
            },
        };
        let (committed, wanted) = request.finish().await;
        let headers = wanted.edits(|_| []).filter_map(|edit| match edit {
            HeaderEdit::Append(name, value) | HeaderEdit::Set(name, value) => Some((name.to_owned(), value.to_owned())),
            HeaderEdit::AppendCookie(cookie) => Some(("set-cookie".to_owned(), cookie.expose().to_owned())),
            // There is nothing to remove.
            HeaderEdit::Remove(_) => None,
        });
        let headers = headers.collect();
        let rejection = committed.and(handled).err().map(RejectionKind::from);
        let (status, body) = rejection.map_or((200, String::new()), |rejection| (rejection.status(), rejection.body()));
        Ok(HttpResponse { status, headers, body: body.into_bytes() })
    }
}
