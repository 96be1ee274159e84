//! The queries on one connection to an upstream: who waits, for how long, and whether it still earns trust.
//!
//! Knows: IDs in use, times (`now` is an argument), how many queries a connection may take.  Does not know: sockets,
//! framing, TLS.  The mirror of `forwarding/pipeline.py`.
//! Theory: a connection can go silent and stay open, and then each question that chooses it fails.  So each query has
//! its time.  A connection whose oldest query is older is overdue: it is not chosen again, and closed as soon as nobody
//! waits on it; who does may still be answered, for a slow name is no broken connection.  While others overtake that
//! query it has longer, for the connection plainly works: until then it is late, and chosen only where no other may be
//! opened.

use std::collections::VecDeque;

use resolver_core::wire::query_options::question_of;

use super::words::StreamQuery;
use crate::slab::Handle;

/// Unanswered queries on one connection; over all connections more fail at once.
pub const QUERIES_PER_CONNECTION_MAX: usize = 128;

/// Seconds a query may wait while others on its connection are answered: over any attempt's time.
const OVERTAKEN_S_MAX: f64 = 3.0;

/// Who asked the query looks at the clock a moment before the connection does.
const CLOCK_SLACK_S: f64 = 1e-3;

/// Stands for no limit.
pub const ANSWERS_UNLIMITED: u32 = 1 << 30;

/// Words of 64 bits for a bit for each ID.
const ID_WORDS: usize = 65_536 / 64;

struct Waiting {
    query: StreamQuery,
    /// Whether somebody waits for it still.
    is_live: bool,
    sent_at: f64,
    /// Its place among all queries of its connection.
    number: u32,
}

/// To what a message belongs.
#[derive(Debug, PartialEq, Eq)]
pub enum Belongs {
    /// To a query that waited.
    To(Taken),
    /// To none.
    ToNobody {
        /// Whether its ID was ever asked here, so that it may be an answer given twice.
        was_asked: bool,
    },
}

/// A query whose answer came.
#[derive(Debug, PartialEq, Eq)]
pub struct Taken {
    /// Who waits for it; `None`: nobody any more.
    pub owner: Option<Handle>,
    /// Whether the message is a reply to it at all: else the framing may be lost.
    pub is_reply: bool,
    /// Whether it was the first of its connection.
    pub is_first: bool,
}

/// The queries of one connection.
pub struct Pipeline {
    answers_max: u32,
    /// The oldest first.  Who gave up stands here until the answer came or the connection is closed: so its ID is not
    /// used again too soon, and its silence counts.
    waiting: VecDeque<Waiting>,
    /// Those that somebody waits for.
    live: usize,
    /// Queries that it ever got.
    taken: u32,
    /// Messages that belonged to one.
    pub answered: u32,
    answered_at: f64,
    /// Queries up to this number came before the last answer.
    overtaken: u32,
    asked: Box<[u64; ID_WORDS]>,
}

impl Pipeline {
    /// Nothing asked; the upstream takes so many queries on one connection.
    pub fn new(answers_max: u32) -> Pipeline {
        Pipeline {
            answers_max,
            waiting: VecDeque::new(),
            live: 0,
            taken: 0,
            answered: 0,
            answered_at: f64::NEG_INFINITY,
            overtaken: 0,
            asked: Box::new([0; ID_WORDS]),
        }
    }

    /// Queries without an answer.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Those of them that somebody waits for.
    pub fn live(&self) -> usize {
        self.live
    }

    /// Whether it got all the queries that the upstream takes on one connection.
    pub fn is_spent(&self) -> bool {
        self.taken >= self.answers_max
    }

    /// Queries that it ever got.
    pub fn taken(&self) -> u32 {
        self.taken
    }

    /// From now on it gets no further query.
    pub fn take_no_more(&mut self) {
        self.answers_max = self.taken;
    }

    /// Whether another query with this ID may go here.
    pub fn takes(&self, id: u16, now: f64) -> bool {
        self.waiting.len() < QUERIES_PER_CONNECTION_MAX
            && !self.is_spent()
            && !self.is_overdue(now)
            && self.place_of(id).is_none()
    }

    /// When the oldest unanswered query has had its time; infinite: all are answered.
    pub fn overdue_at(&self) -> f64 {
        let Some(oldest) = self.waiting.front() else { return f64::INFINITY };
        let patience_s = oldest.query.due_at - oldest.sent_at;
        let while_others_come = (self.answered_at + patience_s).min(oldest.sent_at + OVERTAKEN_S_MAX);
        oldest.query.due_at.max(while_others_come) - CLOCK_SLACK_S
    }

    /// Whether the oldest query has had its time, even if others are answered meanwhile.
    pub fn is_late(&self, now: f64) -> bool {
        self.waiting.front().is_some_and(|oldest| now >= oldest.query.due_at - CLOCK_SLACK_S)
    }

    /// Whether a query has waited here for longer than its time.
    pub fn is_overdue(&self, now: f64) -> bool {
        now >= self.overdue_at()
    }

    /// One more query waits here.
    ///
    /// `leaves`: it is sent now, and not when the connection is open.
    pub fn add(&mut self, mut query: StreamQuery, leaves: bool, now: f64) {
        query.sends += 1;
        query.left += u8::from(leaves);
        self.taken += 1;
        self.live += 1;
        let (word, bit) = place_of_bit(query.id);
        self.asked[word] |= bit;
        self.waiting.push_back(Waiting { query, is_live: true, sent_at: now, number: self.taken });
    }

    /// The messages of all who wait, before anything was sent here; who gave up by then is not sent at all.
    pub fn first_messages(&mut self) -> impl Iterator<Item = &[u8]> {
        let before = self.waiting.len();
        self.waiting.retain(|waiting| waiting.is_live);
        self.taken -= (before - self.waiting.len()) as u32;
        for (place, waiting) in self.waiting.iter_mut().enumerate() {
            waiting.number = place as u32 + 1;
            waiting.query.left += 1;
        }
        self.waiting.iter().map(|waiting| &*waiting.query.octets)
    }

    /// The IDs that somebody waits for.
    pub fn live_ids(&self) -> impl Iterator<Item = u16> + '_ {
        self.waiting.iter().filter(|waiting| waiting.is_live).map(|waiting| waiting.query.id)
    }

    /// How many more queries it may get, up to `most`.
    pub fn room(&self, most: usize) -> usize {
        most.saturating_sub(self.waiting.len()).min(self.answers_max.saturating_sub(self.taken) as usize)
    }

    /// Let go of a query that somebody waits for.  Nothing was sent here yet.
    pub fn take_unsent(&mut self, id: u16) -> Option<StreamQuery> {
        let place = self.place_of(id).filter(|&place| self.waiting[place].is_live)?;
        let mut query = self.waiting.remove(place)?.query;
        query.sends -= 1;
        self.live -= 1;
        self.taken -= 1;
        Some(query)
    }

    /// `owner` waits for `id` no more; whether it did.
    pub fn give_up(&mut self, id: u16, owner: Handle) -> bool {
        let Some(place) = self.place_of(id) else { return false };
        let waiting = &mut self.waiting[place];
        let did_wait = waiting.is_live && waiting.query.owner == owner;
        if did_wait {
            waiting.is_live = false;
            self.live -= 1;
        }
        did_wait
    }

    /// Take the query that `message` belongs to.
    pub fn answer(&mut self, message: &[u8], now: f64) -> Belongs {
        let &[high, low, ..] = message else { return Belongs::ToNobody { was_asked: false } };
        let id = u16::from_be_bytes([high, low]);
        let Some(waiting) = self.place_of(id).and_then(|place| self.waiting.remove(place)) else {
            let (word, bit) = place_of_bit(id);
            return Belongs::ToNobody { was_asked: self.asked[word] & bit != 0 };
        };
        self.answered += 1;
        self.answered_at = now;
        self.overtaken = self.taken;
        self.live -= usize::from(waiting.is_live);
        Belongs::To(Taken {
            owner: waiting.is_live.then_some(waiting.query.owner),
            is_reply: is_reply(message, &waiting.query.octets),
            is_first: waiting.number == 1,
        })
    }

    /// How many answers the upstream gives on a connection, to judge by this one, which it closed.
    ///
    /// `None`: that says nothing of it.  It does where a query was left that came before the last answer left: one that
    /// came later may have crossed the end of an idle connection.
    pub fn answers_lost(&self) -> Option<u32> {
        let oldest = self.waiting.front()?;
        if self.answered == 0 {
            // Nothing of many: perhaps the answer to the first was lost with the connection.
            return (self.waiting.len() > 1).then_some(0);
        }
        (oldest.number <= self.overtaken).then_some(self.answered)
    }

    /// Those that somebody waits for; nobody waits here any more.
    pub fn take_all(&mut self) -> Vec<StreamQuery> {
        self.live = 0;
        self.waiting.drain(..).filter(|waiting| waiting.is_live).map(|waiting| waiting.query).collect()
    }

    fn place_of(&self, id: u16) -> Option<usize> {
        self.waiting.iter().position(|waiting| waiting.query.id == id)
    }
}

/// Whether `message` is a reply to `query` at all: an error may leave the question out.
fn is_reply(message: &[u8], query: &[u8]) -> bool {
    const QUESTION_AT: usize = 12;
    let Some(&[flags, _, high, low]) = message.get(2..6) else { return false };
    let question = question_of(query);
    let echoed = message.get(QUESTION_AT..QUESTION_AT + question.len()).unwrap_or_default();
    flags & 0x80 != 0 && ((high, low) == (0, 0) || question.eq_ignore_ascii_case(echoed))
}

fn place_of_bit(id: u16) -> (usize, u64) {
    (usize::from(id >> 6), 1 << (id & 63))
}
