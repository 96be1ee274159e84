//! Upstream answers through acceptance: refused, or trimmed to a body that is whole and says what was asked.
//!
//! Knows: what must hold of an accepted answer.  Does not know: policy, cache.
//! A case: the place of its question in the corpus (two octets), then the message.

use resolver_core::wire::{
    accept_response, age_body, with_ttl, Accepted, Response, SentQuery, CHAIN_LINKS_MAX,
};

use super::target::{claim, Target};
use crate::chance::Chance;
use crate::corpus::{Answer, ANSWER_ID};
use crate::{corpus, message, mutate, names};

/// RRSIG, SIG and KEY-like records stand beside what they sign and may bear any owner's name.
const SIGNATURES: [u16; 2] = [46, 24];
/// DNAME stands above the names it redirects (RFC 6672 §2).
const DNAME: u16 = 39;

/// See the module's text.
pub struct Answers {
    corpus: Vec<Answer>,
    accepted: u64,
    truncated: u64,
    refused: u64,
    failures: u64,
}

impl Answers {
    pub fn new() -> Answers {
        Answers { corpus: corpus::answers(), accepted: 0, truncated: 0, refused: 0, failures: 0 }
    }
}

/// What was sent for an answer of the corpus.
pub fn sent_for(answer: &Answer) -> Option<SentQuery> {
    SentQuery::over_udp(ANSWER_ID, &answer.qname, answer.qtype, true, answer.dnssec_ok)
}

/// What must hold of every accepted answer to a question with this name and type.
pub fn check_response(qname: &[u8], qtype: u16, response: &Response) -> Result<(), String> {
    let mut whole = vec![0; 12];
    whole[5] = 1;
    whole[6..8].copy_from_slice(&response.ancount.to_be_bytes());
    whole[8..10].copy_from_slice(&response.nscount.to_be_bytes());
    whole.extend_from_slice(qname);
    whole.extend_from_slice(&qtype.to_be_bytes());
    whole.extend_from_slice(&[0, 1]);
    let body_start = whole.len();
    whole.extend_from_slice(&response.body);
    let read = message::read(&whole).ok_or("the body is not whole")?;
    claim(read.records.len() == response.ttls.len(), "a TTL is missing")?;
    for (record, ttl) in read.records.iter().zip(&response.ttls) {
        claim(record.ttl_at == body_start + usize::from(ttl.offset), "a TTL stands elsewhere")?;
        claim(record.ttl_s == ttl.ttl_s && ttl.ttl_s < 1 << 31, "a TTL is another")?;
    }
    claim(response.ttl_s < 1 << 31, "a lifetime over 31 bits")?;
    claim(response.links.len() <= CHAIN_LINKS_MAX, "a chain too long")?;
    let ends = response.links.iter().all(|link| usize::from(link.end) <= response.body.len());
    claim(ends && response.links.iter().all(|link| link.ancount <= response.ancount), "a link outside")?;
    let is_on_chain =
        |owner: &[u8]| owner == read.qname || response.links.iter().any(|link| *link.target == *owner);
    let stray = read.answers().find(|record| {
        !is_on_chain(&record.owner) && record.rtype != DNAME && !SIGNATURES.contains(&record.rtype)
    });
    claim(stray.is_none(), "a record of a name that was not asked")?;
    let end = response.name_at_end.as_deref().unwrap_or(&read.qname);
    claim(response.links.last().map_or(&*read.qname, |link| &link.target) == end, "another end")?;
    let mut aged = whole.clone();
    age_body(&mut aged, body_start, &response.ttls, 7, Some(30));
    with_ttl(&mut whole, body_start, &response.ttls, 30);
    for (octets, is_set) in [(&aged, false), (&whole, true)] {
        let read = message::read(octets).ok_or("an aged body is not whole")?;
        claim(read.records.iter().all(|record| record.ttl_s <= 30), "a TTL over the cap")?;
        claim(!is_set || read.records.iter().all(|record| record.ttl_s == 30), "a TTL was not set")?;
    }
    Ok(())
}

impl Target for Answers {
    fn name(&self) -> &'static str {
        names::ANSWERS
    }

    fn make(&mut self, chance: &mut Chance) -> Vec<u8> {
        let (place, other) = (chance.below(self.corpus.len()), chance.below(self.corpus.len()));
        let octets = &self.corpus[place].octets;
        let mut broken = mutate::mutated(octets, &self.corpus[other].octets, chance);
        let question_end = 12 + self.corpus[place].qname.len() + 4;
        if chance.below(4) > 0 && broken.len() >= question_end && octets.len() >= question_end {
            // Most of what is broken elsewhere would be refused at the question.
            broken[..6].copy_from_slice(&octets[..6]);
            broken[12..question_end].copy_from_slice(&octets[12..question_end]);
        }
        broken.splice(0..0, (place as u16).to_be_bytes());
        broken
    }

    fn corpus(&self) -> Vec<Vec<u8>> {
        let case =
            |(place, answer): (usize, &Answer)| [&(place as u16).to_be_bytes()[..], &answer.octets].concat();
        self.corpus.iter().enumerate().map(case).collect()
    }

    fn run(&mut self, case: &[u8]) -> Result<(), String> {
        let [high, low, octets @ ..] = case else { return Ok(()) };
        let place = usize::from(u16::from_be_bytes([*high, *low])) % self.corpus.len();
        let answer = &self.corpus[place];
        let Some(sent) = sent_for(answer) else { return Ok(()) };
        match accept_response(octets, &sent) {
            Accepted::Response(response) => {
                self.accepted += 1;
                claim(octets[..2] == ANSWER_ID.to_be_bytes(), "another ID was accepted")?;
                claim(octets[12..12 + answer.qname.len()] == answer.qname[..], "another name was accepted")?;
                check_response(&answer.qname, answer.qtype, &response)
            }
            Accepted::Truncated => {
                self.truncated += 1;
                claim(octets[2] & 2 != 0, "TC without its bit")
            }
            Accepted::Refused { .. } => {
                self.refused += 1;
                Ok(())
            }
            Accepted::UpstreamFailure { .. } => {
                self.failures += 1;
                Ok(())
            }
        }
    }

    fn facts(&self) -> String {
        format!(
            "{} accepted, {} truncated, {} failures, {} refused",
            self.accepted, self.truncated, self.failures, self.refused
        )
    }
}
