//! One query's way through the steps: what each of them needs, and how any of them ends it.
//!
//! Knows: the client, the policy in force, how a reply is encoded and counted.  Does not know: which step comes
//! next (`answer`).

use arrayvec::ArrayVec;

use super::memo::TTLS_MAX;
use super::outcome::Outcome;
use super::own_options::asked_by;
use super::peer::Peer;
use super::state::{Flow, Policy};
use super::tallies::{Ending, HitId, Reason, Source, Tallies};
use crate::policy::{policy_answer, AnswerForm, PolicyAction, PolicyAnswer, PolicyTable, Verdict};
use crate::wire::encode::{encode_response, response_limit, Reply};
use crate::wire::query::Query;
use crate::wire::turning::Turning;

/// What one query's way through the gates needs at every step.
pub(super) struct QueryContext<'v> {
    pub flow: &'v Flow,
    pub policy: &'v Policy,
    /// The client's.
    pub table: &'v PolicyTable,
    pub peer: &'v Peer,
    pub now: f64,
    pub out: &'v mut Vec<u8>,
    pub tallies: &'v mut Tallies,
    /// Until when the same octets get the same answer but for TTLs run down, should nothing be published.
    pub good_until: f64,
    /// When its TTLs become one second less; infinity: they do not run down.
    pub older_at: f64,
    /// Where they stand in the message.
    pub ttl_offsets: ArrayVec<u16, TTLS_MAX>,
    /// Which octets of it turn, and have been turned.
    pub turning: Turning,
    /// Whether the query is an audit's, which counts nowhere.
    pub is_audit: bool,
}

impl<'v> QueryContext<'v> {
    pub fn new(
        flow: &'v Flow,
        policy: &'v Policy,
        peer: &'v Peer,
        now: f64,
        out: &'v mut Vec<u8>,
        tallies: &'v mut Tallies,
    ) -> QueryContext<'v> {
        QueryContext {
            flow,
            policy,
            table: policy.table_of(peer),
            peer,
            now,
            out,
            tallies,
            good_until: f64::NEG_INFINITY,
            older_at: f64::INFINITY,
            ttl_offsets: ArrayVec::new(),
            turning: Turning::default(),
            is_audit: false,
        }
    }
}

impl QueryContext<'_> {
    // Verdicts.

    /// The verdict as it holds on this client's transport.
    pub fn over_transport(&self, verdict: Verdict) -> Verdict {
        if verdict.action == PolicyAction::TcpOnly && self.peer.transport.is_stream() {
            return verdict.over_stream();
        }
        verdict
    }

    /// The policy's answer; `kept` is the chain that leads to a denied later name, as of now, and its count.
    pub fn deny(&mut self, query: &Query, verdict: &Verdict, kept: Option<(&[u8], u16)>) -> Outcome {
        let limit = response_limit(query, self.peer.transport.is_stream());
        let hits = self.policy.hits.of(verdict);
        let structured = self.flow.config.structured_errors.as_ref().filter(|form| form.is_asked_by(query));
        let asked = asked_by(&self.flow.config, query, self.peer.transport);
        let form = AnswerForm { limit, kept, structured, asked };
        match policy_answer(self.table, query, verdict, form, self.now, self.out) {
            PolicyAnswer::Written { rcode } => {
                self.tallies.explain(verdict, &query.qname);
                self.respond(Some(query.qtype), u16::from(rcode), Source::Policy, hits)
            }
            PolicyAnswer::Drop => {
                self.tallies.explain(verdict, &query.qname);
                self.count(Some(query.qtype), Ending::Dropped(Reason::Policy), hits);
                Outcome::Drop { close: true }
            }
            PolicyAnswer::Redirect => Outcome::Punt,
        }
    }

    // Answers.

    /// A reply of our own with `rcode` and nothing else.
    pub fn reply<'r>(&self, query: &Query, rcode: u16) -> Reply<'r> {
        Reply {
            rcode,
            body: &[],
            ancount: 0,
            nscount: 0,
            limit: response_limit(query, self.peer.transport.is_stream()),
            ede: &[],
            options: &[],
            pads: false,
            ra: true,
            aa: false,
            ad: false,
            truncated: false,
        }
    }

    /// Encode `reply` with the options that this client gets; returns how many octets of its body are in it.
    pub fn encode(&mut self, query: &Query, reply: Reply) -> usize {
        if query.options.is_empty() {
            return encode_response(query, &reply, self.out);
        }
        let asked = asked_by(&self.flow.config, query, self.peer.transport);
        encode_response(query, &Reply { options: &asked.values, pads: asked.pads, ..reply }, self.out)
    }

    /// Encode and count.
    pub fn send(
        &mut self,
        query: &Query,
        reply: Reply,
        source: Source,
        verdict: Option<&Verdict>,
    ) -> Outcome {
        let rcode = reply.rcode;
        self.encode(query, reply);
        let hits = verdict.map_or((0, 0), |verdict| self.policy.hits.of(verdict));
        self.respond(Some(query.qtype), rcode, source, hits)
    }

    pub fn respond(
        &mut self,
        qtype: Option<u16>,
        rcode: u16,
        source: Source,
        hits: (HitId, HitId),
    ) -> Outcome {
        self.count(qtype, Ending::Answered(source, rcode), hits);
        Outcome::Respond
    }

    pub fn drop(&mut self, qtype: Option<u16>, reason: Reason, close: bool) -> Outcome {
        self.count(qtype, Ending::Dropped(reason), (0, 0));
        Outcome::Drop { close }
    }

    /// See whether this is an audit's query, before anything of it is counted.
    #[inline]
    pub(super) fn recognise(&mut self, query: &Query) {
        if !query.options.is_empty() {
            let secret = self.flow.config.audit_secret.as_ref();
            self.is_audit = secret.is_some_and(|secret| secret.is_carried_by(query));
        }
    }

    fn count(&mut self, qtype: Option<u16>, ending: Ending, hits: (HitId, HitId)) {
        if self.is_audit {
            self.tallies.touch_audit();
        } else {
            self.tallies.touch(self.peer.transport, qtype, ending, hits);
        }
    }
}
