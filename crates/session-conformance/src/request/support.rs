//! What many cases of whole requests need.

use futures::future::join_all;
use session_core::{Error, Login, Policy, PolicyBuilder, Session, UserId};
use tokio::task::JoinError;

use crate::outcome::{Failure, Outcome};
use crate::refusal::Refusal;

/// The host of the site.
pub(super) const HOST: &str = "www.shop.example";
/// No store calls.
pub(super) const NO_CALLS: [&str; 0] = [];

/// [`Policy::standard`] with changes.
pub(super) fn policy(change: impl FnOnce(PolicyBuilder) -> PolicyBuilder) -> Result<Policy, Failure> {
    change(Policy::standard().to_builder()).build().map_err(|error| Failure::new(error.to_string()))
}

/// The login of the user called `name`.
pub(super) fn login(name: &str) -> Result<Login, Failure> {
    Ok(Login::new(UserId::new(name)?))
}

/// The name of the user who is logged in. For handlers.
pub(super) fn user_of(session: &Session) -> Result<Option<String>, Error> {
    Ok(session.user().map(|user| user.as_str().to_owned()))
}

/// Ends the case unless the result is this refusal.
pub(super) fn refused<T, E: Into<Refusal>>(result: Result<T, E>, expected: Refusal, what: &str) -> Outcome {
    match result.map_err(Into::into) {
        Err(refusal) if refusal == expected => Ok(()),
        Err(refusal) => Err(Failure::new(format!("{what}: expected {expected}, got {refusal}"))),
        Ok(_) => Err(Failure::new(format!("{what}: expected {expected}, but it worked"))),
    }
}

/// Lets other tasks run, so many times.
pub(super) async fn yield_times(times: usize) {
    for _ in 0..times {
        tokio::task::yield_now().await;
    }
}

/// Runs the futures at the same time, in parallel on several threads and interleaved on each of them.
pub(super) async fn run_concurrently<F>(mut futures: Vec<F>) -> Result<Vec<F::Output>, JoinError>
where
    F: Future<Output: Send> + Send + 'static,
{
    let mut tasks = Vec::new();
    while !futures.is_empty() {
        tasks.push(tokio::spawn(join_all(futures.split_off(futures.len().saturating_sub(16)))));
    }
    let mut outputs = Vec::new();
    for task in tasks {
        outputs.extend(task.await?);
    }
    Ok(outputs)
}
