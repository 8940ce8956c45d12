//! What the servers tell of changes: [`RedisStore::feed`].

use session_core::SessionId;
use session_core::store::{FeedEvent, FollowError, FollowedFeed, Version};

use crate::RedisStore;
use crate::link::Source;

/// In RESP2 a server cannot tell anything beside its answers.
const RESP2: &str = "the URL asks for RESP2, but changes are told by RESP3: take `protocol` out of it";

impl RedisStore {
    /// Where changes are published, if they are.
    pub(crate) fn channel(&self) -> Option<Vec<u8>> {
        self.link.channel().map(<[u8]>::to_vec)
    }

    /// Follows the changes that all nodes of the application make, from now on. Connects in the background, in the runtime
    /// that the store was opened in, and reconnects by itself.
    ///
    /// One server, and Sentinel: a subscription to the channel `{namespace:changes}`. A [beat](FeedEvent::Beat) is an answer of the
    /// server on the same connection that it is still a primary. Sentinel: and the word of **every** sentinel of the service, since
    /// the one that leads a failover sends clients to the new primary before most have heard of it. So the URL names them all, and
    /// while one of them is down, there is no beat. Those that are gone for good, the others have to forget (`SENTINEL RESET`).
    ///
    /// Cluster: each primary, also one without slots, tells which keys are written, touches among them, and what became of a
    /// session is not known ([`Changed`](FeedEvent::Changed) without a version). For a beat each of them is asked for `CLUSTER INFO`
    /// and `CLUSTER NODES`, some 60 microseconds of the server: no votes for a failover, the same nodes, the same slots. A beat is
    /// late by one there. All of them must be reached; a failover or a slot that has moved begins the feed anew.
    ///
    /// The servers must know RESP3. What others do to keys by hand is not heard, except in a Cluster, nor is what a server
    /// evicts. Why changes cannot be followed, or no beat can be given, is logged once for each outage.
    ///
    /// # Errors
    /// [`FollowError::NotPublished`] if the store itself tells nobody what it does. Never in a Cluster. [`FollowError::Refused`] if its
    /// URL says `protocol=resp2`.
    pub fn feed(&self) -> Result<FollowedFeed, FollowError> {
        if self.link.channel().is_none() && !self.link.is_cluster() {
            return Err(FollowError::NotPublished);
        }
        if !self.link.may_be_told() {
            return Err(FollowError::Refused(RESP2));
        }
        Ok(self.link.follow(Source { keys: self.keys.clone(), read }))
    }
}

/// What a message says, as the scripts write it. `None` if it is not understood.
fn read(mut message: &[u8]) -> Option<Vec<FeedEvent>> {
    let mut events = Vec::new();
    while let Some((kind, rest)) = message.split_first() {
        let (id, rest) = rest.split_at_checked(SessionId::TEXT_LEN)?;
        let id = std::str::from_utf8(id).ok()?.parse().ok()?;
        let (event, rest) = match kind {
            b'c' => {
                let (version, rest) = rest.split_first_chunk()?;
                (FeedEvent::Changed { id, version: Some(Version::from_bytes(*version)) }, rest)
            }
            b'e' => (FeedEvent::Ended { id }, rest),
            _ => return None,
        };
        events.push(event);
        message = rest;
    }
    Some(events)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;

    #[test]
    fn what_is_not_understood_is_not_guessed() {
        let id = SessionId::from_bytes([7; 16]);
        let version = Version { number: 3, nonce: 5 };
        let ended = format!("e{id}").into_bytes();
        let changed = [format!("c{id}").as_bytes(), &version.to_bytes()].concat();
        let both = [&ended[..], &changed].concat();
        let expected = [FeedEvent::Ended { id }, FeedEvent::Changed { id, version: Some(version) }];
        assert_eq!(read(&both).unwrap(), expected);
        assert_eq!(read(b"").unwrap(), []);
        let newer = [&ended[..], b"x", &ended[1..]].concat();
        for unknown in [&both[..both.len() - 1], &both[1..], &newer, b"e"] {
            assert_eq!(read(unknown), None);
        }
    }
}
