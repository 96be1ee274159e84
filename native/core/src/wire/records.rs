//! Builds the octets of our own resource records, to stand behind a question.
//!
//! Knows: record layout, the compression pointer to the question's name.  Does not know: when an answer is
//! due, nor the message around it (`encode`).  Everything here takes trusted values and appends to `out`.

use super::numbers::{CLASS_IN, TYPE_HINFO, TYPE_SOA};

/// A compression pointer to the question's name; add an offset within the name for an ancestor.
pub const QNAME_POINTER: u16 = 0xC00C;

/// Whom a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner<'a> {
    /// A whole name in wire form.
    Name(&'a [u8]),
    /// A compression pointer: [`QNAME_POINTER`] plus an offset within the question's name.
    Pointer(u16),
}

/// RDATA of a SOA record (RFC 1035 §3.3.13): names in wire form, times in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Soa<'a> {
    pub mname: &'a [u8],
    pub rname: &'a [u8],
    pub serial: u32,
    pub refresh_s: u32,
    pub retry_s: u32,
    pub expire_s: u32,
    pub minimum_s: u32,
}

/// Append one record of class IN; `ttl_s` in seconds, `rdata` at most 65535 octets.
pub fn record(owner: Owner<'_>, rtype: u16, ttl_s: u32, rdata: &[u8], out: &mut Vec<u8>) {
    head(owner, rtype, ttl_s, rdata.len(), out);
    out.extend_from_slice(rdata);
}

/// Append a SOA record.
pub fn soa_record(owner: Owner<'_>, soa: &Soa<'_>, ttl_s: u32, out: &mut Vec<u8>) {
    head(owner, TYPE_SOA, ttl_s, soa.mname.len() + soa.rname.len() + 20, out);
    out.extend_from_slice(soa.mname);
    out.extend_from_slice(soa.rname);
    for number in [soa.serial, soa.refresh_s, soa.retry_s, soa.expire_s, soa.minimum_s] {
        out.extend_from_slice(&number.to_be_bytes());
    }
}

/// Append the one-record answer to ANY: HINFO "RFC8482" "" (RFC 8482 §4.2).
pub fn hinfo_body(ttl_s: u32, out: &mut Vec<u8>) {
    record(Owner::Pointer(QNAME_POINTER), TYPE_HINFO, ttl_s, b"\x07RFC8482\x00", out);
}

fn head(owner: Owner<'_>, rtype: u16, ttl_s: u32, rdata_octets: usize, out: &mut Vec<u8>) {
    match owner {
        Owner::Name(name) => out.extend_from_slice(name),
        Owner::Pointer(pointer) => out.extend_from_slice(&pointer.to_be_bytes()),
    }
    let mut fixed = [0; 10];
    fixed[..2].copy_from_slice(&rtype.to_be_bytes());
    fixed[2..4].copy_from_slice(&CLASS_IN.to_be_bytes());
    fixed[4..8].copy_from_slice(&ttl_s.to_be_bytes());
    debug_assert!(rdata_octets <= 0xFFFF);
    fixed[8..].copy_from_slice(&(rdata_octets as u16).to_be_bytes());
    out.extend_from_slice(&fixed);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::numbers::TYPE_A;

    #[test]
    fn a_record_may_point_to_the_question_or_name_its_owner() {
        let mut out = Vec::new();
        record(Owner::Pointer(QNAME_POINTER + 4), TYPE_A, 300, &[192, 0, 2, 1], &mut out);
        assert_eq!(out, b"\xc0\x10\x00\x01\x00\x01\x00\x00\x01\x2c\x00\x04\xc0\x00\x02\x01");
        out.clear();
        record(Owner::Name(b"\x03org\0"), TYPE_A, 0, b"", &mut out);
        assert_eq!(out, b"\x03org\0\x00\x01\x00\x01\x00\x00\x00\x00\x00\x00");
    }

    #[test]
    fn a_soa_holds_its_names_and_five_numbers() {
        let soa = Soa {
            mname: b"\x02ns\0",
            rname: b"\0",
            serial: 1,
            refresh_s: 2,
            retry_s: 3,
            expire_s: 4,
            minimum_s: 5,
        };
        let mut out = Vec::new();
        soa_record(Owner::Pointer(QNAME_POINTER), &soa, 60, &mut out);
        assert_eq!(
            out,
            b"\xc0\x0c\x00\x06\x00\x01\x00\x00\x00\x3c\x00\x19\x02ns\0\0\
              \0\0\0\x01\0\0\0\x02\0\0\0\x03\0\0\0\x04\0\0\0\x05"
        );
    }

    #[test]
    fn any_gets_one_hinfo() {
        let mut out = Vec::new();
        hinfo_body(3600, &mut out);
        assert_eq!(out, b"\xc0\x0c\x00\x0d\x00\x01\x00\x00\x0e\x10\x00\x09\x07RFC8482\x00");
    }
}
