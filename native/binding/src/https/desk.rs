//! Where one thread's queries are answered: from what is known here at once, else later, from elsewhere.
//!
//! Knows: the flow, its memo, who asks upstreams, the way to Python.  Does not know: HTTP, connections.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;

use resolver_core::entropy::Entropy;
use resolver_core::flow::{
    AskOutcome, BatchContext, ClientName, Flow, Incoming, Memo, Outcome, Peer, Policy, ReplySink, Route,
    Transport,
};

use super::waiting::{LateAnswer, WaitingRequests};
use crate::counters::add;
use crate::mailbox::Mailbox;
use crate::shared::Shared;
use crate::shared_flow::ThreadCounts;
use crate::stream_asks::StreamAsk;
use crate::stream_state::{give_to_ask, StreamAnswer, StreamDrop};
use crate::sys::monotonic;

/// Octets that answers are given room for at first; nearly all fit.
const ANSWER_OCTETS: usize = 512;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asker {
    /// The client's, who is connected or speaks through one who is.
    pub address: IpAddr,
    /// The one that it gave itself.
    pub name: Option<ClientName>,
}

/// What becomes of a query.
pub enum Answering {
    /// This message; counted.
    Now(Vec<u8>),
    /// Something, later.
    Later(LateAnswer),
    /// No answer; counted.
    Nothing,
}

/// One thread's.
pub struct Desk {
    shared: Arc<Shared>,
    number: u16,
    memo: RefCell<Memo>,
    asks: RefCell<Vec<StreamAsk>>,
    asker: Cell<Option<Waker>>,
    waiting: Rc<WaitingRequests>,
    /// Monotonic seconds, as somebody last looked.
    now: Cell<f64>,
}

/// One query's answer.
struct One<'o> {
    out: &'o mut Vec<u8>,
    name: Option<ClientName>,
}

impl ReplySink for One<'_> {
    fn room(&mut self) -> &mut Vec<u8> {
        self.out
    }

    fn put(&mut self, _: usize) {}

    fn name_of(&self, _: usize) -> Option<ClientName> {
        self.name
    }
}

impl Desk {
    /// For the thread of this number among those with streams.
    pub fn new(shared: Arc<Shared>, number: u16) -> Desk {
        let mut entropy = Entropy::new();
        let memo = Memo::new(shared.streams.bounds.memo_octets, &mut entropy);
        let first_number = u32::from(entropy.query_id()) << 16 | u32::from(entropy.query_id());
        Desk {
            shared,
            number,
            memo: RefCell::new(memo),
            asks: RefCell::default(),
            asker: Cell::default(),
            waiting: Rc::new(WaitingRequests::new(first_number)),
            now: Cell::new(monotonic()),
        }
    }

    /// Monotonic seconds, half a second late at most.
    pub fn now(&self) -> f64 {
        self.now.get()
    }

    /// It is so late.
    pub fn set_now(&self, now: f64) {
        self.now.set(now);
    }

    fn flow(&self) -> &Flow {
        &self.shared.shared_flow.flow
    }

    fn peer(&self, asker: Asker) -> Peer {
        self.flow().peer_called(asker.address, Transport::Https, asker.name)
    }

    /// The thread's side that others see.
    pub fn mailbox(&self) -> &Mailbox {
        &self.shared.streams.threads[usize::from(self.number)].letters.mailbox
    }

    /// Those who wait.
    pub fn waiting(&self) -> &WaitingRequests {
        &self.waiting
    }

    /// Answer a query, or say who will.
    pub fn answer(&self, octets: &[u8], asker: Asker) -> Answering {
        let policy = self.flow().policy();
        let began = monotonic();
        self.now.set(began);
        let mut counts = self.mailbox().counts.lock();
        let Some(policy) = policy.as_deref() else {
            return self.punt(None, octets, asker, &mut counts);
        };
        let mut out = Vec::with_capacity(ANSWER_OCTETS);
        let Some(outcome) = self.pass_gates(policy, octets, asker, began, &mut out, &mut counts) else {
            return Answering::Nothing;
        };
        match outcome {
            Outcome::Respond => {
                counts.tallies.settle(monotonic() - began);
                Answering::Now(out)
            }
            Outcome::Drop { .. } => {
                counts.tallies.settle(0.0);
                Answering::Nothing
            }
            Outcome::Ask => Answering::Later(self.ask(octets, asker)),
            Outcome::Punt => self.punt(Some(policy), octets, asker, &mut counts),
        }
    }

    /// None: a panic, which costs this query and the memo.
    fn pass_gates(
        &self,
        policy: &Policy,
        octets: &[u8],
        asker: Asker,
        now: f64,
        out: &mut Vec<u8>,
        counts: &mut ThreadCounts,
    ) -> Option<Outcome> {
        let mut outcome = Outcome::Respond;
        let mut memo = self.memo.borrow_mut();
        let answer = || {
            assert!(!self.mailbox().panics_next(), "a test wanted this panic");
            let queries = [Incoming { octets, address: asker.address, transport: Transport::Https }];
            let tallies = &mut counts.tallies;
            let context = BatchContext { now, memo: &mut memo, tallies, concluded: &mut 0 };
            let mut one = One { out, name: asker.name };
            self.flow().answer_batch(policy, &queries, context, &mut one, |_, other| outcome = other);
        };
        if catch_unwind(AssertUnwindSafe(answer)).is_ok() {
            return Some(outcome);
        }
        self.count_defect();
        *memo = Memo::new(self.shared.streams.bounds.memo_octets, &mut Entropy::new());
        None
    }

    fn ask(&self, octets: &[u8], asker: Asker) -> LateAnswer {
        let late = self.waiting.wait();
        let peer = self.peer(asker);
        self.asks.borrow_mut().push(StreamAsk {
            octets: octets.into(),
            peer,
            route: late.route(self.number),
        });
        if let Some(asker) = self.asker.take() {
            asker.wake();
        }
        late
    }

    /// Give what was asked since the last call to threads with sockets towards upstreams.
    ///
    /// `waker` is woken when there is something again.
    pub fn give_asks(&self, waker: &Waker) {
        self.asker.set(Some(waker.clone()));
        let mut asks = self.asks.take();
        if asks.is_empty() {
            return;
        }
        let is_any_there = give_to_ask(&self.shared.mailboxes, usize::from(self.number), &mut asks);
        let policy = self.flow().policy();
        let mut counts = self.mailbox().counts.lock();
        for StreamAsk { octets, peer, route } in asks {
            // Where no thread is there to ask, Python asks.
            let counters = &self.mailbox().counters;
            if !is_any_there && self.shared.ring.punt(counters, &octets, peer, Route::Stream(route)) {
                continue;
            }
            let refused =
                policy.as_deref().and_then(|policy| self.refused(policy, &octets, &peer, &mut counts));
            let answer = refused.map(|octets| StreamAnswer::Message(octets.into()));
            self.waiting.tell(route, answer.unwrap_or(StreamAnswer::Lost));
        }
    }

    fn punt(
        &self,
        policy: Option<&Policy>,
        octets: &[u8],
        asker: Asker,
        counts: &mut ThreadCounts,
    ) -> Answering {
        let late = self.waiting.wait();
        let peer = self.peer(asker);
        let route = Route::Stream(late.route(self.number));
        if self.shared.ring.punt(&self.mailbox().counters, octets, peer, route) {
            return Answering::Later(late);
        }
        match policy.and_then(|policy| self.refused(policy, octets, &peer, counts)) {
            Some(octets) => Answering::Now(octets),
            None => {
                add(&self.mailbox().counters.ring_full, 1);
                Answering::Nothing
            }
        }
    }

    /// What is said where there is no room for one more question; None: nothing.
    fn refused(
        &self,
        policy: &Policy,
        octets: &[u8],
        peer: &Peer,
        counts: &mut ThreadCounts,
    ) -> Option<Vec<u8>> {
        let mut out = Vec::with_capacity(ANSWER_OCTETS);
        let tallies = &mut counts.tallies;
        let refuse = || self.flow().refuse(policy, octets, peer, monotonic(), &mut out, tallies);
        match catch_unwind(AssertUnwindSafe(refuse)) {
            Ok(AskOutcome::Reply) => {
                counts.tallies.settle(0.0);
                Some(out)
            }
            Ok(_) => None,
            Err(_) => {
                self.count_defect();
                None
            }
        }
    }

    #[cold]
    fn count_defect(&self) {
        add(&self.mailbox().counters.panics, 1);
        self.shared.streams.count(StreamDrop::Defect);
    }
}
