//! The body of a response: an answer's octets, and the count of those that are not on their way yet.
//!
//! Knows: when its octets have left, or never will.  Does not know: who writes them.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use hyper::body::{Body, Buf, Frame, SizeHint};

/// Octets of answers that one connection holds, then no more of its queries are answered: those that are written
/// make room.  A client that reads as fast as it asks never sees it.
pub const UNWRITTEN_OCTETS_MAX: usize = 65_536;

/// What the answers of one connection hold.
#[derive(Default)]
pub struct Unwritten {
    octets: Cell<usize>,
    waiting: RefCell<Vec<Waker>>,
}

impl Unwritten {
    /// Octets of answers that nobody has written yet.
    pub fn octets(&self) -> usize {
        self.octets.get()
    }

    /// Whether another answer may be made; if not, `waker` is woken when there may be room.
    pub fn has_room(&self, waker: &Waker) -> bool {
        let has_room = self.octets.get() <= UNWRITTEN_OCTETS_MAX;
        if !has_room {
            self.waiting.borrow_mut().push(waker.clone());
        }
        has_room
    }

    fn left(&self, octets: usize) {
        let before = self.octets.get();
        self.octets.set(before - octets);
        if before > UNWRITTEN_OCTETS_MAX && before - octets <= UNWRITTEN_OCTETS_MAX {
            self.waiting.take().into_iter().for_each(Waker::wake);
        }
    }
}

/// An answer's octets on their way.
pub struct Outgoing {
    octets: Vec<u8>,
    sent: usize,
    unwritten: Rc<Unwritten>,
}

impl Buf for Outgoing {
    fn remaining(&self) -> usize {
        self.octets.len() - self.sent
    }

    fn chunk(&self) -> &[u8] {
        &self.octets[self.sent..]
    }

    fn advance(&mut self, octets: usize) {
        self.sent += octets;
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        self.unwritten.left(self.octets.len());
    }
}

/// One answer, or nothing.
pub struct AnswerBody(Option<Outgoing>);

impl AnswerBody {
    /// That of a response without a body.
    pub fn none() -> AnswerBody {
        AnswerBody(None)
    }

    /// These octets, counted in `unwritten` until they have left.
    pub fn new(octets: Vec<u8>, unwritten: &Rc<Unwritten>) -> AnswerBody {
        unwritten.octets.set(unwritten.octets.get() + octets.len());
        AnswerBody(Some(Outgoing { octets, sent: 0, unwritten: Rc::clone(unwritten) }))
    }
}

impl Body for AnswerBody {
    type Data = Outgoing;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Outgoing>, Infallible>>> {
        Poll::Ready(self.0.take().map(|octets| Ok(Frame::data(octets))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, |octets| octets.remaining() as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_count_until_they_have_left() {
        let unwritten = Rc::new(Unwritten::default());
        let mut body = AnswerBody::new(vec![7; 300], &unwritten);
        assert_eq!((unwritten.octets(), body.size_hint().exact()), (300, Some(300)));
        let mut outgoing = body.0.take().unwrap();
        outgoing.advance(299);
        assert_eq!((outgoing.chunk(), unwritten.octets()), (&[7][..], 300));
        drop(outgoing);
        assert_eq!(unwritten.octets(), 0);
        drop(AnswerBody::new(vec![7; 300], &unwritten));
        assert_eq!(unwritten.octets(), 0);
    }

    #[test]
    fn who_waits_for_room_is_woken_when_there_is_some() {
        let unwritten = Rc::new(Unwritten::default());
        let waker = Waker::noop();
        assert!(unwritten.has_room(waker));
        let bodies = [0, 1].map(|_| AnswerBody::new(vec![0; UNWRITTEN_OCTETS_MAX], &unwritten));
        assert!(!unwritten.has_room(waker));
        assert_eq!(unwritten.waiting.borrow().len(), 1);
        drop(bodies);
        assert!(unwritten.waiting.borrow().is_empty() && unwritten.has_room(waker));
    }
}
