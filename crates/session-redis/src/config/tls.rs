//! Certificates of the application's own: [`Certificates`].

use redis::ConnectionInfo;
use redis::cluster::ClusterClientBuilder;

use super::error::ConnectError;

/// Which certificates connections with TLS trust and show, other than those of the operating system.
#[derive(Clone, Default)]
pub(crate) struct Certificates {
    #[cfg(feature = "tls-rustls")]
    pub(crate) roots: Option<Vec<u8>>,
    /// Certificate and key.
    #[cfg(feature = "tls-rustls")]
    pub(crate) client: Option<(Vec<u8>, Vec<u8>)>,
}

#[cfg(feature = "tls-rustls")]
impl Certificates {
    pub(crate) fn is_any(&self) -> bool {
        self.roots.is_some() || self.client.is_some()
    }

    /// `info`, with these certificates.
    pub(crate) fn apply(&self, info: ConnectionInfo) -> Result<ConnectionInfo, ConnectError> {
        if !self.is_any() {
            return Ok(info);
        }
        let no_roots = self.roots.as_ref().is_some_and(|pem| !pem.windows(11).any(|text| text == b"-----BEGIN "));
        let client = redis::Client::build_with_tls(info, self.for_driver()).map_err(|_| ConnectError::Certificate)?;
        if no_roots { Err(ConnectError::Certificate) } else { Ok(client.get_connection_info().clone()) }
    }

    pub(crate) fn configure(&self, builder: ClusterClientBuilder) -> ClusterClientBuilder {
        if self.is_any() { builder.certs(self.for_driver()) } else { builder }
    }

    fn for_driver(&self) -> redis::TlsCertificates {
        let client = self.client.clone();
        let client_tls = client.map(|(client_cert, client_key)| redis::ClientTlsConfig { client_cert, client_key });
        redis::TlsCertificates { client_tls, root_cert: self.roots.clone() }
    }
}

#[cfg(not(feature = "tls-rustls"))]
#[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "the counterparts of those with TLS")]
impl Certificates {
    pub(crate) fn is_any(&self) -> bool {
        false
    }

    pub(crate) fn apply(&self, info: ConnectionInfo) -> Result<ConnectionInfo, ConnectError> {
        Ok(info)
    }

    pub(crate) fn configure(&self, builder: ClusterClientBuilder) -> ClusterClientBuilder {
        builder
    }
}
