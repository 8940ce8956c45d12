//! TLS with certificates of one's own.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use session_redis::{ConnectError, RedisStore, RedisStoreBuilder};
use session_testbed::calls::Sessions;
use session_testbed::records::{NOW, insert, record, shop};
use session_testbed::servers::Redis;

use crate::support::CALLS;

/// An authority, and what it has signed: certificate and key.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    fn sign(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        // Another name than that of the authority: otherwise it would seem to be signed by itself.
        params.distinguished_name.push(DnType::CommonName, name);
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_those_of_the_builder() {
    rustls::crypto::ring::default_provider().install_default().unwrap();
    let (authority, stranger) = (Authority::new(), Authority::new());
    let (certificate, key) = authority.sign("localhost");
    let folder = std::env::temp_dir().join(format!("session-redis-tls-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let write = |name: &str, text: &str| {
        std::fs::write(folder.join(name), text).unwrap();
        Path::new(&folder).join(name).display().to_string()
    };
    let files = [write("ca.pem", &authority.pem), write("cert.pem", &certificate), write("key.pem", &key)];
    // Free now, and soon in use.
    let port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port().to_string();
    let server = Redis::launch(&[
        ("tls-port", &port),
        ("tls-ca-cert-file", &files[0]),
        ("tls-cert-file", &files[1]),
        ("tls-key-file", &files[2]),
        ("tls-auth-clients", "yes"),
    ])
    .await
    .unwrap();
    let url = format!("rediss://localhost:{port}");
    let open = |certificates: fn(RedisStoreBuilder, &Authority) -> RedisStoreBuilder, authority: &Authority| {
        certificates(RedisStore::builder(&url, shop()), authority).connect()
    };
    let ours = |builder: RedisStoreBuilder, authority: &Authority| {
        let (certificate, key) = authority.sign("client");
        builder.root_certificates(authority.pem.clone()).client_certificate(certificate, key)
    };
    let store = open(ours, &authority).await.unwrap_or_else(|error| panic!("{error}"));
    Sessions::assert_all_work(&store, CALLS).await;

    let unknown = open(ours, &stranger).await.unwrap_err().to_string();
    assert!(unknown.contains("certificate"), "{unknown}");
    let none = open(|builder, _| builder, &authority).await.unwrap_err().to_string();
    assert!(none.contains("certificate"), "{none}");
    // The server notices that there is no client certificate after it was greeted.
    let anonymous = open(|builder, authority| builder.root_certificates(authority.pem.clone()), &authority).await;
    assert!(anonymous.is_err());
    let plain = RedisStore::builder(&server.url(), shop()).root_certificates(authority.pem.clone()).connect_lazy();
    assert!(matches!(plain, Err(ConnectError::Parameter(_))));
    for pem in ["", "not PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let builder = RedisStore::builder(&url, shop()).root_certificates(pem);
        assert!(matches!(builder.connect_lazy(), Err(ConnectError::Certificate)), "{pem:?}");
    }
    // Without TLS it is another port, which does not speak it.
    let wrong = RedisStore::builder(&format!("rediss://{}", server.address()), shop()).connect().await.unwrap_err();
    println!("{wrong}; {unknown}; {none}; {:?}", anonymous.map(|_| ()).map_err(|error| error.to_string()));
    insert(&RedisStore::connect(&server.url(), shop()).await.unwrap(), &record(None, NOW)).await;
    std::fs::remove_dir_all(&folder).unwrap();
}
