//! Bodies: nobody keeps a connection open without sending one, and none is larger than it may be.

use std::io;
use std::pin::Pin;
use std::time::Duration;

use actix_web::body::{BodySize, BodyStream, BoxBody, MessageBody, SizedStream};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header::UPGRADE;
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::web::{self, Bytes, BytesMut};
use actix_web::{Error, FromRequest, HttpMessage as _, HttpRequest, ResponseError as _};
use futures::stream::{self, StreamExt as _};
use serde::de::DeserializeOwned;
use tokio::time::{sleep, timeout_at};

use crate::error::ApiError;

/// How long a body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(30);
/// The largest body.
const MAX_BODY: usize = 64 * 1024;
/// How much of a larger one is read, and thrown away.
const MAX_DISCARDED: usize = 8 * 1024 * 1024;
/// The time for an answer to arrive before the connection is cut.
const FAREWELL: Duration = Duration::from_secs(1);

/// Reads the whole body before anything else is done, so that a large or slow one waits for nothing, and occupies nothing.
pub(crate) async fn read_body(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse, Error> {
    // What follows the head of a WebSocket's handshake is no body. If it is refused, nothing may follow.
    if is_handshake(&request) {
        let response = next.call(request).await?.map_into_boxed_body();
        return Ok(if response.status() == StatusCode::SWITCHING_PROTOCOLS { response } else { ending(response) });
    }
    match collect(request.take_payload()).await {
        Collected::Whole(body) => {
            request.set_payload(Payload::from(body));
            next.call(request).await.map(ServiceResponse::map_into_boxed_body)
        }
        Collected::TooLarge => Ok(request.into_response(ApiError::BodyTooLarge.error_response())),
        Collected::TooLargeToRead => Ok(ending(request.into_response(ApiError::BodyTooLarge.error_response()))),
        Collected::TooSlow => Ok(ending(request.into_response(ApiError::RequestTimeout.error_response()))),
    }
}

fn is_handshake(request: &ServiceRequest) -> bool {
    let upgrade = request.headers().get(UPGRADE).and_then(|value| value.to_str().ok());
    *request.method() == Method::GET && upgrade.is_some_and(|value| value.eq_ignore_ascii_case("websocket"))
}

enum Collected {
    Whole(Bytes),
    /// It was read to its end all the same: a client that still writes might not read the answer.
    TooLarge,
    /// Not even that. The rest is not read.
    TooLargeToRead,
    TooSlow,
}

async fn collect(mut chunks: Payload) -> Collected {
    let deadline = sleep(PATIENCE).deadline();
    let (mut collected, mut length) = (BytesMut::new(), 0);
    loop {
        match timeout_at(deadline, chunks.next()).await {
            Ok(None) if length <= MAX_BODY => return Collected::Whole(collected.freeze()),
            Ok(None) => return Collected::TooLarge,
            Ok(Some(Ok(chunk))) => {
                length += chunk.len();
                if length <= MAX_BODY {
                    collected.extend_from_slice(&chunk);
                } else if length <= MAX_DISCARDED {
                    collected = BytesMut::new();
                } else {
                    return Collected::TooLargeToRead;
                }
            }
            // It broke off, or does not come to its end.
            Ok(Some(Err(_))) | Err(_) if length > MAX_BODY => return Collected::TooLargeToRead,
            Ok(Some(Err(_))) | Err(_) => return Collected::TooSlow,
        }
    }
}

/// The answer, and then the end of the connection: actix-web would go on reading a chunked body, which may never end.
fn ending(response: ServiceResponse) -> ServiceResponse {
    response.map_body(|_, mut body| {
        let size = body.size();
        let chunks = stream::poll_fn(move |context| Pin::new(&mut body).poll_next(context));
        let end = async {
            sleep(FAREWELL).await;
            Err(io::Error::other("the body was not read to its end").into())
        };
        let chunks = Box::pin(chunks.chain(stream::once(end)));
        match size {
            BodySize::None => BoxBody::new(()),
            BodySize::Sized(length) => BoxBody::new(SizedStream::new(length, chunks)),
            BodySize::Stream => BoxBody::new(BodyStream::new(chunks)),
        }
    })
}

/// A body of JSON, whatever its `Content-Type`.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest for Json<T> {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        // As it was sent: `Bytes` would decompress it.
        let body = web::Payload::from_request(request, payload);
        Box::pin(async move {
            let body = body.await.map_err(|_| ApiError::InvalidBody)?.to_bytes_limited(MAX_BODY).await;
            // One that did not arrive is no JSON either.
            let body = body.map_err(|_| ApiError::BodyTooLarge)?.map_err(|_| ApiError::InvalidBody)?;
            serde_json::from_slice(&body).map(Self).map_err(|_| ApiError::InvalidBody)
        })
    }
}
