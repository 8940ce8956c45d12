//! Certificates for servers and their clients.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// An authority, and what it has signed: certificate and key.
pub struct Authority {
    pub pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        // Who trusts several tells them apart by their names.
        params.distinguished_name.push(DnType::CommonName, format!("authority {}", number()));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    pub fn sign(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        // Another name than that of the authority: otherwise it would seem to be signed by itself.
        params.distinguished_name.push(DnType::CommonName, name);
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

/// Files with the certificate and key of servers, and with the authorities that they trust.
pub struct Files(PathBuf);

impl Files {
    /// A certificate for servers at `name`.
    pub fn new(authority: &Authority, name: &str, trusted: &[&Authority]) -> Self {
        let folder = std::env::temp_dir().join(format!("session-redis-tls-{}-{}", std::process::id(), number()));
        std::fs::create_dir_all(&folder).unwrap();
        let (certificate, key) = authority.sign(name);
        let trusted = trusted.iter().map(|authority| authority.pem.as_str()).collect();
        for (file, text) in [("ca.pem", trusted), ("cert.pem", certificate), ("key.pem", key)] {
            std::fs::write(folder.join(file), text).unwrap();
        }
        Self(folder)
    }

    /// Directives of `redis.conf`: TLS with these files, for clients that have a certificate too.
    pub fn directives(&self) -> [(&'static str, String); 5] {
        let path = |file| format!("\"{}\"", self.0.join(file).display());
        [
            ("tls-port", "auto".to_owned()),
            ("tls-ca-cert-file", path("ca.pem")),
            ("tls-cert-file", path("cert.pem")),
            ("tls-key-file", path("key.pem")),
            ("tls-auth-clients", "yes".to_owned()),
        ]
    }
}

/// Another one each time.
fn number() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::SeqCst)
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
