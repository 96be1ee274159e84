//! The pool against an upstream of its own.
//!
//! Knows: loopback sockets.  Does not know: time; it passes as the test says.

use std::net::UdpSocket;

use super::*;

const NOW: f64 = 1000.0;

/// An upstream, one thread's pool to it, and numbers for owners.
struct Play {
    upstream: UdpSocket,
    pools: UdpPools,
    entropy: Entropy,
    owners: Slab<()>,
}

impl Play {
    fn new(base: usize) -> Play {
        Play::with(base, Arc::new(SourcePorts::new((1024..=65_535).collect(), 4096)))
    }

    fn with(base: usize, ports: Arc<SourcePorts>) -> Play {
        let upstream = UdpSocket::bind("127.0.0.1:0").unwrap();
        upstream.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
        let mut pools = UdpPools::new(Arc::new(Epoll::new().unwrap()), Arc::default(), base, ports);
        pools.learn(&[upstream.local_addr().ok()]);
        Play { upstream, pools, entropy: Entropy::from_seed([7; 32]), owners: Slab::new() }
    }

    fn send(&mut self, id: u16, now: f64) -> (Handle, Handle) {
        let owner = self.owners.put(());
        let [high, low] = id.to_be_bytes();
        let socket = self.pools.send(0, &[high, low, 0], owner, now, &mut self.entropy).unwrap();
        (socket, owner)
    }

    /// What the upstream receives next, and from whom.
    fn receive(&self) -> (u16, SocketAddr) {
        let mut octets = [0; 16];
        let (_, from) = self.upstream.recv_from(&mut octets).unwrap();
        (u16::from_be_bytes([octets[0], octets[1]]), from)
    }

    /// What the pool reads on a socket after the upstream sent `octets` there.
    fn reply(&mut self, socket: Handle, to: SocketAddr, octets: &[u8]) -> Recipient {
        self.upstream.send_to(octets, to).unwrap();
        let mut buffer = [0; RECEIVE_OCTETS];
        let Read::Datagram(length) = self.pools.read(socket, &mut buffer) else { panic!("nothing came") };
        self.pools.recipient(socket, &buffer[..length])
    }
}

#[test]
fn an_upstream_that_is_asked_over_streams_gets_no_datagram() {
    let mut play = Play::new(3);
    play.pools.learn(&[play.upstream.local_addr().ok(), None]);
    let owner = play.owners.put(());
    let sent = play.pools.send(1, &[0, 1, 0], owner, NOW, &mut play.entropy);
    assert_eq!((sent, play.pools.waiting(), play.pools.open_sockets()), (Err(SendError::Network), 0, 0));
}

#[test]
fn each_query_has_its_own_port_until_the_window_is_full() {
    let mut play = Play::new(3);
    for id in 0..6 {
        play.send(id, NOW);
    }
    let ports: std::collections::HashSet<u16> = (0..6).map(|_| play.receive().1.port()).collect();
    assert_eq!((ports.len(), play.pools.open_sockets(), play.pools.waiting()), (3, 3, 6));
}

/// Ports that `count` queries leave from, one after the other.
fn ports_of(play: &mut Play, count: usize) -> std::collections::HashSet<u16> {
    let ask = |number: usize| {
        let (socket, owner) = play.send(number as u16, NOW);
        play.pools.forget(socket, number as u16, owner, true);
        play.receive().1.port()
    };
    (0..count).map(ask).collect()
}

#[test]
fn the_window_moves_on_by_one_socket_in_four_queries_or_five() {
    let mut play = Play::new(64);
    let ports = ports_of(&mut play, 64 + 1000);
    assert!(ports.len() > 270, "{}", ports.len());
    assert_eq!(play.pools.open_sockets(), 64 + 250);
    // What rested long enough comes back, and nothing is opened.
    play.pools.pools[0].steps += REST_STEPS_MIN + REST_STEPS_MIN / REST_MORE_PART;
    ports_of(&mut play, 1000);
    assert_eq!(play.pools.open_sockets(), 64 + 250);
}

#[test]
fn a_pool_that_is_asked_much_stocks_up_and_opens_none_in_its_steps() {
    let mut play = Play::new(64);
    ports_of(&mut play, 64);
    // As many as its steps bring in within their age, if it is asked like this.
    let stock = (64.0 / f64::from(QUERIES_PER_REST)).floor() * SOCKET_AGE_S_MAX;
    assert_eq!(play.pools.pools[0].stock, stock as usize);
    while play.pools.wants_stock() && play.pools.open_sockets() < 500 {
        play.pools.stock_up(16, NOW, &mut play.entropy);
    }
    let open = play.pools.open_sockets();
    assert!(open >= 500);
    let seen = ports_of(&mut play, 1000);
    assert!(seen.len() > 220, "{}", seen.len());
    assert_eq!(play.pools.open_sockets(), open);
}

#[test]
fn a_pool_that_is_asked_little_has_a_small_stock() {
    let mut play = Play::new(4);
    for id in 0..4 {
        play.send(id, NOW + 100.0 * f64::from(id));
    }
    assert!(play.pools.pools[0].stock <= 1);
}

#[test]
fn where_there_may_be_no_more_sockets_the_oldest_is_closed() {
    let ports = Arc::new(SourcePorts::new((1024..=65_535).collect(), 64));
    let mut play = Play::with(32, Arc::clone(&ports));
    let seen = ports_of(&mut play, 1000);
    assert!(seen.len() > 230, "{}", seen.len());
    assert!((32..=64).contains(&play.pools.open_sockets()));
    drop(play);
    assert!(ports.has_spare());
}

#[test]
fn a_pool_below_its_base_is_given_what_rests_elsewhere() {
    let ports = Arc::new(SourcePorts::new((1024..=65_535).collect(), 64));
    let mut busy = Play::with(16, Arc::clone(&ports));
    ports_of(&mut busy, 1000);
    assert!(busy.pools.open_sockets() > 48 && !ports.take_need());
    let mut late = Play::with(16, Arc::clone(&ports));
    ports_of(&mut late, 16);
    assert!(late.pools.open_sockets() < 16 && ports.take_need() && !ports.take_need());
    assert!(!busy.pools.shed(1024), "all that rested is closed");
    ports_of(&mut late, 16);
    assert_eq!((busy.pools.open_sockets(), late.pools.open_sockets()), (16, 16));
}

#[test]
fn ports_are_only_those_that_may_be_used() {
    let taken = UdpSocket::bind("0.0.0.0:0").unwrap();
    let theirs = taken.local_addr().unwrap().port();
    let free: Vec<u16> = (40_000..60_000).step_by(97).filter(|&port| port != theirs).take(40).collect();
    let usable = [&[theirs][..], &free].concat();
    let mut play = Play::with(8, Arc::new(SourcePorts::new(usable, 64)));
    assert!(ports_of(&mut play, 8).iter().all(|port| free.contains(port)));
}

#[test]
fn a_reply_goes_to_whom_its_id_names_and_any_other_to_all_who_wait() {
    let mut play = Play::new(1);
    let (socket, first) = play.send(1, NOW);
    let (_, second) = play.send(2, NOW);
    let (_, from) = play.receive();
    assert_eq!(play.reply(socket, from, &[0, 2]), Recipient::One(second));
    assert_eq!(play.reply(socket, from, &[9, 9]), Recipient::All(vec![first, second]));
    assert_eq!(play.reply(socket, from, &[9]), Recipient::All(vec![first, second]));
}

#[test]
fn a_late_reply_is_no_attack() {
    let mut play = Play::new(1);
    let (socket, owner) = play.send(1, NOW);
    let (_, from) = play.receive();
    play.pools.forget(socket, 1, owner, false);
    assert_eq!(play.pools.waiting(), 0);
    assert_eq!(play.reply(socket, from, &[0, 1]), Recipient::Orphan);
    assert_eq!(play.reply(socket, from, &[0, 1]), Recipient::All(vec![]), "once");
}

#[test]
fn an_id_is_not_used_twice_on_one_socket() {
    let mut play = Play::new(1);
    let (first, _) = play.send(1, NOW);
    let (second, _) = play.send(1, NOW);
    assert_ne!(first, second);
}

#[test]
fn a_worn_socket_is_replaced_and_closed_when_nobody_waits_there() {
    let mut play = Play::with(1, Arc::new(SourcePorts::new((1024..=65_535).collect(), 1)));
    let (old, owner) = play.send(1, NOW);
    let (fresh, _) = play.send(2, NOW + SOCKET_AGE_S_MAX);
    assert_ne!(old, fresh);
    assert_eq!(play.pools.open_sockets(), 2);
    play.pools.forget(old, 1, owner, true);
    assert_eq!(play.pools.open_sockets(), 1);
    for _ in 2..QUERIES_PER_FRESH {
        let (socket, owner) = play.send(3, NOW + SOCKET_AGE_S_MAX);
        assert_eq!(socket, fresh);
        play.pools.forget(socket, 3, owner, true);
        play.receive();
    }
    assert_ne!(play.send(3, NOW + SOCKET_AGE_S_MAX).0, fresh);
}

#[test]
fn old_sockets_at_rest_are_closed() {
    let mut play = Play::new(4);
    ports_of(&mut play, 404);
    assert_eq!(play.pools.open_sockets(), 104);
    for id in 0..80 {
        let (socket, owner) = play.send(id, NOW + SOCKET_AGE_S_MAX);
        play.pools.forget(socket, id, owner, true);
    }
    assert!(play.pools.open_sockets() < 30);
}

#[test]
fn a_refusal_breaks_all_who_wait_on_the_socket() {
    let mut play = Play::new(1);
    let (socket, owner) = play.send(1, NOW);
    play.receive();
    let address = play.upstream.local_addr().unwrap();
    play.upstream = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (same, other) = play.send(2, NOW);
    assert_eq!((socket, address.ip()), (same, [127, 0, 0, 1].into()));
    assert_eq!(play.pools.read(socket, &mut [0; RECEIVE_OCTETS]), Read::Broken);
    assert_eq!(play.pools.break_all(socket), [owner, other]);
    assert_eq!(play.pools.waiting(), 0);
}

#[test]
fn an_unknown_upstream_or_no_message_cannot_be_sent() {
    let mut play = Play::new(1);
    let owner = play.owners.put(());
    let Play { pools, entropy, .. } = &mut play;
    assert_eq!(pools.send(1, &[0; 12], owner, NOW, entropy), Err(SendError::Network));
    assert_eq!(pools.send(0, &[0], owner, NOW, entropy), Err(SendError::Network));
}
