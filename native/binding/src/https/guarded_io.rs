//! A TLS session as the HTTP library reads and writes it, with somebody looking on.
//!
//! Knows: which octets come and leave, when what comes goes too far.  Does not know: sockets, what HTTP says.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{ready, Context, Poll};

use resolver_core::http::{
    FrameFault, FrameGuard, HeadFault, HeadGuard, Hushed, RefusedByLibrary, Rest, Retold, SentFrames,
    NO_TABLE,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What is wrong with what came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Over HTTP/2.
    Frames(FrameFault),
    /// Over HTTP/1.1.
    Head(HeadFault),
    /// Below both: it breaks the rules of TLS.
    Tls,
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
    /// What the library is not to hear.
    hushed: RefCell<Option<Box<Hushed>>>,
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

    /// What the library refused by itself since the last call.
    pub fn take_refused(&self) -> RefusedByLibrary {
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

    /// With what the connection can go on later, if nothing is open over HTTP/2 now.
    pub fn rest(&self) -> Option<Rest> {
        match &*self.guard.borrow() {
            Guard::Frames(guard) if self.fault.get().is_none() && !guard.is_within_frame() => {
                let sent = self.sent.borrow();
                if sent.is_within_frame() {
                    return None;
                }
                Rest::of(guard.heard(), sent.said())
            }
            _ => None,
        }
    }

    /// The client was told to use no table for its headers; the library does not know.
    pub fn told_to_use_no_table(&self) {
        self.sent.borrow_mut().take(NO_TABLE);
        self.hushed.replace(Some(Box::default()));
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

    fn note_failure(&self, read: &Poll<io::Result<()>>) {
        if matches!(read, Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::InvalidData) {
            self.fault.set(Some(Fault::Tls));
        }
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
    /// What is read before anything else, and nobody has said now.
    opening: Vec<u8>,
    retold: Option<Box<Retold>>,
    /// Whether the library is to speak before it reads on.
    must_speak: bool,
}

/// Octets that are looked through at once for what the client has heard.
const RETOLD_OCTETS_MAX: usize = 16_384;

/// Octets that are looked through at once for what the library is not to hear.
const HUSHED_OCTETS: usize = 1024;

impl<S> GuardedIo<S> {
    /// All that is read from `session`, and what is written to it, `watch` sees.
    pub fn new(session: S, watch: Rc<Watch>) -> GuardedIo<S> {
        GuardedIo { session, watch, opening: Vec::new(), retold: None, must_speak: false }
    }

    /// The same for a connection that has rested; `window`: see `Rest::retold`.
    pub fn again(session: S, watch: Rc<Watch>, rest: &Rest, window: u32) -> GuardedIo<S> {
        let retold = Some(Box::new(rest.retold(window)));
        GuardedIo { session, watch, opening: rest.opening(), retold, must_speak: true }
    }

    /// The session again.
    pub fn into_inner(self) -> S {
        self.session
    }

    /// Read into `opening` what the library is to hear; ready with nothing there: there will be no more.
    fn poll_hushed(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>>
    where
        S: AsyncRead + Unpin,
    {
        let mut room = [0; HUSHED_OCTETS];
        while self.opening.is_empty() {
            let mut buffer = ReadBuf::new(&mut room);
            let read = Pin::new(&mut self.session).poll_read(context, &mut buffer);
            self.watch.note_failure(&read);
            ready!(read)?;
            let octets = buffer.filled();
            if octets.is_empty() {
                break;
            }
            self.watch.take(octets)?;
            let hushed = &mut *self.watch.hushed.borrow_mut();
            match hushed {
                Some(hushed) => hushed.take(octets, &mut self.opening),
                None => self.opening.extend_from_slice(octets),
            }
            if hushed.as_ref().is_some_and(|hushed| hushed.is_over()) {
                *hushed = None;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Write what of `octets` the client has not heard yet.
    fn poll_retold(
        &mut self,
        retold: &Retold,
        context: &mut Context<'_>,
        octets: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>>
    where
        S: AsyncWrite + Unpin,
    {
        let (mut now, mut kept, mut taken) = (retold.clone(), Vec::new(), 0);
        for part in octets {
            let part = &part[..part.len().min(RETOLD_OCTETS_MAX - taken)];
            now.take(part, &mut kept);
            taken += part.len();
        }
        if !kept.is_empty() {
            let written = ready!(Pin::new(&mut self.session).poll_write(context, &kept))?;
            if written < kept.len() {
                // A session takes as much at once; what it does not take is lost, and so is the connection.
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.wrote(&Poll::Ready(Ok(written)), std::iter::once(&kept[..]));
        }
        self.retold = (!now.is_over()).then(|| Box::new(now));
        Poll::Ready(Ok(taken))
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
        if self.opening.is_empty() && self.watch.hushed.borrow().is_some() {
            ready!(self.poll_hushed(context))?;
        }
        if !self.opening.is_empty() {
            let count = self.opening.len().min(buffer.remaining());
            buffer.put_slice(&self.opening[..count]);
            self.opening.drain(..count);
            if self.opening.is_empty() {
                self.opening = Vec::new();
            }
            return Poll::Ready(Ok(()));
        }
        if std::mem::take(&mut self.must_speak) {
            // The library widens the connection's window when it has nothing to read, and to its client that window has
            // been open all along: what is there may be more than fits into the one that every connection begins with.
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.session).poll_read(context, buffer);
        self.watch.note_failure(&read);
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
        if let Some(retold) = self.retold.take() {
            let result = self.poll_retold(&retold, context, &[io::IoSlice::new(octets)]);
            if !matches!(result, Poll::Ready(Ok(_))) {
                self.retold = Some(retold);
            }
            return result;
        }
        let result = Pin::new(&mut self.session).poll_write(context, octets);
        self.wrote(&result, std::iter::once(octets));
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Some(retold) = self.retold.take() {
            let result = self.poll_retold(&retold, context, slices);
            if !matches!(result, Poll::Ready(Ok(_))) {
                self.retold = Some(retold);
            }
            return result;
        }
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

#[cfg(test)]
#[path = "guarded_io_tests.rs"]
mod tests;
