//! A batch of queries that came together: answered so that they wait for memory together.
//!
//! Knows: the memo in front, the steps of preparing.  Does not know: sockets, what the gates decide.

use std::net::IpAddr;

use arrayvec::ArrayVec;

use super::answer::{ClientCheck, ParsedQuery};
use super::client_names::ClientName;
use super::memo::{Keeping, Memo, Trail};
use super::outcome::Outcome;
use super::peer::{Peer, Transport};
use super::query_context::QueryContext;
use super::state::{Flow, Policy};
use super::tallies::Tallies;
use crate::policy::{Probes, NAMES_ABREAST};
use crate::wire::query::parse_query;

/// Queries that go through each step together.
const ABREAST: usize = NAMES_ABREAST;

/// One query of a batch.
pub struct Incoming<'b> {
    /// Whole.
    pub octets: &'b [u8],
    /// The client's.
    pub address: IpAddr,
    /// How it came in.
    pub transport: Transport,
}

/// Where the answers of a batch are written.
pub trait ReplySink {
    /// Room for the next answer; what is in it is overwritten.
    fn room(&mut self) -> &mut Vec<u8>;
    /// Take what was written there as the answer to query number `index` of the batch.
    fn put(&mut self, index: usize);
    /// The name that the client of query number `index` gave itself.
    fn name_of(&self, _index: usize) -> Option<ClientName> {
        None
    }
    /// Whether query number `index` is to be left alone, because what was answered before leaves no room.
    fn must_skip(&mut self, _index: usize) -> bool {
        false
    }
}

/// What a thread works with.
pub struct BatchContext<'d> {
    /// Monotonic seconds.
    pub now: f64,
    /// The thread's.
    pub memo: &'d mut Memo,
    /// The thread's; settle them when the answers are sent.
    pub tallies: &'d mut Tallies,
    /// How many queries of the batch are concluded, those of earlier calls included.
    pub concluded: &'d mut usize,
}

impl Flow {
    /// Answer a batch of queries; `rest` is called for those that got no answer here, by their number.
    ///
    /// Begins at `context.concluded`, which is kept up to date, so that whoever catches a panic knows where it was.
    pub fn answer_batch(
        &self,
        policy: &Policy,
        queries: &[Incoming],
        context: BatchContext,
        replies: &mut impl ReplySink,
        mut rest: impl FnMut(usize, Outcome),
    ) {
        let BatchContext { now, memo, tallies, concluded } = context;
        while *concluded < queries.len() {
            let first = *concluded;
            let abreast = &queries[first..queries.len().min(first + ABREAST)];
            // Each loop is short on purpose: see `policy::Probes`.  A name is looked up alike for every group.
            let mut trails: ArrayVec<Trail, ABREAST> =
                abreast.iter().map(|query| memo.trail(query.octets, query.transport)).collect();
            trails.iter_mut().for_each(|trail| memo.sight(trail));
            let may_be_known: ArrayVec<bool, ABREAST> =
                trails.iter().map(|&trail| memo.approach(trail)).collect();
            let mut probes = Probes::default();
            let mut places = [const { None }; ABREAST];
            let mut read = ArrayVec::<_, ABREAST>::new();
            let mut row_of = [ABREAST; ABREAST];
            for (index, (query, is_known)) in abreast.iter().zip(may_be_known).enumerate() {
                if is_known {
                    continue;
                }
                row_of[index] = read.len();
                read.push(parse_query(query.octets));
                if let Some(Ok(query)) = read.last() {
                    places[index] = policy.everybody.probe(&query.qname, &mut probes);
                }
            }
            policy.everybody.approach(&mut probes);
            for (index, (query, &trail)) in abreast.iter().zip(&trails).enumerate() {
                let prepared = read.get(row_of[index]).map(|read| ParsedQuery {
                    octets: query.octets,
                    query: read,
                    probes: &probes,
                    place: &places[index],
                });
                let index = *concluded;
                if replies.must_skip(index) {
                    *concluded += 1;
                    continue;
                }
                let peer = self.peer_called(query.address, query.transport, replies.name_of(index));
                let mut single =
                    Single { flow: self, policy, peer: &peer, now, memo, tallies, replies, index };
                let outcome = single.answer(query.octets, trail, prepared.as_ref());
                *concluded += 1;
                if outcome != Outcome::Respond {
                    rest(index, outcome);
                }
            }
        }
    }
}

/// One query of a batch at its turn.
struct Single<'s, R> {
    flow: &'s Flow,
    policy: &'s Policy,
    peer: &'s Peer,
    now: f64,
    memo: &'s mut Memo,
    tallies: &'s mut Tallies,
    replies: &'s mut R,
    index: usize,
}

impl<R: ReplySink> Single<'_, R> {
    #[inline]
    fn answer(&mut self, octets: &[u8], trail: Trail, prepared: Option<&ParsedQuery>) -> Outcome {
        let flow = self.flow;
        let admission = flow.admit(self.peer, self.now);
        let generation = self.policy.table_of(self.peer).generation;
        // The memo speaks only where no gate before the policy could object: the same octets passed them
        // before, and the client's own two gates are behind us.
        if admission.is_admitted() {
            if let Some(known) = self.memo.find(trail, octets, generation, self.now) {
                let out = self.replies.room();
                out.clear();
                out.extend_from_slice(&octets[..2]);
                known.put(octets[1], out);
                self.tallies.touch_again(known.tally);
                self.tallies.record(self.peer, self.now, octets, Some(out));
                self.replies.put(self.index);
                return Outcome::Respond;
            }
        }
        let Some(prepared) = prepared else { return self.answer_unprepared(octets, trail, admission) };
        self.pass_gates(trail, prepared, admission)
    }

    /// What looked like a query in the memo was another one, or its answer holds no more.
    fn answer_unprepared(&mut self, octets: &[u8], trail: Trail, admission: ClientCheck) -> Outcome {
        let query = parse_query(octets);
        let prepared = ParsedQuery { octets, query: &query, probes: &Probes::default(), place: &None };
        self.pass_gates(trail, &prepared, admission)
    }

    fn pass_gates(&mut self, trail: Trail, prepared: &ParsedQuery, admission: ClientCheck) -> Outcome {
        let (flow, octets) = (self.flow, prepared.octets);
        let generation = self.policy.table_of(self.peer).generation;
        let out = self.replies.room();
        let mut context = QueryContext::new(flow, self.policy, self.peer, self.now, out, self.tallies);
        let outcome = context.pass_gates(prepared, admission);
        let QueryContext { good_until, older_at, ttl_offsets, turning, .. } = context;
        if outcome == Outcome::Respond {
            if self.now < good_until && prepared.may_be_repeated() {
                let tally = self.tallies.last_touched();
                let ttl_offsets = &ttl_offsets[..];
                let keeping = Keeping { generation, good_until, older_at, ttl_offsets, turning, tally };
                self.memo.remember(trail, octets, self.replies.room(), keeping);
            }
            self.tallies.record(self.peer, self.now, octets, Some(self.replies.room()));
            self.replies.put(self.index);
        } else if outcome.is_final() {
            self.tallies.record(self.peer, self.now, octets, None);
        }
        outcome
    }
}

impl Flow {
    /// A client, as this server stands to it now.
    #[inline]
    pub fn peer(&self, address: IpAddr, transport: Transport) -> Peer {
        Peer { address, transport, standing: self.config.clients.standing(address), name: None }
    }

    /// Whether this client may not ask.
    pub fn is_stranger(&self, address: IpAddr) -> bool {
        !self.config.clients.standing(address).is_allowed
    }

    /// The same of one with a name that is kept, as far as it may ask.
    #[inline]
    pub fn peer_called(&self, address: IpAddr, transport: Transport, name: Option<ClientName>) -> Peer {
        let peer = self.peer(address, transport);
        Peer { name: name.filter(|_| peer.standing.is_allowed), ..peer }
    }

    /// The same of one that gave itself a name (empty: none), as far as it may ask.
    #[inline]
    pub fn named_peer(&self, address: IpAddr, transport: Transport, name: &str) -> Peer {
        let peer = self.peer(address, transport);
        if name.is_empty() || !peer.standing.is_allowed {
            return peer;
        }
        Peer { name: self.config.client_names.keep(name, address), ..peer }
    }

    /// The client's own two gates: whether it may ask at all, and whether it asks too much.
    #[inline]
    pub(super) fn admit(&self, peer: &Peer, now: f64) -> ClientCheck {
        ClientCheck {
            is_allowed: peer.standing.is_allowed,
            // A stream client is bounded by its connections, and TC=1 must lead somewhere.
            is_limited: match &self.config.limiter {
                Some(limiter) if !peer.transport.is_stream() => !limiter.takes(peer.address, now),
                _ => false,
            },
        }
    }
}
