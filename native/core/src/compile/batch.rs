//! Many names in little room: their wire forms one after the other, and where each one ends.
//!
//! Knows: how a plain name in text becomes wire form.  Does not know: lists, lines, why a text is no name.

/// Longest name in text (RFC 1035 §2.3.4: 255 octets of wire form).
pub const TEXT_OCTETS_MAX: usize = 253;
use crate::wire::names::{LABEL_OCTETS_MAX, NAME_OCTETS_MAX};

const DOT: u8 = b'.';

/// What an octet of a plain name becomes: itself in lower case; 0: it stands in no plain name.
const PLAIN: [u8; 256] = plain_octets();

const fn plain_octets() -> [u8; 256] {
    let mut table = [0u8; 256];
    let mut octet = 0u8;
    while octet < 128 {
        if octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'_' || octet == DOT {
            table[octet as usize] = octet.to_ascii_lowercase();
        }
        octet += 1;
    }
    table
}

/// Wire-form names, packed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameBatch {
    octets: Vec<u8>,
    ends: Vec<u32>,
}

impl NameBatch {
    /// An empty batch with room for the names of `text_octets` of text.
    #[must_use]
    pub fn with_room_for(text_octets: usize) -> Self {
        Self {
            octets: Vec::with_capacity(text_octets + text_octets / 8),
            ends: Vec::with_capacity(text_octets / 16),
        }
    }

    /// How many names there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The name at `index`.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        let end = *self.ends.get(index)? as usize;
        let start = match index.checked_sub(1) {
            Some(before) => *self.ends.get(before)? as usize,
            None => 0,
        };
        self.octets.get(start..end)
    }

    /// All names, in their order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> + '_ {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let name = self.octets.get(start..end as usize).unwrap_or_default();
            start = end as usize;
            name
        })
    }

    /// Octets of all names together.
    #[must_use]
    pub fn octet_count(&self) -> usize {
        self.octets.len()
    }

    /// Add a name in wire form, as it is.
    pub fn push(&mut self, name: &[u8]) {
        self.octets.extend_from_slice(name);
        self.close();
    }

    /// Forget the names from `count` on.
    pub fn truncate(&mut self, count: usize) {
        self.ends.truncate(count);
        self.octets.truncate(self.ends.last().map_or(0, |&end| end as usize));
    }

    /// Add the plain name that `text` begins with; how much of `text` it took, `None`: there is none.
    ///
    /// Plain: labels of letters, digits, `-` and `_`, two or more of them, the last one beginning with a
    /// letter; 253 octets at most.  With `may_end_in_dot` the root's dot may stand behind it.
    pub fn take_text(&mut self, text: &[u8], may_end_in_dot: bool) -> Option<usize> {
        // Two octets more than fit, so that with the root's dot what is too long is seen to be.
        let window = text.get(..TEXT_OCTETS_MAX + 2).unwrap_or(text);
        let start = self.octets.len();
        self.octets.push(0);
        self.octets.extend_from_slice(window);
        self.octets.push(0);
        let found = self.octets.get_mut(start..).and_then(to_wire);
        let found =
            found.filter(|found| found.name_octets <= NAME_OCTETS_MAX && (may_end_in_dot || !found.has_dot));
        self.octets.truncate(start + found.as_ref().map_or(0, |found| found.name_octets));
        let found = found?;
        self.close();
        Some(found.text_octets)
    }

    fn close(&mut self) {
        // Whoever fills a batch stops far below 4 GB (a chunk of a list); one that would not is cut short.
        self.ends.push(u32::try_from(self.octets.len()).unwrap_or(u32::MAX));
    }
}

/// A plain name that was found in text.
struct Found {
    /// How much of the text it took, the root's dot included.
    text_octets: usize,
    /// Of its wire form.
    name_octets: usize,
    has_dot: bool,
}

/// Turn the plain name at the start of a text into wire form, in place.
///
/// One spare octet stands before the text, and a zero behind it, which is in no plain name.
fn to_wire(octets: &mut [u8]) -> Option<Found> {
    let mut label = 0;
    let mut label_before = 0;
    let mut label_count = 0;
    for at in 1..octets.len() {
        let octet = PLAIN[octets[at] as usize];
        if octet != DOT && octet != 0 {
            octets[at] = octet;
            continue;
        }
        let length = at - label - 1;
        let has_dot = length == 0 && octet == 0;
        if length > LABEL_OCTETS_MAX || (length == 0 && !has_dot) {
            return None;
        }
        octets[label] = length as u8;
        label_count += usize::from(!has_dot);
        if octet == 0 {
            octets[at] = 0;
            let (last, end) = if has_dot { (label_before, label) } else { (label, at) };
            // A last label of digits would be an address; that, and rarer ones, are for the full reader.
            let is_plain = label_count >= 2 && octets[last + 1].is_ascii_lowercase();
            return is_plain.then_some(Found { text_octets: at - 1, name_octets: end + 1, has_dot });
        }
        label_before = label;
        label = at;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(text: &[u8], may_end_in_dot: bool) -> Option<(usize, Vec<u8>)> {
        let mut batch = NameBatch::default();
        batch.push(b"\x01a\0");
        let length = batch.take_text(text, may_end_in_dot);
        assert_eq!(batch.len(), 1 + usize::from(length.is_some()));
        length.map(|length| (length, batch.get(1).unwrap().to_vec()))
    }

    #[test]
    fn plain_name_becomes_lower_case_wire_form() {
        assert_eq!(taken(b"Ads_1.Example rest", false), Some((13, b"\x05ads_1\x07example\0".to_vec())));
        assert_eq!(taken(b"a.example.", true), Some((10, b"\x01a\x07example\0".to_vec())));
    }

    #[test]
    fn what_is_no_plain_name_leaves_nothing_behind() {
        let texts: [&[u8]; 12] = [
            b"",
            b".",
            b"com",
            b"com.",
            b"a..example",
            b".example",
            b"a.b..",
            b"192.0.2.1",
            b"a.1b",
            b"a._b",
            b"*.a",
            b"a.example.",
        ];
        for text in texts {
            assert_eq!(taken(text, false), None, "{text:?}");
        }
        assert_eq!(taken(b"com.", true), None);
        assert_eq!(taken(b"a.example..", true), None);
    }

    #[test]
    fn longest_label_and_name_are_taken_and_longer_ones_are_not() {
        let label = |length: usize| vec![b'a'; length];
        assert!(taken(&[label(63), b".example".to_vec()].concat(), false).is_some());
        assert!(taken(&[label(64), b".example".to_vec()].concat(), false).is_none());
        let long = |last: usize| [label(63), label(63), label(63), label(last)].join(&b'.');
        assert_eq!(long(61).len(), TEXT_OCTETS_MAX);
        assert_eq!(taken(&long(61), false).unwrap().1.len(), 255);
        assert!(taken(&long(62), false).is_none());
        assert!(taken(&[long(61), b".".to_vec()].concat(), true).is_some());
        assert!(taken(&[long(62), b".".to_vec()].concat(), true).is_none());
        assert!(taken(&[long(61), b".x".to_vec()].concat(), true).is_none());
    }

    #[test]
    fn names_come_back_in_their_order() {
        let mut batch = NameBatch::with_room_for(100);
        for text in [&b"a.example"[..], b"b.example", b"c.example"] {
            batch.take_text(text, false).unwrap();
        }
        let names: Vec<&[u8]> = batch.iter().collect();
        assert_eq!(names, [b"\x01a\x07example\0", b"\x01b\x07example\0", b"\x01c\x07example\0"]);
        assert_eq!(batch.get(1), Some(names[1]));
        assert_eq!(batch.get(3), None);
        batch.truncate(1);
        assert_eq!((batch.len(), batch.octet_count()), (1, 11));
    }
}
