//! Which server the sentinels name as the primary: [`Sentinels`].

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ConnectionInfo, RedisError, Value};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use super::driver::CONNECT_TIMEOUT;
use super::failure::{explain, explain_command};

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

/// What a sentinel testifies about the primary, to those who must not miss a failover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Testimony {
    /// Where it tells clients to go: the sentinel that leads a failover names the new primary before all others do.
    pub(super) primary: Address,
    /// Counts the failovers: by that, one is noticed after which the primary is the same as before.
    pub(super) epoch: u64,
    pub(super) id: String,
    /// The sentinels that it knows beside itself.
    others: Vec<String>,
}

impl Testimony {
    /// Whether it is that of the same sentinel as before, of the same primary, after no other failover.
    pub(super) fn upholds(&self, earlier: &Self) -> bool {
        (&self.id, &self.primary, self.epoch) == (&earlier.id, &earlier.primary, earlier.epoch)
    }
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

    /// Asks all of them at once, and waits for each. What those testify that answered, and why another did not.
    pub(super) async fn examine(&mut self) -> (Vec<Testimony>, Option<String>) {
        let mut asked = JoinSet::new();
        for (number, (info, connection)) in self.all.iter_mut().enumerate() {
            let (info, connection, service) = (info.clone(), connection.take(), self.service.clone());
            asked.spawn(async move {
                let answer = timeout(2 * CONNECT_TIMEOUT, examine(&info, connection, &service)).await;
                (number, answer.unwrap_or_else(|_| Err(format!("sentinel {}: does not answer in time", info.addr()))))
            });
        }
        let (mut testimonies, mut failure) = (Vec::new(), None);
        while let Some(answer) = asked.join_next().await {
            match answer {
                Ok((number, Ok((connection, testimony)))) => {
                    self.all[number].1 = Some(connection);
                    testimonies.push(testimony);
                }
                Ok((_, Err(reason))) => failure = failure.or(Some(reason)),
                Err(_) => failure = failure.or(Some("the tokio runtime is shut down".to_owned())),
            }
        }
        (testimonies, failure)
    }
}

/// The primary that every sentinel of the service names, if all were asked and agree; else why not.
pub(super) fn unanimous(testimonies: &[Testimony]) -> Result<Address, String> {
    let ids: BTreeSet<&str> = testimonies.iter().map(|testimony| testimony.id.as_str()).collect();
    let others = testimonies.iter().flat_map(|testimony| &testimony.others).map(String::as_str);
    let known = ids.iter().copied().chain(others).collect::<BTreeSet<_>>().len();
    if known > ids.len() {
        return Err(format!(
            "the URL names {} of {known} sentinels: name all of them, or changes cannot be followed; they forget one that is \
             gone by SENTINEL RESET",
            ids.len()
        ));
    }
    let mut named = testimonies.iter().map(|testimony| &testimony.primary).collect::<BTreeSet<_>>().into_iter();
    match (named.next(), named.next()) {
        (Some(primary), None) => Ok(primary.clone()),
        (Some((host, port)), Some((other, other_port))) => Err(format!(
            "the sentinels do not agree on the primary: some name {host}:{port}, others {other}:{other_port}; a failover is \
             under way, or not all of them announce it by the same name"
        )),
        (None, _) => Err("no sentinel answers".to_owned()),
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
    let mut pipeline = redis::pipe();
    pipeline.cmd("SENTINEL").arg("MASTER").arg(service);
    pipeline.cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(service);
    let answers: Vec<Value> = pipeline
        .ignore_errors()
        .query_async(&mut connection)
        .await
        .map_err(|error| refusal(info, "SENTINEL MASTER", &error))?;
    let [state, primary] = <[Value; 2]>::try_from(answers).map_err(|_| not_understood(info))?;
    let state = state.extract_error().map_err(|error| refusal(info, "SENTINEL MASTER", &error))?;
    let Ok(state) = redis::from_redis_value::<HashMap<String, String>>(state) else { return Err(not_understood(info)) };
    let field = |name: &str| state.get(name).cloned().unwrap_or_default();
    // Where it sends clients. While it leads a failover, its state has the old primary, with the number of the new one.
    let primary = match redis::from_redis_value(primary) {
        Ok(primary) => primary,
        // Its ACL does not permit it.
        Err(_) => (field("ip"), field("port").parse().map_err(|_| not_understood(info))?),
    };
    Ok((connection, Opinion { primary, epoch: field("config-epoch").parse().unwrap_or(0) }))
}

async fn examine(
    info: &ConnectionInfo,
    connection: Option<MultiplexedConnection>,
    service: &str,
) -> Result<(MultiplexedConnection, Testimony), String> {
    type Fields = HashMap<String, String>;

    let mut connection = match connection {
        Some(connection) => connection,
        None => connect(info).await?,
    };
    let mut pipeline = redis::pipe();
    pipeline.cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(service);
    pipeline.cmd("SENTINEL").arg("MASTER").arg(service);
    pipeline.cmd("SENTINEL").arg("SENTINELS").arg(service);
    pipeline.cmd("SENTINEL").arg("MYID");
    let (primary, state, others, id): (Option<Address>, Fields, Vec<Fields>, String) = pipeline
        .query_async(&mut connection)
        .await
        .map_err(|error| refusal(info, "SENTINEL GET-MASTER-ADDR-BY-NAME, MASTER, SENTINELS and MYID", &error))?;
    let epoch = state.get("config-epoch").and_then(|epoch| epoch.parse().ok());
    let others = others.into_iter().map(|mut other| other.remove("runid")).collect::<Option<_>>();
    let (Some(primary), Some(epoch), Some(others)) = (primary, epoch, others) else { return Err(not_understood(info)) };
    Ok((connection, Testimony { primary, epoch, id, others }))
}

fn refusal(info: &ConnectionInfo, commands: &str, error: &RedisError) -> String {
    if error.to_string().contains("No such master") {
        return format!("sentinel {}: does not know a service of this name", info.addr());
    }
    format!("sentinel {}", explain_command(info, commands, error))
}

fn not_understood(info: &ConnectionInfo) -> String {
    format!("sentinel {}: answers something else than an address", info.addr())
}

async fn connect(info: &ConnectionInfo) -> Result<MultiplexedConnection, String> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(CONNECT_TIMEOUT));
    let explained = |error| format!("sentinel {}", explain(info, &error));
    let client = Client::open(info.clone()).map_err(explained)?;
    client.get_multiplexed_async_connection_with_config(&config).await.map_err(explained)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;

    fn says(id: &str, port: u16, others: &[&str]) -> Testimony {
        let others = others.iter().map(|&other| other.to_owned()).collect();
        Testimony { primary: ("host".to_owned(), port), epoch: 0, id: id.to_owned(), others }
    }

    #[test]
    fn every_sentinel_that_any_knows_has_to_agree() {
        let [a, b, c] = [says("a", 1, &["b", "c"]), says("b", 1, &["a"]), says("c", 1, &["a", "b"])];
        let all = [a.clone(), b.clone(), c.clone()];
        assert_eq!(unanimous(&all).unwrap(), ("host".to_owned(), 1));
        // Not as many, but the same: one that was replaced still answers.
        let replaced = [a.clone(), b.clone(), says("old", 1, &["a", "b"])];
        for (testimonies, reason) in [
            (&all[..2], "names 2 of 3 sentinels: name all of them"),
            (&replaced[..], "names 3 of 4 sentinels"),
            (&[a, b, says("c", 2, &["a", "b"])], "some name host:1, others host:2"),
            (&[], "no sentinel answers"),
        ] {
            let found = unanimous(testimonies).unwrap_err();
            assert!(found.contains(reason), "{found}");
        }
    }
}
