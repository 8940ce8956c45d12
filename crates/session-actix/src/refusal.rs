//! How an extractor ends a request: actix-web makes `None` of every error for an `Option` of an extractor, also of a store
//! that failed. So an extractor that fails does not return: it leaves its rejection here, and the middleware answers with it.

use std::cell::{Cell, RefCell};
use std::fmt::Display;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use std::thread::LocalKey;

use actix_web::HttpRequest;

/// The end of the middleware.
pub(crate) struct Refusals<R>(Rc<Slot<R>>);

/// The end of the extractors, in the extensions of the request. It keeps nothing alive: the slot may hold that request.
pub(crate) struct Refuser<R>(Weak<Slot<R>>);

struct Slot<R> {
    refused: Cell<Option<(HttpRequest, R)>>,
    middleware: Cell<Option<Waker>>,
    /// Extractors that do not return. Those in tasks of their own are told when the request is over.
    extractors: RefCell<Vec<Waker>>,
}

impl<R> Drop for Slot<R> {
    fn drop(&mut self) {
        self.extractors.get_mut().drain(..).for_each(Waker::wake);
    }
}

impl<R> Refusals<R> {
    pub(crate) fn new() -> Self {
        Self(Rc::new(Slot { refused: Cell::default(), middleware: Cell::default(), extractors: RefCell::default() }))
    }

    pub(crate) fn refuser(&self) -> Refuser<R> {
        Refuser(Rc::downgrade(&self.0))
    }

    /// What `inner` leads to; or, as soon as an extractor refuses the request, that: `inner` is dropped then.
    pub(crate) async fn or<F: Future>(self, inner: F) -> Result<F::Output, (HttpRequest, R)> {
        let mut inner = pin!(inner);
        poll_fn(|context| {
            let handled = inner.as_mut().poll(context);
            // First, because a handler need not have waited for its extractor.
            if let Some(refused) = self.0.refused.take() {
                return Poll::Ready(Err(refused));
            }
            if handled.is_pending() {
                self.0.wait(context);
            }
            handled.map(Ok)
        })
        .await
    }
}

impl<R> Slot<R> {
    /// Keeps the waker of the middleware, for extractors in other tasks.
    fn wait(&self, context: &Context<'_>) {
        let waker = self.middleware.take().filter(|waker| waker.will_wake(context.waker()));
        self.middleware.set(Some(waker.unwrap_or_else(|| context.waker().clone())));
    }
}

impl<R: Clone> Refuser<R> {
    /// Ends `request` with `rejection`. Returns it only when the request is over.
    pub(crate) async fn refuse(&self, request: &HttpRequest, rejection: R) -> R {
        if let Some(slot) = self.0.upgrade() {
            slot.refused.set(Some((request.clone(), rejection.clone())));
            if let Some(middleware) = slot.middleware.take() {
                middleware.wake();
            }
        }
        poll_fn(|context| match self.0.upgrade() {
            Some(slot) => {
                let mut extractors = slot.extractors.borrow_mut();
                // It may be polled often until then.
                if !extractors.iter().any(|waker| waker.will_wake(context.waker())) {
                    extractors.push(context.waker().clone());
                }
                Poll::Pending
            }
            None => Poll::Ready(()),
        })
        .await;
        rejection
    }
}

impl<R> Clone for Refuser<R> {
    fn clone(&self) -> Self {
        Self(Weak::clone(&self.0))
    }
}

/// Says in the log that an extractor has no middleware: once in each worker, because an `Option` may be meant to find nothing,
/// request after request.
pub(crate) fn log_missing(is_logged: &'static LocalKey<Cell<bool>>, request: &HttpRequest, rejection: &impl Display) {
    if !is_logged.replace(true) {
        tracing::error!(target: "session", path = request.path(), "{rejection}");
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::Arc;
    use std::task::{Context, Wake, Waker};

    use actix_web::test::TestRequest;

    use super::Refusals;

    struct Task;

    impl Wake for Task {
        fn wake(self: Arc<Self>) {}
    }

    #[test]
    fn an_extractor_that_is_polled_again_is_kept_once() {
        let refusals = Refusals::new();
        let (refuser, request) = (refusals.refuser(), TestRequest::default().to_http_request());
        let mut refused = pin!(refuser.refuse(&request, ()));
        let waker = Waker::from(Arc::new(Task));
        let mut context = Context::from_waker(&waker);
        for _ in 0..3 {
            assert!(refused.as_mut().poll(&mut context).is_pending());
        }
        assert_eq!(refusals.0.extractors.borrow().len(), 1);
        drop(refusals);
        assert!(refused.as_mut().poll(&mut context).is_ready());
    }
}
