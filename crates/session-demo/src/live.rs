//! What goes on after the response: a WebSocket and a stream of events, each of which follows its session.

use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::http::header::CACHE_CONTROL;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream::{self, StreamExt as _};
use session_core::{Error, Key, SessionHandle};
use session_tower::Authenticated;
use tokio::time::timeout;

/// Counts the messages of the session's sockets.
const MESSAGES: Key<u64> = Key::new("ws");
/// The session has ended. The codes from 4000 on are the application's.
const ENDED: u16 = 4401;
/// The session cannot be used now (RFC 6455: an unexpected condition).
const FAILED: u16 = 1011;
/// How long a client may take to receive an answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest message, in bytes.
const MAX_MESSAGE: usize = 4096;

/// Each text message is activity, and is answered with how many there were.
pub(crate) async fn socket(session: Authenticated, upgrade: WebSocketUpgrade) -> Response {
    let handle = session.handle();
    upgrade.max_message_size(MAX_MESSAGE).on_upgrade(|socket| serve(socket, handle))
}

async fn serve(mut socket: WebSocket, handle: SessionHandle) {
    let mut ended = pin!(handle.ended());
    let code = loop {
        let message = tokio::select! {
            () = &mut ended => break ENDED,
            message = socket.recv() => message,
        };
        match message {
            Some(Ok(Message::Text(_))) => {}
            // Answered by the protocol.
            Some(Ok(Message::Binary(_) | Message::Ping(_) | Message::Pong(_))) => continue,
            Some(Ok(Message::Close(_)) | Err(_)) | None => return,
        }
        let answer = async {
            let count = count(&handle).await?;
            Ok::<_, Error>(socket.send(Message::text(count.to_string())).await.is_ok())
        };
        // A client that does not read is not waited for either.
        match tokio::select! {
            () = &mut ended => break ENDED,
            answer = timeout(PATIENCE, answer) => answer,
        } {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) | Err(_) => return,
            Ok(Err(Error::Gone)) => break ENDED,
            Ok(Err(_)) => break FAILED,
        }
    };
    let frame = CloseFrame { code, reason: "".into() };
    // Fails if the client has gone.
    let _ = timeout(PATIENCE, socket.send(Message::Close(Some(frame)))).await;
}

async fn count(handle: &SessionHandle) -> Result<u64, Error> {
    let session = handle.open().await?;
    session.update(MESSAGES, |count| *count += 1)?;
    handle.commit(&session).await?;
    Ok(session.get(MESSAGES)?.unwrap_or_default())
}

/// `live`, then `ended` when the session has ended. Watching is no activity.
pub(crate) async fn events(session: Authenticated) -> impl IntoResponse {
    session.set_passive();
    let handle = session.handle();
    let event = |data| Ok::<_, Infallible>(Event::default().event("session").data(data));
    let ended = stream::once(async move {
        handle.ended().await;
        event("ended")
    });
    let events = Sse::new(stream::once(async move { event("live") }).chain(ended)).keep_alive(KeepAlive::default());
    // In place of what axum sets for a stream.
    ([(CACHE_CONTROL, "private, no-store")], events)
}
