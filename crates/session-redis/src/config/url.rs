//! Which servers a URL names: [`Topology`].

use std::time::Duration;

use redis::io::tcp::{TcpSettings, socket2::TcpKeepalive};
use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _, ProtocolVersion};

use super::error::ConnectError;
use super::tls::Certificates;

/// Where the sessions are.
#[derive(Clone)]
pub(crate) enum Topology {
    /// One server.
    Single(ConnectionInfo),
    /// The server that the sentinels report as the primary of the service. The address of `primary` is a placeholder.
    Sentinel { sentinels: Vec<ConnectionInfo>, service: String, primary: ConnectionInfo },
    /// A Cluster, known by some of its nodes.
    Cluster { nodes: Vec<ConnectionInfo>, certificates: Certificates },
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
    /// Every part of the URL is obeyed, or refused.
    pub(crate) fn parse(url: &str, certificates: &Certificates) -> Result<Self, ConnectError> {
        let is_odd = |c: char| c.is_control() || c.is_whitespace() || matches!(c, '#' | '\\');
        if url.contains(is_odd) {
            return Err(ConnectError::Url);
        }
        let parts = parts(url)?;
        let (base, kind) = parts.scheme.split_once('+').unwrap_or((parts.scheme, ""));
        let scheme = match base {
            "redis" | "valkey" | "unix" if certificates.is_any() => {
                return Err(ConnectError::Parameter("certificates need a URL with TLS: rediss://"));
            }
            "redis" | "valkey" => "redis",
            "rediss" | "valkeys" => "rediss",
            "unix" => "unix",
            _ => return Err(ConnectError::Url),
        };
        if scheme == "rediss" {
            tls_is_available()?;
        }
        match (scheme, kind) {
            ("unix", "") | ("redis", "unix") => unix(&parts).map(Self::Single),
            ("redis" | "rediss", "") => single(&parts, scheme, certificates),
            ("redis" | "rediss", "sentinel") => sentinel(&parts, scheme, certificates),
            ("redis" | "rediss", "cluster") => cluster(&parts, scheme, certificates),
            _ => Err(ConnectError::Url),
        }
    }
}

fn parts(url: &str) -> Result<Parts<'_>, ConnectError> {
    let (scheme, rest) = url.split_once("://").ok_or(ConnectError::Url)?;
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (credentials, hosts) = match authority.rfind('@') {
        Some(at) => authority.split_at(at + 1),
        None => ("", authority),
    };
    match credentials.strip_suffix('@').map(|credentials| credentials.split_once(':')) {
        None => {}
        Some(Some((_, password))) if !password.is_empty() => {}
        Some(_) => return Err(ConnectError::Parameter("a user without a password")),
    }
    Ok(Parts { scheme, credentials, hosts: hosts.split(',').collect(), path, query })
}

fn single(parts: &Parts<'_>, scheme: &str, certificates: &Certificates) -> Result<Topology, ConnectError> {
    let [host] = parts.hosts[..] else { return Err(ConnectError::Url) };
    let query = parameters(parts.query, ["db", "protocol"])?;
    let db = match (parts.path, query[0]) {
        ("", db) => db.unwrap_or_default(),
        (db, None) => db,
        (_, Some(_)) => return Err(ConnectError::Parameter("the database is named twice")),
    };
    let url = format!("{scheme}://{}{}/{}", parts.credentials, at_port(host, 6379)?, database(db)?);
    Ok(Topology::Single(certificates.apply(server(&url, protocol(query[1])?)?)?))
}

fn unix(parts: &Parts<'_>) -> Result<ConnectionInfo, ConnectError> {
    let [db, user, password, version] = parameters(parts.query, ["db", "user", "pass", "protocol"])?;
    if !parts.credentials.is_empty() || parts.hosts != [""] || parts.path.is_empty() {
        return Err(ConnectError::Url);
    }
    if user.is_some() && password.is_none_or(str::is_empty) {
        return Err(ConnectError::Parameter("a user without a password"));
    }
    let mut query = format!("db={}", database(db.unwrap_or_default())?);
    for (name, value) in [("user", user), ("pass", password)] {
        if let Some(value) = value {
            query.push_str(&format!("&{name}={value}"));
        }
    }
    server(&format!("unix:///{}?{query}", parts.path), protocol(version)?)
}

fn cluster(parts: &Parts<'_>, scheme: &str, certificates: &Certificates) -> Result<Topology, ConnectError> {
    let [version] = parameters(parts.query, ["protocol"])?;
    if !parts.path.is_empty() {
        return Err(ConnectError::Parameter("a Cluster has one database, which has no number"));
    }
    let protocol = protocol(version)?;
    // The client of a Cluster repeats what it has sent on a connection that was lost, and reports it by RESP3 only.
    if protocol != ProtocolVersion::RESP3 {
        return Err(ConnectError::Parameter("a Cluster needs RESP3"));
    }
    let node = |host: &&str| {
        let url = format!("{scheme}://{}{}", parts.credentials, at_port(host, 6379)?);
        certificates.apply(server(&url, protocol)?)
    };
    let nodes = parts.hosts.iter().map(node).collect::<Result<_, _>>()?;
    Ok(Topology::Cluster { nodes, certificates: certificates.clone() })
}

fn sentinel(parts: &Parts<'_>, scheme: &str, certificates: &Certificates) -> Result<Topology, ConnectError> {
    let [db, user, password, version] =
        parameters(parts.query, ["db", "sentinel_user", "sentinel_password", "protocol"])?;
    if parts.path.is_empty() || parts.path.contains(['/', '%']) {
        return Err(ConnectError::Url);
    }
    let credentials = match (user, password) {
        (user, Some(password)) if !password.is_empty() => format!("{}:{password}@", user.unwrap_or_default()),
        (None, None) => String::new(),
        (Some(_) | None, Some(_) | None) => return Err(ConnectError::Parameter("a sentinel user without a password")),
    };
    if credentials.matches([':', '@']).count() > 2 {
        return Err(ConnectError::Url);
    }
    let node = |host: &&str| {
        // The only commands they are sent are those of RESP2.
        let url = format!("{scheme}://{credentials}{}", at_port(host, 26379)?);
        certificates.apply(server(&url, ProtocolVersion::RESP2)?)
    };
    let sentinels = parts.hosts.iter().map(node).collect::<Result<_, _>>()?;
    let url = format!("{scheme}://{}primary/{}", parts.credentials, database(db.unwrap_or_default())?);
    let primary = certificates.apply(server(&url, protocol(version)?)?)?;
    Ok(Topology::Sentinel { sentinels, service: parts.path.to_owned(), primary })
}

/// The values of these parameters. Any other is an error, and so is one that is given twice.
fn parameters<'u, const N: usize>(query: &'u str, known: [&str; N]) -> Result<[Option<&'u str>; N], ConnectError> {
    let mut values = [None; N];
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let place = known.iter().position(|known| *known == name).map(|at| &mut values[at]);
        match place {
            Some(place @ None) => *place = Some(value),
            Some(Some(_)) => return Err(ConnectError::Parameter("a parameter is given twice")),
            None if matches!(name, "ssl" | "tls") => {
                return Err(ConnectError::Parameter("TLS is asked for by the scheme: rediss://"));
            }
            None => return Err(ConnectError::Parameter("a parameter is not known")),
        }
    }
    Ok(values)
}

fn protocol(parameter: Option<&str>) -> Result<ProtocolVersion, ConnectError> {
    match parameter {
        // A disconnect is reported when it happens, not by the next request that fails.
        None | Some("3" | "resp3") => Ok(ProtocolVersion::RESP3),
        Some("2" | "resp2") => Ok(ProtocolVersion::RESP2),
        Some(_) => Err(ConnectError::Parameter("a protocol other than resp2 and resp3")),
    }
}

fn database(number: &str) -> Result<u32, ConnectError> {
    let invalid = || ConnectError::Parameter("a database that is not a number");
    let is_number = number.bytes().all(|digit| digit.is_ascii_digit());
    match number {
        "" => Ok(0),
        number if is_number => number.parse().map_err(|_| invalid()),
        _ => Err(invalid()),
    }
}

/// `host:port`.
fn at_port(host: &str, default: u16) -> Result<String, ConnectError> {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, port.parse().ok().filter(|port| *port > 0)),
        _ => (host, Some(default)),
    };
    let is_bare_ipv6 = name.contains(':') && !name.starts_with('[');
    match port {
        Some(port) if !name.is_empty() && !is_bare_ipv6 => Ok(format!("{name}:{port}")),
        _ => Err(ConnectError::Url),
    }
}

/// One server, by the rules of the client library, with the settings every connection has.
fn server(url: &str, protocol: ProtocolVersion) -> Result<ConnectionInfo, ConnectError> {
    // The error may quote the URL, and that has a password in it.
    let info = url.into_connection_info().map_err(|_| ConnectError::Url)?;
    let tcp = TcpSettings::default()
        .set_nodelay(true)
        .set_keepalive(TcpKeepalive::new().with_time(Duration::from_secs(30)).with_interval(Duration::from_secs(5)));
    // A network that drops everything: give the connection up when data stays unacknowledged this long.
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    let tcp = tcp.set_user_timeout(Duration::from_secs(5));
    let settings = info.redis_settings().clone().set_protocol(protocol);
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

/// `info`, at another address.
pub(crate) fn at(info: &ConnectionInfo, host: String, port: u16) -> ConnectionInfo {
    let address = if let ConnectionAddr::TcpTls { insecure, tls_params, .. } = info.addr() {
        ConnectionAddr::TcpTls { host, port, insecure: *insecure, tls_params: tls_params.clone() }
    } else {
        ConnectionAddr::Tcp(host, port)
    };
    info.clone().set_addr(address)
}

/// The name or address of a server that has one.
pub(crate) fn host(info: &ConnectionInfo) -> Option<&str> {
    if let ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. } = info.addr() { Some(host) } else { None }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Topology, ConnectError> {
        Topology::parse(url, &Certificates::default())
    }

    fn addresses(nodes: &[ConnectionInfo]) -> Vec<String> {
        nodes.iter().map(|node| node.addr().to_string()).collect()
    }

    #[test]
    fn a_single_server() {
        let Ok(Topology::Single(info)) = parse("redis://app:s%40crt@db.example:6380/3") else {
            panic!("not a single server")
        };
        assert_eq!(info.addr().to_string(), "db.example:6380");
        let settings = info.redis_settings();
        assert_eq!((settings.username(), settings.password()), (Some("app"), Some("s@crt")));
        assert_eq!(settings.db(), 3);
        assert_eq!(settings.protocol(), ProtocolVersion::RESP3);
        assert!(info.tcp_settings().nodelay());
        assert!(matches!(parse("valkey://db.example"), Ok(Topology::Single(_))));
        assert!(matches!(parse("unix:///run/redis.sock"), Ok(Topology::Single(_))));
    }

    #[test]
    fn a_sentinel_service() {
        let url = "redis+sentinel://app:secret@a,b:26380,[::1],[::2]:7/mymaster?db=2&sentinel_password=p%2Fw";
        let Ok(Topology::Sentinel { sentinels, service, primary }) = parse(url) else {
            panic!("not a sentinel service")
        };
        assert_eq!(addresses(&sentinels), ["a:26379", "b:26380", "::1:26379", "::2:7"]);
        assert_eq!(service, "mymaster");
        let of_sentinel = sentinels[0].redis_settings();
        assert_eq!((of_sentinel.username(), of_sentinel.password()), (None, Some("p/w")));
        let primary = primary.redis_settings();
        assert_eq!((primary.db(), primary.username(), primary.password()), (2, Some("app"), Some("secret")));
    }

    #[test]
    fn a_cluster() {
        let Ok(Topology::Cluster { nodes, .. }) = parse("redis+cluster://app:secret@a:7000,b,[::1]:7002") else {
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
            let Err(error) = parse(url) else { panic!("{url} was accepted") };
            assert!(matches!(error, ConnectError::Url | ConnectError::Parameter(_)), "{url}: {error}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{url}");
        }
    }

    #[test]
    fn tls_without_a_provider_is_an_error_at_once() {
        for url in ["rediss://host", "rediss+sentinel://host/service", "valkeys+cluster://host"] {
            assert!(matches!(parse(url), Err(ConnectError::Tls)), "{url}");
        }
    }
}
