//! A TLS session as the HTTP library reads and writes it, with somebody looking on.
//!
//! Knows: which octets come and leave, when what comes goes too far.  Does not know: sockets, what HTTP says.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use resolver_core::http::{FrameFault, FrameGuard, HeadFault, HeadGuard, SentFrames};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What is wrong with what came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Over HTTP/2.
    Frames(FrameFault),
    /// Over HTTP/1.1.
    Head(HeadFault),
}

/// Who looks on.
#[derive(Default)]
pub enum Guard {
    /// Nobody: nothing is read yet.
    #[default]
    None,
    /// Over HTTP/2.
    Frames(FrameGuard),
    /// Over HTTP/1.1.
    Heads(HeadGuard),
}

/// What is seen of one connection.
#[derive(Default)]
pub struct Watch {
    guard: RefCell<Guard>,
    fault: Cell<Option<Fault>>,
    /// What the session took for its client: octets over HTTP/1.1, frames over HTTP/2.
    written: Cell<u64>,
    sent: RefCell<SentFrames>,
}

impl Watch {
    /// Let this guard look on from now on.
    pub fn set_guard(&self, guard: Guard) {
        self.guard.replace(guard);
    }

    /// What went too far, if anything did: from then on nothing is read.
    pub fn fault(&self) -> Option<Fault> {
        self.fault.get()
    }

    /// Octets of answers that left up to now; over HTTP/2 nothing else that is said counts.
    pub fn answered_octets(&self) -> u64 {
        match &*self.guard.borrow() {
            Guard::Frames(_) => self.sent.borrow().answer_octets,
            _ => self.written.get(),
        }
    }

    /// Requests refused since the last call, because too many were open.
    pub fn take_refused(&self) -> u64 {
        std::mem::take(&mut self.sent.borrow_mut().refused)
    }

    /// Whether a request, or a frame, has begun that is not whole yet.
    pub fn is_within_request(&self) -> bool {
        match &*self.guard.borrow() {
            Guard::None => false,
            Guard::Frames(guard) => guard.is_within_frame(),
            Guard::Heads(guard) => guard.is_within_request(),
        }
    }

    /// An answer leaves.
    pub fn answered(&self) {
        if let Guard::Frames(guard) = &mut *self.guard.borrow_mut() {
            guard.answered();
        }
    }

    /// Whether the connection has to end with the answer that is made now.
    pub fn is_last(&self) -> bool {
        matches!(&*self.guard.borrow(), Guard::Heads(guard) if guard.is_over())
    }

    fn take(&self, octets: &[u8]) -> io::Result<()> {
        let fault = match &mut *self.guard.borrow_mut() {
            Guard::None => None,
            Guard::Frames(guard) => guard.take(octets).err().map(Fault::Frames),
            Guard::Heads(guard) => guard.take(octets).err().map(Fault::Head),
        };
        match fault {
            None => Ok(()),
            Some(fault) => {
                self.fault.set(Some(fault));
                Err(io::Error::other("refused"))
            }
        }
    }
}

/// A session under watch.
pub struct GuardedIo<S> {
    session: S,
    watch: Rc<Watch>,
}

impl<S> GuardedIo<S> {
    /// All that is read from `session`, and what is written to it, `watch` sees.
    pub fn new(session: S, watch: Rc<Watch>) -> GuardedIo<S> {
        GuardedIo { session, watch }
    }

    /// The session again.
    pub fn into_inner(self) -> S {
        self.session
    }

    fn wrote<'o>(&self, result: &Poll<io::Result<usize>>, octets: impl Iterator<Item = &'o [u8]>) {
        let Poll::Ready(Ok(count)) = result else { return };
        self.watch.written.set(self.watch.written.get() + *count as u64);
        if !matches!(&*self.watch.guard.borrow(), Guard::Frames(_)) {
            return;
        }
        let sent = &mut *self.watch.sent.borrow_mut();
        let mut left = *count;
        for octets in octets {
            let part = &octets[..octets.len().min(left)];
            sent.take(part);
            left -= part.len();
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for GuardedIo<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.watch.fault().is_some() {
            return Poll::Ready(Err(io::Error::other("refused")));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.session).poll_read(context, buffer);
        if let Poll::Ready(Ok(())) = read {
            if let Err(error) = self.watch.take(&buffer.filled()[before..]) {
                buffer.set_filled(before);
                return Poll::Ready(Err(error));
            }
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for GuardedIo<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.session).poll_write(context, octets);
        self.wrote(&result, std::iter::once(octets));
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.session).poll_write_vectored(context, slices);
        self.wrote(&result, slices.iter().map(|slice| &**slice));
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.session.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.session).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.session).poll_shutdown(context)
    }
}
