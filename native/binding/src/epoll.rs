//! Waiting for many descriptors, and waking who waits, behind safe functions.
//!
//! Knows: epoll and eventfd.  Does not know: what comes on a descriptor.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use crate::sys::check;

/// A set of descriptors to wait for, each with a number of the caller's.
pub struct Epoll {
    fd: OwnedFd,
}

/// What `Epoll::wait` fills in.
pub struct Events(Vec<libc::epoll_event>);

impl Events {
    /// Room for `count` at a time.
    pub fn with_room_for(count: usize) -> Events {
        Events(Vec::with_capacity(count))
    }

    /// The numbers of the descriptors that are readable, or broken.
    pub fn number(&self, index: usize) -> Option<u64> {
        self.0.get(index).map(|event| event.u64)
    }

    /// Whether the other side of this one has closed, or it is broken: nothing comes behind what is there now, and no
    /// edge will tell of that again.
    pub fn is_over(&self, index: usize) -> bool {
        const OVER: u32 = (libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR) as u32;
        self.0.get(index).is_some_and(|event| event.events & OVER != 0)
    }

    /// The same, and what each is ready for.
    pub fn ready(&self, index: usize) -> Option<(u64, Ready)> {
        let libc::epoll_event { events, u64: number } = *self.0.get(index)?;
        let has = |bits: i32| events & bits as u32 != 0;
        let is_broken = has(libc::EPOLLERR | libc::EPOLLHUP);
        Some((number, Ready { read: has(libc::EPOLLIN), write: has(libc::EPOLLOUT), is_broken }))
    }
}

/// What a descriptor is ready for.
#[derive(Clone, Copy, Debug)]
pub struct Ready {
    /// Something can be read, or its end.
    pub read: bool,
    /// Something can be written.
    pub write: bool,
    /// It broke, or both halves are closed.
    pub is_broken: bool,
}

impl Epoll {
    /// An empty set.  Fails when the process has no descriptors left.
    pub fn new() -> io::Result<Epoll> {
        // SAFETY: the call touches no memory, and the descriptor it returns is nobody else's.
        let fd = unsafe { OwnedFd::from_raw_fd(check(libc::epoll_create1(libc::EPOLL_CLOEXEC))?) };
        Ok(Epoll { fd })
    }

    /// Wait for `fd` too, under `number`.  A descriptor that is closed leaves the set by itself.
    pub fn add(&self, fd: RawFd, number: u64) -> io::Result<()> {
        self.add_for(libc::EPOLLIN, fd, number)
    }

    /// As `add`, but what is left unread is not reported again before more comes: half the cost where all is read.
    pub fn add_edge(&self, fd: RawFd, number: u64) -> io::Result<()> {
        self.add_for(libc::EPOLLIN | libc::EPOLLET, fd, number)
    }

    /// As `add_edge` for a stream: also when more can be written, or the other side has closed.
    pub fn add_stream(&self, fd: RawFd, number: u64) -> io::Result<()> {
        self.add_for(libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLET, fd, number)
    }

    fn add_for(&self, what: i32, fd: RawFd, number: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: what as u32, u64: number };
        // SAFETY: `event` is valid for the call.
        check(unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &mut event) })?;
        Ok(())
    }

    /// Wait for `fd`, which is in the set under `number`, to be ready for other things from now on.
    pub fn change(&self, fd: RawFd, number: u64, read: bool, write: bool) -> io::Result<()> {
        let what = if read { libc::EPOLLIN } else { 0 } | if write { libc::EPOLLOUT } else { 0 };
        let mut event = libc::epoll_event { events: what as u32, u64: number };
        // SAFETY: `event` is valid for the call.
        check(unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), libc::EPOLL_CTL_MOD, fd, &mut event) })?;
        Ok(())
    }

    /// Wait for `fd` no more.
    pub fn remove(&self, fd: RawFd) {
        // SAFETY: a null event is allowed here since Linux 2.6.9.
        unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), libc::EPOLL_CTL_DEL, fd, std::ptr::null_mut()) };
    }

    /// Wait, at most `patience_ms` (-1: for ever); nothing is in `events` when the time is up.
    pub fn wait(&self, events: &mut Events, patience_ms: i32) -> io::Result<()> {
        let room = events.0.capacity() as libc::c_int;
        events.0.clear();
        // SAFETY: the vector has room for `room` events, and `count` of them are written.
        let count =
            unsafe { libc::epoll_wait(self.fd.as_raw_fd(), events.0.as_mut_ptr(), room, patience_ms) };
        match check(count) {
            Ok(count) => {
                // SAFETY: so many were written, all plain numbers.
                unsafe { events.0.set_len(count as usize) };
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// An eventfd: one thread writes it to wake another.
pub struct EventFd {
    fd: OwnedFd,
}

impl EventFd {
    /// One that is not readable.  Fails when the process has no descriptors left.
    pub fn new() -> io::Result<EventFd> {
        let flags = libc::EFD_CLOEXEC | libc::EFD_NONBLOCK;
        // SAFETY: the call touches no memory, and the descriptor it returns is nobody else's.
        Ok(EventFd { fd: unsafe { OwnedFd::from_raw_fd(check(libc::eventfd(0, flags))?) } })
    }

    /// Make it readable.
    pub fn notify(&self) {
        let one = 1u64;
        // SAFETY: eight octets of `one` are read.  It fails only when it is readable already.
        unsafe { libc::write(self.fd.as_raw_fd(), std::ptr::addr_of!(one).cast(), 8) };
    }

    /// Make it unreadable.
    pub fn clear(&self) {
        let mut count = 0u64;
        // SAFETY: eight octets of `count` are written.  It fails only when it is not readable.
        unsafe { libc::read(self.fd.as_raw_fd(), std::ptr::addr_of_mut!(count).cast(), 8) };
    }

    /// The descriptor.
    pub fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}
