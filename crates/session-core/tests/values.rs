//! Which values a session keeps.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use session_conformance::ReferenceStore;
use session_core::adapter::PresentedCookie;
use session_core::{Error, Key, Policy, Session, SessionManager};

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
