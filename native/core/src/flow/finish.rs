//! The asynchronous half: a question's one attempt here, and what its clients get of the reply.
//!
//! Knows: whom to ask first, who waits, what an accepted reply means.  Does not know: sockets, timers, what to
//! do when the first attempt brings nothing: that is Python's, by a handover.

use std::sync::atomic::Ordering;

use super::flights::{FlightKey, Joined, Waiter, Waiters};
use super::outcome::Outcome;
use super::peer::Peer;
use super::route::Route;
use super::served::Served;
use super::state::{Flow, Policy};
use super::tallies::{Source, Tallies};
use super::upstreams::UpstreamSet;
use super::visit::Visit;
use crate::entropy::Entropy;
use crate::policy::{Judgement, Verdict};
use crate::wire::encode::{encode_question, Reply};
use crate::wire::numbers as dns;
use crate::wire::outcomes::{Accepted, Response, SentQuery};
use crate::wire::query::{parse_query, Query};
use crate::wire::response::accept_response;

const CROWDED: &str = "too many clients wait for upstreams";
const OVERLOADED: &str = "too many questions in flight";

/// One query to an upstream, sent or about to be.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The question.
    pub key: FlightKey,
    /// What was sent, as its answer must repeat it.
    pub sent: SentQuery,
    /// The whole message.
    pub octets: Vec<u8>,
    /// The upstream's number.
    pub upstream: u16,
    /// Whether its AD bit is believed.
    pub trust_ad: bool,
    /// Monotonic seconds.
    pub sent_at: f64,
    /// When its upstream is thought too slow: hand it over then.
    pub due_at: f64,
}

/// What became of a query that was to be asked.
#[derive(Debug)]
pub enum Asked {
    /// Send it; the client waits.  If that is impossible hand it over, as with a timeout.
    Send(Box<Attempt>),
    /// The answer to somebody else's same question will do for both.
    Joined,
    /// A limit is met: what to say instead is in `out`; counted.
    Reply,
    /// Python must ask.
    Punt,
}

/// What a reply came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// It was the answer: all who waited have been told.
    Done,
    /// It was anything else, or Python wants it: Python goes on with the attempt, these octets, and `hand_over`'s
    /// waiters.
    HandOver,
}

/// What one waiter gets.
#[derive(Debug, PartialEq, Eq)]
pub enum Finished<'f> {
    /// This message; counted.
    Reply(&'f [u8]),
    /// Nothing; counted.
    Drop,
    /// Python must answer it.
    Punt,
}

/// What `heard` works with, beside the reply.
pub struct Hearing<'h> {
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
        entropy: &mut Entropy,
        out: &mut Vec<u8>,
        tallies: &mut Tallies,
    ) -> Asked {
        let Ok(query) = parse_query(octets) else { return Asked::Punt };
        let view = self.upstreams.load();
        let Some(number) = view.set_for(&query.qname) else { return Asked::Punt };
        let Some(set) = view.set(number) else { return Asked::Punt };
        let Some(upstream) = set.first.filter(|_| now < set.probe_at) else { return Asked::Punt };
        let mut visit = Visit::new(self, policy, peer, now, out, tallies);
        if self.flights.is_crowded() {
            self.counts.overloads.fetch_add(1, Ordering::Relaxed);
            return visit.turn_away(&query, CROWDED);
        }
        let key = FlightKey {
            qname: query.qname.as_slice().into(),
            qtype: query.qtype,
            dnssec_ok: query.dnssec_ok,
            checking_disabled: query.checking_disabled(),
            set: number,
        };
        // Before the question is in the table: from then on somebody must send it, whatever happens.
        let attempt = Box::new(new_attempt(key, &query, set, upstream, now, entropy));
        let waiter = || Waiter { octets: octets.into(), peer: *peer, route: *route, asked_at: now };
        match self.flights.join(&attempt.key, waiter) {
            Joined::AtPython => Asked::Punt,
            Joined::Full => {
                Flow::count(&self.counts.asked);
                Flow::count(&self.counts.overloads);
                visit.turn_away(&query, OVERLOADED)
            }
            Joined::Second => {
                Flow::count(&self.counts.asked);
                Flow::count(&self.counts.coalesced);
                Asked::Joined
            }
            Joined::First => {
                Flow::count(&self.counts.asked);
                Asked::Send(attempt)
            }
        }
    }

    /// Judge octets that came for an attempt; `each` is called for all who waited if it is the answer.
    pub fn heard(
        &self,
        attempt: &Attempt,
        octets: &[u8],
        hearing: Hearing,
        each: impl FnMut(&Waiter, Finished),
    ) -> Heard {
        let Accepted::Response(mut response) = accept_response(octets, &attempt.sent) else {
            return Heard::HandOver;
        };
        if self.must_hand_over(&attempt.key, &response, &hearing) {
            return Heard::HandOver;
        }
        // An AD bit is worth what its sender is worth (RFC 4035 §3.2.3, §4.9.3).
        response.authentic_data &= attempt.trust_ad;
        let Some(waiters) = self.flights.take(&attempt.key) else { return Heard::HandOver };
        self.finish(&attempt.key, response, waiters, hearing, each);
        Heard::Done
    }

    /// Whether Python logs what its clients get of a response: it does so as of an upstream's answer.
    fn must_hand_over(&self, key: &FlightKey, response: &Response, hearing: &Hearing) -> bool {
        if !self.config.punt_blocked {
            return false;
        }
        let (table, now) = (&hearing.policy.everybody, hearing.now);
        let verdict = table.judge_name(&key.qname, now);
        self.is_logged(&verdict)
            || match table.judge_response(&verdict, &key.qname, response, now) {
                Judgement::Same => false,
                Judgement::Other(judgement) => self.is_logged(&judgement),
            }
    }

    /// Python goes on with an attempt: all who wait for it.  Its question stays Python's until `release`.
    pub fn hand_over(&self, key: &FlightKey) -> Waiters {
        self.flights.hand_over(key)
    }

    /// Python asks a question by itself.  If its attempt is out here that will be handed over, whatever becomes of
    /// it, and all who wait for it are given up now; `None`: it is not.
    pub fn want(
        &self,
        qname: &[u8],
        qtype: u16,
        dnssec_ok: bool,
        checking_disabled: bool,
    ) -> Option<Waiters> {
        self.flights.want(&self.key(qname, qtype, dnssec_ok, checking_disabled)?)
    }

    /// Python is done with a question that it asked by itself.
    pub fn let_go(&self, qname: &[u8], qtype: u16, dnssec_ok: bool, checking_disabled: bool) {
        if let Some(key) = self.key(qname, qtype, dnssec_ok, checking_disabled) {
            self.flights.release(&key);
        }
    }

    fn key(&self, qname: &[u8], qtype: u16, dnssec_ok: bool, checking_disabled: bool) -> Option<FlightKey> {
        let set = self.upstreams.load().set_for(qname)?;
        Some(FlightKey { qname: qname.into(), qtype, dnssec_ok, checking_disabled, set })
    }

    /// Python is done with a question handed over, or it never got there.
    pub fn release(&self, key: &FlightKey) {
        self.flights.release(key);
    }

    fn finish(
        &self,
        key: &FlightKey,
        response: Response,
        waiters: Waiters,
        hearing: Hearing,
        mut each: impl FnMut(&Waiter, Finished),
    ) {
        let Hearing { policy, now, out, tallies } = hearing;
        let mut tell = |waiter: &Waiter, serve: &mut dyn FnMut(&mut Visit, &Query, &Verdict) -> Outcome| {
            let mut visit = Visit::new(self, policy, &waiter.peer, now, out, tallies);
            let outcome = visit.finish_one(&waiter.octets, serve);
            visit.tallies.settle(now - waiter.asked_at);
            each(
                waiter,
                match outcome {
                    Outcome::Respond => Finished::Reply(visit.out),
                    Outcome::Drop { .. } => Finished::Drop,
                    Outcome::Ask | Outcome::Punt => Finished::Punt,
                },
            );
        };
        let flags = (key.dnssec_ok, key.checking_disabled);
        let mut others = waiters.as_slice();
        let shared = self.cache.store(&key.qname, key.qtype, flags.0, flags.1, response, now, |kept| {
            let first = others.first();
            others = others.get(1..).unwrap_or_default();
            match kept {
                Ok(entry) => {
                    if let Some(waiter) = first {
                        tell(waiter, &mut |visit, query, verdict| Served::kept(visit, query, verdict, entry));
                    }
                    // A crowd must not keep the others off the cache while it is told.
                    (!others.is_empty()).then(|| entry.response.clone()).flatten()
                }
                Err(response) => {
                    if let Some(waiter) = first {
                        tell(waiter, &mut |visit, query, verdict| {
                            Served::unkept(visit, query, verdict, &response)
                        });
                    }
                    Some(response)
                }
            }
        });
        let Some(response) = shared else { return };
        for waiter in others {
            tell(waiter, &mut |visit, query, verdict| Served::unkept(visit, query, verdict, &response));
        }
    }
}

/// The one attempt at a question that nobody asks yet.
fn new_attempt(
    key: FlightKey,
    query: &Query,
    set: &UpstreamSet,
    upstream: u16,
    now: f64,
    entropy: &mut Entropy,
) -> Attempt {
    let sent = SentQuery {
        id: entropy.query_id(),
        // 0x20: a forger must also guess the case of every letter.
        qname: entropy.mix_case(&query.qname),
        name: query.qname.clone(),
        qtype: query.qtype,
        qclass: dns::CLASS_IN,
        edns: set.edns,
        dnssec_ok: query.dnssec_ok && set.edns,
        is_stream: false,
    };
    let octets = encode_attempt(&sent, query.checking_disabled());
    let (sent_at, due_at) = (now, now + set.timeout_s);
    Attempt { key, sent, octets, upstream, trust_ad: set.trust_ad, sent_at, due_at }
}

fn encode_attempt(sent: &SentQuery, checking_disabled: bool) -> Vec<u8> {
    let mut question = sent.qname.to_vec();
    question.extend_from_slice(&sent.qtype.to_be_bytes());
    question.extend_from_slice(&sent.qclass.to_be_bytes());
    let mut octets = Vec::with_capacity(12 + question.len() + 11);
    encode_question(sent.id, &question, sent.dnssec_ok, checking_disabled, sent.edns, &mut octets);
    octets
}

impl Visit<'_> {
    /// One client's share of a response: the name is judged again, by today's policy.
    fn finish_one(
        &mut self,
        octets: &[u8],
        serve: &mut dyn FnMut(&mut Visit, &Query, &Verdict) -> Outcome,
    ) -> Outcome {
        let Ok(query) = parse_query(octets) else { return Outcome::Punt };
        let verdict = self.table.judge_name(&query.qname, self.now);
        let verdict = self.over_transport(verdict);
        if verdict.is_blocked() {
            return self.deny(&query, &verdict, None);
        }
        serve(self, &query, &verdict)
    }

    /// What a client gets when too many wait: a stale answer if there is one, else SERVFAIL with the reason.
    fn turn_away(&mut self, query: &Query, why: &str) -> Asked {
        let verdict = self.table.judge_name(&query.qname, self.now);
        let verdict = self.over_transport(verdict);
        if verdict.is_blocked() || self.must_punt(&verdict) {
            return Asked::Punt;
        }
        let ede = [(dns::EDE_NETWORK_ERROR, why)];
        let source = if why == CROWDED { Source::Local } else { Source::Upstream };
        let flow = self.flow;
        let (qtype, cd) = (query.qtype, query.checking_disabled());
        let outcome =
            flow.cache.lookup(&query.qname, qtype, query.dnssec_ok, cd, self.now, |entry| match entry {
                Some(entry)
                    if why == OVERLOADED && entry.response.is_some() && self.now < entry.stale_until =>
                {
                    Served::stale(self, query, &verdict, entry)
                }
                _ => {
                    let reply = Reply { ede: &ede, ..self.reply(query, dns::RCODE_SERVFAIL) };
                    self.send(query, reply, source, Some(&verdict))
                }
            });
        if outcome == Outcome::Respond {
            Asked::Reply
        } else {
            Asked::Punt
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::{Cache, CacheConfig};
    use crate::flow::{Clients, FlowConfig, Transport, UpstreamView};
    use crate::local::LocalNames;
    use crate::policy::{Image, PolicyTable};
    use std::net::{IpAddr, Ipv4Addr};
    use std::panic::{catch_unwind, AssertUnwindSafe};
    use std::sync::Arc;

    const POLICY: &[u8] = include_bytes!("../../../fuzz/corpus/canary.policy");
    const QUERY: &[u8] = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x07unknown\x07example\0\0\x01\0\x01";

    fn make_flow() -> Flow {
        let client = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let config = FlowConfig {
            clients: Clients::new(&[(client, 8)]),
            limiter: None,
            local: LocalNames::new(&[]),
            keepalive_units: 100,
            in_flight_max: 8,
            waiters_max: 8,
            waiting_max: 8,
            punt_blocked: false,
            punt_all: false,
        };
        let flow = Flow::new(config, Arc::new(Cache::new(CacheConfig::default())));
        let image = Arc::new(Image::open(Box::new(POLICY)).unwrap());
        flow.publish(PolicyTable::new(image, 1, 1.7e9, 0.0));
        let set = UpstreamSet {
            first: Some(0),
            edns: true,
            trust_ad: false,
            timeout_s: 0.4,
            probe_at: f64::INFINITY,
        };
        let server = (Ipv4Addr::new(192, 0, 2, 1), 53).into();
        flow.publish_upstreams(UpstreamView::new(vec![server], vec![(Vec::new(), set)]));
        flow
    }

    fn ask(flow: &Flow, entropy: &mut Entropy) -> Asked {
        let peer = flow.peer(IpAddr::V4(Ipv4Addr::LOCALHOST), Transport::Udp);
        let (route, mut out, mut tallies) = (Route::Stream { connection: 1 }, Vec::new(), Tallies::default());
        let policy = flow.policy();
        let policy = policy.as_deref().unwrap();
        flow.ask(policy, QUERY, &peer, &route, 1.0, entropy, &mut out, &mut tallies)
    }

    #[test]
    fn a_panic_leaves_no_question_that_nobody_asks() {
        let flow = make_flow();
        let mut entropy = Entropy::from_seed([7; 32]);
        entropy.is_broken = true;
        assert!(catch_unwind(AssertUnwindSafe(|| ask(&flow, &mut entropy))).is_err());
        assert_eq!((flow.in_flight(), flow.waiting()), (0, 0));
        entropy.is_broken = false;
        assert!(matches!(ask(&flow, &mut entropy), Asked::Send(_)));
        assert!(matches!(ask(&flow, &mut entropy), Asked::Joined));
        assert_eq!((flow.in_flight(), flow.waiting()), (1, 2));
    }
}
