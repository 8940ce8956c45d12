//! TLS with certificates of one's own.

use session_redis::{ConnectError, RedisStore, RedisStoreBuilder};
use session_testbed::calls::Sessions;
use session_testbed::feeds::{assert_every_change_is_told, told};
use session_testbed::records::{NOW, insert, record, shop};
use session_testbed::servers::Redis;

use crate::support::CALLS;
use crate::support::tls::{Authority, Files};

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_those_of_the_builder() {
    rustls::crypto::ring::default_provider().install_default().unwrap();
    let (authority, stranger) = (Authority::new(), Authority::new());
    let files = Files::new(&authority, "localhost", &[&authority]);
    let settings = files.directives();
    let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let server = Redis::launch(&settings).await.unwrap();
    let port = server.tls_port();
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
    let telling = ours(RedisStore::builder(&url, shop()).publish_changes(), &authority).connect().await.unwrap();
    let mut feed = telling.feed().unwrap();
    let _ = told(&mut feed).await;
    assert_every_change_is_told(&telling, &mut feed).await;

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
}
