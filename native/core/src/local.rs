//! Names that are answered here and go nowhere: the site's own records and the special names.
//!
//! Knows: `records:` of the settings, the registries of special-use and locally-served names, where RESINFO
//! (RFC 9606) and what is designated (RFC 9462) stand.  Does not know: policy, cache, upstreams, who asks.
//! Source of the special names: RFC 6761 (localhost, invalid, test), 7686 (onion), 9476 (alt), 6762 (local),
//! 8375 (home.arpa), 6303 and 7793 (reverse zones of private space), 9462 (resolver.arpa).

use crate::wire::{
    record, soa_record, suffixes, Owner, Query, Soa, QNAME_POINTER, RCODE_NOERROR, RCODE_NXDOMAIN, TYPE_A,
    TYPE_AAAA, TYPE_ANY, TYPE_PTR, TYPE_RESINFO, TYPE_SVCB,
};
use ahash::{HashMap, HashSet};
use arc_swap::ArcSwap;
use std::net::IpAddr;
use std::sync::Arc;

/// TTL of a site's own records, seconds: short, since they are edited by hand and nobody flushes clients.
pub const LOCAL_TTL_S: u32 = 300;
/// TTL of answers for special names, seconds: they never change (RFC 6303 §3 uses 10,800 s).
pub const SPECIAL_TTL_S: u32 = 10_800;

/// TTL of the RESINFO record, seconds: it changes with the settings, at a start.
pub const RESINFO_TTL_S: u32 = 3_600;

/// TTL of designations, seconds: a client has to verify them anew when it ends (RFC 9462 §4), and a listener may go.
pub const DESIGNATION_TTL_S: u32 = 300;

/// What stands before a resolver's name where its listeners are told (RFC 9461 §3).
const SERVICE_LABEL: &[u8] = b"\x04_dns";
const RESOLVER_ARPA: &[u8] = b"\x08resolver\x04arpa\0";
const LOCALHOST: &[u8] = b"\x09localhost\0";
const RNAME: &[u8] = b"\x06nobody\x07invalid\0";
const LOOPBACK_REVERSE: &[u8] = b"\x011\x010\x010\x03127\x07in-addr\x04arpa\0";
const LOOPBACK_IPV4: [u8; 4] = [127, 0, 0, 1];
const LOOPBACK_IPV6: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

/// How a special zone answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Special {
    /// A 127.0.0.1, AAAA ::1, NODATA for the rest.
    Loopback,
    /// NXDOMAIN for everything at and below it.
    Nowhere,
    /// NODATA at the apex, NXDOMAIN below it.
    Empty,
    /// NODATA for everything at and below it.
    Nodata,
    /// NXDOMAIN while this resolver filters; otherwise an ordinary name.
    Canary,
}

/// Rcode and sections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalAnswer {
    /// NOERROR or NXDOMAIN.
    pub rcode: u16,
    /// Records to be placed behind the question.
    pub body: Vec<u8>,
    /// Answer records in `body`.
    pub ancount: u16,
    /// Authority records in `body`.
    pub nscount: u16,
    /// Whether the answer says so (AA).
    pub is_authoritative: bool,
    /// Whether it stays as it is while the server runs.
    pub is_lasting: bool,
}

impl Default for LocalAnswer {
    /// NOERROR without records.
    fn default() -> Self {
        LocalAnswer {
            rcode: RCODE_NOERROR,
            body: Vec::new(),
            ancount: 0,
            nscount: 0,
            is_authoritative: false,
            is_lasting: true,
        }
    }
}

/// What the site's records say of one name.
#[derive(Default)]
struct Own {
    addresses: Vec<IpAddr>,
    /// Names that an address of this reverse name belongs to.
    pointers: Vec<Box<[u8]>>,
}

/// What clients are told of encrypted listeners.
#[derive(Default)]
struct Designations {
    /// Below one of the site's own names they stand, too: elsewhere that is for the owner of the name's zone to say.
    own_service: Vec<u8>,
    /// RDATA of SVCB records, best first.
    rdatas: Vec<Vec<u8>>,
}

/// The site's records (A, AAAA and their PTR) and the special zones.
pub struct LocalNames {
    own: HashMap<Box<[u8]>, Own>,
    /// A bit for each length of a name in `own`: most questions need no look at the table.
    own_lengths: [u64; 4],
    /// Every name that one of `own` lies below.
    ancestors: HashSet<Box<[u8]>>,
    special: HashMap<Box<[u8]>, Special>,
    /// RDATA of the RESINFO record at resolver.arpa; empty: there is none.
    resinfo: Vec<u8>,
    /// Whether the names by which browsers find a relay do not exist.
    blocks_relay: bool,
    designations: ArcSwap<Designations>,
}

impl LocalNames {
    /// From the site's records: owner names, wire form and lower case, and their addresses in order.
    #[must_use]
    pub fn new(records: &[(Vec<u8>, Vec<IpAddr>)]) -> Self {
        let mut own: HashMap<Box<[u8]>, Own> = HashMap::default();
        for (owner, addresses) in records {
            for &address in addresses {
                own.entry(owner.as_slice().into()).or_default().addresses.push(address);
                own.entry(reverse_name(address).into()).or_default().pointers.push(owner.as_slice().into());
            }
        }
        let mut own_lengths = [0; 4];
        let mut ancestors = HashSet::default();
        for name in own.keys() {
            own_lengths[name.len() / 64 % 4] |= 1 << (name.len() % 64);
            ancestors.extend(suffixes(name).skip(1).map(|(_, suffix)| Box::from(suffix)));
        }
        LocalNames {
            own,
            own_lengths,
            ancestors,
            special: special_zones(),
            resinfo: Vec::new(),
            blocks_relay: false,
            designations: ArcSwap::default(),
        }
    }

    /// The same with this RDATA of the RESINFO record at resolver.arpa.
    #[must_use]
    pub fn with_resinfo(self, resinfo: Vec<u8>) -> Self {
        LocalNames { resinfo, ..self }
    }

    /// The same, where the names by which browsers find a relay do not exist.
    ///
    /// Source: Apple, "Prepare your network or web server for iCloud Private Relay": a negative answer makes devices
    /// tell their users; silence or a timeout would hold them up.
    #[must_use]
    pub fn with_relay_blocked(mut self) -> Self {
        for text in ["mask.icloud.com", "mask-h2.icloud.com"] {
            self.special.insert(name_from_text(text).into(), Special::Nowhere);
        }
        self.blocks_relay = true;
        self
    }

    /// Tell clients of these listeners from now on: RDATA of SVCB records (RFC 9462), none: NODATA.
    ///
    /// `name`: this server's.  Below one of the site's own names they stand, too; elsewhere that is for the owner of
    /// the name's zone to say (RFC 9462 §5).
    pub fn designate(&self, name: &[u8], rdatas: Vec<Vec<u8>>) {
        let is_own = !rdatas.is_empty() && self.own.get(name).is_some_and(|own| !own.addresses.is_empty());
        let own_service = if is_own { [SERVICE_LABEL, name].concat() } else { Vec::new() };
        self.designations.store(Arc::new(Designations { own_service, rdatas }));
    }

    /// The answer to `query` if its name is ours; None sends it on.
    ///
    /// `covers` tells whether the operator named an upstream for a name: that wins over the special zones but
    /// for localhost, which means this machine to everybody (RFC 6761 §6.3), and resolver.arpa, which means this
    /// resolver (RFC 9462 §6.1).
    #[inline]
    pub fn find(
        &self,
        query: &Query<'_>,
        covers: &dyn Fn(&[u8]) -> bool,
        is_filtering: bool,
    ) -> Option<LocalAnswer> {
        let qname = query.qname.as_slice();
        if self.own_lengths[qname.len() / 64 % 4] >> (qname.len() % 64) & 1 == 1 {
            if let Some(own) = self.own.get(qname) {
                return Some(own.answer(query.qtype));
            }
        }
        if qname.starts_with(SERVICE_LABEL) {
            if let Some(answer) = self.find_service(qname, query.qtype) {
                return Some(answer);
            }
        }
        // A name that ends in none of them is no special name; nearly every question stops here.
        if !has_special_ending(qname, self.blocks_relay) {
            return None;
        }
        self.find_special(qname, query.qtype, covers, is_filtering)
    }

    /// What is designated, at the names where that stands.
    #[cold]
    fn find_service(&self, qname: &[u8], qtype: u16) -> Option<LocalAnswer> {
        let is_resolver = qname.strip_prefix(SERVICE_LABEL) == Some(RESOLVER_ARPA);
        let designations = self.designations.load();
        if !is_resolver && designations.own_service != qname {
            return None;
        }
        if !matches!(qtype, TYPE_SVCB | TYPE_ANY) || designations.rdatas.is_empty() {
            // Not for long: a client that found nothing here may find something soon.
            let (owner_offset, ttl_s) =
                if is_resolver { (SERVICE_LABEL.len(), DESIGNATION_TTL_S) } else { (0, LOCAL_TTL_S) };
            let nothing = negative(RCODE_NOERROR, owner_offset as u16, ttl_s);
            return Some(LocalAnswer { is_lasting: false, ..nothing });
        }
        let mut body = Vec::new();
        for rdata in &designations.rdatas {
            record(Owner::Pointer(QNAME_POINTER), TYPE_SVCB, DESIGNATION_TTL_S, rdata, &mut body);
        }
        // As many as there are listeners, at most.
        let ancount = designations.rdatas.len() as u16;
        Some(LocalAnswer { body, ancount, is_lasting: false, ..LocalAnswer::default() })
    }

    #[cold]
    fn find_special(
        &self,
        qname: &[u8],
        qtype: u16,
        covers: &dyn Fn(&[u8]) -> bool,
        is_filtering: bool,
    ) -> Option<LocalAnswer> {
        let (apex_offset, kind) =
            suffixes(qname).find_map(|(at, suffix)| self.special.get(suffix).map(|&kind| (at, kind)))?;
        let is_here = matches!(kind, Special::Loopback | Special::Nodata);
        if !is_here && (covers(qname) || (kind == Special::Canary && !is_filtering)) {
            return None;
        }
        if kind == Special::Loopback {
            match qtype {
                TYPE_A => return Some(positive(TYPE_A, &LOOPBACK_IPV4)),
                TYPE_AAAA => return Some(positive(TYPE_AAAA, &LOOPBACK_IPV6)),
                _ => (),
            }
        }
        if qtype == TYPE_RESINFO && qname == RESOLVER_ARPA && !self.resinfo.is_empty() {
            // RFC 9606 §3: without AA a client must not believe that the record is this resolver's own.
            let mut body = Vec::new();
            record(Owner::Pointer(QNAME_POINTER), TYPE_RESINFO, RESINFO_TTL_S, &self.resinfo, &mut body);
            return Some(LocalAnswer { body, ancount: 1, is_authoritative: true, ..LocalAnswer::default() });
        }
        if qname == LOOPBACK_REVERSE && qtype == TYPE_PTR {
            return Some(positive(TYPE_PTR, LOCALHOST));
        }
        // RFC 8020: NXDOMAIN would deny every name below, and one of the site's own may lie there.
        let exists = matches!(kind, Special::Loopback | Special::Nodata)
            || (apex_offset == 0 && kind == Special::Empty)
            || self.ancestors.contains(qname);
        let rcode = if exists { RCODE_NOERROR } else { RCODE_NXDOMAIN };
        Some(negative(rcode, apex_offset as u16, SPECIAL_TTL_S))
    }
}

impl Own {
    fn answer(&self, qtype: u16) -> LocalAnswer {
        let mut body = Vec::new();
        let mut ancount: u16 = 0;
        let mut append = |rtype: u16, rdata: &[u8]| {
            // More than fit the count could be sent by no transport anyway.
            if (qtype == rtype || qtype == TYPE_ANY) && ancount < u16::MAX {
                record(Owner::Pointer(QNAME_POINTER), rtype, LOCAL_TTL_S, rdata, &mut body);
                ancount += 1;
            }
        };
        for address in &self.addresses {
            match address {
                IpAddr::V4(address) => append(TYPE_A, &address.octets()),
                IpAddr::V6(address) => append(TYPE_AAAA, &address.octets()),
            }
        }
        for name in &self.pointers {
            append(TYPE_PTR, name);
        }
        if ancount == 0 {
            return negative(RCODE_NOERROR, 0, LOCAL_TTL_S);
        }
        LocalAnswer { body, ancount, ..LocalAnswer::default() }
    }
}

fn positive(rtype: u16, rdata: &[u8]) -> LocalAnswer {
    let mut body = Vec::new();
    record(Owner::Pointer(QNAME_POINTER), rtype, SPECIAL_TTL_S, rdata, &mut body);
    LocalAnswer { body, ancount: 1, ..LocalAnswer::default() }
}

/// A negative answer whose SOA's owner is the qname from `owner_offset` on.
fn negative(rcode: u16, owner_offset: u16, ttl_s: u32) -> LocalAnswer {
    let soa = Soa {
        mname: LOCALHOST,
        rname: RNAME,
        serial: 1,
        refresh_s: 3600,
        retry_s: 1200,
        expire_s: 604_800,
        minimum_s: ttl_s,
    };
    let mut body = Vec::new();
    soa_record(Owner::Pointer(QNAME_POINTER + owner_offset), &soa, ttl_s, &mut body);
    LocalAnswer { rcode, body, nscount: 1, ..LocalAnswer::default() }
}

/// Every special name ends in one of these (a label may contain such octets by chance).
#[inline]
fn has_special_ending(qname: &[u8], blocks_relay: bool) -> bool {
    // The last two letters tell which of the endings it could be.
    let [.., one, two, _root] = qname else { return false };
    match &[*one, *two] {
        b"st" => qname.ends_with(b"\x09localhost\0") || qname.ends_with(b"\x04test\0"),
        b"id" => qname.ends_with(b"\x07invalid\0"),
        b"on" => qname.ends_with(b"\x05onion\0"),
        b"lt" => qname.ends_with(b"\x03alt\0"),
        b"al" => qname.ends_with(b"\x05local\0"),
        b"pa" => qname.ends_with(b"\x04arpa\0"),
        b"om" => blocks_relay && qname.ends_with(b"\x06icloud\x03com\0"),
        b"et" => qname.ends_with(b"\x13use-application-dns\x03net\0"),
        _ => false,
    }
}

/// Apex of each special zone, and how it answers.
fn special_zones() -> HashMap<Box<[u8]>, Special> {
    let mut zones: HashMap<Box<[u8]>, Special> = HashMap::default();
    let mut add = |text: &str, kind| zones.insert(name_from_text(text).into(), kind);
    add("localhost", Special::Loopback);
    for text in ["invalid", "test", "onion", "alt", "local"] {
        add(text, Special::Nowhere);
    }
    add("home.arpa", Special::Empty);
    add("resolver.arpa", Special::Nodata);
    // Browsers that find this name gone leave their own DNS over HTTPS off.
    add("use-application-dns.net", Special::Canary);
    for text in
        ["0", "10", "127", "254.169", "168.192", "2.0.192", "100.51.198", "113.0.203", "255.255.255.255"]
    {
        add(&format!("{text}.in-addr.arpa"), Special::Empty);
    }
    for second in 16..32 {
        add(&format!("{second}.172.in-addr.arpa"), Special::Empty);
    }
    for second in 64..128 {
        add(&format!("{second}.100.in-addr.arpa"), Special::Empty);
    }
    for host in ["0", "1"] {
        add(&format!("{host}{}.ip6.arpa", ".0".repeat(31)), Special::Empty);
    }
    for text in ["d.f", "8.e.f", "9.e.f", "a.e.f", "b.e.f", "8.b.d.0.1.0.0.2"] {
        add(&format!("{text}.ip6.arpa"), Special::Empty);
    }
    zones
}

/// Wire form of a name of plain labels.
fn name_from_text(text: &str) -> Vec<u8> {
    let mut name = Vec::with_capacity(text.len() + 2);
    for label in text.split('.') {
        name.push(label.len() as u8);
        name.extend_from_slice(label.as_bytes());
    }
    name.push(0);
    name
}

/// The name whose PTR leads back from an address (RFC 1035 §3.5, RFC 3596 §2.5).
fn reverse_name(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            name_from_text(&format!("{d}.{c}.{b}.{a}.in-addr.arpa"))
        }
        IpAddr::V6(address) => {
            let mut text = String::new();
            for octet in address.octets().iter().rev() {
                text.push_str(&format!("{:x}.{:x}.", octet & 15, octet >> 4));
            }
            name_from_text(&(text + "ip6.arpa"))
        }
    }
}

#[cfg(test)]
#[path = "local_tests.rs"]
mod tests;
