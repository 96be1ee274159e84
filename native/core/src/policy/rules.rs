//! Reads what an image says of its rules: RULES and CLASSES, STRINGS and META.
//!
//! Knows: the spelling of rules and local data, the few words of META that decisions and metrics need.
//! Does not know: names, which rule wins, time.

use serde_json::Value;

use super::image_format::{u16_at, u32_at, u64_at, unusable, ImageUnusable, CLASS_OCTETS, RULE_OCTETS};
use crate::verdict::{LocalData, Mode, PolicyAction, Rule, RuleForm, RuleKind};
use crate::wire::names::{LABEL_OCTETS_MAX, NAME_OCTETS_MAX};
use crate::wire::numbers::{TYPE_A, TYPE_AAAA, TYPE_CNAME};

/// What a rule class does with a name.  The numbers are the codes of the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Effect {
    /// A protected name: it passes.
    Protect = 0,
    /// An exception: it passes.
    Allow = 1,
    /// The rule's action.
    Block = 2,
    /// No rule: an exception stands somewhere below.
    Marker = 3,
}

/// A lower tier beats a higher one, whatever the owners' lengths.  The numbers are the codes of the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Tier {
    /// Protected names.
    Protected = 0,
    /// Exchanges and `allow`.
    Exchanges = 1,
    /// Lists.
    Lists = 2,
}

/// What the rules of one form, effect and audience of one source have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleClass {
    /// Index into the rules: the first record of its source.
    pub rule: u16,
    /// None: an address rule.
    pub form: Option<RuleForm>,
    /// What it does.
    pub effect: Effect,
    /// How strong it is.
    pub tier: Tier,
    /// Bit g: it is for the clients of group g.
    pub audience: u64,
}

impl RuleClass {
    /// Whether it is for the clients of this group.
    #[must_use]
    pub fn is_for(&self, group: u8) -> bool {
        self.audience.checked_shr(u32::from(group)).is_some_and(|bits| bits & 1 != 0)
    }
}

/// The rules, and how many files META names.
pub(super) fn read_rules(
    section: &[u8],
    strings: &[u8],
    meta: &[u8],
) -> Result<(Box<[Rule]>, usize), ImageUnusable> {
    let meta: Value = match serde_json::from_slice(meta) {
        Ok(meta) => meta,
        Err(error) => return unusable(format!("damaged: META: {error}")),
    };
    let people = array_of(&meta, "rules")?;
    let files = array_of(&meta, "files")?;
    if !files.iter().all(Value::is_string) {
        return unusable("damaged: META: a file without a name");
    }
    if section.len() % RULE_OCTETS != 0 || section.len() / RULE_OCTETS != people.len() {
        return unusable(format!("damaged: {} octets for {} rules", section.len(), people.len()));
    }
    let records = section.chunks_exact(RULE_OCTETS);
    let rules: Result<Box<[Rule]>, ImageUnusable> = records
        .zip(people)
        .enumerate()
        .map(|(number, (octets, words))| {
            read_rule(octets, strings, words)
                .ok_or_else(|| ImageUnusable(format!("damaged: rule {number} says nothing sensible")))
        })
        .collect();
    let rules = rules?;
    if !are_whole(&rules) {
        return unusable("damaged: records of one source that do not follow each other");
    }
    for key in ["exchanges", "lists"] {
        let is_source = |index: &Value| index.as_u64().is_some_and(|index| is_first(&rules, index as usize));
        if !array_of(&meta, key)?.iter().all(is_source) {
            return unusable(format!("damaged: META: {key:?} names a rule that is not there"));
        }
    }
    if !["orders", "counts"].iter().all(|key| meta.get(key).is_some_and(Value::is_object)) {
        return unusable("damaged: META: no orders or no counts");
    }
    if meta.get("contact").is_none() {
        return unusable("damaged: META: no contact");
    }
    Ok((rules, files.len()))
}

/// Whether every source has all its records, one after the other.
fn are_whole(rules: &[Rule]) -> bool {
    let mut following = 0;
    for rule in rules {
        if following > 0 && rule.following != following - 1 {
            return false;
        }
        following = rule.following;
    }
    following == 0
}

/// Whether the first record of a source stands at `index`.
fn is_first(rules: &[Rule], index: usize) -> bool {
    let before = index.checked_sub(1).and_then(|index| rules.get(index));
    index < rules.len() && before.map_or(true, |rule| rule.following == 0)
}

fn array_of<'m>(meta: &'m Value, key: &str) -> Result<&'m Vec<Value>, ImageUnusable> {
    match meta.get(key).and_then(Value::as_array) {
        Some(values) => Ok(values),
        None => unusable(format!("damaged: META: no {key:?}")),
    }
}

fn read_rule(octets: &[u8], strings: &[u8], words: &Value) -> Option<Rule> {
    let text = slice_at(strings, u32_at(octets, 12)?, u32_at(octets, 48)?)?;
    let local = slice_at(strings, u32_at(octets, 52)?, u32_at(octets, 56)?)?;
    let contacts_octets = u32::from(u16_at(octets, 62)?);
    let told_at = u32_at(octets, 64)?;
    let contacts = slice_at(strings, told_at, contacts_octets)?;
    let reason_at = told_at.checked_add(contacts_octets)?;
    let reason = slice_at(strings, reason_at, u32::from(u16_at(octets, 68)?))?;
    let starts_at = f64::from_bits(u64_at(octets, 32)?);
    let ends_at = f64::from_bits(u64_at(octets, 40)?);
    if starts_at.is_nan() || ends_at.is_nan() {
        return None;
    }
    words.get("name")?.as_str()?;
    words.get("category")?.as_str()?;
    words.get("orders")?.as_array()?;
    Some(Rule {
        kind: RuleKind::from_label(words.get("kind")?.as_str()?)?,
        label: words.get("label")?.as_str()?.to_owned(),
        action: PolicyAction::from_code(*octets.first()?)?,
        mode: Mode::from_code(*octets.get(1)?)?,
        ttl_s: u32_at(octets, 4)?,
        sinkhole_ipv4: octets.get(8..12)?.try_into().ok()?,
        sinkhole_ipv6: octets.get(16..32)?.try_into().ok()?,
        ede: u16_at(octets, 2)?,
        ede_text: std::str::from_utf8(text).ok()?.to_owned(),
        contacts_json: std::str::from_utf8(contacts).ok()?.to_owned(),
        reason_json: std::str::from_utf8(reason).ok()?.to_owned(),
        starts_at,
        ends_at,
        local_data: if local.is_empty() { None } else { Some(read_local_data(local)?) },
        following: u16_at(octets, 60)?,
    })
}

fn slice_at(octets: &[u8], offset: u32, length: u32) -> Option<&[u8]> {
    octets.get(offset as usize..)?.get(..length as usize)
}

fn read_local_data(mut octets: &[u8]) -> Option<LocalData> {
    let mut local_data = LocalData::default();
    while !octets.is_empty() {
        let rtype = u16_at(octets, 0)?;
        let length = u16_at(octets, 2)?;
        let rdata = octets.get(4..)?.get(..usize::from(length))?;
        match rtype {
            TYPE_A => local_data.ipv4.push(rdata.try_into().ok()?),
            TYPE_AAAA => local_data.ipv6.push(rdata.try_into().ok()?),
            TYPE_CNAME if is_name(rdata) => local_data.redirect = rdata.into(),
            _ => return None,
        }
        octets = &octets[4 + rdata.len()..];
    }
    Some(local_data)
}

/// Whether the octets are one uncompressed name and nothing else.
fn is_name(octets: &[u8]) -> bool {
    let mut at = 0;
    while let Some(&length) = octets.get(at) {
        if length == 0 {
            return at + 1 == octets.len() && octets.len() <= NAME_OCTETS_MAX;
        }
        if usize::from(length) > LABEL_OCTETS_MAX {
            return false;
        }
        at += usize::from(length) + 1;
    }
    false
}

/// The classes; each names a rule and a file that are there.
pub(super) fn read_classes(
    section: &[u8],
    rules: &[Rule],
    file_count: usize,
) -> Result<Box<[RuleClass]>, ImageUnusable> {
    if section.len() % CLASS_OCTETS != 0 {
        return unusable("damaged: a part of a class");
    }
    let class_of = |(number, octets): (usize, &[u8])| {
        read_class(octets, rules.len(), file_count)
            .filter(|class| is_first(rules, usize::from(class.rule)))
            .ok_or_else(|| ImageUnusable(format!("damaged: class {number} says nothing sensible")))
    };
    section.chunks_exact(CLASS_OCTETS).enumerate().map(class_of).collect()
}

fn read_class(octets: &[u8], rule_count: usize, file_count: usize) -> Option<RuleClass> {
    let rule = u16_at(octets, 0)?;
    let file = u16_at(octets, 6)?;
    if usize::from(rule) >= rule_count || usize::from(file) >= file_count {
        return None;
    }
    Some(RuleClass {
        rule,
        form: match octets.get(2)? {
            0 => Some(RuleForm::Exact),
            1 => Some(RuleForm::Below),
            2 => Some(RuleForm::Subtree),
            3 => None,
            _ => return None,
        },
        effect: match octets.get(3)? {
            0 => Effect::Protect,
            1 => Effect::Allow,
            2 => Effect::Block,
            3 => Effect::Marker,
            _ => return None,
        },
        tier: match octets.get(4)? {
            0 => Tier::Protected,
            1 => Tier::Exchanges,
            2 => Tier::Lists,
            _ => return None,
        },
        audience: u64_at(octets, 8)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_data_is_read_item_by_item() {
        let octets = [&[1, 0, 4, 0, 192, 0, 2, 1][..], &[5, 0, 4, 0, 2, b'a', b'b', 0]].concat();
        let local_data = read_local_data(&octets).unwrap();
        assert_eq!(local_data.ipv4, [[192, 0, 2, 1]]);
        assert_eq!(&*local_data.redirect, b"\x02ab\0");
        for end in 1..octets.len() {
            assert!(end == 8 || read_local_data(&octets[..end]).is_none());
        }
        assert_eq!(read_local_data(&[16, 0, 0, 0]), None);
    }

    #[test]
    fn a_class_is_for_the_groups_of_its_audience() {
        let mut octets = [0; CLASS_OCTETS];
        octets[8..].copy_from_slice(&(1u64 << 63 | 1 << 1).to_le_bytes());
        let class = read_class(&octets, 1, 1).unwrap();
        let groups: Vec<u8> = (0..=u8::MAX).filter(|&group| class.is_for(group)).collect();
        assert_eq!(groups, [1, 63]);
    }

    #[test]
    fn only_one_whole_name_is_a_name() {
        assert!(is_name(b"\0") && is_name(b"\x01*\x01a\0"));
        assert!(!is_name(b"") && !is_name(b"\x01a") && !is_name(b"\x01a\0\0") && !is_name(b"\xc0\x0c"));
        assert!(!is_name(&[[1, b'a'].repeat(127), vec![1, b'a', 0]].concat()));
    }
}
