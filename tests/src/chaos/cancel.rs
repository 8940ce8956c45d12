//! Callers that give up.

use std::pin::pin;
use std::task::Poll;

use session_conformance::Rng;

/// What `future` returns; `None` if it is dropped before that, when it has waited so many times.
pub(super) async fn after_polls<F: Future>(future: F, polls: Option<u64>) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut waited = 0;
    std::future::poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => {
            waited += 1;
            if polls.is_some_and(|polls| waited >= polls) { Poll::Ready(None) } else { Poll::Pending }
        }
    })
    .await
}

/// At which await a caller gives up, if it does.
pub(super) fn patience(rng: &mut Rng) -> Option<u64> {
    (rng.below(20) == 0).then(|| 1 + rng.below(5))
}
