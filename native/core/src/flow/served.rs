//! Answers made from a response, cached or just accepted: judged, aged, encoded.
//!
//! Knows: entries, the response's side of the policy, TTLs.  Does not know: why there is a response.

use super::memo::TTLS_MAX;
use super::outcome::Outcome;
use super::query_context::QueryContext;
use super::tallies::Source;
use crate::cache::Entry;
use crate::policy::{Judgement, Verdict};
use crate::wire::encode::Reply;
use crate::wire::numbers as dns;
use crate::wire::numbers::NegativeKind;
use crate::wire::outcomes::Response;
use crate::wire::query::Query;
use crate::wire::ttl::{age_body, with_ttl};
use crate::wire::turning::Turning;

/// TTL of a stale answer (RFC 8767 §4 recommends 30 seconds).
const STALE_TTL_S: u32 = 30;
/// The TC bit in the upper octet of the flags.
const FLAG_TC_HIGH: u8 = 0x02;

/// What the body's TTLs become.
enum Ageing {
    By(u32, Option<u32>),
    To(u32),
}

impl Ageing {
    fn apply(&self, message: &mut [u8], body_start: usize, response: &Response) {
        match *self {
            Ageing::By(0, None) => {}
            Ageing::By(age_s, ttl_max) => age_body(message, body_start, &response.ttls, age_s, ttl_max),
            Ageing::To(ttl_s) => with_ttl(message, body_start, &response.ttls, ttl_s),
        }
    }
}

/// Answers from responses.
pub struct Served;

impl Served {
    /// A cached answer within its TTL.
    pub(super) fn fresh(
        context: &mut QueryContext,
        query: &Query,
        verdict: &Verdict,
        entry: &mut Entry,
    ) -> Outcome {
        let judged = Served::judged(context, query, verdict, entry);
        let judgement = judged.as_ref().unwrap_or(verdict);
        let Some(response) = &entry.response else { return Outcome::Ask };
        let age_s = (context.now - entry.stored_at).max(0.0) as u32;
        let capped_s = judgement.cap_s(context.now);
        let ageing = Ageing::By(age_s, capped_s);
        let (stored_at, expires_at) = (entry.stored_at, entry.expires_at);
        let outcome = Served::from_response(context, query, judgement, response, ageing, Source::Cache, &[]);
        if outcome == Outcome::Respond && !judgement.is_blocked() {
            Served::note_ageing(
                context,
                query,
                response,
                expires_at,
                stored_at + f64::from(age_s) + 1.0,
                capped_s,
            );
            if let Some(capped_s) = capped_s {
                // The whole seconds left become one fewer at this moment.
                context.good_until = context.good_until.min(judgement.valid_until - f64::from(capped_s));
            }
        }
        outcome
    }

    /// Say how long the answer just made may be repeated, and where its TTLs run down meanwhile.
    fn note_ageing(
        context: &mut QueryContext,
        query: &Query,
        response: &Response,
        expires_at: f64,
        older_at: f64,
        capped_s: Option<u32>,
    ) {
        context.good_until = expires_at;
        let is_whole = context.out.get(2).is_some_and(|flags| flags & FLAG_TC_HIGH == 0);
        let places = response.ttls.iter().map(|ttl| query.question_end as u16 + ttl.offset);
        if is_whole && capped_s.is_none() && response.ttls.len() <= TTLS_MAX {
            context.older_at = older_at;
            context.ttl_offsets.extend(places);
        } else {
            context.good_until = expires_at.min(older_at);
        }
    }

    /// A cached answer past its TTL, since upstreams are known to fail.
    pub(super) fn stale(
        context: &mut QueryContext,
        query: &Query,
        verdict: &Verdict,
        entry: &mut Entry,
    ) -> Outcome {
        let judged = Served::judged(context, query, verdict, entry);
        let judgement = judged.as_ref().unwrap_or(verdict);
        let Some(response) = &entry.response else { return Outcome::Ask };
        let ttl_s = judgement.cap_s(context.now).map_or(STALE_TTL_S, |capped_s| capped_s.min(STALE_TTL_S));
        let code = match response.negative {
            Some(NegativeKind::Nxdomain) => dns::EDE_STALE_NXDOMAIN_ANSWER,
            _ => dns::EDE_STALE_ANSWER,
        };
        Served::from_response(
            context,
            query,
            judgement,
            response,
            Ageing::To(ttl_s),
            Source::Stale,
            &[(code, "")],
        )
    }

    /// What an upstream just said, kept in `entry`.
    pub(super) fn kept(
        context: &mut QueryContext,
        query: &Query,
        verdict: &Verdict,
        entry: &mut Entry,
    ) -> Outcome {
        let judged = Served::judged(context, query, verdict, entry);
        let Some(response) = &entry.response else { return Outcome::Ask };
        Served::answered(context, query, judged.as_ref().unwrap_or(verdict), response)
    }

    /// What an upstream just said, not kept.
    pub(super) fn unkept(
        context: &mut QueryContext,
        query: &Query,
        verdict: &Verdict,
        response: &Response,
    ) -> Outcome {
        match context.table.judge_response(verdict, &query.qname, response, context.now) {
            Judgement::Same => Served::answered(context, query, verdict, response),
            Judgement::Other(judgement) => {
                let judgement = context.over_transport(*judgement);
                Served::answered(context, query, &judgement, response)
            }
        }
    }

    fn answered(
        context: &mut QueryContext,
        query: &Query,
        judgement: &Verdict,
        response: &Response,
    ) -> Outcome {
        let ageing = Ageing::By(0, judgement.cap_s(context.now));
        Served::from_response(context, query, judgement, response, ageing, Source::Upstream, &[])
    }

    /// The response-side verdict on a kept answer, judged again after each reload, as it holds for this client.
    ///
    /// None: the name's own, which is `verdict` and let it pass.
    fn judged(
        context: &QueryContext,
        query: &Query,
        verdict: &Verdict,
        entry: &mut Entry,
    ) -> Option<Verdict> {
        let generation = context.table.generation;
        if entry.judged_generation == generation {
            match &entry.judgement {
                None => return None,
                Some(known) if context.now < known.valid_until => {
                    return Some(context.over_transport((**known).clone()));
                }
                Some(_) => {}
            }
        }
        let response = entry.response.as_ref()?;
        let judgement = context.table.judge_response(verdict, &query.qname, response, context.now);
        entry.judged_generation = generation;
        entry.judgement = match judgement {
            Judgement::Same => None,
            Judgement::Other(other) => Some(other),
        };
        entry.judgement.as_deref().map(|judged| context.over_transport(judged.clone()))
    }

    fn from_response(
        context: &mut QueryContext,
        query: &Query,
        judgement: &Verdict,
        response: &Response,
        ageing: Ageing,
        source: Source,
        ede: &[(u16, &str)],
    ) -> Outcome {
        if judgement.is_blocked() {
            return Served::denied(context, query, judgement, response, &ageing);
        }
        let reply = Reply {
            body: &response.body,
            ancount: response.ancount,
            nscount: response.nscount,
            ede,
            // RFC 6840 §5.8: AD only to those who show that they understand it.
            ad: response.authentic_data && (query.dnssec_ok || query.flags & dns::FLAG_AD != 0),
            ..context.reply(query, response.rcode)
        };
        let body_end = query.question_end + context.encode(query, reply);
        if let Some(kept) = context.out.get_mut(..body_end) {
            ageing.apply(kept, query.question_end, response);
        }
        let is_whole = body_end == query.question_end + response.body.len();
        if source != Source::Upstream && is_whole && context.flow.config.rotate_addresses {
            if let Some(turning) = Turning::of(response) {
                context.turning = turning.at(query.question_end);
                context.turning.turn(context.out, query.turn());
            }
        }
        let hits = context.policy.hits.of(judgement);
        context.respond(Some(query.qtype), response.rcode, source, hits)
    }

    /// A denial behind what is kept of the chain.
    fn denied(
        context: &mut QueryContext,
        query: &Query,
        judgement: &Verdict,
        response: &Response,
        ageing: &Ageing,
    ) -> Outcome {
        let link = usize::from(judgement.kept_links).checked_sub(1).and_then(|last| response.links.get(last));
        let Some(link) = link else { return context.deny(query, judgement, None) };
        let mut body = response.body.to_vec();
        ageing.apply(&mut body, 0, response);
        let end = usize::from(link.end).min(body.len());
        context.deny(query, judgement, Some((&body[..end], link.ancount)))
    }
}
