//! The operations of [`BrokenStore`].

use std::num::NonZeroU32;

use async_trait::async_trait;
use session_core::store::{
    CreateOutcome, CreateRequest, Freshness, Record, SessionStore, TouchOutcome, UpdateOutcome, Version,
};
use session_core::{DeleteOutcome, SessionId, SessionSummary, StoreError, Timestamp, UserId};

use super::base::BrokenStore;

#[async_trait]
impl SessionStore for BrokenStore {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    async fn load(&self, id: &SessionId, _freshness: Freshness) -> Result<Option<Record>, StoreError> {
        self.load_broken(id).await
    }

    async fn create(&self, request: CreateRequest<'_>, now: Timestamp) -> Result<CreateOutcome, StoreError> {
        self.create_broken(request, self.time(now)).await
    }

    async fn update(&self, record: &Record, expected: Version, now: Timestamp) -> Result<UpdateOutcome, StoreError> {
        self.update_broken(record, expected, self.time(now)).await
    }

    async fn touch(&self, id: &SessionId, _user: Option<&UserId>, now: Timestamp) -> Result<TouchOutcome, StoreError> {
        self.touch_broken(id, now).await
    }

    async fn delete(&self, id: &SessionId, user: Option<&UserId>) -> Result<DeleteOutcome, StoreError> {
        self.delete_broken(id, user).await
    }

    async fn list_by_user(&self, user: &UserId, now: Timestamp) -> Result<Vec<SessionSummary>, StoreError> {
        self.list_broken(user, self.time(now)).await
    }

    async fn delete_by_user(&self, user: &UserId, keep: Option<&SessionId>) -> Result<Vec<SessionId>, StoreError> {
        self.delete_by_user_broken(user, keep).await
    }

    async fn delete_expired(&self, now: Timestamp, limit: NonZeroU32) -> Result<u64, StoreError> {
        self.delete_expired_broken(self.time(now), limit).await
    }
}
