//! The general path of accepting an answer: read all records, pick the chain, lay it out.
//!
//! Knows: the order of these steps.  Does not know: the quick shapes (`plain`).

use std::net::IpAddr;

use smallvec::SmallVec;

use super::chain::{follow_chain, is_referral, keep_proof, negative_records, Asked, Kept};
use super::layout::lay_out;
use super::numbers::{
    is_edns_stumble, NegativeKind, FLAG_AA, FLAG_RA, RCODE_NOERROR, RCODE_NXDOMAIN, RCODE_SERVFAIL, TYPE_A,
    TYPE_AAAA, TYPE_DNAME,
};
use super::numbers::{TYPE_HTTPS, TYPE_SVCB};
use super::outcomes::{Accepted, ChainLink, Response, SentQuery};
use super::plain::Head;
use super::service_binding::{address, read_service};
use super::walk::{read_section, step_over, Names, WireError};

/// Judge the records behind a header and question that are the ones expected.
pub fn accept_sections(octets: &[u8], sent: &SentQuery, head: &Head) -> Result<Accepted, WireError> {
    let mut names = Names::with_question(&sent.qname);
    let qname = names.first();
    let (mut answer, at) = read_section(octets, head.question_end, head.ancount, &mut names)?;
    let (mut authority, at) = read_section(octets, at, head.nscount, &mut names)?;
    let rcode = head.rcode() | step_over(octets, at, 0, head.arcount)?;
    if rcode != RCODE_NOERROR && rcode != RCODE_NXDOMAIN {
        let edns_refused = sent.edns && is_edns_stumble(rcode);
        return Ok(Accepted::UpstreamFailure { rcode, edns_refused });
    }
    answer.retain(|record| record.rclass == sent.qclass);
    authority.retain(|record| record.rclass == sent.qclass);
    let asked = Asked {
        octets,
        records: &answer,
        qtype: sent.qtype,
        rcode,
        dnssec_ok: sent.dnssec_ok,
        has_dname: answer.iter().any(|record| record.rtype == TYPE_DNAME),
    };
    let failure = Accepted::UpstreamFailure { rcode: RCODE_SERVFAIL, edns_refused: false };
    let mut chain = follow_chain(&asked, qname, &mut names)?;
    if chain.is_broken {
        return Ok(failure);
    }
    let ancount = chain.kept.len();
    let mut negative = None;
    let mut soa = None;
    if ancount > chain.terminal {
        if sent.dnssec_ok {
            keep_proof(octets, &authority, &mut chain.kept)?;
        }
    } else {
        negative = Some(if rcode == 0 { NegativeKind::Nodata } else { NegativeKind::Nxdomain });
        let name = chain.name_at_end;
        soa = negative_records(octets, &authority, name, sent.dnssec_ok, &names, &mut chain.kept)?;
        // From who recurses or has authority, NS records alone are a way of saying NODATA.
        let is_final = head.flags & (FLAG_AA | FLAG_RA) != 0;
        if soa.is_none() && rcode == 0 && !is_final && is_referral(&authority) {
            return Ok(failure);
        }
    }
    let body = lay_out(octets, head.question_end, &chain.kept, soa.as_ref(), &mut names)?;
    let terminal = chain.kept.get(chain.terminal..ancount).unwrap_or_default();
    let (service_targets, addresses) = pointed_to(octets, terminal)?;
    let links = chain.links.iter().map(|link| ChainLink {
        target: names.lowered(link.target).into(),
        end: body.ends.get(link.count.wrapping_sub(1)).copied().unwrap_or(0),
        ancount: link.count as u16,
    });
    // RFC 2308 §5: a negative answer without SOA is not kept.
    let is_kept = negative.is_none() || soa.is_some();
    let lowest_ttl_s = body.ttls.iter().map(|ttl| ttl.ttl_s).min().unwrap_or(0);
    Ok(Accepted::Response(Response {
        rcode,
        authentic_data: head.authentic_data(),
        links: links.collect(),
        body: body.octets.into_boxed_slice(),
        ancount: ancount as u16,
        nscount: (chain.kept.len() - ancount) as u16,
        ttls: body.ttls,
        negative,
        ttl_s: if is_kept { lowest_ttl_s } else { 0 },
        service_targets,
        addresses,
        name_at_end: (!chain.links.is_empty()).then(|| names.lowered(chain.name_at_end).into()),
    }))
}

/// SVCB and HTTPS targets, and addresses with hints, of the final RRset.
type PointedTo = (Box<[Box<[u8]>]>, SmallVec<[IpAddr; 1]>);

fn pointed_to(octets: &[u8], records: &[Kept]) -> Result<PointedTo, WireError> {
    let mut targets = Vec::new();
    let mut addresses = SmallVec::new();
    for record in records {
        let Kept::Sent(record) = record else {
            continue;
        };
        let rdata = octets.get(record.rdata_start..record.end).ok_or(WireError)?;
        match record.rtype {
            TYPE_A | TYPE_AAAA => addresses.extend(address(rdata)),
            TYPE_HTTPS | TYPE_SVCB => targets.extend(read_service(rdata, &mut addresses)?),
            _ => {}
        }
    }
    Ok((targets.into_boxed_slice(), addresses))
}
