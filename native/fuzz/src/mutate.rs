//! Breaks octets in the ways that parsers of DNS messages have been broken by.
//!
//! Knows: octets, where a header ends, what a compression pointer looks like.  Does not know: who reads them.

use crate::chance::Chance;

/// Changes to one message: more, and every case is refused at the first check.
const CHANGES_MAX: usize = 3;
/// Longest message.
const OCTETS_MAX: usize = 65535;
const HEADER_OCTETS: usize = 12;
/// Counts, lengths, label types and pointers at the edges.
const WORDS: [u16; 15] =
    [0, 1, 2, 0x0F, 0x3F, 0x40, 0x80, 0xFF, 0x0100, 0x0200, 0x7FFF, 0x8000, 0xC000, 0xC00C, 0xFFFF];
/// Flags and counts at the edges stand in the first octets, so those are hit more often than others.
const WAYS: usize = 13;

/// A broken copy of `octets`; `other` lends pieces.
#[must_use]
pub fn mutated(octets: &[u8], other: &[u8], chance: &mut Chance) -> Vec<u8> {
    let mut broken = octets.to_vec();
    for _ in 0..=chance.below(CHANGES_MAX) {
        change(&mut broken, other, chance);
    }
    broken.truncate(OCTETS_MAX);
    broken
}

/// Another query much like `octets`: other flags, other case, another type; as whole as before.
#[must_use]
pub fn varied(octets: &[u8], chance: &mut Chance) -> Vec<u8> {
    let mut varied = octets.to_vec();
    let opcode = varied.get(2).map_or(0, |octet| octet & 0x78);
    put(&mut varied, 2, |_| opcode | chance.octet() & 0x07);
    put(&mut varied, 3, |_| chance.octet());
    let mut at = HEADER_OCTETS;
    while let Some(&length) = varied.get(at).filter(|&&length| length > 0 && length < 64) {
        let end = (at + 1 + usize::from(length)).min(varied.len());
        for octet in &mut varied[at + 1..end] {
            *octet ^= if octet.is_ascii_alphabetic() && chance.one_in(2) { 0x20 } else { 0 };
        }
        at = end;
    }
    if chance.one_in(2) {
        put_word(&mut varied, at + 1, chance.below(280) as u16);
    }
    varied
}

fn change(octets: &mut Vec<u8>, other: &[u8], chance: &mut Chance) {
    let at = chance.below(octets.len());
    let gap = chance.below(octets.len() + 1);
    match chance.below(WAYS) {
        0 | 1 => put(octets, at, |octet| octet ^ (1 << chance.below(8))),
        2 => put(octets, at, |_| chance.octet()),
        3 | 4 => put_word(octets, at, chance.of(&WORDS).copied().unwrap_or(0)),
        5 => {
            let target = [at, chance.below(octets.len() + 4), chance.below(HEADER_OCTETS)][chance.below(3)];
            put_word(octets, at, 0xC000 | target as u16 & 0x3FFF);
        }
        6 => drop(octets.drain(at..(at + 1 + chance.below(16)).min(octets.len()))),
        7 => {
            let piece = octets[at..(at + 1 + chance.below(64)).min(octets.len())].to_vec();
            insert(octets, at, &piece.repeat(1 + chance.below(4)));
        }
        8 => {
            let count = 1 + chance.below(16);
            insert(octets, gap, &chance.octets(count));
        }
        9 => octets.truncate(gap),
        10 => {
            octets.truncate(gap);
            octets.extend_from_slice(&other[chance.below(other.len() + 1)..]);
        }
        11 => {
            let count = chance.below(600);
            let tail = if chance.one_in(3) { vec![0; count % 3] } else { chance.octets(count) };
            octets.extend_from_slice(&tail);
        }
        _ => put_word(octets, at.min(HEADER_OCTETS) & !1, chance.of(&WORDS).copied().unwrap_or(0)),
    }
}

fn put(octets: &mut [u8], at: usize, new: impl FnOnce(u8) -> u8) {
    if let Some(octet) = octets.get_mut(at) {
        *octet = new(*octet);
    }
}

fn put_word(octets: &mut [u8], at: usize, word: u16) {
    if let Some(place) = octets.get_mut(at..at + 2) {
        place.copy_from_slice(&word.to_be_bytes());
    }
}

fn insert(octets: &mut Vec<u8>, at: usize, piece: &[u8]) {
    octets.splice(at..at, piece.iter().copied());
}
