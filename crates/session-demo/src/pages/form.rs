//! [`Form`].

use axum::extract::{FromRequest, Request};
use serde::de::DeserializeOwned;

use super::errors::PageError;

/// The fields of a form.
pub(super) struct Form<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Form<T> {
    type Rejection = PageError;

    async fn from_request(request: Request, state: &S) -> Result<Self, PageError> {
        let axum::Form(fields) = axum::Form::from_request(request, state).await.map_err(|_| PageError::Form)?;
        Ok(Self(fields))
    }
}
