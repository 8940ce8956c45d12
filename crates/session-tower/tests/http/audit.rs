//! What events say of the request they happened in.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use http::StatusCode;
use session_conformance::ReferenceStore;
use session_core::{Event, EventKind, Policy, RequestContext, SessionManager, VisitorDecision, VisitorGate};
use session_tower::{RequestInfo, SessionLayer};
use tokio::sync::broadcast;

use crate::common::{call, routes};

/// Refuses every visitor, and remembers the requests.
#[derive(Clone, Debug, Default)]
struct Closed(Arc<Mutex<Vec<RequestContext>>>);

#[async_trait]
impl VisitorGate for Closed {
    async fn admit(&self, request: Option<&RequestContext>) -> VisitorDecision {
        self.0.lock().unwrap().extend(request.cloned());
        VisitorDecision::Refuse
    }
}

#[tokio::test]
async fn the_application_says_who_sent_a_request_and_by_which_id_it_is_known() {
    let (events, mut audit) = broadcast::channel::<Event>(16);
    let gate = Closed::default();
    let builder = SessionManager::builder(Arc::new(ReferenceStore::new())).policy(Policy::standard());
    let manager = builder.observer(events).visitor_gate(gate.clone()).build();
    let info = async |mut request: Request, next: Next| {
        let info = RequestInfo::new()
            .client("::ffff:192.0.2.1".parse().unwrap())
            .request_id("r-\n1")
            .path(request.uri().path());
        request.extensions_mut().insert(info);
        next.run(request).await
    };
    let app = Router::new().nest("/shop", routes().layer(SessionLayer::new(manager))).layer(from_fn(info));

    let refused = call(&app, "POST", "/shop/count", "").await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.text(), r#"{"error":"visitor_refused"}"#);
    assert_eq!(refused.all("set-cookie"), [""; 0]);
    let event = audit.try_recv().unwrap();
    assert_eq!(event.kind, EventKind::VisitorRefused);
    for context in [&**event.request.as_ref().unwrap(), &gate.0.lock().unwrap()[0]] {
        assert_eq!((&*context.method, &*context.path), ("POST", "/shop/count"));
        assert_eq!(context.client, Some([192, 0, 2, 1].into()), "an IPv4 address is one");
        assert_eq!(context.request_id.as_deref(), Some("r-\u{fffd}1"), "nothing that breaks a log line");
    }
}
