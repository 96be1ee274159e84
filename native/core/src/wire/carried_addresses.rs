//! IPv4 addresses that IPv6 addresses carry: who connects to the one is led to the other.
//!
//! Knows: RFC 6052 and 8215 (NAT64), 3056 (6to4), 4380 (Teredo), 5214 (ISATAP), 4291 (compatible), 2765 (translated).
//! Does not know: rules, who asks, how a network's own prefixes are found.
//! Theory: a translator or tunnel takes the IPv4 address out of places that follow from the prefix alone.
//! IPv4-mapped addresses are not among them: whoever compares addresses takes them for IPv4 ones already.

use std::net::{Ipv4Addr, Ipv6Addr};

use arrayvec::ArrayVec;

/// Prefixes of one network that are heeded; each costs a comparison for every IPv6 address judged.
pub const NAT64_PREFIXES_MAX: usize = 16;
/// As many as one address can carry: one for each prefix, two of a Teredo address, one of ISATAP.
pub const CARRIED_MAX: usize = NAT64_PREFIXES_MAX + 3;

const WELL_KNOWN: &[u8] = &[0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0];
const LOCAL_USE: &[u8] = &[0, 0x64, 0xff, 0x9b, 0, 1];
const LOCAL_USE_LENGTHS: [u8; 4] = [48, 56, 64, 96];
const TRANSLATED: &[u8] = &[0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0];
const COMPATIBLE: &[u8] = &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const SIX_TO_FOUR: &[u8] = &[0x20, 2];
const TEREDO: &[u8] = &[0x20, 1, 0, 0];
/// The upper half of an interface identifier, its address being private or global.
const ISATAP: [[u8; 4]; 2] = [[0, 0, 0x5e, 0xfe], [2, 0, 0x5e, 0xfe]];

/// A prefix under which a network's translators put IPv4 addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nat64Prefix {
    octets: [u8; 16],
    length: u8,
}

/// The IPv4 addresses that an address carries.
pub type Carried = ArrayVec<Ipv4Addr, CARRIED_MAX>;

impl Nat64Prefix {
    /// `None` for a length that RFC 6052 §2.2 does not know.
    pub fn new(octets: [u8; 16], length: u8) -> Option<Nat64Prefix> {
        places(length).map(|_| Nat64Prefix { octets, length })
    }

    fn is_of(&self, address: &[u8; 16]) -> bool {
        let octets = usize::from(self.length / 8);
        address.get(..octets) == self.octets.get(..octets)
    }
}

/// Where an address under a NAT64 prefix of so many bits has its IPv4 octets (RFC 6052 §2.2); the ninth is zero.
fn places(length: u8) -> Option<[usize; 4]> {
    Some(match length {
        32 => [4, 5, 6, 7],
        40 => [5, 6, 7, 9],
        48 => [6, 7, 9, 10],
        56 => [7, 9, 10, 11],
        64 => [9, 10, 11, 12],
        96 => [12, 13, 14, 15],
        _ => return None,
    })
}

/// The IPv4 addresses in an IPv6 address; `prefixes`: the network's own, at most `NAT64_PREFIXES_MAX`.
pub fn carried_addresses(address: &Ipv6Addr, prefixes: &[Nat64Prefix]) -> Carried {
    let octets = address.octets();
    let mut carried = Carried::new();
    for prefix in prefixes.iter().filter(|prefix| prefix.is_of(&octets)) {
        add(&mut carried, taken(&octets, prefix.length));
    }
    let last = [octets[12], octets[13], octets[14], octets[15]];
    if octets.starts_with(WELL_KNOWN) {
        add(&mut carried, Some(last));
    } else if octets.starts_with(LOCAL_USE) {
        if carried.is_empty() {
            add(&mut carried, under_local_use(&octets));
        }
    } else if octets.starts_with(SIX_TO_FOUR) {
        add(&mut carried, Some([octets[2], octets[3], octets[4], octets[5]]));
    } else if octets.starts_with(TEREDO) {
        // RFC 4380 §4: the server, and the client with every bit turned.
        add(&mut carried, Some([octets[4], octets[5], octets[6], octets[7]]));
        add(&mut carried, Some(last.map(|octet| !octet)));
    } else if (octets.starts_with(COMPATIBLE) || octets.starts_with(TRANSLATED)) && last[..3] != [0; 3] {
        add(&mut carried, Some(last)); // `::` and `::1` are none
    }
    if ISATAP.contains(&[octets[8], octets[9], octets[10], octets[11]]) {
        add(&mut carried, Some(last));
    }
    carried
}

/// Add an address unless it is there already.
fn add(carried: &mut Carried, address: Option<[u8; 4]>) {
    if let Some(address) = address.map(Ipv4Addr::from).filter(|address| !carried.contains(address)) {
        // There is room for as many as there can be.
        let _ = carried.try_push(address);
    }
}

/// The address under 64:ff9b:1::/48, whose network may use any prefix in it (RFC 8215 §3).
///
/// What stands behind an embedded address is zero (RFC 6052 §2.2), so the shortest prefix that fits is meant.
fn under_local_use(octets: &[u8; 16]) -> Option<[u8; 4]> {
    LOCAL_USE_LENGTHS.into_iter().find_map(|length| {
        let last = places(length)?[3];
        // 0.0.0.0/8 is nobody's address, but much of one that is read at the wrong place.
        let fits = octets[8] == 0 && octets[last + 1..].iter().all(|octet| *octet == 0);
        taken(octets, length).filter(|taken| fits && taken[0] != 0)
    })
}

fn taken(octets: &[u8; 16], length: u8) -> Option<[u8; 4]> {
    Some(places(length)?.map(|place| octets[place]))
}
