//! What a reviewer has tried of DPoP over axum: each asserts what is promised.

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::middleware::from_extractor;
use axum::routing::{any, get as route};
use http::Request;
use serde_json::Value;
use session_core::{Policy, Timestamp};
use session_testbed::dpop::{DpopClient, Proved};
use session_tower::{Bearer, BearerLayer, Dpop};

use super::{Service, credentials};
use crate::common::{Answer, send};

const BASE: &str = "https://api.example";

async fn service(dpop: Dpop) -> Service {
    let of_routes = dpop.clone();
    let mut service = Service::with(Policy::standard(), |routes| routes.dpop(of_routes));
    let layer = || BearerLayer::new(std::sync::Arc::clone(&service.tokens)).dpop(dpop.clone());
    let other = Dpop::new(BASE).unwrap();
    let other = BearerLayer::new(std::sync::Arc::clone(&service.tokens)).dpop(other);
    let plain = BearerLayer::new(std::sync::Arc::clone(&service.tokens));
    let me = || route(|_: Bearer| async { "me" });
    let admin = any(|_: Bearer, Path(path): Path<String>| async move { format!("admin {path}") });
    let deep = Router::new().route("/me", me()).route("/{id}", me());
    let guarded = Router::new().route("/guarded", me()).layer(from_extractor::<Bearer>());
    let own = Router::new().route("/own", me()).layer(other).layer(from_extractor::<Bearer>());
    let under_plain = Router::new().route("/three", me()).layer(layer()).layer(plain).layer(from_extractor::<Bearer>());
    let bearer = Router::new()
        .route("/me", me())
        .route("/any", any(|_: Bearer| async { "any" }))
        .route("/users/{id}", me())
        .route("/admin/{*path}", admin)
        .nest("/a", Router::new().nest("/b", deep.clone()))
        .nest_service("/s", deep)
        .merge(guarded)
        .merge(own)
        .merge(under_plain)
        .layer(layer());
    service.app = Router::new().merge(bearer).fallback_service(service.app);
    service
}

async fn token(service: &Service, client: &DpopClient, nonce: Option<&str>) -> String {
    let at = service.site.manager.now();
    let proof = client.proof(&Proved { method: "POST", uri: "https://api.example/api/token", at, token: None, nonce });
    let answer = service.post_with("/api/token", &[("dpop", &proof)], credentials("alice").to_string()).await;
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    body["access_token"].as_str().unwrap_or_else(|| panic!("{body}")).to_owned()
}

#[derive(Clone, Copy)]
struct Call<'a> {
    method: &'a str,
    target: &'a str,
    htm: &'a str,
    htu: &'a str,
    nonce: Option<&'a str>,
}

async fn call(service: &Service, client: &DpopClient, token: &str, call: Call<'_>) -> Answer {
    let at: Timestamp = service.site.manager.now();
    let uri = format!("{BASE}{}", call.htu);
    let proof = client.proof(&Proved { method: call.htm, uri: &uri, at, token: Some(token), nonce: call.nonce });
    let request = Request::builder().method(call.method).uri(call.target);
    let request = request.header("dpop", proof).header("authorization", format!("DPoP {token}"));
    send(&service.app, request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn a_proof_is_for_the_path_that_is_served() {
    let service = service(Dpop::new(BASE).unwrap()).await;
    let client = DpopClient::new(1);
    let token = token(&service, &client, None).await;
    let mut wrong = Vec::new();
    for (method, target, htu, expected) in [
        ("GET", "/me", "/me", 200),
        ("GET", "/me?x=1&y[]=2", "/me", 200),
        ("GET", "https://api.example/me?x=1", "/me", 200),
        ("GET", "https://evil.example/me", "/me", 200),
        ("HEAD", "/me", "/me", 200),
        ("OPTIONS", "/any", "/any", 200),
        ("PURGE", "/any", "/any", 200),
        ("GET", "/a/b/me", "/a/b/me", 200),
        ("GET", "/s/me", "/s/me", 200),
        ("GET", "/a/b/x%20y", "/a/b/x%20y", 200),
        ("GET", "/a/b/x%2fy", "/a/b/x%2Fy", 200),
        ("GET", "/users/%61", "/users/a", 200),
        ("GET", "/users/auth0|5f7c", "/users/auth0|5f7c", 200),
        ("GET", "/users/auth0%7C5f7c", "/users/auth0%7C5f7c", 200),
        ("GET", "/guarded", "/guarded", 200),
        ("GET", "/own", "/own", 200),
        ("GET", "/three", "/three", 200),
        // What must not be served.
        ("GET", "/admin/../me", "/me", 401),
        ("GET", "/admin/%2e%2e/me", "/me", 401),
        ("GET", "/admin/%2e%2e/users/x", "/users/x", 401),
        ("GET", "/admin/x/%2e%2e/%2e%2e/me", "/me", 401),
    ] {
        let answer = call(&service, &client, &token, Call { method, target, htm: method, htu, nonce: None }).await;
        if answer.status != expected {
            wrong.push(format!(
                "{method} {target} as {htu}: {} {}",
                answer.status,
                String::from_utf8_lossy(&answer.body)
            ));
        }
    }
    for (method, htm) in [("HEAD", "GET"), ("GET", "HEAD"), ("GET", "get"), ("OPTIONS", "GET"), ("POST", "GET")] {
        let answer =
            call(&service, &client, &token, Call { method, target: "/any", htm, htu: "/any", nonce: None }).await;
        if answer.status != 401 {
            wrong.push(format!("{method} as {htm}: {}", answer.status));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn nonces_are_in_no_cache() {
    let service = service(Dpop::new(BASE).unwrap().nonces([1; 32]).unwrap()).await;
    let client = DpopClient::new(1);
    let nonce = Dpop::new(BASE).unwrap().nonces([1; 32]).unwrap().nonce(service.site.manager.now()).unwrap();
    let token = token(&service, &client, Some(&nonce)).await;
    let answer = call(
        &service,
        &client,
        &token,
        Call { method: "GET", target: "/me", htm: "GET", htu: "/me", nonce: Some(&nonce) },
    )
    .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.all("dpop-nonce").len(), 1);
    assert_eq!(answer.all("cache-control"), ["no-store"]);
}
