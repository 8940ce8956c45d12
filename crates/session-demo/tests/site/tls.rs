//! TLS to the server of the store.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt, chown};
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use session_testbed::servers::{Postgres, Redis};

use crate::server::psql;
use crate::support::{Demo, assert_refused};

/// Writes `ca.pem`, `server.pem` and `server.key` (for 127.0.0.1) into the folder of a server, for its owner only.
fn write_certificates(folder: &Path) {
    let (ca_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let mut ca = CertificateParams::new([]).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_certificate = ca.self_signed(&ca_key).unwrap();
    let server = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let certificate = server.signed_by(&key, &Issuer::new(ca, ca_key)).unwrap();
    let owner = fs::metadata(folder).unwrap();
    for (name, content) in
        [("ca.pem", ca_certificate.pem()), ("server.pem", certificate.pem()), ("server.key", key.serialize_pem())]
    {
        let path = folder.join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        chown(&path, Some(owner.uid()), Some(owner.gid())).unwrap();
    }
}

/// Asserts that a demo that trusts the authority in `folder` works, and that one that does not refuses the server.
async fn assert_secure(store: &str, folder: &Path) {
    let demo = Demo::start_with(&["--store", store], |command| command.env("SSL_CERT_FILE", folder.join("ca.pem")));
    let alice = demo.logged_in("alice").await;
    assert_eq!(alice.user().await.as_deref(), Some("alice"));
    assert_refused(&["--store", store], &["invalid peer certificate"]).await;
}

#[tokio::test]
async fn redis_over_tls() {
    let redis = Redis::launch(&[]).await.unwrap();
    write_certificates(redis.folder());
    for (setting, value) in
        [("tls-cert-file", "server.pem"), ("tls-key-file", "server.key"), ("tls-ca-cert-file", "ca.pem")]
    {
        redis.command(&["CONFIG", "SET", setting, value]).await.unwrap();
    }
    redis.command(&["CONFIG", "SET", "tls-auth-clients", "no"]).await.unwrap();
    let mut port = 0;
    for _ in 0..10 {
        port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        // Fails if the port was taken meanwhile.
        if redis.command(&["CONFIG", "SET", "tls-port", &port.to_string()]).await.is_ok() {
            break;
        }
    }
    assert_secure(&format!("rediss://127.0.0.1:{port}"), redis.folder()).await;
    assert_refused(&["--store", &format!("redis://127.0.0.1:{port}")], &["unavailable"]).await;
}

#[tokio::test]
async fn postgres_over_tls() {
    let postgres = Postgres::launch(&[Postgres::FSYNC_OFF]).await.unwrap();
    let folder = postgres.folder();
    write_certificates(folder);
    for (setting, value) in [
        ("ssl_cert_file", folder.join("server.pem").display().to_string()),
        ("ssl_key_file", folder.join("server.key").display().to_string()),
        ("ssl", "on".to_owned()),
    ] {
        psql(&postgres, &format!("ALTER SYSTEM SET {setting} = '{value}'"));
    }
    let required = format!("{}?sslmode=require", postgres.url());
    assert_refused(&["--store", &required], &["the TLS handshake failed"]).await;
    psql(&postgres, "SELECT pg_reload_conf()");
    while psql(&postgres, "SHOW ssl") != "on" {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_secure(&format!("{}?sslmode=verify-full", postgres.url()), folder).await;
    let encrypted = "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE state = 'idle'";
    let demo = Demo::start(&["--store", &required]);
    demo.logged_in("alice").await;
    assert_eq!(psql(&postgres, encrypted), "t");
}
