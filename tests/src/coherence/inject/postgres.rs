//! What nobody is notified of.

use std::time::{Duration, Instant};

use session_conformance::Failure;
use session_core::SessionId;
use sqlx::types::Uuid;
use sqlx::{Connection as _, PgConnection, raw_sql};
use tokio::time::sleep;

use crate::coherence::node::{Copies, Login, MAX_STALE};
use crate::coherence::world::World;
use crate::failure::failure;
use crate::servers::Postgres;

/// How long something may take that is none of the failures.
const PATIENCE: Duration = Duration::from_secs(20);

/// It is killed as soon as its logout is committed; or whoever ends the session never notifies.
pub(super) async fn writer_killed(world: &mut World<'_>, server: &Postgres) -> Result<(), Failure> {
    let mut observer = PgConnection::connect(&server.url()).await.map_err(failure)?;
    for turn in 0..6 {
        let Some(number) = world.living().next() else { break };
        let login = world.logins[number].clone();
        if turn % 2 == 0 {
            let id = login.id.parse::<SessionId>().map_err(failure)?;
            let delete = format!("DELETE FROM \"{}\".session WHERE id = $1", world.site.namespace);
            let delete = sqlx::query(sqlx::AssertSqlSafe(delete)).bind(Uuid::from_bytes(*id.as_bytes()));
            if delete.execute(&mut observer).await.map_err(failure)?.rows_affected() != 1 {
                return Err(Failure::new("there is no such session to delete"));
            }
            world.is_revoked(number, Instant::now(), "deletion by hand");
        } else {
            let before = rows(world, &mut observer).await?;
            let mut connection = world.a.connect();
            let request = tokio::spawn(async move { login.post(&mut connection, Login::LOG_OUT).await });
            until_fewer(before, world, &mut observer).await?;
            let at = Instant::now();
            world.a.process().kill9().await.map_err(failure)?;
            request.abort();
            world.is_revoked(number, at, "logout");
            world.a = world.site.start(&world.near.url(&server.url()), Copies::Kept).await?;
        }
        world.pause(0, 500).await;
    }
    sleep(MAX_STALE).await;
    observer.close().await.map_err(failure)
}

/// Somebody has the lock of all notifications: a transaction that has notified, and waits at its commit for a replica that there
/// is not.
pub(super) async fn notify_blocked(world: &mut World<'_>, server: &Postgres) -> Result<(), Failure> {
    let mut observer = PgConnection::connect(&server.url()).await.map_err(failure)?;
    raw_sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'").execute(&mut observer).await.map_err(failure)?;
    reload(&mut observer).await?;
    let blocked = block_and_revoke(world, server, &mut observer).await;
    raw_sql("ALTER SYSTEM RESET synchronous_standby_names").execute(&mut observer).await.map_err(failure)?;
    reload(&mut observer).await?;
    blocked?;
    world.revoke(4, 100).await?;
    observer.close().await.map_err(failure)
}

async fn block_and_revoke(
    world: &mut World<'_>,
    server: &Postgres,
    observer: &mut PgConnection,
) -> Result<(), Failure> {
    let mut blocker = PgConnection::connect(&server.url()).await.map_err(failure)?;
    raw_sql("SET synchronous_commit = on").execute(&mut blocker).await.map_err(failure)?;
    // Only a transaction that has something to replicate waits.
    let notify = "SELECT pg_logical_emit_message(true, 'blocked', ''::text), pg_notify('blocked', '')";
    let blocking = tokio::spawn(async move { raw_sql(notify).execute(&mut blocker).await.map(drop) });
    let begin = Instant::now();
    while count(observer, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'").await? == 0 {
        if blocking.is_finished() || begin.elapsed() > PATIENCE {
            return Err(Failure::new("nothing blocks notifications"));
        }
        sleep(Duration::from_millis(10)).await;
    }
    for _ in 0..10 {
        let Some(number) = world.living().next() else { break };
        let login = world.logins[number].clone();
        let before = rows(world, observer).await?;
        let mut connection = world.a.connect();
        let request = tokio::spawn(async move { login.post(&mut connection, Login::LOG_OUT).await });
        until_fewer(before, world, observer).await?;
        world.is_revoked(number, Instant::now(), "logout");
        drop(request);
        world.pause(0, 300).await;
    }
    sleep(MAX_STALE + Duration::from_secs(3)).await;
    blocking.abort();
    Ok(())
}

/// Waits until one of so many sessions has ended.
async fn until_fewer(before: i64, world: &World<'_>, observer: &mut PgConnection) -> Result<(), Failure> {
    let begin = Instant::now();
    while rows(world, observer).await? == before {
        if begin.elapsed() > PATIENCE {
            return Err(Failure::new("a logout deletes nothing"));
        }
    }
    Ok(())
}

/// How many sessions there are.
async fn rows(world: &World<'_>, observer: &mut PgConnection) -> Result<i64, Failure> {
    count(observer, &format!("SELECT count(*) FROM \"{}\".session", world.site.namespace)).await
}

async fn count(observer: &mut PgConnection, query: &str) -> Result<i64, Failure> {
    let query = sqlx::query_scalar(sqlx::AssertSqlSafe(query.to_owned()));
    query.fetch_one(observer).await.map_err(failure)
}

async fn reload(observer: &mut PgConnection) -> Result<(), Failure> {
    raw_sql("SELECT pg_reload_conf()").execute(observer).await.map(drop).map_err(failure)
}
