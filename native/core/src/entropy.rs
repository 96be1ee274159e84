//! Unpredictable numbers, drawn from a stream cipher keyed by the operating system.
//!
//! Knows: the cipher, when to key it anew.  Does not know: sockets, messages.
//! IDs, ports, letter case and socket choice are the only secrets between us and a forger
//! (RFC 5452 §9), so nothing on this path comes from a guessable generator.  Each thread has its own.

use arrayvec::ArrayVec;
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};

use crate::wire::names::NAME_OCTETS_MAX;

/// Numbers of 64 bits drawn before the operating system is asked for a new key.
pub const DRAWS_PER_KEY: u32 = 1 << 20;

/// A stock of random numbers; no bit is used twice.
pub struct Entropy {
    cipher: StdRng,
    draws_left: u32,
    /// What is left of the last number drawn, 16 bits at a time.
    stock: u64,
    stock_left: u8,
    is_seeded: bool,
    /// The next draw panics.
    #[cfg(test)]
    pub(crate) is_broken: bool,
}

impl Entropy {
    /// Keyed by the operating system.  Panics when that has no random numbers to give.
    #[must_use]
    pub fn new() -> Self {
        Self::with(StdRng::from_os_rng(), false)
    }

    /// The same numbers for the same seed, for ever: for tests alone.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self::with(StdRng::from_seed(seed), true)
    }

    fn with(cipher: StdRng, is_seeded: bool) -> Self {
        Entropy {
            cipher,
            draws_left: DRAWS_PER_KEY,
            stock: 0,
            stock_left: 0,
            is_seeded,
            #[cfg(test)]
            is_broken: false,
        }
    }

    /// A 16-bit message ID.
    pub fn query_id(&mut self) -> u16 {
        if self.stock_left == 0 {
            self.stock = self.draw();
            self.stock_left = 4;
        }
        let id = self.stock as u16;
        self.stock >>= 16;
        self.stock_left -= 1;
        id
    }

    /// A number in [0, bound), for bounds up to 65,536; even to within one part in 65,536 / bound.
    pub fn below(&mut self, bound: u32) -> u32 {
        ((u64::from(self.query_id()) * u64::from(bound)) >> 16) as u32
    }

    /// `qname` (wire form, lower case) with each letter's case chosen by a coin.
    ///
    /// Length octets are at most 63 and so never letters.
    pub fn mix_case(&mut self, qname: &[u8]) -> ArrayVec<u8, NAME_OCTETS_MAX> {
        let mut mixed = ArrayVec::new();
        self.mix_case_into(qname, &mut mixed);
        mixed
    }

    /// `mix_case` into a buffer; what was in it is gone.
    pub fn mix_case_into(&mut self, qname: &[u8], mixed: &mut ArrayVec<u8, NAME_OCTETS_MAX>) {
        mixed.clear();
        let _ = mixed.try_extend_from_slice(&qname[..qname.len().min(NAME_OCTETS_MAX)]); // Cut to what has room.
        for chunk in mixed.chunks_mut(64) {
            let mut coins = self.draw();
            for octet in chunk {
                let flips = octet.is_ascii_lowercase() && coins & 1 == 1;
                *octet ^= u8::from(flips) << 5;
                coins >>= 1;
            }
        }
    }

    fn draw(&mut self) -> u64 {
        #[cfg(test)]
        assert!(!self.is_broken, "a test wanted this panic");
        if self.draws_left == 0 {
            self.draws_left = DRAWS_PER_KEY;
            if !self.is_seeded {
                // Without a new key the old one is still a secret.
                if let Ok(cipher) = StdRng::try_from_os_rng() {
                    self.cipher = cipher;
                }
            }
        }
        self.draws_left -= 1;
        self.cipher.next_u64()
    }
}

impl Default for Entropy {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    const NAME: &[u8] = b"\x05www-1\x0asome_thing\x07example\x03org\x00";

    #[test]
    fn ids_are_distinct_as_chance_has_it() {
        let mut entropy = Entropy::new();
        let ids: HashSet<u16> = (0..4096).map(|_| entropy.query_id()).collect();
        // 4,096 draws of 65,536: some 3,970 are distinct.
        assert!(ids.len() > 3800);
    }

    #[test]
    fn a_new_key_comes_in_time_and_numbers_go_on() {
        let mut entropy = Entropy::new();
        entropy.draws_left = 1;
        let ids: HashSet<u16> = (0..64).map(|_| entropy.query_id()).collect();
        assert!(ids.len() > 50);
        assert!(entropy.draws_left > DRAWS_PER_KEY - 64);
    }

    #[test]
    fn the_same_seed_gives_the_same_numbers_and_another_gives_others() {
        let draw = |seed| {
            let mut entropy = Entropy::from_seed([seed; 32]);
            (0..8).map(|_| entropy.query_id()).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn case_changes_and_nothing_else() {
        let mut entropy = Entropy::new();
        let mixed: Vec<_> = (0..300).map(|_| entropy.mix_case(NAME)).collect();
        assert!(mixed.iter().all(|name| name.to_ascii_lowercase() == NAME));
        assert!(mixed.iter().collect::<HashSet<_>>().len() > 290);
    }

    #[test]
    fn every_letter_goes_both_ways_and_no_other_octet_does() {
        let mut entropy = Entropy::new();
        let mixed: Vec<_> = (0..200).map(|_| entropy.mix_case(NAME)).collect();
        for (at, octet) in NAME.iter().enumerate() {
            let seen: HashSet<u8> = mixed.iter().map(|name| name[at]).collect();
            assert_eq!(seen.len(), if octet.is_ascii_alphabetic() { 2 } else { 1 });
        }
    }

    #[test]
    fn coins_of_the_longest_name_are_all_different() {
        let mut entropy = Entropy::new();
        let mut name = [[&[63][..], &[b'a'; 63]].concat().repeat(3), vec![61]].concat();
        name.extend([&[b'a'; 61][..], &[0]].concat());
        assert_eq!(name.len(), 255);
        let mixed: Vec<_> = (0..200).map(|_| entropy.mix_case(&name)).collect();
        let columns: HashSet<Vec<u8>> = (0..255)
            .filter(|&at| name[at] == b'a')
            .map(|at| mixed.iter().map(|one| one[at]).collect())
            .collect();
        assert_eq!(columns.len(), 3 * 63 + 61);
    }

    #[test]
    fn octets_that_look_like_letters_by_their_bits_stay() {
        let mut entropy = Entropy::new();
        let name = b"\x0b`{|}~\x7f\xe3\xffa_b\0";
        let mixed: HashSet<_> = (0..100).map(|_| entropy.mix_case(name)).collect();
        assert_eq!(mixed.len(), 4);
        assert!(mixed.iter().all(|one| one.to_ascii_lowercase() == name));
    }

    #[test]
    fn names_without_letters_are_left_alone() {
        let mut entropy = Entropy::new();
        assert_eq!(entropy.mix_case(b"\x03123\x02\xc3\xa4\0").as_slice(), b"\x03123\x02\xc3\xa4\0");
        assert_eq!(entropy.mix_case(b"\0").as_slice(), b"\0");
    }

    #[test]
    fn below_stays_below_and_reaches_everything() {
        let mut entropy = Entropy::new();
        let seen: HashSet<u32> = (0..1000).map(|_| entropy.below(16)).collect();
        assert_eq!(seen, (0..16).collect());
        assert!((0..1000).all(|_| entropy.below(65_536) < 65_536));
    }
}
