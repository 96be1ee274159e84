//! How names in wire form relate, and their lower case.
//!
//! Knows: RFC 1035 labels.  Does not know: messages, compression, text, rules.
//! A name in wire form is its labels, each behind its length octet, closed by the root's zero octet.
//! Lower-casing goes over all octets alike: length octets are at most 63 and so below `A`.

use arrayvec::ArrayVec;

/// Longest name in wire form, in octets, root octet included (RFC 1035 §2.3.4).
pub const NAME_OCTETS_MAX: usize = 255;
/// Longest label, its length octet not counted (RFC 1035 §2.3.4).
pub const LABEL_OCTETS_MAX: usize = 63;

/// One name in wire form, held without an allocation.
pub type NameBuf = ArrayVec<u8, NAME_OCTETS_MAX>;

/// Lower-case ASCII letters where they stand, without a branch per octet.
#[inline]
pub fn lower_in_place(octets: &mut [u8]) {
    octets.make_ascii_lowercase();
}

/// The same name in another place, copied as a whole: `clone` goes octet by octet.
#[inline]
pub fn copy_into(name: &NameBuf, place: &mut NameBuf) {
    place.clear();
    let _ = place.try_extend_from_slice(name); // There is as much room.
}

/// A name in lower case; `None` for more than 255 octets.
#[inline]
pub fn lower(name: &[u8]) -> Option<NameBuf> {
    let mut lowered = NameBuf::new();
    lowered.try_extend_from_slice(name).ok()?;
    lower_in_place(&mut lowered);
    Some(lowered)
}

/// Each suffix of a well-formed name with the offset where it starts, longest first; the root is left out.
///
/// `www.example.org` gives the offsets 0, 4 and 12; the root gives nothing.  At most 127 steps; ends early,
/// and never panics, on octets that are no name.
#[inline]
pub fn suffixes(name: &[u8]) -> Suffixes<'_> {
    Suffixes { name, at: 0 }
}

/// Iterator made by [`suffixes`].
#[derive(Clone, Debug)]
pub struct Suffixes<'a> {
    name: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Suffixes<'a> {
    type Item = (usize, &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let at = self.at;
        let suffix = self.name.get(at..)?;
        let length = *suffix.first()?;
        if length == 0 {
            return None;
        }
        self.at = at + usize::from(length) + 1;
        Some((at, suffix))
    }
}

/// Whether `name` is `ancestor` or under it; both in wire form and of one case.
///
/// Octets that merely end alike are not enough: the cut must fall between labels.
#[inline]
pub fn is_at_or_below(name: &[u8], ancestor: &[u8]) -> bool {
    if !name.ends_with(ancestor) {
        return false;
    }
    let cut = name.len() - ancestor.len();
    let mut at = 0;
    while at < cut {
        at += usize::from(name[at]) + 1;
    }
    at == cut
}

/// The name one label up; the root's parent is the root.
#[inline]
pub fn parent(name: &[u8]) -> &[u8] {
    let label = name.first().map_or(0, |length| usize::from(*length) + 1);
    match name.get(label..) {
        Some(rest) if !rest.is_empty() => rest,
        _ => &[0],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WWW: &[u8] = b"\x03www\x07example\x03org\0";

    #[test]
    fn suffixes_come_longest_first_without_the_root() {
        let offsets: Vec<usize> = suffixes(WWW).map(|(at, _)| at).collect();
        assert_eq!(offsets, [0, 4, 12]);
        assert_eq!(suffixes(WWW).last(), Some((12, &b"\x03org\0"[..])));
        assert_eq!(suffixes(b"\0").next(), None);
    }

    #[test]
    fn suffixes_of_octets_that_are_no_name_end() {
        assert_eq!(suffixes(b"").next(), None);
        assert_eq!(suffixes(b"\x09abc").count(), 1);
    }

    #[test]
    fn a_name_is_at_or_below_itself_its_ancestors_and_the_root() {
        for ancestor in [WWW, b"\x07example\x03org\0", b"\x03org\0", b"\0"] {
            assert!(is_at_or_below(WWW, ancestor));
        }
    }

    #[test]
    fn octets_that_end_alike_are_no_ancestor() {
        assert!(!is_at_or_below(b"\x0bwwwexample2\x03org\0", b"\x08example2\x03org\0"));
        assert!(!is_at_or_below(b"\x04a\x03org\0", b"\x03org\0"));
        assert!(!is_at_or_below(b"\x03org\0", WWW));
    }

    #[test]
    fn the_parent_of_the_root_is_the_root() {
        assert_eq!(parent(WWW), b"\x07example\x03org\0");
        assert_eq!(parent(b"\x03org\0"), b"\0");
        assert_eq!(parent(b"\0"), b"\0");
        assert_eq!(parent(b""), b"\0");
    }

    #[test]
    fn only_ascii_letters_are_lowered() {
        let all: Vec<u8> = (0..=254).collect();
        let lowered = lower(&all).expect("255 octets fit");
        for (octet, low) in all.iter().zip(&lowered) {
            assert_eq!(*low, if octet.is_ascii_uppercase() { octet + 32 } else { *octet });
        }
        assert!(lower(&[0; 256]).is_none());
    }
}
