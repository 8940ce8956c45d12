//! The edge to an HTTP client: [`FetchJwks`], what it fills, and why a fetch failed.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::keys::error::KeyError;

/// The longest document, in bytes. A hundred RSA keys with their certificates need less.
pub(super) const MAX_LEN: usize = 512 * 1024;

/// Fetches a JWKS document with the HTTP client of your choice, for [`RemoteVerifier`](crate::RemoteVerifier).
///
/// The client verifies the certificate of the server. It does not follow redirects, or only to `https`: whoever answers
/// chooses the keys. There is no need for a time limit, a cache or retries.
///
/// With `hyper-util`; the connector is that of `hyper-rustls`, for example:
///
/// ```
/// use async_trait::async_trait;
/// use http_body_util::{BodyExt, Empty};
/// use hyper_util::client::legacy::{Client, connect::Connect};
/// use session_jwt::{BoxError, FetchJwks, JwksDocument};
///
/// #[derive(Debug)]
/// struct HyperFetch<C>(Client<C, Empty<bytes::Bytes>>);
///
/// #[async_trait]
/// impl<C: Connect + Clone + std::fmt::Debug + Send + Sync + 'static> FetchJwks for HyperFetch<C> {
///     async fn fetch(&self, url: &str, document: &mut JwksDocument) -> Result<(), BoxError> {
///         let response = self.0.get(url.parse()?).await?;
///         if response.status() != 200 {
///             return Err(format!("status {}", response.status()).into());
///         }
///         if let Some(header) = response.headers().get("cache-control") {
///             document.cache_control(header.to_str().unwrap_or_default());
///         }
///         let mut body = response.into_body();
///         while let Some(frame) = body.frame().await {
///             if let Ok(chunk) = frame?.into_data() {
///                 document.push(&chunk)?; // stops when the document is too long
///             }
///         }
///         Ok(())
///     }
/// }
/// ```
#[async_trait]
pub trait FetchJwks: fmt::Debug + Send + Sync + 'static {
    /// Fetches `url`, once, and writes the body of the response to `document`, with the value of its `Cache-Control`.
    ///
    /// # Errors
    /// If there is no response, its status is not 200, its body ends early, or [`JwksDocument::push`] fails. What was
    /// written is dropped then.
    async fn fetch(&self, url: &str, document: &mut JwksDocument) -> Result<(), BoxError>;
}

/// The error of an HTTP client.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// What [`FetchJwks::fetch`] fills. It holds at most 512 KiB.
#[derive(Default)]
pub struct JwksDocument {
    body: Vec<u8>,
    is_too_long: bool,
    cache_control: String,
}

impl JwksDocument {
    /// Appends a part of the body.
    ///
    /// # Errors
    /// [`FetchError::TooLong`]: stop reading.
    pub fn push(&mut self, chunk: &[u8]) -> Result<(), FetchError> {
        if chunk.len() > MAX_LEN - self.body.len() {
            self.is_too_long = true;
            return Err(FetchError::TooLong);
        }
        self.body.extend_from_slice(chunk);
        Ok(())
    }

    /// A `Cache-Control` header of the response; it may have several.
    pub fn cache_control(&mut self, value: &str) {
        self.cache_control.push_str(value);
        self.cache_control.push(',');
    }

    /// The whole body, and what the headers said.
    pub(super) fn into_parts(self) -> Result<(Vec<u8>, String), FetchError> {
        if self.is_too_long { Err(FetchError::TooLong) } else { Ok((self.body, self.cache_control)) }
    }

    pub(super) fn is_too_long(&self) -> bool {
        self.is_too_long
    }
}

impl fmt::Debug for JwksDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwksDocument").field("len", &self.body.len()).finish_non_exhaustive()
    }
}

/// Why there are no new keys. Says nothing about a token.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The HTTP client failed.
    #[error("the JWKS document could not be fetched")]
    Failed(#[source] Arc<dyn StdError + Send + Sync>),
    /// There was no complete response within [`FetchLimits::timeout`](crate::FetchLimits::timeout).
    #[error("the JWKS document was not fetched in time")]
    TimedOut,
    /// The document is longer than 512 KiB.
    #[error("the JWKS document is longer than {MAX_LEN} bytes")]
    TooLong,
    /// The response is no JWKS document, or has no key that can be used.
    #[error("the response holds no keys")]
    Keys(#[from] KeyError),
    /// The task of the fetch ended without a result: the client panicked, or there is no Tokio runtime.
    #[error("the fetch of the JWKS document was aborted")]
    Aborted,
}
