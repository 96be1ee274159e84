//! One thread's questions to upstreams: nobody who waits is lost without a word, whatever breaks.
//!
//! Knows: the queries here, a policy that lets them pass.  Does not know: Python.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::sync::atomic::Ordering;
use std::sync::Arc;

use parking_lot::Mutex;
use resolver_core::cache::{Cache, CacheConfig};
use resolver_core::entropy::Entropy;
use resolver_core::flow::{
    AskOutcome, Attempt, AttemptMaker, Carrier, ClientNames, Clients, ConnectionBounds, DatagramRoute, First,
    Flow, FlowConfig, LetterCase, Networks, Proxies, Route, StreamRoute, Tallies, Transport, UpstreamSet,
    UpstreamView, Waiter, WaiterReply,
};
use resolver_core::local::LocalNames;
use resolver_core::policy::{Image, PolicyTable};

use crate::epoll::Epoll;
use crate::https_counts::HttpsCounts;
use crate::late_answers::LateAnswers;
use crate::mailbox::{Command, Mailbox};
use crate::ring::{Event, Handover, HandoverReason, Ring};
use crate::shared::Shared;
use crate::shared_flow::{SharedFlow, ThreadCounts};
use crate::stream_state::{StreamBounds, Streams};
use crate::tls::TlsServer;
use crate::tls_counts::TlsCounts;
use crate::udp_socket::SourcePorts;
use crate::upstream_queries::{LoopContext, UpstreamQueries};
use crate::upstream_server::UpstreamServer;

const POLICY: &[u8] = include_bytes!("../../../fuzz/corpus/canary.policy");
/// Of a name that the policy lets pass.
pub const QUERY: &[u8] = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x07unknown\x07example\0\0\x01\0\x01";
const NOW: f64 = 1.0;
const NO_STREAMS: StreamBounds = StreamBounds {
    connections: ConnectionBounds { connections_max: 1, per_client_max: 1, held_octets_max: 1 },
    idle_s: 1.0,
    handshakes_per_s_max: 1,
    handshakes_per_client_max: 1,
    https_streams_max: 1,
    https_header_octets_max: 1,
    memo_octets: 0,
};
/// When an attempt made now is thought too slow.
const DUE: f64 = NOW + 0.42;

/// A plane of one thread that is never started, and its upstream.
pub struct Rig {
    /// What the thread has; its listening socket is still to come.
    pub shared: Shared,
    /// Where its questions go.
    pub upstream: UdpSocket,
}

impl Rig {
    fn new(events_max: usize) -> Rig {
        Rig::with_room_for(events_max, 8)
    }

    /// The same for so many questions, with a socket for each.
    pub fn with_room_for(events_max: usize, questions: usize) -> Rig {
        let config = FlowConfig {
            clients: Clients::new(&[(IpAddr::V4(Ipv4Addr::LOCALHOST), 8)]),
            limiter: None,
            rotate_addresses: true,
            local: LocalNames::new(&[]),
            structured_errors: None,
            keepalive_units: [0, 100],
            nsid: Vec::new(),
            proxies: Proxies::default(),
            client_names: ClientNames::default(),
            trusted_proxies: Networks::default(),
            in_flight_max: questions,
            waiters_max: 8,
            waiting_max: questions,
            audit_secret: None,
        };
        let flow = Flow::new(config, Arc::new(Cache::new(CacheConfig::default())));
        let image = Arc::new(Image::open(Box::new(POLICY)).unwrap());
        flow.publish(PolicyTable::new(image, 1, 1.7e9, 0.0));
        let set = UpstreamSet {
            first: Some(First { number: 0, carrier: Carrier::Udp }),
            edns: true,
            trust_ad: false,
            timeout_s: 0.4,
            probe_at: f64::INFINITY,
            letter_case: LetterCase::Mixed,
            failure: None,
        };
        let upstream = UdpSocket::bind("127.0.0.1:0").unwrap();
        let server = UpstreamServer::plain(upstream.local_addr().unwrap(), Carrier::Udp);
        let shared_flow = Arc::new(SharedFlow::new(flow, Arc::default(), None));
        assert!(shared_flow.set_servers(vec![Arc::new(server)]));
        shared_flow.flow.publish_upstreams(UpstreamView::new(vec![(Vec::new(), set)]));
        let shared = Shared {
            ring: Ring::new(events_max).unwrap(),
            sockets: Vec::new(),
            mailboxes: vec![Mailbox::new(&shared_flow, 0).unwrap()],
            workers: vec![0],
            down: Mutex::new(vec![0]),
            sockets_per_upstream: if questions > 8 { questions } else { 4 },
            source_ports: Arc::new(SourcePorts::new((1024..=65_535).collect(), 256)),
            memo_octets: 0,
            streams: Streams::new(Vec::new(), NO_STREAMS),
            tls: TlsServer::new(false).unwrap(),
            tls_counts: TlsCounts::default(),
            https_counts: HttpsCounts::default(),
            shared_flow,
        };
        Rig { shared, upstream }
    }

    fn upstream_queries(&self) -> UpstreamQueries<'_> {
        UpstreamQueries::new(&self.shared, 0, 0, Arc::new(Epoll::new().unwrap()), NOW)
    }

    fn ask(&self) -> AskOutcome {
        self.ask_for(QUERY)
    }

    fn ask_for(&self, query: &[u8]) -> AskOutcome {
        let (route, mut out, mut tallies) =
            (Route::Stream(StreamRoute::numbered(1)), Vec::new(), Tallies::default());
        let (flow, mut maker) = (&self.shared.shared_flow.flow, AttemptMaker::new(Entropy::new()));
        let policy = flow.policy();
        let policy = policy.as_deref().unwrap();
        let peer = flow.peer(IpAddr::V4(Ipv4Addr::LOCALHOST), Transport::Udp);
        flow.ask(policy, query, &peer, &route, NOW, &mut maker, &mut out, &mut tallies)
    }

    fn first_attempt(&self) -> Box<Attempt> {
        match self.ask() {
            AskOutcome::Send(attempt) => attempt,
            other => panic!("{other:?}"),
        }
    }

    fn send(&self, upstream_queries: &mut UpstreamQueries) {
        upstream_queries.take_on(self.first_attempt());
        let mut counts = ThreadCounts::default();
        upstream_queries.send_taken(&mut LoopContext { policy: None, counts: &mut counts, now: NOW });
    }

    fn look_at_timers(&self, upstream_queries: &mut UpstreamQueries) {
        let mut counts = ThreadCounts::default();
        upstream_queries.look_at_timers(&mut LoopContext { policy: None, counts: &mut counts, now: DUE });
    }

    fn handover(&self) -> Box<Handover> {
        match self.shared.ring.drain(1).1.pop() {
            Some(Event::Handover(handover)) => handover,
            _ => panic!("no handover"),
        }
    }

    fn waits(&self) -> (usize, usize) {
        let flow = &self.shared.shared_flow.flow;
        (flow.in_flight(), flow.waiting())
    }
}

#[test]
fn a_panic_while_a_query_is_sent_hands_over_all_who_wait_for_it() {
    let rig = Rig::new(8);
    let mut upstream_queries = rig.upstream_queries();
    upstream_queries.panics_next = true;
    upstream_queries.take_on(rig.first_attempt());
    assert!(matches!(rig.ask(), AskOutcome::Joined));
    let mut counts = ThreadCounts::default();
    upstream_queries.send_taken(&mut LoopContext { policy: None, counts: &mut counts, now: NOW });
    let handover = rig.handover();
    assert_eq!((handover.reason, handover.waiters.len()), (HandoverReason::Abandoned, 2));
    assert_eq!(rig.waits(), (0, 0));
    assert_eq!(
        (upstream_queries.panics, rig.shared.mailboxes[0].counters.panics.load(Ordering::Relaxed)),
        (1, 1)
    );
    assert!(matches!(rig.ask(), AskOutcome::Punt), "it is Python's now");
    upstream_queries.obey(Command::Close(handover.ticket), NOW);
    assert!(matches!(rig.ask(), AskOutcome::Send(_)));
}

#[test]
fn without_a_policy_who_finds_the_ring_full_is_counted_and_the_question_is_free_again() {
    let rig = Rig::new(1);
    let mut upstream_queries = rig.upstream_queries();
    assert!(rig.shared.ring.push(Event::Late { ticket: 1, octets: Box::default() }).is_ok());
    rig.send(&mut upstream_queries);
    assert!(matches!(rig.ask(), AskOutcome::Joined));
    rig.look_at_timers(&mut upstream_queries);
    assert_eq!(rig.shared.mailboxes[0].counters.ring_full.load(Ordering::Relaxed), 2);
    assert_eq!(rig.waits(), (0, 0));
    assert!(upstream_queries.is_quiet(DUE));
    assert!(matches!(rig.ask(), AskOutcome::Send(_)));
}

#[test]
fn a_thread_that_ends_says_nothing_against_the_upstream() {
    let rig = Rig::new(8);
    let mut upstream_queries = rig.upstream_queries();
    rig.send(&mut upstream_queries);
    rig.look_at_timers(&mut upstream_queries);
    let handed_over = rig.handover();
    assert_eq!(handed_over.reason, HandoverReason::Timeout);
    upstream_queries.abandon(DUE);
    let Some(Event::Broken { ticket, reason, .. }) = rig.shared.ring.drain(1).1.pop() else { panic!() };
    assert_eq!((ticket, reason), (handed_over.ticket, HandoverReason::Abandoned));
    rig.send(&mut upstream_queries);
    upstream_queries.abandon(DUE);
    assert_eq!(rig.handover().reason, HandoverReason::Abandoned);
}

#[test]
fn what_was_taken_on_and_never_sent_is_handed_over_when_the_thread_ends() {
    let rig = Rig::new(8);
    let mut upstream_queries = rig.upstream_queries();
    upstream_queries.take_on(rig.first_attempt());
    upstream_queries.abandon(NOW);
    assert_eq!((rig.handover().reason, rig.waits()), (HandoverReason::Abandoned, (0, 0)));
}

#[test]
fn replies_on_more_sockets_than_are_judged_together_all_reach_who_waits() {
    const ASKED_COUNT: usize = 70;
    let rig = Rig::with_room_for(2 * ASKED_COUNT, ASKED_COUNT);
    let epoll = Arc::new(Epoll::new().unwrap());
    let mut upstream_queries = UpstreamQueries::new(&rig.shared, 0, 0, Arc::clone(&epoll), NOW);
    let mut counts = ThreadCounts::default();
    for number in 0..ASKED_COUNT as u8 {
        let mut query = QUERY.to_vec();
        query[13..15].copy_from_slice(&[b'0' + number / 10, b'0' + number % 10]); // Another name.
        match rig.ask_for(&query) {
            AskOutcome::Send(attempt) => upstream_queries.take_on(attempt),
            other => panic!("{other:?}"),
        }
    }
    upstream_queries.send_taken(&mut LoopContext { policy: None, counts: &mut counts, now: NOW });
    let mut octets = [0; 512];
    for number in 0..ASKED_COUNT {
        let (length, peer) = rig.upstream.recv_from(&mut octets).unwrap();
        rig.upstream.send_to(&octets[..length], peer).unwrap();
        if number == 5 {
            // A second one on the same socket, for nobody by then or late.
            rig.upstream.send_to(&octets[..length], peer).unwrap();
        }
    }
    let mut events = crate::epoll::Events::with_room_for(2 * ASKED_COUNT);
    epoll.wait(&mut events, 1000).unwrap();
    let mut turn = LoopContext { policy: None, counts: &mut counts, now: NOW };
    for index in 0..ASKED_COUNT {
        let number = events.number(index).expect("each socket is reported");
        upstream_queries.read_from(number, events.is_over(index), &mut turn);
    }
    upstream_queries.judge_heard(&mut turn);
    let events = rig.shared.ring.drain(2 * ASKED_COUNT).1;
    let is_reply =
        |event: &&Event| matches!(event, Event::Handover(each) if each.reason == HandoverReason::Reply);
    assert_eq!(events.iter().filter(is_reply).count(), ASKED_COUNT);
    assert_eq!(rig.waits(), (0, 0));
}

#[test]
fn what_comes_while_no_policy_is_in_force_is_pythons() {
    let rig = Rig::new(8);
    let epoll = Arc::new(Epoll::new().unwrap());
    let mut upstream_queries = UpstreamQueries::new(&rig.shared, 0, 0, Arc::clone(&epoll), NOW);
    rig.send(&mut upstream_queries);
    let mut octets = [0; 512];
    let (length, peer) = rig.upstream.recv_from(&mut octets).unwrap();
    rig.upstream.send_to(&octets[..length], peer).unwrap();
    let mut events = crate::epoll::Events::with_room_for(8);
    epoll.wait(&mut events, 1000).unwrap();
    let socket = crate::slab::Handle::from_bits(events.number(0).unwrap());
    let mut counts = ThreadCounts::default();
    upstream_queries.read(socket, &mut LoopContext { policy: None, counts: &mut counts, now: NOW });
    let handover = rig.handover();
    assert_eq!(handover.reason, HandoverReason::Reply);
    assert_eq!(handover.octets.as_deref(), Some(&octets[..length]));
}

#[test]
fn a_socket_with_more_than_its_share_is_read_on_in_the_next_turn() {
    let rig = Rig::new(32);
    let epoll = Arc::new(Epoll::new().unwrap());
    let mut upstream_queries = UpstreamQueries::new(&rig.shared, 0, 0, Arc::clone(&epoll), NOW);
    rig.send(&mut upstream_queries);
    let mut octets = [0; 512];
    let (length, peer) = rig.upstream.recv_from(&mut octets).unwrap();
    for _ in 0..12 {
        rig.upstream.send_to(&octets[..length], peer).unwrap();
    }
    let mut events = crate::epoll::Events::with_room_for(8);
    epoll.wait(&mut events, 1000).unwrap();
    let socket = crate::slab::Handle::from_bits(events.number(0).unwrap());
    let mut counts = ThreadCounts::default();
    let mut turn = LoopContext { policy: None, counts: &mut counts, now: NOW };
    upstream_queries.read(socket, &mut turn);
    // The first is handed over, and the others are late.
    assert_eq!(rig.shared.ring.drain(32).1.len(), 8);
    epoll.wait(&mut events, 0).unwrap();
    assert_eq!(events.number(0), None, "what is left is not reported again");
    assert_eq!((upstream_queries.is_quiet(NOW), upstream_queries.patience_ms(NOW)), (false, 0));
    upstream_queries.read_on(&mut turn);
    assert_eq!(rig.shared.ring.drain(32).1.len(), 4);
    assert_ne!(upstream_queries.patience_ms(NOW), 0);
}

#[test]
fn what_comes_for_nobody_is_read_until_the_socket_is_empty() {
    let rig = Rig::new(32);
    let mut upstream_queries = rig.upstream_queries();
    rig.send(&mut upstream_queries);
    let mut octets = [0; 512];
    let (_, peer) = rig.upstream.recv_from(&mut octets).unwrap();
    rig.look_at_timers(&mut upstream_queries);
    let handed_over = rig.handover();
    upstream_queries.obey(Command::Close(handed_over.ticket), DUE);
    for _ in 0..3 {
        rig.upstream.send_to(b"junk", peer).unwrap();
    }
    let mut counts = ThreadCounts::default();
    let mut turn = LoopContext { policy: None, counts: &mut counts, now: DUE };
    upstream_queries.read(crate::slab::Handle::from_bits(0), &mut turn);
    let unexpected = rig.shared.mailboxes[0].counters.unexpected.load(Ordering::Relaxed);
    assert_eq!((unexpected, upstream_queries.is_quiet(NOW)), (3, true));
}

#[test]
fn the_answers_of_one_crowd_leave_tick_by_tick_and_not_in_one_pulse() {
    let rig = Rig::new(8);
    let counters = &rig.shared.mailboxes[0].counters;
    let route = DatagramRoute::new(0, &[1; 16], &[]);
    let flow = &rig.shared.shared_flow.flow;
    let peer = flow.peer(IpAddr::V4(Ipv4Addr::LOCALHOST), Transport::Udp);
    let (octets, back) = (smallvec::SmallVec::new(), Route::Datagram(route));
    let waiter = Waiter { octets, peer, route: back, asked_at: NOW, mark: 0 };
    // There is no socket: what leaves is counted as lost.
    let left = || counters.send_failed.load(Ordering::Relaxed);
    let mut answers = LateAnswers::new(&rig.shared, counters);
    for _ in 0..4000 {
        answers.finish(&waiter, WaiterReply::Reply(b"answer"), NOW + 1.0);
    }
    answers.send();
    assert_eq!(left(), 50);
    let held = 4000 - 50 - counters.pulse.load(Ordering::Relaxed);
    assert!((2498..=2501).contains(&held));
    assert!((1..=11).contains(&answers.patience_ms(NOW + 1.0)) && !answers.is_quiet());
    for tick in 0..=50 {
        let before = left();
        answers.send_due(NOW + 1.0 + 0.01 * f64::from(tick));
        assert!(left() - before <= 51);
    }
    assert_eq!((left(), answers.patience_ms(NOW + 2.0), answers.is_quiet()), (50 + held, -1, true));
}
