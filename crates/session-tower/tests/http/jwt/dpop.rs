//! Tokens that are bound to the key of their client (DPoP, RFC 9449). What is refused and why is tested in session-jwt.

use axum::Router;
use axum::body::Body;
use axum::routing::get as route;
use http::Request;
use serde_json::{Value, json};
use session_core::{Policy, Timestamp};
use session_testbed::dpop::{DpopClient, Proved};
use session_tower::{Bearer, BearerLayer, Dpop, DpopMode, LiveBearer};

use super::{Service, assert_refused, bearer_routes, credentials};
use crate::common::{Answer, send};

const BASE: &str = "https://api.example";

/// A service whose tokens are bound as `dpop` says; its bearer routes are behind a scope `/v1`, too.
async fn service(dpop: Dpop) -> Service {
    let of_routes = dpop.clone();
    let mut service = Service::with(Policy::standard(), |routes| routes.dpop(of_routes));
    let layer = BearerLayer::new(std::sync::Arc::clone(&service.tokens)).dpop(dpop);
    let both = route(|_: Bearer, _: LiveBearer, _: Option<Bearer>| async { "both" });
    let routes = bearer_routes().route("/both", both);
    // A layer around a layer, as where an application has one for all and one for some.
    let bearer = routes.clone().nest("/v1", routes.layer(layer.clone())).layer(layer);
    service.app = Router::new().merge(bearer).fallback_service(service.app);
    service
}

/// Its headers beside a proof of `client`.
fn headers(service: &Service, client: &DpopClient, proved: Proved<'_>, scheme: &str) -> Vec<(&'static str, String)> {
    let proof = client.proof(&Proved { at: service.site.manager.now(), ..proved });
    let authorization = proved.token.map(|token| ("authorization", format!("{scheme} {token}")));
    [Some(("dpop", proof)), authorization].into_iter().flatten().collect()
}

fn of<'a>(method: &'a str, uri: &'a str) -> Proved<'a> {
    Proved { method, uri, at: Timestamp::from_millis(0), token: None, nonce: None }
}

async fn post(service: &Service, path: &str, headers: &[(&'static str, String)], body: &Value) -> Answer {
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    service.post_with(path, &headers, body.to_string()).await
}

async fn get(service: &Service, path: &str, headers: &[(&'static str, String)]) -> Answer {
    let request =
        headers.iter().fold(Request::builder().uri(path), |request, (name, value)| request.header(*name, value));
    send(&service.app, request.body(Body::empty()).unwrap()).await
}

fn json(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap()
}

#[tokio::test]
async fn a_bound_token_is_good_with_its_key_alone() {
    let service = service(Dpop::new(BASE).unwrap()).await;
    let (mine, thiefs) = (DpopClient::new(1), DpopClient::new(2));
    let uri = "https://api.example/api/token";
    let login = headers(&service, &mine, of("POST", uri), "");
    let pair = json(&post(&service, "/api/token", &login, &credentials("alice")).await);
    assert_eq!(pair["token_type"], "DPoP");
    let token = pair["access_token"].as_str().unwrap();
    let at = |client: &DpopClient, uri: &str, scheme: &str| {
        headers(&service, client, Proved { token: Some(token), ..of("GET", uri) }, scheme)
    };
    for path in ["/me", "/live", "/maybe", "/v1/me", "/both"] {
        let answer = get(&service, path, &at(&mine, &format!("{BASE}{path}"), "DPoP")).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
    }
    for path in ["/me", "/live", "/maybe"] {
        let uri = format!("{BASE}{path}");
        get(&service, path, &at(&thiefs, &uri, "DPoP")).await.assert_rejected(401, "invalid_token");
        get(&service, path, &at(&mine, &uri, "Bearer")).await.assert_rejected(401, "invalid_token");
        let refused = get(&service, path, &at(&mine, &uri, "DPoP")[1..]).await;
        refused.assert_rejected(401, "invalid_dpop_proof");
        let [challenge] = refused.all("www-authenticate")[..] else { panic!("{refused:?}") };
        assert!(challenge.starts_with("DPoP error=\"invalid_dpop_proof\""), "{challenge}");
        assert!(challenge.ends_with("algs=\"ES256 EdDSA Ed25519 PS256 RS256\""), "{challenge}");
        // Once.
        let once = at(&mine, &uri, "DPoP");
        assert_eq!(get(&service, path, &once).await.status, 200);
        get(&service, path, &once).await.assert_rejected(401, "invalid_dpop_proof");
    }
    // Of a path as the router sees it, and not the client.
    get(&service, "/v1/me", &at(&mine, "https://api.example/me", "DPoP"))
        .await
        .assert_rejected(401, "invalid_dpop_proof");
    // The refresh token, too.
    let refresh = json!({ "refresh_token": pair["refresh_token"] });
    let uri = "https://api.example/api/token/refresh";
    let with = |client: &DpopClient| headers(&service, client, of("POST", uri), "");
    assert_refused(&post(&service, "/api/token/refresh", &[], &refresh).await, 400, "invalid_grant");
    assert_refused(&post(&service, "/api/token/refresh", &with(&thiefs), &refresh).await, 400, "invalid_grant");
    let next = json(&post(&service, "/api/token/refresh", &with(&mine), &refresh).await);
    assert_eq!(next["token_type"], "DPoP");
}

#[tokio::test]
async fn nonces_come_with_every_answer_to_a_proof() {
    let service = service(Dpop::new(BASE).unwrap().nonces([1; 32]).unwrap()).await;
    let client = DpopClient::new(1);
    let uri = "https://api.example/api/token";
    let refused =
        post(&service, "/api/token", &headers(&service, &client, of("POST", uri), ""), &credentials("alice")).await;
    assert_refused(&refused, 400, "use_dpop_nonce");
    let [nonce] = refused.all("dpop-nonce")[..] else { panic!("{refused:?}") };
    let login = headers(&service, &client, Proved { nonce: Some(nonce), ..of("POST", uri) }, "");
    let answer = post(&service, "/api/token", &login, &credentials("alice")).await;
    assert_eq!(answer.all("dpop-nonce"), [nonce]);
    let pair = json(&answer);
    let (token, uri) = (pair["access_token"].as_str().unwrap(), "https://api.example/me");
    let with = |nonce: Option<&str>| {
        headers(&service, &client, Proved { token: Some(token), nonce, ..of("GET", uri) }, "DPoP")
    };
    let refused = get(&service, "/me", &with(None)).await;
    refused.assert_rejected(401, "use_dpop_nonce");
    assert_eq!(refused.all("dpop-nonce"), [nonce]);
    let answer = get(&service, "/me", &with(Some(nonce))).await;
    assert_eq!((answer.status.as_u16(), answer.all("dpop-nonce")), (200, vec![nonce]));
    // Nobody else gets one.
    let unbound = json(&service.post("/api/token", &credentials("alice")).await);
    assert_eq!(unbound["token_type"], "Bearer");
    let answer = service.get("/me", unbound["access_token"].as_str().unwrap()).await;
    assert_eq!((answer.status.as_u16(), answer.all("dpop-nonce").len()), (200, 0));
}

#[tokio::test]
async fn documents_say_so() {
    let service = service(Dpop::new(BASE).unwrap().mode(DpopMode::Required)).await;
    let answer = get(&service, "/.well-known/oauth-authorization-server", &[]).await;
    assert_eq!(json(&answer)["dpop_signing_alg_values_supported"][0], "ES256");
    let resource = json(&get(&service, "/.well-known/oauth-protected-resource", &[]).await);
    assert_eq!(resource["dpop_bound_access_tokens_required"], true);
    let refused = service.post("/api/token", &credentials("alice")).await;
    assert_refused(&refused, 400, "invalid_dpop_proof");
    let missing = get(&service, "/me", &[]).await;
    missing.assert_rejected(401, "unauthenticated");
    assert_eq!(missing.all("www-authenticate"), ["DPoP algs=\"ES256 EdDSA Ed25519 PS256 RS256\""]);
}
