//! What goes on after the response: a WebSocket and a stream of events, each of which follows its session.

use std::pin::pin;
use std::time::Duration;

use actix_web::http::Method;
use actix_web::web::{Bytes, Payload};
use actix_web::{Error, HttpRequest, HttpResponse, rt};
use actix_ws::{AggregatedMessage, AggregatedMessageStream, CloseCode, CloseReason};
use futures::stream;
use session_actix::Authenticated;
use session_core::{Key, SessionHandle};
use tokio::time::timeout;

use crate::error::ApiError;

/// Counts the messages of the session's sockets.
const MESSAGES: Key<u64> = Key::new("ws");
/// The session has ended. The codes from 4000 on are the application's.
const ENDED: CloseCode = CloseCode::Other(4401);
/// How long a client may take to receive an answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest message, in bytes.
const MAX_MESSAGE: usize = 4096;
/// How often a stream without news says that it is alive.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Each text message is activity, and is answered with how many there were.
pub(crate) async fn socket(
    session: Authenticated,
    request: HttpRequest,
    body: Payload,
) -> Result<HttpResponse, ApiError> {
    let handle = session.handle();
    let (response, socket, messages) = actix_ws::handle(&request, body).map_err(|_| ApiError::InvalidHandshake)?;
    // A message in several frames is one message, and no longer than another.
    let messages = messages.max_frame_size(MAX_MESSAGE).aggregate_continuations().max_continuation_size(MAX_MESSAGE);
    rt::spawn(serve(socket, messages, handle));
    Ok(response)
}

async fn serve(mut socket: actix_ws::Session, mut messages: AggregatedMessageStream, handle: SessionHandle) {
    let mut ended = pin!(handle.ended());
    let code = loop {
        let message = tokio::select! {
            () = &mut ended => break ENDED,
            message = messages.recv() => message,
        };
        let answer = async {
            match message {
                Some(Ok(AggregatedMessage::Text(_))) => match count(&handle).await {
                    Ok(count) => socket.text(count.to_string()).await.map_err(|_| None),
                    Err(session_core::Error::Gone) => Err(Some(ENDED)),
                    Err(_) => Err(Some(CloseCode::Error)),
                },
                Some(Ok(AggregatedMessage::Ping(data))) => socket.pong(&data).await.map_err(|_| None),
                Some(Ok(AggregatedMessage::Binary(_) | AggregatedMessage::Pong(_))) => Ok(()),
                Some(Ok(AggregatedMessage::Close(_))) => Err(Some(CloseCode::Normal)),
                Some(Err(_)) | None => Err(None),
            }
        };
        // A client that does not read is not waited for either.
        match tokio::select! {
            () = &mut ended => break ENDED,
            answer = timeout(PATIENCE, answer) => answer,
        } {
            Ok(Ok(())) => {}
            Ok(Err(Some(code))) => break code,
            Ok(Err(None)) | Err(_) => return,
        }
    };
    // Fails if the client has gone.
    let _ = timeout(PATIENCE, socket.close(Some(CloseReason { code, description: None }))).await;
}

async fn count(handle: &SessionHandle) -> Result<u64, session_core::Error> {
    let session = handle.open().await?;
    session.update(MESSAGES, |count| *count += 1)?;
    handle.commit(&session).await?;
    Ok(session.get(MESSAGES)?.unwrap_or_default())
}

/// `live`, then `ended` when the session has ended. Watching is no activity.
pub(crate) async fn events(session: Authenticated, request: HttpRequest) -> HttpResponse {
    session.set_passive();
    let handle = session.handle();
    let mut response = HttpResponse::Ok();
    response.content_type("text/event-stream");
    if *request.method() == Method::HEAD {
        return response.finish();
    }
    let ended = Box::pin(async move { handle.ended().await });
    let begin = (Some("event: session\ndata: live\n\n"), Some(ended));
    let events = stream::unfold(begin, async |(next, ended)| {
        if let Some(event) = next {
            return Some((event, (None, ended)));
        }
        let mut ended = ended?;
        tokio::select! {
            () = &mut ended => Some(("event: session\ndata: ended\n\n", (None, None))),
            () = tokio::time::sleep(KEEP_ALIVE) => Some((":\n\n", (None, Some(ended)))),
        }
    });
    let events = futures::StreamExt::map(events, |event| Ok::<_, Error>(Bytes::from_static(event.as_bytes())));
    response.streaming(events)
}
