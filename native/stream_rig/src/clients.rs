//! Blocking clients, one thread each: a connection over TCP, DNS over TLS or HTTPS, and what is asked on it.
//!
//! Knows: sockets, source addresses.  Does not know: how long it asks, what is counted.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::Arc;
use std::time::Duration;

use rustix::net::{bind, connect, socket, sockopt, AddressFamily, SocketType};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, HandshakeKind, StreamOwned};

use crate::{http2, tls};

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(5);
/// Source addresses in turn, 127.0.1.1 and above: what servers limit for each client is not what is measured.
const SOURCES: u32 = 250;

static NEXT_SOURCE: AtomicU32 = AtomicU32::new(0);

/// Over what a client asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Plain TCP.
    Tcp,
    /// DNS over TLS.
    Tls,
    /// DNS over HTTPS, HTTP/2.
    Https,
}

impl Kind {
    /// By its word on the command line.
    pub fn named(word: &str) -> Option<Kind> {
        match word {
            "tcp" => Some(Kind::Tcp),
            "tls" => Some(Kind::Tls),
            "https" => Some(Kind::Https),
            _ => None,
        }
    }
}

/// One client: where it asks, and the tickets it has.
pub struct Client {
    kind: Kind,
    port: u16,
    config: Option<Arc<ClientConfig>>,
}

impl Client {
    /// A client of 127.0.0.1, `port`.
    pub fn new(kind: Kind, port: u16) -> Self {
        let config = match kind {
            Kind::Tcp => None,
            Kind::Tls => Some(tls::client_config(b"dot")),
            Kind::Https => Some(tls::client_config(b"h2")),
        };
        Self { kind, port, config }
    }

    /// Forget all tickets, so that the next handshake is a full one.
    pub fn forget(&mut self) {
        *self = Self::new(self.kind, self.port);
    }

    /// A connection that has asked `message` once and got its answer.
    pub fn open(&self, message: &[u8]) -> Result<Connection> {
        let socket = connected(self.port)?;
        let stream = match &self.config {
            None => Stream::Plain(socket),
            Some(config) => {
                let name = ServerName::try_from("localhost").map_err(Error::other)?;
                let session = ClientConnection::new(config.clone(), name).map_err(Error::other)?;
                Stream::Tls(Box::new(StreamOwned::new(session, socket)))
            }
        };
        let mut connection = Connection { kind: self.kind, stream, pending: Vec::new() };
        let request = match self.kind {
            Kind::Https => http2::first_request(message),
            _ => framed(message),
        };
        connection.ask(&request, 1)?;
        Ok(connection)
    }
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

/// An open connection.
pub struct Connection {
    kind: Kind,
    stream: Stream,
    pending: Vec<u8>,
}

impl Connection {
    /// Write `octets` at once.
    pub fn say(&mut self, octets: &[u8]) -> Result<()> {
        match &mut self.stream {
            Stream::Plain(socket) => socket.write_all(octets),
            Stream::Tls(tls) => tls.write_all(octets).and_then(|()| tls.flush()),
        }
    }

    /// Write `request` at once and wait for so many answers.
    pub fn ask(&mut self, request: &[u8], answers: usize) -> Result<()> {
        self.say(request)?;
        let mut left = answers;
        let mut room = [0; 16_384];
        while left > 0 {
            let octets = match &mut self.stream {
                Stream::Plain(socket) => socket.read(&mut room)?,
                Stream::Tls(tls) => tls.read(&mut room)?,
            };
            if octets == 0 {
                return Err(Error::new(ErrorKind::UnexpectedEof, "closed without an answer"));
            }
            self.pending.extend_from_slice(&room[..octets]);
            let (found, taken) = match self.kind {
                Kind::Https => http2::answers_in(&self.pending),
                _ => frames_in(&self.pending),
            };
            self.pending.drain(..taken);
            left = left.saturating_sub(found);
        }
        Ok(())
    }

    /// Agree to the settings that the server sends next, over HTTP/2.  Fails if none come in time.
    pub fn agree(&mut self) -> Result<()> {
        let mut room = [0; 1024];
        while !http2::has_settings(&self.pending) {
            let Stream::Tls(tls) = &mut self.stream else { return Ok(()) };
            let octets = tls.read(&mut room)?;
            if octets == 0 {
                return Err(Error::new(ErrorKind::UnexpectedEof, "closed"));
            }
            self.pending.extend_from_slice(&room[..octets]);
        }
        self.pending.clear();
        self.say(&http2::agreement())
    }

    /// Version, key exchange group, and whether a ticket was used; nothing of plain TCP.
    pub fn handshake(&self) -> Option<(String, String, bool)> {
        let Stream::Tls(tls) = &self.stream else { return None };
        let version = tls.conn.protocol_version().map(|version| format!("{version:?}"));
        let group = tls.conn.negotiated_key_exchange_group().map(|group| format!("{:?}", group.name()));
        let resumed = tls.conn.handshake_kind() == Some(HandshakeKind::Resumed);
        Some((version.unwrap_or_default(), group.unwrap_or_default(), resumed))
    }
}

/// A message as a stream carries it.
pub fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes(), message].concat()
}

/// Whole messages in `octets`, and how many octets they take.
fn frames_in(octets: &[u8]) -> (usize, usize) {
    let (mut at, mut found) = (0, 0);
    while let Some(length) = octets.get(at..at + 2) {
        let end = at + 2 + usize::from(u16::from_be_bytes([length[0], length[1]]));
        if octets.len() < end {
            break;
        }
        (at, found) = (end, found + 1);
    }
    (found, at)
}

fn connected(port: u16) -> Result<TcpStream> {
    let number = NEXT_SOURCE.fetch_add(1, Ordering::Relaxed) % SOURCES + 1;
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
    bind(&socket, &SocketAddrV4::new(Ipv4Addr::new(127, 0, 1, number as u8), 0))?;
    connect(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    // A reset leaves no port behind that nobody can use for a minute.
    sockopt::set_socket_linger(&socket, Some(Duration::ZERO))?;
    let socket = TcpStream::from(socket);
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok(socket)
}
