//! [`Apache`]: a gateway that admits requests by their access tokens.

use std::ops::Deref;
use std::path::Path;

use super::base::{Port, ServerError, blocking};
use super::install::{apache, unprivileged_user};
use super::process::{Server, Spec, accepts};

/// Apache with mod_auth_openidc, for any number of sites.
#[derive(Debug)]
pub struct Apache(Server);

/// What is not a file is compiled in, depending on the distribution.
const MODULES: [&str; 9] =
    ["mpm_event", "unixd", "authn_core", "authz_core", "authz_user", "headers", "proxy", "proxy_http", "auth_openidc"];

/// Files of Apache are below its folder. `cat` writes its log to that of the server, which Apache may not open itself.
const SETTINGS: &str = r#"
ServerName localhost
PidFile apache.pid
DefaultRuntimeDir .
ErrorLog "|/bin/cat"
LogLevel warn
OIDCCABundlePath trusted.pem
"#;

impl Apache {
    /// Starts it. `sites` are host names, each with the directives of its virtual host. It fetches from servers whose
    /// certificate, in PEM, is `trusted`, and from no other.
    ///
    /// # Errors
    /// If it cannot be found, installed or started.
    pub async fn launch(sites: &[(&str, &str)], trusted: &str) -> Result<Self, ServerError> {
        let hosts =
            sites.iter().map(|(name, site)| format!("<VirtualHost *>\nServerName {name}\n{site}\n</VirtualHost>\n"));
        let (hosts, trusted): (String, _) = (hosts.collect(), trusted.to_owned());
        blocking(move || Self::start_new(&hosts, trusted)).await
    }

    fn start_new(hosts: &str, trusted: String) -> Result<Self, ServerError> {
        let (program, modules) = apache()?;
        let (port, folder) = (Port::claim()?, Server::new_folder());
        let mut settings = String::new();
        for (name, file) in MODULES.map(|name| (name, modules.join(format!("mod_{name}.so")))) {
            if file.is_file() {
                settings += &format!("LoadModule {name}_module {}\n", file.display());
            }
        }
        settings += &format!("Listen {}\n{SETTINGS}{hosts}", port.address());
        let text = |path: &Path| path.display().to_string();
        // One process (`-X`): a worker would outlive a parent that is killed.
        let (folder_text, file) = (text(&folder), text(&folder.join("apache.conf")));
        let server = Server::spawn(Spec {
            name: "Apache",
            command: vec![text(&program), "-X".to_owned(), "-d".to_owned(), folder_text, "-f".to_owned(), file],
            files: vec![("apache.conf", settings), ("trusted.pem", trusted)],
            folder,
            port,
            user: unprivileged_user()?,
            stop: "TERM",
            end: "KILL",
            ping: accepts,
        })?;
        server.ready()?;
        Ok(Self(server))
    }
}

impl Deref for Apache {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.0
    }
}
