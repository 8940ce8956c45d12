//! [`Nginx`]: a proxy with TLS in front of sites.

use std::ops::Deref;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, KeyPair, PublicKeyData as _};
use sha2::{Digest as _, Sha256};

use super::base::{Port, ServerError, blocking};
use super::install::NGINX;
use super::process::{Server, Spec, accepts};

/// nginx for any number of sites, with TLS and HTTP/2 on one port.
///
/// Its certificate is signed by its own key. A browser with the [flags](Self::chromium_flags) accepts it, and finds all
/// sites here under their usual address, `https://name/`, without a port.
#[derive(Debug)]
pub struct Nginx {
    server: Server,
    /// Where the sites are, as Chromium is told.
    rules: String,
    /// The Base64 of the SHA-256 of the public key (`SubjectPublicKeyInfo`).
    pin: String,
}

/// Files of nginx are below its folder, and nothing is logged elsewhere. It is one process: a worker would outlive a master
/// that is killed. Browsers open a WebSocket by HTTP/1.1;
/// `$connection_upgrade` is what the documentation of nginx recommends for them.
const SETTINGS: &str = "
daemon off;
pid nginx.pid;
error_log stderr;
master_process off;
events {}
http {
    access_log access.log;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    default_type text/html;
    ssl_certificate certificate.pem;
    ssl_certificate_key key.pem;
    map $http_upgrade $connection_upgrade { default upgrade; '' close; }
";

impl Nginx {
    /// Starts it. `sites` are host names, each with the directives of its `server` block. The program is that of the
    /// environment variable `NGINX`, or an installed one.
    ///
    /// # Errors
    /// If it cannot be found, installed or started.
    pub async fn launch(sites: &[(&str, &str)]) -> Result<Self, ServerError> {
        let sites: Vec<(String, String)> =
            sites.iter().map(|&(name, site)| (name.to_owned(), site.to_owned())).collect();
        blocking(move || Self::start_new(&sites)).await
    }

    fn start_new(sites: &[(String, String)]) -> Result<Self, ServerError> {
        let failed = || ServerError::of("the certificate of nginx");
        let key = KeyPair::generate().map_err(failed())?;
        let names: Vec<String> = sites.iter().map(|(name, _)| name.clone()).collect();
        let certificate = CertificateParams::new(names).map_err(failed())?.self_signed(&key).map_err(failed())?;
        let pin = STANDARD.encode(Sha256::digest(key.subject_public_key_info()));

        let (port, folder) = (Port::claim()?, Server::new_folder());
        let (mut settings, mut rules) = (SETTINGS.to_owned(), String::new());
        for (name, site) in sites {
            let server = format!("listen {} ssl http2; server_name {name};\n{site}", port.address());
            settings += &format!("server {{ {server}\n}}\n");
            rules += &format!("MAP {name} {}, ", port.address());
        }
        settings.push('}');
        let program = NGINX.find_unless("NGINX")?.display().to_string();
        let prefix = format!("{}/", folder.display());
        let arguments = ["-e", "stderr", "-p", &prefix, "-c", "nginx.conf"].map(str::to_owned);
        let server = Server::spawn(Spec {
            name: "nginx",
            command: std::iter::once(program).chain(arguments).collect(),
            files: vec![
                ("nginx.conf", settings),
                ("certificate.pem", certificate.pem()),
                ("key.pem", key.serialize_pem()),
            ],
            folder,
            port,
            user: None,
            stop: "TERM",
            end: "KILL",
            ping: accepts,
        })?;
        server.ready()?;
        Ok(Self { server, rules, pin })
    }

    /// What makes a Chromium find the sites here, and no other host anywhere, and accept the certificate.
    ///
    /// The certificate is accepted by its key. Nothing has to be installed for that, as the NSS database would be, and any
    /// other certificate remains an error.
    #[must_use]
    pub fn chromium_flags(&self) -> [String; 2] {
        let rules = format!("--host-resolver-rules={}MAP * ~NOTFOUND", self.rules);
        [rules, format!("--ignore-certificate-errors-spki-list={}", self.pin)]
    }
}

impl Deref for Nginx {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}
