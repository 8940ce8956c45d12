//! [`ReferenceHarness`]: the reference store as a backend of the suite, with servers that can be disrupted.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use session_core::store::SessionStore;
use session_core::{Namespace, SessionManager, StoreError, StoreErrorKind};

use crate::adapter::{AdapterHarness, Handler, HttpRequest, HttpResponse, TokenRequest};
use crate::core_adapter::CoreAdapter;
use crate::harness::{Capabilities, Harness};
use crate::intercept::{Intercept, Intercepted, StoreCall};
use crate::outcome::Failure;
use crate::reference::ReferenceStore;
use crate::service::{Disruption, Service};

/// The harness of [`ReferenceStore`], which the suite itself is tested with.
///
/// It keeps the store of each namespace, so it is shared, and durable as long as the harness lives.
#[derive(Debug, Default)]
pub struct ReferenceHarness {
    stores: Mutex<HashMap<Namespace, Arc<ReferenceStore>>>,
    adapter: Option<Arc<Watched>>,
}

impl ReferenceHarness {
    /// The reference store with `adapter` in front of it, in place of core's own steps.
    #[must_use]
    pub fn through(adapter: Arc<dyn AdapterHarness>) -> Self {
        Self { adapter: Some(Arc::new(Watched { adapter, is_used: AtomicBool::new(false) })), ..Self::default() }
    }

    /// Whether a case sent a request that the adapter answered.
    pub(crate) fn adapter_is_used(&self) -> bool {
        self.adapter.as_ref().is_some_and(|adapter| adapter.is_used.load(Ordering::Relaxed))
    }
}

#[async_trait]
impl Harness for ReferenceHarness {
    fn backend(&self) -> &'static str {
        "reference"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { durable: true, shared: true, disruptions: Disruption::ALL }
    }

    async fn open(&self, namespace: &Namespace) -> Result<Arc<dyn SessionStore>, Failure> {
        let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        let store: Arc<ReferenceStore> = Arc::clone(stores.entry(namespace.clone()).or_default());
        Ok(store)
    }

    async fn launch(&self, disruption: Disruption) -> Result<Box<dyn Service>, Failure> {
        Ok(Box::new(ReferenceService::new(disruption)))
    }

    fn adapter(&self) -> Arc<dyn AdapterHarness> {
        match &self.adapter {
            Some(adapter) => Arc::clone(adapter) as Arc<dyn AdapterHarness>,
            None => Arc::new(CoreAdapter),
        }
    }
}

/// Knows whether its adapter answered anything.
#[derive(Debug)]
struct Watched {
    adapter: Arc<dyn AdapterHarness>,
    is_used: AtomicBool,
}

#[async_trait]
impl AdapterHarness for Watched {
    fn adapter(&self) -> &'static str {
        self.adapter.adapter()
    }

    async fn send(
        &self,
        manager: SessionManager,
        request: HttpRequest,
        handler: Option<Handler>,
    ) -> Result<HttpResponse, Failure> {
        self.is_used.store(true, Ordering::Relaxed);
        self.adapter.send(manager, request, handler).await
    }

    fn has_token_routes(&self) -> bool {
        self.adapter.has_token_routes()
    }

    async fn send_token_request(
        &self,
        manager: SessionManager,
        request: TokenRequest,
    ) -> Result<HttpResponse, Failure> {
        self.is_used.store(true, Ordering::Relaxed);
        self.adapter.send_token_request(manager, request).await
    }
}

/// One store, and the connection of each node to it. Restarts, moves and failovers leave it as it is.
#[derive(Debug)]
pub(crate) struct ReferenceService {
    disruption: Disruption,
    pub(crate) store: Arc<ReferenceStore>,
    connections: Mutex<Vec<Connection>>,
}

impl ReferenceService {
    pub(crate) fn new(disruption: Disruption) -> Self {
        Self { disruption, store: Arc::default(), connections: Mutex::default() }
    }

    fn set(&self, state: ConnectionState) {
        for connection in self.connections.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            connection.set(state);
        }
    }
}

#[async_trait]
impl Service for ReferenceService {
    async fn open(&self, _namespace: &Namespace) -> Result<Arc<dyn SessionStore>, Failure> {
        let connection = Connection::default();
        self.connections.lock().unwrap_or_else(PoisonError::into_inner).push(connection.clone());
        Ok(Arc::new(Intercepted::new(Arc::clone(&self.store), connection)))
    }

    async fn begin(&self) -> Result<(), Failure> {
        match self.disruption {
            Disruption::Outage | Disruption::Freeze => self.set(ConnectionState::Down),
            Disruption::LostReply => self.set(ConnectionState::LosesNextReply),
            Disruption::Restart
            | Disruption::ForgetScripts
            | Disruption::ForeignTimeZone
            | Disruption::MoveShards
            | Disruption::Failover => {}
        }
        Ok(())
    }

    async fn end(&self) -> Result<(), Failure> {
        self.set(ConnectionState::Up);
        Ok(())
    }
}

/// Yields before and after each operation, as a network does.
#[derive(Clone, Debug, Default)]
struct Connection {
    state: Arc<Mutex<ConnectionState>>,
}

#[derive(Clone, Copy, Debug, Default)]
enum ConnectionState {
    #[default]
    Up,
    Down,
    LosesNextReply,
}

impl Connection {
    fn set(&self, state: ConnectionState) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// The state that the next operation meets.
    fn next(&self) -> ConnectionState {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let ConnectionState::LosesNextReply = *state { std::mem::take(&mut *state) } else { *state }
    }
}

impl Intercept for Connection {
    async fn intercept<T: Send>(
        &self,
        _call: StoreCall<'_>,
        execute: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let failed = |detail| StoreError::new(StoreErrorKind::Unavailable, detail);
        let state = self.next();
        tokio::task::yield_now().await;
        let result = match state {
            ConnectionState::Up => execute.await,
            ConnectionState::Down => Err(failed("the servers are down")),
            ConnectionState::LosesNextReply => execute.await.and(Err(failed("the reply was lost"))),
        };
        tokio::task::yield_now().await;
        result
    }
}
