//! What an SVCB or HTTPS record points to: its target name and address hints.
//!
//! Knows: RFC 9460 §2.2's RDATA.  Does not know: what the other parameters mean.
//! Strict, because policy judges what a client would connect to: RDATA that we cannot read to its end is
//! refused, not passed on half understood.

use std::net::IpAddr;

use smallvec::SmallVec;

use super::walk::{read_run, u16_at, WireError};

const IPV4_HINT: u16 = 4;
const IPV6_HINT: u16 = 6;

/// The target (lower case; `None` for `.`) in `rdata`; its hint addresses go to `addresses`.
///
/// Fails when `rdata` is not laid out as RFC 9460 says.
pub fn read_service(
    rdata: &[u8],
    addresses: &mut SmallVec<[IpAddr; 1]>,
) -> Result<Option<Box<[u8]>>, WireError> {
    let rest = rdata.get(2..).ok_or(WireError)?;
    // RFC 9460 §2.2: the target is not compressed; in a slice of its own a pointer has nowhere to lead.
    let (mut at, pointer) = read_run(rest, 0)?;
    if pointer.is_some() {
        return Err(WireError);
    }
    let target = rest.get(..at).ok_or(WireError)?.to_ascii_lowercase();
    let mut before = None;
    while at < rest.len() {
        let key = u16_at(rest, at)?;
        let value_end = at + 4 + usize::from(u16_at(rest, at + 2)?);
        let value = rest.get(at + 4..value_end).ok_or(WireError)?;
        // RFC 9460 §2.2: keys stand in strictly increasing order.
        if before.is_some_and(|before| key <= before) {
            return Err(WireError);
        }
        before = Some(key);
        match key {
            IPV4_HINT => read_hints::<4>(value, addresses)?,
            IPV6_HINT => read_hints::<16>(value, addresses)?,
            _ => {}
        }
        at = value_end;
    }
    Ok((target != [0]).then(|| target.into_boxed_slice()))
}

fn read_hints<const SIZE: usize>(
    value: &[u8],
    addresses: &mut SmallVec<[IpAddr; 1]>,
) -> Result<(), WireError> {
    if value.is_empty() || value.len() % SIZE != 0 {
        return Err(WireError);
    }
    addresses.extend(value.chunks_exact(SIZE).filter_map(address));
    Ok(())
}

/// The address in the RDATA of an A (4 octets) or AAAA (16 octets) record.
#[inline]
pub fn address(octets: &[u8]) -> Option<IpAddr> {
    if let Ok(four) = <[u8; 4]>::try_from(octets) {
        return Some(IpAddr::from(four));
    }
    <[u8; 16]>::try_from(octets).ok().map(IpAddr::from)
}
