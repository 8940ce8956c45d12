//! A WebSocket, and server-sent events, which end when the session ends, wherever that happens.

use std::convert::Infallible;

use axum::Router;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::stream::{self, StreamExt as _};
use session_kit::axum::{Authenticated, SessionLayer};
use session_kit::{Key, SessionHandle, SessionManager};

const SENT: Key<u32> = Key::new("sent");

async fn socket(session: Authenticated, upgrade: WebSocketUpgrade) -> Response {
    // The session of the request cannot be changed once its response is sent: take a handle along.
    let session = session.handle();
    upgrade.on_upgrade(|socket| talk(socket, session))
}

async fn talk(mut socket: WebSocket, session: SessionHandle) {
    loop {
        let message = tokio::select! {
            () = session.ended() => break, // logged out, revoked, expired
            message = socket.recv() => message,
        };
        let Some(Ok(Message::Text(text))) = message else { break };
        let Ok(sent) = count(&session).await else { break };
        if socket.send(Message::Text(format!("{sent}: {text}").into())).await.is_err() {
            break;
        }
    }
    let end = CloseFrame { code: 4401, reason: "signed out".into() }; // 4000 to 4999 are the application's
    let _ = socket.send(Message::Close(Some(end))).await;
}

/// A message is activity of the user, so this also keeps the session from becoming idle.
async fn count(session: &SessionHandle) -> Result<u32, session_kit::Error> {
    let current = session.open().await?; // as it is now: other requests go on beside the socket
    current.update(SENT, |sent| *sent += 1)?;
    session.commit(&current).await?;
    Ok(current.get(SENT)?.unwrap_or_default())
}

async fn events(session: Authenticated) -> impl IntoResponse {
    session.set_passive(); // to watch is no activity: a tab that is left open keeps nobody logged in
    let session = session.handle();
    let news = stream::once(async { Event::default().data("hello") }).chain(stream::pending()); // yours
    let until_the_end = news.take_until(async move { session.ended().await });
    let events = until_the_end.chain(stream::once(async { Event::default().data("signed out") }));
    Sse::new(events.map(Ok::<_, Infallible>)).keep_alive(KeepAlive::default())
}

pub(crate) fn app(sessions: SessionManager) -> Router {
    Router::new().route("/socket", get(socket)).route("/events", get(events)).layer(SessionLayer::new(sessions))
}
