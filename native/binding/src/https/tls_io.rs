//! One client's TLS connection as the HTTP library reads and writes it.
//!
//! Knows: its socket and session, what does not fit into the one or the other yet.  Does not know: HTTP, which
//! connections there are besides.
//! Theory: the same session as of DNS over TLS, which keeps nothing but its keys: all connections of a thread are read
//! into one room, and sealed in another.  A library's stream of its own keeps two buffers for each, which most
//! connections never need again.

use std::cell::RefCell;
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

/// See the file's text.
pub struct TlsIo {
    stream: TcpStream,
    session: Session,
    rooms: Rc<RefCell<Rooms>>,
    /// Plain octets that the library has not taken.
    unread: Vec<u8>,
    /// Sealed octets that the kernel has not taken, from `unsent_from` on.
    unsent: Vec<u8>,
    unsent_from: usize,
}

/// Why there is no session.
pub struct NoSession {
    /// The rule that the client broke, or that it knows no common way; None: it went, or its connection broke.
    pub error: Option<Error>,
    /// Whether its hello was answered before.
    pub has_cost: bool,
}

impl TlsIo {
    /// Shake hands on a new connection; what costs waits for its turn.
    pub async fn accept(
        stream: TcpStream,
        config: Arc<ServerConfig>,
        rooms: Rc<RefCell<Rooms>>,
        turnstile: &Turnstile,
    ) -> Result<TlsIo, NoSession> {
        let session =
            Session::new(config).map_err(|error| NoSession { error: Some(error), has_cost: false })?;
        let mut made =
            TlsIo { stream, session, rooms, unread: Vec::new(), unsent: Vec::new(), unsent_from: 0 };
        while !made.session.is_established() {
            let has_cost = made.session.has_cost;
            if made.stream.readable().await.is_err() {
                return Err(NoSession { error: None, has_cost });
            }
            // What comes now may cost: others have their turn first.
            turnstile.pass().await;
            let received = poll_fn(|context| made.poll_receive(context)).await;
            let sent = poll_fn(|context| made.poll_send(context)).await;
            match received {
                Ok(true) if sent.is_ok() => {}
                Err(Broken::Rules(error)) => return Err(NoSession { error: Some(error), has_cost }),
                Ok(_) | Err(Broken::Way(_)) => return Err(NoSession { error: None, has_cost }),
            }
        }
        Ok(made)
    }

    /// What was agreed.
    pub fn agreed(&self) -> &CommonState {
        self.session.agreed()
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
        if self.unsent.is_empty() {
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
        while self.unread.is_empty() {
            if self.session.has_client_closed {
                return Poll::Ready(Ok(()));
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
        self.poll_send(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.session.close(&mut this.unsent);
        ready!(this.poll_send(context))?;
        Pin::new(&mut this.stream).poll_shutdown(context)
    }
}
