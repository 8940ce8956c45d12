//! Other people's OAuth clients at the token routes: each script is what their manual says, with this server's address.

use std::collections::HashSet;

use serde_json::{Value, json};
use session_testbed::servers::run_script;

use crate::site::{AUDIENCE, GATEWAY_SECRET, PASSWORD, Site};

/// How a client shows who it is. All of ours are public: each way is the same to the server.
const AUTHENTICATION: [&str; 3] = ["none", "client_secret_basic", "client_secret_post"];

/// The answers to a login and to refreshes: all are of one session of alice, and no token is there twice.
fn check_pairs(site: &Site, pairs: &Value, how: &str) {
    let pairs = pairs.as_array().unwrap();
    assert!(pairs.len() > 1, "{how}");
    let (mut sessions, mut secrets) = (HashSet::new(), HashSet::new());
    for pair in pairs {
        let text = |name: &str| pair[name].as_str().unwrap_or_else(|| panic!("{how}: no {name}"));
        assert!(text("token_type").eq_ignore_ascii_case("bearer"), "{how}");
        assert_eq!((&pair["expires_in"], &pair["scope"]), (&json!(300), &Value::Null), "{how}");
        let claims = site.tokens.verify(text("access_token")).unwrap();
        assert_eq!(claims.user.as_str(), "alice", "{how}");
        sessions.insert(claims.session.to_string());
        secrets.extend(["access_token", "refresh_token"].map(text));
    }
    assert_eq!((sessions.len(), secrets.len()), (1, 2 * pairs.len()), "{how}");
}

/// What a resource server learns of alice from a token, or from asking about it.
fn check_claims(site: &Site, claims: &Value, how: &str) {
    for (name, value) in [("sub", "alice"), ("iss", &site.issuer()), ("aud", AUDIENCE), ("client_id", "shop")] {
        assert_eq!(claims[name], value, "{how}: {name}");
    }
}

/// One session, from its login to its revocation, as scripts tell it.
fn check_life(site: &Site, life: &Value, how: &str) {
    check_pairs(site, &life["pairs"], how);
    check_claims(site, &life["admitted"], how);
    let introspected = &life["introspected"];
    assert_eq!(introspected["access_token"]["active"], true, "{how}");
    check_claims(site, &introspected["access_token"], how);
    // A gateway is not the client that the refresh token was granted to.
    for token in ["refresh_token", "garbage", "revoked"] {
        assert_eq!(introspected[token], json!({ "active": false }), "{how}: {token}");
    }
    assert_eq!(life["refused"], "invalid_grant", "{how}");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_oauthlib_logs_in_and_refreshes() {
    let site = Site::start().await;
    let arguments = [&*site.issuer(), "alice", PASSWORD];
    let answer = run_script("requests_oauthlib_client.py", &arguments, "").await.unwrap();
    for how in ["basic", "secret", "body", "scope"] {
        check_pairs(&site, &answer["pairs"][how], how);
    }
    for what in ["password", "user", "refresh_token"] {
        assert_eq!(answer["refused"][what], "invalid_grant", "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn authlib_logs_in_refreshes_introspects_and_revokes() {
    let site = Site::start().await;
    let arguments = [&*site.issuer(), "alice", PASSWORD, AUDIENCE, GATEWAY_SECRET];
    let answer = run_script("authlib_client.py", &arguments, "").await.unwrap();
    for how in AUTHENTICATION {
        let life = &answer["lives"][how];
        check_life(&site, life, how);
        assert_eq!(
            (&life["introspected"]["wrong hint"]["active"], &life["revoked"]),
            (&json!(false), &json!(200)),
            "{how}"
        );
    }
    assert_eq!(answer["wrong password"], "invalid_grant");
}

#[tokio::test(flavor = "multi_thread")]
async fn openid_client_finds_the_server_by_its_metadata() {
    let site = Site::start().await;
    let arguments = [&*site.issuer(), "alice", PASSWORD, AUDIENCE, GATEWAY_SECRET];
    let answer = run_script("openid_client.mjs", &arguments, "").await.unwrap();
    let metadata = &answer["metadata"];
    assert_eq!(metadata["issuer"], site.issuer());
    assert_eq!(metadata["grant_types_supported"], json!(["password", "refresh_token"]));
    for how in AUTHENTICATION {
        let life = &answer["lives"][how];
        check_life(&site, life, how);
        assert_eq!(life["unauthenticated"], "basic", "{how}");
    }
    assert_eq!(answer["wrong password"], "invalid_grant");
}
