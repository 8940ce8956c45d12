//! `load`: what was stored comes back, to the bit.

use std::net::{IpAddr, Ipv6Addr};

use bytes::Bytes;
use session_core::store::{Credential, Record};
use session_core::{Assurance, Device, Kind, OsEntropy, Persistence, PresentedToken, SessionId, UserId};

use super::support::{HOUR, MINUTE, insert, is_gone, is_stored, stored};
use crate::env::Env;
use crate::outcome::{Failure, Outcome, ensure, ensure_eq};

/// A record in which every field has a value of its own.
pub(super) fn full_record(env: &Env, user: &UserId) -> Result<Record, Failure> {
    let id = SessionId::generate(Some(user), &OsEntropy)?;
    let (first, token) = Credential::issue(Kind::Refresh, id, env.now(), &OsEntropy)?;
    let presented = PresentedToken::parse(token.encode().expose().as_bytes()).map_err(|error| error.to_string())?;
    let (renewed, _successor) = first.renew(Kind::Refresh, &presented, env.now() + MINUTE, &OsEntropy)?;
    let begin = env.record().of(user).id(id).kind(Kind::Refresh).value("cart", "3 apples").value("theme", "dark");
    let mut record = begin.timeouts(2 * HOUR, 9 * HOUR).last_seen(env.now() + 2 * MINUTE).build()?;
    if let Some(authentication) = &mut record.summary.authentication {
        authentication.at = env.now() + MINUTE;
        authentication.methods = ["pwd".to_owned(), "hwk".to_owned()].into();
        authentication.level = Assurance::Aal3;
    }
    record.summary.persistence = Persistence::Persistent;
    record.summary.device = Device::new()
        .with_label("Zoë's phone \u{1F4F1}")
        .with_user_agent("Mozilla/5.0 (test)")
        .with_ip(IpAddr::V6(Ipv6Addr::LOCALHOST));
    Ok(Record { credential: renewed, ..record })
}

pub(super) async fn returns_every_field(env: Env) -> Outcome {
    let store = env.store().await?;
    let record = full_record(&env, &env.user("alice")?)?;
    insert(&*store, &record, env.now()).await?;
    is_stored(&*store, &record, "after `create`").await
}

pub(super) async fn unknown_is_none(env: Env) -> Outcome {
    let store = env.store().await?;
    let unknown = SessionId::generate(None, &OsEntropy)?;
    is_gone(&*store, &unknown, "an id that was never stored, in an empty store").await?;
    insert(&*store, &env.record().build()?, env.now()).await?;
    is_gone(&*store, &unknown, "an id that was never stored").await
}

pub(super) async fn tells_ids_apart(env: Env) -> Outcome {
    let store = env.store().await?;
    // Bytes that text formats, key separators and C strings stumble over.
    let mut ids = vec![[0; 16], [0xff; 16], *b"::::::::::::::::", *b"%%%%%%%%%%%%%%%%", *b"\r\n \t\\\"'*?[]{}\0;/"];
    for at in 0..16 {
        let mut id = [0; 16];
        id[at] = 1;
        ids.push(id);
    }
    let mut records = Vec::new();
    for id in ids {
        let record = env.record().id(SessionId::from_bytes(id)).build()?;
        insert(&*store, &record, env.now()).await?;
        records.push(record);
    }
    for record in &records {
        is_stored(&*store, record, "one of many sessions whose ids differ in one byte").await?;
    }
    Ok(())
}

pub(super) async fn binary_values(env: Env) -> Outcome {
    let store = env.store().await?;
    let every_byte: Vec<u8> = (0..=u8::MAX).collect();
    let record = env.record().value("every byte", every_byte).value("no UTF-8", vec![0xc3, 0x28]).build()?;
    insert(&*store, &record, env.now()).await?;
    is_stored(&*store, &record, "a record with binary values").await
}

pub(super) async fn empty_values(env: Env) -> Outcome {
    let store = env.store().await?;
    let record = env.record().value("empty", Bytes::new()).build()?;
    insert(&*store, &record, env.now()).await?;
    let loaded = stored(&*store, &record.summary.id, "a record with an empty value").await?;
    ensure_eq!(loaded.data.get(b"empty"), Some(&Bytes::new()), "an empty value, which is not the same as none");
    ensure!(loaded.data.get(b"other").is_none(), "a value that was never set is there");
    Ok(())
}

pub(super) async fn large_values(env: Env) -> Outcome {
    let store = env.store().await?;
    let large: Vec<u8> =
        (0..1024 * 1024_u32).map(|at| b'a' + at.wrapping_mul(2_654_435_761).to_be_bytes()[0] % 26).collect();
    let record = env.record().value("large", large).build()?;
    insert(&*store, &record, env.now()).await?;
    is_stored(&*store, &record, "a record with a value of 1 MiB").await
}

pub(super) async fn names_are_exact(env: Env) -> Outcome {
    let store = env.store().await?;
    let longest: &'static str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\
         0123456789abcdef0123456789abcdef";
    let names = ["cart", "Cart", "CART", "cart ", "a.b", "a:b", "a\0b", "a", "$set", "ключ", "\u{1F6D2}", longest];
    let mut builder = env.record();
    for name in names {
        builder = builder.value(name, name.as_bytes());
    }
    let record = builder.build()?;
    insert(&*store, &record, env.now()).await?;
    let loaded = stored(&*store, &record.summary.id, "a record with odd names").await?;
    for name in names {
        let value = loaded.data.get(name.as_bytes()).map(Bytes::as_ref);
        ensure_eq!(value, Some(name.as_bytes()), "the value called {name:?}");
    }
    ensure_eq!(loaded.data.len(), names.len(), "the number of values");
    Ok(())
}
