//! Sequences of stores and look-ups through the cache: right answers, and never over its limit.
//!
//! Knows: what must hold of a cache.  Does not know: which entry should go first.
//! A case is a program, four octets an instruction, run on a cache of its own.

use resolver_core::cache::{Cache, CacheConfig, SnapshotPlace};
use resolver_core::wire::{accept_response, Accepted, NegativeKind, Question, Response};

use super::answers::sent_for;
use super::target::{claim, Target};
use crate::chance::Chance;
use crate::{corpus, names};

const INSTRUCTION_OCTETS: usize = 4;
const INSTRUCTIONS_MAX: usize = 400;
/// Names that meet; the program's octets choose among them.
const NAMES: u8 = 96;

/// See the module's text.
pub struct Caches {
    responses: Vec<Response>,
    hits: u64,
    misses: u64,
    evictions: u64,
}

impl Caches {
    pub fn new() -> Caches {
        let accepted = corpus::answers().into_iter().filter_map(|answer| {
            match accept_response(&answer.octets, &sent_for(&answer)?) {
                Accepted::Response(response) => Some(response),
                _ => None,
            }
        });
        Caches { responses: accepted.collect(), hits: 0, misses: 0, evictions: 0 }
    }

    /// A response that tells the name it was stored for, by the octets behind its records.
    fn marked(&self, choice: u8, name: u8, octets: usize) -> Response {
        let mut response = self.responses[usize::from(choice) % self.responses.len()].clone();
        let mut body = response.body.to_vec();
        body.resize(body.len() + octets, 0);
        body.push(name);
        response.body = body.into();
        response
    }
}

/// A program's cache and its clock.
struct Machine<'c> {
    caches: &'c Caches,
    cache: Cache,
    now: f64,
}

impl Machine<'_> {
    fn step(&mut self, [what, name, kind, more]: [u8; INSTRUCTION_OCTETS]) -> Result<(), String> {
        let name = name % NAMES;
        let qname = [&[4, b'n', b'a', b'm', name][..], b"\x07example\0"].concat();
        let question = Question {
            qname: &qname,
            qtype: u16::from(kind >> 4),
            dnssec_ok: kind & 1 != 0,
            checking_disabled: kind & 2 != 0,
        };
        let now = self.now;
        match what % 8 {
            0..=2 => {
                let bad = self.cache.lookup(question, now, |entry| {
                    entry.is_some_and(|entry| {
                        let body = entry.response.as_ref().map(|response| response.body.last().copied());
                        let is_empty = entry.response.is_none() && entry.failure.is_none();
                        is_empty || body.is_some_and(|last| last != Some(name)) || entry.stored_at > now
                    })
                });
                claim(!bad, "another's entry, an empty one, or one of the future")
            }
            3..=5 => {
                let octets = if more & 0x80 != 0 { usize::from(more & 0x7F) * 64 } else { 0 };
                let response = self.caches.marked(more, name, octets);
                let wants = response.clone();
                let config = *self.cache.config();
                self.cache.store(question, response, now, |kept| match kept {
                    Ok(entry) => {
                        let kept = entry.response.as_ref().ok_or("kept without a response")?;
                        claim(kept.body.len() == wants.body.len(), "another body")?;
                        let most_s = match kept.negative {
                            Some(NegativeKind::Nxdomain | NegativeKind::Nodata) => config.negative_ttl_max_s,
                            None => config.ttl_max_s,
                        };
                        claim(kept.ttls.iter().all(|ttl| ttl.ttl_s <= most_s), "a TTL over the bounds")?;
                        claim(
                            entry.expires_at > now && entry.expires_at <= now + f64::from(most_s),
                            "a lifetime",
                        )
                    }
                    Err(response) => claim(response == wants, "given back changed"),
                })
            }
            6 => {
                let text = "no upstream answered".repeat(usize::from(more % 4));
                self.cache.store_failure(question, (22, &text), now);
                Ok(())
            }
            _ => {
                self.now += f64::from(more) * if kind & 1 == 0 { 0.01 } else { 300.0 };
                Ok(())
            }
        }
    }
}

/// A snapshot, an octet of it turned, may be read or refused, and does no harm.
fn read_what_was_written(machine: &Machine, size: u8) -> Result<(), String> {
    let (mut octets, mut place) = (Vec::new(), Some(SnapshotPlace::default()));
    while let Some(at) = place {
        place = machine.cache.snapshot(at, 512, machine.now, &mut octets);
    }
    if let Some(octet) = octets.get_mut(usize::from(size) * 3) {
        *octet ^= size;
    }
    let other = Cache::new(*machine.cache.config());
    let loaded = other.load(&octets, 1.0, machine.now);
    let counters = other.counters();
    claim(counters.entries <= loaded.kept, "entries from nowhere")?;
    claim(counters.octets <= other.config().octets_max as u64, "more octets than it may have")?;
    claim(other.audit().is_none(), "books that are not in order")
}

impl Target for Caches {
    fn name(&self) -> &'static str {
        names::CACHE
    }

    fn make(&mut self, chance: &mut Chance) -> Vec<u8> {
        let count = chance.below(INSTRUCTIONS_MAX);
        let mut program = chance.octets(1 + count * INSTRUCTION_OCTETS);
        if chance.one_in(2) {
            // Few names, asked for again and again.
            for instruction in program[1..].chunks_exact_mut(INSTRUCTION_OCTETS) {
                instruction[1] %= 8;
                instruction[2] &= 0x11;
            }
        }
        program
    }

    fn corpus(&self) -> Vec<Vec<u8>> {
        // Each answer is stored, found, and found again when it is old.
        let whole = |choice: u8| vec![9, 3, 1, 0x10, choice, 0, 1, 0x10, 0, 7, 0, 1, 255, 0, 1, 0x10, 0];
        (0..self.responses.len()).map(|choice| whole(choice as u8)).collect()
    }

    fn run(&mut self, case: &[u8]) -> Result<(), String> {
        let Some((&size, program)) = case.split_first() else { return Ok(()) };
        let octets_max = usize::from(size) * 1024;
        let config =
            CacheConfig { octets_max, ttl_min_s: u32::from(size % 3) * 60, ..CacheConfig::default() };
        let mut machine = Machine { caches: self, cache: Cache::new(config), now: 1000.0 };
        for instruction in program.chunks_exact(INSTRUCTION_OCTETS) {
            let Ok(instruction) = instruction.try_into() else { break };
            machine.step(instruction)?;
            let counters = machine.cache.counters();
            claim(counters.octets <= octets_max as u64, "more octets than it may have")?;
            claim(octets_max > 0 || counters.entries == 0, "a cache that is off keeps something")?;
        }
        read_what_was_written(&machine, size)?;
        let counters = machine.cache.counters();
        self.hits += counters.hits;
        self.misses += counters.misses;
        self.evictions += counters.evictions;
        Ok(())
    }

    fn facts(&self) -> String {
        format!("{} hits, {} misses, {} evictions", self.hits, self.misses, self.evictions)
    }
}
