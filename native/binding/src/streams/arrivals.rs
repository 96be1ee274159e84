//! New connections: accepted, given a place, or refused and counted.
//!
//! Knows: limits on connections and handshakes.  Does not know: what is said on a connection, how a proxy says whose it
//! is (`heads`), which sockets are waited for (`doors`).

use std::net::IpAddr;
use std::sync::Arc;

use resolver_core::flow::{AwaitedHead, Holder, Taken, Transport};

use super::connection::Connection;
use super::doors::Accepted;
use super::socket::Stream;
use super::state::ThreadLoop;
use crate::slab::Handle;
use crate::stream_state::StreamDrop;
use crate::tls_counts::TlsFailure;
use crate::tls_session::Session;

/// Connections accepted from one socket in a turn.
const ACCEPTED_PER_TURN_MAX: usize = 16;

impl ThreadLoop<'_> {
    pub(super) fn accept_all(&mut self) {
        for door in 0..self.doors.count() {
            for _ in 0..ACCEPTED_PER_TURN_MAX {
                match self.doors.accept(door, &self.epoll) {
                    Accepted::Connection(stream, address) => {
                        self.admit(stream, address, self.doors.transport(door));
                    }
                    Accepted::Nobody => break,
                    Accepted::Gone => {}
                    Accepted::Failed => {
                        self.streams.count(StreamDrop::AcceptFailed);
                        return self.doors.pause(&self.epoll, self.now);
                    }
                }
            }
        }
    }

    /// Give a new connection a place, or close it.
    fn admit(&mut self, stream: Stream, address: IpAddr, transport: Transport) {
        let proxies = self.flow().proxies();
        if proxies.has(address) {
            // Whose a proxy's connection is, it says only now: until then it counts as somebody's of its own.
            let somebody = self.streams.nobodies.another();
            let entering = Entering { address: somebody, transport, is_stranger: false };
            return self.enter(stream, entering, None, Some(AwaitedHead::new(address)));
        }
        let entering = Entering { address, transport, is_stranger: self.flow().is_stranger(address) };
        let Ok(session) = self.begin_session(&entering) else { return };
        let awaited = (!proxies.is_empty()).then(|| AwaitedHead::new(address));
        self.enter(stream, entering, session, awaited);
    }

    /// What a client's TLS begins in, as far as it may have one; none over TCP.  An error: it is refused, and counted.
    pub(super) fn begin_session(&self, entering: &Entering) -> Result<Option<Box<Session>>, Refused> {
        if entering.transport != Transport::Tls {
            return Ok(None);
        }
        // Before it takes anybody's place.  Who may not ask is told so over UDP and TCP (EDE 18), where it costs no
        // handshake.
        if entering.is_stranger {
            self.streams.count(StreamDrop::Stranger);
            return Err(Refused);
        }
        if let Err(too_many) = self.streams.handshakes.begin(entering.address, self.now) {
            self.streams.count(too_many.into());
            self.shared.tls_counts.failed(TlsFailure::Limit);
            return Err(Refused);
        }
        let session = Session::new(Arc::clone(&self.tls)).map_err(|_| {
            self.streams.count(StreamDrop::TlsFailed);
            Refused
        })?;
        Ok(Some(Box::new(session)))
    }

    /// A place for a connection of this number.  An error: it is refused, and counted.
    pub(super) fn take_place(&mut self, entering: &Entering, handle: Handle) -> Result<Taken, Refused> {
        let &Entering { address, transport, is_stranger } = entering;
        let bits = handle.to_bits();
        let (connection, generation) = (bits as u32, (bits >> 32) as u32);
        let holder = Holder { thread: self.number, connection, generation };
        self.streams.limits.take(address, transport, holder, is_stranger, self.now).map_err(|limit| {
            self.streams.count_limit(limit);
            Refused
        })
    }

    fn enter(
        &mut self,
        stream: Stream,
        entering: Entering,
        session: Option<Box<Session>>,
        awaited: Option<AwaitedHead>,
    ) {
        let handle = self.connections.next_handle();
        let Ok(Taken { place, yielding }) = self.take_place(&entering, handle) else { return };
        let Entering { address, transport, .. } = entering;
        let mut connection = Connection::new(stream, address, transport, place, session, self.now);
        connection.awaited = awaited.map(Box::new);
        let is_entered = connection.enter(&self.epoll, handle).is_ok();
        self.connections.put(connection);
        if !is_entered {
            self.streams.count(StreamDrop::AcceptFailed);
            self.close(handle);
        }
        self.let_go(yielding);
    }
}

/// Who comes, and over what.
pub(super) struct Entering {
    pub(super) address: IpAddr,
    pub(super) transport: Transport,
    /// Whether it may not ask.
    pub(super) is_stranger: bool,
}

/// It may not come in; counted.
pub(super) struct Refused;
