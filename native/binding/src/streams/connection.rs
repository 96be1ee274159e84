//! One client's connection: what has come and is not answered, what is answered and not sent, and when it ends.
//!
//! Knows: its socket and session, what its client does too slowly, its limits.  Does not know: what a message says, which
//! connections there are besides, whose turn it is (`thread`).
//! Theory: a quiet connection holds no buffer.  A client that asks more than it reads is not read either.  Reading
//! stops for good (`is_ending`) when the client closes its half, breaks the framing, or the thread takes no more
//! queries; whole messages that are here are still answered before it closes.

use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::sync::Arc;

use resolver_core::flow::{
    AwaitedHead, ClientName, HandshakeLimits, Networks, Place, Proxies, Transport, NEVER, SLOW_AFTER_S,
};
use resolver_core::wire::proxy::ProxyHead;
use rustls::Error;

use super::socket::Stream;
use crate::epoll::Epoll;
use crate::slab::Handle;
use crate::tls_session::Session;

/// Questions of one connection that wait for an upstream; no more of its messages are answered then.
pub const OPEN_QUESTIONS_MAX: usize = 100;
/// Octets of their queries.
pub const OPEN_QUERY_OCTETS_MAX: usize = 65_536;
/// Answers that a client has not read; beyond it none of its queries are taken.
pub const UNREAD_ANSWER_OCTETS_MAX: usize = 65_536;
/// A client that has read down to so much reads again.
const UNREAD_ANSWER_OCTETS_LOW: usize = 16_384;
/// Time for the whole handshake of a session.
pub const HANDSHAKE_S_MAX: f64 = 5.0;

/// What a look at a connection that may be quiet came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swept {
    /// It stays.
    Stays,
    /// Its client read nothing for too long: cut it.
    DoesNotRead,
    /// Its handshake took too long: cut it.
    NoHandshake,
    /// It was quiet for long: read no more of it, and close it.
    End,
    /// The same, and its client does not close it: cut it.
    Cut,
}

/// What came of reading a session.
#[derive(Debug)]
pub enum Unsealed {
    /// It goes on.
    Goes,
    /// Its handshake is done.
    Begins,
    /// The client broke the rules; the alert is sent, and the connection ends.
    Failed(Error),
    /// The client went before there was a session.
    Left,
    /// The connection broke.
    Broke,
}

/// One client's connection.
pub struct Connection {
    stream: Stream,
    /// The client's; before a proxy has said whose it is, nobody's.
    pub address: IpAddr,
    /// The name it gave itself.
    pub name: Option<ClientName>,
    /// TCP or TLS.
    pub transport: Transport,
    /// Its share of the server.
    pub place: Arc<Place>,
    /// Its TLS; that of a proxy's connection begins behind the head.
    pub session: Option<Box<Session>>,
    /// What a proxy may put before everything else; None: nothing of the kind is to come.
    pub awaited: Option<Box<AwaitedHead>>,
    /// Plain octets that have come and are not answered: a part of a message, or messages that have to wait.
    pub unread: Vec<u8>,
    /// Whether a whole message is among them.
    pub has_message: bool,
    /// Octets that the kernel has not taken, from `unsent_from` on.
    unsent: Vec<u8>,
    unsent_from: usize,
    /// Messages for it that leave with the next ones.
    pub gathered: Vec<u8>,
    /// Whether nothing more of it is read.
    pub is_ending: bool,
    /// Whether its client said that nothing more comes.
    pub has_client_ended: bool,
    /// Whether it has a turn coming.
    pub is_in_line: bool,
    /// Whether its client reads too slowly.
    is_slow: bool,
    is_half_closed: bool,
    /// What epoll reports of it.
    reads: bool,
    writes: bool,
    began_at: f64,
}

impl Connection {
    /// One that was just accepted.
    pub fn new(
        stream: Stream,
        address: IpAddr,
        transport: Transport,
        place: Arc<Place>,
        session: Option<Box<Session>>,
        now: f64,
    ) -> Connection {
        Connection {
            stream,
            address,
            name: None,
            transport,
            place,
            session,
            awaited: None,
            unread: Vec::new(),
            has_message: false,
            unsent: Vec::new(),
            unsent_from: 0,
            gathered: Vec::new(),
            is_ending: false,
            has_client_ended: false,
            is_in_line: false,
            is_slow: false,
            is_half_closed: false,
            reads: true,
            writes: false,
            began_at: now,
        }
    }

    /// Let epoll report what comes.  Fails when the kernel has no room.
    pub fn enter(&self, epoll: &Epoll, handle: Handle) -> io::Result<()> {
        epoll.add(self.stream.as_raw_fd(), handle.to_bits())
    }

    /// Whether its session is still to come.
    pub fn is_handshaking(&self) -> bool {
        match &self.session {
            Some(session) => !session.is_established(),
            None => self.transport == Transport::Tls,
        }
    }

    /// It is another client's from now on, and in its place.
    pub fn change_hands(
        &mut self,
        address: IpAddr,
        place: Arc<Place>,
        session: Option<Box<Session>>,
        now: f64,
    ) {
        (self.address, self.place, self.session) = (address, place, session);
        self.began_at = now;
    }

    /// It came to nothing, or broke the rules: that counts against its client, if its hello was answered.
    ///
    /// `trusted`: proxies over HTTPS, which do not pay for their clients.
    pub fn charge(&self, handshakes: &HandshakeLimits, trusted: &Networks, now: f64) {
        let has_cost = self.session.as_ref().is_some_and(|session| session.has_cost);
        if has_cost && !trusted.contains(self.address) {
            handshakes.charge(self.address, now);
        }
    }

    /// Whether epoll is to report what comes.
    pub fn is_read(&self) -> bool {
        self.reads
    }

    // What comes.

    /// Read what has come, as much as `room` takes; 0: nothing, or the client says no more.  An error: it broke.
    pub fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        match self.stream.read(room) {
            Ok(0) => {
                self.has_client_ended = true;
                self.is_ending = true;
                Ok(0)
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(0),
            read => read,
        }
    }

    /// Read what has come of the head that is awaited, and nothing behind it; NeedMore: nothing more has come, or will.
    ///
    /// An error: the connection broke.
    pub fn read_head(&mut self, room: &mut [u8], proxies: &Proxies) -> io::Result<ProxyHead> {
        let Some(mut awaited) = self.awaited.take() else { return Ok(ProxyHead::NeedMore) };
        let mut found = ProxyHead::NeedMore;
        while found == ProxyHead::NeedMore {
            let octets = awaited.octets_to_come(proxies).min(room.len());
            let count = self.read(&mut room[..octets])?;
            if count == 0 {
                break;
            }
            found = awaited.take(&room[..count], proxies);
        }
        self.awaited = Some(awaited);
        Ok(found)
    }

    /// Read what has come of a session: what the client says is put behind `plain`; `room` and `sealed` are used.
    pub fn read_session(
        &mut self,
        room: &mut [u8],
        plain: &mut Vec<u8>,
        sealed: &mut Vec<u8>,
        now: f64,
    ) -> Unsealed {
        let was_handshaking = self.is_handshaking();
        let Ok(count) = self.read(room) else {
            return if was_handshaking { Unsealed::Left } else { Unsealed::Broke };
        };
        let Some(session) = &mut self.session else { return Unsealed::Goes };
        if count == 0 {
            return if was_handshaking && self.has_client_ended { Unsealed::Left } else { Unsealed::Goes };
        }
        sealed.clear();
        let received = session.receive(&mut room[..count], plain, sealed);
        let has_client_closed = session.has_client_closed;
        let is_sent = sealed.is_empty() || self.write(sealed, now);
        if let Err(error) = received {
            // What was sent before the alert is read by nobody.
            self.unread = Vec::new();
            self.has_client_ended = true;
            self.is_ending = true;
            return Unsealed::Failed(error);
        }
        if !is_sent {
            return if was_handshaking { Unsealed::Left } else { Unsealed::Broke };
        }
        if has_client_closed {
            self.has_client_ended = true;
            self.is_ending = true;
        }
        if was_handshaking && !self.is_handshaking() {
            self.note_message(now);
            return Unsealed::Begins;
        }
        Unsealed::Goes
    }

    /// How many more of its questions may wait, and octets of their queries.
    pub fn room_for_questions(&self) -> (usize, usize) {
        let open = OPEN_QUESTIONS_MAX.saturating_sub(self.place.open_questions());
        (open, OPEN_QUERY_OCTETS_MAX.saturating_sub(self.place.lent()))
    }

    /// Whether the client has room for one more open question and one more answer.
    pub fn may_answer(&self) -> bool {
        !self.is_slow
            && self.place.open_questions() < OPEN_QUESTIONS_MAX
            && self.place.lent() < OPEN_QUERY_OCTETS_MAX
    }

    /// It said something whole at `now`.
    pub fn note_message(&self, now: f64) {
        self.place.set_quiet_since(now);
        if !self.is_slow {
            self.place.set_slow_since(NEVER);
        }
    }

    // What goes.

    /// Send plain octets behind what waits already; `sealed` is used for a session.  False: it broke.
    pub fn send(&mut self, plain: &[u8], sealed: &mut Vec<u8>, now: f64) -> bool {
        match &mut self.session {
            None => self.write(plain, now),
            Some(session) => {
                sealed.clear();
                session.seal(plain, sealed) && self.write(sealed, now)
            }
        }
    }

    /// Send what was gathered.  False: it broke.
    pub fn send_gathered(&mut self, sealed: &mut Vec<u8>, now: f64) -> bool {
        let gathered = std::mem::take(&mut self.gathered);
        gathered.is_empty() || self.send(&gathered, sealed, now)
    }

    /// Send octets as they are.  False: it broke.
    pub fn write(&mut self, octets: &[u8], now: f64) -> bool {
        let mut rest = octets;
        if self.unsent.is_empty() {
            match self.stream.write(octets) {
                Ok(count) => rest = &octets[count..],
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                Err(_) => return false,
            }
        }
        self.unsent.extend_from_slice(rest);
        if self.unsent_octets() > UNREAD_ANSWER_OCTETS_MAX && !self.is_slow {
            // It reads more slowly than it asks: it waits, and `sweep` cuts it if it does not read at all.
            self.is_slow = true;
            self.place.set_slow_since(now);
        }
        true
    }

    /// Send on what the kernel did not take.  False: it broke.
    pub fn flush(&mut self, now: f64) -> bool {
        while self.unsent_from < self.unsent.len() {
            match self.stream.write(&self.unsent[self.unsent_from..]) {
                Ok(count) => self.unsent_from += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return false,
            }
        }
        if self.unsent_from == self.unsent.len() {
            self.unsent = Vec::new();
            self.unsent_from = 0;
        }
        if self.is_slow && self.unsent_octets() <= UNREAD_ANSWER_OCTETS_LOW {
            self.is_slow = false;
            self.place.set_slow_since(NEVER);
            self.place.set_quiet_since(now);
        }
        true
    }

    fn unsent_octets(&self) -> usize {
        self.unsent.len() - self.unsent_from
    }

    // Its state, after something was done with it.

    /// What all its buffers hold.
    pub fn held_octets(&self) -> usize {
        let sealed = self.session.as_ref().map_or(0, |session| session.held_octets());
        let awaited = self.awaited.as_ref().map_or(0, |awaited| awaited.held_octets());
        self.unread.capacity() + self.unsent.capacity() + self.gathered.capacity() + sealed + awaited
    }

    /// Let epoll report what is of use now.
    pub fn report(&mut self, epoll: &Epoll, handle: Handle) {
        // What comes after the end is read and left alone, up to the client's own end.
        let must_pause = !self.is_ending && (self.has_message || self.is_slow);
        let reads = !self.has_client_ended && !must_pause;
        let writes = !self.unsent.is_empty();
        if (reads, writes) != (self.reads, self.writes) {
            (self.reads, self.writes) = (reads, writes);
            // It fails only for want of kernel memory; the sweep ends what goes on no more.
            let _ = epoll.change(self.stream.as_raw_fd(), handle.to_bits(), reads, writes);
        }
    }

    /// Close what is still open on this side, if all is answered; whether nothing is left of it.
    pub fn leave(&mut self, sealed: &mut Vec<u8>, now: f64) -> bool {
        if !self.is_ending || self.has_message || self.place.open_questions() > 0 {
            return false;
        }
        if let Some(session) = &mut self.session {
            sealed.clear();
            session.close(sealed);
            if !sealed.is_empty() && !self.write(sealed, now) {
                return true;
            }
        }
        if !self.unsent.is_empty() {
            return false;
        }
        if self.has_client_ended {
            return true;
        }
        if !self.is_half_closed {
            // Closing outright with unread octets would reset the connection, and with it the answers on their way
            // (RFC 1122 §4.2.2.13).  The client closes; or the sweep cuts.
            self.is_half_closed = true;
            self.stream.end_writing();
        }
        false
    }

    /// Forget what is no whole message, and read no more.
    pub fn end(&mut self) {
        self.is_ending = true;
        self.awaited = None;
        if !self.has_message {
            self.unread = Vec::new();
        }
    }

    /// Look whether it was quiet, or its client slow, for too long.
    pub fn sweep(&mut self, now: f64, idle_s: f64) -> Swept {
        let quiet_s = now - self.place.quiet_since();
        if self.is_handshaking() && !self.is_ending {
            if now - self.began_at > HANDSHAKE_S_MAX.min(idle_s) {
                return Swept::NoHandshake;
            }
            if now - self.began_at >= SLOW_AFTER_S {
                self.place.set_slow_since(self.began_at);
            }
            return Swept::Stays;
        }
        let owes_head = self.awaited.as_ref().is_some_and(|awaited| awaited.has_begun());
        let owes = owes_head || (!self.unread.is_empty() && !self.has_message);
        if self.place.slow_since() == NEVER && quiet_s >= SLOW_AFTER_S && owes {
            self.place.set_slow_since(self.place.quiet_since());
        }
        if self.is_slow {
            let is_over = now - self.place.slow_since() > idle_s;
            return if is_over { Swept::DoesNotRead } else { Swept::Stays };
        }
        if self.place.open_questions() > 0 || self.is_in_line || quiet_s <= idle_s {
            return Swept::Stays;
        }
        // The end was sent, and it neither takes its answers nor leaves.
        if quiet_s > 2.0 * idle_s {
            Swept::Cut
        } else {
            Swept::End
        }
    }

    /// Let its client know at once when it is dropped, and keep nothing for it.
    pub fn reset(&self) {
        self.stream.reset_at_close();
    }
}
