//! `stream_echo TCP_PORT TLS_PORT CERTIFICATE KEY [GATHER_US]`: the limit of DNS over TCP and over TLS.
//!
//! Knows: one epoll, one thread, rustls.  Does not know: names, caches, limits: every query gets one fixed record.
//! Theory: one read, one write and one wake-up for all that came on a connection; nobody can do with less.  With
//! GATHER_US it rests so long before it waits again, so that more comes at once.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use resolver_stream_rig::{answer_frames, tls::server_config};
use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use rustls::{ServerConfig, ServerConnection};

const EVENTS: usize = 256;
const ROOM_OCTETS: usize = 65_536;
const ACCEPTS: usize = 16;

struct Connection {
    socket: TcpStream,
    tls: Option<Box<ServerConnection>>,
    pending: Vec<u8>,
}

/// Buffers of the thread.
struct Room {
    octets: Vec<u8>,
    out: Vec<u8>,
}

impl Connection {
    /// Read once and answer what is whole; false: it is over.
    fn serve(&mut self, room: &mut Room) -> Result<bool> {
        room.out.clear();
        let Some(tls) = &mut self.tls else {
            let octets = self.socket.read(&mut room.octets)?;
            return Ok(octets > 0
                && answer(&mut self.pending, &room.octets[..octets], &mut room.out)
                && (room.out.is_empty() || self.socket.write_all(&room.out).is_ok()));
        };
        if tls.read_tls(&mut self.socket)? == 0 {
            return Ok(false);
        }
        let state = tls.process_new_packets().map_err(Error::other)?;
        if state.plaintext_bytes_to_read() > 0 {
            let octets = tls.reader().read(&mut room.octets)?;
            if !answer(&mut self.pending, &room.octets[..octets], &mut room.out) {
                return Ok(false);
            }
            tls.writer().write_all(&room.out)?;
        }
        while tls.wants_write() {
            tls.write_tls(&mut self.socket)?;
        }
        Ok(!state.peer_has_closed())
    }
}

/// Answer `octets`, behind what waited for its rest; false: the peer speaks no DNS.
fn answer(pending: &mut Vec<u8>, octets: &[u8], out: &mut Vec<u8>) -> bool {
    if pending.is_empty() {
        let Some(taken) = answer_frames(octets, out) else { return false };
        pending.extend_from_slice(&octets[taken..]);
        return true;
    }
    pending.extend_from_slice(octets);
    let Some(taken) = answer_frames(pending, out) else { return false };
    pending.drain(..taken);
    if pending.is_empty() {
        *pending = Vec::new();
    }
    true
}

fn accept(listener: &TcpListener, config: Option<&Arc<ServerConfig>>) -> Result<Option<Connection>> {
    let socket = match listener.accept() {
        Ok((socket, _)) => socket,
        Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
        Err(error) => return Err(error),
    };
    socket.set_nonblocking(true)?;
    socket.set_nodelay(true)?;
    let tls = match config {
        None => None,
        Some(config) => Some(Box::new(ServerConnection::new(Arc::clone(config)).map_err(Error::other)?)),
    };
    Ok(Some(Connection { socket, tls, pending: Vec::new() }))
}

fn main() -> std::result::Result<(), String> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [tcp_port, tls_port, certificate, key, rest @ ..] = &words[..] else {
        return Err("usage: stream_echo TCP_PORT TLS_PORT CERTIFICATE KEY [GATHER_US]".to_owned());
    };
    let gather: u64 =
        rest.first().map_or(Ok(0), |word| word.parse()).map_err(|_| "GATHER_US is no number")?;
    let config = server_config(certificate, key, &[b"dot"])?;
    let ports = [(tcp_port, None), (tls_port, Some(config))];
    serve(&ports, Duration::from_micros(gather)).map_err(|error| error.to_string())
}

fn serve(ports: &[(&String, Option<Arc<ServerConfig>>)], gather: Duration) -> Result<()> {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let mut listeners = Vec::new();
    for (port, config) in ports {
        let port: u16 = port.parse().map_err(Error::other)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        listener.set_nonblocking(true)?;
        let number = epoll::EventData::new_u64(listener.as_raw_fd() as u64);
        epoll::add(&epoll, &listener, number, epoll::EventFlags::IN)?;
        listeners.push((listener, config));
    }
    let mut connections: HashMap<u64, Connection> = HashMap::new();
    let mut room = Room { octets: vec![0; ROOM_OCTETS], out: Vec::with_capacity(ROOM_OCTETS) };
    let mut events = Vec::with_capacity(EVENTS);
    loop {
        if !gather.is_zero() {
            std::thread::sleep(gather);
        }
        epoll::wait(&epoll, spare_capacity(&mut events), None)?;
        for event in events.drain(..) {
            let number = event.data.u64();
            if let Some(connection) = connections.get_mut(&number) {
                let is_open = match connection.serve(&mut room) {
                    Ok(is_open) => is_open,
                    Err(error) => error.kind() == ErrorKind::WouldBlock,
                };
                if !is_open {
                    connections.remove(&number);
                }
                continue;
            }
            let Some((listener, config)) =
                listeners.iter().find(|(listener, _)| listener.as_raw_fd() as u64 == number)
            else {
                continue;
            };
            for _ in 0..ACCEPTS {
                let Some(connection) = accept(listener, config.as_ref())? else { break };
                let number = connection.socket.as_raw_fd() as u64;
                let data = epoll::EventData::new_u64(number);
                epoll::add(&epoll, &connection.socket, data, epoll::EventFlags::IN)?;
                connections.insert(number, connection);
            }
        }
    }
}
