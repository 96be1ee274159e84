//! One UDP socket towards an upstream, and what all threads may have of them.
//!
//! Knows: which ports may be asked from, how many sockets are open.  Does not know: who asks, when a socket is
//! replaced.
//! Theory: a port that is worth guessing is bound by us, at random among all that are usable: the kernel's own
//! choice has less than half of them.  The count is of all threads together: one that asks much may have what the
//! others do not use, and gives it back when one of them has less than its base.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use resolver_core::entropy::Entropy;

use crate::sys::check;

/// Random ports tried before the kernel chooses.
const BIND_TRIES: usize = 16;
/// Datagrams thrown away that somebody sent between bind and connect.
const EMPTY_TRIES: usize = 64;
/// One part in this many of the sockets stays free for pools below their base.
const FREE_PART: usize = 128;

/// The ports and sockets of all threads.
pub struct SourcePorts {
    usable: Box<[u16]>,
    open: AtomicUsize,
    sockets_max: usize,
    needs_room: AtomicBool,
}

impl SourcePorts {
    /// `usable`: ports that may be bound; none: the kernel chooses.  `sockets_max`: open at one time.
    pub fn new(usable: Vec<u16>, sockets_max: usize) -> SourcePorts {
        SourcePorts {
            usable: usable.into_boxed_slice(),
            open: AtomicUsize::new(0),
            sockets_max,
            needs_room: AtomicBool::new(false),
        }
    }

    /// Whether a pool that has its base may have more.
    pub fn has_spare(&self) -> bool {
        self.open.load(Ordering::Relaxed) < self.sockets_max - self.sockets_max / FREE_PART
    }

    /// Whether a pool below its base may have one; if hardly, others are asked to give some back.
    pub fn has_room(&self) -> bool {
        let open = self.open.load(Ordering::Relaxed);
        if open + self.sockets_max / FREE_PART / 2 >= self.sockets_max {
            self.needs_room.store(true, Ordering::Relaxed);
        }
        open < self.sockets_max
    }

    /// Whether somebody needs room; asked once.
    pub fn take_need(&self) -> bool {
        self.needs_room.load(Ordering::Relaxed) && self.needs_room.swap(false, Ordering::Relaxed)
    }

    /// One more is open.
    pub fn count_opened(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    /// So many are closed.
    pub fn count_closed(&self, count: usize) {
        self.open.fetch_sub(count, Ordering::Relaxed);
    }

    fn draw(&self, entropy: &mut Entropy) -> u16 {
        let place = entropy.below(self.usable.len() as u32) as usize;
        self.usable.get(place).copied().unwrap_or(0)
    }
}

/// A socket on a random port that receives from `server` alone.
pub fn connect(server: SocketAddr, ports: &SourcePorts, entropy: &mut Entropy) -> io::Result<UdpSocket> {
    let socket = open(server.is_ipv6())?;
    bind(&socket, server.is_ipv6(), ports, entropy)?;
    socket.connect(server)?;
    // Throw away what anybody could send between bind and connect.
    for _ in 0..EMPTY_TRIES {
        if socket.recv(&mut [0; 1]).is_err() {
            break;
        }
    }
    Ok(socket)
}

fn open(is_ipv6: bool) -> io::Result<UdpSocket> {
    let family = if is_ipv6 { libc::AF_INET6 } else { libc::AF_INET };
    let kind = libc::SOCK_DGRAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: the call touches no memory, and the descriptor it returns is nobody else's.
    let socket = unsafe { UdpSocket::from_raw_fd(check(libc::socket(family, kind, 0))?) };
    if is_ipv6 {
        // Its ports are not those of IPv4.
        let on: libc::c_int = 1;
        let size = std::mem::size_of_val(&on) as libc::socklen_t;
        // SAFETY: `on` is valid for the call, and `size` is its size.
        check(unsafe {
            let value = std::ptr::from_ref(&on).cast();
            libc::setsockopt(socket.as_raw_fd(), libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, value, size)
        })?;
    }
    Ok(socket)
}

fn bind(socket: &UdpSocket, is_ipv6: bool, ports: &SourcePorts, entropy: &mut Entropy) -> io::Result<()> {
    for _ in 0..BIND_TRIES {
        match bind_to(socket, is_ipv6, ports.draw(entropy)) {
            // Somebody's, or not for us: take another.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EADDRINUSE | libc::EACCES)) => {}
            bound => return bound,
        }
    }
    bind_to(socket, is_ipv6, 0)
}

fn bind_to(socket: &UdpSocket, is_ipv6: bool, port: u16) -> io::Result<()> {
    let fd = socket.as_raw_fd();
    let port = port.to_be();
    // SAFETY: all zeros is a value of either structure; each is valid for its call, with its own size.
    let bound = unsafe {
        if is_ipv6 {
            let mut anywhere: libc::sockaddr_in6 = std::mem::zeroed();
            anywhere.sin6_family = libc::AF_INET6 as libc::sa_family_t;
            anywhere.sin6_port = port;
            let size = std::mem::size_of_val(&anywhere) as libc::socklen_t;
            libc::bind(fd, std::ptr::from_ref(&anywhere).cast(), size)
        } else {
            let mut anywhere: libc::sockaddr_in = std::mem::zeroed();
            anywhere.sin_family = libc::AF_INET as libc::sa_family_t;
            anywhere.sin_port = port;
            let size = std::mem::size_of_val(&anywhere) as libc::socklen_t;
            libc::bind(fd, std::ptr::from_ref(&anywhere).cast(), size)
        }
    };
    check(bound).map(|_| ())
}
