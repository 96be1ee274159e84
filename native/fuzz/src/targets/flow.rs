//! Queries and upstream answers through the whole flow, with canaries: names whose right answer is known.
//!
//! Knows: how a flow is put together, what must hold of every message it sends.  Does not know: sockets.
//! A case: what it is (one octet), whose (one octet), then a query; or the place of an answer in the corpus (two
//! octets), three letters, what is spoilt, and the answer, which is asked for first.
//! Every query is recorded, and its line must be one line of printable characters.
//! Over UDP a query comes in a batch with the one before it and the canary's, so that the memo has to speak.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::sync::Arc;

use resolver_core::cache::{Cache, CacheConfig};
use resolver_core::entropy::Entropy;
use resolver_core::flow::{
    AskOutcome, Attempt, AttemptMaker, BatchContext, Carrier, ClientNames, Clients, First, Flow, FlowConfig,
    Incoming, LetterCase, Memo, Networks, Outcome, Peer, Policy, Proxies, RateLimiter, Recorded, ReplySink,
    ResponseContext, ResponseResult, Route, StreamRoute, Tallies, Transport, UpstreamSet, UpstreamView,
    WaiterReply,
};
use resolver_core::local::LocalNames;
use resolver_core::policy::{Image, PolicyTable, StructuredErrors};
use resolver_core::records::{ring, Format, Look, Records, ShownClients, Source};
use resolver_core::wire::{accept_response, Accepted, Question};

use super::answers::sent_for;
use super::target::{claim, Target};
use crate::chance::Chance;
use crate::corpus::{self, Answer, BLOCKED, CANARY, CANARY_ADDRESS, POLICY, PRINTER, PRINTER_ADDRESS};
use crate::{message, mutate, names};

const CACHE_OCTETS: usize = 16 << 20;
const MEMO_OCTETS: usize = 1 << 20;
const RECORD_OCTETS: usize = 1 << 20;
/// A bit of what is spoilt: Python asks the same while the answer is on its way.
const CLAIMED: u8 = 4;
/// Seconds that pass with each case.
const STEP_S: f64 = 0.001;
const LIMIT_QPS: u32 = 100;
const NOERROR: u16 = 0;
const NXDOMAIN: u16 = 3;
const TYPE_A: u16 = 1;
const ADDRESS_TYPES: [u16; 2] = [1, 28];

/// See the module's text.
pub struct Flows {
    queries: Vec<Vec<u8>>,
    answers: Vec<Answer>,
    flow: Flow,
    maker: AttemptMaker,
    tallies: Tallies,
    memo: Memo,
    out: Vec<u8>,
    previous: Vec<u8>,
    now: f64,
    responded: u64,
    dropped: u64,
    asked: u64,
    done: u64,
    handed_over: u64,
    canaries: u64,
    relearned: u64,
    source: Source,
    logged: u64,
}

/// The answers of a batch.
#[derive(Default)]
struct Rows {
    room: Vec<u8>,
    replies: Vec<(usize, Vec<u8>)>,
}

impl ReplySink for Rows {
    fn room(&mut self) -> &mut Vec<u8> {
        &mut self.room
    }

    fn put(&mut self, index: usize) {
        self.replies.push((index, self.room.clone()));
    }
}

/// What became of one query.
enum Sent {
    Answered,
    Nothing,
    Out(Box<Attempt>),
}

impl Flows {
    pub fn new() -> Flows {
        let image = Image::open(Box::new(POLICY)).expect("the corpus's policy is whole");
        let ipv4 = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 0));
        let printer = IpAddr::V4(PRINTER_ADDRESS.into());
        let config = FlowConfig {
            clients: Clients::new(&[(ipv4, 24)]),
            limiter: Some(RateLimiter::new(LIMIT_QPS)),
            rotate_addresses: true,
            local: LocalNames::new(&[(PRINTER.to_vec(), vec![printer])]),
            structured_errors: Some(StructuredErrors {
                option_code: 65001,
                sub_error: 5,
                organization: "\"o\":\"Example\"".to_owned(),
                language: "\"l\":\"en\"".to_owned(),
            }),
            keepalive_units: [0, 100],
            nsid: b"resolver-1".to_vec(),
            proxies: Proxies::default(),
            client_names: ClientNames::default(),
            trusted_proxies: Networks::default(),
            in_flight_max: 64,
            waiters_max: 8,
            waiting_max: 64,
            audit_secret: None,
        };
        let cache = Cache::new(CacheConfig { octets_max: CACHE_OCTETS, ..CacheConfig::default() });
        let flow = Flow::new(config, Arc::new(cache));
        flow.publish(PolicyTable::new(Arc::new(image), 1, 0.0, 0.0));
        let set = UpstreamSet {
            first: Some(First { number: 0, carrier: Carrier::Udp }),
            edns: true,
            trust_ad: true,
            timeout_s: 1.0,
            probe_at: f64::INFINITY,
            letter_case: LetterCase::Mixed,
            failure: None,
        };
        flow.publish_upstreams(UpstreamView::new(vec![(Vec::new(), set)]));
        let (producer, consumer) = ring(RECORD_OCTETS);
        let mut tallies = Tallies::new();
        tallies.record_into(producer, Recorded::All, true);
        Flows {
            queries: corpus::queries(),
            answers: corpus::answers(),
            flow,
            maker: AttemptMaker::new(Entropy::from_seed([7; 32])),
            tallies,
            memo: Memo::new(MEMO_OCTETS, &mut Entropy::from_seed([8; 32])),
            out: Vec::new(),
            previous: Vec::new(),
            now: 1000.0,
            responded: 0,
            dropped: 0,
            asked: 0,
            done: 0,
            handed_over: 0,
            canaries: 0,
            relearned: 0,
            source: Source::new(consumer),
            logged: 0,
        }
    }

    /// What the flow does with a query; a question that is to be asked is out then.
    fn send(&mut self, octets: &[u8], peer: &Peer) -> Result<Sent, String> {
        let policy = self.flow.policy();
        let policy: &Policy = policy.as_deref().ok_or("no policy")?;
        let outcome = self.flow.answer_now(policy, octets, peer, self.now, &mut self.out, &mut self.tallies);
        self.tallies.settle(0.0);
        match outcome {
            Outcome::Respond => {
                self.responded += 1;
                check_message(octets, &self.out, peer)?;
                Ok(Sent::Answered)
            }
            Outcome::Drop { .. } => {
                self.dropped += 1;
                Ok(Sent::Nothing)
            }
            Outcome::Punt => Err("a punt without a reason".to_owned()),
            Outcome::Ask => self.ask(octets, peer),
        }
    }

    /// Ask what nothing known answers.
    fn ask(&mut self, octets: &[u8], peer: &Peer) -> Result<Sent, String> {
        self.asked += 1;
        let policy = self.flow.policy();
        let policy: &Policy = policy.as_deref().ok_or("no policy")?;
        let route = Route::Stream(StreamRoute::numbered(self.asked));
        let asked = self.flow.ask(
            policy,
            octets,
            peer,
            &route,
            self.now,
            &mut self.maker,
            &mut self.out,
            &mut self.tallies,
        );
        self.tallies.settle(0.0);
        match asked {
            AskOutcome::Send(attempt) => Ok(Sent::Out(attempt)),
            AskOutcome::Joined => Ok(Sent::Nothing),
            AskOutcome::Reply | AskOutcome::Drop | AskOutcome::Punt => {
                Err("a question was neither sent nor joined".to_owned())
            }
        }
    }

    /// What the flow does with a query among others, as a thread has it.
    fn send_among_others(&mut self, octets: &[u8], peer: &Peer) -> Result<(), String> {
        let canary = message::query(9, CANARY, TYPE_A, false, false);
        let previous = std::mem::replace(&mut self.previous, octets.to_vec());
        let queries = [&canary[..], octets, &previous];
        let (mut rows, mut rest, mut concluded) = (Rows::default(), Vec::new(), 0);
        {
            let policy = self.flow.policy();
            let policy: &Policy = policy.as_deref().ok_or("no policy")?;
            let batch =
                queries.map(|octets| Incoming { octets, address: peer.address, transport: peer.transport });
            let (memo, tallies) = (&mut self.memo, &mut self.tallies);
            let context = BatchContext { now: self.now, memo, tallies, concluded: &mut concluded };
            self.flow.answer_batch(policy, &batch, context, &mut rows, |index, outcome| {
                rest.push((index, outcome))
            });
        }
        self.tallies.settle(0.0);
        claim(concluded == queries.len() && rows.replies.len() + rest.len() == concluded, "a query is lost")?;
        for (index, reply) in &rows.replies {
            self.responded += 1;
            check_message(queries[*index], reply, peer)?;
        }
        let mut attempts = Vec::new();
        for (index, outcome) in rest {
            match outcome {
                Outcome::Ask => {
                    if let Sent::Out(attempt) = self.ask(queries[index], peer)? {
                        attempts.push(attempt);
                    }
                }
                Outcome::Drop { .. } => self.dropped += 1,
                _ => return Err("a punt without a reason".to_owned()),
            }
        }
        attempts.iter().try_for_each(|attempt| self.end(attempt, 1..=3))
    }

    /// Give up on a question, as if Python had taken it over and ended it.
    fn end(&mut self, attempt: &Attempt, waiting: RangeInclusive<usize>) -> Result<(), String> {
        let waiters = self.flow.hand_over(&attempt.key);
        self.flow.release_key(&attempt.key);
        claim(waiting.contains(&waiters.len()), "more wait than asked, or fewer")
    }

    /// Let `reply` come for an attempt.
    fn answer(&mut self, octets: &[u8], peer: &Peer, attempt: &Attempt, reply: &[u8]) -> Result<(), String> {
        let policy = self.flow.policy();
        let policy: &Policy = policy.as_deref().ok_or("no policy")?;
        let mut replies = Vec::new();
        let each = |_: &_, finished: WaiterReply| {
            if let WaiterReply::Reply(message) = finished {
                replies.push(message.to_vec());
            }
        };
        let context =
            ResponseContext { policy, now: self.now, out: &mut self.out, tallies: &mut self.tallies };
        match self.flow.on_response(attempt, reply, context, each) {
            ResponseResult::Done => {
                self.done += 1;
                claim(reply[..2] == attempt.sent.id.to_be_bytes(), "another ID was believed")?;
                claim(replies.len() == 1, "an answer that nobody got")?;
                check_message(octets, &replies[0], peer)
            }
            ResponseResult::HandOver => {
                self.handed_over += 1;
                self.end(attempt, 1..=1)
            }
        }
    }

    /// Let `reply` come for an attempt while Python asks the same: it is Python's, whatever it says.
    fn answer_for_python(&mut self, attempt: &Attempt, reply: &[u8]) -> Result<(), String> {
        let key = &attempt.key;
        let (flow, now) = (&self.flow, self.now);
        let waiters = flow.claim(key.question());
        claim(waiters.is_some_and(|waiters| waiters.len() == 1), "not one who waits")?;
        let policy = flow.policy();
        let policy: &Policy = policy.as_deref().ok_or("no policy")?;
        let context = ResponseContext { policy, now, out: &mut self.out, tallies: &mut self.tallies };
        let result = flow.on_response(attempt, reply, context, |_, _| ());
        claim(result == ResponseResult::HandOver, "Python's answer was kept from it")?;
        claim(flow.hand_over(key).is_empty(), "somebody waits twice")?;
        flow.release(key.question());
        self.handed_over += 1;
        Ok(())
    }

    fn run_query(&mut self, octets: &[u8], peer: &Peer) -> Result<(), String> {
        match self.send(octets, peer)? {
            Sent::Out(attempt) => self.end(&attempt, 1..=1),
            _ => Ok(()),
        }
    }

    fn run_answer(
        &mut self,
        place: usize,
        letters: [u8; 3],
        spoils: u8,
        reply: &[u8],
        peer: &Peer,
    ) -> Result<(), String> {
        let answer = &self.answers[place % self.answers.len()];
        let letters = letters.map(|letter| b'a' + letter % 26);
        let qname = renamed(&answer.qname, letters);
        let (qtype, dnssec_ok) = (answer.qtype, answer.dnssec_ok);
        let octets = message::query(4711, &qname, qtype, dnssec_ok || spoils & 2 != 0, dnssec_ok);
        let Sent::Out(attempt) = self.send(&octets, peer)? else { return Ok(()) };
        if is_canary(attempt.key.question().qname) {
            // Whatever is said of it now would be the truth about it.
            return self.end(&attempt, 1..=1);
        }
        let mut reply = renamed(reply, letters);
        let question_end = 12 + attempt.sent.qname.len();
        if spoils & 1 == 0 && reply.len() >= question_end {
            reply[..2].copy_from_slice(&attempt.sent.id.to_be_bytes());
            reply[12..question_end].copy_from_slice(&attempt.sent.qname);
        }
        if spoils & CLAIMED != 0 && reply.len() >= 2 {
            return self.answer_for_python(&attempt, &reply);
        }
        self.answer(&octets, peer, &attempt, &reply)
    }

    fn run_case(&mut self, case: &[u8]) -> Result<(), String> {
        let (&[what, whose, ..], Some(octets)) = (case, case.get(2..)) else { return Ok(()) };
        // Now and then a stranger; over TCP now and then.
        let network = if whose & 0x0F == 15 { 100 } else { 2 };
        let transport = if whose & 16 == 0 { Transport::Udp } else { Transport::Tcp };
        let peer = self.flow.peer(Ipv4Addr::new(192, 0, network, whose & 7).into(), transport);
        match what & 1 {
            0 if peer.transport.is_stream() => return self.run_query(octets, &peer),
            0 => return self.send_among_others(octets, &peer),
            _ => {}
        }
        match octets {
            [high, low, one, two, three, spoils, reply @ ..] => {
                let place = usize::from(u16::from_be_bytes([*high, *low]));
                self.run_answer(place, [*one, *two, *three], *spoils, reply, &peer)
            }
            _ => Ok(()),
        }
    }

    /// Learn the canary's address; it may have had to make room for others.
    fn learn_canary(&mut self) -> Result<(), String> {
        let learnt =
            self.answers.iter().find(|answer| is_canary(&answer.qname)).ok_or("no canary in the corpus")?;
        let sent = sent_for(learnt).ok_or("no question")?;
        let Accepted::Response(response) = accept_response(&learnt.octets, &sent) else {
            return Err("the canary is refused".to_owned());
        };
        self.relearned += 1;
        let kept =
            self.flow.cache().store(Question::plain(CANARY, TYPE_A), response, self.now, |kept| kept.is_ok());
        claim(kept, "the canary is not kept")
    }

    fn check_canaries(&mut self) -> Result<(), String> {
        let peer = self.flow.peer(Ipv4Addr::new(192, 0, 2, 250).into(), Transport::Tcp);
        let canary = message::query(1, CANARY, TYPE_A, false, false);
        match self.send(&canary, &peer)? {
            Sent::Out(attempt) => {
                self.end(&attempt, 1..=1)?;
                self.learn_canary()?;
            }
            _ => claim(self.addresses()? == [CANARY_ADDRESS], "the cached canary has another address")?,
        }
        self.run_query(&message::query(2, PRINTER, TYPE_A, true, false), &peer)?;
        claim(self.addresses()? == [PRINTER_ADDRESS], "the local canary has another address")?;
        for prefix in [&b""[..], b"\x03www", b"\x01a\x01b"] {
            self.run_query(&message::query(3, &[prefix, BLOCKED].concat(), TYPE_A, true, true), &peer)?;
            let read = message::read(&self.out).ok_or("not whole")?;
            claim(read.rcode() == NXDOMAIN && read.answers().count() == 0, "the blocked canary is not")?;
        }
        self.canaries += 5;
        Ok(())
    }

    /// What was recorded makes as many lines, and every query that came to an end was.
    fn check_log(&mut self) -> Result<(), String> {
        let (flow, tallies) = (&self.flow, &self.tallies);
        if let Some(part) = self.source.take(|first| flow.kinds(tallies.labels(first))) {
            let records = Records { parts: vec![part] };
            self.logged += records.count(false) as u64;
            let written = |format| {
                let clients = ShownClients::Full;
                Look { format, clients, only_blocked: false, head: Vec::new() }.written(
                    &records,
                    1.7e9,
                    usize::MAX,
                )
            };
            for format in [Format::Text, Format::Json, Format::Jsonl] {
                let (lines, count) = written(format);
                let text = std::str::from_utf8(&lines).map_err(|_| "a line is no text")?;
                claim(text.ends_with('\n') && text.lines().count() == count, "not a line for each")?;
                claim(count == records.count(false), "not a line for each")?;
                let is_printable = |c: char| matches!(c, ' '..='~' | '\n' | '…');
                claim(text.chars().all(is_printable), "a line that does not print")?;
            }
            for format in [Format::Dnstap, Format::Syslog] {
                let (octets, count) = written(format);
                let framed = frames_in(&octets, format).ok_or("a frame is not whole")?;
                claim(framed == records.count(false) && framed == count, "not a frame for each")?;
            }
        }
        claim(self.source.lost(false) == 0, "a record is lost")?;
        claim(self.logged == self.responded + self.dropped + self.done, "a query is not recorded, or twice")
    }

    fn addresses(&self) -> Result<Vec<[u8; 4]>, String> {
        let read = message::read(&self.out).ok_or("not whole")?;
        claim(read.rcode() == NOERROR, "no answer to a canary")?;
        Ok(read.answers().filter_map(|record| record.rdata.clone().try_into().ok()).collect())
    }
}

fn is_canary(qname: &[u8]) -> bool {
    qname.eq_ignore_ascii_case(CANARY)
}

/// Octets with other letters where `www` stands as a label, so that a few answers are many.
fn renamed(octets: &[u8], letters: [u8; 3]) -> Vec<u8> {
    let mut renamed = octets.to_vec();
    for at in 0..octets.len().saturating_sub(3) {
        if octets[at] == 3 && octets[at + 1..at + 4].eq_ignore_ascii_case(b"www") {
            renamed[at + 1..at + 4].copy_from_slice(&letters);
        }
    }
    renamed
}

/// What must hold of whatever a client is sent.
fn check_message(query: &[u8], reply: &[u8], peer: &Peer) -> Result<(), String> {
    claim(reply.len() >= 12 && reply[..2] == query[..2], "another ID")?;
    claim(reply[2] & 0x80 != 0 && reply[2] & 0x78 == query[2] & 0x78, "QR or opcode")?;
    claim(query[2] & 0x80 == 0, "a response was answered")?;
    claim(peer.transport.is_stream() || reply.len() <= 1232, "an amplifier")?;
    if reply.len() == 12 {
        return claim(reply[3] & 15 != 0, "a bare header that says nothing");
    }
    let read = message::read(reply).ok_or("a message that is not whole")?;
    claim(query.get(12..read.question_end) == reply.get(12..read.question_end), "another question")?;
    let address = |record: &&message::Record| ADDRESS_TYPES.contains(&record.rtype);
    for record in read.answers().filter(address) {
        claim(!message::is_within(&record.owner, BLOCKED), "a blocked name's address")?;
        if record.owner == CANARY && read.qname == CANARY && read.qtype == TYPE_A {
            claim(record.rdata == CANARY_ADDRESS, "a wrong canary")?;
        }
    }
    claim(
        !message::is_within(&read.qname, BLOCKED) || read.answers().count() == 0,
        "a blocked name's records",
    )
}

impl Target for Flows {
    fn name(&self) -> &'static str {
        names::FLOW
    }

    fn make(&mut self, chance: &mut Chance) -> Vec<u8> {
        let mut case = vec![chance.octet(), chance.octet()];
        if case[0] & 1 == 0 {
            let (place, other) = (chance.below(self.queries.len()), chance.below(self.queries.len()));
            case.extend(mutate::mutated(&self.queries[place], &self.queries[other], chance));
        } else {
            let (place, other) = (chance.below(self.answers.len()), chance.below(self.answers.len()));
            case.extend_from_slice(&(place as u16).to_be_bytes());
            case.extend(chance.octets(3));
            let spoils = chance.octet() & !CLAIMED | if chance.one_in(16) { CLAIMED } else { 0 };
            case.push(if chance.one_in(8) { spoils } else { spoils & !1 });
            let octets = &self.answers[place].octets;
            if chance.one_in(4) {
                case.extend_from_slice(octets);
            } else {
                case.extend(mutate::mutated(octets, &self.answers[other].octets, chance));
            }
        }
        case
    }

    fn corpus(&self) -> Vec<Vec<u8>> {
        let queries = self.queries.iter().map(|octets| [&[0, 1], &octets[..]].concat());
        let answers = self.answers.iter().enumerate().map(|(place, answer)| {
            let [high, low] = (place as u16).to_be_bytes();
            [&[1, 1, high, low, 22, 22, 22, 0], &answer.octets[..]].concat()
        });
        queries.chain(answers).collect()
    }

    fn run(&mut self, case: &[u8]) -> Result<(), String> {
        self.now += STEP_S;
        self.run_case(case)?;
        self.check_log()
    }

    fn check(&mut self) -> Result<(), String> {
        claim(self.flow.in_flight() == 0 && self.flow.waiting() == 0, "something is still in flight")?;
        claim(self.flow.cache().counters().octets <= CACHE_OCTETS as u64, "the cache is over its limit")?;
        self.check_canaries()?;
        self.check_log()
    }

    fn memory_octets_max(&self) -> u64 {
        (CACHE_OCTETS + CACHE_OCTETS / 10 + RECORD_OCTETS + (8 << 20)) as u64
    }

    fn facts(&self) -> String {
        let counters = self.flow.cache().counters();
        format!(
            "{} answered, {} dropped, {} asked ({} done, {} handed over), {} canaries asked, {} relearned, \
             cache {} entries, {:.1} MB, {} evictions",
            self.responded,
            self.dropped,
            self.asked,
            self.done,
            self.handed_over,
            self.canaries,
            self.relearned.saturating_sub(1),
            counters.entries,
            counters.octets as f64 / 1e6,
            counters.evictions
        )
    }
}

/// How many frames of dnstap or counted messages of syslog these are; None: the last one is not whole.
fn frames_in(octets: &[u8], format: Format) -> Option<usize> {
    let (mut rest, mut count) = (octets, 0);
    while !rest.is_empty() {
        let (head, length) = if format == Format::Dnstap {
            (4, u32::from_be_bytes(*rest.first_chunk()?) as usize)
        } else {
            let digits = rest.iter().position(|&octet| octet == b' ')?;
            (digits + 1, std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()?)
        };
        rest = rest.get(head + length..)?;
        count += 1;
    }
    Some(count)
}
