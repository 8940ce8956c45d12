//! Apache with mod_auth_openidc as a resource server: it knows our tokens by the public keys alone, or asks about them.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use session_core::{
    Assurance, Authentication, Clock as _, OsEntropy, Proof, SessionId, SystemClock, Timestamp, UserId,
};
use session_jwt::{AccessTokens, Algorithm, KeyRing, Rotation, SigningKey, Subject, TokenPolicy};
use session_testbed::servers::{Apache, Nginx};

use crate::site::{AUDIENCE, GATEWAY_SECRET, Site};

/// Gateways in one Apache, before one site: `keys.test` knows where its keys are, `asks.test` where to ask about a token,
/// `finds.test` where the metadata is that says so. mod_auth_openidc asks by TLS only: the site is behind nginx for that.
struct Gateway {
    site: Site,
    apache: Apache,
    _nginx: Nginx,
}

impl Gateway {
    async fn start() -> Self {
        let site = Site::start().await;
        let upstream = format!("location / {{ proxy_pass {}; }}", site.issuer());
        let nginx = Nginx::launch(&[("127.0.0.1", &upstream)]).await.unwrap();
        let certificate = std::fs::read_to_string(nginx.folder().join("certificate.pem")).unwrap();
        let admit = format!(
            "OIDCOAuthRemoteUserClaim sub
            ProxyPass / {issuer}/
            <Location />
                AuthType oauth20
                <RequireAll>
                    Require claim iss:{issuer}
                    Require claim aud:{AUDIENCE}
                </RequireAll>
                RequestHeader set X-User expr=%{{REMOTE_USER}}
            </Location>",
            issuer = site.issuer(),
        );
        // Every request is asked about anew.
        let client = format!(
            "OIDCOAuthClientID gateway
            OIDCOAuthClientSecret {GATEWAY_SECRET}
            OIDCOAuthTokenIntrospectionInterval -1
            {admit}"
        );
        let tls = format!("https://{}", nginx.address());
        let keys = format!("OIDCOAuthVerifyJwksUri {tls}/.well-known/jwks.json\n{admit}");
        let asks = format!("OIDCOAuthIntrospectionEndpoint {tls}/token/introspect\n{client}");
        let finds = format!("OIDCOAuthServerMetadataURL {tls}/.well-known/oauth-authorization-server\n{client}");
        let sites = [("keys.test", &*keys), ("asks.test", &asks), ("finds.test", &finds)];
        let apache = Apache::launch(&sites, &certificate).await.unwrap();
        Self { site, apache, _nginx: nginx }
    }

    /// Asks the site for the orders, through the gateway, and returns the status and the body.
    async fn orders(&self, host: &str, token: Option<&str>) -> (u16, String) {
        let authorization = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        let request = format!("GET /orders HTTP/1.1\r\nHost: {host}\r\n{authorization}Connection: close\r\n\r\n");
        let address = self.apache.address();
        tokio::task::spawn_blocking(move || exchange(address, &request)).await.unwrap()
    }
}

fn exchange(address: SocketAddr, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

fn admitted(user: &str) -> (u16, String) {
    (200, format!("orders of {user}"))
}

/// A token that `key` signs at `now`.
async fn signed(key: SigningKey, policy: TokenPolicy, now: Timestamp) -> String {
    let user = UserId::new("alice").unwrap();
    let session = SessionId::generate(Some(&user), &OsEntropy).unwrap();
    let authentication = Authentication::new(user, Proof::new(Assurance::Aal1, now).method("pwd"));
    let subject = Subject::new(session, &authentication, now + Duration::from_secs(3600));
    let tokens = AccessTokens::new(policy, KeyRing::with_key(key, Rotation::default(), now)).unwrap();
    tokens.issue(&subject, now).await.unwrap().expose().to_owned()
}

fn policy(issuer: &str, audience: &str) -> TokenPolicy {
    TokenPolicy::new(issuer, audience).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_admits_our_access_tokens_by_the_public_keys_alone() {
    let gateway = Gateway::start().await;
    let (site, now) = (&gateway.site, SystemClock.now());
    for user in ["alice", "bob"] {
        let token = site.access_token(user).await;
        assert_eq!(gateway.orders("keys.test", Some(&token)).await, admitted(user));
    }

    // The key of the site is known from here on, so that only that is wrong which each line says.
    let key = || SigningKey::generate(Algorithm::Es256, &OsEntropy).unwrap();
    let pem = key().to_pem().unwrap();
    let ours = || SigningKey::from_pem(&pem).unwrap();
    site.tokens.tokens().set_ring(KeyRing::with_key(ours(), Rotation::default(), now)).unwrap();
    let issuer = site.issuer();
    let right = signed(ours(), policy(&issuer, AUDIENCE), now).await;
    assert_eq!(gateway.orders("keys.test", Some(&right)).await, admitted("alice"));
    let (message, signature) = right.rsplit_once('.').unwrap();
    let first = if signature.starts_with('A') { 'B' } else { 'A' };
    let wrong = [
        ("no token", None),
        ("no JWT", Some("garbage".to_owned())),
        ("another signature", Some(format!("{message}.{first}{}", &signature[1..]))),
        ("no signature", Some(format!("{message}."))),
        ("another key", Some(signed(key(), policy(&issuer, AUDIENCE), now).await)),
        ("another issuer", Some(signed(ours(), policy("https://other.example", AUDIENCE), now).await)),
        ("another audience", Some(signed(ours(), policy(&issuer, "https://other.example"), now).await)),
        ("expired", Some(signed(ours(), policy(&issuer, AUDIENCE), now - Duration::from_secs(3600)).await)),
    ];
    for (what, token) in wrong {
        let (status, _) = gateway.orders("keys.test", token.as_deref()).await;
        assert_eq!(status, 401, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_follows_a_change_of_keys() {
    let gateway = Gateway::start().await;
    let tokens = gateway.site.tokens.tokens();
    let before = gateway.site.access_token("alice").await;
    assert_eq!(gateway.orders("keys.test", Some(&before)).await, admitted("alice"));

    let (ring, now) = (tokens.ring(), SystemClock.now());
    let stolen = ring.keys(now).next().unwrap().kid;
    tokens.set_ring(ring.retire(&stolen, now, &OsEntropy).unwrap()).unwrap();
    // It asks again for a key that it does not know, and forgets those that are gone.
    let after = gateway.site.access_token("bob").await;
    assert_eq!(gateway.orders("keys.test", Some(&after)).await, admitted("bob"));
    assert_eq!(gateway.orders("keys.test", Some(&before)).await.0, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_asks_about_tokens_learns_of_a_revocation_at_once() {
    let gateway = Gateway::start().await;
    for host in ["asks.test", "finds.test"] {
        let token = gateway.site.access_token("carol").await;
        assert_eq!(gateway.orders(host, Some(&token)).await, admitted("carol"), "{host}");
        assert_eq!(gateway.orders(host, Some("garbage")).await.0, 401, "{host}");
        assert_eq!(gateway.orders(host, None).await.0, 401, "{host}");

        let _ = gateway.site.tokens.revoke(&token).await.unwrap();
        assert_eq!(gateway.orders(host, Some(&token)).await.0, 401, "{host}");
        // As documented: by the keys alone, it is good until it expires.
        assert_eq!(gateway.orders("keys.test", Some(&token)).await, admitted("carol"));
    }
}
