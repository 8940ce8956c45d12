//! Servers of one case, with two nodes, and operations that are retried while the nodes reconnect.

use std::time::Duration;

use crate::env::Env;
use crate::outcome::Failure;
use crate::service::{Cluster, Disruption, Service};
use crate::test_store::TestStore;

/// Longer than an operation may take on a busy machine.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);

/// Starts servers for `disruption`, and opens two nodes.
pub(super) async fn launch(env: &Env, disruption: Disruption) -> Result<(Box<dyn Service>, [TestStore; 2]), Failure> {
    let Cluster { nodes: [a, b], service } = env.launch(disruption).await?;
    Ok((service, [TestStore::over(env, a)?, TestStore::over(env, b)?]))
}

/// The answer of `call`, which is retried while it fails: the store may need a moment to reconnect.
pub(super) async fn retry<T, F>(what: &str, call: impl Fn() -> F) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Failure>>,
{
    let mut last = String::new();
    for _ in 0..200 {
        match tokio::time::timeout(TIMEOUT, call()).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => last = error.to_string(),
            Err(_) => return Err(Failure::new(format!("{what}: no answer, and no error either"))),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Err(Failure::new(format!("{what}: nothing but errors, long after the disruption; the last: {last}")))
}
