//! Picks, out of an upstream's records, the ones that answer the question; the rest is dropped.
//!
//! Knows: CNAME and DNAME chains, RFC 2308's negative answers, which records are DNSSEC proof.
//! Does not know: how the kept records are laid out again.
//! Theory: a chain has at most [`CHAIN_LINKS_MAX`] links and each looks at every record a few times, so
//! there is no index to fill.

use arrayvec::ArrayVec;

use super::names::{suffixes, NAME_OCTETS_MAX};
use super::numbers::{RCODE_NXDOMAIN, TYPE_ANY, TYPE_CNAME, TYPE_DNAME, TYPE_NS, TYPE_NSEC, TYPE_NSEC3};
use super::numbers::{TYPE_RRSIG, TYPE_SOA};
use super::walk::{read_name, u16_at, Names, Record, Span, WireError, RECORDS_MAX};

/// Longest CNAME/DNAME chain accepted (Unbound's default too).
pub const CHAIN_LINKS_MAX: usize = 11;
/// A record to keep.
#[derive(Clone, Copy, Debug)]
pub enum Kept {
    /// One that the upstream sent.
    Sent(Record),
    /// A CNAME that it left out after its DNAME (RFC 6672 §3.1).
    Synthesized {
        /// Whom it is about.
        owner: Span,
        /// Where it leads; written in lower case.
        target: Span,
        /// As the DNAME has it: 32 bits.
        ttl_s: u32,
    },
}

/// One step of the chain: where it leads, and how many kept records lie up to its end.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    pub target: Span,
    pub count: usize,
}

/// The records that answer qname, in the order of the chain.
#[derive(Debug)]
pub struct Chain {
    pub name_at_end: Span,
    pub kept: Vec<Kept>,
    pub links: ArrayVec<Link, CHAIN_LINKS_MAX>,
    /// Where in `kept` the final RRset (with the signatures over it) starts; its end: there is none.
    pub terminal: usize,
    /// The chain loops or is too long.
    pub is_broken: bool,
}

/// An answer section and how it is asked about.
pub struct Asked<'a> {
    pub octets: &'a [u8],
    /// The answer section, of the class asked for.
    pub records: &'a [Record],
    pub qtype: u16,
    pub rcode: u16,
    pub dnssec_ok: bool,
    pub has_dname: bool,
}

/// Follow CNAME and DNAME from `qname` to the RRset asked for; at most CHAIN_LINKS_MAX links.
///
/// Records that the chain does not reach are left out (RFC 5452 §6 and RFC 2181 §5.4.1: an answer is believed
/// for what was asked, no more).
pub fn follow_chain(asked: &Asked<'_>, qname: Span, names: &mut Names) -> Result<Chain, WireError> {
    let mut chain = Chain {
        name_at_end: qname,
        kept: Vec::with_capacity(asked.records.len() + 1),
        links: ArrayVec::new(),
        terminal: 0,
        is_broken: false,
    };
    loop {
        let name = chain.name_at_end;
        let before = chain.kept.len();
        // RFC 6672 §3.1: the DNAME that a CNAME was made from belongs to the answer.
        if asked.qtype == TYPE_CNAME && asked.rcode != RCODE_NXDOMAIN {
            chain.kept.extend(asked.dname_above(name, names).map(Kept::Sent));
        }
        chain.terminal = chain.kept.len();
        asked.keep_terminal(name, names, &mut chain.kept)?;
        if chain.kept.len() > chain.terminal {
            // RFC 2308 §2.1: with NXDOMAIN the chain's last name is the one that is not there.
            if asked.rcode == RCODE_NXDOMAIN {
                chain.kept.truncate(before);
                chain.terminal = before;
            }
            return Ok(chain);
        }
        chain.kept.truncate(before);
        let target = asked.step(name, &mut chain.kept, names)?;
        chain.terminal = chain.kept.len();
        let Some(target) = target else {
            return Ok(chain);
        };
        // One DNAME may be taken at every step, each time with all its signatures.
        if chain.kept.len() > RECORDS_MAX {
            return Err(WireError);
        }
        let is_seen = names.are_same(target, qname)
            || chain.links.iter().any(|link| names.are_same(target, link.target));
        if is_seen || chain.links.is_full() {
            chain.is_broken = true;
            return Ok(chain);
        }
        chain.links.push(Link { target, count: chain.kept.len() });
        chain.name_at_end = target;
    }
}

impl<'a> Asked<'a> {
    /// The records at `name` of a type, in the order they came.
    fn at<'s>(&'s self, name: Span, rtype: u16, names: &'s Names) -> impl Iterator<Item = &'a Record> + 's {
        self.records.iter().filter(move |record| record.rtype == rtype && names.are_same(record.owner, name))
    }

    /// Keep the records at `name` that were asked for.
    fn keep_terminal(&self, name: Span, names: &Names, kept: &mut Vec<Kept>) -> Result<(), WireError> {
        if self.qtype == TYPE_ANY {
            let wanted = |record: &&Record| self.dnssec_ok || record.rtype != TYPE_RRSIG;
            let found = self.records.iter().filter(|record| names.are_same(record.owner, name));
            kept.extend(found.filter(wanted).copied().map(Kept::Sent));
            return Ok(());
        }
        let before = kept.len();
        kept.extend(self.at(name, self.qtype, names).copied().map(Kept::Sent));
        if kept.len() > before && self.dnssec_ok && self.qtype != TYPE_RRSIG {
            self.keep_signatures(name, self.qtype, names, kept)?;
        }
        Ok(())
    }

    /// Keep the records of one step from `name` and return where it leads; `None`: nowhere.
    fn step(&self, name: Span, kept: &mut Vec<Kept>, names: &mut Names) -> Result<Option<Span>, WireError> {
        let cname = self.at(name, TYPE_CNAME, names).next();
        let Some(dname) = self.dname_above(name, names) else {
            let Some(cname) = cname else {
                return Ok(None);
            };
            let target = read_target(self.octets, cname, names)?;
            // RFC 2181 §10.1: one CNAME per name; of several the first is followed, the rest dropped.
            kept.push(Kept::Sent(*cname));
            if self.dnssec_ok {
                self.keep_signatures(name, TYPE_CNAME, names, kept)?;
            }
            return Ok(Some(target));
        };
        let suffix = read_target(self.octets, &dname, names)?;
        let target = names.substitute(name, name.octets() - dname.owner.octets(), suffix)?;
        kept.push(Kept::Sent(dname));
        if self.dnssec_ok {
            self.keep_signatures(dname.owner, TYPE_DNAME, names, kept)?;
        }
        // The DNAME rules (RFC 6672 §3.4): a CNAME beside it that leads elsewhere is not believed.
        if let Some(cname) = cname {
            let sent = read_target(self.octets, cname, names)?;
            if names.are_same(sent, target) {
                kept.push(Kept::Sent(*cname));
                return Ok(Some(target));
            }
        }
        kept.push(Kept::Synthesized { owner: name, target, ttl_s: dname.ttl_s });
        Ok(Some(target))
    }

    /// The DNAME at the nearest ancestor; the first of several there.
    fn dname_above(&self, name: Span, names: &Names) -> Option<Record> {
        if !self.has_dname {
            return None;
        }
        let name = names.lowered(name);
        // For each number of octets whether a proper ancestor has as many.
        let mut are_ancestors = [false; NAME_OCTETS_MAX + 1];
        for (at, _) in suffixes(name).skip(1) {
            are_ancestors[name.len() - at] = true;
        }
        are_ancestors[1] = name.len() > 1;
        let mut nearest: Option<&Record> = None;
        for record in self.records.iter().filter(|record| record.rtype == TYPE_DNAME) {
            let octets = record.owner.octets();
            let is_nearer = nearest.map_or(true, |nearest| octets > nearest.owner.octets());
            if is_nearer && are_ancestors[octets] && name.ends_with(names.lowered(record.owner)) {
                nearest = Some(record);
            }
        }
        nearest.copied()
    }

    /// Keep the signatures at `owner` over one type.
    fn keep_signatures(
        &self,
        owner: Span,
        covered: u16,
        names: &Names,
        kept: &mut Vec<Kept>,
    ) -> Result<(), WireError> {
        for record in self.at(owner, TYPE_RRSIG, names) {
            if covered_type(self.octets, record)? == covered {
                kept.push(Kept::Sent(*record));
            }
        }
        Ok(())
    }
}

/// The SOA that vouches for a negative answer about `name`; all authority records to keep go to `kept`.
///
/// The SOA must stand at or above the name; without DO only it is kept.
pub fn negative_records(
    octets: &[u8],
    authority: &[Record],
    name: Span,
    dnssec_ok: bool,
    names: &Names,
    kept: &mut Vec<Kept>,
) -> Result<Option<Record>, WireError> {
    let vouches = |record: &&Record| record.rtype == TYPE_SOA && names.is_at_or_below(name, record.owner);
    let soa = authority.iter().find(vouches).copied();
    if !dnssec_ok {
        kept.extend(soa.map(Kept::Sent));
        return Ok(soa);
    }
    let Some(soa) = soa else {
        keep_proof(octets, authority, kept)?;
        return Ok(None);
    };
    for record in authority {
        let is_kept = match record.rtype {
            TYPE_SOA => record.start == soa.start,
            TYPE_RRSIG => {
                let covered = covered_type(octets, record)?;
                is_proof(covered) || (covered == TYPE_SOA && names.are_same(record.owner, soa.owner))
            }
            rtype => is_proof(rtype),
        };
        if is_kept {
            kept.push(Kept::Sent(*record));
        }
    }
    Ok(Some(soa))
}

/// Keep the denial records (NSEC, NSEC3) and the signatures over them, in the order they came.
pub fn keep_proof(octets: &[u8], authority: &[Record], kept: &mut Vec<Kept>) -> Result<(), WireError> {
    for record in authority {
        if is_proof(record.rtype) || (record.rtype == TYPE_RRSIG && is_proof(covered_type(octets, record)?)) {
            kept.push(Kept::Sent(*record));
        }
    }
    Ok(())
}

/// Whether a sectionless answer only points elsewhere: NS without SOA (RFC 2308 §2.2).
pub fn is_referral(authority: &[Record]) -> bool {
    authority.iter().any(|record| record.rtype == TYPE_NS)
        && !authority.iter().any(|record| record.rtype == TYPE_SOA)
}

fn is_proof(rtype: u16) -> bool {
    rtype == TYPE_NSEC || rtype == TYPE_NSEC3
}

/// The name that is the whole RDATA of a CNAME or DNAME.
fn read_target(octets: &[u8], record: &Record, names: &mut Names) -> Result<Span, WireError> {
    let (target, end) = read_name(octets, record.rdata_start, names)?;
    if end == record.end {
        Ok(target)
    } else {
        Err(WireError)
    }
}

/// The type an RRSIG covers: the first two octets of its RDATA (RFC 4034 §3.1).
fn covered_type(octets: &[u8], record: &Record) -> Result<u16, WireError> {
    if record.end - record.rdata_start < 18 {
        return Err(WireError);
    }
    u16_at(octets, record.rdata_start)
}
