//! The quick paths of accepting an answer: shapes that nearly every answer has, read without a list of records.
//!
//! Knows: addresses of qname itself; a short chain in order with its final RRset; one SOA.  Does not know: any
//! other shape: for those, and in any doubt, it says nothing and the general path (`sections`) judges.

use arrayvec::ArrayVec;
use smallvec::{smallvec, SmallVec};

use super::chain::CHAIN_LINKS_MAX;
use super::layout::{are_names_fixed, TTL_TOP_BIT};
use super::numbers::{NegativeKind, TYPE_DS, TYPE_SOA, TYPE_TLSA, TYPE_TXT};
use super::numbers::{CLASS_IN, FLAG_AD, TYPE_A, TYPE_AAAA, TYPE_ANY, TYPE_CAA, TYPE_CNAME, TYPE_DNSKEY};
use super::outcomes::{ChainLink, Response, SentQuery, Ttl};
use super::records::QNAME_POINTER;
use super::service_binding::address;
use super::walk::{
    pass_name, read_fixed, read_name, step_over, u16_at, u32_at, Names, Span, WireError, FIXED_OCTETS,
};

/// A header's facts as an answer's records need them.
#[derive(Clone, Copy)]
pub struct Head {
    pub question_end: usize,
    pub flags: u16,
    pub ancount: usize,
    pub nscount: usize,
    pub arcount: usize,
}

impl Head {
    /// The header's four rcode bits.
    #[inline]
    pub fn rcode(&self) -> u16 {
        self.flags & 0xF
    }

    /// The AD bit.
    #[inline]
    pub fn authentic_data(&self) -> bool {
        self.flags & FLAG_AD != 0
    }
}

/// Octets of a record whose owner is a pointer, before its RDATA.
const POINTED_OCTETS: usize = 2 + FIXED_OCTETS;
/// Largest offset a pointer can lead to.
const POINTER_OFFSET_MAX: usize = 0x3FFF;

/// RDLENGTH of the types of the plain paths: addresses have one, opaque types 0 for any.
#[inline]
fn plain_size(qtype: u16) -> Option<usize> {
    match qtype {
        TYPE_A => Some(4),
        TYPE_AAAA => Some(16),
        TYPE_TXT | TYPE_DS | TYPE_DNSKEY | TYPE_TLSA | TYPE_CAA => Some(0),
        _ => None,
    }
}

/// One RRset of A or AAAA records whose owner points to the question; `None` for any other shape.
pub fn accept_addresses(octets: &[u8], sent: &SentQuery, head: &Head) -> Result<Option<Response>, WireError> {
    let start = head.question_end;
    let first = octets.get(start..start + POINTED_OCTETS).ok_or(WireError)?;
    let size = match sent.qtype {
        TYPE_A => 4,
        TYPE_AAAA => 16,
        _ => return Ok(None),
    };
    if first[..2] != QNAME_POINTER.to_be_bytes()
        || first[2..4] != sent.qtype.to_be_bytes()
        || first[4..6] != sent.qclass.to_be_bytes()
        || first[10..] != [0, size as u8]
    {
        return Ok(None);
    }
    let ttl_s = u32::from_be_bytes([first[6], first[7], first[8], first[9]]);
    let step = POINTED_OCTETS + size;
    let end = start + head.ancount * step;
    let mut ttls = SmallVec::with_capacity(head.ancount);
    let mut addresses = SmallVec::with_capacity(head.ancount);
    for at in (start..end).step_by(step) {
        let record = octets.get(at..at + step).ok_or(WireError)?;
        if record[..POINTED_OCTETS] != *first {
            return Ok(None);
        }
        ttls.push(Ttl { offset: (at - start + 6) as u16, ttl_s });
        addresses.extend(address(&record[POINTED_OCTETS..]));
    }
    if ttl_s >= TTL_TOP_BIT || step_over(octets, end, head.nscount, head.arcount)? != 0 {
        return Ok(None);
    }
    Ok(Some(Response {
        rcode: 0,
        authentic_data: head.authentic_data(),
        body: octets.get(start..end).ok_or(WireError)?.into(),
        ancount: head.ancount as u16,
        nscount: 0,
        ttls,
        negative: None,
        ttl_s,
        links: Box::default(),
        service_targets: Box::default(),
        addresses,
        name_at_end: None,
    }))
}

/// A chain as far as it was read.
struct Run {
    names: Names,
    qname: Span,
    /// Where the chain led last.
    name: Span,
    links: ArrayVec<(Span, usize), CHAIN_LINKS_MAX>,
    ttls: SmallVec<[Ttl; 1]>,
    lowest_ttl_s: u32,
    /// Offset after what was read.
    at: usize,
}

/// A chain and its final RRset standing in order, or one SOA; `None` where in any doubt.
pub fn accept_plain(octets: &[u8], sent: &SentQuery, head: &Head) -> Result<Option<Response>, WireError> {
    let size = plain_size(sent.qtype);
    let mut expected = QNAME_POINTER;
    let names = Names::with_question(&sent.qname);
    let qname = names.first();
    let mut run = Run {
        names,
        qname,
        name: qname,
        links: ArrayVec::new(),
        ttls: SmallVec::with_capacity(head.ancount + head.nscount.min(1)),
        lowest_ttl_s: u32::MAX,
        at: head.question_end,
    };
    let mut addresses = smallvec![];
    let mut final_ttl_s = None;
    for _ in 0..head.ancount {
        let owner = u16_at(octets, run.at)?;
        let fixed = read_fixed(octets, run.at + 2)?;
        if owner != expected || fixed.rclass != sent.qclass || fixed.ttl_s >= TTL_TOP_BIT {
            return Ok(None);
        }
        let start = run.at + POINTED_OCTETS;
        let end = start + fixed.rdlength;
        if fixed.rtype == sent.qtype {
            let is_sized = size.is_some_and(|size| size == 0 || size == fixed.rdlength);
            if !is_sized || final_ttl_s.is_some_and(|ttl_s| ttl_s != fixed.ttl_s) {
                return Ok(None);
            }
            final_ttl_s = Some(fixed.ttl_s);
            if size != Some(0) {
                addresses.extend(address(octets.get(start..end).ok_or(WireError)?));
            }
        } else if fixed.rtype == TYPE_CNAME && final_ttl_s.is_none() && sent.qtype != TYPE_ANY {
            if start > POINTER_OFFSET_MAX || !follow_link(octets, head, start, end, &mut run)? {
                return Ok(None);
            }
            // The next owner points to this target, or where this target itself only points to.
            expected = if fixed.rdlength == 2 { u16_at(octets, start)? } else { 0xC000 | start as u16 };
        } else {
            return Ok(None);
        }
        run.keep_ttl(run.at + 6 - head.question_end, fixed.ttl_s);
        run.at = end;
    }
    if final_ttl_s.is_none() {
        return accept_plain_negative(octets, head, run);
    }
    if head.rcode() != 0
        || step_over(octets, run.at, head.nscount, head.arcount)? != 0
        || (!run.links.is_empty() && !run.are_names_fixed(octets, head)?)
    {
        return Ok(None);
    }
    let body = octets.get(head.question_end..run.at).ok_or(WireError)?.into();
    Ok(Some(Response { addresses, ..run.response(head, body) }))
}

/// Take the CNAME whose RDATA lies between two offsets; false where the chain may not go on there.
fn follow_link(
    octets: &[u8],
    head: &Head,
    start: usize,
    end: usize,
    run: &mut Run,
) -> Result<bool, WireError> {
    let (target, target_end) = read_name(octets, start, &mut run.names)?;
    let names = &run.names;
    let is_seen = names.are_same(target, run.qname)
        || run.links.iter().any(|(before, _)| names.are_same(target, *before));
    if target_end != end || is_seen || run.links.is_full() {
        return Ok(false);
    }
    run.links.push((target, end - head.question_end));
    run.name = target;
    Ok(true)
}

/// No final RRset: one SOA at or above the name that ends the chain; `None` for any other shape.
fn accept_plain_negative(octets: &[u8], head: &Head, mut run: Run) -> Result<Option<Response>, WireError> {
    if head.nscount != 1 {
        return Ok(None);
    }
    let (owner, at) = read_name(octets, run.at, &mut run.names)?;
    let fixed = read_fixed(octets, at)?;
    if fixed.rtype != TYPE_SOA || fixed.rclass != CLASS_IN || !run.names.is_at_or_below(run.name, owner) {
        return Ok(None);
    }
    let end = at + FIXED_OCTETS + fixed.rdlength;
    let rname_at = pass_name(octets, at + FIXED_OCTETS, &mut run.names)?;
    let numbers_at = pass_name(octets, rname_at, &mut run.names)?;
    if numbers_at + 20 != end || step_over(octets, end, 0, head.arcount)? != 0 {
        return Ok(None);
    }
    let minimum_s = u32_at(octets, end - 4)?;
    if fixed.ttl_s >= TTL_TOP_BIT || minimum_s >= TTL_TOP_BIT {
        return Ok(None);
    }
    // RFC 2308 §5: the negative TTL is the lesser of the SOA's own TTL and its MINIMUM.
    let ttl_s = fixed.ttl_s.min(minimum_s);
    let offset = at + 4 - head.question_end;
    run.keep_ttl(offset, ttl_s);
    if !run.are_names_fixed(octets, head)? {
        return Ok(None);
    }
    let mut body: Box<[u8]> = octets.get(head.question_end..end).ok_or(WireError)?.into();
    body.get_mut(offset..offset + 4).ok_or(WireError)?.copy_from_slice(&ttl_s.to_be_bytes());
    let negative = if head.rcode() == 0 { NegativeKind::Nodata } else { NegativeKind::Nxdomain };
    Ok(Some(Response {
        rcode: head.rcode(),
        nscount: 1,
        negative: Some(negative),
        ..run.response(head, body)
    }))
}

impl Run {
    fn keep_ttl(&mut self, offset: usize, ttl_s: u32) {
        self.ttls.push(Ttl { offset: offset as u16, ttl_s });
        self.lowest_ttl_s = self.lowest_ttl_s.min(ttl_s);
    }

    fn are_names_fixed(&self, octets: &[u8], head: &Head) -> Result<bool, WireError> {
        let start = |ttl: &Ttl| head.question_end + usize::from(ttl.offset);
        let ttl_starts: SmallVec<[usize; 16]> = self.ttls.iter().map(start).collect();
        are_names_fixed(octets, head.question_end, &self.names, &ttl_starts)
    }

    /// A positive answer without addresses.
    fn response(self, head: &Head, body: Box<[u8]>) -> Response {
        let links = self.links.iter().zip(1..).map(|((target, end), ancount)| ChainLink {
            target: self.names.lowered(*target).into(),
            end: *end as u16,
            ancount,
        });
        Response {
            rcode: 0,
            authentic_data: head.authentic_data(),
            body,
            ancount: head.ancount as u16,
            nscount: 0,
            negative: None,
            ttl_s: self.lowest_ttl_s,
            links: links.collect(),
            service_targets: Box::default(),
            addresses: SmallVec::new(),
            name_at_end: (!self.links.is_empty()).then(|| self.names.lowered(self.name).into()),
            ttls: self.ttls,
        }
    }
}
