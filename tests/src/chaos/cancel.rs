//! Callers that give up.

use std::pin::pin;
use std::task::Poll;

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
