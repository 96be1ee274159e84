//! Who asks over HTTP through proxies: what `Forwarded` and `X-Forwarded-For` say, and who is believed.
//!
//! Knows: both headers' form, which networks are trusted.  Does not know: HTTP's framing, what is asked.
//! Source: RFC 7239; X-Forwarded-For is a list of addresses without a standard.
//! Theory: each proxy writes at the right end whom it heard.  So the walk begins with who is connected, and goes to
//! the left for as long as he who speaks is trusted: the first who is not is the client, and whatever stands further
//! left is his own tale.  Two headers that disagree tell nothing: one of them may come from the client, through a
//! proxy that knows only the other.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::clients::Networks;

/// Proxies that a request may have come through; more is refused.
pub const HOPS_MAX: usize = 32;

/// Octets of one of the two headers, all its lines together; more is refused.
pub const HEADER_OCTETS_MAX: usize = 8_192;

/// What a trusted proxy says of its client cannot be read, or contradicts itself: answer 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadForwarded;

/// Whom a proxy heard.
enum Hop {
    Address(IpAddr),
    /// It does not tell: `unknown`, or a name of its own (RFC 7239 §6.2, §6.3).
    Unknown,
}

/// The client's address.  `peer`: who is connected.
///
/// `forwarded`, `x_forwarded_for`: the values of the headers' lines, in order.
pub fn client_behind(
    peer: IpAddr,
    forwarded: &[&[u8]],
    x_forwarded_for: &[&[u8]],
    trusted: &Networks,
) -> Result<IpAddr, BadForwarded> {
    if !trusted.contains(peer) {
        return Ok(peer);
    }
    let said = |lines: &[&[u8]], read: fn(&[u8]) -> Result<Vec<Vec<u8>>, BadForwarded>| {
        if lines.is_empty() {
            return Ok(None);
        }
        rightmost_stranger(peer, &read(&joined(lines)?)?, trusted).map(Some)
    };
    match (said(forwarded, forwarded_hops)?, said(x_forwarded_for, listed_hops)?) {
        (Some(one), Some(other)) if one != other => Err(BadForwarded),
        (one, other) => Ok(one.or(other).unwrap_or(peer)),
    }
}

fn joined(lines: &[&[u8]]) -> Result<Vec<u8>, BadForwarded> {
    // RFC 9110 §5.3: several lines are one list.
    let value = lines.join(&b","[..]);
    let is_text = value.iter().all(|&octet| octet == b'\t' || (octet >= 0x20 && octet != 0x7F));
    if value.len() > HEADER_OCTETS_MAX || !is_text {
        return Err(BadForwarded);
    }
    Ok(value)
}

/// Go to the left while he who speaks is trusted; `peer` speaks of the last hop.
fn rightmost_stranger(peer: IpAddr, hops: &[Vec<u8>], trusted: &Networks) -> Result<IpAddr, BadForwarded> {
    if hops.len() > HOPS_MAX {
        return Err(BadForwarded);
    }
    let mut client = peer;
    for hop in hops.iter().rev() {
        if !trusted.contains(client) {
            break;
        }
        match hop_of(hop)? {
            Hop::Address(address) => client = address,
            // Whoever it is: the proxy that does not say stands for him.
            Hop::Unknown => break,
        }
    }
    Ok(client)
}

/// The elements of X-Forwarded-For; empty ones do not count (RFC 9110 §5.6.1.2).
fn listed_hops(value: &[u8]) -> Result<Vec<Vec<u8>>, BadForwarded> {
    let hops = value.split(|&octet| octet == b',').map(|element| trimmed(element).to_vec());
    Ok(hops.filter(|hop| !hop.is_empty()).collect())
}

/// The `for` of each element of Forwarded; an element without one tells nothing of its hop.
fn forwarded_hops(value: &[u8]) -> Result<Vec<Vec<u8>>, BadForwarded> {
    let mut hops = Vec::new();
    let mut hop: Option<Vec<u8>> = None;
    let mut is_begun = false;
    let mut rest = value;
    loop {
        rest = without_spaces(rest);
        if let Some((name, told, behind)) = pair(rest)? {
            is_begun = true;
            rest = without_spaces(behind);
            if name.eq_ignore_ascii_case(b"for") && hop.replace(told).is_some() {
                return Err(BadForwarded);
            }
        }
        let separator = rest.first().copied();
        rest = rest.get(1..).unwrap_or_default();
        match separator {
            Some(b';') => continue,
            Some(b',') | None => {}
            Some(_) => return Err(BadForwarded),
        }
        let told = hop.take();
        if std::mem::take(&mut is_begun) {
            hops.push(told.unwrap_or_else(|| b"unknown".to_vec()));
        }
        if separator.is_none() {
            return Ok(hops);
        }
    }
}

/// Name, value and what follows of `token=value`, the value a token or quoted (RFC 7239 §4); None: there is none.
#[allow(clippy::type_complexity)] // Three things, read together.
fn pair(octets: &[u8]) -> Result<Option<(&[u8], Vec<u8>, &[u8])>, BadForwarded> {
    let (name, rest) = octets.split_at(octets.iter().take_while(|&&octet| is_token(octet)).count());
    if name.is_empty() {
        return Ok(None);
    }
    let rest = rest.strip_prefix(b"=").ok_or(BadForwarded)?;
    let Some(quoted) = rest.strip_prefix(b"\"") else {
        let (told, rest) = rest.split_at(rest.iter().take_while(|&&octet| is_token(octet)).count());
        return if told.is_empty() { Err(BadForwarded) } else { Ok(Some((name, told.to_vec(), rest))) };
    };
    let mut told = Vec::new();
    let mut octets = quoted.iter().enumerate();
    while let Some((at, &octet)) = octets.next() {
        match octet {
            b'"' => return Ok(Some((name, told, &quoted[at + 1..]))),
            b'\\' => told.push(*octets.next().ok_or(BadForwarded)?.1),
            _ => told.push(octet),
        }
    }
    Err(BadForwarded)
}

/// Whether an octet may stand in a token (RFC 9110 §5.6.2).
fn is_token(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&octet)
}

fn is_space(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t')
}

fn without_spaces(octets: &[u8]) -> &[u8] {
    &octets[octets.iter().take_while(|&&octet| is_space(octet)).count()..]
}

fn trimmed(octets: &[u8]) -> &[u8] {
    let octets = without_spaces(octets);
    &octets[..octets.len() - octets.iter().rev().take_while(|&&octet| is_space(octet)).count()]
}

/// Whom a proxy heard, his port left out.
fn hop_of(hop: &[u8]) -> Result<Hop, BadForwarded> {
    if hop.eq_ignore_ascii_case(b"unknown") || is_obfuscated(hop) {
        return Ok(Hop::Unknown);
    }
    let colons = hop.iter().filter(|&&octet| octet == b':').count();
    let (host, port, is_bracketed) = if let Some(inner) = hop.strip_prefix(b"[") {
        let end = inner.iter().position(|&octet| octet == b']').ok_or(BadForwarded)?;
        let port = match &inner[end + 1..] {
            [] => None,
            [b':', port @ ..] => Some(port),
            _ => return Err(BadForwarded),
        };
        (&inner[..end], port, true)
    } else if colons == 1 {
        let at = hop.iter().position(|&octet| octet == b':').unwrap_or(0);
        (&hop[..at], Some(&hop[at + 1..]), false)
    } else {
        (hop, None, false)
    };
    if port.is_some_and(|port| !is_port(port)) {
        return Err(BadForwarded);
    }
    let host = std::str::from_utf8(host).map_err(|_| BadForwarded)?;
    let address = if host.contains(':') {
        IpAddr::V6(host.parse::<Ipv6Addr>().map_err(|_| BadForwarded)?).to_canonical()
    } else if is_bracketed {
        return Err(BadForwarded);
    } else {
        IpAddr::V4(host.parse::<Ipv4Addr>().map_err(|_| BadForwarded)?)
    };
    Ok(Hop::Address(address))
}

/// A name of the proxy's own (RFC 7239 §6.3).
fn is_obfuscated(octets: &[u8]) -> bool {
    let is_sign = |&octet: &u8| octet.is_ascii_alphanumeric() || b"._-".contains(&octet);
    matches!(octets, [b'_', rest @ ..] if !rest.is_empty() && rest.iter().all(is_sign))
}

fn is_port(octets: &[u8]) -> bool {
    is_obfuscated(octets) || ((1..=5).contains(&octets.len()) && octets.iter().all(u8::is_ascii_digit))
}
