//! The commonest stretch of a response policy zone: `x CNAME .` and `*.x CNAME .`, over and over.
//!
//! Knows: how these two lines are spelt, with a TTL and a class or without.  Does not know: any other record;
//! one of those in a stretch, and all of it is left to the full reader.

use super::batch::NameBatch;
use super::lines::line_length;

/// The names of a stretch that is such pairs from end to end; `None`: it is not.
///
/// `suffix` is the zone's name between dots, which owners may end in; empty: they are relative.
#[must_use]
pub fn read_pairs(text: &[u8], suffix: &[u8]) -> Option<NameBatch> {
    let mut names = NameBatch::with_room_for(text.len() / 2);
    let mut rest = text;
    while !rest.is_empty() {
        let first = relative_owner(&mut rest, suffix)?;
        let second = relative_owner(&mut rest, suffix)?;
        if !second.strip_prefix(b"*.")?.eq_ignore_ascii_case(first) {
            return None;
        }
        if names.take_text(first, false)? != first.len() || is_special(first) {
            return None;
        }
    }
    Some(names)
}

/// The next line's owner without the zone's name, if the line is `owner CNAME .`; `rest` goes on behind it.
fn relative_owner<'a>(rest: &mut &'a [u8], suffix: &[u8]) -> Option<&'a [u8]> {
    let (line, behind) = rest.split_at(line_length(rest)?);
    *rest = behind.get(1..)?;
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let (owner, mut words) = line.split_at(line.iter().position(|&octet| is_space(octet))?);
    words = skip_space(words);
    let digits = words.iter().take_while(|octet| octet.is_ascii_digit()).count();
    if digits > 0 {
        words = after_word(words, digits)?;
    }
    if words.get(..2).is_some_and(|word| word.eq_ignore_ascii_case(b"in")) {
        words = after_word(words, 2)?;
    }
    if !words.get(..5)?.eq_ignore_ascii_case(b"cname") || after_word(words, 5)? != b"." {
        return None;
    }
    let relative = owner.len().checked_sub(suffix.len()).filter(|&length| length > 0 && !suffix.is_empty());
    Some(match relative.map(|length| owner.split_at(length)) {
        Some((relative, end)) if end.eq_ignore_ascii_case(suffix) => relative,
        _ => owner,
    })
}

/// Whether the full reader may see more in a plain name: a trigger of another kind, or an odd last label.
fn is_special(name: &[u8]) -> bool {
    name.split(|&octet| octet == b'.')
        .any(|label| label.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(b"rpz-")))
        || name.rsplit(|&octet| octet == b'.').next().is_some_and(|last| last.contains(&b'_'))
}

/// What follows a word of this many octets and the space it needs behind it.
fn after_word(words: &[u8], octets: usize) -> Option<&[u8]> {
    let behind = words.get(octets..)?;
    is_space(*behind.first()?).then(|| skip_space(behind))
}

fn skip_space(text: &[u8]) -> &[u8] {
    let space = text.iter().take_while(|&&octet| is_space(octet)).count();
    text.get(space..).unwrap_or_default()
}

fn is_space(octet: u8) -> bool {
    octet == b' ' || octet == b'\t'
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names(text: &[u8], suffix: &[u8]) -> Option<Vec<Vec<u8>>> {
        read_pairs(text, suffix).map(|names| names.iter().map(<[u8]>::to_vec).collect())
    }

    #[test]
    fn pairs_in_every_spelling_are_taken() {
        let a = Some(vec![b"\x01a\x07example\0".to_vec()]);
        assert_eq!(names(b"a.example CNAME .\n*.a.example CNAME .\n", b""), a);
        assert_eq!(names(b"A.example\t60 IN cname .\r\n*.a.Example 1 \t CName\t.\n", b""), a);
        assert_eq!(names(b"a.example.rpz.test. CNAME .\n*.a.example CNAME .\n", b".rpz.test."), a);
        assert_eq!(names(b"", b""), Some(vec![]));
    }

    #[test]
    fn anything_else_leaves_the_stretch_to_the_full_reader() {
        let texts: [&[u8]; 12] = [
            b"a.example CNAME .\n",
            b"a.example CNAME .\n*.b.example CNAME .\n",
            b"a.example CNAME .\na.example CNAME .\n",
            b"a.example CNAME *.\n*.a.example CNAME *.\n",
            b"a.example CNAME . ; x\n*.a.example CNAME .\n",
            b"a.example. CNAME .\n*.a.example. CNAME .\n",
            b" CNAME .\n*. CNAME .\n",
            b"a.rpz-ip CNAME .\n*.a.rpz-ip CNAME .\n",
            b"a.b_c CNAME .\n*.a.b_c CNAME .\n",
            b"com CNAME .\n*.com CNAME .\n",
            b"a.example 60in CNAME .\n*.a.example CNAME .\n",
            b"a.example CNAME .\n*.a.example CNAME .",
        ];
        for text in texts {
            assert_eq!(names(text, b""), None, "{:?}", String::from_utf8_lossy(text));
        }
        assert_eq!(names(b".rpz.test. CNAME .\n*..rpz.test. CNAME .\n", b".rpz.test."), None);
    }

    proptest! {
        #[test]
        fn any_octets_are_read_without_a_panic(
            text in proptest::collection::vec(any::<u8>(), 0..100), suffix in proptest::collection::vec(any::<u8>(), 0..6)
        ) {
            let _ = read_pairs(&text, &suffix);
        }

        #[test]
        fn likely_texts_are_read_without_a_panic(text in r"((\*\.)?[a.]{0,4}[ \t]+(6 )?(in )?(cname)?[ \t]+\.?\r?\n)*") {
            let _ = read_pairs(text.as_bytes(), b".a.");
        }
    }
}
