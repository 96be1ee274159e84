//! Questions of streams: all that was put down is asked, a batch at a time.
//!
//! Knows: one thread that is never started, its upstream.  Does not know: streams.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Duration;

use resolver_core::flow::{StreamRoute, Transport};

use super::thread::ThreadLoop;
use crate::stream_asks::{Put, StreamAsk};
use crate::sys::{ListenSocket, BATCH_MAX};
use crate::upstream_queries::tests::{Rig, QUERY};

const PATIENCE: Duration = Duration::from_secs(10);
const COUNT: usize = 2 * BATCH_MAX + 3;

#[test]
fn what_streams_ask_first_does_not_wait_for_all_that_they_ask() {
    let mut rig = Rig::with_room_for(COUNT, COUNT);
    let listening = UdpSocket::bind("127.0.0.1:0").unwrap();
    let socket = ListenSocket::duplicate(listening.as_raw_fd(), false, false).unwrap();
    rig.shared.sockets.push(socket);
    let flow = &rig.shared.shared_flow.flow;
    let mut asks = Vec::new();
    for number in 0..COUNT {
        let mut octets = QUERY.to_vec();
        octets[13..16].copy_from_slice(format!("{number:03}").as_bytes()); // Another name.
        let peer = flow.peer(IpAddr::V4(Ipv4Addr::LOCALHOST), Transport::Tcp);
        asks.push(StreamAsk { octets: octets.into(), peer, route: StreamRoute::numbered(number as u64) });
    }
    let mut worker = ThreadLoop::new(&rig.shared, 0, 0).unwrap();
    assert_eq!((rig.shared.mailboxes[0].asks.put(&mut asks), asks.len()), (Put::Some, 0));
    worker.ask_for_streams();
    rig.upstream.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(flow.in_flight(), COUNT);
    let mut asked: Vec<_> = (0..COUNT)
        .map(|_| {
            let mut octets = [0; 512];
            rig.upstream.recv_from(&mut octets).unwrap();
            octets[13..16].to_vec()
        })
        .collect();
    asked.sort_unstable();
    asked.dedup();
    assert_eq!(asked.len(), COUNT, "each is asked, and once");
    let room = worker.upstream_queries.unsent_room();
    assert!(room <= BATCH_MAX, "{room} waited for each other");
}
