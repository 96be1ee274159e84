//! Steps over untrusted octets: names with compression pointers, records.
//!
//! Knows: RFC 1035 §4.1 layout.  Does not know: what any of it means, what RDATA holds (`rdata`).
//! Theory: a pointer must lead to a smaller offset than the run of labels it ends, so every walk halts;
//! targets already expanded are remembered per message and found by their offset, so that a message costs
//! time linear in its octets, and a name costs at most 510 octets of memory for each two octets of the message.

use smallvec::SmallVec;

use super::names::{is_at_or_below, lower_in_place, NameBuf, NAME_OCTETS_MAX};
use super::numbers::TYPE_OPT;

/// Octets of a message's header.
pub const HEADER_OCTETS: usize = 12;
/// Offsets that pointers can lead to: 14 bits (RFC 1035 §4.1.4).
const REACH: usize = 0x4000;
/// Distinct pointer targets followed in one message: as many names as can start within the reach of a
/// pointer, each of at least a pointer's two octets.
pub const POINTER_TARGETS_MAX: usize = 8_186;
const _: () = assert!(POINTER_TARGETS_MAX == (REACH - HEADER_OCTETS) / 2);
/// Records looked at in one message: as many as 64 KiB hold beside the shortest question.
pub const RECORDS_MAX: usize = 5_956;
const _: () = assert!(RECORDS_MAX == (65535 - HEADER_OCTETS - 5) / RECORD_OCTETS_MIN);
/// Root owner, fixed part, empty RDATA.
pub const RECORD_OCTETS_MIN: usize = 11;
/// Up to this many targets are looked through; beyond it a table by offset is filled.
const TARGETS_WITHOUT_TABLE: usize = 16;
/// TYPE, CLASS, TTL, RDLENGTH.
pub const FIXED_OCTETS: usize = 10;

/// Octets that break RFC 1035's layout.  Stays within this room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WireError;

/// A name in a [`Names`]; names read from the same octets often share theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    start: u32,
    octets: u32,
}

impl Span {
    /// Octets the name has.
    #[inline]
    pub fn octets(self) -> usize {
        self.octets as usize
    }
}

/// The names expanded so far in one message, and which of them pointers led to.
#[derive(Debug)]
pub struct Names {
    /// Expanded names, end to end, as sent.
    cased: Vec<u8>,
    /// The same octets in lower case.
    lowered: Vec<u8>,
    /// Offsets that pointers led to; at most POINTER_TARGETS_MAX.
    targets: SmallVec<[u16; TARGETS_WITHOUT_TABLE]>,
    /// For each of `targets` the name there.
    spans: SmallVec<[Span; TARGETS_WITHOUT_TABLE]>,
    /// For each offset its place in `targets`, counted from 1; empty while there are few.
    places: Vec<u16>,
}

impl Names {
    /// No name yet.
    pub fn new() -> Self {
        Names {
            cased: Vec::new(),
            lowered: Vec::new(),
            targets: SmallVec::new(),
            spans: SmallVec::new(),
            places: Vec::new(),
        }
    }

    /// With the question's name, which later names may point to.
    pub fn with_question(qname: &[u8]) -> Self {
        let mut names = Names::new();
        // Room for the names of a usual answer.
        names.cased.reserve(NAME_OCTETS_MAX + 1);
        names.lowered.reserve(NAME_OCTETS_MAX + 1);
        let span = names.add(qname);
        names.targets.push(HEADER_OCTETS as u16);
        names.spans.push(span);
        names
    }

    /// The name kept first: the question's.
    pub fn first(&self) -> Span {
        self.spans.first().copied().unwrap_or(Span { start: 0, octets: 0 })
    }

    /// The name as sent.
    #[inline]
    pub fn cased(&self, span: Span) -> &[u8] {
        Self::slice(&self.cased, span)
    }

    /// The name in lower case.
    #[inline]
    pub fn lowered(&self, span: Span) -> &[u8] {
        Self::slice(&self.lowered, span)
    }

    /// Whether two names are the same but for case.
    #[inline]
    pub fn are_same(&self, one: Span, other: Span) -> bool {
        one == other || (one.octets == other.octets && self.lowered(one) == self.lowered(other))
    }

    /// Whether `name` is `ancestor` or under it, whatever the case.
    #[inline]
    pub fn is_at_or_below(&self, name: Span, ancestor: Span) -> bool {
        is_at_or_below(self.lowered(name), self.lowered(ancestor))
    }

    /// Offsets that pointers led to.
    pub fn targets(&self) -> &[u16] {
        &self.targets
    }

    /// Keep a whole name; the caller has checked its length.
    fn add(&mut self, name: &[u8]) -> Span {
        let start = self.cased.len();
        self.cased.extend_from_slice(name);
        self.close(start)
    }

    /// Keep `prefix` followed by a name already kept.
    fn add_before(&mut self, prefix: &[u8], name: Span) -> Result<Span, WireError> {
        if prefix.is_empty() {
            return Ok(name);
        }
        if prefix.len() + name.octets as usize > NAME_OCTETS_MAX {
            return Err(WireError);
        }
        let start = self.cased.len();
        let from = name.start as usize;
        self.cased.extend_from_slice(prefix);
        self.cased.extend_from_within(from..from + name.octets as usize);
        Ok(self.close(start))
    }

    /// A kept name's first `octets` octets followed by another kept name: RFC 6672's substitution.
    pub fn substitute(&mut self, name: Span, octets: usize, suffix: Span) -> Result<Span, WireError> {
        let mut prefix = NameBuf::new();
        let kept = self.cased(name).get(..octets).ok_or(WireError)?;
        prefix.try_extend_from_slice(kept).map_err(|_| WireError)?;
        self.add_before(&prefix, suffix)
    }

    fn close(&mut self, start: usize) -> Span {
        self.lowered.extend_from_slice(&self.cased[start..]);
        lower_in_place(&mut self.lowered[start..]);
        Span { start: start as u32, octets: (self.cased.len() - start) as u32 }
    }

    #[inline]
    fn slice(octets: &[u8], span: Span) -> &[u8] {
        let start = span.start as usize;
        octets.get(start..start + span.octets as usize).unwrap_or_default()
    }

    #[inline]
    fn known(&self, target: usize) -> Option<Span> {
        let index = if self.places.is_empty() {
            self.targets.iter().position(|known| usize::from(*known) == target)?
        } else {
            usize::from(*self.places.get(target)?).checked_sub(1)?
        };
        self.spans.get(index).copied()
    }

    /// The caller has checked that there is room for one more target.
    fn remember(&mut self, target: usize, span: Span) {
        self.targets.push(target as u16);
        self.spans.push(span);
        if !self.places.is_empty() {
            self.places[target] = self.targets.len() as u16;
        } else if self.targets.len() > TARGETS_WITHOUT_TABLE {
            self.fill_places();
        }
    }

    #[cold]
    fn fill_places(&mut self) {
        self.places = vec![0; REACH];
        for (target, place) in self.targets.iter().zip(1..) {
            self.places[usize::from(*target)] = place;
        }
    }
}

/// The name at an offset, expanded; and the offset after it.
///
/// Fails on label types 01 and 10, on pointers that do not lead backwards or lead into the header, on names
/// over 255 octets, and past the end.
pub fn read_name(octets: &[u8], at: usize, names: &mut Names) -> Result<(Span, usize), WireError> {
    let (run_end, target) = read_run(octets, at)?;
    let run = &octets[at..run_end];
    match target {
        None => Ok((names.add(run), run_end)),
        Some(target) => {
            let span = match names.known(target) {
                Some(span) => span,
                None => follow(octets, target, names)?,
            };
            Ok((names.add_before(run, span)?, run_end + 2))
        }
    }
}

/// Check the name at an offset as [`read_name`] does, without keeping it; the offset after it.
pub fn pass_name(octets: &[u8], at: usize, names: &mut Names) -> Result<usize, WireError> {
    let (run_end, target) = read_run(octets, at)?;
    let Some(target) = target else {
        return Ok(run_end);
    };
    let span = match names.known(target) {
        Some(span) => span,
        None => follow(octets, target, names)?,
    };
    if run_end - at + span.octets() > NAME_OCTETS_MAX {
        return Err(WireError);
    }
    Ok(run_end + 2)
}

/// Expand a pointer's target that no pointer led to before, and remember every target on the way.
#[inline(never)]
fn follow(octets: &[u8], target: usize, names: &mut Names) -> Result<Span, WireError> {
    let mut runs = SmallVec::<[(usize, usize); 4]>::new();
    let mut at = target;
    let mut name = loop {
        // The first run, which ends in the pointer to `target`, counts as well.
        if names.targets.len() + runs.len() + 1 > POINTER_TARGETS_MAX {
            return Err(WireError);
        }
        let (run_end, target) = read_run(octets, at)?;
        match target {
            None => {
                let name = names.add(&octets[at..run_end]);
                names.remember(at, name);
                break name;
            }
            Some(target) => {
                runs.push((at, run_end));
                if let Some(name) = names.known(target) {
                    break name;
                }
                at = target;
            }
        }
    };
    while let Some((run, run_end)) = runs.pop() {
        name = names.add_before(&octets[run..run_end], name)?;
        names.remember(run, name);
    }
    Ok(name)
}

/// The end of the labels from `at` on, and where the pointer there leads; `None`: the root octet is included.
#[inline]
pub fn read_run(octets: &[u8], run: usize) -> Result<(usize, Option<usize>), WireError> {
    let mut at = run;
    loop {
        let length = usize::from(*octets.get(at).ok_or(WireError)?);
        if length == 0 {
            return Ok((at + 1, None));
        }
        if length < 64 {
            at += length + 1;
            if at - run >= NAME_OCTETS_MAX {
                return Err(WireError);
            }
            continue;
        }
        if length < 0xC0 {
            return Err(WireError);
        }
        let target = (length & 0x3F) << 8 | usize::from(*octets.get(at + 1).ok_or(WireError)?);
        if target < HEADER_OCTETS || target >= run {
            return Err(WireError);
        }
        return Ok((at, Some(target)));
    }
}

/// The offset after the name at `at`, pointers not followed.
pub fn skip_name(octets: &[u8], at: usize) -> Result<usize, WireError> {
    let limit = at + NAME_OCTETS_MAX;
    let mut at = at;
    loop {
        let length = usize::from(*octets.get(at).ok_or(WireError)?);
        if length == 0 {
            return Ok(at + 1);
        }
        if length >= 0xC0 {
            return Ok(at + 2);
        }
        if length > 63 {
            return Err(WireError);
        }
        at += length + 1;
        if at >= limit {
            return Err(WireError);
        }
    }
}

/// The 16 bits at an offset.
#[inline]
pub fn u16_at(octets: &[u8], at: usize) -> Result<u16, WireError> {
    match octets.get(at..at + 2) {
        Some(two) => Ok(u16::from_be_bytes([two[0], two[1]])),
        None => Err(WireError),
    }
}

/// The 32 bits at an offset.
#[inline]
pub fn u32_at(octets: &[u8], at: usize) -> Result<u32, WireError> {
    match octets.get(at..at + 4) {
        Some(four) => Ok(u32::from_be_bytes([four[0], four[1], four[2], four[3]])),
        None => Err(WireError),
    }
}

/// A record's fixed part.
#[derive(Clone, Copy, Debug)]
pub struct Fixed {
    pub rtype: u16,
    pub rclass: u16,
    /// As sent: 32 bits.
    pub ttl_s: u32,
    pub rdlength: usize,
}

/// The fixed part at an offset, behind an owner name.
#[inline]
pub fn read_fixed(octets: &[u8], at: usize) -> Result<Fixed, WireError> {
    let Some(ten) = octets.get(at..at + FIXED_OCTETS) else {
        return Err(WireError);
    };
    Ok(Fixed {
        rtype: u16::from_be_bytes([ten[0], ten[1]]),
        rclass: u16::from_be_bytes([ten[2], ten[3]]),
        ttl_s: u32::from_be_bytes([ten[4], ten[5], ten[6], ten[7]]),
        rdlength: usize::from(u16::from_be_bytes([ten[8], ten[9]])),
    })
}

/// Step over authority and additional records; return the OPT's upper eight rcode bits in place.
///
/// Fails on two OPTs, on an OPT with an owner name, and past the end.
pub fn step_over(octets: &[u8], at: usize, nscount: usize, arcount: usize) -> Result<u16, WireError> {
    let mut at = at;
    let mut upper = None;
    for left in (1..=nscount + arcount).rev() {
        // Nearly every owner is a pointer or, before an OPT, the root: no call for these.
        let first = *octets.get(at).ok_or(WireError)?;
        at = match first {
            0 => at + 1,
            0xC0.. => at + 2,
            _ => skip_name(octets, at)?,
        };
        let fixed = read_fixed(octets, at)?;
        at += FIXED_OCTETS + fixed.rdlength;
        if fixed.rtype == TYPE_OPT && left <= arcount {
            if upper.is_some() || first != 0 {
                return Err(WireError);
            }
            upper = Some((fixed.ttl_s >> 24) as u16);
        }
    }
    if at > octets.len() {
        return Err(WireError);
    }
    Ok(upper.unwrap_or(0) << 4)
}

/// Where one resource record stands in a message, and its facts.
#[derive(Clone, Copy, Debug)]
pub struct Record {
    pub owner: Span,
    pub rtype: u16,
    pub rclass: u16,
    /// As sent: 32 bits.
    pub ttl_s: u32,
    /// Offset of its owner name.
    pub start: usize,
    pub rdata_start: usize,
    pub end: usize,
}

/// `count` records from an offset on, and the offset after them.
///
/// The caller has checked `count` against the octets (RECORD_OCTETS_MIN each) and RECORDS_MAX.
pub fn read_section(
    octets: &[u8],
    at: usize,
    count: usize,
    names: &mut Names,
) -> Result<(Vec<Record>, usize), WireError> {
    let mut records = Vec::with_capacity(count.min(RECORDS_MAX));
    let mut at = at;
    for _ in 0..count {
        let start = at;
        let (owner, owner_end) = read_name(octets, at, names)?;
        let fixed = read_fixed(octets, owner_end)?;
        let rdata_start = owner_end + FIXED_OCTETS;
        at = rdata_start + fixed.rdlength;
        if at > octets.len() {
            return Err(WireError);
        }
        let Fixed { rtype, rclass, ttl_s, .. } = fixed;
        records.push(Record { owner, rtype, rclass, ttl_s, start, rdata_start, end: at });
    }
    Ok((records, at))
}
