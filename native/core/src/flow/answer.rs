//! The synchronous half: one query, from its octets to what becomes of it.
//!
//! Knows: the order of the gates.  Does not know: sockets, upstreams beyond whether a suffix has its own.
//! The order is that of Python's `Service.answer_now`, gate by gate.

use super::outcome::Outcome;
use super::peer::Peer;
use super::query_context::QueryContext;
use super::served::Served;
use super::state::{Flow, Policy};
use super::tallies::{Reason, Source, Tallies};
use crate::policy::{Place, Probes, Verdict};
use crate::wire::encode::{encode_malformed, Reply};
use crate::wire::numbers as dns;
use crate::wire::query::{parse_query, Malformed, MalformedReason, Query};
use crate::wire::records::hinfo_body;

/// TTL of the HINFO that answers ANY (RFC 8482 §4.2).
const ANY_TTL_S: u32 = 3600;

/// What the client's own two gates say.
#[derive(Clone, Copy)]
pub(super) struct ClientCheck {
    pub is_allowed: bool,
    pub is_limited: bool,
}

impl ClientCheck {
    pub fn is_admitted(self) -> bool {
        self.is_allowed && !self.is_limited
    }
}

/// A query that was read, and where its name's look-up stands.
pub(super) struct ParsedQuery<'p, 'q> {
    pub octets: &'q [u8],
    pub query: &'p Result<Query<'q>, Malformed>,
    pub probes: &'p Probes,
    pub place: &'p Place,
}

impl ParsedQuery<'_, '_> {
    /// Whether other clients may ask the very same: options make a query its sender's own.
    pub fn may_be_repeated(&self) -> bool {
        self.query.as_ref().is_ok_and(|query| query.options.is_empty())
    }
}

impl Flow {
    /// Answer from what is known here, or say who must be asked.  Total, whatever the octets.
    ///
    /// With `Respond` the whole message is in `out`.  What is answered or dropped is counted in `tallies`, and
    /// recorded where records are kept; its time is counted by the `settle` that follows.
    pub fn answer_now(
        &self,
        policy: &Policy,
        octets: &[u8],
        peer: &Peer,
        now: f64,
        out: &mut Vec<u8>,
        tallies: &mut Tallies,
    ) -> Outcome {
        let query = parse_query(octets);
        // No use to probe a single name: nobody waits beside it.
        let prepared = ParsedQuery { octets, query: &query, probes: &Probes::default(), place: &None };
        let admission = self.admit(peer, now);
        let outcome =
            QueryContext::new(self, policy, peer, now, out, tallies).pass_gates(&prepared, admission);
        if outcome.is_final() {
            let answer = (outcome == Outcome::Respond).then_some(&**out);
            tallies.record(peer, now, octets, answer);
        }
        outcome
    }
}

impl QueryContext<'_> {
    pub fn pass_gates(&mut self, prepared: &ParsedQuery, admission: ClientCheck) -> Outcome {
        let config = &self.flow.config;
        let ClientCheck { is_allowed, is_limited } = admission;
        // Accept filter first: nothing behind it ever sees octets that are not one whole query.
        let query = match prepared.query {
            Ok(query) => query,
            Err(malformed) => {
                return match malformed.rcode {
                    None => self.drop(None, Reason::Malformed(malformed.reason), true),
                    Some(_) if is_limited => self.drop(None, Reason::RateLimit, false),
                    Some(_) if self.is_for_python(prepared.octets, malformed) => Outcome::Punt,
                    Some(rcode) => {
                        encode_malformed(prepared.octets, rcode, self.out);
                        self.respond(None, u16::from(rcode), Source::Local, (0, 0))
                    }
                };
            }
        };
        self.recognise(query);
        // The client list before anything that costs: a stranger gets one small answer (EDE 18, RA=0).
        if !is_allowed {
            if is_limited {
                return self.drop(Some(query.qtype), Reason::RateLimit, false);
            }
            // Without a text: the query's address may be somebody else's, so the answer hardly outgrows it.
            let prohibited = [(dns::EDE_PROHIBITED, "")];
            let reply = Reply { ede: &prohibited, ra: false, ..self.reply(query, dns::RCODE_REFUSED) };
            return self.send(query, reply, Source::Local, None);
        }
        // The rate before the work: TC=1 costs a real client one TCP connection, a forged one nothing.
        if is_limited {
            let reply = Reply { truncated: true, ..self.reply(query, dns::RCODE_NOERROR) };
            return self.send(query, reply, Source::Local, None);
        }
        // RFC 6891 §6.1.3: a version we do not speak leaves the rest of the query unread.
        if query.edns_version > 0 {
            return self.send(query, self.reply(query, dns::RCODE_BADVERS), Source::Local, None);
        }
        // Only the Internet class, only types that name data: nothing else may reach an upstream.
        if query.qclass != dns::CLASS_IN {
            return self.send(query, self.reply(query, dns::RCODE_REFUSED), Source::Local, None);
        }
        if let Some(rcode) = dns::meta_type_rcode(query.qtype) {
            return self.send(query, self.reply(query, u16::from(rcode)), Source::Local, None);
        }
        // Names of this site, then names that must not leave it, unless someone here serves them.
        let covers = |name: &[u8]| self.flow.upstreams.load().covers(name);
        if let Some(local) = config.local.find(query, &covers, self.table.is_filtering()) {
            let reply = Reply {
                body: &local.body,
                ancount: local.ancount,
                nscount: local.nscount,
                aa: local.is_authoritative,
                ..self.reply(query, local.rcode)
            };
            self.good_until = if local.is_lasting { f64::INFINITY } else { f64::NEG_INFINITY };
            return self.send(query, reply, Source::Local, None);
        }
        // Policy before the cache: a name blocked a moment ago is blocked, whatever is remembered.
        let verdict = self.table.judge_probed(&query.qname, prepared.probes, prepared.place, self.now);
        let verdict = self.over_transport(verdict);
        if verdict.is_blocked() {
            // Not for the memo: judging costs little more than remembering, and lists have many names.
            return self.deny(query, &verdict, None);
        }
        self.pass_policy(query, &verdict)
    }

    /// Whether this is the NOTIFY of a primary, which only who follows its zone can answer.
    fn is_for_python(&self, octets: &[u8], malformed: &Malformed) -> bool {
        malformed.reason == MalformedReason::Opcode
            && octets[2] >> 3 & 0xF == dns::OPCODE_NOTIFY
            && self.flow.notifiers.load().contains(&self.peer.address)
    }

    fn pass_policy(&mut self, query: &Query, verdict: &Verdict) -> Outcome {
        // RFC 8482: ANY gets one synthesized record, so no answer here amplifies.
        if query.qtype == dns::TYPE_ANY {
            let ttl_s = verdict.cap_s(self.now).map_or(ANY_TTL_S, |capped_s| capped_s.min(ANY_TTL_S));
            let mut body = Vec::with_capacity(32);
            hinfo_body(ttl_s, &mut body);
            let reply = Reply { body: &body, ancount: 1, ..self.reply(query, dns::RCODE_NOERROR) };
            return self.send(query, reply, Source::Local, Some(verdict));
        }
        self.look_up(query, verdict)
    }

    fn look_up(&mut self, query: &Query, verdict: &Verdict) -> Outcome {
        let flow = self.flow;
        flow.cache.lookup_counted(query.question(), self.now, !self.is_audit, |entry| {
            if let Some(entry) = entry {
                let has_answer = entry.response.is_some();
                if has_answer && self.now < entry.expires_at {
                    return Served::fresh(self, query, verdict, entry);
                }
                if let (Some(failure), true) = (&entry.failure, self.now < entry.failed_until) {
                    // RFC 9520: a failure is an answer for a while, or an outage becomes a retry storm.
                    if has_answer {
                        return Served::stale(self, query, verdict, entry);
                    }
                    let ede = [(dns::EDE_CACHED_ERROR, ""), (failure.0, &*failure.1)];
                    let reply = Reply { ede: &ede, ..self.reply(query, dns::RCODE_SERVFAIL) };
                    return self.send(query, reply, Source::Cache, Some(verdict));
                }
            }
            if !query.recursion_desired() {
                return self.send(query, self.reply(query, dns::RCODE_REFUSED), Source::Local, Some(verdict));
            }
            Outcome::Ask
        })
    }
}
