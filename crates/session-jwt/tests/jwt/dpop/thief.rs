//! A thief with everything but the key: what each of it gets.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use session_conformance::ReferenceStore;
use session_core::adapter::BearerRejectionKind;
use session_core::{
    Clock as _, Event, EventKind, Login, ManualClock, OsEntropy, SessionManager, SessionObserver, UserId,
};
use session_jwt::{
    AccessTokens, AccountsError, Algorithm, Answer, AnyToken, Attempt, ClientSecret, ClientStatus, Clients, Dpop,
    DpopMode, KeyRing, Pending, Rotation, Step, TokenEndpoint, TokenPolicy, TokenRoute, TokenService,
    TokenServiceError, TokenSource, VerifyError,
};

use super::{BASE, Everybody, Head, Proof, quoted};
use crate::common::{Forge, now};

/// `app` is public; `server` has a secret; `old` sends no proofs, and `strict` must.
#[derive(Debug)]
struct Registered;

#[async_trait]
impl Clients for Registered {
    async fn status(&self, client: &str, secret: Option<&ClientSecret>) -> Result<ClientStatus, AccountsError> {
        Ok(match (client, secret) {
            ("app" | "old" | "strict", None) => ClientStatus::Public,
            ("server", Some(secret)) if secret.is(b"secret") => ClientStatus::Authenticated,
            _ => ClientStatus::Unknown,
        })
    }

    async fn dpop(&self, client: &str) -> Result<Option<DpopMode>, AccountsError> {
        match client {
            "old" => Ok(Some(DpopMode::Off)),
            "strict" => Ok(Some(DpopMode::Required)),
            "down" => Err(AccountsError::new("down")),
            _ => Ok(None),
        }
    }
}

#[derive(Clone, Debug, Default)]
struct Events(Arc<Mutex<Vec<EventKind>>>);

impl SessionObserver for Events {
    fn on_event(&self, event: &Event) {
        self.0.lock().unwrap().push(event.kind.clone());
    }
}

struct Site {
    clock: ManualClock,
    events: Events,
    service: Arc<TokenService>,
    endpoint: TokenEndpoint,
    source: TokenSource,
    proofs: Mutex<u32>,
}

/// What a request answered with.
struct Answered {
    status: u16,
    body: Value,
    nonce: Option<String>,
}

impl Site {
    fn new(dpop: impl FnOnce(Dpop) -> Dpop) -> Self {
        let (clock, events) = (ManualClock::default(), Events::default());
        clock.advance(now().since(clock.now()));
        let manager = SessionManager::builder(Arc::new(ReferenceStore::new())).clock(clock.clone());
        let manager = manager.observer(events.clone()).build();
        let policy = TokenPolicy::new("https://login.example", BASE).unwrap();
        let ring = KeyRing::generate(Algorithm::EdDsa, Rotation::default(), clock.now(), &OsEntropy).unwrap();
        let access = Arc::new(AccessTokens::new(policy, ring).unwrap());
        let service = Arc::new(TokenService::new(manager, access, Everybody).unwrap());
        let dpop = dpop(Dpop::new(BASE).unwrap());
        let endpoint = TokenEndpoint::new(Arc::clone(&service)).with_dpop(dpop.clone());
        let source = TokenSource::service(Arc::clone(&service)).with_dpop(dpop);
        Self { clock, events, service, endpoint, source, proofs: Mutex::default() }
    }

    fn clients(self) -> Self {
        Self { endpoint: self.endpoint.clone().clients(Arc::new(Registered)), ..self }
    }

    /// A new proof of `forge` for this request.
    fn proof(&self, forge: &Forge, method: &str, path: &str) -> Proof {
        let mut proofs = self.proofs.lock().unwrap();
        *proofs += 1;
        let second = self.clock.now().as_millis() / 1000;
        Proof::new(forge, method, &format!("{BASE}{path}"), &proofs.to_string()).claim("iat", second.to_string())
    }

    async fn post(&self, proof: Option<String>, body: Value) -> Answered {
        let head = Head::new("POST", "/token").with("content-type", "application/json");
        let head = proof.into_iter().fold(head, |head, proof| head.with("dpop", proof));
        let answer = match self.endpoint.token(&head, body.to_string().as_bytes(), TokenRoute::Token).await {
            Step::Answer(answer) => answer,
            Step::Login(request) => {
                let login = Login::new(UserId::new("alice").unwrap()).method("pwd");
                let attempt = match body.get("otp") {
                    Some(_) => Attempt::SecondFactor(Pending::new(UserId::new("alice").unwrap())),
                    None => login.into(),
                };
                self.endpoint.finish(&head, request, Ok(attempt)).await
            }
            Step::SecondFactor(pending, request) => {
                let login = Login::new(pending.user().unwrap()).method("otp");
                self.endpoint.finish(&head, request, Ok(login.into())).await
            }
        };
        Answered::of(answer)
    }

    async fn login(&self, forge: Option<&Forge>) -> Answered {
        let proof = forge.map(|forge| self.proof(forge, "POST", "/token").signed(forge));
        self.post(proof, json!({ "username": "alice" })).await
    }

    async fn refresh(&self, forge: Option<&Forge>, token: &str) -> Answered {
        let proof = forge.map(|forge| self.proof(forge, "POST", "/token").signed(forge));
        self.post(proof, json!({ "grant_type": "refresh_token", "refresh_token": token })).await
    }

    async fn open(&self, head: &Head) -> Result<(), BearerRejectionKind> {
        self.source.for_request(head, None).open::<AnyToken>(head).await.map(drop)
    }

    async fn get(&self, scheme: &str, token: &str, forge: Option<&Forge>) -> Result<(), BearerRejectionKind> {
        let head = Head::new("GET", "/me").with("authorization", format!("{scheme} {token}"));
        let proof = forge.map(|forge| self.proof(forge, "GET", "/me").about(token).signed(forge));
        self.open(&proof.into_iter().fold(head, |head, proof| head.with("dpop", proof))).await
    }
}

impl Answered {
    fn of(answer: Answer) -> Self {
        let nonce = answer.headers().find(|(name, _)| *name == "dpop-nonce").map(|(_, value)| value);
        Self { status: answer.status(), nonce, body: serde_json::from_str(&answer.into_body()).unwrap() }
    }

    fn text(&self, name: &str) -> &str {
        self.body[name].as_str().unwrap_or_else(|| panic!("no {name} in {}", self.body["error"]))
    }

    #[track_caller]
    fn assert_refused(&self, error: &str) {
        assert_eq!((self.status, self.text("error")), (400, error));
    }
}

fn keys() -> (Forge, Forge) {
    (Forge::new(Algorithm::Es256, 1), Forge::new(Algorithm::Es256, 40))
}

fn same(dpop: Dpop) -> Dpop {
    dpop
}

#[tokio::test]
async fn the_client_with_the_key_logs_in_calls_and_refreshes() {
    for mode in [DpopMode::Optional, DpopMode::Required] {
        let site = Site::new(|dpop| dpop.mode(mode));
        let (mine, _) = keys();
        let mut pair = site.login(Some(&mine)).await;
        for _ in 0..3 {
            assert_eq!((pair.status, pair.text("token_type")), (200, "DPoP"));
            site.get("DPoP", pair.text("access_token"), Some(&mine)).await.unwrap();
            site.get("dpop", pair.text("access_token"), Some(&mine)).await.unwrap();
            site.clock.advance(Duration::from_secs(200));
            pair = site.refresh(Some(&mine), pair.text("refresh_token")).await;
        }
        assert!(site.events.0.lock().unwrap().iter().all(|kind| *kind != EventKind::InvalidProof));
    }
}

#[tokio::test]
async fn an_access_token_is_nothing_without_the_key() {
    let site = Site::new(same);
    let (mine, thiefs) = keys();
    let pair = site.login(Some(&mine)).await;
    let token = pair.text("access_token");
    let invalid = Err(BearerRejectionKind::Invalid);
    assert_eq!(site.get("Bearer", token, None).await, invalid, "under the other scheme");
    assert_eq!(site.get("Bearer", token, Some(&mine)).await, invalid, "even with a proof");
    assert_eq!(site.get("DPoP", token, None).await, Err(BearerRejectionKind::InvalidProof));
    assert_eq!(site.get("DPoP", token, Some(&thiefs)).await, invalid);
    // The library refuses it wherever no proof is shown.
    assert_eq!(site.service.verify(token).unwrap_err(), VerifyError::Bound);
    // Where nobody knows of proofs, the scheme is unknown, and a bound token is refused.
    let simple = TokenSource::service(Arc::clone(&site.service));
    let head = |scheme: &str| Head::new("GET", "/me").with("authorization", format!("{scheme} {token}"));
    assert_eq!(simple.open::<AnyToken>(&head("DPoP")).await.unwrap_err(), BearerRejectionKind::Missing);
    assert_eq!(simple.open::<AnyToken>(&head("Bearer")).await.unwrap_err(), BearerRejectionKind::Invalid);
}

#[tokio::test]
async fn a_captured_proof_is_good_for_nothing_else() {
    let site = Site::new(same);
    let (mine, _) = keys();
    let (pair, other) = (site.login(Some(&mine)).await, site.login(Some(&mine)).await);
    let [token, other] = [&pair, &other].map(|pair| pair.text("access_token"));
    let proof = site.proof(&mine, "GET", "/me").about(token).signed(&mine);
    let with = |method, path: &str, token: &str| {
        let head = Head::new(method, path).with("authorization", format!("DPoP {token}"));
        head.with("dpop", &*proof)
    };
    let refused = Err(BearerRejectionKind::InvalidProof);
    assert_eq!(site.open(&with("DELETE", "/me", token)).await, refused, "another method");
    assert_eq!(site.open(&with("GET", "/you", token)).await, refused, "another path");
    assert_eq!(site.open(&with("GET", "/me", other)).await, refused, "another token");
    assert_eq!(site.open(&with("GET", "/me", token)).await, Ok(()));
    assert_eq!(site.open(&with("GET", "/me", token)).await, refused, "a second time");
    site.clock.advance(Duration::from_secs(60));
    assert_eq!(site.open(&with("GET", "/me", token)).await, refused, "later");
    // At the token route: of another path, and of the same.
    let login = json!({ "username": "alice" });
    site.post(Some(proof), login.clone()).await.assert_refused("invalid_dpop_proof");
    let proof = site.proof(&mine, "POST", "/token").signed(&mine);
    let refresh = |token: &str| json!({ "grant_type": "refresh_token", "refresh_token": token });
    assert_eq!(site.post(Some(proof.clone()), login).await.status, 200);
    site.post(Some(proof), refresh(pair.text("refresh_token"))).await.assert_refused("invalid_dpop_proof");
    assert_eq!(site.refresh(Some(&mine), pair.text("refresh_token")).await.status, 200, "nothing was used up");
}

/// Extractors of one request look at the same proof; another request with it is a replay.
#[tokio::test]
async fn one_request_may_look_at_its_proof_twice() {
    let site = Site::new(same);
    let (mine, _) = keys();
    let pair = site.login(Some(&mine)).await;
    let token = pair.text("access_token");
    let head = Head::new("GET", "/me").with("authorization", format!("DPoP {token}"));
    let head = head.with("dpop", site.proof(&mine, "GET", "/me").about(token).signed(&mine));
    let outer = site.source.for_request(&head, None);
    let inner = site.source.for_request(&head, Some(&outer));
    for source in [&outer, &inner, &outer] {
        source.open::<AnyToken>(&head).await.unwrap();
    }
    assert_eq!(site.open(&head).await, Err(BearerRejectionKind::InvalidProof));
}

#[tokio::test]
async fn a_refresh_token_of_a_public_client_is_nothing_without_the_key() {
    let site = Site::new(same).clients();
    let (mine, thiefs) = keys();
    let pair = site.login(Some(&mine)).await;
    let token = pair.text("refresh_token");
    site.refresh(None, token).await.assert_refused("invalid_grant");
    site.refresh(Some(&thiefs), token).await.assert_refused("invalid_grant");
    assert!(matches!(site.service.refresh(token).await, Err(TokenServiceError::InvalidGrant)));
    let refused = site.events.0.lock().unwrap().iter().filter(|kind| **kind == EventKind::InvalidProof).count();
    assert_eq!(refused, 3);
    // The theft has changed nothing for its owner, nor do later tokens of the session belong to the thief.
    let next = site.refresh(Some(&mine), token).await;
    assert_eq!(next.text("token_type"), "DPoP");
    site.refresh(Some(&thiefs), next.text("refresh_token")).await.assert_refused("invalid_grant");
    site.refresh(Some(&thiefs), token).await.assert_refused("invalid_grant");
    assert_eq!(site.refresh(Some(&mine), next.text("refresh_token")).await.status, 200);
}

#[tokio::test]
async fn a_client_with_a_secret_may_change_its_key() {
    let site = Site::new(same).clients();
    let (mine, new) = keys();
    let body = |what: Value| {
        let mut body = json!({ "client_id": "server", "client_secret": "secret" });
        body.as_object_mut().unwrap().extend(what.as_object().unwrap().clone());
        body
    };
    let proof = |forge: &Forge| Some(site.proof(forge, "POST", "/token").signed(forge));
    let pair = site.post(proof(&mine), body(json!({ "username": "alice" }))).await;
    assert_eq!(pair.text("token_type"), "DPoP");
    site.get("DPoP", pair.text("access_token"), Some(&mine)).await.unwrap();
    let refresh = body(json!({ "grant_type": "refresh_token", "refresh_token": pair.text("refresh_token") }));
    let next = site.post(proof(&new), refresh).await;
    assert_eq!(next.text("token_type"), "DPoP");
    site.get("DPoP", next.text("access_token"), Some(&new)).await.unwrap();
    assert_eq!(site.get("DPoP", next.text("access_token"), Some(&mine)).await, Err(BearerRejectionKind::Invalid));
}

#[tokio::test]
async fn policy_and_client_say_whether_tokens_are_bound() {
    let (mine, _) = keys();
    let login = |client: &str| json!({ "username": "alice", "client_id": client });
    for (mode, client, has_proof, expected) in [
        (DpopMode::Off, "app", true, Ok("Bearer")),
        (DpopMode::Off, "app", false, Ok("Bearer")),
        (DpopMode::Off, "strict", true, Ok("DPoP")),
        (DpopMode::Off, "strict", false, Err("invalid_dpop_proof")),
        (DpopMode::Optional, "app", true, Ok("DPoP")),
        (DpopMode::Optional, "app", false, Ok("Bearer")),
        (DpopMode::Optional, "old", true, Ok("Bearer")),
        (DpopMode::Optional, "strict", false, Err("invalid_dpop_proof")),
        (DpopMode::Required, "app", true, Ok("DPoP")),
        (DpopMode::Required, "app", false, Err("invalid_dpop_proof")),
        (DpopMode::Required, "old", false, Ok("Bearer")),
    ] {
        let site = Site::new(|dpop| dpop.mode(mode)).clients();
        let proof = has_proof.then(|| site.proof(&mine, "POST", "/token").signed(&mine));
        let answer = site.post(proof, login(client)).await;
        match expected {
            Ok(token_type) => assert_eq!(answer.text("token_type"), token_type, "{mode:?} {client}"),
            Err(error) => answer.assert_refused(error),
        }
    }
}

#[tokio::test]
async fn where_proofs_are_required_unbound_tokens_are_refused() {
    let site = Site::new(|dpop| dpop.mode(DpopMode::Required));
    let unbound = site.service.login(Login::new(UserId::new("alice").unwrap()), None).await.unwrap();
    let (mine, _) = keys();
    let token = unbound.access.expose();
    assert_eq!(site.get("Bearer", token, None).await, Err(BearerRejectionKind::Invalid));
    assert_eq!(site.get("DPoP", token, Some(&mine)).await, Err(BearerRejectionKind::Invalid), "bound to nothing");
    let challenge = site.source.challenge::<AnyToken>(BearerRejectionKind::Missing).unwrap();
    assert_eq!(challenge, r#"DPoP algs="ES256 EdDSA Ed25519 PS256 RS256""#);
    let challenge = site.source.challenge::<AnyToken>(BearerRejectionKind::NonceNeeded).unwrap();
    assert!(challenge.starts_with(r#"DPoP error="use_dpop_nonce", error_description="#), "{challenge}");
    // A refresh token from before may be used, with a proof: its access tokens are bound then.
    let pair = site.refresh(Some(&mine), unbound.refresh.expose()).await;
    assert_eq!(pair.text("token_type"), "DPoP");
    site.refresh(None, pair.text("refresh_token")).await.assert_refused("invalid_dpop_proof");
}

#[tokio::test]
async fn where_they_are_optional_challenges_offer_both() {
    let site = Site::new(same);
    let challenge = |kind| site.source.challenge::<AnyToken>(kind).unwrap();
    assert_eq!(challenge(BearerRejectionKind::Missing), r#"Bearer, DPoP algs="ES256 EdDSA Ed25519 PS256 RS256""#);
    let invalid = challenge(BearerRejectionKind::Invalid);
    assert!(invalid.starts_with(r#"Bearer error="invalid_token""#), "{invalid}");
    assert!(invalid.contains(r#", DPoP error="invalid_token""#), "{invalid}");
    assert!(challenge(BearerRejectionKind::InvalidProof).starts_with(r#"DPoP error="invalid_dpop_proof""#));
}

#[tokio::test]
async fn a_client_without_a_nonce_is_given_one() {
    let site = Site::new(|dpop| dpop.mode(DpopMode::Required).nonces([3; 32]).unwrap());
    let (mine, _) = keys();
    let refused = site.login(Some(&mine)).await;
    refused.assert_refused("use_dpop_nonce");
    let nonce = quoted(refused.nonce.as_ref().unwrap());
    let proof = |method, path| site.proof(&mine, method, path).claim("nonce", &*nonce);
    let pair = site.post(Some(proof("POST", "/token").signed(&mine)), json!({ "username": "alice" })).await;
    assert_eq!((pair.text("token_type"), pair.nonce.is_some()), ("DPoP", true));
    let token = pair.text("access_token");
    let head = Head::new("GET", "/me").with("authorization", format!("DPoP {token}"));
    let without = head.clone().with("dpop", site.proof(&mine, "GET", "/me").about(token).signed(&mine));
    assert_eq!(site.open(&without).await, Err(BearerRejectionKind::NonceNeeded));
    assert_eq!(site.source.nonce(), refused.nonce);
    assert!(site.source.hands_out_nonces(&without));
    assert!(!site.source.hands_out_nonces(&head), "nobody who sends no proofs");
    site.open(&head.with("dpop", proof("GET", "/me").about(token).signed(&mine))).await.unwrap();
    assert!(site.events.0.lock().unwrap().iter().all(|kind| *kind != EventKind::InvalidProof), "no theft");
}

/// Whoever has seen the continuation token of a login has not its key.
#[tokio::test]
async fn the_second_factor_comes_from_the_same_key() {
    let site = Site::new(same);
    let (mine, thiefs) = keys();
    for (second, is_granted) in [(Some(&mine), true), (Some(&thiefs), false), (None, false)] {
        let proof = Some(site.proof(&mine, "POST", "/token").signed(&mine));
        let begun = site.post(proof, json!({ "username": "alice", "otp": true })).await;
        assert_eq!(begun.status, 403);
        let proof = second.map(|forge| site.proof(forge, "POST", "/token").signed(forge));
        let answer = site.post(proof, json!({ "mfa_token": begun.text("mfa_token") })).await;
        assert_eq!(answer.status == 200, is_granted);
        if is_granted {
            assert_eq!(answer.text("token_type"), "DPoP");
        }
    }
}

/// Behind a load balancer, each server by default remembers what it has seen itself.
#[tokio::test]
async fn proofs_are_used_up_on_one_server_or_on_all() {
    let (mine, _) = keys();
    let site = Site::new(same);
    let manager = || site.service.manager().clone();
    let alone = [(); 2].map(|()| Dpop::new(BASE).unwrap());
    let together = [(); 2].map(|()| Dpop::new(BASE).unwrap().replays_in(manager()));
    for (nodes, second) in [(alone, true), (together, false)] {
        let head = Head::new("GET", "/me").with("dpop", site.proof(&mine, "GET", "/me").signed(&mine));
        assert!(nodes[0].verify(&head, None, site.clock.now()).await.is_ok());
        assert!(nodes[0].verify(&head, None, site.clock.now()).await.is_err());
        assert_eq!(nodes[1].verify(&head, None, site.clock.now()).await.is_ok(), second);
    }
    // For as long as it would be good, and as clocks differ.
    assert!(site.service.manager().claim_once("a", "b", site.clock.now() + Duration::from_secs(5)).await.unwrap());
    site.clock.advance(Duration::from_secs(4));
    let until = site.clock.now() + Duration::from_secs(5);
    assert!(!site.service.manager().claim_once("a", "b", until).await.unwrap());
    assert!(site.service.manager().claim_once("another purpose", "b", until).await.unwrap());
    assert!(!site.service.manager().claim_once("c", "d", site.clock.now()).await.unwrap(), "over");
    site.clock.advance(Duration::from_secs(1) + site.service.manager().policy().max_clock_skew());
    let until = site.clock.now() + Duration::from_secs(5);
    assert!(site.service.manager().claim_once("a", "b", until).await.unwrap());
}
