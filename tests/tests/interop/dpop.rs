//! Other people's clients with tokens that are bound to their key (DPoP, RFC 9449), with nonces and without.

use serde_json::{Value, json};
use session_testbed::servers::run_script;
use session_tower::{Dpop, DpopMode};

use crate::site::{PASSWORD, Site};

/// What a script does at a server that has nonces, and at one that has none: login, three requests and a refresh, twice; and
/// what somebody gets who has the tokens and another key.
async fn lives(script: &'static str) -> [Value; 2] {
    let mut lives = [Value::Null, Value::Null];
    for (life, has_nonces) in lives.iter_mut().zip([false, true]) {
        let dpop = |base: &str| {
            let dpop = Dpop::new(base).unwrap().mode(DpopMode::Required);
            Some(if has_nonces { dpop.nonces([7; 32]).unwrap() } else { dpop })
        };
        let site = Site::start_with(dpop).await;
        *life = run_script(script, &[&*site.issuer(), "alice", PASSWORD], "").await.unwrap();
        for (of, key) in life["keys"].as_object().unwrap() {
            assert_eq!(key["token_types"], json!(["DPoP", "DPoP", "DPoP"]), "{script} {of} {has_nonces}");
            assert_eq!(key["answers"], json!(vec!["alice"; 9]), "{script} {of} {has_nonces}");
        }
        let thief = &life["thief"];
        assert_eq!((&thief["bearer"], &thief["other key"]), (&json!(401), &json!(401)), "{script} {has_nonces}");
        assert_eq!(thief["refresh"], "invalid_grant", "{script} {has_nonces}");
    }
    lives
}

#[tokio::test(flavor = "multi_thread")]
async fn openid_client_and_oauth4webapi() {
    let [life, _] = lives("dpop_client.mjs").await;
    let algorithms: Vec<&String> = life["keys"].as_object().unwrap().keys().collect();
    assert_eq!(algorithms, ["ES256", "Ed25519", "PS256", "RS256", "oauth4webapi"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_oauth2client() {
    let [life, _] = lives("requests_oauth2client_dpop.py").await;
    let algorithms: Vec<&String> = life["keys"].as_object().unwrap().keys().collect();
    assert_eq!(algorithms, ["ES256", "EdDSA", "PS256", "RS256"]);
}
