//! The head that a proxy puts before a connection: whose it is.
//!
//! Knows: when a head is awaited, what follows from it.  Does not know: a head's layout, who may send one (`Proxies`),
//! what comes behind it (`life`).  `streams/heads` does the same for TCP and TLS.
//! Theory: only the head is read, and TLS finds the rest with the socket.  Until it is here the connection is nobody's
//! and has the time of a handshake; then another begins in its entry, with a place of its client's.

use std::io::ErrorKind;
use std::net::IpAddr;
use std::rc::Rc;

use resolver_core::flow::{AwaitedHead, Proxies};
use resolver_core::wire::proxy::ProxyHead;
use tokio::net::TcpStream;

use super::connection::Connection;
use super::entries::Entry;
use super::life::{live, unless_ended};
use crate::counters::add;
use crate::sys::monotonic;
use crate::tls_counts::TlsFailure;

/// Octets read at once at most: more than a head has.
const ROOM_OCTETS: usize = 1024;

/// A connection from its head on.
pub async fn live_behind_head(
    entry: &Entry,
    connection: Rc<Connection>,
    stream: TcpStream,
    mut awaited: AwaitedHead,
) {
    let thread = Rc::clone(connection.thread());
    let reading = Box::pin(read_head(&stream, &mut awaited, thread.flow().proxies()));
    let head = match unless_ended(&connection, reading).await {
        None => return,
        Some(None | Some(ProxyHead::NeedMore)) => return connection.fail_handshake(TlsFailure::Closed),
        Some(Some(ProxyHead::Bad(_))) => return add(&thread.own().letters.mailbox.counters.proxy_head, 1),
        Some(Some(ProxyHead::Whole(head))) => head,
    };
    if head.length == 0 {
        // No proxy's: what was read is its own.
        return live(connection, stream, awaited.into_octets()).await;
    }
    let address: IpAddr = head.source.map_or(awaited.peer(), |source| source.ip());
    // A proxy's own are no stranger's: it looks whether we are there, by a handshake perhaps.
    let is_stranger = head.source.is_some() && thread.is_stranger(address);
    if connection.ending().is_some() {
        // Nothing is read any more, so nobody begins now.
        return;
    }
    entry.disconnect();
    drop(connection);
    thread.desk.set_now(monotonic());
    if thread.lets_begin(address, is_stranger) {
        if let Some(connection) = entry.connect(address) {
            live(connection, stream, Vec::new()).await;
        }
    }
}

/// The head, as soon as it is known; None: the client went, or the connection broke.
async fn read_head(stream: &TcpStream, awaited: &mut AwaitedHead, proxies: &Proxies) -> Option<ProxyHead> {
    let mut room = [0; ROOM_OCTETS];
    loop {
        stream.readable().await.ok()?;
        let octets = awaited.octets_to_come(proxies).min(ROOM_OCTETS);
        match stream.try_read(&mut room[..octets]) {
            Ok(0) => return None,
            Ok(count) => match awaited.take(&room[..count], proxies) {
                ProxyHead::NeedMore => {}
                found => return Some(found),
            },
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return None,
        }
    }
}
