//! Whom a question's first attempt goes to, as Python has worked it out.
//!
//! Knows: suffixes and who stands first in line for each.  Does not know: health, round-trip times, why.

use ahash::AHashMap;

/// How an upstream is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// In datagrams.
    Udp,
    /// Over TCP connections (RFC 7766).
    Tcp,
    /// Over TLS connections (RFC 7858).
    Tls,
}

impl Carrier {
    /// Whether nobody off the path can forge an answer, and answers have any length.
    pub fn is_stream(self) -> bool {
        self != Carrier::Udp
    }

    /// Whether nobody on the path can read what is asked.
    pub fn is_encrypted(self) -> bool {
        self == Carrier::Tls
    }
}

/// The upstream that is asked first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct First {
    /// Its number.
    pub number: u16,
    /// How it is asked.
    pub carrier: Carrier,
}

/// How names are spelt for an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LetterCase {
    /// As they are kept: it cannot take anything else.
    Lower,
    /// In mixed case, and whatever comes of it is Python's: it has yet to find a name in mixed case.
    Unproven,
    /// In mixed case.
    Mixed,
}

/// Upstreams that stand in for each other, as they stand now.
#[derive(Clone, Debug, PartialEq)]
pub struct UpstreamSet {
    /// The first in line; None: Python must ask (it speaks HTTPS, or is down).
    pub first: Option<First>,
    /// Whether it is asked with EDNS.
    pub edns: bool,
    /// Whether its AD bit is believed.
    pub trust_ad: bool,
    /// How long to wait for its answer before something else is tried.
    pub timeout_s: f64,
    /// From then on (monotonic seconds) Python must ask, because another upstream is due to be measured.
    pub probe_at: f64,
    /// How names are spelt.
    pub letter_case: LetterCase,
    /// Why all of them are down, as an Extended DNS Error; None: they are not.
    pub failure: Option<(u16, Box<str>)>,
}

/// All upstreams at one moment.
#[derive(Debug, Default)]
pub struct UpstreamView {
    sets: Vec<UpstreamSet>,
    by_suffix: AHashMap<Box<[u8]>, u16>,
}

impl UpstreamView {
    /// `sets` by suffix (wire form, lower case); the empty suffix is the default.
    pub fn new(sets: Vec<(Vec<u8>, UpstreamSet)>) -> UpstreamView {
        let mut view = UpstreamView::default();
        for (suffix, set) in sets {
            let number = view.sets.len() as u16;
            view.sets.push(set);
            view.by_suffix.insert(suffix.into_boxed_slice(), number);
        }
        view
    }

    /// A set by its number.
    pub fn set(&self, number: u16) -> Option<&UpstreamSet> {
        self.sets.get(usize::from(number))
    }

    /// The number of the set that answers for `qname` (wire form, lower case): the longest suffix wins.
    pub fn set_for(&self, qname: &[u8]) -> Option<u16> {
        self.covering(qname).map(|(_, number)| number).or_else(|| self.by_suffix.get(&[][..]).copied())
    }

    /// Why all who answer for `qname` are down; None: they are not.
    pub fn failure_for(&self, qname: &[u8]) -> Option<(u16, Box<str>)> {
        self.set(self.set_for(qname)?)?.failure.clone()
    }

    /// Whether an operator named upstreams for a suffix other than the root at or above `qname`.
    ///
    /// Who forwards everything has not asked for the special names: they stay here.
    pub fn covers(&self, qname: &[u8]) -> bool {
        self.covering(qname).is_some_and(|(suffix, _)| suffix.len() > 1)
    }

    /// The longest suffix at or above `qname`, and its set.
    fn covering<'q>(&self, qname: &'q [u8]) -> Option<(&'q [u8], u16)> {
        if self.sets.len() < 2 {
            return None;
        }
        let mut rest = qname;
        while let Some(&length) = rest.first() {
            if let Some(&number) = self.by_suffix.get(rest) {
                return Some((rest, number));
            }
            if length == 0 {
                break;
            }
            rest = rest.get(usize::from(length) + 1..)?;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(number: u16) -> UpstreamSet {
        UpstreamSet {
            first: Some(First { number, carrier: Carrier::Udp }),
            edns: true,
            trust_ad: false,
            timeout_s: 0.4,
            probe_at: f64::INFINITY,
            letter_case: LetterCase::Mixed,
            failure: None,
        }
    }

    #[test]
    fn the_longest_suffix_wins_and_the_default_takes_the_rest() {
        let view = UpstreamView::new(vec![
            (b"".to_vec(), set(0)),
            (b"\x07example\x00".to_vec(), set(1)),
            (b"\x04corp\x07example\x00".to_vec(), set(2)),
        ]);
        assert_eq!(view.set_for(b"\x03www\x04corp\x07example\x00"), Some(2));
        assert_eq!(view.set_for(b"\x03www\x07example\x00"), Some(1));
        assert_eq!(view.set_for(b"\x08xexample\x00"), Some(0));
        assert_eq!(view.set_for(b"\x00"), Some(0));
        assert!(view.covers(b"\x07example\x00"));
        assert!(!view.covers(b"\x03org\x00"));
    }

    #[test]
    fn the_root_takes_every_name_and_covers_none() {
        let view = UpstreamView::new(vec![
            (b"".to_vec(), set(0)),
            (b"\x00".to_vec(), set(1)),
            (b"\x07example\x00".to_vec(), set(2)),
        ]);
        assert_eq!((view.set_for(b"\x03org\x00"), view.set_for(b"\x07example\x00")), (Some(1), Some(2)));
        assert!(!view.covers(b"\x03org\x00") && !view.covers(b"\x00"));
        assert!(view.covers(b"\x03www\x07example\x00"));
    }

    #[test]
    fn a_broken_name_covers_nothing() {
        let view = UpstreamView::new(vec![(vec![], set(0)), (b"\x01x\x00".to_vec(), set(1))]);
        assert_eq!(view.set_for(b"\x05ab"), Some(0));
    }
}
