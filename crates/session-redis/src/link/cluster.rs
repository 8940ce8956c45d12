//! The primaries of a Cluster, as its nodes see them: [`View`].

use std::collections::BTreeSet;

use redis::aio::MultiplexedConnection;
use redis::{ConnectionInfo, Value};

use super::failure::explain_command;
use super::open::{NoPush, Role, named_by, node};
use crate::config::url::{at, host};

/// What one node says of the Cluster. As long as it says the same, it knows of no failover, and no node that it does not know
/// has got a slot from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct View {
    pub(super) primaries: Primaries,
    /// The id of the node itself.
    pub(super) me: String,
    /// The ids of all nodes that it knows, since a slot can only go to one of them; and whether each is a replica. What was
    /// frozen while it was replaced comes back as one: something may have been read there that is outdated.
    known: BTreeSet<(String, bool)>,
    /// Primaries that others have replaced, and that have not come back. Not one in whose place another node answers (`noaddr`).
    pub(super) lost: Vec<String>,
    /// Rises with each vote for a failover, before the replica that asked for it takes over.
    epoch: u64,
}

/// The ids of the primaries, and which slots they have. Those without slots, too: one may be sent to them (`ASK`) while it
/// moves there.
pub(super) type Primaries = BTreeSet<(String, Vec<String>)>;

/// A line of `CLUSTER NODES`.
struct Node<'a> {
    id: &'a str,
    ip: &'a str,
    port: u16,
    hostname: &'a str,
    flags: Vec<&'a str>,
    /// The slots that it has, as ranges.
    slots: Vec<&'a str>,
    /// The nodes that slots of its own are moving to.
    targets: Vec<&'a str>,
}

impl View {
    /// Asks a node. What it told before comes before the answer.
    pub(super) async fn ask(connection: &mut MultiplexedConnection, info: &ConnectionInfo) -> Result<Self, String> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("CLUSTER").arg("INFO").cmd("CLUSTER").arg("NODES");
        let (state, nodes): (String, String) = pipeline
            .query_async(connection)
            .await
            .map_err(|error| explain_command(info, "CLUSTER INFO and CLUSTER NODES", &error))?;
        Self::read(&state, &nodes).map_err(|reason| format!("{} {reason}", info.addr()))
    }

    /// What it now says otherwise, if anything.
    pub(super) fn differs(&self, before: &Self) -> Option<&'static str> {
        if self.me != before.me {
            Some("another node answers in the place of a primary")
        } else if self.primaries != before.primaries {
            Some("the slots of the Cluster have moved, or its primaries are others")
        } else if self.known != before.known {
            Some("nodes have joined the Cluster or left it, or come back as replicas")
        } else if self.epoch != before.epoch {
            Some("there was a vote for a failover in the Cluster, or a slot has moved")
        } else {
            None
        }
    }

    /// What `CLUSTER INFO` and `CLUSTER NODES` say, if by that the node is a primary of a Cluster in which all is well.
    fn read(state: &str, nodes: &str) -> Result<Self, String> {
        let field = |name: &str| state.lines().find_map(|line| line.strip_prefix(name)?.trim().strip_prefix(':'));
        if field("cluster_state") != Some("ok") {
            return Err("says that the Cluster is down (CLUSTER INFO)".to_owned());
        }
        let epoch = field("cluster_current_epoch").and_then(|epoch| epoch.parse().ok());
        let (Some(epoch), Some(nodes)) = (epoch, lines(nodes)) else { return Err(not_understood()) };
        let Some(me) = nodes.iter().find(|node| node.is("myself")) else { return Err(not_understood()) };
        if !me.is("master") {
            return Err("has become a replica".to_owned());
        }
        if let Some(failed) = nodes.iter().find(|node| node.is("master") && node.is("fail") && !node.slots.is_empty()) {
            return Err(format!(
                "takes the primary {} for failed, and a replica may be about to replace it",
                failed.ip()
            ));
        }
        let primaries: Primaries = nodes.iter().filter(|node| node.is_followed()).map(Node::with_slots).collect();
        if !me.targets.iter().all(|target| primaries.iter().any(|(id, _)| id == target)) {
            return Err("moves a slot to a node that is none of the primaries".to_owned());
        }
        let is_lost = |node: &&Node<'_>| node.is("master") && !node.is_followed() && !node.is("noaddr");
        let lost = nodes.iter().filter(is_lost).map(Node::ip).collect();
        let known = nodes.iter().map(|node| (node.id.to_owned(), node.is("slave"))).collect();
        Ok(Self { primaries, me: me.id.to_owned(), known, lost, epoch })
    }
}

/// Whether these are the views of these primaries, one of each, and all see just these.
pub(super) fn agree(views: &[View], primaries: &Primaries) -> Result<(), String> {
    if views.iter().any(|view| view.primaries != *primaries) {
        return Err("the nodes of the Cluster do not agree on its primaries and their slots".to_owned());
    }
    let asked: BTreeSet<_> = views.iter().map(|view| &view.me).collect();
    if !asked.into_iter().eq(primaries.iter().map(|(id, _)| id)) {
        return Err("the addresses that the Cluster names do not lead to each of its primaries".to_owned());
    }
    Ok(())
}

impl<'a> Node<'a> {
    /// `id ip:port@bus[,hostname[,…]] flags primary ping pong epoch link slots…`, where a slot in brackets is on its way.
    fn read(line: &'a str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let (id, address, flags) = (words.next()?, words.next()?, words.next()?);
        let (address, names) = address.split_once(',').unwrap_or((address, ""));
        let (ip, port) = address.split('@').next()?.rsplit_once(':')?;
        let (moving, slots): (Vec<_>, Vec<_>) = words.skip(5).partition(|slots| slots.starts_with('['));
        Some(Self {
            id,
            ip,
            port: port.parse().ok()?,
            hostname: names.split(',').next().filter(|name| !name.contains('=')).unwrap_or_default(),
            flags: flags.split(',').collect(),
            slots,
            targets: moving.iter().filter_map(|slot| slot.split_once("->-")?.1.strip_suffix(']')).collect(),
        })
    }

    fn is(&self, flag: &str) -> bool {
        self.flags.contains(&flag)
    }

    /// Whether it can have sessions now: not a primary without slots of which the others say that it is gone.
    fn is_followed(&self) -> bool {
        self.is("master") && (!self.slots.is_empty() || !self.is("fail"))
    }

    fn with_slots(&self) -> (String, Vec<String>) {
        (self.id.to_owned(), self.slots.iter().map(|&slots| slots.to_owned()).collect())
    }

    fn ip(&self) -> String {
        format!("{}:{}", self.ip, self.port)
    }
}

/// All nodes but those that are not known by their id yet.
fn lines(nodes: &str) -> Option<Vec<Node<'_>>> {
    let nodes: Vec<_> = nodes.lines().map(Node::read).collect::<Option<_>>()?;
    Some(nodes.into_iter().filter(|node| !node.is("handshake")).collect())
}

/// The primaries of a Cluster as the node at `seed` sees them, and where they are.
pub(super) async fn discover(seed: &ConnectionInfo) -> Result<(Primaries, Vec<ConnectionInfo>), String> {
    let mut connection = node(seed, Role::ClusterNode, None::<NoPush>).await?;
    let mut pipeline = redis::pipe();
    pipeline.cmd("CLUSTER").arg("SLOTS").cmd("CLUSTER").arg("NODES");
    let (slots, nodes): (Value, String) = pipeline
        .query_async(&mut connection)
        .await
        .map_err(|error| explain_command(seed, "CLUSTER SLOTS and CLUSTER NODES", &error))?;
    located(&slots, &nodes, seed).ok_or_else(|| format!("{} {}", seed.addr(), not_understood()))
}

/// The primaries in the answers of the node at `info` to `CLUSTER SLOTS`, by which clients find those with slots, and
/// `CLUSTER NODES`. One without slots is called as the others are: by its address, its name, or that of the node that was asked.
fn located(slots: &Value, nodes: &str, info: &ConnectionInfo) -> Option<(Primaries, Vec<ConnectionInfo>)> {
    let nodes = lines(nodes)?;
    let mut infos: Vec<ConnectionInfo> = Vec::new();
    let mut add = |info: ConnectionInfo| {
        if infos.iter().all(|known| known.addr() != info.addr()) {
            infos.push(info);
        }
    };
    let with_slots = named_by(slots, info);
    let is_called = |name: fn(&Node<'_>) -> String| {
        let hosts = with_slots.iter().map(host);
        hosts.flatten().any(|host| nodes.iter().any(|node| name(node) == host))
    };
    let (by_name, by_ip) = (is_called(|node| node.hostname.to_owned()), is_called(|node| node.ip.to_owned()));
    with_slots.iter().cloned().for_each(&mut add);
    let primaries: Vec<_> = nodes.iter().filter(|node| node.is_followed()).collect();
    for node in primaries.iter().filter(|node| node.slots.is_empty()) {
        let asked = host(info).unwrap_or_default();
        let called = if by_name && !node.hostname.is_empty() {
            node.hostname
        } else if by_ip {
            node.ip
        } else {
            asked
        };
        add(if called.is_empty() { info.clone() } else { at(info, called.to_owned(), node.port) });
    }
    Some((primaries.into_iter().map(Node::with_slots).collect(), infos))
}

fn not_understood() -> String {
    "answers something else than the nodes of a Cluster".to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use redis::IntoConnectionInfo as _;

    use super::*;

    const OK: &str = "cluster_state:ok\r\ncluster_known_nodes:6\r\ncluster_current_epoch:7\r\n";
    /// Three primaries with slots, one without, one that is gone, a replica, and a node that is not known yet.
    const NODES: &str = "\
        a 10.0.0.1:7001@17001,one.example myself,master - 0 0 1 connected 0-5460 [77->-d] [78-<-b]\n\
        b 10.0.0.2:7002@17002,two.example,shard-id=9 master - 0 1 2 connected 5461-10922 16000\n\
        c 10.0.0.3:7003@17003 master,fail? - 0 1 3 connected 10923-15999 16001-16383\n\
        d 10.0.0.4:7004@17004,four.example,shard-id=4 master - 0 1 0 connected\n\
        e :0@0,,shard-id=5 master,fail,noaddr - 1 1 0 disconnected\n\
        f 10.0.0.6:7006@17006 slave a 0 1 1 connected\n\
        g 10.0.0.7:7007@17007 handshake - 1 0 0 connected\n";

    fn view(state: &str, nodes: &str) -> Result<View, String> {
        View::read(state, nodes)
    }

    #[test]
    fn a_view_has_all_primaries_and_all_nodes() {
        let view = view(OK, NODES).unwrap();
        let primary = |id: &str, slots: &[&str]| (id.to_owned(), slots.iter().map(|&slots| slots.to_owned()).collect());
        let expected = [
            primary("a", &["0-5460"]),
            primary("b", &["5461-10922", "16000"]),
            primary("c", &["10923-15999", "16001-16383"]),
            primary("d", &[]),
        ];
        assert_eq!(view.primaries, Primaries::from(expected));
        assert_eq!((view.me.as_str(), view.epoch), ("a", 7));
        assert!(view.lost.is_empty());
        assert_eq!(view.known, ["a", "b", "c", "d", "e", "f"].map(|id| (id.to_owned(), id == "f")).into());
    }

    #[test]
    fn what_may_come_before_another_primary_differs() {
        let before = view(OK, NODES).unwrap();
        let and_so_on = NODES.replace("fail?", "nofailover").replace(" 0 1 2 connected", " 9 8 2 connected");
        assert_eq!(view(OK, &and_so_on).unwrap().differs(&before), None);
        let epoch = OK.replace(":7", ":8");
        let cases = [
            (view(&epoch, NODES), "vote"),
            (view(OK, &NODES.replace("16000", "")), "slots"),
            (view(OK, &NODES.replace("handshake", "master")), "slots of the Cluster have moved, or its primaries"),
            (view(OK, &NODES.replace("handshake", "slave")), "joined"),
            (view(OK, &NODES.replace("f 10.", "h 10.")), "joined"),
            (view(OK, &NODES.replace("master,fail,noaddr", "slave")), "come back"),
            (view(OK, &NODES.replace("master,fail,noaddr", "master")), "primaries"),
            (view(OK, &NODES.replace("master -", "myself,master -").replacen("myself,myself,", "", 1)), "another node"),
        ];
        for (now, reason) in cases {
            let found = now.unwrap().differs(&before).unwrap_or_default();
            assert!(found.contains(reason), "{reason}: {found}");
        }
    }

    #[test]
    fn a_primary_that_may_be_replaced_vouches_for_nothing() {
        let cases = [
            (OK.replace("ok", "fail"), NODES.to_owned(), "is down"),
            (OK.to_owned(), NODES.replace("myself,master", "myself,slave"), "replica"),
            (OK.to_owned(), NODES.replace("fail?", "fail"), "takes the primary 10.0.0.3:7003 for failed"),
            (OK.to_owned(), NODES.replace("->-d", "->-e"), "none of the primaries"),
            (OK.replace("epoch:7", "epoch:?"), NODES.to_owned(), "something else"),
            (OK.to_owned(), NODES.replace("myself,", ""), "something else"),
            (OK.to_owned(), "what".to_owned(), "something else"),
        ];
        for (state, nodes, reason) in cases {
            let found = view(&state, &nodes).unwrap_err();
            assert!(found.contains(reason), "{reason}: {found}");
        }
    }

    #[test]
    fn a_primary_that_was_replaced_is_lost_until_it_comes_back() {
        let replaced = NODES.replace("e :0@0", "e 10.0.0.5:7005@17005").replace("fail,noaddr", "fail");
        assert_eq!(view(OK, &replaced).unwrap().lost, ["10.0.0.5:7005"]);
        for back in ["slave", "master"] {
            assert!(view(OK, &replaced.replace("master,fail -", &format!("{back} -"))).unwrap().lost.is_empty());
        }
    }

    #[test]
    fn a_beginning_is_what_all_primaries_see() {
        let of = |me: &str| View { me: me.to_owned(), ..view(OK, NODES).unwrap() };
        let all = ["c", "a", "d", "b"].map(of);
        let primaries = all[0].primaries.clone();
        assert_eq!(agree(&all, &primaries), Ok(()));
        let mut other = all.clone();
        other[3].primaries = view(OK, &NODES.replace("16000", "")).unwrap().primaries;
        for (views, reason) in
            [(&other[..], "do not agree"), (&all[1..], "do not lead"), (&["a", "a", "b", "c"].map(of), "do not lead")]
        {
            let found = agree(views, &primaries).unwrap_err();
            assert!(found.contains(reason), "{found}");
        }
    }

    /// As clients are sent there: a primary without slots is called like those with some.
    #[test]
    fn primaries_are_called_as_the_cluster_calls_them() {
        let seed = "redis://seed.example:7000".into_connection_info().unwrap();
        let slots = |host: fn(u8) -> Value| {
            let range = |n: u8| {
                let primary = Value::Array(vec![host(n), Value::Int(7000 + i64::from(n))]);
                Value::Array(vec![Value::Int(0), Value::Int(0), primary])
            };
            Value::Array([1, 2, 3, 2].map(range).into())
        };
        let called = |host: fn(u8) -> Value| {
            let (primaries, infos) = located(&slots(host), NODES, &seed).unwrap();
            assert_eq!(primaries.len(), 4);
            infos.iter().map(|info| info.addr().to_string()).collect::<Vec<_>>()
        };
        let by_ip = called(|n| Value::BulkString(format!("10.0.0.{n}").into()));
        assert_eq!(by_ip, ["10.0.0.1:7001", "10.0.0.2:7002", "10.0.0.3:7003", "10.0.0.4:7004"]);
        let by_name = called(|n| {
            Value::BulkString(["", "one", "two", "three"][usize::from(n)].bytes().chain(*b".example").collect())
        });
        assert_eq!(by_name, ["one.example:7001", "two.example:7002", "three.example:7003", "four.example:7004"]);
        let unknown = called(|_| Value::Nil);
        assert_eq!(unknown, ["seed.example:7001", "seed.example:7002", "seed.example:7003", "seed.example:7004"]);
    }
}
