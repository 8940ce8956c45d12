//! Which servers a URL names: [`Topology`], and why a store could not be opened: [`ConnectError`].

use std::time::Duration;

use redis::io::tcp::{TcpSettings, socket2::TcpKeepalive};
use redis::sentinel::SentinelNodeConnectionInfo;
use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _, ProtocolVersion, TlsMode};
use session_core::StoreError;

/// Where the sessions are.
#[derive(Clone)]
pub(crate) enum Topology {
    /// One server.
    Single(ConnectionInfo),
    /// The server that the sentinels report as the primary of the service.
    Sentinel { sentinels: Vec<ConnectionInfo>, service: String, primary: SentinelNodeConnectionInfo },
    /// A Cluster, known by some of its nodes.
    Cluster(Vec<ConnectionInfo>),
}

/// Why a store could not be opened. Never quotes the URL, which may contain a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URL is invalid.
    #[error(
        "invalid URL; expected redis://[user:password@]host[:port][/db], \
         redis+sentinel://[user:password@]host[:port],…/service[?db=…&sentinel_user=…&sentinel_password=…], \
         or redis+cluster://[user:password@]host[:port],…"
    )]
    Url,
    /// The URL asks for TLS, which is not available.
    #[error(
        "TLS is not available: enable the feature `tls-rustls`, and install a rustls CryptoProvider as the default of \
         the process before the store is opened"
    )]
    Tls,
    /// The key prefix is invalid.
    #[error("a key prefix must have 1 to 64 characters of visible ASCII, without braces")]
    KeyPrefix,
    /// The time limit is out of range.
    #[error("the time limit of an operation must be more than zero and at most a minute")]
    OperationTimeout,
    /// There is no tokio runtime to connect in.
    #[error("the store must be opened inside a tokio runtime")]
    NoRuntime,
    /// The server cannot be reached, or does not let the application in.
    #[error("redis: cannot connect")]
    Unavailable(#[from] StoreError),
}

/// The parts of `scheme://[user:password@]host[:port][,host[:port]…][/path][?query]`.
struct Parts<'u> {
    scheme: &'u str,
    credentials: &'u str,
    hosts: Vec<&'u str>,
    path: &'u str,
    query: &'u str,
}

impl Topology {
    pub(crate) fn parse(url: &str) -> Result<Self, ConnectError> {
        let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
        let (base, kind) = scheme.split_once('+').unwrap_or((scheme, ""));
        if matches!(base, "rediss" | "valkeys") {
            tls_is_available()?;
        }
        match (base, kind) {
            ("redis" | "rediss" | "valkey" | "valkeys", "sentinel") => sentinel(&parts(url, base)?),
            ("redis" | "rediss" | "valkey" | "valkeys", "cluster") => cluster(&parts(url, base)?),
            _ => Ok(Self::Single(server(url)?)),
        }
    }
}

fn parts<'u>(url: &'u str, scheme: &'u str) -> Result<Parts<'u>, ConnectError> {
    let (_, rest) = url.split_once("://").ok_or(ConnectError::Url)?;
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (credentials, hosts) = match authority.rfind('@') {
        Some(at) => authority.split_at(at + 1),
        None => ("", authority),
    };
    Ok(Parts { scheme, credentials, hosts: hosts.split(',').collect(), path, query })
}

fn cluster(parts: &Parts<'_>) -> Result<Topology, ConnectError> {
    if !parts.path.is_empty() || !parts.query.is_empty() {
        return Err(ConnectError::Url);
    }
    let node = |host: &&str| server(&format!("{}://{}{host}", parts.scheme, parts.credentials));
    Ok(Topology::Cluster(parts.hosts.iter().map(node).collect::<Result<_, _>>()?))
}

fn sentinel(parts: &Parts<'_>) -> Result<Topology, ConnectError> {
    let (mut db, mut user, mut password) = ("", "", "");
    for parameter in parts.query.split('&').filter(|parameter| !parameter.is_empty()) {
        match parameter.split_once('=').ok_or(ConnectError::Url)? {
            ("db", value) => db = value,
            ("sentinel_user", value) => user = value,
            ("sentinel_password", value) => password = value,
            _ => return Err(ConnectError::Url),
        }
    }
    if parts.path.is_empty() || parts.path.contains(['/', '%']) {
        return Err(ConnectError::Url);
    }
    let credentials = if password.is_empty() { String::new() } else { format!("{user}:{password}@") };
    let node = |host: &&str| {
        let has_port = host.rsplit(']').next().is_some_and(|end| end.contains(':'));
        let port = if has_port { "" } else { ":26379" };
        server(&format!("{}://{credentials}{host}{port}", parts.scheme))
    };
    let sentinels = parts.hosts.iter().map(node).collect::<Result<Vec<_>, _>>()?;
    // The host is a placeholder: the sentinels know the address.
    let template = server(&format!("{}://{}primary/{db}", parts.scheme, parts.credentials))?;
    let mut primary = SentinelNodeConnectionInfo::default()
        .set_redis_connection_info(template.redis_settings().clone())
        .set_tcp_settings(template.tcp_settings().clone());
    if matches!(template.addr(), ConnectionAddr::TcpTls { .. }) {
        primary = primary.set_tls_mode(TlsMode::Secure);
    }
    Ok(Topology::Sentinel { sentinels, service: parts.path.to_owned(), primary })
}

/// One server, by the rules of the client library, with the settings every connection has.
fn server(url: &str) -> Result<ConnectionInfo, ConnectError> {
    // The error may quote the URL, and that has a password in it.
    let info = url.into_connection_info().map_err(|_| ConnectError::Url)?;
    let tcp = TcpSettings::default()
        .set_nodelay(true)
        .set_keepalive(TcpKeepalive::new().with_time(Duration::from_secs(30)).with_interval(Duration::from_secs(5)));
    // A network that drops everything: give the connection up when data stays unacknowledged this long.
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    let tcp = tcp.set_user_timeout(Duration::from_secs(5));
    // RESP3: a disconnect is reported when it happens, not by the next request that fails.
    let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    Ok(info.set_redis_settings(settings).set_tcp_settings(tcp))
}

/// Without a provider rustls would panic while connecting.
fn tls_is_available() -> Result<(), ConnectError> {
    #[cfg(feature = "tls-rustls")]
    let available = rustls::crypto::CryptoProvider::get_default().is_some();
    #[cfg(not(feature = "tls-rustls"))]
    let available = false;
    if available { Ok(()) } else { Err(ConnectError::Tls) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    fn addresses(nodes: &[ConnectionInfo]) -> Vec<String> {
        nodes.iter().map(|node| node.addr().to_string()).collect()
    }

    #[test]
    fn a_single_server() {
        let Ok(Topology::Single(info)) = Topology::parse("redis://app:s%40crt@db.example:6380/3") else {
            panic!("not a single server")
        };
        assert_eq!(info.addr().to_string(), "db.example:6380");
        let settings = info.redis_settings();
        assert_eq!((settings.username(), settings.password()), (Some("app"), Some("s@crt")));
        assert_eq!(settings.db(), 3);
        assert_eq!(settings.protocol(), ProtocolVersion::RESP3);
        assert!(info.tcp_settings().nodelay());
        assert!(matches!(Topology::parse("valkey://db.example"), Ok(Topology::Single(_))));
        assert!(matches!(Topology::parse("unix:///run/redis.sock"), Ok(Topology::Single(_))));
    }

    #[test]
    fn a_sentinel_service() {
        let url = "redis+sentinel://app:secret@a,b:26380,[::1],[::2]:7/mymaster?db=2&sentinel_password=p%2Fw";
        let Ok(Topology::Sentinel { sentinels, service, primary }) = Topology::parse(url) else {
            panic!("not a sentinel service")
        };
        assert_eq!(addresses(&sentinels), ["a:26379", "b:26380", "::1:26379", "::2:7"]);
        assert_eq!(service, "mymaster");
        let of_sentinel = sentinels[0].redis_settings();
        assert_eq!((of_sentinel.username(), of_sentinel.password()), (None, Some("p/w")));
        let primary = format!("{primary:?}");
        assert!(primary.contains("db: 2") && primary.contains("app"), "{primary}");
    }

    #[test]
    fn a_cluster() {
        let Ok(Topology::Cluster(nodes)) = Topology::parse("redis+cluster://app:secret@a:7000,b,[::1]:7002") else {
            panic!("not a cluster")
        };
        assert_eq!(addresses(&nodes), ["a:7000", "b:6379", "::1:7002"]);
        assert!(nodes.iter().all(|node| node.redis_settings().password() == Some("secret")));
    }

    #[test]
    fn an_invalid_url_is_refused_and_not_quoted() {
        let bad = [
            "",
            "redis",
            "http://:hunter2@host",
            "redis+cluster://:hunter2@host/1",
            "redis+cluster://:hunter2@",
            "redis+sentinel://:hunter2@host",
            "redis+sentinel://:hunter2@host/service/0",
            "redis+sentinel://:hunter2@host/service?db=x",
            "redis+sentinel://:hunter2@host/service?dp=1",
            "redis+other://:hunter2@host",
            "redis://:hunter2@host:port",
        ];
        for url in bad {
            let Err(error) = Topology::parse(url) else { panic!("{url} was accepted") };
            assert!(matches!(error, ConnectError::Url), "{url}: {error}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{url}");
        }
    }

    #[test]
    fn tls_without_a_provider_is_an_error_at_once() {
        for url in ["rediss://host", "rediss+sentinel://host/service", "valkeys+cluster://host"] {
            assert!(matches!(Topology::parse(url), Err(ConnectError::Tls)), "{url}");
        }
    }
}
