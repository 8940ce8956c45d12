//! Stores and accounts that fail: unavailable is not invalid.

use super::{Pair, Service, assert_refused, credentials};
use crate::common::Behaviour;

#[tokio::test(start_paused = true)]
async fn a_store_that_is_down_is_no_verdict_about_a_token() {
    for behaviour in [Behaviour::Fails, Behaviour::Hangs] {
        let service = Service::standard();
        let pair = service.login().await;
        service.site.on_read(behaviour);
        for answer in [service.refresh(&pair.refresh).await, service.revoke(&pair.refresh).await] {
            assert_refused(&answer, 503, "temporarily_unavailable");
        }
        service.get("/live", &pair.access).await.assert_rejected(503, "session_store_unavailable");
        assert_eq!(service.get("/me", &pair.access).await.text(), "alice", "costs no store call");
        service.site.on_read(Behaviour::Works);

        service.site.on_write(behaviour);
        for answer in [
            service.refresh(&pair.refresh).await,
            service.revoke(&pair.refresh).await,
            service.revoke(&pair.access).await,
            service.post("/api/token", &credentials("alice")).await,
        ] {
            assert_refused(&answer, 503, "temporarily_unavailable");
        }
        assert_eq!(service.get("/live", &pair.access).await.status, 200);
        service.site.on_write(Behaviour::Works);
        let _ = Pair::of(&service.refresh(&pair.refresh).await);
    }
}

#[tokio::test]
async fn accounts_that_are_down_are_no_verdict_either() {
    let service = Service::standard();
    let pair = service.login().await;
    *service.book.down.lock().unwrap() = true;
    assert_refused(&service.refresh(&pair.refresh).await, 503, "temporarily_unavailable");
    assert_refused(&service.post("/api/token", &credentials("alice")).await, 503, "temporarily_unavailable");
    *service.book.down.lock().unwrap() = false;
    let _ = Pair::of(&service.refresh(&pair.refresh).await);
}
