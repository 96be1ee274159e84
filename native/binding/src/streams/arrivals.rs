//! New connections: accepted, given a place, or refused and counted.
//!
//! Knows: limits on connections and handshakes.  Does not know: what is said on a connection, which
//! sockets are waited for (`doors`).

use std::net::IpAddr;
use std::sync::Arc;

use resolver_core::flow::{Holder, Taken, Transport};

use super::connection::Connection;
use super::doors::Accepted;
use super::socket::Stream;
use super::state::ThreadLoop;
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
