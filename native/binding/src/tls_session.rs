//! The server's half of one TLS connection, without a socket (RFC 8446; for DNS RFC 7858).
//!
//! Knows: handshake, records, close_notify.  Does not know: sockets, time, what is inside.
//! Theory: rustls works on the caller's octets and keeps none of its own, so a quiet session costs its keys and
//! little else.  What has come is read where it lies; only the beginning of a record waits here.

use std::sync::Arc;

use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus};
use rustls::{CommonState, Error, ServerConfig};

use crate::server_names;

/// Octets that may wait before a session is there: the longest handshake message (65,535) in records, and one more.
const HANDSHAKE_OCTETS_MAX: usize = 96 << 10;

/// Octets of plain text in one record, and what a record adds to them at most.
const RECORD_OCTETS: usize = 16_384;
const RECORD_OVERHEAD: usize = 64;

/// Reads and writes records.
pub struct Session {
    tls: UnbufferedServerConnection,
    /// What has come of a record, or of a message of the handshake, whose rest has not.
    part: Vec<u8>,
    has_failed: bool,
    has_closed: bool,
    /// The server name that the client asked for, up to whoever takes it; none where nobody wants it.
    pub server_name: Option<Box<str>>,
    /// Whether a hello was answered.
    pub has_cost: bool,
    /// Whether the client's close_notify came: it says no more, but may still read.
    pub has_client_closed: bool,
}

impl Session {
    /// Certificate, versions and ALPN are those of `config`.
    pub fn new(config: Arc<ServerConfig>) -> Result<Session, Error> {
        let tls = UnbufferedServerConnection::new(config)?;
        Ok(Session {
            tls,
            part: Vec::new(),
            has_failed: false,
            has_closed: false,
            server_name: None,
            has_cost: false,
            has_client_closed: false,
        })
    }

    /// So much was read of the client before; the rest of the record is still to come.
    pub fn begin_with(&mut self, octets: Vec<u8>) {
        self.part = octets;
    }

    /// Whether the handshake is done.
    pub fn is_established(&self) -> bool {
        !self.tls.is_handshaking()
    }

    /// What was agreed.
    pub fn agreed(&self) -> &CommonState {
        &self.tls
    }

    /// Octets that wait for the rest of their record.
    pub fn held_octets(&self) -> usize {
        self.part.capacity()
    }

    /// Read what the client sent; what it says is put behind `plain`, what TLS itself has to say behind `sealed`.
    ///
    /// An error: it broke the rules; `sealed` has the alert, if there is one, and nothing more is to be read.
    pub fn receive(
        &mut self,
        sent: &mut [u8],
        plain: &mut Vec<u8>,
        sealed: &mut Vec<u8>,
    ) -> Result<(), Error> {
        if self.has_failed {
            return Ok(());
        }
        let was_handshaking = !self.is_established();
        let read = if self.part.is_empty() {
            let (used, result) = self.process_or_alert(sent, plain, sealed);
            self.part.extend_from_slice(&sent[used..]);
            result
        } else {
            let mut octets = std::mem::take(&mut self.part);
            octets.extend_from_slice(sent);
            let (used, result) = self.process_or_alert(&mut octets, plain, sealed);
            if used < octets.len() {
                octets.drain(..used);
                self.part = octets;
            }
            result
        };
        if was_handshaking {
            self.server_name = server_names::take().or(self.server_name.take());
        }
        self.has_cost |= read.is_ok() && !sealed.is_empty();
        let is_too_long = !self.is_established() && self.part.len() > HANDSHAKE_OCTETS_MAX;
        let read = if is_too_long { Err(Error::PeerSentOversizedRecord) } else { read };
        if read.is_err() {
            self.has_failed = true;
            self.part = Vec::new();
        }
        read
    }

    /// The same as `process`; behind an error also the alert, which waits where any other message would.
    ///
    /// It is asked for with what is left of `octets`: rustls has seen them, and counts on them.
    fn process_or_alert(
        &mut self,
        octets: &mut [u8],
        plain: &mut Vec<u8>,
        sealed: &mut Vec<u8>,
    ) -> (usize, Result<(), Error>) {
        let (used, result) = self.process(octets, plain, sealed);
        if result.is_err() {
            let _ = self.process(&mut octets[used..], plain, sealed);
        }
        (used, result)
    }

    /// Go on as far as `octets` lead; how many of them are done with.
    fn process(
        &mut self,
        octets: &mut [u8],
        plain: &mut Vec<u8>,
        sealed: &mut Vec<u8>,
    ) -> (usize, Result<(), Error>) {
        let mut used = 0;
        loop {
            let UnbufferedStatus { discard, state, .. } = self.tls.process_tls_records(&mut octets[used..]);
            used += discard;
            match state {
                Err(error) => return (used, Err(error)),
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        match record {
                            Ok(record) => {
                                used += record.discard;
                                plain.extend_from_slice(record.payload);
                            }
                            Err(error) => return (used, Err(error)),
                        }
                    }
                }
                Ok(ConnectionState::EncodeTlsData(mut message)) => {
                    let encoded = append(sealed, 0, |room| match message.encode(room) {
                        Err(EncodeError::InsufficientSize(size)) => Err(size.required_size),
                        Err(EncodeError::AlreadyEncoded) => Ok(0),
                        Ok(count) => Ok(count),
                    });
                    debug_assert!(encoded);
                }
                Ok(ConnectionState::TransmitTlsData(message)) => message.done(),
                Ok(ConnectionState::PeerClosed) => self.has_client_closed = true,
                // Early data are refused by every configuration here, so there are none to read.
                Ok(_) => return (used, Ok(())),
            }
        }
    }

    /// Put `plain` behind `sealed` as records; false when that can no longer be.
    pub fn seal(&mut self, plain: &[u8], sealed: &mut Vec<u8>) -> bool {
        if self.has_failed || self.has_closed {
            return false;
        }
        let room_octets = plain.len() + (plain.len() / RECORD_OCTETS + 1) * RECORD_OVERHEAD;
        match self.tls.process_tls_records(&mut self.part).state {
            Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                append(sealed, room_octets, |room| match traffic.encrypt(plain, room) {
                    Err(EncryptError::InsufficientSize(size)) => Err(size.required_size),
                    Err(EncryptError::EncryptExhausted) => Err(0),
                    Ok(count) => Ok(count),
                })
            }
            _ => false,
        }
    }

    /// Put the close_notify behind `sealed`, once; nothing without a session, or after a broken rule.
    pub fn close(&mut self, sealed: &mut Vec<u8>) {
        if self.has_closed || self.has_failed || !self.is_established() {
            return;
        }
        self.has_closed = true;
        if let Ok(ConnectionState::WriteTraffic(mut traffic)) =
            self.tls.process_tls_records(&mut self.part).state
        {
            append(sealed, RECORD_OVERHEAD, |room| match traffic.queue_close_notify(room) {
                Err(EncryptError::InsufficientSize(size)) => Err(size.required_size),
                Err(EncryptError::EncryptExhausted) => Err(0),
                Ok(count) => Ok(count),
            });
        }
    }
}

/// Let `write` write behind `sealed`, in room of at first `octets`; it says how much it wrote, or how much room it
/// needs (0: none is enough).  Whether it could.
fn append(
    sealed: &mut Vec<u8>,
    octets: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, usize>,
) -> bool {
    let start = sealed.len();
    sealed.resize(start + octets, 0);
    let written = match write(&mut sealed[start..]) {
        Err(required) if required > octets => {
            sealed.resize(start + required, 0);
            write(&mut sealed[start..])
        }
        written => written,
    };
    sealed.truncate(start + written.unwrap_or(0));
    written.is_ok()
}
