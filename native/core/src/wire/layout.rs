//! Lays kept records out as one body behind the question: sliced where possible, else rebuilt.
//!
//! Knows: which octets may be taken as they stand, RRset TTLs, name compression of owners.
//! Does not know: why these records were kept.
//! Theory: pointers only lead backwards, so records that follow each other from the question on can be taken
//! as one slice; anything else is written anew, names in RDATA uncompressed.  So is a slice in which a pointer
//! leads to octets that change later (a TTL, the client's question).

use ahash::AHashMap;
use smallvec::SmallVec;

use super::chain::Kept;
use super::encode::STREAM_OCTETS_MAX;
use super::numbers::{CLASS_IN, TYPE_CNAME, TYPE_RRSIG};
use super::outcomes::Ttl;
use super::rdata::{check_rdata, expand_rdata};
use super::walk::{skip_name, u32_at, Names, Record, Span, WireError};
use super::walk::{FIXED_OCTETS, HEADER_OCTETS};

/// The lowest TTL with its top bit set.
pub const TTL_TOP_BIT: u32 = 0x8000_0000;
const POINTER_OFFSET_MAX: usize = 0x3FFF;
/// Octets from a TTL to the RDATA: TTL and RDLENGTH.
const TTL_BEFORE_RDATA: usize = 6;
/// Up to this many records sets are found by looking at all before; beyond it a table is filled.
const RECORDS_WITHOUT_TABLE: usize = 16;

/// Records as octets, and where things stand in them.
pub struct Body {
    pub octets: Vec<u8>,
    /// For each record the offset after it.
    pub ends: Vec<u16>,
    pub ttls: SmallVec<[Ttl; 1]>,
}

/// The body made of `records`, in their order, RDATA checked, TTLs made one per RRset.
///
/// `octets` has at most 65535.  Fails on broken RDATA and when expanding names makes the message longer
/// than STREAM_OCTETS_MAX.
pub fn lay_out(
    octets: &[u8],
    question_end: usize,
    records: &[Kept],
    soa: Option<&Record>,
    names: &mut Names,
) -> Result<Body, WireError> {
    let ttls_s = rrset_ttls(octets, records, soa, names);
    let mut expected = question_end;
    let mut ttl_starts = Vec::with_capacity(records.len());
    for record in records {
        match record {
            Kept::Sent(record) if record.start == expected => {
                check_rdata(octets, record, names)?;
                expected = record.end;
                ttl_starts.push(record.rdata_start - TTL_BEFORE_RDATA);
            }
            _ => return rebuild(octets, question_end, records, &ttls_s, names),
        }
    }
    if !are_names_fixed(octets, question_end, names, &ttl_starts)? {
        return rebuild(octets, question_end, records, &ttls_s, names);
    }
    let mut body = Body {
        octets: octets.get(question_end..expected).ok_or(WireError)?.to_vec(),
        ends: Vec::with_capacity(records.len()),
        ttls: SmallVec::with_capacity(records.len()),
    };
    for (record, ttl_s) in records.iter().zip(ttls_s) {
        let Kept::Sent(record) = record else {
            return Err(WireError);
        };
        let offset = record.rdata_start - TTL_BEFORE_RDATA - question_end;
        body.ends.push((record.end - question_end) as u16);
        body.ttls.push(Ttl { offset: offset as u16, ttl_s });
        if ttl_s != record.ttl_s {
            let place = body.octets.get_mut(offset..offset + 4).ok_or(WireError)?;
            place.copy_from_slice(&ttl_s.to_be_bytes());
        }
    }
    Ok(body)
}

/// Whether no name that a pointer leads to reads over a TTL or out of the question's name.
///
/// A TTL runs down and a question is another client's later: a name laid over them would become another name
/// after it was judged.  `ttl_starts` are offsets in the message, ascending; `names` has every pointer target.
pub fn are_names_fixed(
    octets: &[u8],
    question_end: usize,
    names: &Names,
    ttl_starts: &[usize],
) -> Result<bool, WireError> {
    let name_end = question_end - 4;
    for target in names.targets().iter().map(|target| usize::from(*target)) {
        if target == HEADER_OCTETS {
            continue;
        }
        let end = skip_name(octets, target)?;
        if target < question_end {
            if end > name_end {
                return Ok(false);
            }
            continue;
        }
        // The first TTL that ends behind the target must start behind the run's end.
        let index = ttl_starts.partition_point(|start| start + 4 <= target);
        if ttl_starts.get(index).is_some_and(|start| *start < end) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What records of one RRset share: owner, type, and for signatures the type they cover.
type SetKey = (Span, u16, u32);

/// The TTL of each record, in seconds: the lowest of its RRset, 0 for a set top bit, the SOA's as RFC 2308 says.
fn rrset_ttls(octets: &[u8], records: &[Kept], soa: Option<&Record>, names: &Names) -> SmallVec<[u32; 8]> {
    let mut ttls_s: SmallVec<[u32; 8]> = SmallVec::with_capacity(records.len());
    let mut keys: SmallVec<[SetKey; 8]> = SmallVec::with_capacity(records.len());
    for record in records {
        let (key, ttl_s) = match record {
            // RFC 2181 §8: a TTL with the top bit set is to be taken as 0.
            Kept::Synthesized { owner, ttl_s, .. } => ((*owner, TYPE_CNAME, 0), ttl_or_zero(*ttl_s)),
            Kept::Sent(record) => {
                let mut ttl_s = ttl_or_zero(record.ttl_s);
                if soa.is_some_and(|soa| soa.start == record.start) {
                    // RFC 2308 §5: the negative TTL is the lesser of the SOA's own TTL and its MINIMUM.
                    ttl_s = ttl_s.min(ttl_or_zero(u32_at(octets, record.end - 4).unwrap_or(0)));
                }
                ((record.owner, record.rtype, signed_type(octets, record)), ttl_s)
            }
        };
        keys.push(key);
        ttls_s.push(ttl_s);
    }
    // RFC 2181 §5.2: differing TTLs within an RRset are an error, cured by the lowest.
    if records.len() <= RECORDS_WITHOUT_TABLE {
        for later in 1..keys.len() {
            let (one, key) = (ttls_s[later], keys[later]);
            // The first of a set always has its lowest so far.
            let is_same =
                |other: &SetKey| (other.1, other.2) == (key.1, key.2) && names.are_same(other.0, key.0);
            if let Some(first) = keys[..later].iter().position(is_same) {
                ttls_s[first] = ttls_s[first].min(one);
                keys[later] = keys[first];
            }
        }
        for later in 1..keys.len() {
            if let Some(first) = keys[..later].iter().position(|other| *other == keys[later]) {
                ttls_s[later] = ttls_s[first];
            }
        }
        return ttls_s;
    }
    let mut lowest: AHashMap<(&[u8], u16, u32), u32> = AHashMap::with_capacity(records.len());
    for ((owner, rtype, covered), ttl_s) in keys.iter().zip(&ttls_s) {
        let low = lowest.entry((names.lowered(*owner), *rtype, *covered)).or_insert(*ttl_s);
        *low = (*low).min(*ttl_s);
    }
    for ((owner, rtype, covered), ttl_s) in keys.iter().zip(&mut ttls_s) {
        *ttl_s = lowest.get(&(names.lowered(*owner), *rtype, *covered)).copied().unwrap_or(*ttl_s);
    }
    ttls_s
}

#[inline]
fn ttl_or_zero(ttl_s: u32) -> u32 {
    if ttl_s >= TTL_TOP_BIT {
        0
    } else {
        ttl_s
    }
}

/// What tells signatures apart into sets: the type they cover; 0 for every other record.
///
/// RDATA too short to say is told apart by what there is of it, so that it is never taken for a type.
fn signed_type(octets: &[u8], record: &Record) -> u32 {
    if record.rtype != TYPE_RRSIG {
        return 0;
    }
    match octets.get(record.rdata_start..).unwrap_or_default() {
        [] => 1 << 24,
        [one] => 2 << 24 | u32::from(*one),
        [upper, lower, ..] => u32::from(u16::from_be_bytes([*upper, *lower])),
    }
}

/// Write the records anew; owners point to an earlier whole name where there is one.
fn rebuild(
    octets: &[u8],
    question_end: usize,
    records: &[Kept],
    ttls_s: &[u32],
    names: &mut Names,
) -> Result<Body, WireError> {
    let mut out: Vec<u8> = Vec::with_capacity(octets.len());
    let mut written = Written { offsets: AHashMap::new() };
    written.offsets.insert(names.lowered(names.first()).into(), HEADER_OCTETS as u16);
    let mut ends = Vec::with_capacity(records.len());
    let mut ttls = SmallVec::with_capacity(records.len());
    for (record, ttl_s) in records.iter().zip(ttls_s) {
        let (owner, rtype, rclass) = match record {
            Kept::Sent(record) => (record.owner, record.rtype, record.rclass),
            Kept::Synthesized { owner, .. } => (*owner, TYPE_CNAME, CLASS_IN),
        };
        let owner = names.lowered(owner);
        if let Some(offset) = written.offsets.get(owner) {
            out.extend_from_slice(&(0xC000 | offset).to_be_bytes());
        } else {
            written.remember(owner, question_end + out.len());
            out.extend_from_slice(owner);
        }
        let fixed = out.len();
        ttls.push(Ttl { offset: (fixed + 4) as u16, ttl_s: *ttl_s });
        out.extend_from_slice(&rtype.to_be_bytes());
        out.extend_from_slice(&rclass.to_be_bytes());
        out.extend_from_slice(&ttl_s.to_be_bytes());
        out.extend_from_slice(&[0, 0]);
        let rdata = fixed + FIXED_OCTETS;
        match record {
            Kept::Sent(record) => expand_rdata(octets, record, names, &mut out)?,
            Kept::Synthesized { target, .. } => out.extend_from_slice(names.lowered(*target)),
        }
        // RDATA of 64 KiB and more does not get past the limit below.
        let rdlength = (out.len() - rdata) as u16;
        out[fixed + 8..rdata].copy_from_slice(&rdlength.to_be_bytes());
        if question_end + out.len() > STREAM_OCTETS_MAX {
            return Err(WireError);
        }
        if rtype == TYPE_CNAME {
            written.remember(&out[rdata..].to_ascii_lowercase(), question_end + rdata);
        }
        ends.push(out.len() as u16);
    }
    Ok(Body { octets: out, ends, ttls })
}

/// Whole names that a pointer can lead to, in lower case, and where they stand in the message.
struct Written {
    offsets: AHashMap<Box<[u8]>, u16>,
}

impl Written {
    /// Take down a name unless it is the root, out of a pointer's reach, or there already.
    fn remember(&mut self, name: &[u8], offset: usize) {
        if offset <= POINTER_OFFSET_MAX && name != [0] && !self.offsets.contains_key(name) {
            self.offsets.insert(name.into(), offset as u16);
        }
    }
}
