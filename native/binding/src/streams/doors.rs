//! Listening sockets: which are waited for, and when again.
//!
//! Knows: which of them take connections still, since when none can be accepted.  Does not know: connections, what is
//! counted.
//! Theory: whoever bound a socket ends it, and then accepting fails for ever and at once; such a socket is never waited
//! for again.  Where descriptors or memory are short, all pause.  A pause that cannot end, for want of kernel memory, is
//! another pause.

use std::io::{Error, ErrorKind};
use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd};

use resolver_core::flow::{Transport, NEVER};

use super::socket::Stream;
use crate::epoll::Epoll;

/// So long no connection is accepted after it failed for want of descriptors or memory.
const ACCEPT_PAUSE_S: f64 = 0.1;

/// What accepting came to.
pub(super) enum Accepted {
    /// A connection, and whose it is.
    Connection(Stream, IpAddr),
    /// Nobody waits, or nobody will.
    Nobody,
    /// One that was here has gone; another may wait.
    Gone,
    /// It failed: pause.
    Failed,
}

/// The doors of one thread.
pub(super) struct Doors<'s> {
    sockets: &'s [(Transport, OwnedFd)],
    /// The number of the first for `Epoll`; the others follow.
    first: u64,
    /// Whether each is waited for.
    is_open: Vec<bool>,
    /// Whether each has ended.
    has_ended: Vec<bool>,
    /// When those that are not waited for are again; `NEVER`.
    open_at: f64,
}

impl<'s> Doors<'s> {
    /// None is waited for yet.
    pub fn new(sockets: &'s [(Transport, OwnedFd)], first: u64) -> Doors<'s> {
        let none = vec![false; sockets.len()];
        Doors { sockets, first, is_open: none.clone(), has_ended: none, open_at: NEVER }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.sockets.len()
    }

    /// What comes in by one.
    pub fn transport(&self, door: usize) -> Transport {
        self.sockets[door].0
    }

    /// Wait for all that have not ended.  Fails when the kernel has no room: then some wait until `opens_at`.
    pub fn open(&mut self, epoll: &Epoll, now: f64) -> Result<(), Error> {
        self.open_at = NEVER;
        for (door, (_, socket)) in self.sockets.iter().enumerate() {
            if self.is_open[door] || self.has_ended[door] {
                continue;
            }
            if let Err(error) = epoll.add(socket.as_raw_fd(), self.first | door as u64) {
                self.open_at = now + ACCEPT_PAUSE_S;
                return Err(error);
            }
            self.is_open[door] = true;
        }
        Ok(())
    }

    /// Wait for none of them any more.
    pub fn close(&mut self, epoll: &Epoll) {
        (0..self.count()).for_each(|door| self.leave(door, epoll));
        self.open_at = NEVER;
    }

    /// Wait for none of them for a while.
    pub fn pause(&mut self, epoll: &Epoll, now: f64) {
        self.close(epoll);
        self.open_at = now + ACCEPT_PAUSE_S;
    }

    /// When `open` is due.
    pub fn opens_at(&self) -> f64 {
        self.open_at
    }

    /// The next connection at one of them.
    pub fn accept(&mut self, door: usize, epoll: &Epoll) -> Accepted {
        if !self.is_open[door] {
            return Accepted::Nobody;
        }
        match Stream::accept(&self.sockets[door].1) {
            Ok((stream, address)) => Accepted::Connection(stream, address),
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock => Accepted::Nobody,
                ErrorKind::Interrupted | ErrorKind::ConnectionAborted => Accepted::Gone,
                // It listens no more: the server stops, and lets nobody wait on its sockets.
                ErrorKind::InvalidInput => {
                    self.has_ended[door] = true;
                    self.leave(door, epoll);
                    Accepted::Nobody
                }
                // No descriptor is left, or no memory: whoever waits may still be served in a moment.
                _ => Accepted::Failed,
            },
        }
    }

    fn leave(&mut self, door: usize, epoll: &Epoll) {
        if std::mem::take(&mut self.is_open[door]) {
            epoll.remove(self.sockets[door].1.as_raw_fd());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::net::{Shutdown, TcpListener, TcpStream};

    use crate::epoll::Events;

    const FIRST: u64 = 1 << 60;

    fn listener() -> (OwnedFd, std::net::SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        (listener.into(), address)
    }

    /// The doors that have something now.
    fn ready(epoll: &Epoll) -> Vec<u64> {
        let mut events = Events::with_room_for(8);
        epoll.wait(&mut events, 0).unwrap();
        (0..).map_while(|index| events.number(index)).map(|number| number - FIRST).collect()
    }

    fn end(socket: &OwnedFd) {
        TcpStream::from(socket.try_clone().unwrap()).shutdown(Shutdown::Both).unwrap();
    }

    #[test]
    fn a_door_that_ended_is_never_waited_for_again_and_the_others_are() {
        let ((tcp, _), (tls, address)) = (listener(), listener());
        let sockets = [(Transport::Tcp, tcp), (Transport::Tls, tls)];
        let epoll = Epoll::new().unwrap();
        let mut doors = Doors::new(&sockets, FIRST);
        doors.open(&epoll, 0.0).unwrap();
        assert_eq!(ready(&epoll), [0; 0]);
        end(&sockets[0].1);
        assert_eq!(ready(&epoll), [0]);
        assert!(matches!(doors.accept(0, &epoll), Accepted::Nobody));
        // Neither by itself, nor after a pause.
        assert_eq!((ready(&epoll), doors.opens_at()), (vec![], NEVER));
        doors.pause(&epoll, 5.0);
        assert_eq!(doors.opens_at(), 5.0 + ACCEPT_PAUSE_S);
        doors.open(&epoll, 5.1).unwrap();
        assert_eq!((ready(&epoll), doors.opens_at()), (vec![], NEVER));
        let client = TcpStream::connect(address).unwrap();
        assert_eq!(ready(&epoll), [1]);
        let Accepted::Connection(_, from) = doors.accept(1, &epoll) else { panic!("it waits") };
        assert_eq!(from, client.local_addr().unwrap().ip());
    }

    #[test]
    fn doors_that_cannot_be_opened_pause_and_those_that_are_stay() {
        let ((tcp, _), (tls, _)) = (listener(), listener());
        let sockets = [(Transport::Tcp, tcp), (Transport::Tls, tls)];
        let epoll = Epoll::new().unwrap();
        let mut doors = Doors::new(&sockets, FIRST);
        // Somebody else waits for it in the same set, which fails as want of memory does.
        epoll.add(sockets[1].1.as_raw_fd(), 0).unwrap();
        assert!(doors.open(&epoll, 1.0).is_err());
        assert_eq!(doors.opens_at(), 1.0 + ACCEPT_PAUSE_S);
        epoll.remove(sockets[1].1.as_raw_fd());
        doors.open(&epoll, 1.1).unwrap();
        assert_eq!((doors.opens_at(), &doors.is_open[..]), (NEVER, &[true, true][..]));
    }
}
