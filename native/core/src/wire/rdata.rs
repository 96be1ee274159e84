//! Steps over the names inside RDATA, and writes RDATA with them expanded.
//!
//! Knows: which types carry compressible names and where.  Does not know: what they mean.

use super::numbers::{TYPE_A, TYPE_AAAA};
use super::walk::{pass_name, read_name, Names, Record, WireError};

/// How RDATA with names in it is laid out: fixed octets, strings, names, and what may follow.
struct Layout {
    fixed: usize,
    strings: usize,
    names: usize,
    /// Octets after the names; `None`: any number.
    tail: Option<usize>,
}

/// The layout of a type whose names may come compressed.
///
/// RFC 3597 §4: names inside these types may come compressed and are to be expanded; RDATA of every other type
/// is opaque, pointers or not.  DNAME (RFC 6672 §2.5) and KX are never compressed by the rules, but expanding
/// costs nothing where a sender broke them.
fn layout_of(rtype: u16) -> Option<Layout> {
    let (fixed, strings, names, tail) = match rtype {
        2..=5 | 7..=9 | 12 | 39 => (0, 0, 1, Some(0)), // NS, MD, MF, CNAME, MB, MG, MR, PTR, DNAME
        6 => (0, 0, 2, Some(20)),                      // SOA
        14 | 17 => (0, 0, 2, Some(0)),                 // MINFO, RP
        15 | 18 | 21 | 36 => (2, 0, 1, Some(0)),       // MX, AFSDB, RT, KX
        24 => (18, 0, 1, None),                        // SIG
        26 => (2, 0, 2, Some(0)),                      // PX
        30 => (0, 0, 1, None),                         // NXT
        33 => (6, 0, 1, Some(0)),                      // SRV
        35 => (4, 3, 1, Some(0)),                      // NAPTR
        _ => return None,
    };
    Some(Layout { fixed, strings, names, tail })
}

/// Check that RDATA is laid out as its type must be: the names in it are read, the lengths fit.
pub fn check_rdata(octets: &[u8], record: &Record, names: &mut Names) -> Result<(), WireError> {
    walk_rdata(octets, record, names, None)
}

/// Append RDATA with the names inside it uncompressed, case kept; types not listed stay as they are.
///
/// Also the check of RDATA: fails when a listed type is not laid out as it must be.
pub fn expand_rdata(
    octets: &[u8],
    record: &Record,
    names: &mut Names,
    out: &mut Vec<u8>,
) -> Result<(), WireError> {
    walk_rdata(octets, record, names, Some(out))
}

fn walk_rdata(
    octets: &[u8],
    record: &Record,
    names: &mut Names,
    mut out: Option<&mut Vec<u8>>,
) -> Result<(), WireError> {
    let (start, end) = (record.rdata_start, record.end);
    let Some(layout) = layout_of(record.rtype) else {
        let octets_due = match record.rtype {
            TYPE_A => 4,
            TYPE_AAAA => 16,
            _ => end - start,
        };
        if octets_due != end - start {
            return Err(WireError);
        }
        return put(octets, start, end, out);
    };
    let mut at = start + layout.fixed;
    for _ in 0..layout.strings {
        at += usize::from(*octets.get(at).ok_or(WireError)?) + 1;
    }
    // Each layout has a name next.
    if at >= end {
        return Err(WireError);
    }
    put(octets, start, at, out.as_deref_mut())?;
    for _ in 0..layout.names {
        if at >= end {
            return Err(WireError);
        }
        at = match out.as_deref_mut() {
            None => pass_name(octets, at, names)?,
            Some(out) => {
                let (name, after) = read_name(octets, at, names)?;
                out.extend_from_slice(names.cased(name));
                after
            }
        };
    }
    if at > end || layout.tail.is_some_and(|tail| end - at != tail) {
        return Err(WireError);
    }
    put(octets, at, end, out)
}

/// Append octets from one offset to another, where there is something to append to.
fn put(octets: &[u8], from: usize, to: usize, out: Option<&mut Vec<u8>>) -> Result<(), WireError> {
    let part = octets.get(from..to).ok_or(WireError)?;
    if let Some(out) = out {
        out.extend_from_slice(part);
    }
    Ok(())
}
