//! One client's TLS connection as the HTTP library reads and writes it.
//!
//! Knows: its socket and session, what does not fit into the one or the other yet.  Does not know: HTTP, which
//! connections there are besides.
//! Theory: the same session as of DNS over TLS, which keeps nothing but its keys: all connections of a thread are read
//! into one room, and sealed in another.  A library's stream of its own keeps two buffers for each, which most
//! connections never need again.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{ready, Context, Poll};

use rustls::{CommonState, Error, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::bounds::SESSION_OCTETS_MAX;
use super::turnstile::Turnstile;
use crate::tls_session::Session;

/// Octets read from a socket at once.
const SOCKET_READ_OCTETS: usize = 16_384;
/// A room that grew farther is given back.
const ROOM_OCTETS_MAX: usize = 65_536;

/// What all connections of a thread read and seal in, one after the other.
pub struct Rooms {
    read: Box<[u8]>,
    plain: Vec<u8>,
    sealed: Vec<u8>,
}

impl Default for Rooms {
    fn default() -> Rooms {
        Rooms { read: vec![0; SOCKET_READ_OCTETS].into(), plain: Vec::new(), sealed: Vec::new() }
    }
}

impl Rooms {
    fn clear(&mut self) {
        for room in [&mut self.plain, &mut self.sealed] {
            room.clear();
            room.shrink_to(ROOM_OCTETS_MAX);
        }
    }
}

/// How far a connection is on its way to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handshake {
    /// Its hello is not here, or not answered: it has cost nothing.
    Awaited,
    /// Its hello was answered.
    Answered,
    /// There is a session.
    Done,
}

/// See the file's text.
pub struct TlsIo {
    stream: TcpStream,
    /// Large, and moved from hand to hand.
    session: Box<Session>,
    rooms: Rc<RefCell<Rooms>>,
    /// Plain octets that the library has not taken.
    unread: Vec<u8>,
    /// Sealed octets that the kernel has not taken, from `unsent_from` on.
    unsent: Vec<u8>,
    unsent_from: usize,
    /// Whether what is written waits for more, to leave with it in one piece.
    is_corked: bool,
}

impl TlsIo {
    /// Shake hands on a new connection; what costs waits for its turn, and `handshake` knows how far it is.
    ///
    /// `begun`: the first octets of a record, where somebody has read them before.
    ///
    /// An error: the rule that the client broke, or that it knows no common way; None: it went, or its connection broke.
    pub async fn accept(
        stream: TcpStream,
        config: Arc<ServerConfig>,
        rooms: Rc<RefCell<Rooms>>,
        turnstile: &Turnstile,
        handshake: &Cell<Handshake>,
        begun: Vec<u8>,
    ) -> Result<TlsIo, Option<Error>> {
        let mut session = Box::new(Session::new(config).map_err(Some)?);
        session.begin_with(begun);
        let mut made = TlsIo {
            stream,
            session,
            rooms,
            unread: Vec::new(),
            unsent: Vec::new(),
            unsent_from: 0,
            is_corked: false,
        };
        while !made.session.is_established() {
            if made.stream.readable().await.is_err() {
                return Err(None);
            }
            if !made.session.has_cost {
                // What comes now may cost: others have their turn first.
                turnstile.pass().await;
            }
            let received = poll_fn(|context| made.poll_receive(context)).await;
            if made.session.has_cost {
                handshake.set(Handshake::Answered);
            }
            // What is said last, a ticket mostly, leaves with the settings of HTTP/2, which come at once.
            let waits = made.session.is_established() && made.agreed().alpn_protocol() == Some(b"h2");
            let sent = if waits { Ok(()) } else { poll_fn(|context| made.poll_send(context)).await };
            match received {
                Ok(true) if sent.is_ok() => {}
                Err(Broken::Rules(error)) => return Err(Some(error)),
                Ok(_) | Err(Broken::Way(_)) => return Err(None),
            }
        }
        Ok(made)
    }

    /// What was agreed.
    pub fn agreed(&self) -> &CommonState {
        self.session.agreed()
    }

    /// The server name that the client asked for, once.
    pub fn take_server_name(&mut self) -> Option<Box<str>> {
        self.session.server_name.take()
    }

    /// Ready with whether the client has said something that nobody has read; if not, it says nothing more.
    pub fn poll_hear(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        while self.unread.is_empty() {
            if self.session.has_client_closed {
                return Poll::Ready(Ok(false));
            }
            match ready!(self.poll_receive(context)) {
                Ok(true) => {}
                // Without a close_notify somebody may have cut it (RFC 8446 §6.1).
                Ok(false) => return Poll::Ready(Err(ErrorKind::UnexpectedEof.into())),
                Err(Broken::Way(error)) => return Poll::Ready(Err(error)),
                Err(Broken::Rules(error)) => {
                    // The alert; who does not take it gets nothing else either.
                    let _ = self.poll_send(context);
                    return Poll::Ready(Err(io::Error::new(ErrorKind::InvalidData, error)));
                }
            }
            // What TLS itself has to say: a new key, mostly nothing.
            if let Poll::Ready(Err(error)) = self.poll_send(context) {
                return Poll::Ready(Err(error));
            }
        }
        Poll::Ready(Ok(true))
    }

    /// Whether nothing waits here, either way.
    pub fn is_empty(&self) -> bool {
        self.unread.is_empty() && self.unsent.is_empty()
    }

    /// The socket below, for whoever reads away what still comes.
    pub fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Read what has come into `unread`; false: the client says no more.
    fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<Result<bool, Broken>> {
        let rooms = &mut *self.rooms.borrow_mut();
        rooms.clear();
        let mut buffer = ReadBuf::new(&mut rooms.read);
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer)).map_err(Broken::Way)?;
        let count = buffer.filled().len();
        if count == 0 {
            return Poll::Ready(Ok(false));
        }
        let received = self.session.receive(&mut rooms.read[..count], &mut rooms.plain, &mut rooms.sealed);
        self.unread.extend_from_slice(&rooms.plain);
        self.unsent.extend_from_slice(&rooms.sealed);
        received.map_err(Broken::Rules)?;
        Poll::Ready(Ok(true))
    }

    /// Send what waits; ready when nothing does.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.unsent_from < self.unsent.len() {
            let rest = &self.unsent[self.unsent_from..];
            match ready!(Pin::new(&mut self.stream).poll_write(context, rest))? {
                0 => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                count => self.unsent_from += count,
            }
        }
        self.unsent = Vec::new();
        self.unsent_from = 0;
        Poll::Ready(Ok(()))
    }

    /// Take `octets` for the client, in one record as far as they fit.
    fn poll_seal(
        &mut self,
        context: &mut Context<'_>,
        octets: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.unsent.len() - self.unsent_from >= SESSION_OCTETS_MAX {
            ready!(self.poll_send(context))?;
        }
        let rooms = &mut *self.rooms.borrow_mut();
        rooms.clear();
        let plain = match octets {
            [only] => &only[..only.len().min(SESSION_OCTETS_MAX)],
            _ => {
                for part in octets {
                    let room = SESSION_OCTETS_MAX - rooms.plain.len();
                    rooms.plain.extend_from_slice(&part[..part.len().min(room)]);
                }
                &rooms.plain
            }
        };
        if !self.session.seal(plain, &mut rooms.sealed) {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        }
        let (taken, mut rest) = (plain.len(), &rooms.sealed[..]);
        if self.unsent.is_empty() && !self.is_corked {
            // Mostly the kernel takes all of it, and nothing is kept.
            match self.stream.try_write(rest) {
                Ok(count) => rest = &rest[count..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        self.unsent.extend_from_slice(rest);
        Poll::Ready(Ok(taken))
    }
}

enum Broken {
    Rules(Error),
    Way(io::Error),
}

impl AsyncRead for TlsIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !ready!(self.poll_hear(context))? {
            return Poll::Ready(Ok(()));
        }
        let count = self.unread.len().min(buffer.remaining());
        buffer.put_slice(&self.unread[..count]);
        if count == self.unread.len() {
            self.unread = Vec::new();
        } else {
            self.unread.drain(..count);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for TlsIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_seal(context, &[io::IoSlice::new(octets)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_seal(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_corked {
            return Poll::Ready(Ok(()));
        }
        self.poll_send(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.session.close(&mut this.unsent);
        ready!(this.poll_send(context))?;
        Pin::new(&mut this.stream).poll_shutdown(context)
    }
}

/// A session of which somebody keeps hold while the library reads and writes it.
#[derive(Clone)]
pub struct SharedIo(Rc<RefCell<TlsIo>>);

impl SharedIo {
    /// This session's.
    pub fn new(session: TlsIo) -> SharedIo {
        SharedIo(Rc::new(RefCell::new(session)))
    }

    /// Send `octets` at once, where nothing waits; whether they are on their way.
    pub fn say(&self, octets: &[u8], context: &mut Context<'_>) -> bool {
        let session = &mut *self.0.borrow_mut();
        let written = session.poll_seal(context, &[io::IoSlice::new(octets)]);
        // What the kernel does not take leaves with what comes next.
        let _ = session.poll_send(context);
        matches!(written, Poll::Ready(Ok(count)) if count == octets.len())
    }

    /// From now on what is written waits.
    pub fn cork(&self) {
        self.0.borrow_mut().is_corked = true;
    }

    /// Send what was written since; ready when nothing waits.
    pub fn poll_uncork(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let session = &mut *self.0.borrow_mut();
        session.is_corked = false;
        session.poll_send(context)
    }

    /// See `TlsIo::poll_hear`.
    pub fn poll_hear(&self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        self.0.borrow_mut().poll_hear(context)
    }

    /// See `TlsIo::is_empty`.
    pub fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }
}

impl AsyncRead for SharedIo {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_read(context, buffer)
    }
}

impl AsyncWrite for SharedIo {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_write(context, octets)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_shutdown(context)
    }
}
