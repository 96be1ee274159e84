//! The few system calls of the data plane, behind safe functions.
//!
//! Knows: recvmmsg and sendmmsg, the layout of control messages, the clock, the heap.  Does not know: DNS.
//! Theory: the kernel fills one table of slots per call, and an answer goes out with its query's address and
//! control octets as they arrived, so a batch costs two system calls and copies nothing but the answers.
//! All tables live in boxes that are never moved, so the pointers in the headers stay good.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

use arrayvec::ArrayVec;
use resolver_core::flow::{
    DatagramRoute, Incoming, Proxies, ReplySink, Transport, CONTROL_OCTETS, SOCKET_NAME_OCTETS,
};

/// Datagrams per system call; more gains nothing (the call's own cost is already spread thin).
pub const BATCH_MAX: usize = 64;

/// Longest query kept whole; a longer one arrives cut, which the accept filter refuses.
pub const RECEIVE_OCTETS_MAX: usize = 4096;

/// Distance of two slots: not a multiple of 4096, or all datagrams would contend for one set of the CPU's cache.
const STRIDE: usize = RECEIVE_OCTETS_MAX + 64;

/// Room for one answer that needs no growing: more than any this server sends over UDP.
const SEND_OCTETS: usize = 1536;

/// Where the interface's number stands in a control message: after the `cmsghdr` of 16 octets comes
/// `in_pktinfo {ifindex, spec_dst, addr}` or `in6_pktinfo {addr (16 octets), ifindex}`.
const INTERFACE_AT: [usize; 2] = [16, 32];

/// Give memory that nobody uses back to the system, wherever in the heap it lies; other C libraries do it by themselves.
pub fn trim_memory() {
    // SAFETY: it is told no address.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0)
    };
}

/// What a system call returned, or why it failed.
pub fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// Seconds of the monotonic clock, the one Python's `time.monotonic` reads.
pub fn monotonic() -> f64 {
    let mut spec = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `spec` is a valid timespec to write to; this clock exists on every Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut spec) };
    spec.tv_sec as f64 + spec.tv_nsec as f64 * 1e-9
}

/// Let this thread's sleeps end when they should: left alone, the kernel adds up to 50 µs.
pub fn sleep_precisely() {
    const SLACK_NS: libc::c_ulong = 1000;
    // SAFETY: this option takes a number and touches no memory of ours; where it is refused, sleeps are longer.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, SLACK_NS) };
}

/// What a thread that answers datagrams takes at a time, the least that the scheduler knows.
pub const DATAGRAMS_SLICE_NS: u64 = 100_000;
/// The same of threads that answer over streams: so much more that the scheduler breaks off a handshake for a
/// datagram's answer.  A handshake takes a fifth of a millisecond, and whoever is near the end of its turn is not
/// broken off: with turns of 1 ms that is too often so.
pub const STREAMS_SLICE_NS: u64 = 3_000_000;

/// Let this thread take a core for so long at a time: the scheduler of Linux 6.12 and later lets who wakes and asks
/// for little go before who takes long.  Its share of the core stays the same.
pub fn take_turns_of(slice_ns: u64) {
    // SAFETY: all its fields are numbers.
    let mut attributes: libc::sched_attr = unsafe { std::mem::zeroed() };
    let size = std::mem::size_of::<libc::sched_attr>() as libc::c_uint;
    // SAFETY: the kernel writes at most `size` octets to a struct of that size, and reads as many; 0 is this
    // thread.  Where either call is refused or the slice is unknown, the thread takes its turn like any other.
    unsafe {
        if libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, size, 0) == 0
            && attributes.sched_policy == libc::SCHED_OTHER as u32
        {
            attributes.sched_runtime = slice_ns;
            libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0);
        }
    }
}

/// A second descriptor for Python's `fd`.  Fails when there is no such descriptor, or no room.
pub fn duplicate(fd: RawFd) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    // SAFETY: borrowed for this one call only; a number that is no descriptor fails with EBADF.
    unsafe { BorrowedFd::borrow_raw(fd) }.try_clone_to_owned()
}

/// A listening socket, as the plane sees it.
pub struct ListenSocket {
    fd: OwnedFd,
    /// Which kind of address its clients have.
    pub is_ipv6: bool,
    /// Whether each datagram's local address is carried from query to answer.
    pub with_control: bool,
}

impl ListenSocket {
    /// A second descriptor for Python's socket `fd`.  Fails when there is no such descriptor, or no room.
    pub fn duplicate(fd: RawFd, is_ipv6: bool, with_control: bool) -> io::Result<ListenSocket> {
        Ok(ListenSocket { fd: duplicate(fd)?, is_ipv6, with_control })
    }

    /// Let `Batch::receive` wait in the kernel, at most `patience`.
    ///
    /// The flags belong to the socket, not the descriptor: who shares it must use MSG_DONTWAIT.
    pub fn set_waiting(&self, patience: Duration) -> io::Result<()> {
        let fd = self.fd.as_raw_fd();
        let spec = libc::timeval {
            tv_sec: patience.as_secs() as libc::time_t,
            tv_usec: patience.subsec_micros() as libc::suseconds_t,
        };
        let octets = std::mem::size_of::<libc::timeval>() as libc::socklen_t;
        // SAFETY: `spec` is a timeval of `octets` octets that outlives the call.
        check(unsafe {
            libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_RCVTIMEO, std::ptr::addr_of!(spec).cast(), octets)
        })?;
        // SAFETY: fcntl with these commands touches no memory.
        let flags = check(unsafe { libc::fcntl(fd, libc::F_GETFL) })?;
        if flags & libc::O_NONBLOCK != 0 {
            // SAFETY: as above.
            check(unsafe { libc::fcntl(fd, libc::F_SETFL, flags & !libc::O_NONBLOCK) })?;
        }
        Ok(())
    }

    /// Make every call on the socket return at once again.
    pub fn set_nonblocking(&self) -> io::Result<()> {
        let fd = self.fd.as_raw_fd();
        // SAFETY: fcntl with these commands touches no memory.
        let flags = check(unsafe { libc::fcntl(fd, libc::F_GETFL) })?;
        // SAFETY: as above.
        check(unsafe { libc::fcntl(fd, libc::F_SETFL, flags | libc::O_NONBLOCK) })?;
        Ok(())
    }

    /// The descriptor, for epoll.
    pub fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Name([u8; SOCKET_NAME_OCTETS]);

#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; CONTROL_OCTETS]);

type Headers = Box<[libc::mmsghdr; BATCH_MAX]>;
type Parts = Box<[libc::iovec; BATCH_MAX]>;

fn empty_headers() -> Headers {
    // SAFETY: an mmsghdr of zeros is a valid one: null pointers with lengths of 0.
    Box::new([unsafe { std::mem::zeroed() }; BATCH_MAX])
}

fn empty_parts() -> Parts {
    Box::new([libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; BATCH_MAX])
}

/// One batch: datagrams in, answers out.
pub struct Batch {
    octets: Box<[u8]>,
    names: Box<[Name; BATCH_MAX]>,
    controls: Box<[Control; BATCH_MAX]>,
    receive_parts: Parts,
    receive: Headers,
    received: usize,
    /// Family and control octets that the headers are laid out for.
    laid_for: Option<(bool, bool)>,
    /// For whom each datagram is and where its query begins, where proxies put heads before them; else empty.
    heads: Vec<(IpAddr, usize)>,
    /// A bit for each datagram that is refused for its head.
    refused: u64,
    replies: Vec<Vec<u8>>,
    send_parts: Parts,
    send: Headers,
    filled: usize,
}

impl Batch {
    /// An empty batch; some 350 KB.
    pub fn new() -> Batch {
        let mut batch = Batch {
            octets: vec![0; BATCH_MAX * STRIDE].into_boxed_slice(),
            names: Box::new([Name([0; SOCKET_NAME_OCTETS]); BATCH_MAX]),
            controls: Box::new([Control([0; CONTROL_OCTETS]); BATCH_MAX]),
            receive_parts: empty_parts(),
            receive: empty_headers(),
            received: 0,
            laid_for: None,
            heads: Vec::new(),
            refused: 0,
            replies: (0..BATCH_MAX).map(|_| Vec::with_capacity(SEND_OCTETS)).collect(),
            send_parts: empty_parts(),
            send: empty_headers(),
            filled: 0,
        };
        for slot in 0..BATCH_MAX {
            batch.receive_parts[slot] = libc::iovec {
                iov_base: batch.octets[slot * STRIDE..].as_mut_ptr().cast(),
                iov_len: RECEIVE_OCTETS_MAX,
            };
            let header = &mut batch.receive[slot].msg_hdr;
            header.msg_iov = &mut batch.receive_parts[slot];
            header.msg_iovlen = 1;
            header.msg_name = batch.names[slot].0.as_mut_ptr().cast();
            let header = &mut batch.send[slot].msg_hdr;
            header.msg_iov = &mut batch.send_parts[slot];
            header.msg_iovlen = 1;
        }
        batch
    }

    /// Fetch what waits, at most `BATCH_MAX` datagrams; how many.  With `may_wait` wait for the first one.
    ///
    /// Fails with WouldBlock when nothing came.
    pub fn receive(&mut self, socket: &ListenSocket, may_wait: bool) -> io::Result<usize> {
        self.lay_out(socket);
        let flags = if may_wait { libc::MSG_WAITFORONE } else { libc::MSG_DONTWAIT };
        self.received = 0;
        self.filled = 0;
        self.heads.clear();
        self.refused = 0;
        // SAFETY: the headers point into this batch's own boxes, with their lengths; no timeout is given.
        let count = check(unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.receive.as_mut_ptr(),
                BATCH_MAX as libc::c_uint,
                flags as _,
                std::ptr::null_mut(),
            )
        })?;
        self.received = count as usize;
        Ok(self.received)
    }

    fn lay_out(&mut self, socket: &ListenSocket) {
        let shape = (socket.is_ipv6, socket.with_control);
        let is_new = self.laid_for != Some(shape);
        if !is_new && !socket.with_control {
            return;
        }
        self.laid_for = Some(shape);
        // The kernel wrote each message's own lengths over those of the slots it used.
        let used = if is_new { BATCH_MAX } else { self.received };
        for slot in 0..used {
            let header = &mut self.receive[slot].msg_hdr;
            header.msg_namelen = if socket.is_ipv6 { 28 } else { 16 };
            if socket.with_control {
                header.msg_control = self.controls[slot].0.as_mut_ptr().cast();
                header.msg_controllen = CONTROL_OCTETS as _;
            } else {
                header.msg_control = std::ptr::null_mut();
                header.msg_controllen = 0;
            }
        }
    }

    /// Take the heads of proxies off the datagrams just received; how many are refused for theirs, and so skipped.
    pub fn take_heads(&mut self, proxies: &Proxies) -> u32 {
        for slot in 0..self.received {
            let (octets, address, _) = self.slot(slot);
            let sender = proxies.sender_of(address, octets);
            self.refused |= u64::from(sender.is_none()) << slot;
            self.heads.push(sender.unwrap_or((address, 0)));
        }
        self.refused.count_ones()
    }

    /// Whether a slot's datagram is skipped.
    pub fn is_refused(&self, slot: usize) -> bool {
        self.refused >> slot & 1 == 1
    }

    /// A slot's datagram, its sender, and the room for the next answer.
    #[inline]
    pub fn slot(&mut self, slot: usize) -> (&[u8], IpAddr, &mut Vec<u8>) {
        let length = (self.receive[slot].msg_len as usize).min(RECEIVE_OCTETS_MAX);
        let octets = &self.octets[slot * STRIDE..slot * STRIDE + length];
        let (address, start) =
            self.heads.get(slot).copied().unwrap_or_else(|| (address_in(&self.names[slot].0), 0));
        (&octets[start.min(length)..], address, &mut self.replies[self.filled])
    }

    /// Send what was written into that room, as the answer to `slot`'s datagram.
    #[inline]
    pub fn put(&mut self, slot: usize) {
        self.halves().1.put(slot);
    }

    /// The datagrams received, and where their answers are laid, each on its own.
    pub fn halves(&mut self) -> (ArrayVec<Incoming<'_>, BATCH_MAX>, Rows<'_>) {
        let Batch { octets, names, controls, receive, heads, replies, send_parts, send, filled, .. } = self;
        let mut queries: ArrayVec<Incoming<'_>, BATCH_MAX> = (0..self.received)
            .map(|slot| {
                let length = (receive[slot].msg_len as usize).min(RECEIVE_OCTETS_MAX);
                let octets = &octets[slot * STRIDE..slot * STRIDE + length];
                Incoming { octets, address: address_in(&names[slot].0), transport: Transport::Udp }
            })
            .collect();
        for (query, &(address, start)) in queries.iter_mut().zip(heads.iter()) {
            query.address = address;
            query.octets = query.octets.get(start..).unwrap_or_default();
        }
        let refused = self.refused;
        (queries, Rows { controls, receive, refused, replies, send_parts, send, filled })
    }

    /// Whether there is anything to send.
    pub fn has_answers(&self) -> bool {
        self.filled > 0
    }

    /// Send the answers; how many the kernel did not take.
    pub fn send(&mut self, socket: &ListenSocket) -> usize {
        let lost = send_all(socket.as_raw_fd(), &mut self.send[..self.filled]);
        self.filled = 0;
        lost
    }

    /// The way back to `slot`'s sender by the socket of `thread`, good for as long as that is.
    pub fn route(&self, slot: usize, thread: u16) -> DatagramRoute {
        let header = &self.receive[slot].msg_hdr;
        let name = &self.names[slot].0[..(header.msg_namelen as usize).min(SOCKET_NAME_OCTETS)];
        if header.msg_control.is_null() {
            return DatagramRoute::new(thread, name, &[]);
        }
        let mut control = self.controls[slot].0;
        forget_interface(&mut control, name.len() == SOCKET_NAME_OCTETS);
        DatagramRoute::new(thread, name, &control[..header.msg_controllen.min(CONTROL_OCTETS)])
    }
}

/// Keep the address that was asked, let routing choose the interface.
#[inline]
fn forget_interface(control: &mut [u8; CONTROL_OCTETS], is_ipv6: bool) {
    let at = INTERFACE_AT[usize::from(is_ipv6)];
    control[at..at + 4].fill(0);
}

/// Where a batch's answers are laid, one after the other.
pub struct Rows<'b> {
    controls: &'b mut [Control; BATCH_MAX],
    receive: &'b Headers,
    refused: u64,
    replies: &'b mut [Vec<u8>],
    send_parts: &'b mut Parts,
    send: &'b mut Headers,
    filled: &'b mut usize,
}

impl ReplySink for Rows<'_> {
    #[inline]
    fn room(&mut self) -> &mut Vec<u8> {
        &mut self.replies[*self.filled]
    }

    #[inline]
    fn put(&mut self, slot: usize) {
        let row = *self.filled;
        let reply = &mut self.replies[row];
        self.send_parts[row] = libc::iovec { iov_base: reply.as_mut_ptr().cast(), iov_len: reply.len() };
        let query = &self.receive[slot].msg_hdr;
        let header = &mut self.send[row].msg_hdr;
        header.msg_name = query.msg_name;
        header.msg_namelen = query.msg_namelen;
        header.msg_control = query.msg_control;
        header.msg_controllen = query.msg_controllen;
        if !query.msg_control.is_null() {
            let is_ipv6 = query.msg_namelen as usize == SOCKET_NAME_OCTETS;
            forget_interface(&mut self.controls[slot].0, is_ipv6);
        }
        *self.filled = row + 1;
    }

    #[inline]
    fn must_skip(&mut self, slot: usize) -> bool {
        self.refused >> slot & 1 == 1
    }
}

/// The address in a `sockaddr_in` or `sockaddr_in6`.
#[inline]
pub fn address_in(name: &[u8; SOCKET_NAME_OCTETS]) -> IpAddr {
    let family = u16::from_ne_bytes([name[0], name[1]]);
    if i32::from(family) == libc::AF_INET6 {
        let mut octets = [0; 16];
        octets.copy_from_slice(&name[8..24]);
        return IpAddr::V6(Ipv6Addr::from(octets));
    }
    IpAddr::V4(Ipv4Addr::new(name[4], name[5], name[6], name[7]))
}

/// Send every header; how many the kernel did not take (one bad row costs only itself).
fn send_all(fd: RawFd, headers: &mut [libc::mmsghdr]) -> usize {
    let mut done = 0;
    let mut lost = 0;
    while done < headers.len() {
        let rest = &mut headers[done..];
        // SAFETY: each header points to octets that its owner holds unchanged until this call returns.
        let sent = unsafe {
            libc::sendmmsg(fd, rest.as_mut_ptr(), rest.len() as libc::c_uint, libc::MSG_DONTWAIT as _)
        };
        if sent > 0 {
            done += sent as usize;
        } else if io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            done += 1;
            lost += 1;
        }
    }
    lost
}

/// Answers to clients of earlier batches, for one socket at a time.
pub struct SendQueue {
    routes: Vec<DatagramRoute>,
    octets: Vec<Vec<u8>>,
    filled: usize,
    parts: Parts,
    headers: Headers,
}

// SAFETY: the raw pointers in `parts` and `headers` are written and read within `send` alone, which has the
// queue to itself; between calls they mean nothing.
unsafe impl Send for SendQueue {}

impl SendQueue {
    /// An empty one.
    pub fn new() -> SendQueue {
        SendQueue {
            routes: Vec::with_capacity(BATCH_MAX),
            octets: (0..BATCH_MAX).map(|_| Vec::new()).collect(),
            filled: 0,
            parts: empty_parts(),
            headers: empty_headers(),
        }
    }

    /// Whether `route`'s answer must wait until what is here has been sent: another socket's, or no room.
    pub fn must_send_before(&self, route: &DatagramRoute) -> bool {
        match self.routes.first() {
            Some(first) => self.filled == BATCH_MAX || first.thread != route.thread,
            None => false,
        }
    }

    /// Add an answer.  The caller has asked `must_send_before`.
    pub fn put(&mut self, route: &DatagramRoute, octets: &[u8]) {
        debug_assert!(!self.must_send_before(route));
        let row = &mut self.octets[self.filled];
        row.clear();
        row.extend_from_slice(octets);
        self.routes.push(*route);
        self.filled += 1;
    }

    /// Whose socket the answers leave by; None: there are none.
    pub fn target(&self) -> Option<u16> {
        self.routes.first().map(|route| route.thread)
    }

    /// Send everything; how many the kernel did not take.
    pub fn send(&mut self, socket: &ListenSocket) -> usize {
        for row in 0..self.filled {
            let (route, octets) = (&mut self.routes[row], &mut self.octets[row]);
            self.parts[row] = libc::iovec { iov_base: octets.as_mut_ptr().cast(), iov_len: octets.len() };
            let header = &mut self.headers[row].msg_hdr;
            header.msg_iov = &mut self.parts[row];
            header.msg_iovlen = 1;
            let (name, control) = route.parts_mut();
            header.msg_name = name.as_mut_ptr().cast();
            header.msg_namelen = name.len() as u32;
            header.msg_control =
                if control.is_empty() { std::ptr::null_mut() } else { control.as_mut_ptr().cast() };
            header.msg_controllen = control.len() as _;
        }
        let lost = send_all(socket.as_raw_fd(), &mut self.headers[..self.filled]);
        self.clear();
        lost
    }

    /// Forget everything; how many that were.
    pub fn clear(&mut self) -> usize {
        self.routes.clear();
        std::mem::take(&mut self.filled)
    }
}
