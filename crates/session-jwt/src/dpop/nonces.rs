//! [`Nonces`]: nonces of the server (RFC 9449, section 8), which no server has to remember.

use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use session_core::Timestamp;
use sha2::Sha256;

use crate::encoding;

/// Each slot of time has its nonce: a MAC of its number. Servers with the same secret have the same.
#[derive(Clone)]
pub(super) struct Nonces {
    /// Has already absorbed the secret.
    mac: Hmac<Sha256>,
    slot: Duration,
}

impl Nonces {
    /// The least that a secret may have, in bytes.
    pub(super) const MIN_SECRET_LEN: usize = 32;
    /// How long a nonce is handed out. It is accepted for as long again.
    pub(super) const DEFAULT_SLOT: Duration = Duration::from_secs(60);

    pub(super) fn new(secret: &[u8], slot: Duration) -> Option<Self> {
        if secret.len() < Self::MIN_SECRET_LEN {
            return None;
        }
        let mac = Hmac::new_from_slice(secret).ok()?.chain_update(b"session-jwt/dpop-nonce/v1");
        Some(Self { mac, slot })
    }

    /// That of now.
    pub(super) fn current(&self, now: Timestamp) -> String {
        encoding::encode(self.tag(self.number(now)))
    }

    /// Until when `nonce` is accepted, if it is: one of now or before, or, as the clock of another server may be ahead, of
    /// next.
    pub(super) fn accepted_until(&self, nonce: &str, now: Timestamp) -> Option<Timestamp> {
        let nonce = encoding::decode_array::<16>(nonce)?;
        let current = self.number(now);
        let accepted = [current, current - 1, current + 1].into_iter().find(|number| {
            let mac = self.mac.clone().chain_update(number.to_be_bytes());
            mac.verify_truncated_left(&*nonce).is_ok()
        })?;
        Some(Timestamp::from_millis((accepted + 2).saturating_mul(self.slot_millis())))
    }

    /// How long one can be accepted at most, from whenever it is presented.
    pub(super) fn longest(&self) -> Duration {
        self.slot * 3
    }

    fn number(&self, now: Timestamp) -> i64 {
        now.as_millis().div_euclid(self.slot_millis())
    }

    fn slot_millis(&self) -> i64 {
        self.slot.as_millis() as i64
    }

    fn tag(&self, number: i64) -> [u8; 16] {
        let mac = self.mac.clone().chain_update(number.to_be_bytes()).finalize().into_bytes();
        let mut tag = [0; 16];
        tag.copy_from_slice(&mac[..16]);
        tag
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    const SLOT: Duration = Duration::from_secs(60);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_millis(second * 1000)
    }

    #[test]
    fn a_nonce_is_accepted_for_a_slot_or_two() {
        let nonces = Nonces::new(&[1; 32], SLOT).unwrap();
        let nonce = nonces.current(at(600));
        assert_eq!(nonce, nonces.current(at(659)));
        assert_ne!(nonce, nonces.current(at(660)));
        for now in [at(540), at(600), at(719)] {
            assert_eq!(nonces.accepted_until(&nonce, now), Some(at(720)), "{now:?}");
            assert!(at(720).since(now) <= nonces.longest());
        }
        for now in [at(539), at(720), at(0), at(100_000)] {
            assert_eq!(nonces.accepted_until(&nonce, now), None, "{now:?}");
        }
    }

    #[test]
    fn it_depends_on_the_secret_and_on_nothing_else() {
        let [one, same, other] = [1, 1, 2].map(|byte| Nonces::new(&[byte; 32], SLOT).unwrap());
        let nonce = one.current(at(600));
        assert!(same.accepted_until(&nonce, at(600)).is_some());
        assert!(other.accepted_until(&nonce, at(600)).is_none());
        for forged in ["", "a", &nonce[1..], &format!("{nonce}A"), &format!("{nonce}="), &nonce.to_lowercase()] {
            assert!(one.accepted_until(forged, at(600)).is_none(), "{forged}");
        }
        assert!(Nonces::new(&[1; 31], SLOT).is_none());
    }
}
