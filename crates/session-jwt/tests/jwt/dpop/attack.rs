//! Attacks that a reviewer has tried: each asserts what is promised.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use session_conformance::ReferenceStore;
use session_core::store::{
    Count, CreateOutcome, CreateRequest, Cursor, Freshness, Listing, Page, Record, SessionStore, TouchOutcome,
    UpdateOutcome, Version,
};
use session_core::{
    Clock as _, DeleteOutcome, Login, ManualClock, OsEntropy, SessionId, SessionManager, StoreError, Timestamp, UserId,
};
use session_jwt::{
    AccessTokens, AccountsError, Algorithm, AnyToken, Attempt, ClientSecret, ClientStatus, Clients, Dpop, DpopMode,
    KeyRing, ProofError, Refusal, Rotation, Step, TokenEndpoint, TokenPolicy, TokenRoute, TokenService, TokenSource,
};

use super::{BASE, Everybody, Head, Proof, quoted};
use crate::common::{Forge, NOW, at, at_once, encode, now};

/// All public: `old` sends no proofs, `strict` must.
#[derive(Debug)]
struct Registered;

#[async_trait]
impl Clients for Registered {
    async fn status(&self, _: &str, _: Option<&ClientSecret>) -> Result<ClientStatus, AccountsError> {
        Ok(ClientStatus::Public)
    }

    async fn dpop(&self, client: &str) -> Result<Option<DpopMode>, AccountsError> {
        Ok(match client {
            "old" => Some(DpopMode::Off),
            "strict" => Some(DpopMode::Required),
            _ => None,
        })
    }
}

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

struct Site {
    clock: ManualClock,
    service: Arc<TokenService>,
    endpoint: TokenEndpoint,
    source: TokenSource,
    proofs: Mutex<u32>,
}

impl Site {
    fn new(dpop: impl FnOnce(Dpop, SessionManager) -> Dpop) -> Self {
        let clock = ManualClock::default();
        clock.advance(now().since(clock.now()));
        let manager = SessionManager::builder(Arc::new(Far(ReferenceStore::new()))).clock(clock.clone()).build();
        let policy = TokenPolicy::new("https://login.example", BASE).unwrap();
        let ring = KeyRing::generate(Algorithm::EdDsa, Rotation::default(), clock.now(), &OsEntropy).unwrap();
        let access = Arc::new(AccessTokens::new(policy, ring).unwrap());
        let service = Arc::new(TokenService::new(manager.clone(), access, Everybody).unwrap());
        let dpop = dpop(Dpop::new(BASE).unwrap(), manager);
        let endpoint = TokenEndpoint::new(Arc::clone(&service)).with_dpop(dpop.clone());
        let source = TokenSource::service(Arc::clone(&service)).with_dpop(dpop);
        Self { clock, service, endpoint, source, proofs: Mutex::default() }
    }

    fn standard() -> Self {
        Self::new(|dpop, _| dpop)
    }

    fn clients(self) -> Self {
        Self { endpoint: self.endpoint.clone().clients(Arc::new(Registered)), ..self }
    }

    fn proof(&self, forge: &Forge, method: &str, path: &str) -> Proof {
        let mut proofs = self.proofs.lock().unwrap();
        *proofs += 1;
        let second = self.clock.now().as_millis() / 1000;
        Proof::new(forge, method, &format!("{BASE}{path}"), &proofs.to_string()).claim("iat", second.to_string())
    }

    async fn post(&self, proof: Option<String>, body: Value) -> (u16, Value) {
        let head = Head::new("POST", "/token").with("content-type", "application/json");
        let head = proof.into_iter().fold(head, |head, proof| head.with("dpop", proof));
        let answer = match self.endpoint.token(&head, body.to_string().as_bytes(), TokenRoute::Token).await {
            Step::Answer(answer) => answer,
            Step::Login(request) => {
                let attempt: Attempt = if body["password"] == "wrong" {
                    Refusal::credentials().into()
                } else {
                    Login::new(UserId::new("alice").unwrap()).method("pwd").into()
                };
                self.endpoint.finish(&head, request, Ok(attempt)).await
            }
            Step::SecondFactor(..) => panic!(),
        };
        (answer.status(), serde_json::from_str(&answer.into_body()).unwrap())
    }

    fn token_proof(&self, forge: &Forge) -> Option<String> {
        Some(self.proof(forge, "POST", "/token").signed(forge))
    }

    fn head(&self, forge: &Forge, token: &str) -> Head {
        let proof = self.proof(forge, "GET", "/me").about(token).signed(forge);
        Head::new("GET", "/me").with("authorization", format!("DPoP {token}")).with("dpop", proof)
    }
}

fn mine() -> Forge {
    Forge::new(Algorithm::Es256, 1)
}

fn text<'a>(answer: &'a (u16, Value), name: &str) -> &'a str {
    answer.1[name].as_str().unwrap_or_else(|| panic!("no {name}: {answer:?}"))
}

fn login() -> Value {
    json!({ "username": "alice" })
}

fn refresh(token: &str) -> Value {
    json!({ "grant_type": "refresh_token", "refresh_token": token })
}

/// Extractors of one handler run at the same time in actix (`tuple_from_req`), and in `join!` anywhere.
#[tokio::test]
async fn extractors_of_one_request_may_run_at_the_same_time() {
    for everywhere in [false, true] {
        let site = Site::new(|dpop, manager| if everywhere { dpop.replays_in(manager) } else { dpop });
        let pair = site.post(site.token_proof(&mine()), login()).await;
        let head = site.head(&mine(), text(&pair, "access_token"));
        let source = site.source.for_request(&head, None);
        let (one, other) = tokio::join!(source.open::<AnyToken>(&head), source.open::<AnyToken>(&head));
        assert!(one.is_ok() && other.is_ok(), "everywhere: {everywhere}: {:?} {:?}", one.err(), other.err());
    }
}

/// Nobody who has no account fills memory or the store.
#[tokio::test]
async fn a_wrong_password_uses_no_proof_up() {
    let site = Site::new(|dpop, manager| dpop.replays_in(manager));
    for number in 1..=20 {
        let stranger = Forge::new(Algorithm::EdDsa, number);
        let refused = site.post(site.token_proof(&stranger), json!({ "username": "x", "password": "wrong" })).await;
        assert_eq!(text(&refused, "error"), "invalid_grant");
    }
    assert_eq!(site.service.manager().count().await.unwrap().sessions, 0);
    let proof = site.token_proof(&mine());
    site.post(proof.clone(), json!({ "username": "x", "password": "wrong" })).await;
    assert_eq!(site.post(proof, login()).await.0, 200, "a stranger's login with a captured proof has used it up");
}

/// A refresh token of long ago, in some log: without the key.
#[tokio::test]
async fn an_old_refresh_token_without_the_key_ends_nothing() {
    for with_proof in [None, Some(Forge::new(Algorithm::Es256, 9))] {
        let site = Site::standard();
        let pair = site.post(site.token_proof(&mine()), login()).await;
        let old = text(&pair, "refresh_token").to_owned();
        let next = site.post(site.token_proof(&mine()), refresh(&old)).await;
        site.clock.advance(Duration::from_secs(200));
        let thief = with_proof.as_ref().map(|forge| site.token_proof(forge).unwrap());
        let refused = site.post(thief, refresh(&old)).await;
        let mine = site.post(site.token_proof(&mine()), refresh(text(&next, "refresh_token"))).await;
        assert_eq!(mine.0, 200, "the thief got {refused:?}, and the owner {mine:?}");
    }
}

/// Policy of a client, asked of whom the request names and not of whom the token was granted to.
#[tokio::test]
async fn a_client_that_must_prove_cannot_leave_its_name_out() {
    let site = Site::standard().clients();
    // Logged in before it had to.
    let grant = session_core::Grant::new().with_client("strict").unwrap();
    let before = Login::new(UserId::new("alice").unwrap()).grant(grant);
    let pair = site.service.login(before, None).await.unwrap();
    let mut named = refresh(pair.refresh.expose());
    named["client_id"] = "strict".into();
    assert_eq!(text(&site.post(None, named).await, "error"), "invalid_dpop_proof");
    let unnamed = site.post(None, refresh(pair.refresh.expose())).await;
    assert_ne!(unnamed.0, 200, "{:?}", unnamed.1["token_type"]);
}

#[tokio::test]
async fn a_client_that_need_not_prove_may_leave_its_name_out() {
    let site = Site::new(|dpop, _| dpop.mode(DpopMode::Required)).clients();
    let pair = site.post(None, json!({ "username": "alice", "client_id": "old" })).await;
    assert_eq!(pair.0, 200);
    let next = site.post(None, refresh(text(&pair, "refresh_token"))).await;
    assert_eq!(next.0, 200, "{next:?}");
}

#[tokio::test]
async fn a_client_whose_tokens_are_not_bound_may_send_proofs() {
    let site = Site::standard().clients();
    let pair = site.post(site.token_proof(&mine()), json!({ "username": "alice", "client_id": "old" })).await;
    assert_eq!(text(&pair, "token_type"), "Bearer");
    let next = site.post(site.token_proof(&mine()), refresh(text(&pair, "refresh_token"))).await;
    assert_eq!(text(&next, "token_type"), "Bearer");
}

/// What browsers send in a path as it is, and RFC 3986 does not have.
#[test]
fn paths_are_as_browsers_send_them() {
    let dpop = Dpop::new(BASE).unwrap();
    let mut refused = Vec::new();
    for path in
        ["/users/auth0|5f7c8ec7", "/items[0]", "/a^b", "/a'b", "/a;b=c", "/a@b:c", "/a%7Cb", "/%E2%82%AC", "//a"]
    {
        let proof = Proof::new(&mine(), "GET", &format!("{BASE}{path}"), path).signed(&mine());
        let head = Head::new("GET", path).with("dpop", proof);
        if let Err(error) = at_once(dpop.verify(&head, None, at(NOW))) {
            refused.push((path, format!("{error:?}")));
        }
    }
    // The client leaves the query in, which is ignored.
    let htu = format!("{BASE}/me?filter[a]=b|c");
    let head = Head::new("GET", "/me").with("dpop", Proof::new(&mine(), "GET", &htu, "q").signed(&mine()));
    if let Err(error) = at_once(dpop.verify(&head, None, at(NOW))) {
        refused.push(("query", format!("{error:?}")));
    }
    assert!(refused.is_empty(), "{refused:?}");
}

/// A router does not remove dots: what it serves is another resource than the proof names.
#[test]
fn dots_in_the_path_of_a_request_name_nothing() {
    let mut accepted = Vec::new();
    for (base, htu, path) in [
        (BASE, "https://api.example/me", "/admin/../me"),
        (BASE, "https://api.example/me", "/admin/%2e%2e/me"),
        (BASE, "https://api.example/me", "/admin/%2E./me"),
        ("https://api.example/v1", "https://api.example/v2/me", "/../v2/me"),
        ("https://api.example", "https://api.example", ""),
        ("https://api.example", "https://api.example.evil.example/", ".evil.example/"),
        ("https://api.example", "https://api.example:8443/", ":8443/"),
        ("https://api.example", "https://api.example@evil.example/", "@evil.example/"),
        ("https://api.example", "https://api.example*", "*"),
    ] {
        let head = Head::new("GET", path).with("dpop", Proof::new(&mine(), "GET", htu, "a").signed(&mine()));
        if at_once(Dpop::new(base).unwrap().verify(&head, None, at(NOW))).is_ok() {
            accepted.push((htu, path));
        }
    }
    assert!(accepted.is_empty(), "{accepted:#?}");
}

/// A middleware looked at the proof, and the handler's extractor does when the body has arrived.
#[tokio::test]
async fn a_proof_may_grow_old_while_its_request_goes_on() {
    let site = Site::standard();
    let pair = site.post(site.token_proof(&mine()), login()).await;
    let head = site.head(&mine(), text(&pair, "access_token"));
    let source = site.source.for_request(&head, None);
    source.open::<AnyToken>(&head).await.unwrap();
    site.clock.advance(Duration::from_secs(61));
    let second = source.open::<AnyToken>(&head).await.map(drop);
    assert_eq!(second, Ok(()), "the access token is good for minutes yet");
}

/// An operator switches it off again: clients must learn that they have to log in.
#[tokio::test]
async fn switched_off_again_clients_log_in() {
    let site = Site::standard();
    let pair = site.post(site.token_proof(&mine()), login()).await;
    for endpoint in [
        TokenEndpoint::new(Arc::clone(&site.service)),
        TokenEndpoint::new(Arc::clone(&site.service)).with_dpop(Dpop::new(BASE).unwrap().mode(DpopMode::Off)),
    ] {
        let site = Site {
            endpoint,
            ..Site {
                clock: site.clock.clone(),
                service: site.service.clone(),
                source: site.source.clone(),
                endpoint: site.endpoint.clone(),
                proofs: Mutex::new(100),
            }
        };
        let answer = site.post(site.token_proof(&mine()), refresh(text(&pair, "refresh_token"))).await;
        assert_eq!(text(&answer, "error"), "invalid_grant");
    }
}

/// "Clients whose clocks are wrong are served."
#[test]
fn with_nonces_an_expiry_by_a_wrong_clock_counts_for_nothing() {
    let dpop = Dpop::new(BASE).unwrap().nonces([7; 32]).unwrap();
    let nonce = dpop.nonce(at(NOW)).unwrap();
    let proof = Proof::new(&mine(), "GET", "https://api.example/me", "a").claim("nonce", quoted(&nonce));
    let proof = proof.claim("iat", (NOW - 300).to_string()).claim("exp", (NOW - 240).to_string());
    let head = Head::new("GET", "/me").with("dpop", proof.signed(&mine()));
    at_once(dpop.verify(&head, None, at(NOW))).unwrap();
}

/// Without: the client's clock is 50 seconds behind, which is within the limit.
#[test]
fn an_expiry_has_the_skew_of_clocks() {
    let dpop = Dpop::new(BASE).unwrap();
    let proof = Proof::new(&mine(), "GET", "https://api.example/me", "a");
    let proof = proof.claim("iat", (NOW - 50).to_string()).claim("exp", (NOW - 20).to_string());
    let head = Head::new("GET", "/me").with("dpop", proof.signed(&mine()));
    at_once(dpop.verify(&head, None, at(NOW))).unwrap();
}

/// What a stranger can make a server compute.
#[test]
fn keys_that_cost_too_much_are_refused() {
    for (bits, expected) in [(2048, "Signature"), (4096, "Signature"), (4104, "Key"), (8192, "Key")] {
        let mut n = vec![0xa7_u8; bits / 8];
        n[0] = 0xff;
        let jwk = format!(r#"{{"kty":"RSA","n":"{}","e":"AQAB"}}"#, encode(&n));
        let header = format!(r#"{{"typ":"dpop+jwt","alg":"PS256","jwk":{jwk}}}"#);
        n[0] = 0x11;
        let proof = format!("{}.{}.{}", encode(header), encode("{}"), encode(&n));
        let head = Head::new("GET", "/me").with("dpop", proof);
        let refused = at_once(Dpop::new(BASE).unwrap().verify(&head, None, at(NOW))).unwrap_err();
        assert!(matches!(&refused, ProofError::Jwt(why) if format!("{why:?}") == expected), "{bits}: {refused:?}");
    }
}

/// A layer that knows nothing of proofs between two that do.
#[tokio::test]
async fn a_layer_between_two_others_takes_nothing_away() {
    let site = Site::standard();
    let pair = site.post(site.token_proof(&mine()), login()).await;
    let head = site.head(&mine(), text(&pair, "access_token"));
    let outer = site.source.for_request(&head, None);
    let middle = TokenSource::service(Arc::clone(&site.service)).for_request(&head, Some(&outer));
    let inner = site.source.for_request(&head, Some(&middle));
    outer.open::<AnyToken>(&head).await.unwrap();
    assert!(inner.open::<AnyToken>(&head).await.is_ok());
}

/// The clock of a server is set back by an hour: nothing is forgotten for that long, which fills the memory.
#[test]
fn a_clock_that_is_set_back_begins_anew() {
    let dpop = Dpop::new(BASE).unwrap();
    let verify = |jti: &str, second: u64| {
        let proof = Proof::new(&mine(), "GET", "https://api.example/me", jti).claim("iat", second.to_string());
        let head = Head::new("GET", "/me").with("dpop", proof.signed(&mine()));
        at_once(dpop.verify(&head, None, at(second))).map(drop)
    };
    verify("a", NOW + 3600).unwrap();
    verify("a", NOW).unwrap_err();
    // Ten minutes later, by the clock that is right now, the first is as forgotten as it would be.
    assert!(!matches!(verify("a", NOW + 600), Err(ProofError::Replayed)), "generation began in the future");
}

/// A thief's proof of a thief's key beside a token that was bound by somebody else; and every mixture of schemes.
#[tokio::test]
async fn no_spelling_of_a_scheme_helps() {
    let site = Site::standard();
    let pair = site.post(site.token_proof(&mine()), login()).await;
    let token = text(&pair, "access_token");
    let mut accepted = Vec::new();
    let thief = Forge::new(Algorithm::EdDsa, 7);
    for authorization in [
        format!("Bearer {token}"),
        format!("bearer  {token}"),
        format!("BEARER {token}"),
        format!("Bearer\t{token}"),
        format!("DPoP {token}"),
        format!("DPoP  {token}"),
        format!("Basic {token}"),
        format!("DPoP {token}, Bearer {token}"),
        format!("Bearer DPoP {token}"),
        token.to_owned(),
        format!("DPoP {token} "),
        format!("PoP {token}"),
    ] {
        for forge in [None, Some(&thief)] {
            let head = Head::new("GET", "/me").with("authorization", &*authorization);
            let head = match forge {
                Some(forge) => head.with("dpop", site.proof(forge, "GET", "/me").about(token).signed(forge)),
                None => head,
            };
            if site.source.for_request(&head, None).open::<AnyToken>(&head).await.is_ok() {
                accepted.push(authorization.clone());
            }
        }
    }
    assert!(accepted.is_empty(), "{accepted:?}");
}

/// The same request once more while the first is under way: exactly one is served, with either memory.
#[tokio::test]
async fn of_simultaneous_replays_one_is_served() {
    for everywhere in [false, true] {
        let site = Site::new(|dpop, manager| if everywhere { dpop.replays_in(manager) } else { dpop });
        let pair = site.post(site.token_proof(&mine()), login()).await;
        let head = site.head(&mine(), text(&pair, "access_token"));
        let sources = [(); 8].map(|()| site.source.for_request(&head, None));
        let mut served = 0;
        let [a, b, c, d, e, f, g, h] = &sources;
        let all = tokio::join!(
            a.open::<AnyToken>(&head),
            b.open::<AnyToken>(&head),
            c.open::<AnyToken>(&head),
            d.open::<AnyToken>(&head),
            e.open::<AnyToken>(&head),
            f.open::<AnyToken>(&head),
            g.open::<AnyToken>(&head),
            h.open::<AnyToken>(&head),
        );
        for one in [all.0, all.1, all.2, all.3, all.4, all.5, all.6, all.7] {
            served += u32::from(one.is_ok());
        }
        assert_eq!(served, 1);
    }
}

/// Parallel refreshes of the honest client, each with a proof of its own: all get the same successor.
#[tokio::test]
async fn parallel_refreshes_get_one_successor() {
    let site = Site::new(|dpop, manager| dpop.replays_in(manager));
    let pair = site.post(site.token_proof(&mine()), login()).await;
    let token = text(&pair, "refresh_token");
    let go = || site.post(site.token_proof(&mine()), refresh(token));
    let (a, b, c) = tokio::join!(go(), go(), go());
    assert_eq!((a.0, b.0, c.0), (200, 200, 200), "{a:?} {b:?} {c:?}");
    assert_eq!(a.1["refresh_token"], b.1["refresh_token"]);
    assert_eq!(a.1["refresh_token"], c.1["refresh_token"]);
}

/// A public JWK as WebCrypto exports it: of a pair that was generated with `["sign"]` alone, it has no operations.
#[test]
fn keys_are_as_clients_export_them() {
    let dpop = Dpop::new(BASE).unwrap();
    let mut refused = Vec::new();
    for more in [
        r#","ext":true,"key_ops":["verify"]}"#,
        r#","ext":true,"key_ops":[]}"#,
        r#","kid":""}"#,
        r#","x5c":[]}"#,
        r#","alg":"ES256"}"#,
        r#","key_ops":["verify","sign"]}"#,
    ] {
        let jwk = super::jwk(&mine()).replace('}', more);
        let proof = Proof::new(&mine(), "GET", "https://api.example/me", more).header("jwk", jwk);
        let head = Head::new("GET", "/me").with("dpop", proof.signed(&mine()));
        if let Err(error) = at_once(dpop.verify(&head, None, at(NOW))) {
            refused.push((more, format!("{error:?}")));
        }
    }
    assert!(refused.is_empty(), "{refused:#?}");
}

/// A layer with a memory of its own around one that asks the store: the replay at another server.
#[tokio::test]
async fn an_outer_layer_does_not_weaken_the_inner_one() {
    let site = Site::new(|dpop, manager| dpop.replays_in(manager));
    let pair = site.post(site.token_proof(&mine()), login()).await;
    let head = site.head(&mine(), text(&pair, "access_token"));
    let mut served = 0;
    for _server in 0..3 {
        let outer = TokenSource::service(Arc::clone(&site.service)).with_dpop(Dpop::new(BASE).unwrap());
        let outer = outer.for_request(&head, None);
        outer.open::<AnyToken>(&head).await.unwrap(); // a middleware that logs who it is
        served += u32::from(site.source.for_request(&head, Some(&outer)).open::<AnyToken>(&head).await.is_ok());
    }
    assert_eq!(served, 1);
}

/// A layer around a layer, each with the same memory, however it was made.
#[tokio::test]
async fn layers_with_the_same_store_share_a_proof() {
    let site = Site::new(|dpop, manager| dpop.replays_in(manager));
    let pair = site.post(site.token_proof(&mine()), login()).await;
    let head = site.head(&mine(), text(&pair, "access_token"));
    let again = Dpop::new(BASE).unwrap().replays_in(site.service.manager().clone());
    let outer = TokenSource::service(Arc::clone(&site.service)).with_dpop(again).for_request(&head, None);
    outer.open::<AnyToken>(&head).await.unwrap();
    site.source.for_request(&head, Some(&outer)).open::<AnyToken>(&head).await.unwrap();
}

/// "Neither listed nor limited": what an operator sees of used proofs.
#[tokio::test]
async fn used_proofs_are_no_sessions() {
    let site = Site::new(|dpop, manager| dpop.replays_in(manager));
    let pair = site.post(site.token_proof(&mine()), login()).await;
    for _ in 0..10 {
        let head = site.head(&mine(), text(&pair, "access_token"));
        site.source.for_request(&head, None).open::<AnyToken>(&head).await.unwrap();
    }
    let manager = site.service.manager();
    let listed = manager.list_all(None, NonZeroU32::new(100).unwrap()).await.unwrap().listing.sessions.len();
    assert_eq!(listed, 1);
}
