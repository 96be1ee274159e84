//! One TCP socket towards an upstream that never makes its thread wait.
//!
//! Knows: how a connection begins.  Does not know: what goes over it, when it ends.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd};

use crate::sys::check;

/// Begin to connect: the socket is writable when that has come to an end.
pub fn connect(server: SocketAddr) -> io::Result<TcpStream> {
    let family = if server.is_ipv6() { libc::AF_INET6 } else { libc::AF_INET };
    let kind = libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: the call touches no memory, and the descriptor it returns is nobody else's.
    let socket = unsafe { TcpStream::from_raw_fd(check(libc::socket(family, kind, 0))?) };
    // What is gathered here leaves at once.
    socket.set_nodelay(true)?;
    match connect_to(&socket, server) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(socket),
    }
}

fn connect_to(socket: &TcpStream, server: SocketAddr) -> io::Result<()> {
    let fd = socket.as_raw_fd();
    let port = server.port().to_be();
    // SAFETY: all zeros is a value of either structure; each is valid for its call, with its own size.
    let connected = unsafe {
        match server {
            SocketAddr::V6(server) => {
                let mut name: libc::sockaddr_in6 = std::mem::zeroed();
                name.sin6_family = libc::AF_INET6 as libc::sa_family_t;
                name.sin6_port = port;
                name.sin6_addr.s6_addr = server.ip().octets();
                name.sin6_scope_id = server.scope_id();
                let size = std::mem::size_of_val(&name) as libc::socklen_t;
                libc::connect(fd, std::ptr::from_ref(&name).cast(), size)
            }
            SocketAddr::V4(server) => {
                let mut name: libc::sockaddr_in = std::mem::zeroed();
                name.sin_family = libc::AF_INET as libc::sa_family_t;
                name.sin_port = port;
                name.sin_addr.s_addr = u32::from_ne_bytes(server.ip().octets());
                let size = std::mem::size_of_val(&name) as libc::socklen_t;
                libc::connect(fd, std::ptr::from_ref(&name).cast(), size)
            }
        }
    };
    check(connected).map(|_| ())
}

/// Whether it is connected by now.  Fails with the reason why it never will be.
pub fn is_connected(socket: &TcpStream) -> io::Result<bool> {
    match socket.take_error()? {
        Some(error) => Err(error),
        None => Ok(socket.peer_addr().is_ok()),
    }
}
