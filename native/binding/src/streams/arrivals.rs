//! New connections: accepted, given a place, or refused and counted.
//!
//! Knows: listening sockets, limits on connections and handshakes.  Does not know: what is said on a connection.

use std::io::ErrorKind;
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use resolver_core::flow::{Holder, Taken, Transport};

use super::connection::Connection;
use super::socket::Stream;
use super::state::{ThreadLoop, LISTEN};
use crate::stream_state::StreamDrop;
use crate::tls_counts::TlsFailure;
use crate::tls_session::Session;

/// Connections accepted from one socket in a turn.
const ACCEPTED_PER_TURN_MAX: usize = 16;
/// So long no connection is accepted after it failed for want of descriptors or memory.
const ACCEPT_PAUSE_S: f64 = 0.1;

impl ThreadLoop<'_> {
    /// Accept connections from now on, or not.
    pub(super) fn listen(&mut self, is_accepting: bool) -> std::io::Result<()> {
        for (index, (_, socket)) in self.thread.sockets.iter().enumerate() {
            if is_accepting {
                self.epoll.add(socket.as_raw_fd(), LISTEN | index as u64)?;
            } else {
                self.epoll.remove(socket.as_raw_fd());
            }
        }
        self.is_accepting = is_accepting;
        Ok(())
    }

    pub(super) fn accept_all(&mut self) {
        let thread = self.thread;
        for (transport, socket) in &thread.sockets {
            for _ in 0..ACCEPTED_PER_TURN_MAX {
                match Stream::accept(socket) {
                    Ok((stream, address)) => self.admit(stream, address, *transport),
                    Err(error) => match error.kind() {
                        ErrorKind::WouldBlock => break,
                        // The server stops, and lets nobody wait on its sockets.
                        ErrorKind::InvalidInput => return drop(self.listen(false)),
                        ErrorKind::Interrupted | ErrorKind::ConnectionAborted => {}
                        // No descriptor is left, or no memory: whoever waits may still be served in a moment.
                        _ => return self.pause_accepting(),
                    },
                }
            }
        }
    }

    fn pause_accepting(&mut self) {
        self.streams.count(StreamDrop::AcceptFailed);
        let _ = self.listen(false);
        self.accept_at = self.now + ACCEPT_PAUSE_S;
    }

    /// Give a new connection a place, or close it.
    fn admit(&mut self, stream: Stream, address: IpAddr, transport: Transport) {
        let mut session = None;
        let is_stranger = self.flow().is_stranger(address);
        if transport == Transport::Tls {
            // Who may not ask is told so over UDP and TCP (EDE 18), where it costs no handshake.
            if is_stranger {
                return self.streams.count(StreamDrop::Stranger);
            }
            if let Err(refused) = self.streams.handshakes.begin(address, self.now) {
                self.streams.count(refused.into());
                self.shared.tls_counts.failed(TlsFailure::Limit);
                return;
            }
            match Session::new(Arc::clone(&self.tls)) {
                Ok(made) => session = Some(Box::new(made)),
                Err(_) => return self.streams.count(StreamDrop::TlsFailed),
            }
        }
        let handle = self.connections.next_handle();
        let bits = handle.to_bits();
        let (connection, generation) = (bits as u32, (bits >> 32) as u32);
        let holder = Holder { thread: self.number, connection, generation };
        match self.streams.limits.take(address, transport, holder, is_stranger, self.now) {
            Err(limit) => self.streams.count_limit(limit),
            Ok(Taken { place, yielding }) => {
                let connection = Connection::new(stream, address, transport, place, session, self.now);
                let is_entered = connection.enter(&self.epoll, handle).is_ok();
                self.connections.put(connection);
                if !is_entered {
                    self.streams.count(StreamDrop::AcceptFailed);
                    self.close(handle);
                }
                self.let_go(yielding);
            }
        }
    }
}
