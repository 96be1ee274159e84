//! Queries through the walker and the encoder: read as they stand, or refused; answered within bounds.
//!
//! Knows: what must hold of a query and its reply.  Does not know: policy, cache.

use resolver_core::wire::encode::PADDED_BLOCK_OCTETS;
use resolver_core::wire::{encode_malformed, encode_response, parse_query, response_limit, Query, Reply};

use super::target::{claim, Target};
use crate::chance::Chance;
use crate::{corpus, message, mutate, names};

/// See the module's text.
pub struct Queries {
    corpus: Vec<Vec<u8>>,
    out: Vec<u8>,
    read: u64,
    refused: u64,
}

impl Queries {
    pub fn new() -> Queries {
        Queries { corpus: corpus::queries(), out: Vec::new(), read: 0, refused: 0 }
    }

    fn check_reply(&mut self, query: &Query) -> Result<(), String> {
        // What is said follows from the case, so that the case alone tells all.
        let mark =
            query.octets.iter().fold(0u32, |sum, &octet| sum.wrapping_mul(31).wrapping_add(octet.into()));
        let body = b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\xc0\0\x02\x01".repeat(mark as usize % 90);
        let long = "ü".repeat(mark as usize % 150);
        let (errors, options) = ([(15, long.as_str()), (4, "")], [(11, &[0u8, 100][..])]);
        let is_stream = mark & 64 != 0;
        let reply = Reply {
            rcode: (mark >> 8) as u16 % 24,
            body: &body,
            ancount: (body.len() / 16) as u16,
            limit: response_limit(query, is_stream),
            ede: &errors[..mark as usize % 3],
            options: &options[..(mark >> 5) as usize % 2],
            pads: mark & 128 != 0,
            ..Reply::default()
        };
        let kept = encode_response(query, &reply, &mut self.out);
        claim(self.out.len() <= reply.limit, "a reply is longer than its limit")?;
        let is_padded = self.out.len() % PADDED_BLOCK_OCTETS == 0 || self.out.len() + 4 > reply.limit;
        claim(!reply.pads || !query.has_opt || is_padded, "a reply that is not padded")?;
        let read = message::read(&self.out).ok_or("a reply is not whole")?;
        claim(self.out[..2] == query.octets[..2], "another ID")?;
        claim(self.out[12..query.question_end] == query.octets[12..query.question_end], "another question")?;
        claim(read.flags & 0x8000 != 0 && read.flags & 0x7840 == 0, "QR, opcode or Z")?;
        claim(
            (kept == body.len()) == (read.flags & 0x0200 == 0),
            "TC without a reason, or a reason without TC",
        )?;
        claim(read.answers().count() == kept / 16, "answers lost")?;
        claim(read.records.iter().any(|record| record.rtype == 41) == query.has_opt, "OPT")
    }
}

impl Target for Queries {
    fn name(&self) -> &'static str {
        names::QUERIES
    }

    fn make(&mut self, chance: &mut Chance) -> Vec<u8> {
        let (place, other) = (chance.below(self.corpus.len()), chance.below(self.corpus.len()));
        if chance.one_in(3) {
            return mutate::varied(&self.corpus[place], chance);
        }
        mutate::mutated(&self.corpus[place], &self.corpus[other], chance)
    }

    fn corpus(&self) -> Vec<Vec<u8>> {
        self.corpus.clone()
    }

    fn run(&mut self, case: &[u8]) -> Result<(), String> {
        let query = match parse_query(case) {
            Ok(query) => query,
            Err(malformed) => {
                self.refused += 1;
                encode_malformed(case, malformed.rcode.unwrap_or(1), &mut self.out);
                claim(case.len() >= 12 || malformed.rcode.is_none(), "a stub is answered")?;
                return claim(self.out.len() == if case.len() < 12 { 0 } else { 12 }, "not a bare header");
            }
        };
        self.read += 1;
        let read = message::read(case).ok_or("the walker passed what is not whole")?;
        claim(case[2] & 0xF8 == 0, "a response or another opcode was passed")?;
        claim(read.qname == query.qname[..] && read.question_end == query.question_end, "another name")?;
        claim((read.qtype, read.qclass) == (query.qtype, query.qclass), "another type or class")?;
        claim(read.records.iter().all(|record| record.section == 2), "records besides additional ones")?;
        let opts = read.records.iter().filter(|record| record.rtype == 41);
        claim(opts.count() == usize::from(query.has_opt), "two OPTs, or one that is not there")?;
        claim(query.payload_octets >= 512, "a payload under 512")?;
        let octets: usize = query.options_iter().map(|(_, value)| 4 + value.len()).sum();
        claim(octets == query.options.len(), "options that do not fill their record")?;
        self.check_reply(&query)
    }

    fn facts(&self) -> String {
        format!("{} read, {} refused", self.read, self.refused)
    }
}
