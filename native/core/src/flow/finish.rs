//! The asynchronous half: a question's one attempt here, and what its clients get of the reply.
//!
//! Knows: whom to ask first, who waits, what an accepted reply means.  Does not know: sockets, timers, what to
//! do when the first attempt brings nothing: that is Python's, by a handover.

use std::sync::atomic::Ordering;

use smallvec::SmallVec;

use super::attempts::{Attempt, AttemptMaker};
use super::flights::{FlightKey, Joined, Waiter, Waiters};
use super::outcome::Outcome;
use super::peer::Peer;
use super::query_context::QueryContext;
use super::route::Route;
use super::served::Served;
use super::shares::Entered;
use super::state::{Flow, Policy};
use super::tallies::{Reason, Source, Tallies};
use crate::policy::Verdict;
use crate::wire::encode::Reply;
use crate::wire::numbers as dns;
use crate::wire::outcomes::{Accepted, Response};
use crate::wire::query::{parse_query, Query};
use crate::wire::question::Question;
use crate::wire::response::accept_response;

const CROWDED: &str = "too many clients wait for upstreams";
const CLIENT_WAITS: &str = "too many queries of this client wait for upstreams";
const OVERLOADED: &str = "too many questions in flight";

/// What became of a query that was to be asked.
#[derive(Debug)]
pub enum AskOutcome {
    /// Send it; the client waits.  If that is impossible hand it over, as with a timeout.
    Send(Box<Attempt>),
    /// The answer to somebody else's same question will do for both.
    Joined,
    /// A limit is met: what to say instead is in `out`; counted.
    Reply,
    /// It gets no answer: its client has too many queries that wait, or the same waits already; counted.
    Drop,
    /// Python must ask.
    Punt,
}

/// What a reply came to.
#[derive(Debug, PartialEq, Eq)]
pub enum ResponseResult {
    /// It was the answer: `each` was called for all who waited.
    Done,
    /// It was anything else, or Python has claimed it: Python goes on with the attempt, these octets, and the
    /// waiters of `hand_over`.
    HandOver,
}

/// What one waiter gets.
#[derive(Debug, PartialEq, Eq)]
pub enum WaiterReply<'f> {
    /// This message; counted.
    Reply(&'f [u8]),
    /// Nothing; counted.
    Drop,
    /// Python must answer it.
    Punt,
}

/// What `on_response` works with, beside the reply.
pub struct ResponseContext<'h> {
    /// The policy in force.
    pub policy: &'h Policy,
    /// Monotonic seconds.
    pub now: f64,
    /// Reused for each message.
    pub out: &'h mut Vec<u8>,
    /// Where answers are counted; each is settled with its own time.
    pub tallies: &'h mut Tallies,
}

impl Flow {
    /// Ask an upstream what `answer_now` called `Ask`, or wait with somebody who does.
    #[allow(clippy::too_many_arguments)] // Each is a fact of its own; they come from three rooms.
    pub fn ask(
        &self,
        policy: &Policy,
        octets: &[u8],
        peer: &Peer,
        route: &Route,
        now: f64,
        maker: &mut AttemptMaker,
        out: &mut Vec<u8>,
        tallies: &mut Tallies,
    ) -> AskOutcome {
        let Ok(query) = parse_query(octets) else { return AskOutcome::Punt };
        let view = self.upstreams.load();
        let Some(number) = view.set_for(&query.qname) else { return AskOutcome::Punt };
        let Some(set) = view.set(number) else { return AskOutcome::Punt };
        let Some(first) = set.first.filter(|_| now < set.probe_at) else {
            return match &set.failure {
                // Python asks on for as many as it can bear, and so learns when one is back; also for whoever has few
                // that wait, or one client's dead names would keep the others from an upstream that is well.
                Some((code, why)) if self.is_enough_lost(peer.address) => {
                    Flow::count(&self.counts.asked);
                    Flow::count(&self.counts.overloads);
                    let mut query_context = QueryContext::new(self, policy, peer, now, out, tallies);
                    query_context.refuse(&query, (*code, why), Source::Upstream)
                }
                _ => AskOutcome::Punt,
            };
        };
        let mut query_context = QueryContext::new(self, policy, peer, now, out, tallies);
        if self.flights.is_crowded() {
            self.counts.overloads.fetch_add(1, Ordering::Relaxed);
            return query_context.refuse(&query, (dns::EDE_NETWORK_ERROR, CROWDED), Source::Local);
        }
        let key = FlightKey::new(query.question(), number);
        // Before the question is in the table: from then on somebody must send it, whatever happens.
        let attempt = maker.make(key, &query, set, first, now);
        let mark = self.mark_of(&attempt.key, octets, route);
        match self.flights.shares.enter(peer.address, mark) {
            Entered::Yes => {}
            Entered::Repeat => return query_context.drop_asked(&query, Reason::Repeat),
            // Over a stream it is told: who asks there does not ask again by himself.
            Entered::Full if peer.transport.is_stream() => {
                return query_context.refuse(&query, (dns::EDE_NETWORK_ERROR, CLIENT_WAITS), Source::Local);
            }
            Entered::Full => return query_context.drop_asked(&query, Reason::ClientWaits),
        }
        let waiter = || Waiter {
            octets: SmallVec::from_slice(octets),
            peer: *peer,
            route: *route,
            asked_at: now,
            mark,
        };
        let joined = self.flights.join(&attempt.key, waiter);
        if matches!(joined, Joined::AtPython | Joined::Full) {
            self.flights.shares.leave(peer.address, mark);
        }
        match joined {
            Joined::AtPython => AskOutcome::Punt,
            Joined::Full => {
                Flow::count(&self.counts.asked);
                Flow::count(&self.counts.overloads);
                query_context.refuse(&query, (dns::EDE_NETWORK_ERROR, OVERLOADED), Source::Upstream)
            }
            Joined::Second => {
                Flow::count(&self.counts.asked);
                Flow::count(&self.counts.coalesced);
                AskOutcome::Joined
            }
            Joined::First => {
                Flow::count(&self.counts.asked);
                AskOutcome::Send(attempt)
            }
        }
    }

    /// What a client gets whose query finds no way to Python: a stale answer if there is one, else SERVFAIL.
    ///
    /// `Punt`: nothing, for only Python knows the answer.
    pub fn refuse(
        &self,
        policy: &Policy,
        octets: &[u8],
        peer: &Peer,
        now: f64,
        out: &mut Vec<u8>,
        tallies: &mut Tallies,
    ) -> AskOutcome {
        let Ok(query) = parse_query(octets) else { return AskOutcome::Punt };
        Flow::count(&self.counts.overloads);
        let failure = self.upstreams.load().failure_for(&query.qname);
        let (code, why) = failure.unwrap_or((dns::EDE_NETWORK_ERROR, OVERLOADED.into()));
        QueryContext::new(self, policy, peer, now, out, tallies).refuse(
            &query,
            (code, &why),
            Source::Upstream,
        )
    }

    /// Judge octets that came for an attempt; `each` is called for all who waited if it is the answer.
    pub fn on_response(
        &self,
        attempt: &Attempt,
        octets: &[u8],
        context: ResponseContext,
        each: impl FnMut(&Waiter, WaiterReply),
    ) -> ResponseResult {
        if attempt.is_case_unproven {
            return ResponseResult::HandOver;
        }
        let Accepted::Response(mut response) = accept_response(octets, &attempt.sent) else {
            return ResponseResult::HandOver;
        };
        // An AD bit is worth what its sender is worth (RFC 4035 §3.2.3, §4.9.3).
        response.authentic_data &= attempt.trust_ad;
        let Some(waiters) = self.flights.take(&attempt.key) else { return ResponseResult::HandOver };
        self.finish(&attempt.key, response, waiters, context, each);
        ResponseResult::Done
    }

    /// Python goes on with an attempt: all who wait for it.  Its question stays Python's until `release`.
    pub fn hand_over(&self, key: &FlightKey) -> Waiters {
        self.flights.hand_over(key)
    }

    /// Python asks a question by itself.  If its attempt is out here that will be handed over, whatever becomes of
    /// it, and all who wait for it are given up now; `None`: it is not.
    pub fn claim(&self, question: Question) -> Option<Waiters> {
        self.flights.claim(&self.key(question)?)
    }

    /// Python is done with a question that it asked by itself.
    pub fn release(&self, question: Question) {
        if let Some(key) = self.key(question) {
            self.flights.release_key(&key);
        }
    }

    fn key(&self, question: Question) -> Option<FlightKey> {
        let set = self.upstreams.load().set_for(question.qname)?;
        Some(FlightKey::new(question, set))
    }

    /// Python is done with a question handed over, or it never got there.
    pub fn release_key(&self, key: &FlightKey) {
        self.flights.release_key(key);
    }

    fn finish(
        &self,
        key: &FlightKey,
        response: Response,
        waiters: Waiters,
        context: ResponseContext,
        mut each: impl FnMut(&Waiter, WaiterReply),
    ) {
        let ResponseContext { policy, now, out, tallies } = context;
        let mut end_wait =
            |waiter: &Waiter, serve: &mut dyn FnMut(&mut QueryContext, &Query, &Verdict) -> Outcome| {
                let mut query_context = QueryContext::new(self, policy, &waiter.peer, now, out, tallies);
                let outcome = query_context.finish_one(&waiter.octets, serve);
                if outcome.is_final() {
                    let answer = (outcome == Outcome::Respond).then_some(&**query_context.out);
                    query_context.tallies.record(&waiter.peer, now, &waiter.octets, answer);
                }
                query_context.tallies.settle(now - waiter.asked_at);
                each(
                    waiter,
                    match outcome {
                        Outcome::Respond => WaiterReply::Reply(query_context.out),
                        Outcome::Drop { .. } => WaiterReply::Drop,
                        Outcome::Ask | Outcome::Punt => WaiterReply::Punt,
                    },
                );
            };
        let mut others = waiters.as_slice();
        let shared = self.cache.store(key.question(), response, now, |kept| {
            let first = others.first();
            others = others.get(1..).unwrap_or_default();
            match kept {
                Ok(entry) => {
                    if let Some(waiter) = first {
                        end_wait(waiter, &mut |query_context, query, verdict| {
                            Served::kept(query_context, query, verdict, entry)
                        });
                    }
                    // A crowd must not keep others off the cache while its answers are made.
                    (!others.is_empty()).then(|| entry.response.clone()).flatten()
                }
                Err(response) => {
                    if let Some(waiter) = first {
                        end_wait(waiter, &mut |query_context, query, verdict| {
                            Served::unkept(query_context, query, verdict, &response)
                        });
                    }
                    Some(response)
                }
            }
        });
        let Some(response) = shared else { return };
        for waiter in others {
            end_wait(waiter, &mut |query_context, query, verdict| {
                Served::unkept(query_context, query, verdict, &response)
            });
        }
    }
}

impl QueryContext<'_> {
    /// One client's share of a response: the name is judged again, by today's policy.
    fn finish_one(
        &mut self,
        octets: &[u8],
        serve: &mut dyn FnMut(&mut QueryContext, &Query, &Verdict) -> Outcome,
    ) -> Outcome {
        let Ok(query) = parse_query(octets) else { return Outcome::Punt };
        self.recognise(&query);
        let verdict = self.table.judge_name(&query.qname, self.now);
        let verdict = self.over_transport(verdict);
        if verdict.is_blocked() {
            return self.deny(&query, &verdict, None);
        }
        serve(self, &query, &verdict)
    }

    /// What a client gets whose question is not asked: SERVFAIL with the reason, or a stale answer if there is one
    /// and it was not for want of room here.
    fn refuse(&mut self, query: &Query, failure: (u16, &str), source: Source) -> AskOutcome {
        self.recognise(query);
        let verdict = self.table.judge_name(&query.qname, self.now);
        let verdict = self.over_transport(verdict);
        if verdict.is_blocked() {
            return AskOutcome::Punt;
        }
        let ede = [failure];
        let flow = self.flow;
        let counts = !self.is_audit;
        let outcome = flow.cache.lookup_counted(query.question(), self.now, counts, |entry| match entry {
            Some(entry)
                if source == Source::Upstream && entry.response.is_some() && self.now < entry.stale_until =>
            {
                Served::stale(self, query, &verdict, entry)
            }
            _ => {
                let reply = Reply { ede: &ede, ..self.reply(query, dns::RCODE_SERVFAIL) };
                self.send(query, reply, source, Some(&verdict))
            }
        });
        if outcome == Outcome::Respond {
            self.tallies.record(self.peer, self.now, query.octets, Some(self.out));
            AskOutcome::Reply
        } else {
            AskOutcome::Punt
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::{Cache, CacheConfig};
    use crate::entropy::Entropy;
    use crate::flow::{
        Carrier, ClientNames, Clients, First, FlowConfig, LetterCase, Networks, Proxies, Recorded,
        StreamRoute, Transport, UpstreamSet, UpstreamView,
    };
    use crate::local::LocalNames;
    use crate::policy::{Image, PolicyTable};
    use crate::records::ring;
    use std::net::{IpAddr, Ipv4Addr};
    use std::panic::{catch_unwind, AssertUnwindSafe};
    use std::sync::Arc;

    const POLICY: &[u8] = include_bytes!("../../../fuzz/corpus/canary.policy");
    const QUERY: &[u8] = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x07unknown\x07example\0\0\x01\0\x01";

    fn make_flow() -> Flow {
        make_flow_over(Carrier::Udp)
    }

    fn make_flow_over(carrier: Carrier) -> Flow {
        let client = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let config = FlowConfig {
            clients: Clients::new(&[(client, 8)]),
            limiter: None,
            rotate_addresses: true,
            local: LocalNames::new(&[]),
            structured_errors: None,
            keepalive_units: [0, 100],
            nsid: Vec::new(),
            proxies: Proxies::default(),
            client_names: ClientNames::default(),
            trusted_proxies: Networks::default(),
            in_flight_max: 8,
            waiters_max: 8,
            waiting_max: 8,
            audit_secret: None,
        };
        let flow = Flow::new(config, Arc::new(Cache::new(CacheConfig::default())));
        let image = Arc::new(Image::open(Box::new(POLICY)).unwrap());
        flow.publish(PolicyTable::new(image, 1, 1.7e9, 0.0));
        let set = UpstreamSet {
            first: Some(First { number: 0, carrier }),
            edns: true,
            trust_ad: false,
            timeout_s: 0.4,
            probe_at: f64::INFINITY,
            letter_case: LetterCase::Mixed,
            failure: None,
        };
        flow.publish_upstreams(UpstreamView::new(vec![(Vec::new(), set)]));
        flow
    }

    fn ask(flow: &Flow, maker: &mut AttemptMaker) -> AskOutcome {
        ask_counted(flow, maker, &mut Tallies::default())
    }

    fn ask_counted(flow: &Flow, maker: &mut AttemptMaker, tallies: &mut Tallies) -> AskOutcome {
        let peer = flow.peer(IpAddr::V4(Ipv4Addr::LOCALHOST), Transport::Udp);
        let (route, mut out) = (Route::Stream(StreamRoute::numbered(1)), Vec::new());
        let policy = flow.policy();
        let policy = policy.as_deref().unwrap();
        flow.ask(policy, QUERY, &peer, &route, 1.0, maker, &mut out, tallies)
    }

    #[test]
    fn who_is_refused_for_load_is_counted_and_recorded_and_who_waits_is_not_yet() {
        let flow = make_flow();
        let mut maker = AttemptMaker::new(Entropy::from_seed([7; 32]));
        let (producer, mut consumer) = ring(4096);
        let mut tallies = Tallies::default();
        tallies.record_into(producer, Recorded::All, true);
        for _ in 0..flow.config.waiting_max {
            ask_counted(&flow, &mut maker, &mut tallies);
        }
        tallies.settle(0.0);
        assert_eq!((tallies.rows(), consumer.take(&mut Vec::new(), 1).0), (Vec::new(), 0));
        assert!(matches!(ask_counted(&flow, &mut maker, &mut tallies), AskOutcome::Reply));
        tallies.settle(0.0);
        assert_eq!(tallies.rows().iter().map(|row| row.count).sum::<u64>(), 1);
        assert_eq!(consumer.take(&mut Vec::new(), usize::MAX).0, 1);
    }

    #[test]
    fn over_a_stream_names_are_in_lower_case() {
        let mut maker = AttemptMaker::new(Entropy::from_seed([7; 32]));
        let mut attempt_over = |carrier| match ask(&make_flow_over(carrier), &mut maker) {
            AskOutcome::Send(attempt) => attempt,
            other => panic!("{other:?}"),
        };
        let (udp, tcp, tls) =
            (attempt_over(Carrier::Udp), attempt_over(Carrier::Tcp), attempt_over(Carrier::Tls));
        assert_ne!(udp.sent.qname, udp.sent.name);
        for attempt in [&tcp, &tls] {
            assert_eq!(attempt.sent.qname, attempt.sent.name);
            assert!(attempt.sent.is_stream && !attempt.is_case_unproven);
        }
    }

    #[test]
    fn a_panic_leaves_no_question_that_nobody_asks() {
        let flow = make_flow();
        let mut maker = AttemptMaker::new(Entropy::from_seed([7; 32]));
        maker.entropy().is_broken = true;
        assert!(catch_unwind(AssertUnwindSafe(|| ask(&flow, &mut maker))).is_err());
        assert_eq!((flow.in_flight(), flow.waiting()), (0, 0));
        maker.entropy().is_broken = false;
        assert!(matches!(ask(&flow, &mut maker), AskOutcome::Send(_)));
        assert!(matches!(ask(&flow, &mut maker), AskOutcome::Joined));
        assert_eq!((flow.in_flight(), flow.waiting()), (1, 2));
    }
}
