//! An issuer's server, an HTTP client that asks it, and a verifier with a clock.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use session_core::ManualClock;
use session_jwt::{
    Algorithm, BoxError, FetchError, FetchJwks, FetchLimits, JwksDocument, RemoteVerifier, RemoteVerifyError, Verifier,
    VerifyError, VerifyingKeys,
};
use tokio::sync::Semaphore;

use crate::common::{Claims, Forge, encode, header, now, policy};

pub(crate) const URL: &str = "https://login.example/jwks.json";
pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// What the issuer's server does.
#[derive(Clone, Debug)]
pub(crate) enum Server {
    /// A document, and its `Cache-Control`.
    Serves(String, Option<&'static str>),
    /// An error.
    Fails,
    /// No response, ever.
    Hangs,
    /// A body of this many bytes, one chunk of 1000 after the other, whatever the reader says.
    Floods(usize),
    /// The client has a bug.
    Panics,
}

#[derive(Clone, Debug)]
pub(crate) struct Client(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    server: Mutex<Server>,
    fetches: AtomicUsize,
    /// Each response takes one.
    permits: Semaphore,
}

impl Client {
    pub(crate) fn new(server: Server) -> Self {
        let permits = Semaphore::new(Semaphore::MAX_PERMITS);
        Self(Arc::new(Shared { server: Mutex::new(server), fetches: AtomicUsize::new(0), permits }))
    }

    pub(crate) fn becomes(&self, server: Server) {
        *self.0.server.lock().unwrap() = server;
    }

    pub(crate) fn fetches(&self) -> usize {
        self.0.fetches.load(Ordering::SeqCst)
    }

    /// Responses wait until [`open`](Self::open).
    pub(crate) fn close(&self) {
        self.0.permits.forget_permits(Semaphore::MAX_PERMITS);
    }

    pub(crate) fn open(&self) {
        self.0.permits.add_permits(1_000_000);
    }
}

#[async_trait]
impl FetchJwks for Client {
    async fn fetch(&self, url: &str, document: &mut JwksDocument) -> Result<(), BoxError> {
        assert_eq!(url, URL);
        self.0.fetches.fetch_add(1, Ordering::SeqCst);
        self.0.permits.acquire().await?.forget();
        let server = self.0.server.lock().unwrap().clone();
        match server {
            Server::Serves(body, cache_control) => {
                cache_control.into_iter().for_each(|value| document.cache_control(value));
                let (start, end) = body.as_bytes().split_at(body.len() / 2);
                document.push(start)?;
                document.push(end)?;
            }
            Server::Fails => return Err("connection refused".into()),
            Server::Hangs => std::future::pending().await,
            Server::Floods(bytes) => (0..bytes / 1000).for_each(|_| drop(document.push(&[b' '; 1000]))),
            Server::Panics => panic!("a bug of the client"),
        }
        Ok(())
    }
}

pub(crate) fn forge(number: u8) -> Forge {
    Forge::new(Algorithm::EdDsa, number)
}

pub(crate) fn document(numbers: &[u8]) -> String {
    let entries: Vec<String> = numbers
        .iter()
        .map(|number| {
            let document = forge(*number).ring().jwks(now()).to_json();
            document[r#"{"keys":["#.len()..document.len() - 2].to_owned()
        })
        .collect();
    format!(r#"{{"keys":[{}]}}"#, entries.join(","))
}

pub(crate) fn serves(numbers: &[u8]) -> Server {
    Server::Serves(document(numbers), None)
}

pub(crate) fn token(number: u8) -> String {
    forge(number).good()
}

/// What an attacker writes, who has no key.
pub(crate) fn forged(kid: &str) -> String {
    let segments = [header("EdDSA", kid, "at+jwt"), Claims::good().json(), "s".repeat(64)];
    segments.map(encode).join(".")
}

pub(crate) struct Bed {
    pub(crate) client: Client,
    pub(crate) clock: ManualClock,
    pub(crate) verifier: RemoteVerifier,
}

impl Bed {
    pub(crate) fn new(server: Server) -> Self {
        Self::with(server, FetchLimits::default())
    }

    pub(crate) fn with(server: Server, limits: FetchLimits) -> Self {
        let (client, clock) = (Client::new(server), ManualClock::new(now()));
        let verifier = Verifier::for_issuer(policy(), VerifyingKeys::none());
        let verifier = RemoteVerifier::new(verifier, URL, client.clone()).unwrap();
        Self { verifier: verifier.with_limits(limits).with_clock(clock.clone()), client, clock }
    }

    /// Whether the token of this key is accepted, but for its age: the clock is moved by more than its lifetime.
    pub(crate) async fn knows(&self, number: u8) -> bool {
        match self.verifier.verify(token(number)).await {
            Ok(_) | Err(RemoteVerifyError::Token(VerifyError::Expired)) => true,
            Err(RemoteVerifyError::Token(VerifyError::Key)) => false,
            Err(other) => panic!("{other:?}"),
        }
    }

    pub(crate) async fn keys_error(&self, number: u8) -> FetchError {
        let error = self.verifier.verify(token(number)).await.unwrap_err();
        let RemoteVerifyError::Keys(error) = error else { panic!("{error:?}") };
        error
    }

    /// Lets what goes on in the background end.
    pub(crate) async fn settle(&self) {
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
    }
}
