//! What a reviewer has tried of DPoP over actix-web: each asserts what is promised.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use actix_web::{App, web};
use async_trait::async_trait;
use serde_json::Value;
use session_actix::{Bearer, BearerAuth, Dpop, LiveBearer, TokenRoutes};
use session_conformance::ReferenceStore;
use session_core::store::{
    Count, CreateOutcome, CreateRequest, Cursor, Freshness, Listing, Page, Record, SessionStore, TouchOutcome,
    UpdateOutcome, Version,
};
use session_core::{DeleteOutcome, Policy, SessionId, SessionManager, StoreError, Timestamp, UserId};
use session_testbed::dpop::{DpopClient, Proved};

use super::{Service, credentials};
use crate::common::{request, send, serve};

/// A store that is somewhere else: it answers a little later.
#[derive(Debug)]
struct Far(ReferenceStore);

#[async_trait]
impl SessionStore for Far {
    fn name(&self) -> &'static str {
        "far"
    }
    async fn load(&self, id: &SessionId, freshness: Freshness) -> Result<Option<Record>, StoreError> {
        self.0.load(id, freshness).await
    }
    async fn create(&self, request: CreateRequest<'_>, now: Timestamp) -> Result<CreateOutcome, StoreError> {
        tokio::time::sleep(Duration::from_millis(2)).await;
        self.0.create(request, now).await
    }
    async fn update(&self, record: &Record, expected: Version, now: Timestamp) -> Result<UpdateOutcome, StoreError> {
        self.0.update(record, expected, now).await
    }
    async fn touch(&self, id: &SessionId, user: Option<&UserId>, now: Timestamp) -> Result<TouchOutcome, StoreError> {
        self.0.touch(id, user, now).await
    }
    async fn delete(&self, id: &SessionId, user: Option<&UserId>) -> Result<DeleteOutcome, StoreError> {
        self.0.delete(id, user).await
    }
    async fn list_by_user(&self, user: &UserId, now: Timestamp) -> Result<Listing, StoreError> {
        self.0.list_by_user(user, now).await
    }
    async fn delete_by_user(
        &self,
        user: &UserId,
        keep: Option<&SessionId>,
        now: Timestamp,
    ) -> Result<Listing, StoreError> {
        self.0.delete_by_user(user, keep, now).await
    }
    async fn list_all(&self, after: Option<&Cursor>, limit: NonZeroU32, now: Timestamp) -> Result<Page, StoreError> {
        self.0.list_all(after, limit, now).await
    }
    async fn count(&self, now: Timestamp) -> Result<Count, StoreError> {
        self.0.count(now).await
    }
    async fn delete_expired(&self, now: Timestamp, limit: NonZeroU32) -> Result<u64, StoreError> {
        self.0.delete_expired(now, limit).await
    }
}

#[actix_web::test]
async fn extractors_of_one_handler_run_at_the_same_time() {
    let mut service = Service::with(Policy::standard(), |routes| routes).await;
    let far = SessionManager::builder(Arc::new(Far(ReferenceStore::new()))).clock(service.site.clock.clone()).build();
    let dpop = Dpop::new("https://api.example").unwrap().replays_in(far);
    let routes = TokenRoutes::new(Arc::clone(&service.tokens), service.book.clone()).dpop(dpop.clone());
    let auth = BearerAuth::new(Arc::clone(&service.tokens)).dpop(dpop);
    let app = App::new().service(web::scope("/api").configure(routes.configure())).service(
        web::scope("")
            .wrap(auth)
            .route("/one", web::get().to(async |_: Bearer| "one"))
            .route("/both", web::get().to(async |_: Bearer, _: LiveBearer| "both"))
            .route("/users/{id}", web::get().to(async |_: Bearer| "user"))
            .route("/admin/{path:.*}", web::get().to(async |_: Bearer| "admin")),
    );
    service.app = serve(app).await;
    let client = DpopClient::new(1);
    let at = service.site.manager.now();
    let uri = "https://api.example/api/token";
    let proof = client.proof(&Proved { method: "POST", uri, at, token: None, nonce: None });
    let answer = service.post_with("/api/token", &[("dpop", &proof)], credentials("alice").to_string()).await;
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    let token = body["access_token"].as_str().unwrap();
    let mut statuses = Vec::new();
    for (path, htu) in [
        ("/one", "/one"),
        ("/both", "/both"),
        ("/users/auth0|1", "/users/auth0|1"),
        ("/admin/../one", "/one"),
        ("/admin/%2e%2e/one", "/one"),
        ("/users/%61?x=1", "/users/a"),
    ] {
        let uri = format!("https://api.example{htu}");
        let proof = client.proof(&Proved { method: "GET", uri: &uri, at, token: Some(token), nonce: None });
        let request = request("GET", path, "").append_header(("dpop", proof));
        let answer = send(&service.app, request.append_header(("authorization", format!("DPoP {token}")))).await;
        statuses.push((path, answer.status.as_u16()));
    }
    assert_eq!(statuses.iter().map(|one| one.1).collect::<Vec<_>>(), [200, 200, 200, 401, 401, 200], "{statuses:?}");
}
