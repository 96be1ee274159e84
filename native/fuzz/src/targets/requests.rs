//! Requests for DNS over HTTPS through everything that looks at their octets before an answer is made.
//!
//! Knows: what must hold of a path, a head, frames and an age.  Does not know: HTTP libraries, sockets.
//! A case: which of the four (one octet), where octets are cut in two (one octet), then the octets.

use resolver_core::http::{
    judge, max_age_s, FrameGuard, HeadGuard, Hushed, Rest, SentFrames, Wanted, DNS_PATH, MESSAGE_OCTETS_MIN,
};

use super::target::{claim, Target};
use crate::chance::Chance;
use crate::{corpus, message, mutate, names};

const TARGET: u8 = 0;
const HEADS: u8 = 1;
const FRAMES: u8 = 2;
const ANSWER: u8 = 3;

const HEAD_OCTETS_MAX: usize = 512;
const WINDOW_OCTETS: u32 = 131_070;
const PREFACE_OCTETS: usize = 24;

/// What requests are made of.
const WORDS: [&str; 26] = [
    "/dns-query",
    "?",
    "dns=",
    "&",
    "AAAB",
    "AA",
    "A",
    "-_",
    "=",
    "%3D",
    "/",
    "GET ",
    "POST ",
    " HTTP/1.1",
    "\r\n",
    "\r\n\r\n",
    "\n",
    "\r",
    "Host: a",
    "Content-Length: ",
    "content-length:3",
    "Transfer-Encoding: chunked",
    " ",
    "\t",
    "7",
    "AAABAAABAAAAAAAAA3d3dwdleGFtcGxlA2NvbQAAAQAB",
];

/// Words in a case, at most.
const WORDS_MAX: usize = 12;

/// See the module's text.
pub struct Requests {
    corpus: Vec<Vec<u8>>,
    queries: u64,
    heads: u64,
    refused: u64,
    ages: u64,
    rests: u64,
}

impl Requests {
    pub fn new() -> Requests {
        Requests { corpus: cases(), queries: 0, heads: 0, refused: 0, ages: 0, rests: 0 }
    }

    fn run_target(&mut self, octets: &[u8]) -> Result<(), String> {
        let target = String::from_utf8_lossy(octets);
        let Ok(wanted) = judge("GET", &target, None, None) else {
            self.refused += 1;
            return Ok(());
        };
        self.queries += 1;
        let Wanted::Answer(message) = wanted else { return Err("GET has a body".into()) };
        claim(message.len() >= MESSAGE_OCTETS_MIN, "a query shorter than a header")?;
        let query = target.strip_prefix(DNS_PATH).and_then(|rest| rest.strip_prefix('?'));
        let query = query.ok_or("another path")?;
        let values: Vec<&str> =
            query.split('&').filter_map(|parameter| parameter.strip_prefix("dns=")).collect();
        claim(values == [base64url(&message)], "another message, or another text for it")
    }

    fn run_heads(&mut self, octets: &[u8], cut: usize) -> Result<(), String> {
        let mut whole = HeadGuard::new(HEAD_OCTETS_MAX);
        let taken = whole.take(octets);
        let (first, second) = octets.split_at(cut.min(octets.len()));
        let mut pieces = HeadGuard::new(HEAD_OCTETS_MAX);
        let in_pieces = pieces.take(first).and_then(|()| pieces.take(second));
        // Of two faults in one head, the one that came whole is told; which that is may depend on the pieces.
        let is_same = taken.is_ok() == in_pieces.is_ok() && whole.is_over() == pieces.is_over();
        claim(is_same, "pieces are taken otherwise")?;
        if taken.is_err() {
            self.refused += 1;
            return Ok(());
        }
        self.heads += 1;
        let text = octets.to_ascii_lowercase();
        let has = |word: &[u8]| text.windows(word.len()).any(|window| window == word);
        // Without a body every line is a head's.
        if !has(b"content-length") && !has(b"transfer-encoding") {
            let pairs = octets.windows(2).filter(|pair| pair[1] == b'\n');
            claim(pairs.clone().all(|pair| pair[0] == b'\r'), "a line feed alone")?;
            claim(octets.first() != Some(&b'\n'), "a line feed alone, at the front")?;
        }
        Ok(())
    }

    fn run_frames(&mut self, octets: &[u8], cut: usize) -> Result<(), String> {
        let mut whole = FrameGuard::default();
        let taken = whole.take(octets);
        let (first, second) = octets.split_at(cut.min(octets.len()));
        let mut pieces = FrameGuard::default();
        let in_pieces = pieces.take(first).and_then(|()| pieces.take(second));
        claim(taken == in_pieces, "pieces are taken otherwise")?;
        // The same frames as what a server says, which has no preface.
        let said_octets = &octets[octets.len().min(PREFACE_OCTETS)..];
        let (first, second) = said_octets.split_at(cut.min(said_octets.len()));
        let (mut said, mut said_in_pieces) = (SentFrames::default(), SentFrames::default());
        said.take(said_octets);
        said_in_pieces.take(first);
        said_in_pieces.take(second);
        let rest = Rest::of(whole.heard(), said.said());
        claim(rest == Rest::of(pieces.heard(), said_in_pieces.said()), "pieces rest otherwise")?;
        let Some(rest) = rest else { return Ok(()) };
        self.rests += 1;
        let mut again = FrameGuard::default();
        claim(
            again.take(&rest.opening()).is_ok() && !again.is_within_frame(),
            "an opening that is no frames",
        )?;
        let (mut retold, mut kept) = (rest.retold(WINDOW_OCTETS), Vec::new());
        retold.take(said_octets, &mut kept);
        let (mut retold, mut kept_in_pieces) = (rest.retold(WINDOW_OCTETS), Vec::new());
        retold.take(first, &mut kept_in_pieces);
        retold.take(second, &mut kept_in_pieces);
        claim(kept == kept_in_pieces, "pieces are left out otherwise")?;
        let (mut hushed, mut heard) = (Hushed::default(), Vec::new());
        hushed.take(said_octets, &mut heard);
        let (mut hushed, mut heard_in_pieces) = (Hushed::default(), Vec::new());
        hushed.take(first, &mut heard_in_pieces);
        hushed.take(second, &mut heard_in_pieces);
        claim(heard == heard_in_pieces, "pieces are hushed otherwise")
    }

    fn run_answer(&mut self, octets: &[u8]) -> Result<(), String> {
        let age_s = max_age_s(octets);
        let Some(read) = message::read(octets) else { return Ok(()) };
        self.ages += 1;
        if !matches!(read.rcode(), 0 | 3) {
            return claim(age_s == 0, "a failure is kept");
        }
        let lives = read.records.iter().filter(|record| record.rtype != 41);
        let lowest_s = lives.map(|record| record.ttl_s).min().unwrap_or(0);
        claim(age_s <= lowest_s, "kept beyond a TTL")
    }
}

impl Target for Requests {
    fn name(&self) -> &'static str {
        names::REQUESTS
    }

    fn make(&mut self, chance: &mut Chance) -> Vec<u8> {
        if chance.one_in(3) {
            let words = (0..=chance.below(WORDS_MAX)).filter_map(|_| chance.of(&WORDS).copied());
            let text = words.collect::<String>();
            return [&[chance.below(2) as u8, chance.octet()], text.as_bytes()].concat();
        }
        let (place, other) = (chance.below(self.corpus.len()), chance.below(self.corpus.len()));
        let (case, other) = (&self.corpus[place], &self.corpus[other]);
        [&[case[0], chance.octet()], &mutate::mutated(&case[2..], &other[2..], chance)[..]].concat()
    }

    fn corpus(&self) -> Vec<Vec<u8>> {
        self.corpus.clone()
    }

    fn run(&mut self, case: &[u8]) -> Result<(), String> {
        let &[kind, cut, ref octets @ ..] = case else { return Ok(()) };
        match kind {
            TARGET => self.run_target(octets),
            HEADS => self.run_heads(octets, usize::from(cut)),
            FRAMES => self.run_frames(octets, usize::from(cut)),
            ANSWER => self.run_answer(octets),
            _ => Ok(()),
        }
    }

    fn facts(&self) -> String {
        let Requests { queries, heads, refused, ages, rests, .. } = self;
        format!("{queries} queries, {heads} heads, {ages} ages, {rests} rests, {refused} refused")
    }
}

fn cases() -> Vec<Vec<u8>> {
    let of = |kind: u8, octets: &[u8]| [&[kind, 7], octets].concat();
    let mut cases: Vec<Vec<u8>> = corpus::queries()
        .iter()
        .map(|query| of(TARGET, format!("{DNS_PATH}?dns={}", base64url(query)).as_bytes()))
        .collect();
    for head in [
        "GET /dns-query?dns=AAABAAABAAAAAAAAA3d3dwdleGFtcGxlA2NvbQAAAQAB HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /dns-query HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\n\r\n",
        "POST /dns-query HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ] {
        cases.push(of(HEADS, head.as_bytes()));
    }
    let frame = |kind: u8, flags: u8, payload: &[u8]| {
        let [_, high, middle, low] = (payload.len() as u32).to_be_bytes();
        [&[high, middle, low, kind, flags, 0, 0, 0, 1], payload].concat()
    };
    let opening = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(4, 0, &[0; 6])].concat();
    let request = [frame(1, 4, &[0x83, 0x87, 0x84]), frame(0, 1, &[0; 33])].concat();
    cases.push(of(FRAMES, &[&opening[..], &request].concat()));
    cases.push(of(FRAMES, &[&opening[..], &frame(6, 0, &[0; 8]).repeat(300)].concat()));
    // Both sides agree to settings, and a request is over.
    cases.push(of(FRAMES, &[&opening[..], &frame(4, 1, &[]), &request].concat()));
    cases.extend(corpus::answers().iter().map(|answer| of(ANSWER, &answer.octets)));
    cases
}

/// Written anew, so as to share no mistake with the core.
fn base64url(octets: &[u8]) -> String {
    const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for group in octets.chunks(3) {
        let bits =
            group.iter().fold(0u32, |bits, &octet| bits << 8 | u32::from(octet)) << (8 * (3 - group.len()));
        for place in 0..=group.len() {
            text.push(char::from(SIGNS[(bits >> (18 - 6 * place)) as usize & 63]));
        }
    }
    text
}
