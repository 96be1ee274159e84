//! What a thread with a datagram socket does for clients on streams: it asks their questions.
//!
//! Knows: questions put down for it, the ways back.  Does not know: connections, what an answer says.

use std::panic::{catch_unwind, AssertUnwindSafe};

use resolver_core::flow::{AskOutcome, Policy, Route};

use super::thread::ThreadLoop;
use crate::shared_flow::ThreadCounts;
use crate::stream_asks::StreamAsk;
use crate::stream_state::StreamAnswer;
use crate::sys::{monotonic, BATCH_MAX};
use crate::upstream_queries::LoopContext;

/// So long after a question of a stream a thread waits for its wakeup, too: more are on their way.
const STREAMS_ASK_S: f64 = 1.0;

impl ThreadLoop<'_> {
    /// Ask what clients on streams want to know; their answers go back to their threads.
    pub(super) fn ask_for_streams(&mut self) {
        let asks = self.mailbox.asks.take();
        self.now = monotonic();
        self.streams_ask_until = self.now + STREAMS_ASK_S;
        let mailbox = self.mailbox;
        let mut counts = mailbox.counts.lock();
        let policy = self.flow().policy();
        let Some(policy) = policy.as_deref() else {
            asks.iter().for_each(|ask| self.punt_for_stream(ask));
            return self.upstream_queries.send_answers();
        };
        let now = self.now;
        self.upstream_queries.make_room(&mut LoopContext { policy: Some(policy), counts: &mut counts, now });
        let mut out = Vec::new();
        // What is asked first does not wait until thousands more have been.
        for batch in asks.chunks(BATCH_MAX) {
            for ask in batch {
                self.ask_for_stream(ask, policy, &mut out, &mut counts);
            }
            let turn = &mut LoopContext { policy: Some(policy), counts: &mut counts, now };
            self.upstream_queries.send_taken(turn);
        }
        self.upstream_queries.send_answers();
    }

    fn ask_for_stream(
        &mut self,
        ask: &StreamAsk,
        policy: &Policy,
        out: &mut Vec<u8>,
        counts: &mut ThreadCounts,
    ) {
        let (flow, now, route) = (&self.shared.shared_flow.flow, self.now, Route::Stream(ask.route));
        let (maker, tallies) = (self.upstream_queries.maker(), &mut counts.tallies);
        let asked = || flow.ask(policy, &ask.octets, &ask.peer, &route, now, maker, out, tallies);
        let answer = match catch_unwind(AssertUnwindSafe(asked)) {
            Ok(AskOutcome::Send(attempt)) => return self.upstream_queries.take_on(attempt),
            Ok(AskOutcome::Joined) => return,
            Ok(AskOutcome::Punt) => return self.punt_for_stream(ask),
            Ok(AskOutcome::Drop) => StreamAnswer::Nothing { close: false },
            Ok(AskOutcome::Reply) => StreamAnswer::Message(out.as_slice().into()),
            Err(_) => {
                self.count_panic();
                StreamAnswer::Lost
            }
        };
        counts.tallies.settle(0.0);
        self.upstream_queries.late_answers().put_to_stream(ask.route, answer);
    }

    fn punt_for_stream(&mut self, ask: &StreamAsk) {
        let route = Route::Stream(ask.route);
        if !self.shared.ring.punt(self.counters, &ask.octets, ask.peer, route) {
            self.upstream_queries.late_answers().lose(&route);
        }
    }

    /// Python asks what was put down here and not taken; nothing more is.
    pub(super) fn give_up_asks(&mut self) {
        for ask in self.mailbox.asks.close() {
            self.punt_for_stream(&ask);
        }
    }
}
