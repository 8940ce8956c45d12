//! Ids and tokens say nothing: they are random bytes, and of the user the shard alone.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use session_conformance::ReferenceStore;
use session_core::adapter::RequestSession;
use session_core::store::SessionStore;
use session_core::{
    Entropy, EntropyError, Error, Key, Login, ManualClock, Policy, PresentedToken, Renewal, Session, SessionManager,
    SessionToken, StepUp, Timestamp, UserId,
};

const N: Key<u64> = Key::new("n");
const RENEWAL: Duration = Duration::from_secs(900);

/// A generator that begins again when it is told to. Clones are the same.
#[derive(Clone, Debug, Default)]
struct Replayed(Arc<Mutex<u64>>);

impl Replayed {
    fn begin(&self, seed: u64) {
        *self.0.lock().unwrap() = seed.wrapping_mul(0xd134_2543_de82_ef95);
    }
}

impl Entropy for Replayed {
    fn fill(&self, dest: &mut [u8]) -> Result<(), EntropyError> {
        let mut state = self.0.lock().unwrap();
        for byte in dest {
            // SplitMix64.
            *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            *byte = (mixed >> 56) as u8;
        }
        Ok(())
    }
}

/// One server, and what its random generator gives.
struct Server {
    manager: SessionManager,
    clock: ManualClock,
    entropy: Replayed,
}

impl Server {
    fn at(millis: i64) -> Self {
        let (clock, entropy) = (ManualClock::new(Timestamp::from_millis(millis)), Replayed::default());
        let renewal = Renewal { timeout: RENEWAL, grace: Duration::from_secs(10) };
        let store: Arc<dyn SessionStore> = Arc::new(ReferenceStore::new());
        let manager = SessionManager::builder(store)
            .policy(Policy::standard().to_builder().renewal(Some(renewal)).build().unwrap())
            .clock(clock.clone())
            .entropy(entropy.clone())
            .build();
        Self { manager, clock, entropy }
    }

    /// Returns the token that the response sets.
    async fn request(&self, token: Option<&[u8]>, act: impl FnOnce(&Session) -> Result<(), Error>) -> Vec<u8> {
        let cookie = token.map(|token| format!("__Host-id={}", URL_SAFE_NO_PAD.encode(token)));
        let cookie = self.manager.read_cookie(cookie.as_deref().map(str::as_bytes));
        let request = RequestSession::new(self.manager.clone(), cookie);
        act(request.session().await.unwrap()).unwrap();
        let (outcome, headers) = request.finish().await;
        outcome.unwrap();
        URL_SAFE_NO_PAD.decode(headers.set_cookie.unwrap().expose().split(['=', ';']).nth(1).unwrap()).unwrap()
    }

    /// Every token of a visit, in the order in which they are issued: as a visitor, after a login, a step-up, a regeneration and
    /// a renewal; and two refresh tokens. The generator begins anew before each.
    async fn visit(&self, user: &UserId, seed: u64) -> [Vec<u8>; 7] {
        let begin = |step| self.entropy.begin(seed * 7 + step);
        begin(0);
        let visitor = self.request(None, |it| it.insert(N, &1)).await;
        begin(1);
        let login = self.request(Some(&visitor), |it| it.login(Login::new(user.clone()).method("pwd"))).await;
        begin(2);
        let step_up = self.request(Some(&login), |it| it.step_up(StepUp::new(user.clone()))).await;
        begin(3);
        let regenerated = self.request(Some(&step_up), Session::regenerate).await;
        begin(4);
        self.clock.advance(RENEWAL);
        let renewed = self.request(Some(&regenerated), |_| Ok(())).await;
        begin(5);
        let first = bytes(&self.manager.issue_refresh_token(Login::new(user.clone()), None).await.unwrap().token);
        begin(6);
        let presented = PresentedToken::parse(URL_SAFE_NO_PAD.encode(&first).as_bytes()).unwrap();
        let verified = self.manager.verify_refresh_token(&presented).await.unwrap().unwrap();
        let second = bytes(&self.manager.rotate(verified).await.unwrap().unwrap().token);
        [visitor, login, step_up, regenerated, renewed, first, second]
    }
}

fn bytes(token: &SessionToken) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(token.encode().expose()).unwrap()
}

/// Two users of one shard, and one of another.
fn users() -> [UserId; 3] {
    let mut shards = HashMap::new();
    for number in 0_u32.. {
        let user = UserId::new(format!("user-{number}@example.org")).unwrap();
        if let Some(other) = shards.insert(user.shard(), user.clone()) {
            return [other, user, UserId::new("mallory").unwrap()];
        }
    }
    unreachable!("there are 65536 shards")
}

/// Nothing else gets in: neither the user, nor the time, nor how many there were before, nor which server it is.
#[tokio::test]
async fn the_same_random_bytes_give_the_same_ids_and_tokens() {
    let [alice, bob, stranger] = users();
    let (one, other) = (Server::at(1_767_225_600_000), Server::at(1_800_000_000_123));
    for seed in 1..6 {
        let tokens = one.visit(&alice, seed).await;
        // The other server has had other users before.
        let _ = other.visit(&stranger, 1_000 + seed).await;
        assert_eq!(other.visit(&bob, seed).await, tokens, "of one shard: equal to the last bit");
        for user in [&alice, &bob] {
            let _ = one.manager.revoke_all(user).await.unwrap();
        }
    }
}

/// What a successor is derived from has the shard in it; the others have it in front.
#[tokio::test]
async fn of_another_user_only_the_shard_is_different() {
    let [alice, _, stranger] = users();
    let tokens = Server::at(0).visit(&alice, 1).await;
    let others = Server::at(0).visit(&stranger, 1).await;
    assert_eq!(tokens[0], others[0], "a visitor has no user");
    for step in [1, 2, 3, 5] {
        let (token, other) = (&tokens[step], &others[step]);
        assert_eq!((&token[..2], &other[..2]), (&alice.shard().to_be_bytes()[..], &stranger.shard().to_be_bytes()[..]));
        assert_eq!(token[2..], other[2..], "step {step}");
    }
    for step in [4, 6] {
        assert_eq!(tokens[step][2..32], others[step][2..32], "step {step}");
    }
}

/// No byte is anything but random: with other random bytes, each is another one.
#[tokio::test]
async fn every_byte_but_the_shard_is_random() {
    let [alice, ..] = users();
    let server = Server::at(0);
    let mut seen: HashMap<(usize, usize), Vec<u8>> = HashMap::new();
    for seed in 0..64 {
        for (step, token) in server.visit(&alice, seed).await.iter().enumerate() {
            assert_eq!(token.len(), SessionToken::LEN);
            for (at, byte) in token.iter().enumerate() {
                seen.entry((step, at)).or_default().push(*byte);
            }
        }
    }
    for ((step, at), mut values) in seen {
        values.sort_unstable();
        values.dedup();
        match at {
            0..2 if step > 0 => assert_eq!(values.len(), 1, "the shard of the user"),
            // Visitors are in the first 1024 of 65 536 shards.
            0 if step == 0 => assert_eq!(values, [0, 1, 2, 3]),
            // 57 of 256 are expected.
            _ => assert!(values.len() > 40, "byte {at} of step {step} has {} values in 64", values.len()),
        }
    }
}
