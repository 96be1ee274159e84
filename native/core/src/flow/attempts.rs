//! Attempts: what an upstream is asked for a client, and what its answer must repeat.
//!
//! Knows: how a question is spelt for an upstream.  Does not know: who waits, sockets, what an answer means.
//! Theory: hundreds are out at a time, each of a size that allocators keep few of at hand, so the memory of those that
//! are over is used again.

use arrayvec::ArrayVec;

use super::flights::FlightKey;
use super::upstreams::{Carrier, First, LetterCase, UpstreamSet};
use crate::entropy::Entropy;
use crate::wire::encode::encode_question;
use crate::wire::names::{copy_into, NameBuf, NAME_OCTETS_MAX};
use crate::wire::numbers as dns;
use crate::wire::outcomes::SentQuery;
use crate::wire::query::Query;

/// Attempts that are over whose memory is kept: some 0.5 MB.
const SPARES_MAX: usize = 512;

/// One query to an upstream, sent or about to be.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The question.
    pub key: FlightKey,
    /// What was sent, as its answer must repeat it.
    pub sent: SentQuery,
    /// The whole message; who sends it over a stream takes it.
    pub octets: Vec<u8>,
    /// The upstream's number.
    pub upstream: u16,
    /// How it is asked.
    pub carrier: Carrier,
    /// Whether its AD bit is believed.
    pub trust_ad: bool,
    /// Whether Python judges what comes: the name was sent in mixed case to an upstream that found none so far.
    pub is_case_unproven: bool,
    /// Monotonic seconds.
    pub sent_at: f64,
    /// When its upstream is thought too slow: hand it over then.
    pub due_at: f64,
}

impl Attempt {
    /// One to be filled in.
    fn blank(key: FlightKey) -> Attempt {
        let sent = SentQuery {
            id: 0,
            qname: NameBuf::new(),
            name: NameBuf::new(),
            qtype: 0,
            qclass: dns::CLASS_IN,
            edns: false,
            dnssec_ok: false,
            is_stream: false,
        };
        let (octets, carrier) = (Vec::new(), Carrier::Udp);
        let (trust_ad, is_case_unproven) = (false, false);
        Attempt {
            key,
            sent,
            octets,
            upstream: 0,
            carrier,
            trust_ad,
            is_case_unproven,
            sent_at: 0.0,
            due_at: 0.0,
        }
    }
}

/// Makes one thread's attempts.
pub struct AttemptMaker {
    entropy: Entropy,
    // Why boxes: an attempt goes from hand to hand, and is large.
    #[allow(clippy::vec_box)]
    spares: Vec<Box<Attempt>>,
}

impl AttemptMaker {
    /// One with these numbers.
    #[must_use]
    pub fn new(entropy: Entropy) -> AttemptMaker {
        AttemptMaker { entropy, spares: Vec::new() }
    }

    /// Numbers that nobody can guess.
    pub fn entropy(&mut self) -> &mut Entropy {
        &mut self.entropy
    }

    /// An attempt is over; its memory is of use.
    pub fn end(&mut self, attempt: Box<Attempt>) {
        if self.spares.len() < SPARES_MAX {
            self.spares.push(attempt);
        }
    }

    /// The one attempt at a question that nobody asks yet.
    pub(super) fn make(
        &mut self,
        key: FlightKey,
        query: &Query,
        set: &UpstreamSet,
        first: First,
        now: f64,
    ) -> Box<Attempt> {
        let First { number, carrier } = first;
        let id = self.entropy.query_id();
        let mut attempt = self.spares.pop().unwrap_or_else(|| Box::new(Attempt::blank(key.clone())));
        // In place: it is too large to be copied for nothing.
        let sent = &mut attempt.sent;
        copy_into(&query.qname, &mut sent.name);
        // 0x20: a forger must also guess the case of every letter.  Over a stream there is none: who is not on the
        // path cannot write into a connection, and who is reads the letters.
        match set.letter_case {
            LetterCase::Unproven | LetterCase::Mixed if !carrier.is_stream() => {
                self.entropy.mix_case_into(&query.qname, &mut sent.qname);
            }
            _ => copy_into(&query.qname, &mut sent.qname),
        }
        (sent.id, sent.qtype, sent.edns) = (id, query.qtype, set.edns);
        (sent.dnssec_ok, sent.is_stream) = (query.dnssec_ok && set.edns, carrier.is_stream());
        encode_attempt(sent, query.checking_disabled(), &mut attempt.octets);
        attempt.key = key;
        (attempt.upstream, attempt.carrier, attempt.trust_ad) = (number, carrier, set.trust_ad);
        attempt.is_case_unproven =
            set.letter_case == LetterCase::Unproven && attempt.sent.qname != attempt.sent.name;
        (attempt.sent_at, attempt.due_at) = (now, now + set.timeout_s);
        attempt
    }
}

fn encode_attempt(sent: &SentQuery, checking_disabled: bool, octets: &mut Vec<u8>) {
    let mut question: ArrayVec<u8, { NAME_OCTETS_MAX + 4 }> = ArrayVec::new();
    for part in [&sent.qname[..], &sent.qtype.to_be_bytes(), &sent.qclass.to_be_bytes()] {
        let _ = question.try_extend_from_slice(part); // There is room for the longest name.
    }
    encode_question(sent.id, &question, sent.dnssec_ok, checking_disabled, sent.edns, octets);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::query::parse_query;

    const SET: UpstreamSet = UpstreamSet {
        first: None,
        edns: true,
        trust_ad: false,
        timeout_s: 0.4,
        probe_at: f64::INFINITY,
        letter_case: LetterCase::Lower,
        failure: None,
    };

    fn made(maker: &mut AttemptMaker, name: &[u8]) -> Box<Attempt> {
        let octets = [b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0", name, b"\0\x01\0\x01"].concat();
        let query = parse_query(&octets).unwrap();
        let key = FlightKey::new(query.question(), 0);
        maker.make(key, &query, &SET, First { number: 3, carrier: Carrier::Udp }, 1.0)
    }

    #[test]
    fn an_attempt_in_the_memory_of_one_that_is_over_is_like_any_other() {
        let mut fresh = AttemptMaker::new(Entropy::from_seed([7; 32]));
        let mut used = AttemptMaker::new(Entropy::from_seed([7; 32]));
        let long = [&[60][..], &[b'a'; 60], b"\x07example\0"].concat();
        for name in [&long[..], b"\x01a\x07example\0", b"\x03www\x07example\0"] {
            let (expected, got) = (made(&mut fresh, name), made(&mut used, name));
            assert_eq!(format!("{got:?}"), format!("{expected:?}"));
            assert_eq!(got.octets.len(), 12 + name.len() + 4 + 11);
            used.end(got);
        }
        assert_eq!((used.spares.len(), fresh.spares.len()), (1, 0));
    }

    #[test]
    fn the_memory_that_is_kept_is_bounded() {
        let mut maker = AttemptMaker::new(Entropy::from_seed([7; 32]));
        let over: Vec<_> = (0..SPARES_MAX + 5).map(|_| made(&mut maker, b"\x01a\0")).collect();
        over.into_iter().for_each(|attempt| maker.end(attempt));
        assert_eq!(maker.spares.len(), SPARES_MAX);
    }
}
