//! Requests that wait for an answer from elsewhere: an upstream, or Python.
//!
//! Knows: who waits under which number, and that some stop waiting.  Does not know: where answers come from.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use resolver_core::flow::StreamRoute;

use crate::slab::{Handle, Slab};
use crate::stream_state::StreamAnswer;

#[derive(Default)]
struct Seat {
    number: u32,
    came: RefCell<Option<StreamAnswer>>,
    waker: Cell<Option<Waker>>,
}

/// All of one thread.
pub struct WaitingRequests {
    seats: RefCell<Slab<Rc<Seat>>>,
    next_number: Cell<u32>,
}

impl WaitingRequests {
    /// Nobody waits yet.
    ///
    /// `first_number`: a random one, for another life of the thread must not take answers meant for this one.
    pub fn new(first_number: u32) -> WaitingRequests {
        WaitingRequests { seats: RefCell::new(Slab::new()), next_number: Cell::new(first_number) }
    }

    /// Let a request wait.
    pub fn wait(self: &Rc<Self>) -> LateAnswer {
        let number = self.next_number.get();
        self.next_number.set(number.wrapping_add(1));
        let seat = Rc::new(Seat { number, ..Seat::default() });
        let handle = self.seats.borrow_mut().put(Rc::clone(&seat));
        LateAnswer { requests: Rc::clone(self), seat, handle }
    }

    /// Tell the one who waits at the end of this route; who does no more, hears nothing.
    pub fn tell(&self, route: StreamRoute, came: StreamAnswer) {
        let bits = u64::from(route.generation) << 32 | u64::from(route.connection);
        let seats = self.seats.borrow();
        let seat = seats.get(Handle::from_bits(bits)).filter(|seat| seat.number == route.request);
        let Some(seat) = seat else { return };
        seat.came.replace(Some(came));
        if let Some(waker) = seat.waker.take() {
            waker.wake();
        }
    }
}

/// What will come for one request.  Dropped: it waits no more.
pub struct LateAnswer {
    requests: Rc<WaitingRequests>,
    seat: Rc<Seat>,
    handle: Handle,
}

impl LateAnswer {
    /// The way to it, for a thread of this number.
    pub fn route(&self, thread: u16) -> StreamRoute {
        let bits = self.handle.to_bits();
        StreamRoute {
            thread,
            connection: bits as u32,
            generation: (bits >> 32) as u32,
            request: self.seat.number,
        }
    }
}

impl Future for LateAnswer {
    type Output = StreamAnswer;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<StreamAnswer> {
        if let Some(came) = self.seat.came.take() {
            return Poll::Ready(came);
        }
        self.seat.waker.set(Some(context.waker().clone()));
        Poll::Pending
    }
}

impl Drop for LateAnswer {
    fn drop(&mut self) {
        self.requests.seats.borrow_mut().take(self.handle);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn polled(answer: &mut LateAnswer) -> Poll<StreamAnswer> {
        Pin::new(answer).poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn an_answer_reaches_the_one_who_waits_for_it() {
        let requests = Rc::new(WaitingRequests::new(u32::MAX));
        let (mut one, mut other) = (requests.wait(), requests.wait());
        assert_eq!(polled(&mut one), Poll::Pending);
        requests.tell(other.route(3), StreamAnswer::Message([7].into()));
        requests.tell(one.route(3), StreamAnswer::Lost);
        assert_eq!(polled(&mut other), Poll::Ready(StreamAnswer::Message([7].into())));
        assert_eq!(polled(&mut one), Poll::Ready(StreamAnswer::Lost));
    }

    #[test]
    fn nobody_hears_what_was_meant_for_another() {
        let requests = Rc::new(WaitingRequests::new(u32::MAX));
        let gone = requests.wait();
        let route = gone.route(0);
        drop(gone);
        let mut next = requests.wait();
        requests.tell(route, StreamAnswer::Lost);
        assert_eq!(polled(&mut next), Poll::Pending);
        assert_eq!(next.route(0).connection, route.connection);
        // Nor where a place has had so many that their count began again.
        let same_place = StreamRoute { request: route.request, ..next.route(0) };
        requests.tell(same_place, StreamAnswer::Lost);
        assert_eq!(polled(&mut next), Poll::Pending);
    }
}
