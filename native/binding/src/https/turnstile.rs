//! Lets the costly part of handshakes through, a few at a time.
//!
//! Knows: who waits, in their order.  Does not know: what a handshake is.
//! Theory: key exchange and signature take 150 to 450 µs in which the thread does nothing else.  A crowd of them
//! waits here; between a few of them the thread reads and answers what has come on sessions that are there.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{poll_fn, Future};
use std::rc::Rc;
use std::task::{Poll, Waker};

/// Handshakes between two looks at everything else: some 1 ms of work.
pub const HANDSHAKES_PER_TURN_MAX: usize = 4;

/// One for each thread.
#[derive(Default)]
pub struct Turnstile {
    waiting: RefCell<VecDeque<Rc<Visitor>>>,
    keeper: RefCell<Option<Waker>>,
}

#[derive(Default)]
struct Visitor {
    may_pass: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Turnstile {
    /// Ready when the caller's turn has come.
    pub fn pass(&self) -> impl Future<Output = ()> {
        let visitor = Rc::new(Visitor::default());
        self.waiting.borrow_mut().push_back(Rc::clone(&visitor));
        if let Some(keeper) = self.keeper.take() {
            keeper.wake();
        }
        poll_fn(move |context| {
            if visitor.may_pass.get() {
                return Poll::Ready(());
            }
            visitor.waker.replace(Some(context.waker().clone()));
            Poll::Pending
        })
    }

    /// Let them pass, for ever.
    pub async fn keep(&self) {
        loop {
            poll_fn(|context| {
                if self.waiting.borrow().is_empty() {
                    self.keeper.replace(Some(context.waker().clone()));
                    return Poll::Pending;
                }
                Poll::Ready(())
            })
            .await;
            for _ in 0..HANDSHAKES_PER_TURN_MAX {
                let Some(visitor) = self.waiting.borrow_mut().pop_front() else { break };
                visitor.may_pass.set(true);
                if let Some(waker) = visitor.waker.take() {
                    waker.wake();
                }
            }
            // Only behind all that is ready, and behind a look at all sockets, is it the turn of the next.
            tokio::task::yield_now().await;
        }
    }
}
