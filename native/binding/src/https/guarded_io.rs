//! A TLS session as the HTTP library reads and writes it, with somebody looking on.
//!
//! Knows: which octets come and leave, when what comes goes too far.  Does not know: sockets, what HTTP says.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use resolver_core::http::{FrameFault, FrameGuard, HeadFault, HeadGuard};
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
    /// Octets that the session took for its client.
    written: Cell<u64>,
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

    /// Octets written up to now.
    pub fn written(&self) -> u64 {
        self.written.get()
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

    fn wrote(&self, result: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(octets)) = result {
            self.watch.written.set(self.watch.written.get() + *octets as u64);
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
        self.wrote(&result);
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.session).poll_write_vectored(context, slices);
        self.wrote(&result);
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
