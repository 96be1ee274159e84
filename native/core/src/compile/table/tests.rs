//! What is laid is found again, and what names share comes in the order of preference.

use std::convert::Infallible;

use proptest::prelude::*;

use super::*;

const LIST: Rank = Rank { tier: 2, effect: EFFECT_BLOCK, form: 2, file_index: 0 };
const ALLOW: Rank = Rank { effect: 1, ..LIST };
const SEED: u64 = 0x0123_4567_89AB_CDEF;

fn lay(table: NameTable, ranks: &[Rank]) -> Laid {
    let mut next = ranks.len() as u16;
    let laid = table.lay::<Infallible>(ranks.to_vec(), |_| {
        next += 1;
        Ok(next - 1)
    });
    laid.expect("fits")
}

/// The references of `name`, as a reader of the image finds them.
fn find(laid: &Laid, name: &[u8]) -> Option<Vec<Ref>> {
    let digest = xxh3_64_with_seed(name, SEED);
    let mut slot = (digest % laid.homes as u64) as usize;
    while laid.tags[slot] != 0 {
        let end = laid.places[slot] as usize + name.len();
        if laid.tags[slot] == tag_of(digest) && laid.blob[laid.places[slot] as usize..].starts_with(name) {
            let refs = laid.blob[end + 1..].chunks(6).take(usize::from(laid.blob[end]));
            let number =
                |octets: &[u8]| octets.iter().rev().fold(0u32, |sum, &octet| sum << 8 | u32::from(octet));
            return Some(refs.map(|octets| (number(&octets[..2]) as u16, number(&octets[2..]))).collect());
        }
        slot += 1;
    }
    None
}

#[test]
fn well_formed_names_are_told_from_others() {
    for name in [&b"\0"[..], b"\x01a\0", b"\x01a\x07example\0"] {
        assert!(is_name(name), "{name:?}");
    }
    for octets in [&b""[..], b"\x01a", b"\x05ab\0", b"\0\0", b"\x01a\0\0", b"\x01"] {
        assert!(!is_name(octets), "{octets:?}");
    }
}

#[test]
fn repeats_are_counted_and_shared_names_ranked() {
    let mut table = NameTable::new(SEED);
    let exchange = Rank { tier: 1, ..LIST };
    for (class_id, line) in [(0, 1), (0, 2), (1, 3), (1, 4), (0, 5)] {
        table.add(class_id, b"\x01a\x07example\0", line).unwrap();
    }
    let laid = lay(table, &[LIST, exchange]);
    assert_eq!(find(&laid, b"\x01a\x07example\0"), Some(vec![(1, 3), (0, 1)]));
    assert_eq!((laid.duplicates[&0], laid.duplicates[&1]), (2, 1));
    assert_eq!(find(&laid, b"\x01b\x07example\0"), None);
}

#[test]
fn exception_below_a_blocked_name_leaves_a_mark_and_elsewhere_none() {
    let mut table = NameTable::new(SEED);
    table.add(0, b"\x07example\0", 1).unwrap();
    for (line, name) in [(2, &b"\x01a\x01b\x07example\0"[..]), (3, b"\x01a\x03org\0")] {
        table.add(1, name, line).unwrap();
        table.note_exception(1, name);
    }
    let laid = lay(table, &[LIST, ALLOW]);
    assert_eq!(find(&laid, b"\x07example\0"), Some(vec![(0, 1), (2, 0)]));
    assert_eq!(find(&laid, b"\x01b\x07example\0"), Some(vec![(2, 0)]));
    assert_eq!(find(&laid, b"\x03org\0"), None);
    assert_eq!(laid.homes, SLOTS_PER_NAME * (3 + 4));
}

#[test]
fn owners_near_the_root_are_noted() {
    let mut table = NameTable::new(SEED);
    table.note_depth(b"\x01a\x07example\0");
    assert!(!table.has_top_level_owner && !table.has_root_owner);
    table.note_depth(b"\x07example\0");
    table.note_depth(b"\0");
    assert!(table.has_top_level_owner && table.has_root_owner);
}

#[test]
fn more_references_than_a_record_counts_are_refused() {
    let mut table = NameTable::new(SEED);
    let ranks = vec![LIST; REFS_PER_NAME_MAX + 1];
    for class_id in 0..=REFS_PER_NAME_MAX {
        table.add(class_id as u16, b"\x01a\x07example\0", 1).unwrap();
    }
    let refused = table.lay::<Infallible>(ranks, |_| Ok(0));
    assert!(matches!(refused, Err(LayError::Full(full)) if full == TOO_MANY_REFS));
}

#[test]
fn failure_to_make_a_class_for_marks_comes_back() {
    let mut table = NameTable::new(SEED);
    table.add(0, b"\x07example\0", 1).unwrap();
    table.note_exception(1, b"\x01a\x07example\0");
    let failed = table.lay(vec![LIST, ALLOW], Err::<u16, u16>);
    assert!(matches!(failed, Err(LayError::Marker(1))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_name_is_found_and_the_last_slot_is_free(
        names in proptest::collection::vec(("[a-c]{1,2}", "[a-c]{1,2}", 0u16..3), 0..120)
    ) {
        let mut table = NameTable::new(SEED);
        let mut wanted: HashMap<Vec<u8>, Vec<u16>> = HashMap::new();
        for (line, (first, last, class_id)) in names.iter().enumerate() {
            let mut name = vec![first.len() as u8];
            name.extend_from_slice(first.as_bytes());
            name.push(last.len() as u8);
            name.extend_from_slice(last.as_bytes());
            name.push(0);
            table.add(*class_id, &name, line as u32).unwrap();
            let classes = wanted.entry(name).or_default();
            if !classes.contains(class_id) {
                classes.push(*class_id);
            }
        }
        let laid = lay(table, &[LIST, Rank { file_index: 1, ..LIST }, Rank { file_index: 2, ..LIST }]);
        prop_assert_eq!(laid.tags.last(), Some(&0));
        prop_assert_eq!(laid.tags.len(), laid.places.len());
        for (name, mut classes) in wanted {
            classes.sort_unstable();
            let found: Vec<u16> = find(&laid, &name).unwrap().into_iter().map(|(class_id, _)| class_id).collect();
            prop_assert_eq!(found, classes);
        }
    }

    #[test]
    fn any_octets_are_named_or_not_without_a_panic(octets in proptest::collection::vec(any::<u8>(), 0..40)) {
        let mut table = NameTable::new(SEED);
        table.note_depth(&octets);
        table.note_exception(0, &octets);
        if is_name(&octets) {
            table.add(0, &octets, 1).unwrap();
        }
        lay(table, &[LIST]);
    }
}
