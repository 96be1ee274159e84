//! Streams of messages in pieces: what comes out is what went in, whole, in order, however it is cut.
//!
//! Knows: how messages stand in a stream (RFC 1035 §4.2.2).  Does not know: sockets, TLS.

use resolver_core::wire::frames::{first_frame, length_in_front, Frame, FRAME_HEAD_OCTETS};

use super::target::{claim, Target};
use crate::chance::Chance;
use crate::{corpus, mutate, names};

const HEADER_OCTETS: usize = 12;

/// See the module's text.
pub struct Streams {
    corpus: Vec<Vec<u8>>,
    messages: u64,
    ended: u64,
}

impl Streams {
    pub fn new() -> Streams {
        let queries = corpus::queries();
        let framed = |query: &Vec<u8>| match length_in_front(query) {
            Some(length) => [&length[..], query].concat(),
            None => Vec::new(),
        };
        let mut corpus: Vec<Vec<u8>> =
            queries.chunks(4).map(|some| some.iter().flat_map(framed).collect()).collect();
        corpus.push(vec![0, 0]);
        corpus.push([&[0, 11][..], &[0; 11]].concat());
        corpus.push([&[0xFF, 0xFF][..], &[0; 70_000]].concat());
        Streams { corpus, messages: 0, ended: 0 }
    }

    /// What a reader finds that is given `octets` in pieces of `piece`, and whether it gave up.
    fn read(octets: &[u8], piece: usize) -> (Vec<Vec<u8>>, bool) {
        let (mut pending, mut found) = (Vec::new(), Vec::new());
        for part in octets.chunks(piece) {
            pending.extend_from_slice(part);
            let mut at = 0;
            loop {
                match first_frame(&pending[at..]) {
                    Frame::Message(message) => {
                        found.push(message.to_vec());
                        at += FRAME_HEAD_OCTETS + message.len();
                    }
                    Frame::Part => break,
                    Frame::TooShort => return (found, true),
                }
            }
            pending.drain(..at);
        }
        (found, false)
    }
}

impl Target for Streams {
    fn name(&self) -> &'static str {
        names::STREAMS
    }

    fn make(&mut self, chance: &mut Chance) -> Vec<u8> {
        let (place, other) = (chance.below(self.corpus.len()), chance.below(self.corpus.len()));
        mutate::mutated(&self.corpus[place], &self.corpus[other], chance)
    }

    fn corpus(&self) -> Vec<Vec<u8>> {
        self.corpus.clone()
    }

    fn run(&mut self, case: &[u8]) -> Result<(), String> {
        let (whole, gave_up) = Streams::read(case, case.len().max(1));
        // The simplest reader there is.
        let mut at = 0;
        let mut ended = false;
        for message in &whole {
            let length = usize::from(u16::from_be_bytes([case[at], case[at + 1]]));
            claim(message.len() == length && length >= HEADER_OCTETS, "another length")?;
            claim(case[at + 2..at + 2 + length] == message[..], "other octets")?;
            at += 2 + length;
        }
        if let Some(&[high, low]) = case.get(at..at + 2) {
            let length = usize::from(u16::from_be_bytes([high, low]));
            let is_here = case.len() >= at + 2 + length;
            claim(!is_here || length < HEADER_OCTETS, "a whole message was left")?;
            ended = is_here;
        }
        claim(ended == gave_up, "a message too short was passed over, or none gave up")?;
        // In two other ways, of which one is octet by octet where that takes no time.
        let mark = case.iter().fold(1usize, |sum, &octet| sum.wrapping_mul(31) ^ usize::from(octet));
        for piece in [1 + mark % 97, if case.len() < 2_000 { 1 } else { 1_000 }] {
            claim(Streams::read(case, piece) == (whole.clone(), gave_up), "pieces say something else")?;
        }
        self.messages += whole.len() as u64;
        self.ended += u64::from(gave_up);
        Ok(())
    }

    fn facts(&self) -> String {
        format!("{} messages, {} streams given up", self.messages, self.ended)
    }
}
