//! The pools against an upstream of their own, over TCP.
//!
//! Knows: loopback sockets, frames.  Does not know: TLS; time, which passes as a test says.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::Duration;

use resolver_core::flow::{Carrier, FREE, OPENING_PAUSE_S_MIN};
use resolver_core::wire::encode::encode_question;

use super::connection::{OPEN_S_MAX, UNUSED_S};
use super::pools::{connection_of, StreamPools};
use super::words::{Failure, Left, StreamQuery, StreamRead};
use super::Inbox;
use crate::counters::Counters;
use crate::epoll::{Epoll, Events};
use crate::slab::{Handle, Slab};
use crate::upstream_server::UpstreamServer;

#[cfg(test)]
#[path = "garbage_tests.rs"]
mod garbage;
#[cfg(test)]
#[path = "openings_tests.rs"]
mod openings;

const NOW: f64 = 1000.0;
const PATIENCE_S: f64 = 0.8;
const QUESTION: &[u8] = b"\x07unknown\x07example\0\0\x01\0\x01";
/// Header, question, OPT, and the length in front.
const FRAME_OCTETS: usize = 2 + 12 + QUESTION.len() + 11;

/// An upstream, one thread's pools to it, and numbers for owners.
struct Play {
    listener: TcpListener,
    epoll: Arc<Epoll>,
    counters: Arc<Counters>,
    pools: StreamPools,
    inbox: Inbox,
    owners: Slab<()>,
    left: Vec<Left>,
    now: f64,
}

impl Play {
    fn new() -> Play {
        Play::over(Carrier::Tcp)
    }

    /// With an upstream that is looked upon as one over `carrier`, and asked without TLS all the same.
    fn over(carrier: Carrier) -> Play {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = UpstreamServer::plain(listener.local_addr().unwrap(), carrier);
        let (epoll, counters) = (Arc::new(Epoll::new().unwrap()), Arc::<Counters>::default());
        let mut pools = StreamPools::new(Arc::clone(&epoll), Arc::clone(&counters));
        pools.learn(&[Arc::new(server)]);
        let (inbox, owners, left) = (Inbox::default(), Slab::new(), Vec::new());
        Play { listener, epoll, counters, pools, inbox, owners, left, now: NOW }
    }

    fn query(&mut self, id: u16) -> StreamQuery {
        let mut octets = Vec::new();
        encode_question(id, QUESTION, false, false, true, &mut octets);
        StreamQuery {
            id,
            owner: self.owners.put(()),
            due_at: self.now + PATIENCE_S,
            octets,
            sends: 0,
            left: 0,
        }
    }

    /// The connection that a query goes to, and its owner.
    fn send(&mut self, id: u16) -> (Handle, Handle) {
        let query = self.query(id);
        let owner = query.owner;
        (self.pools.send(0, query, self.now).unwrap(), owner)
    }

    fn accept(&self) -> TcpStream {
        let (stream, _) = self.listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        stream
    }

    /// What a thread does until something came, or for a tenth of a second: the messages, by owner.
    fn turn(&mut self) -> Vec<(Handle, u16)> {
        self.pools.flush();
        let mut events = Events::with_room_for(64);
        self.epoll.wait(&mut events, 100).unwrap();
        let mut heard = Vec::new();
        for index in 0..64 {
            let Some(connection) = events.number(index).and_then(connection_of) else { break };
            let is_over = events.is_over(index);
            let read = self.pools.read(connection, is_over, self.now, &mut self.inbox);
            let messages = self.inbox.messages();
            heard.extend(messages.map(|(owner, octets)| (owner, u16::from_be_bytes([octets[0], octets[1]]))));
            if let StreamRead::Ended(failure) = read {
                self.left.extend(self.pools.break_all(connection, failure, self.now));
            }
        }
        self.pools.look_at_times(self.now);
        for (connection, failure) in self.pools.take_broken() {
            self.left.extend(self.pools.break_all(connection, failure, self.now));
        }
        self.pools.flush();
        heard
    }

    /// Turns until so many answers have come.
    fn hear(&mut self, count: usize) -> Vec<(Handle, u16)> {
        let mut heard = Vec::new();
        for _ in 0..100 {
            heard.extend(self.turn());
            if heard.len() >= count {
                break;
            }
        }
        heard
    }

    /// Every connection ends at once, as if it had been idle for long.
    fn end_all(&mut self) {
        for handle in self.pools.handles() {
            drop(self.accept());
            self.pools.break_all(handle, Failure::Blameless, self.now);
        }
    }

    /// One connection, open, over which `id` was asked and answered.
    fn served(&mut self, id: u16) -> (Handle, TcpStream) {
        let (connection, owner) = self.send(id);
        let mut upstream = self.accept();
        self.turn();
        assert_eq!(asked(&mut upstream, 1), [id]);
        upstream.write_all(&answer(id)).unwrap();
        assert_eq!(self.hear(1), [(owner, id)]);
        (connection, upstream)
    }
}

/// The IDs of the next queries.
fn asked(upstream: &mut TcpStream, count: usize) -> Vec<u16> {
    let mut octets = vec![0; count * FRAME_OCTETS];
    upstream.read_exact(&mut octets).unwrap();
    octets.chunks(FRAME_OCTETS).map(|frame| u16::from_be_bytes([frame[2], frame[3]])).collect()
}

/// A reply without records, with its length in front.
fn answer(id: u16) -> Vec<u8> {
    let head = [id.to_be_bytes(), [0x81, 0x80], [0, 1], [0, 0], [0, 0], [0, 0]].concat();
    let length = (head.len() + QUESTION.len()) as u16;
    [&length.to_be_bytes()[..], &head, QUESTION].concat()
}

#[test]
fn what_is_asked_in_one_turn_leaves_in_one_write_and_comes_back_in_any_order() {
    let mut play = Play::new();
    let (connection, mut upstream) = play.served(0);
    let sent: Vec<_> = (1..=10).map(|id| play.send(id)).collect();
    assert!(sent.iter().all(|&(other, _)| other == connection));
    play.pools.flush();
    let mut octets = [0; 4096];
    assert_eq!(upstream.read(&mut octets).unwrap(), 10 * FRAME_OCTETS);
    let answers: Vec<u8> = (1..=10).rev().flat_map(answer).collect();
    upstream.write_all(&answers).unwrap();
    let wanted: Vec<_> = sent.iter().zip(1..=10).map(|(&(_, owner), id)| (owner, id)).rev().collect();
    assert_eq!(play.hear(10), wanted);
    assert!(play.pools.is_quiet(play.now));
}

#[test]
fn an_answer_may_come_octet_by_octet() {
    let mut play = Play::new();
    let (_, mut upstream) = play.served(7);
    upstream.set_nodelay(true).unwrap();
    let (_, owner) = play.send(8);
    play.turn();
    let mut heard = Vec::new();
    for octet in answer(8) {
        upstream.write_all(&[octet]).unwrap();
        heard.extend(play.turn());
    }
    assert_eq!(heard, [(owner, 8)]);
}

#[test]
fn sixteen_open_questions_are_enough_for_a_connection_and_eight_connections_for_an_upstream() {
    let mut play = Play::new();
    let connections: Vec<_> = (0..128).map(|id| play.send(id).0).collect();
    let mut distinct = connections.clone();
    distinct.dedup();
    assert_eq!(distinct.len(), 8);
    assert!(connections.chunks(16).all(|chunk| chunk.iter().all(|other| *other == chunk[0])));
    for id in 128..1024 {
        assert!(distinct.contains(&play.send(id).0), "all eight share the rest");
    }
    let query = play.query(1024);
    assert_eq!(play.pools.send(0, query, play.now), Err(Failure::Full));
    assert_eq!(play.counters.streams_opened.load(Ordering::Relaxed), 8);
}

#[test]
fn an_id_is_in_use_once_on_a_connection() {
    let mut play = Play::new();
    let ((one, _), (other, _)) = (play.send(5), play.send(5));
    assert_ne!(one, other);
    assert_eq!(play.send(6).0, one);
}

#[test]
fn an_id_that_nobody_waits_for_any_more_is_free_when_its_answer_came() {
    let mut play = Play::new();
    let (connection, mut upstream) = play.served(1);
    let (_, owner) = play.send(2);
    play.turn();
    play.pools.forget(connection, 2, owner);
    assert_ne!(play.send(2).0, connection);
    upstream.write_all(&answer(2)).unwrap();
    for _ in 0..100 {
        assert_eq!(play.turn(), []);
        if play.counters.streams_late.load(Ordering::Relaxed) == 1 {
            break;
        }
    }
    assert_eq!(play.send(2).0, connection);
    // An answer given twice says nothing of the framing.
    upstream.write_all(&[answer(1), answer(2)].concat()).unwrap();
    assert_eq!(play.hear(1).len(), 1);
    assert_eq!((play.counters.streams_unexpected.load(Ordering::Relaxed), play.left.len()), (1, 0));
}

#[test]
fn questions_of_a_connection_that_broke_are_asked_once_more_on_a_new_one_and_no_more() {
    let mut play = Play::new();
    let (connection, upstream) = play.served(1);
    play.send(2);
    play.send(3);
    play.turn();
    drop(upstream);
    while play.left.is_empty() {
        play.turn();
    }
    let left = play.left.pop().unwrap();
    assert_eq!((left.failure, left.may_ask_again), (Failure::Blameless, true));
    for query in left.queries {
        assert_ne!(play.pools.send_again(0, query, play.now, false), Ok(connection));
    }
    let mut upstream = play.accept();
    play.turn();
    assert_eq!(asked(&mut upstream, 2), [2, 3]);
    upstream.write_all(&answer(2)).unwrap();
    play.hear(1);
    drop(upstream);
    while play.left.is_empty() {
        play.turn();
    }
    for query in play.left.pop().unwrap().queries {
        assert_eq!((query.id, query.sends), (3, 2));
        assert_eq!(play.pools.send_again(0, query, play.now, false), Err(Failure::Full));
    }
    assert_eq!(play.counters.streams_retried.load(Ordering::Relaxed), 2);
    assert!(play.pools.is_quiet(play.now));
}

#[test]
fn an_upstream_that_closes_a_connection_after_some_answers_gets_no_more_questions_on_one() {
    let mut play = Play::new();
    let (connection, mut upstream) = play.served(1);
    play.send(2);
    play.send(3);
    play.turn();
    upstream.write_all(&answer(2)).unwrap();
    play.hear(1);
    drop(upstream);
    while play.left.is_empty() {
        play.turn();
    }
    // Two were answered, and the third left, though it had come before.
    let one = play.send(4).0;
    let other = play.send(5).0;
    assert!(one == other && one != connection);
    assert_ne!(play.send(6).0, one, "two is all that it gives");
}

#[test]
fn over_tls_a_connection_that_breaks_after_some_answers_says_nothing_until_the_next_does_the_same() {
    let mut play = Play::over(Carrier::Tls);
    for id in [10, 20] {
        let (connection, mut upstream) = play.served(id);
        play.send(id + 1);
        play.turn();
        play.send(id + 2);
        play.turn();
        upstream.write_all(&answer(id + 1)).unwrap();
        play.hear(1);
        drop(upstream);
        while play.left.is_empty() {
            play.turn();
        }
        play.left.clear();
        let new = play.send(id + 3).0;
        play.send(id + 4);
        let is_limited = play.send(id + 5).0 != new;
        assert_eq!((new == connection, is_limited), (false, id == 20));
        play.end_all();
    }
}

#[test]
fn an_upstream_that_closes_without_a_word_is_to_blame() {
    let mut play = Play::new();
    play.send(1);
    drop(play.accept());
    while play.left.is_empty() {
        play.turn();
    }
    let left = &play.left[0];
    assert_eq!((left.failure, left.may_ask_again, left.queries.len()), (Failure::Stream, false, 1));
    assert_eq!(play.counters.streams_broken.load(Ordering::Relaxed), 1);
}

#[test]
fn a_refused_connection_says_that_the_way_is_closed() {
    let mut play = Play::new();
    let server =
        UpstreamServer::plain(TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap(), Carrier::Tcp);
    play.pools.learn(&[Arc::new(UpstreamServer::plain(server.address, Carrier::Tcp)), Arc::new(server)]);
    let query = play.query(1);
    if play.pools.send(1, query, play.now).is_ok() {
        while play.left.is_empty() {
            play.turn();
        }
        assert_eq!((play.left[0].failure, play.left[0].upstream), (Failure::Network, 1));
    }
    assert!(play.pools.is_quiet(play.now));
}

#[test]
fn a_connection_with_an_overdue_question_is_not_chosen_again_and_closed_when_nobody_waits() {
    let mut play = Play::new();
    let (connection, mut upstream) = play.served(1);
    let (_, owner) = play.send(2);
    play.turn();
    play.now += PATIENCE_S;
    assert_ne!(play.send(3).0, connection);
    play.pools.forget(connection, 2, owner);
    play.turn();
    let mut octets = [0; 256];
    assert_eq!(upstream.read(&mut octets).unwrap(), FRAME_OCTETS);
    assert_eq!(upstream.read(&mut octets).unwrap(), 0, "it is closed");
}

#[test]
fn who_waits_on_an_overdue_connection_may_still_be_answered() {
    let mut play = Play::new();
    let (_, mut upstream) = play.served(1);
    let (_, owner) = play.send(2);
    play.turn();
    play.now += PATIENCE_S;
    upstream.write_all(&answer(2)).unwrap();
    assert_eq!(play.hear(1), [(owner, 2)]);
}

#[test]
fn an_idle_connection_is_closed_after_a_while() {
    let mut play = Play::new();
    let (connection, mut upstream) = play.served(1);
    assert_eq!(play.pools.patience_ms(play.now), 5000);
    play.now += UNUSED_S - 0.5;
    play.turn();
    assert_eq!(play.pools.patience_ms(play.now), 500);
    assert_eq!(play.send(2).0, connection);
    play.turn();
    upstream.write_all(&answer(2)).unwrap();
    play.hear(1);
    play.now += UNUSED_S;
    assert!(!play.pools.is_quiet(play.now));
    play.turn();
    assert_eq!(asked(&mut upstream, 1), [2]);
    assert_eq!(upstream.read(&mut [0; 16]).unwrap(), 0);
    assert_eq!((play.pools.is_quiet(play.now), play.pools.patience_ms(play.now)), (true, -1));
}

#[test]
fn a_connection_that_does_not_open_is_given_up() {
    let mut play = Play::new();
    let (connection, owner) = play.send(1);
    play.pools.forget(connection, 1, owner);
    play.now += OPEN_S_MAX;
    play.pools.look_at_times(play.now);
    assert_eq!(play.pools.take_broken(), [(connection, Failure::Network)]);
}

/// Ask, and let the upstream close the connection without a word.
fn broken(play: &mut Play, id: u16) -> Left {
    play.send(id);
    drop(play.accept());
    while play.left.is_empty() {
        play.turn();
    }
    play.left.pop().unwrap()
}

#[test]
fn an_upstream_whose_connections_come_to_nothing_gets_none_for_each_question() {
    let mut play = Play::new();
    for id in 1..=FREE as u16 {
        assert_eq!(broken(&mut play, id).failure, Failure::Stream);
    }
    let query = play.query(10);
    assert_eq!(play.pools.send(0, query, play.now), Err(Failure::HeldBack));
    assert_eq!(play.counters.streams_held_back.load(Ordering::Relaxed), 1);
    play.now += OPENING_PAUSE_S_MIN;
    // One is tried, and whoever asks meanwhile joins it.
    let sent = [11, 12].map(|id| play.send(id));
    assert_eq!(sent[0].0, sent[1].0);
    assert_ne!(play.send(12).0, sent[0].0, "its ID is taken there, and there may be two");
    let query = play.query(12);
    assert_eq!(play.pools.send(0, query, play.now), Err(Failure::HeldBack), "its ID is taken on both");
    let mut upstream = play.accept();
    play.turn();
    assert_eq!(asked(&mut upstream, 2), [11, 12]);
    upstream.write_all(&answer(11)).unwrap();
    assert_eq!(play.hear(1), [(sent[0].1, 11)]);
    assert_ne!(play.send(12).0, sent[0].0, "it answers: there may be as many as ever");
    assert_eq!(play.counters.streams_opened.load(Ordering::Relaxed), u64::from(FREE) + 3);
}

#[test]
fn what_a_new_connection_breaks_is_asked_once_more_where_others_were_answered_just_now() {
    let mut play = Play::new();
    let (connection, _upstream) = play.served(1);
    let (_, owner) = play.send(2);
    play.turn();
    // The same ID needs another connection.
    let left = broken(&mut play, 2);
    assert_eq!((left.failure, left.may_ask_again), (Failure::Stream, true));
    play.pools.forget(connection, 2, owner);
    play.now += 6.0;
    play.pools.break_all(connection, Failure::Blameless, play.now);
    assert!(!broken(&mut play, 3).may_ask_again, "that was long ago");
}

#[test]
fn a_query_counts_as_sent_when_its_connection_is_open() {
    let mut play = Play::new();
    let (connection, _) = play.send(1);
    let left = play.pools.break_all(connection, Failure::Network, play.now).unwrap();
    assert_eq!((left.queries[0].sends, left.queries[0].left), (1, 0));
    drop(play.accept());
    let (connection, _upstream) = play.served(2);
    play.send(3);
    let left = play.pools.break_all(connection, Failure::Stream, play.now).unwrap();
    assert_eq!((left.queries[0].sends, left.queries[0].left), (1, 1));
}
