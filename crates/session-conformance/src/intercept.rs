//! [`Intercepted`]: a store with a hook around every operation.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;

use async_trait::async_trait;
use session_core::store::{
    Count, CreateOutcome, CreateRequest, Cursor, Freshness, Listing, Page, Record, SessionStore, TouchOutcome,
    UpdateOutcome, Version,
};
use session_core::{DeleteOutcome, SessionId, StoreError, Timestamp, UserId};

/// What happens around every operation of an [`Intercepted`] store.
pub trait Intercept: fmt::Debug + Send + Sync + 'static {
    /// Takes the place of an operation. `execute` is the operation on the store itself: it is executed when awaited, and
    /// not at all if dropped before.
    fn intercept<T: Send>(
        &self,
        call: StoreCall<'_>,
        execute: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> impl Future<Output = Result<T, StoreError>> + Send;

    /// What `load` returns in place of `record`: the same, unless implemented.
    fn loaded(&self, record: Option<Record>) -> Option<Record> {
        record
    }
}

/// An operation that is intercepted.
#[derive(Clone, Copy, Debug)]
pub struct StoreCall<'a> {
    /// The name of the method: `load`, `delete_by_user`.
    pub operation: &'static str,
    /// What `create` or `update` writes.
    pub written: Option<&'a Record>,
    /// How fresh the answer of `load` must be.
    pub freshness: Option<Freshness>,
}

/// A store with a hook around every operation: the part that is common to test doubles that count, record, delay or fail.
///
/// ```
/// use std::sync::atomic::{AtomicBool, Ordering};
///
/// use session_conformance::{Intercept, Intercepted, ReferenceStore, StoreCall};
/// use session_core::store::{Freshness, SessionStore};
/// use session_core::{OsEntropy, SessionId, StoreError, StoreErrorKind};
///
/// #[derive(Debug, Default)]
/// struct Switch {
///     is_off: AtomicBool,
/// }
///
/// impl Intercept for Switch {
///     async fn intercept<T: Send>(
///         &self,
///         _call: StoreCall<'_>,
///         execute: impl Future<Output = Result<T, StoreError>> + Send,
///     ) -> Result<T, StoreError> {
///         if self.is_off.load(Ordering::SeqCst) {
///             return Err(StoreError::new(StoreErrorKind::Unavailable, "switched off"));
///         }
///         execute.await
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let store = Intercepted::new(ReferenceStore::new(), Switch::default());
/// let id = SessionId::generate(None, &OsEntropy).unwrap();
/// assert!(store.load(&id, Freshness::Latest).await.is_ok());
/// store.hook().is_off.store(true, Ordering::SeqCst);
/// assert!(store.load(&id, Freshness::Latest).await.is_err());
/// # });
/// ```
#[derive(Debug)]
pub struct Intercepted<H> {
    store: Arc<dyn SessionStore>,
    hook: H,
}

impl<H: Intercept> Intercepted<H> {
    /// `store` with `hook` around every operation.
    #[must_use]
    pub fn new(store: impl SessionStore, hook: H) -> Self {
        Self { store: Arc::new(store), hook }
    }

    /// The hook.
    #[must_use]
    pub fn hook(&self) -> &H {
        &self.hook
    }

    /// The store without the hook.
    #[must_use]
    pub fn store(&self) -> &dyn SessionStore {
        self.store.as_ref()
    }

    async fn call<T: Send>(
        &self,
        operation: &'static str,
        execute: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        self.hook.intercept(StoreCall { operation, written: None, freshness: None }, execute).await
    }
}

#[async_trait]
impl<H: Intercept> SessionStore for Intercepted<H> {
    fn name(&self) -> &'static str {
        self.store.name()
    }

    async fn load(&self, id: &SessionId, freshness: Freshness) -> Result<Option<Record>, StoreError> {
        let call = StoreCall { operation: "load", written: None, freshness: Some(freshness) };
        Ok(self.hook.loaded(self.hook.intercept(call, self.store.load(id, freshness)).await?))
    }

    async fn create(&self, request: CreateRequest<'_>, now: Timestamp) -> Result<CreateOutcome, StoreError> {
        let call = StoreCall { operation: "create", written: Some(request.record), freshness: None };
        self.hook.intercept(call, self.store.create(request, now)).await
    }

    async fn update(&self, record: &Record, expected: Version, now: Timestamp) -> Result<UpdateOutcome, StoreError> {
        let call = StoreCall { operation: "update", written: Some(record), freshness: None };
        self.hook.intercept(call, self.store.update(record, expected, now)).await
    }

    async fn touch(&self, id: &SessionId, user: Option<&UserId>, now: Timestamp) -> Result<TouchOutcome, StoreError> {
        self.call("touch", self.store.touch(id, user, now)).await
    }

    async fn delete(&self, id: &SessionId, user: Option<&UserId>) -> Result<DeleteOutcome, StoreError> {
        self.call("delete", self.store.delete(id, user)).await
    }

    async fn list_by_user(&self, user: &UserId, now: Timestamp) -> Result<Listing, StoreError> {
        self.call("list_by_user", self.store.list_by_user(user, now)).await
    }

    async fn delete_by_user(
        &self,
        user: &UserId,
        keep: Option<&SessionId>,
        now: Timestamp,
    ) -> Result<Listing, StoreError> {
        self.call("delete_by_user", self.store.delete_by_user(user, keep, now)).await
    }

    async fn list_all(&self, after: Option<&Cursor>, limit: NonZeroU32, now: Timestamp) -> Result<Page, StoreError> {
        self.call("list_all", self.store.list_all(after, limit, now)).await
    }

    async fn count(&self, now: Timestamp) -> Result<Count, StoreError> {
        self.call("count", self.store.count(now)).await
    }

    async fn delete_expired(&self, now: Timestamp, limit: NonZeroU32) -> Result<u64, StoreError> {
        self.call("delete_expired", self.store.delete_expired(now, limit)).await
    }
}
