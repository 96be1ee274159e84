//! What threads with streams share, and how others reach them: answers, places to give up, counts.
//!
//! Knows: mailboxes and their bounds, limits, listening sockets.  Does not know: what a thread does with any of it.
//! Theory: every question that waits is answered here exactly once, by whichever thread or plane has it, so what
//! waits in a mailbox is bounded by who may wait.  Its octets have a bound of their own: beyond it a client gets no
//! answer, but its question is known to be over.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use resolver_core::flow::{
    ConnectionBounds, ConnectionLimits, HandshakeLimits, Holder, Limit, Nobodies, StreamRoute,
    TooManyHandshakes, Transport,
};

use crate::counters::add;
use crate::mailbox::{Mailbox, SIGNAL_ASKS, SIGNAL_NEWS};
use crate::shared_flow::SharedFlow;
use crate::stream_asks::{Put, StreamAsk};

/// Octets of answers that may wait for one thread.
const NEWS_OCTETS_MAX: usize = 8 << 20;

/// What a client on a stream gets.
#[derive(Debug, PartialEq, Eq)]
pub enum StreamAnswer {
    /// This message; counted.
    Message(Box<[u8]>),
    /// Nothing; counted.  A TCP or TLS connection is closed if `close`, a request over HTTP reset.
    Nothing {
        /// Whether the connection must go.
        close: bool,
    },
    /// Nothing, for want of room or by a defect; counted by whoever lost it.
    Lost,
}

/// News for a thread with streams.
pub enum StreamNews {
    /// A question that waited is over.
    Answer(StreamRoute, StreamAnswer),
    /// A connection has to go; it has no place any more.
    GiveWay(Holder),
}

/// The side of one thread with streams that others see.
pub struct StreamMailbox {
    /// Its signals, wake-up, totals and counts.
    pub mailbox: Mailbox,
    waiting: Mutex<WaitingNews>,
}

#[derive(Default)]
struct WaitingNews {
    news: Vec<StreamNews>,
    /// Of the answers among them.
    octets: usize,
}

impl StreamMailbox {
    /// An empty one.  Fails when the process has no descriptors left.
    ///
    /// `record_octets`: room for its records.
    pub fn new(shared_flow: &SharedFlow, record_octets: usize) -> std::io::Result<StreamMailbox> {
        Ok(StreamMailbox::of(Mailbox::new(shared_flow, record_octets)?))
    }

    fn of(mailbox: Mailbox) -> StreamMailbox {
        StreamMailbox { mailbox, waiting: Mutex::default() }
    }

    /// Put something down; `ring` when all is.
    fn put(&self, news: StreamNews) {
        self.waiting.lock().news.push(news);
    }

    /// Put an answer down; whether there was room for it.  If not, its question is over all the same.
    fn put_answer(&self, route: StreamRoute, answer: StreamAnswer) -> bool {
        let octets = if let StreamAnswer::Message(message) = &answer { message.len() } else { 0 };
        let waiting = &mut *self.waiting.lock();
        let has_room = waiting.octets < NEWS_OCTETS_MAX;
        if has_room {
            waiting.octets += octets;
        }
        let answer = if has_room { answer } else { StreamAnswer::Lost };
        waiting.news.push(StreamNews::Answer(route, answer));
        has_room
    }

    /// Wake the thread, unless it was woken and has not looked yet.
    pub fn ring(&self) {
        self.mailbox.signal(SIGNAL_NEWS);
    }

    /// Whether something was put down since the last `take`.
    pub fn has_news(&self) -> bool {
        self.mailbox.signals.have(SIGNAL_NEWS)
    }

    /// The thread was woken: clear the wake-up, and only then look whether there are news.
    ///
    /// Whoever rings between a `take` and this wakes nobody, and neither does anybody behind him.
    pub fn hear(&self) -> bool {
        self.mailbox.hear() & SIGNAL_NEWS != 0
    }

    /// What was put down since the last call.
    pub fn take(&self) -> Vec<StreamNews> {
        self.mailbox.signals.take(SIGNAL_NEWS);
        std::mem::take(&mut *self.waiting.lock()).news
    }
}

/// Why a connection, or an answer over one, was lost beside the limits on connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamDrop {
    /// A message was shorter than a header.
    ShortMessage,
    /// Its client read nothing.
    DoesNotRead,
    /// There was no room for an answer on its way to its connection.
    AnswersFull,
    /// It could not be accepted: no descriptor was left, most likely.
    AcceptFailed,
    /// Its thread met a defect.
    Defect,
    /// Its client broke the rules of TLS, or they know no common way.
    TlsFailed,
    /// Its handshake took too long.
    HandshakeTimeout,
    /// All clients together begin too many sessions.
    Handshakes,
    /// Its client does.
    HandshakesOfClient,
    /// Too many of its client's came to nothing, while all together begin many.
    BreachesOfClient,
    /// Its client may not ask, and would have to be told so after a handshake.
    Stranger,
}

impl From<TooManyHandshakes> for StreamDrop {
    fn from(too_many: TooManyHandshakes) -> StreamDrop {
        match too_many {
            TooManyHandshakes::OfAll => StreamDrop::Handshakes,
            TooManyHandshakes::OfClient => StreamDrop::HandshakesOfClient,
            TooManyHandshakes::Breaches => StreamDrop::BreachesOfClient,
        }
    }
}

const DROPS: [(StreamDrop, &str); 11] = [
    (StreamDrop::ShortMessage, "tcp_short_message"),
    (StreamDrop::DoesNotRead, "tcp_client_does_not_read"),
    (StreamDrop::AnswersFull, "tcp_answers_full"),
    (StreamDrop::AcceptFailed, "tcp_accept_failed"),
    (StreamDrop::Defect, "tcp_defect"),
    (StreamDrop::TlsFailed, "tls_failed"),
    (StreamDrop::HandshakeTimeout, "tls_handshake_timeout"),
    (StreamDrop::Handshakes, "tls_handshakes_per_s_max"),
    (StreamDrop::HandshakesOfClient, "tls_handshakes_per_s_per_client_max"),
    (StreamDrop::BreachesOfClient, "tls_breaches_of_client"),
    (StreamDrop::Stranger, "tls_stranger"),
];

/// Every reason that `Streams::drops` counts.
pub fn drop_names() -> Vec<&'static str> {
    let limits = Limit::ALL.iter().map(|limit| limit.label());
    limits.chain(DROPS.iter().map(|&(_, name)| name)).collect()
}

/// How much of everything connections may have.
#[derive(Clone, Copy)]
pub struct StreamBounds {
    /// Places, and octets held.
    pub connections: ConnectionBounds,
    /// Seconds for which a connection may be quiet in an empty house.
    pub idle_s: f64,
    /// TLS sessions that may begin in a second.
    pub handshakes_per_s_max: u32,
    /// Those of one client.
    pub handshakes_per_client_max: u32,
    /// Open requests of one connection of HTTP/2.
    pub https_streams_max: u32,
    /// Names and values of one request's headers, 32 octets more for each (RFC 9113 §6.5.2).
    pub https_header_octets_max: u32,
    /// Octets of each thread's memo of whole answers.
    pub memo_octets: usize,
}

/// One of the threads with streams, as all see it.
pub struct StreamThread {
    /// Its mailbox.
    pub letters: StreamMailbox,
    /// Its listening sockets.
    pub sockets: Vec<(Transport, OwnedFd)>,
}

/// All that threads with streams share.
pub struct Streams {
    /// Those threads.
    pub threads: Vec<StreamThread>,
    /// Connections of all of them.
    pub limits: ConnectionLimits,
    /// Sessions of all of them.
    pub handshakes: HandshakeLimits,
    /// Whose the connections of proxies are that have not said it.
    pub nobodies: Nobodies,
    /// How much of everything there is.
    pub bounds: StreamBounds,
    limit_counts: [AtomicU64; Limit::ALL.len()],
    drop_counts: [AtomicU64; DROPS.len()],
}

impl Streams {
    /// Nobody is connected yet.
    pub fn new(threads: Vec<StreamThread>, bounds: StreamBounds) -> Streams {
        Streams {
            threads,
            limits: ConnectionLimits::new(bounds.connections),
            handshakes: HandshakeLimits::new(bounds.handshakes_per_s_max, bounds.handshakes_per_client_max),
            nobodies: Nobodies::default(),
            bounds,
            limit_counts: Default::default(),
            drop_counts: Default::default(),
        }
    }

    /// A question of a stream is over; ring its thread when all of a turn are put down.
    pub fn put(&self, route: StreamRoute, answer: StreamAnswer) {
        let Some(thread) = self.threads.get(usize::from(route.thread)) else { return };
        if !thread.letters.put_answer(route, answer) {
            self.count(StreamDrop::AnswersFull);
        }
    }

    /// Wake a thread for what was put down.
    pub fn ring(&self, thread: u16) {
        if let Some(thread) = self.threads.get(usize::from(thread)) {
            thread.letters.ring();
        }
    }

    /// A connection of another thread has to go.
    pub fn give_way(&self, holder: Holder) {
        if let Some(thread) = self.threads.get(usize::from(holder.thread)) {
            thread.letters.put(StreamNews::GiveWay(holder));
            thread.letters.ring();
        }
    }

    /// A connection was refused or closed by a limit.
    pub fn count_limit(&self, limit: Limit) {
        add(&self.limit_counts[limit as usize], 1);
    }

    /// A connection or an answer was lost otherwise.
    pub fn count(&self, reason: StreamDrop) {
        self.count_many(reason, 1);
    }

    /// So many were.
    pub fn count_many(&self, reason: StreamDrop, many: u64) {
        add(&self.drop_counts[reason as usize], many);
    }

    /// What was lost so far, by reason.
    pub fn drops(&self) -> Vec<(&'static str, u64)> {
        let counts = self.limit_counts.iter().chain(&self.drop_counts);
        drop_names().into_iter().zip(counts.map(|count| count.load(Ordering::Relaxed))).collect()
    }
}

/// Give questions of streams to a thread with sockets towards upstreams, `first` or another that is there; those that
/// found no room stay in `asks`.  False: no such thread is there.
pub fn give_to_ask(mailboxes: &[Mailbox], first: usize, asks: &mut Vec<StreamAsk>) -> bool {
    let mut is_any_there = false;
    for step in 0..mailboxes.len() {
        if asks.is_empty() {
            break;
        }
        let mailbox = &mailboxes[(first + step) % mailboxes.len()];
        let put = mailbox.asks.put(asks);
        if put == Put::Some {
            mailbox.signal(SIGNAL_ASKS);
        }
        is_any_there |= put != Put::Closed;
    }
    is_any_there
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn letters() -> StreamMailbox {
        StreamMailbox::of(Mailbox::of(Arc::default()).unwrap())
    }

    #[test]
    fn who_rings_while_the_thread_hears_another_is_heard_too() {
        let (letters, route) = (letters(), StreamRoute::numbered(1));
        letters.put_answer(route, StreamAnswer::Lost);
        letters.ring();
        assert_eq!(letters.take().len(), 1);
        // The thread has looked, and has not cleared its wake-up yet.
        letters.put_answer(route, StreamAnswer::Lost);
        letters.ring();
        assert!(letters.hear());
        assert_eq!(letters.take().len(), 1);
        assert!(!letters.hear());
    }

    #[test]
    fn answers_beyond_the_bound_are_lost_and_their_questions_over() {
        let (letters, route) = (letters(), StreamRoute::numbered(1));
        let long = || StreamAnswer::Message(vec![0; NEWS_OCTETS_MAX].into());
        for _ in 0..2 {
            assert!(letters.put_answer(route, long()));
            assert!(!letters.put_answer(route, long()));
            assert!(matches!(&letters.take()[..], [_, StreamNews::Answer(_, StreamAnswer::Lost)]));
        }
    }

    #[test]
    fn drops_stand_under_their_own_names() {
        for (place, (reason, _)) in DROPS.iter().enumerate() {
            assert_eq!(*reason as usize, place);
        }
        let mut names = drop_names();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Limit::ALL.len() + DROPS.len());
    }
}
