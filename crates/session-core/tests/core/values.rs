//! Which values a session keeps.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use session_conformance::ReferenceStore;
use session_core::adapter::{PresentedCookie, RequestSession};
use session_core::{Error, Key, Policy, Session, SessionManager, WriteConflict};

async fn session() -> Session {
    SessionManager::new(ReferenceStore::new(), Policy::standard()).open(&PresentedCookie::Nothing).await.unwrap()
}

#[tokio::test]
async fn what_could_not_be_read_back_is_refused_and_everything_else_is() {
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Host {
        Ip(IpAddr),
        Name(String),
    }
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "kind")]
    enum Tagged {
        Address { ip: IpAddr },
        Number { n: i128 },
    }
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Flat {
        #[serde(flatten)]
        rest: BTreeMap<String, IpAddr>,
        nested: Option<Option<u8>>,
    }
    async fn survives<T: Clone + std::fmt::Debug + PartialEq + Serialize + serde::de::DeserializeOwned>(value: T) {
        let session = session().await;
        let key = || Key::<T>::new("value");
        session.insert(key(), &value).unwrap();
        assert_eq!(session.get(key()).unwrap(), Some(value));
    }
    let ip: IpAddr = "2001:db8::1".parse().unwrap();
    survives(Host::Ip(ip)).await;
    survives(Host::Name("host".to_owned())).await;
    survives(Tagged::Address { ip }).await;
    survives(Flat { rest: [("a".to_owned(), ip)].into(), nested: Some(Some(1)) }).await;
    survives(i128::MIN).await;
    survives(vec![0_u8, 255]).await;
    survives([(7_u32, 'x')].into_iter().collect::<BTreeMap<_, _>>()).await;
    survives(1.0e-300_f64).await;
    let session = session().await;
    assert!(matches!(session.insert(Key::<f64>::new("nan"), &f64::NAN), Err(Error::Value(_))));
    // serde writes it, and cannot read it.
    let number = Tagged::Number { n: 7 };
    assert!(matches!(session.insert(Key::<Tagged>::new("number"), &number), Err(Error::Value(_))));
    let pairs: HashMap<(u8, u8), u8> = [((1, 2), 3)].into();
    assert!(matches!(session.insert(Key::<HashMap<(u8, u8), u8>>::new("pairs"), &pairs), Err(Error::Value(_))));
    assert!(session.keys().is_empty());
}

/// A site, and two requests at once of one session that holds a notice.
async fn two_requests(policy: Policy) -> (SessionManager, Session, Session) {
    let manager = SessionManager::new(ReferenceStore::new(), policy);
    let request = RequestSession::new(manager.clone(), PresentedCookie::Nothing);
    request.session().await.unwrap().insert(NOTICE, &"Saved.".to_owned()).unwrap();
    let cookie = request.finish().await.1.set_cookie.unwrap();
    let cookie = cookie.expose().split(';').next().unwrap().as_bytes();
    let open = async || manager.open(&manager.read_cookie([cookie])).await.unwrap();
    let (one, other) = (open().await, open().await);
    (manager, one, other)
}

const NOTICE: Key<String> = Key::new("notice");

#[tokio::test]
async fn what_is_taken_is_there_once() {
    let (manager, session, later) = two_requests(Policy::standard()).await;
    assert!(matches!(session.take(Key::<u64>::new("notice")), Err(Error::Value(_))));
    assert!(session.contains(NOTICE), "what is not understood is left alone");
    assert_eq!(session.take(NOTICE).unwrap().as_deref(), Some("Saved."));
    assert_eq!(session.take(NOTICE).unwrap(), None);
    manager.commit(&session).await.unwrap();
    manager.reload(&later).await.unwrap();
    assert_eq!(later.take(NOTICE).unwrap(), None);
    assert!(format!("{later:?}").contains("intents: 0"), "nothing is written: {later:?}");
}

#[tokio::test]
async fn of_two_that_take_at_once_one_fails_if_the_policy_says_so() {
    for conflict in [WriteConflict::LastWriterWins, WriteConflict::Fail] {
        let (manager, one, other) =
            two_requests(Policy::standard().to_builder().write_conflict(conflict).build().unwrap()).await;
        for session in [&one, &other] {
            assert_eq!(session.take(NOTICE).unwrap().as_deref(), Some("Saved."));
        }
        manager.commit(&one).await.unwrap();
        let second = manager.commit(&other).await;
        match conflict {
            WriteConflict::LastWriterWins => second.unwrap(),
            WriteConflict::Fail => assert!(matches!(second, Err(Error::Conflict)), "{second:?}"),
        }
    }
}

/// Its closure may give away what it captured, and is run again all the same.
#[tokio::test]
async fn an_update_may_move_what_it_captured() {
    const CART: Key<Vec<String>> = Key::new("cart");
    let (manager, one, other) = two_requests(Policy::standard()).await;
    for (session, item) in [(&one, "tea"), (&other, "cup")] {
        let item = item.to_owned();
        session.update(CART, move |cart| cart.push(item)).unwrap();
    }
    manager.commit(&one).await.unwrap();
    manager.commit(&other).await.unwrap();
    assert_eq!(other.get(CART).unwrap().unwrap(), ["tea", "cup"]);
}

proptest! {
    #[test]
    fn numbers_come_back_to_the_last_bit(double in any::<f64>(), single in any::<f32>(), long in any::<u128>()) {
        prop_assume!(double.is_finite() && single.is_finite());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let session = runtime.block_on(session());
        let key = || Key::<(f64, f32, u128)>::new("numbers");
        session.insert(key(), &(double, single, long)).unwrap();
        let (double_back, single_back, long_back) = session.get(key()).unwrap().unwrap();
        prop_assert_eq!((double_back.to_bits(), single_back.to_bits(), long_back), (double.to_bits(), single.to_bits(), long));
    }
}
