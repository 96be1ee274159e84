//! A chunk of a list -> the names of its plain lines, and the odd lines for somebody else to read.
//!
//! Knows: line ends, line numbers.  Does not know: what is on a line.

use super::batch::NameBatch;
use super::spelling::Spelling;

/// What one chunk holds.
#[derive(Debug, Default)]
pub struct PlainLines<'a> {
    /// Names of plain lines, in their order.
    pub names: NameBatch,
    /// Each name's line.
    pub lines: Vec<u32>,
    /// Line number and octets (without the line feed) of every other line that is not empty.
    pub odd: Vec<(u32, &'a [u8])>,
}

/// Read whole lines, each closed by a line feed; octets behind the last one are not looked at.
///
/// `first_line` is the number of the first.
#[must_use]
pub fn read_lines(spelling: Spelling, chunk: &[u8], first_line: u32) -> PlainLines<'_> {
    let mut read = PlainLines { names: NameBatch::with_room_for(chunk.len()), ..PlainLines::default() };
    let mut rest = chunk;
    let mut number = first_line;
    while let Some(length) = line_length(rest) {
        let (line, behind) = rest.split_at(length);
        let count = read.names.len();
        if spelling.take_line(line, &mut read.names) {
            read.lines.resize(read.names.len(), number);
        } else {
            read.names.truncate(count);
            read.odd.push((number, line));
        }
        rest = behind.get(1..).unwrap_or_default();
        // A list has 2^28 octets, so this never comes to its end.
        number = number.saturating_add(1);
    }
    read
}

/// Octets before the first line feed; eight at a time, as the standard library does not.
pub(super) fn line_length(text: &[u8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let mut words = text.chunks_exact(8);
    let mut at = 0;
    for word in words.by_ref() {
        let word = u64::from_le_bytes(word.try_into().unwrap_or_default()) ^ (ONES * b'\n' as u64);
        // The lowest octet so marked is a zero of `word`, that is, a line feed; higher marks may be wrong.
        let found = word.wrapping_sub(ONES) & !word & HIGHS;
        if found != 0 {
            return Some(at + found.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    words.remainder().iter().position(|&octet| octet == b'\n').map(|more| at + more)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: [Spelling; 5] =
        [Spelling::Domains, Spelling::Hosts, Spelling::Wildcard, Spelling::Adblock, Spelling::Dnsmasq];

    #[test]
    fn names_and_odd_lines_keep_their_numbers() {
        let text = b"# head\na.example\n\ncom\nB.example # x\r\nno end";
        let read = read_lines(Spelling::Domains, text, 7);
        assert_eq!(read.names.iter().collect::<Vec<_>>(), [b"\x01a\x07example\0", b"\x01b\x07example\0"]);
        assert_eq!(read.lines, [8, 11]);
        assert_eq!(read.odd, [(10, &b"com"[..])]);
    }

    #[test]
    fn line_with_one_odd_name_is_odd_as_a_whole() {
        let read = read_lines(Spelling::Hosts, b"0.0.0.0 a.example localhost\n:: b.example c.example\n", 1);
        assert_eq!(read.lines, [2, 2]);
        assert_eq!(read.odd, [(1, &b"0.0.0.0 a.example localhost"[..])]);
    }

    proptest! {
        #[test]
        fn any_octets_are_read_without_a_panic(text in proptest::collection::vec(any::<u8>(), 0..200), first in any::<u32>()) {
            for spelling in ALL {
                let read = read_lines(spelling, &text, first);
                prop_assert_eq!(read.names.len(), read.lines.len());
            }
        }

        #[test]
        fn likely_texts_give_well_formed_names(text in r"([|@!#*.:^/=\r\n ab0-]|0\.0\.0\.0 |address=/|\|\|)*\n") {
            for spelling in ALL {
                let read = read_lines(spelling, text.as_bytes(), 1);
                for name in read.names.iter() {
                    prop_assert!(crate::compile::table::is_name(name) && name.len() <= 255);
                }
                let lines = text.matches('\n').count();
                prop_assert!(read.odd.len() <= lines);
            }
        }

        #[test]
        fn line_ends_where_its_line_feed_stands(text in proptest::collection::vec(any::<u8>(), 0..40)) {
            prop_assert_eq!(line_length(&text), text.iter().position(|&octet| octet == b'\n'));
        }
    }
}
