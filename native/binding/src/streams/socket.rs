//! The system calls of streams, behind safe functions.
//!
//! Knows: accept, send and receive without waiting, the end of one half.  Does not know: what is said.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use resolver_core::flow::SOCKET_NAME_OCTETS;

use crate::sys::{address_in, check};

/// One client's connection.
pub struct Stream {
    fd: OwnedFd,
}

impl Stream {
    /// The next connection that waits on a listening socket, and whose it is.  Fails with WouldBlock if none does.
    pub fn accept(listening: &OwnedFd) -> io::Result<(Stream, IpAddr)> {
        let mut name = [0u8; SOCKET_NAME_OCTETS];
        let mut octets = SOCKET_NAME_OCTETS as libc::socklen_t;
        let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        // SAFETY: at most `octets` octets are written to `name`, which has so many.
        let fd = check(unsafe {
            libc::accept4(listening.as_raw_fd(), name.as_mut_ptr().cast(), &mut octets, flags)
        })?;
        // SAFETY: the descriptor was just made, and is nobody else's.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok((Stream { fd }, address_in(&name)))
    }

    /// Read what has come, as much as `room` takes; 0: the client says no more.  Fails with WouldBlock if nothing has.
    pub fn read(&self, room: &mut [u8]) -> io::Result<usize> {
        let (start, octets) = (room.as_mut_ptr().cast(), room.len());
        // SAFETY: at most `octets` octets are written to `room`, which has so many.
        let count = unsafe { libc::recv(self.fd.as_raw_fd(), start, octets, libc::MSG_DONTWAIT) };
        usize::try_from(count).map_err(|_| io::Error::last_os_error())
    }

    /// Send what the kernel takes of `octets`; how much that was.  Fails with WouldBlock if it takes nothing.
    pub fn write(&self, octets: &[u8]) -> io::Result<usize> {
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        // SAFETY: so many octets are read from `octets`.
        let count = unsafe { libc::send(self.fd.as_raw_fd(), octets.as_ptr().cast(), octets.len(), flags) };
        usize::try_from(count).map_err(|_| io::Error::last_os_error())
    }

    /// Say that nothing more is sent; what was sent arrives first.
    pub fn end_writing(&self) {
        // SAFETY: touches no memory; it fails only where the client has gone.
        unsafe { libc::shutdown(self.fd.as_raw_fd(), libc::SHUT_WR) };
    }

    /// Let closing it tell the client so at once, and keep nothing that it has not read.
    pub fn reset_at_close(&self) {
        let linger = libc::linger { l_onoff: 1, l_linger: 0 };
        let octets = std::mem::size_of::<libc::linger>() as libc::socklen_t;
        // SAFETY: `linger` has `octets` octets and outlives the call; where it fails, closing takes longer.
        unsafe {
            libc::setsockopt(
                self.fd.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_LINGER,
                std::ptr::addr_of!(linger).cast(),
                octets,
            )
        };
    }

    /// The descriptor, for epoll.
    pub fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}
