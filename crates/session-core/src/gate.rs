//! Whether a visitor may begin a session: [`VisitorGate`].

use std::fmt;

use async_trait::async_trait;

use crate::event::RequestContext;

/// Decides whether a visitor may begin a session, before the first values are stored: by the rate of its address, by consent, by
/// the result of a challenge.
///
/// The [limit](crate::VisitorLimit) bounds what all visitors take together. This keeps one of them from crowding out the others.
///
/// ```
/// use std::collections::HashMap;
/// use std::net::IpAddr;
/// use std::sync::Mutex;
///
/// use async_trait::async_trait;
/// use session_core::{RequestContext, VisitorDecision, VisitorGate};
///
/// /// Lets an address begin a hundred sessions; somebody else clears the map every minute.
/// #[derive(Debug, Default)]
/// struct HundredEach(Mutex<HashMap<IpAddr, u32>>);
///
/// #[async_trait]
/// impl VisitorGate for HundredEach {
///     async fn admit(&self, request: Option<&RequestContext>) -> VisitorDecision {
///         let Some(client) = request.and_then(|request| request.client) else { return VisitorDecision::Admit };
///         let mut begun = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
///         let begun = begun.entry(client).or_default();
///         *begun += 1;
///         if *begun > 100 { VisitorDecision::Refuse } else { VisitorDecision::Admit }
///     }
/// }
/// ```
#[async_trait]
pub trait VisitorGate: fmt::Debug + Send + Sync + 'static {
    /// Asked once for each visitor's session that is about to begin, when the request that wrote to it is committed; not for one
    /// that takes the place of a user's, with the values that a logout leaves. The response waits for the answer. `request` is
    /// the one it happens in; `None` where the application commits outside of a request.
    async fn admit(&self, request: Option<&RequestContext>) -> VisitorDecision;
}

/// The answer of a [`VisitorGate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VisitorDecision {
    /// The session begins.
    Admit,
    /// Nothing is stored, and the request fails with [`Error::VisitorRefused`](crate::Error::VisitorRefused).
    Refuse,
}
