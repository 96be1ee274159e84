//! One connection to an upstream: connects, shakes hands, frames, ends.
//!
//! Knows: its socket, TLS, what is to be written.  Does not know: which queries it gets (`pools`), when one is overdue
//! (`pipeline`).
//! Theory: whatever is reported for its socket, it goes on from where it stands: connect, then the handshake, then
//! read what there is.  Queries that come before it is open are sent when it is.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use resolver_core::wire::frames::{first_frame, Frame, FRAME_HEAD_OCTETS};
use resolver_core::wire::query_options::keepalive_s;
use rustls::client::ClientConnection;
use rustls::{CertificateError, Error, HandshakeKind};

use super::framing::put_query;
use super::inbox::Inbox;
use super::pipeline::{Belongs, Pipeline, Taken};
use super::socket;
use super::words::{Failure, StreamQuery};
use crate::counters::{add, Counters};
use crate::upstream_server::TlsClient;

/// Seconds an unused connection is kept (RFC 7766 §6.2.3 asks for seconds, not minutes).
pub const UNUSED_S: f64 = 10.0;

/// Seconds until a connection must be open, when every question behind it has long moved on.
pub const OPEN_S_MAX: f64 = 5.0;

/// Reads from one connection before the next one's turn.
const READS_PER_TURN_MAX: usize = 4;

/// A buffer of parts of messages is given back where it is larger and empty.
const KEPT_OCTETS: usize = 4096;

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// TCP has no answer yet.
    Connecting,
    /// TLS is being agreed on.
    Handshaking,
    /// Queries may be sent.
    Open,
}

/// How far a connection got with what its socket had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// As far as it goes now.
    All,
    /// There may be more.
    Part,
    /// It is of no use any more; the messages that came before are good.
    Ended(Failure),
}

/// A handshake that ended well.
pub struct Handshake<'c> {
    /// Whether an older session was gone on with.
    pub is_resumed: bool,
    /// The upstream's certificate, if it showed one now.
    pub certificate: Option<&'c [u8]>,
}

/// See the file's text.
pub struct Connection {
    /// Its upstream's number.
    pub upstream: u16,
    /// How far it has come.
    pub phase: Phase,
    /// Who waits on it.
    pub pipeline: Pipeline,
    /// When it began; monotonic seconds.
    pub began_at: f64,
    /// Since when nobody waits on it.
    pub idle_since: f64,
    /// Seconds that it is kept so.
    pub idle_s: f64,
    /// The upstream does not read.
    pub is_blocked: bool,
    /// It waits to be written to, at the end of this turn.
    pub is_unflushed: bool,
    /// The upstream has closed its side: behind what is there nothing comes.
    pub is_over: bool,
    socket: TcpStream,
    tls: Option<Box<ClientConnection>>,
    /// What is to be written, from `written` on.
    out: Vec<u8>,
    written: usize,
    /// The beginning of a message of which more is to come.
    partial: Vec<u8>,
}

impl Connection {
    /// One that begins now.
    pub fn new(
        upstream: u16,
        socket: TcpStream,
        tls: Option<&TlsClient>,
        answers_max: u32,
        now: f64,
    ) -> Result<Connection, Error> {
        let client = |tls: &TlsClient| {
            let mut client = ClientConnection::new(Arc::clone(&tls.config), tls.name.clone())?;
            // What one turn sends is bounded by how many queries a connection takes.
            client.set_buffer_limit(None);
            Ok::<_, Error>(Box::new(client))
        };
        Ok(Connection {
            upstream,
            phase: Phase::Connecting,
            pipeline: Pipeline::new(answers_max),
            began_at: now,
            idle_since: now,
            idle_s: UNUSED_S,
            is_blocked: false,
            is_unflushed: false,
            is_over: false,
            socket,
            tls: tls.map(client).transpose()?,
            out: Vec::new(),
            written: 0,
            partial: Vec::new(),
        })
    }

    /// Its socket.
    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Whether another query with this ID may go here.
    pub fn takes(&self, id: u16, now: f64) -> bool {
        !self.is_blocked && self.pipeline.takes(id, now)
    }

    /// One more query: it leaves with `flush`, or when the connection is open.
    pub fn put(&mut self, query: StreamQuery, now: f64) {
        let leaves = self.phase == Phase::Open;
        if leaves {
            put_query(&query.octets, self.options(self.pipeline.taken() == 0), &mut self.out);
        }
        self.pipeline.add(query, leaves, now);
    }

    /// What a query gets here besides: over TLS padding; the first one asks how long the upstream stays (RFC 7828
    /// §3.2.1).
    fn options(&self, is_first: bool) -> Option<bool> {
        self.tls.as_ref().map(|_| is_first)
    }

    /// When it is to be looked at again, if nothing comes before; infinite: not at all.
    pub fn deadline(&self) -> f64 {
        if self.pipeline.live() > 0 {
            // Who waits has a time of his own.
            return if self.phase == Phase::Open { f64::INFINITY } else { self.began_at + OPEN_S_MAX };
        }
        if self.phase == Phase::Open && self.pipeline.waiting() == 0 {
            let is_spent = self.pipeline.is_spent();
            return if is_spent { f64::NEG_INFINITY } else { self.idle_since + self.idle_s };
        }
        let rest_s = if self.phase == Phase::Open {
            self.idle_since + self.idle_s
        } else {
            self.began_at + OPEN_S_MAX
        };
        rest_s.min(self.pipeline.overdue_at())
    }

    /// Why it ends at its deadline.
    pub fn failure_at_deadline(&self) -> Failure {
        match self.phase {
            Phase::Connecting => Failure::Network,
            Phase::Handshaking => Failure::Tls,
            Phase::Open => Failure::Blameless,
        }
    }

    /// Go on from where it stands; what came is in `inbox`.  `may_shake_hands`: the turn has time for that.
    pub fn go_on(
        &mut self,
        inbox: &mut Inbox,
        may_shake_hands: bool,
        counters: &Counters,
        now: f64,
    ) -> Progress {
        if self.phase == Phase::Connecting {
            match socket::is_connected(&self.socket) {
                Ok(false) => return Progress::All,
                Err(_) => return Progress::Ended(Failure::Network),
                Ok(true) if self.tls.is_none() => self.open(),
                Ok(true) => self.phase = Phase::Handshaking,
            }
        }
        if self.phase == Phase::Handshaking && !may_shake_hands {
            return Progress::Part;
        }
        inbox.plain.append(&mut self.partial);
        let mut progress = self.read(inbox);
        if let Err(failure) = self.take_messages(inbox, counters, now) {
            progress = Progress::Ended(failure);
        }
        // TLS has things to say of its own, an alert among them.
        match self.flush() {
            Err(failure) if !matches!(progress, Progress::Ended(_)) => Progress::Ended(failure),
            _ => progress,
        }
    }

    /// How the handshake went, once it is over; None: there was none.
    pub fn handshake(&self) -> Option<Handshake<'_>> {
        let tls = self.tls.as_ref()?;
        let is_resumed = tls.handshake_kind()? == HandshakeKind::Resumed;
        let shown = tls.peer_certificates().and_then(|chain| chain.first()).filter(|_| !is_resumed);
        Some(Handshake { is_resumed, certificate: shown.map(|certificate| certificate.as_ref()) })
    }

    /// Write what is to be written, as far as the kernel takes it.
    pub fn flush(&mut self) -> Result<(), Failure> {
        self.is_unflushed = false;
        if self.phase == Phase::Connecting {
            return Ok(());
        }
        match self.write() {
            Ok(()) => self.is_blocked = false,
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.is_blocked = true,
            Err(_) => return Err(Failure::Stream),
        }
        Ok(())
    }

    /// Say goodbye, if there is room for that.
    pub fn say_goodbye(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            // It is closed in any case.
            let _ = self.write();
        }
    }

    /// RFC 7828 §3.4: the upstream says for how long it stays; 0: not for a further query.
    fn heed(&mut self, seconds: f64) {
        self.idle_s = UNUSED_S.min(seconds);
        if seconds == 0.0 {
            self.pipeline.take_no_more();
        }
    }

    fn write(&mut self) -> io::Result<()> {
        let Some(tls) = &mut self.tls else {
            while let Some(rest) = self.out.get(self.written..).filter(|rest| !rest.is_empty()) {
                self.written += uninterrupted(|| self.socket.write(rest))?;
            }
            self.out.clear();
            self.written = 0;
            return Ok(());
        };
        if self.phase == Phase::Open {
            // Each in a record of its own, all in one write: some servers (NSD 4.6) read one message of a record, and
            // the next when there is more on the socket.
            let mut rest = &self.out[..];
            while let Frame::Message(message) = first_frame(rest) {
                let (record, others) = rest.split_at(FRAME_HEAD_OCTETS + message.len());
                tls.writer().write_all(record)?;
                rest = others;
            }
            self.out.clear();
        }
        while tls.wants_write() {
            if uninterrupted(|| tls.write_tls(&mut self.socket))? == 0 {
                return Err(ErrorKind::WriteZero.into());
            }
        }
        Ok(())
    }

    /// From here on queries may be sent; those that wait are.
    fn open(&mut self) {
        self.phase = Phase::Open;
        let has_options = self.tls.is_some();
        for (place, message) in self.pipeline.first_messages().enumerate() {
            put_query(message, has_options.then_some(place == 0), &mut self.out);
        }
    }

    /// Take what the socket has, up to a turn's share.
    fn read(&mut self, inbox: &mut Inbox) -> Progress {
        for _ in 0..READS_PER_TURN_MAX {
            let count = match uninterrupted(|| self.socket.read(&mut inbox.raw)) {
                Ok(0) => return Progress::Ended(Failure::Stream),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Progress::All,
                Err(_) => return Progress::Ended(Failure::Stream),
            };
            if let Err(failure) = self.decrypt(inbox, count) {
                return Progress::Ended(failure);
            }
            if count < inbox.raw.len() && !self.is_over {
                // A stream that gave less has no more now (epoll(7)), but for its end, which is told once.
                return Progress::All;
            }
        }
        Progress::Part
    }

    /// Put the first `count` raw octets with the plain ones.
    fn decrypt(&mut self, inbox: &mut Inbox, count: usize) -> Result<(), Failure> {
        let Inbox { raw, plain, .. } = inbox;
        let mut rest = raw.get(..count).unwrap_or_default();
        let Some(tls) = &mut self.tls else {
            plain.extend_from_slice(rest);
            return Ok(());
        };
        while !rest.is_empty() {
            if tls.read_tls(&mut rest).map_err(|_| Failure::Stream)? == 0 {
                return Err(Failure::Stream);
            }
            let phase = self.phase;
            let state = tls.process_new_packets().map_err(|error| failure_of(&error, phase))?;
            let (start, more) = (plain.len(), state.plaintext_bytes_to_read());
            plain.resize(start + more, 0);
            if let Some(room) = plain.get_mut(start..) {
                tls.reader().read_exact(room).map_err(|_| Failure::Stream)?;
            }
            if state.peer_has_closed() {
                return Err(Failure::Stream);
            }
        }
        if self.phase == Phase::Handshaking && !tls.is_handshaking() {
            self.open();
        }
        Ok(())
    }

    /// Find the messages in what came, and to whom they belong.
    fn take_messages(&mut self, inbox: &mut Inbox, counters: &Counters, now: f64) -> Result<(), Failure> {
        let mut start = 0;
        loop {
            let message = match first_frame(inbox.plain.get(start..).unwrap_or_default()) {
                Frame::Message(message) => message,
                Frame::Part => break,
                Frame::TooShort => return Err(Failure::Malformed),
            };
            let place = start + FRAME_HEAD_OCTETS..start + FRAME_HEAD_OCTETS + message.len();
            start = place.end;
            let belongs = match self.pipeline.answer(message, now) {
                Belongs::To(Taken { owner, is_reply, is_first }) => {
                    if let Some(seconds) = keepalive_s(message).filter(|_| is_first && self.tls.is_some()) {
                        self.heed(seconds);
                    }
                    match owner {
                        Some(owner) => inbox.found.push((owner, place)),
                        None => add(&counters.streams_late, 1),
                    }
                    // Whose it is, is known: the others are asked elsewhere.
                    is_reply.then_some(()).ok_or(Failure::Stream)
                }
                Belongs::ToNobody { was_asked } => {
                    add(&counters.streams_unexpected, 1);
                    was_asked.then_some(()).ok_or(Failure::Malformed)
                }
            };
            // What is read here is no message of the upstream's any more.
            belongs?;
        }
        if let Some(rest) = inbox.plain.get(start..) {
            self.partial.extend_from_slice(rest);
        }
        if self.partial.is_empty() && self.partial.capacity() > KEPT_OCTETS {
            self.partial = Vec::new();
        }
        Ok(())
    }
}

/// What an error of TLS says of the upstream.
fn failure_of(error: &Error, phase: Phase) -> Failure {
    use CertificateError as Bad;
    match error {
        Error::InvalidCertificate(bad) => match bad {
            Bad::Expired | Bad::ExpiredContext { .. } | Bad::NotValidYet | Bad::NotValidYetContext { .. } => {
                Failure::CertificateExpired
            }
            Bad::NotValidForName | Bad::NotValidForNameContext { .. } => Failure::CertificateName,
            Bad::ApplicationVerificationFailure => Failure::CertificatePin,
            _ => Failure::CertificateUntrusted,
        },
        _ if phase == Phase::Open => Failure::Stream,
        _ => Failure::Tls,
    }
}

fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
