//! Runs what hyper makes of the requests of one HTTP/2 connection: together, and at once as far as they go.
//!
//! Knows: that most requests are answered without waiting, and that a panic ends one of them.  Does not know: what a
//! request is.
//! Theory: the library reads all that has come, and hands out one request after the other; before each it would send
//! what is ready.  So they gather here until it has no more, their answers leave in one write, and only those that
//! have to wait become tasks.

use std::cell::RefCell;
use std::future::Future;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Wake, Waker};

use hyper::rt::Executor;

use super::state::Thread;

type Request = Pin<Box<dyn Future<Output = ()>>>;

/// The requests of one connection that nobody has looked at yet.
#[derive(Clone)]
pub struct Gathered {
    thread: Rc<Thread>,
    requests: Rc<RefCell<Vec<Request>>>,
}

impl Gathered {
    /// None yet.
    pub fn new(thread: &Rc<Thread>) -> Gathered {
        Gathered { thread: Rc::clone(thread), requests: Rc::default() }
    }

    /// Run all as far as they go; whether there were any.
    pub fn run(&self) -> bool {
        let mut requests = self.requests.take();
        let were_any = !requests.is_empty();
        for request in requests.drain(..) {
            let mut request = Caught { thread: Rc::clone(&self.thread), future: request };
            // Whoever it waits for now, it asks again as a task, with a waker that means something.
            if Pin::new(&mut request).poll(&mut Context::from_waker(&NOBODY)).is_pending() {
                tokio::task::spawn_local(request);
            }
        }
        // Room for as many the next time, but not for more than usually come.
        if requests.capacity() <= GATHERED_KEPT_MAX {
            self.requests.replace(requests);
        }
        were_any
    }
}

/// Who is woken where nobody waits yet.
static NOBODY: LazyLock<Waker> = LazyLock::new(|| Waker::from(Arc::new(Nobody)));

struct Nobody;

impl Wake for Nobody {
    fn wake(self: Arc<Self>) {}
}

/// Requests that a connection keeps room for.
const GATHERED_KEPT_MAX: usize = 32;

impl<F: Future<Output = ()> + 'static> Executor<F> for Gathered {
    fn execute(&self, request: F) {
        self.requests.borrow_mut().push(Box::pin(request));
    }
}

/// A future whose panic ends it, and nothing else.
pub struct Caught {
    thread: Rc<Thread>,
    future: Request,
}

impl Caught {
    /// A panic of `future` is counted on `thread`.
    pub fn new(thread: &Rc<Thread>, future: impl Future<Output = ()> + 'static) -> Caught {
        Caught { thread: Rc::clone(thread), future: Box::pin(future) }
    }
}

impl Future for Caught {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let poll = || self.future.as_mut().poll(context);
        catch_unwind(AssertUnwindSafe(poll)).unwrap_or_else(|_| {
            self.thread.count_defect();
            Poll::Ready(())
        })
    }
}
