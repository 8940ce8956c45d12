//! How a connection is opened: who connects where, with which protocol, and whether what answers there will do. A
//! reason why not says what to change, and quotes neither a password nor what a server says: servers quote what they
//! were sent.

use std::collections::HashMap;
use std::time::Duration;

use redis::aio::{AsyncPushSender, MultiplexedConnection};
use redis::cluster::ClusterClientBuilder;
use redis::{
    AsyncConnectionConfig, Client, ConnectionInfo, ErrorKind, ProtocolVersion, RedisError, RedisResult, Value,
};
use tokio::task::JoinSet;

use super::driver::{CONNECT_TIMEOUT, Connection};
use super::failure::{explain, explain_command, hangs_up, is_about_database, on_channel};
use super::sentinel::{Address, Sentinels};
use crate::config::target::Target;
use crate::config::tls::Certificates;
use crate::config::url::{Topology, at, host};

/// The oldest version whose scripts declare their flags, and whose `SET` has `NX` with `GET`.
const OLDEST: u32 = 7;

/// A connection, and where it leads to if sentinels said so.
pub(super) struct Opened {
    pub(super) connection: Connection,
    pub(super) primary: Option<Address>,
}

/// What a server must be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Primary,
    /// One that tells of changes.
    Followed,
    ClusterNode,
}

/// Connects. In a Cluster, a request without a reply for `response_timeout` fails. `on_push` is told of disconnects.
pub(super) async fn open(
    target: &Target,
    response_timeout: Duration,
    on_push: impl AsyncPushSender,
) -> Result<Opened, String> {
    match &target.topology {
        Topology::Single(info) => {
            let connection = primary(&as_user(target, info).await?, target, on_push).await?;
            Ok(Opened { connection, primary: None })
        }
        Topology::Sentinel { sentinels, service, primary: of_service } => {
            let verdict = Sentinels::new(sentinels, service).ask().await?;
            let (host, port) = verdict.primary.clone();
            let info = as_user(target, &at(of_service, host, port)).await?;
            Ok(Opened { connection: primary(&info, target, on_push).await?, primary: Some(verdict.primary) })
        }
        Topology::Cluster { nodes, certificates } => {
            let mut seeds = Vec::new();
            for info in nodes {
                seeds.push(as_user(target, info).await?);
            }
            let connection = cluster(seeds, certificates, response_timeout, on_push).await?;
            Ok(Opened { connection, primary: None })
        }
    }
}

/// `info`, with the credentials of the moment.
pub(super) async fn as_user(target: &Target, info: &ConnectionInfo) -> Result<ConnectionInfo, String> {
    let Some(provider) = &target.credentials else { return Ok(info.clone()) };
    let credentials = provider.credentials().await.map_err(|error| format!("there are no credentials: {error}"))?;
    let mut settings = info.redis_settings().clone().set_password(credentials.password);
    if let Some(user) = credentials.user {
        settings = settings.set_username(user);
    }
    Ok(info.clone().set_redis_settings(settings))
}

/// A connection to the primary, on which changes can be told, if they are to be: a write is not done first and refused then.
async fn primary(info: &ConnectionInfo, target: &Target, on_push: impl AsyncPushSender) -> Result<Connection, String> {
    let mut connection = node(info, Role::Primary, Some(on_push)).await?;
    if let Some(channel) = &target.channel {
        // Who follows the changes hears of none by it.
        let told: RedisResult<Value> = redis::cmd("PUBLISH").arg(channel).arg("").query_async(&mut connection).await;
        told.map_err(|error| explain_command(info, &on_channel("PUBLISH", channel), &error))?;
    }
    Ok(Connection::Node(connection))
}

/// A connection to one server that will do.
pub(super) async fn node(
    info: &ConnectionInfo,
    role: Role,
    on_push: Option<impl AsyncPushSender>,
) -> Result<MultiplexedConnection, String> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        // The time limit is that of the request.
        .set_response_timeout(None)
        .set_pipeline_buffer_size(1024);
    let (mut connection, protocol) = greet(info, config, on_push).await.map_err(|error| explain(info, &error))?;
    match Greeting::ask(&mut connection, protocol).await {
        Ok(greeting) => greeting.check(role, protocol).map_err(|reason| format!("{}: {reason}", info.addr()))?,
        Err(error) => return Err(explain(info, &error)),
    }
    Ok(connection)
}

/// Connects with RESP3 or, where that is not known, with RESP2.
async fn greet(
    info: &ConnectionInfo,
    config: AsyncConnectionConfig,
    on_push: Option<impl AsyncPushSender>,
) -> RedisResult<(MultiplexedConnection, ProtocolVersion)> {
    let settings = info.redis_settings();
    if settings.protocol() == ProtocolVersion::RESP3 {
        let config = match on_push {
            Some(on_push) => config.clone().set_push_sender(on_push),
            None => config.clone(),
        };
        match Client::open(info.clone())?.get_multiplexed_async_connection_with_config(&config).await {
            Ok(connection) => return Ok((connection, ProtocolVersion::RESP3)),
            Err(error) if !may_lack_hello(&error) => return Err(error),
            Err(_) => {}
        }
    }
    let settings = settings.clone().set_protocol(ProtocolVersion::RESP2).set_skip_set_lib_name();
    let client = Client::open(info.clone().set_redis_settings(settings))?;
    Ok((client.get_multiplexed_async_connection_with_config(&config).await?, ProtocolVersion::RESP2))
}

/// Whether the server may be one that knows no `HELLO`: it says so, or hangs up.
fn may_lack_hello(error: &RedisError) -> bool {
    let says_so = match error.code() {
        Some("ERR") => !is_about_database(error),
        code => code == Some("NOPROTO") || error.kind() == ErrorKind::RESP3NotSupported,
    };
    says_so || hangs_up(error)
}

/// The Cluster of these nodes, if any of them is one of a Cluster.
async fn cluster(
    seeds: Vec<ConnectionInfo>,
    certificates: &Certificates,
    response_timeout: Duration,
    on_push: impl AsyncPushSender,
) -> Result<Connection, String> {
    let mut probes = JoinSet::new();
    for info in seeds.clone() {
        probes.spawn(probe(info));
    }
    let mut found = Err("no node of the Cluster can be reached".to_owned());
    while found.is_err()
        && let Some(probed) = probes.join_next().await
    {
        found = probed.unwrap_or(found);
    }
    found?;
    let tcp = seeds.first().map(|node| node.tcp_settings().clone()).unwrap_or_default();
    let builder = ClusterClientBuilder::new(seeds)
        .use_protocol(ProtocolVersion::RESP3)
        .connection_timeout(CONNECT_TIMEOUT)
        .response_timeout(response_timeout)
        .overall_response_timeout(Some(response_timeout))
        .retries(8)
        .min_retry_wait(10)
        .max_retry_wait(200)
        .tcp_settings(tcp)
        .push_sender(on_push);
    let builder = certificates.configure(builder);
    let failed = |error: RedisError| format!("the Cluster cannot be used: {}", error.category());
    let connection = builder.build().map_err(failed)?.get_async_connection().await.map_err(failed)?;
    Ok(Connection::Cluster(connection))
}

/// Whether `info` is a node of a Cluster, and one that it names can be reached by that name: the client goes on with those.
async fn probe(info: ConnectionInfo) -> Result<(), String> {
    let mut connection = node(&info, Role::ClusterNode, None::<NoPush>).await?;
    let slots = redis::cmd("CLUSTER").arg("SLOTS").query_async(&mut connection).await;
    let mut reached = Ok(());
    for named in named_by(&slots.map_err(|error| explain(&info, &error))?, &info) {
        if named.addr() == info.addr() {
            return Ok(());
        }
        match node(&named, Role::ClusterNode, None::<NoPush>).await {
            Ok(_) => return Ok(()),
            Err(reason) => {
                reached = Err(format!("{} is in a Cluster whose nodes cannot be used: {reason}", info.addr()))
            }
        }
    }
    reached
}

/// The primaries in the answer to `CLUSTER SLOTS`, each as slots from, slots to, its address, and so on.
pub(super) fn named_by(slots: &Value, info: &ConnectionInfo) -> Vec<ConnectionInfo> {
    let items = |value: &Value| if let Value::Array(items) = value { items.clone() } else { Vec::new() };
    let primary = |range: &Value| {
        let address = items(items(range).get(2)?);
        let named: Option<String> = redis::from_redis_value(address.first()?.clone()).ok()?;
        let port = redis::from_redis_value(address.get(1)?.clone()).ok()?;
        Some(match named {
            Some(name) if !name.is_empty() => at(info, name, port),
            // The server does not know its own name: it is the one that was asked.
            Some(_) => info.clone(),
            // The servers do not know how they are reached: as the one that was asked.
            None => host(info).map_or_else(|| info.clone(), |host| at(info, host.to_owned(), port)),
        })
    };
    items(slots).iter().filter_map(primary).collect()
}

/// The type of no sender.
pub(super) type NoPush = fn(redis::PushInfo) -> Result<(), ()>;

/// What a server says of itself. Empty where it does not say.
#[derive(Default)]
struct Greeting {
    software: String,
    version: String,
    mode: String,
    role: String,
}

impl Greeting {
    /// `HELLO`, or `INFO` of a server that does not know it. A server may refuse both.
    async fn ask(connection: &mut MultiplexedConnection, protocol: ProtocolVersion) -> RedisResult<Self> {
        if protocol == ProtocolVersion::RESP3 {
            let said: RedisResult<HashMap<String, Value>> = redis::cmd("HELLO").query_async(connection).await;
            if let Ok(said) = said {
                let field = |name: &str| {
                    said.get(name).and_then(|value| redis::from_redis_value(value.clone()).ok()).unwrap_or_default()
                };
                let [software, version, mode, role] = ["server", "version", "mode", "role"].map(field);
                return Ok(Self { software, version, mode, role });
            }
        }
        let mut info = String::new();
        for section in ["server", "replication"] {
            match redis::cmd("INFO").arg(section).query_async::<String>(connection).await {
                Ok(part) => info.push_str(&part),
                Err(error) if error.is_io_error() => return Err(error),
                Err(_) => {}
            }
        }
        let field = |name: &str| {
            let value = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            value.unwrap_or_default().trim().to_owned()
        };
        let mode = field("redis_mode");
        Ok(Self { software: "redis".to_owned(), version: field("redis_version"), mode, role: field("role") })
    }

    fn check(&self, wanted: Role, protocol: ProtocolVersion) -> Result<(), String> {
        let Self { software, version, mode, role } = self;
        let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
        if major.is_some_and(|major| major < OLDEST) {
            return Err(format!("is {software} {version}, but Redis 7.0 or later is needed, or Valkey"));
        }
        match (wanted, mode.as_str(), role.as_str()) {
            (_, "sentinel", _) => Err("is a sentinel; the URL for sentinels is redis+sentinel://".to_owned()),
            (Role::Primary | Role::Followed, "cluster", _) => {
                Err("is a node of a Cluster; the URL for a Cluster is redis+cluster://".to_owned())
            }
            (Role::ClusterNode, "standalone", _) => Err("is not a node of a Cluster; the URL for a single server is \
                                                         redis://, and for sentinels redis+sentinel://"
                .to_owned()),
            (Role::Primary | Role::Followed, _, "slave" | "replica") => {
                Err("is a replica; sessions are written to the primary".to_owned())
            }
            (Role::ClusterNode, ..) if protocol != ProtocolVersion::RESP3 => {
                Err("does not know RESP3 (HELLO), by which lost connections of a Cluster are reported".to_owned())
            }
            (Role::Followed, ..) if protocol != ProtocolVersion::RESP3 => {
                Err("does not know RESP3 (HELLO), by which changes are told".to_owned())
            }
            (Role::Primary | Role::Followed | Role::ClusterNode, ..) => Ok(()),
        }
    }
}
