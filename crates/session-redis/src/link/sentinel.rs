//! Which server the sentinels name as the primary: [`Sentinels`].

use std::collections::HashMap;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ConnectionInfo};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::driver::CONNECT_TIMEOUT;
use super::failure::explain;

/// How long sentinels that do not answer are waited for if fewer than half of them have.
const PATIENCE: Duration = Duration::from_millis(250);

/// Where a server is.
pub(super) type Address = (String, u16);

/// The sentinels of a service, and the connections to them.
pub(super) struct Sentinels {
    service: String,
    all: Vec<(ConnectionInfo, Option<MultiplexedConnection>)>,
}

/// What the sentinels say.
pub(super) struct Verdict {
    pub(super) primary: Address,
    /// Whether more than half of the sentinels have answered.
    pub(super) of_majority: bool,
}

/// What one of them says.
struct Opinion {
    primary: Address,
    /// Counts the failovers.
    epoch: u64,
}

impl Sentinels {
    pub(super) fn new(sentinels: &[ConnectionInfo], service: &str) -> Self {
        Self { service: service.to_owned(), all: sentinels.iter().map(|info| (info.clone(), None)).collect() }
    }

    /// Asks all of them at once, until more than half have answered. Of those that disagree, the one that knows of
    /// the latest failover is right.
    pub(super) async fn ask(&mut self) -> Result<Verdict, String> {
        let mut asked = JoinSet::new();
        for (number, (info, connection)) in self.all.iter_mut().enumerate() {
            let (info, connection, service) = (info.clone(), connection.take(), self.service.clone());
            asked.spawn(async move { (number, ask(&info, connection, &service).await) });
        }
        let (mut opinions, mut failure) = (Vec::new(), None);
        let start = Instant::now();
        while opinions.len() * 2 <= self.all.len() {
            // One answer may have to do, but not before the others have had a chance.
            let deadline = start + if opinions.is_empty() { 2 * CONNECT_TIMEOUT } else { PATIENCE };
            match timeout_at(deadline, asked.join_next()).await {
                Ok(Some(Ok((number, Ok((connection, opinion)))))) => {
                    self.all[number].1 = Some(connection);
                    opinions.push(opinion);
                }
                Ok(Some(Ok((_, Err(reason))))) => failure = failure.or(Some(reason)),
                Ok(Some(Err(_))) => {}
                Ok(None) | Err(_) => break,
            }
        }
        let of_majority = opinions.len() * 2 > self.all.len();
        let votes = |primary: &Address| opinions.iter().filter(|opinion| opinion.primary == *primary).count();
        let best = opinions.iter().max_by_key(|opinion| (opinion.epoch, votes(&opinion.primary)));
        match best {
            Some(Opinion { primary, .. }) => Ok(Verdict { primary: primary.clone(), of_majority }),
            None => Err(failure.unwrap_or_else(|| "no sentinel answers".to_owned())),
        }
    }
}

async fn ask(
    info: &ConnectionInfo,
    connection: Option<MultiplexedConnection>,
    service: &str,
) -> Result<(MultiplexedConnection, Opinion), String> {
    let mut connection = match connection {
        Some(connection) => connection,
        None => connect(info).await?,
    };
    let mut command = redis::cmd("SENTINEL");
    command.arg("MASTER").arg(service);
    let state: HashMap<String, String> = match command.query_async(&mut connection).await {
        Ok(state) => state,
        Err(error) if error.to_string().contains("No such master") => {
            return Err(format!("sentinel {}: does not know a service of this name", info.addr()));
        }
        Err(error) => return Err(format!("sentinel {}", explain(info, &error))),
    };
    let field = |name: &str| state.get(name).cloned().unwrap_or_default();
    let Ok(port) = field("port").parse() else {
        return Err(format!("sentinel {}: answers something else than an address", info.addr()));
    };
    let epoch = field("config-epoch").parse().unwrap_or(0);
    Ok((connection, Opinion { primary: (field("ip"), port), epoch }))
}

async fn connect(info: &ConnectionInfo) -> Result<MultiplexedConnection, String> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(CONNECT_TIMEOUT));
    let explained = |error| format!("sentinel {}", explain(info, &error));
    let client = Client::open(info.clone()).map_err(explained)?;
    client.get_multiplexed_async_connection_with_config(&config).await.map_err(explained)
}
