//! Runs what hyper makes of one HTTP/2 request: at once as far as it goes, the rest as a task.
//!
//! Knows: that most requests are answered without waiting, and that a panic ends one of them.  Does not know: what a
//! request is.
//! Theory: the library reads all that has come before it hands out the first request, so a body is mostly there.
//! A task that is made, queued and polled again for an answer that is known would cost a good part of the request.

use std::future::Future;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use hyper::rt::Executor;

use super::thread::Thread;

/// For the requests of one thread.
#[derive(Clone)]
pub struct Inline(pub Rc<Thread>);

impl<F: Future<Output = ()> + 'static> Executor<F> for Inline {
    fn execute(&self, request: F) {
        let mut request = Caught::new(&self.0, request);
        // Whoever it waits for now, it asks again as a task, with a waker that means something.
        let mut nobody = Context::from_waker(Waker::noop());
        if Pin::new(&mut request).poll(&mut nobody).is_pending() {
            tokio::task::spawn_local(request);
        }
    }
}

/// A future whose panic ends it, and nothing else.
pub struct Caught<F> {
    thread: Rc<Thread>,
    future: Pin<Box<F>>,
}

impl<F> Caught<F> {
    /// A panic of `future` is counted on `thread`.
    pub fn new(thread: &Rc<Thread>, future: F) -> Caught<F> {
        Caught { thread: Rc::clone(thread), future: Box::pin(future) }
    }
}

impl<F: Future<Output = ()>> Future for Caught<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let poll = || self.future.as_mut().poll(context);
        catch_unwind(AssertUnwindSafe(poll)).unwrap_or_else(|_| {
            self.thread.count_defect();
            Poll::Ready(())
        })
    }
}
