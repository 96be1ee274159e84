//! Heads of proxies before what connections say: whose a connection is.
//!
//! Knows: when a head is awaited, what follows from it.  Does not know: a head's layout, who may send one (`Proxies`),
//! what comes behind it.
//! Theory: only the head is read, so that whoever speaks TCP or TLS behind it finds the rest where it always is.  A
//! connection whose head is not here yet is nobody's, and has the time of a handshake or of a quiet connection.

use resolver_core::flow::Taken;
use resolver_core::wire::proxy::{Proxied, ProxyHead};

use super::arrivals::{Entering, Refused};
use super::state::ThreadLoop;
use crate::counters::add;
use crate::slab::Handle;
use crate::tls_counts::TlsFailure;

impl ThreadLoop<'_> {
    /// Read the head that a connection begins with.  False: it is not whole, or the connection has gone.
    pub(super) fn take_head(&mut self, handle: Handle) -> bool {
        let proxies = self.flow().proxies();
        let Some(connection) = self.connections.get_mut(handle) else { return false };
        let found = connection.read_head(&mut self.read, proxies);
        let (has_left, is_handshaking) = (connection.has_client_ended, connection.is_handshaking());
        match found {
            Ok(ProxyHead::Whole(head)) => return self.begin_behind(handle, head).is_ok(),
            Ok(ProxyHead::Bad(_)) => {
                add(&self.letters.mailbox.counters.proxy_head, 1);
                self.cut(handle);
            }
            Ok(ProxyHead::NeedMore) if !(has_left && is_handshaking) => self.settle(handle),
            Ok(ProxyHead::NeedMore) | Err(_) => {
                if is_handshaking {
                    self.shared.tls_counts.failed(TlsFailure::Closed);
                }
                self.close(handle);
            }
        }
        false
    }

    /// The connection is that of the client whom the head names.
    fn begin_behind(&mut self, handle: Handle, head: Proxied) -> Result<(), Refused> {
        let connection = self.connections.get_mut(handle).ok_or(Refused)?;
        let awaited = connection.awaited.take().ok_or(Refused)?;
        if head.length == 0 {
            // No proxy's: what was read is its own.
            let octets = awaited.into_octets();
            match &mut connection.session {
                Some(session) => session.begin_with(octets),
                None => connection.unread = octets,
            }
            return Ok(());
        }
        let address = head.source.map_or(awaited.peer(), |source| source.ip());
        // A proxy's own are no stranger's: it looks whether we are there, by a handshake perhaps.
        let is_stranger = head.source.is_some() && self.shared.shared_flow.flow.is_stranger(address);
        let entering = Entering { address, transport: connection.transport, is_stranger };
        self.streams.limits.free(&connection.place);
        let entered = self
            .begin_session(&entering)
            .and_then(|session| Ok((session, self.take_place(&entering, handle)?)));
        let (session, Taken { place, yielding }) = match entered {
            Ok(entered) => entered,
            Err(refused) => {
                self.cut(handle);
                return Err(refused);
            }
        };
        if let Some(connection) = self.connections.get_mut(handle) {
            connection.change_hands(address, place, session, self.now);
        }
        self.let_go(yielding);
        Ok(())
    }
}
