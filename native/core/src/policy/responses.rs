//! Judges answers: the names that a chain or a service record leads to, and the addresses in them.
//!
//! Knows: in which order the parts of an answer are judged, what a verdict that holds over UDP only leaves
//! for a stream.  Does not know: which rule wins for a name (`table`), messages, the cache.

use super::table::{earlier, PolicyTable};
use crate::verdict::{Cause, Exemption, Judgement, PolicyAction, RuleKind, RuleMatch, Verdict};
use crate::wire::names::is_at_or_below;
use crate::wire::outcomes::Response;

/// What has been found out about one answer so far.
struct ResponseCheck<'v> {
    qname_verdict: &'v Verdict,
    skip_lists: bool,
    shadow: Option<u16>,
    valid_until: f64,
    /// The first verdict that holds over UDP only.
    held: Option<Verdict>,
}

/// What the names of an answer come to.
enum PartResult {
    Decided(Judgement),
    /// The chain leads to a protected name: what stands behind it is not judged.
    Protected,
    Nothing,
}

impl PolicyTable {
    /// What the rules say of an answer to `qname`, which itself is not blocked.
    pub fn judge_response(
        &self,
        qname_verdict: &Verdict,
        qname: &[u8],
        response: &Response,
        now: f64,
    ) -> Judgement {
        let has_names = !response.links.is_empty() || !response.service_targets.is_empty();
        if qname_verdict.exemption == Exemption::All || !(has_names || self.has_addresses()) {
            return Judgement::Same;
        }
        let mut check = ResponseCheck {
            qname_verdict,
            skip_lists: qname_verdict.exemption == Exemption::Lists,
            shadow: qname_verdict.shadow,
            valid_until: qname_verdict.valid_until,
            held: None,
        };
        if has_names {
            match self.judge_names(&mut check, qname, response, now) {
                PartResult::Decided(verdict) => return verdict,
                PartResult::Protected => return check.conclude(),
                PartResult::Nothing => {}
            }
        }
        if self.has_addresses() {
            if let Some(verdict) = self.judge_addresses(&mut check, response) {
                return verdict;
            }
        }
        check.conclude()
    }

    /// Whether a protected name decided; an exception of `allow` speaks for itself alone.
    fn is_protected(&self, verdict: &Verdict) -> bool {
        verdict.exemption == Exemption::All
            && verdict
                .matched
                .and_then(|matched| self.get_rule(matched.rule))
                .is_some_and(|rule| rule.kind == RuleKind::Protected)
    }

    /// What the names come to.
    fn judge_names(
        &self,
        check: &mut ResponseCheck<'_>,
        qname: &[u8],
        response: &Response,
        now: f64,
    ) -> PartResult {
        let links = response.links.len();
        let names = response.links.iter().map(|link| &link.target).chain(&*response.service_targets);
        for (number, name) in names.enumerate() {
            let verdict = self.judge_later(name, now, check.skip_lists);
            if verdict.is_pass() {
                continue;
            }
            check.note(verdict.shadow, verdict.valid_until);
            let on_chain = number < links;
            if on_chain && self.is_protected(&verdict) {
                // Whoever is led to a protected name gets what whoever asks for it gets: all behind it.
                return PartResult::Protected;
            }
            if !verdict.is_blocked() {
                continue;
            }
            let spoken = if on_chain {
                Verdict {
                    action: verdict.action,
                    matched: verdict.matched,
                    shadow: check.shadow,
                    denied: Some(name.clone()),
                    nxdomain_ok: verdict.nxdomain_ok,
                    valid_until: check.valid_until,
                    kept_links: count_of(number + 1),
                    ..Verdict::PASS
                }
            } else {
                let end = response.name_at_end.as_deref().unwrap_or(qname);
                let offset = verdict.matched.map_or(0, |known| known.owner_offset);
                let matched = verdict.matched.map(|known| within(known, name, end));
                check.at_end(response, verdict.action, matched, Cause::Service(name.clone(), offset))
            };
            if let Some(judgement) = check.speak(spoken) {
                return PartResult::Decided(judgement);
            }
        }
        PartResult::Nothing
    }

    /// The verdict, where an address decides it.
    fn judge_addresses(&self, check: &mut ResponseCheck<'_>, response: &Response) -> Option<Judgement> {
        for address in &response.addresses {
            let Some(opinion) = self.judge_address(address, check.skip_lists) else {
                continue;
            };
            check.note(opinion.shadow, opinion.valid_until);
            let Some(rule) = opinion.winner else { continue };
            // An address speaks of one type only, so the name may still exist: never NXDOMAIN.
            let action = self.get_rule(rule).map_or(PolicyAction::Passthru, |rule| rule.action);
            let matched = Some(RuleMatch { rule, form: None, owner_offset: 0 });
            let cause = Cause::Address(*address, opinion.network);
            let spoken = check.at_end(response, action, matched, cause);
            if let Some(judgement) = check.speak(spoken) {
                return Some(judgement);
            }
        }
        None
    }
}

impl ResponseCheck<'_> {
    fn note(&mut self, shadow: Option<u16>, valid_until: f64) {
        self.valid_until = earlier(self.valid_until, valid_until);
        self.shadow = self.shadow.or(shadow);
    }

    /// A verdict that denies the name at the chain's end.
    fn at_end(
        &self,
        response: &Response,
        action: PolicyAction,
        matched: Option<RuleMatch>,
        cause: Cause,
    ) -> Verdict {
        Verdict {
            action,
            matched,
            shadow: self.shadow,
            denied: response.name_at_end.clone(),
            valid_until: self.valid_until,
            kept_links: count_of(response.links.len()),
            cause: Some(Box::new(cause)),
            ..Verdict::PASS
        }
    }

    /// The judgement that a verdict on a part comes to; None: the parts behind it are to be judged.
    fn speak(&mut self, verdict: Verdict) -> Option<Judgement> {
        if verdict.action == PolicyAction::TcpOnly {
            self.held.get_or_insert(verdict);
            self.skip_lists = true; // The list has spoken; over a stream the rest is for exchanges.
            return None;
        }
        Some(Judgement::Other(Box::new(match self.held.take() {
            Some(held) => Verdict { over_stream: Some(Box::new(verdict)), ..held },
            None => verdict,
        })))
    }

    /// The judgement when no part of the answer has decided it.
    fn conclude(mut self) -> Judgement {
        let known = self.qname_verdict;
        let last = if self.shadow == known.shadow && self.valid_until == known.valid_until {
            None
        } else {
            Some(Box::new(Verdict {
                matched: known.matched,
                shadow: self.shadow,
                exemption: known.exemption,
                valid_until: self.valid_until,
                ..Verdict::PASS
            }))
        };
        let Some(held) = self.held.take() else {
            return last.map_or(Judgement::Same, Judgement::Other);
        };
        let over_stream = match last {
            None if known.action == PolicyAction::TcpOnly => None,
            None => Some(Box::new(known.clone())),
            last => last,
        };
        Judgement::Other(Box::new(Verdict { over_stream, ..held }))
    }
}

/// A match on `name`, as it stands to `end`, which is denied because of it.
fn within(known: RuleMatch, name: &[u8], end: &[u8]) -> RuleMatch {
    let owner = name.get(usize::from(known.owner_offset)..).unwrap_or(name);
    let is_above = is_at_or_below(end, owner);
    let owner_offset = if is_above { u8::try_from(end.len() - owner.len()).unwrap_or(0) } else { 0 };
    RuleMatch { owner_offset, ..known }
}

fn count_of(links: usize) -> u16 {
    u16::try_from(links).unwrap_or(u16::MAX)
}
